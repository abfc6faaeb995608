"""What every adapter of the Store port must do. Test modules subclass it and say on which stores."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import ApiKeyRecord, KeyState, Project
from pushkeep.domain.registration import SEEN_WRITE_SECONDS
from pushkeep.domain.subscription import SUBSCRIPTIONS_PER_CONTACT_MAX, Event, Recipient, State, StateReason
from pushkeep.errors import Conflict, Unavailable
from pushkeep.ports import ResultUpdate, Store
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.verdict import Verdict
from tests.store.samples import (
    NOW,
    OTHER_BROWSER_KEY,
    foreign,
    new_project,
    registration,
    sendable,
    subscription,
)


class ProjectContract:
    async def test_the_first_project_is_made_once_and_found_again(self, store: Store) -> None:
        first = await store.ensure_project(new_project())
        again = await store.ensure_project(new_project())
        assert again == first

    async def test_there_is_no_project_before_the_first(self, store: Store) -> None:
        assert await store.default_project() is None
        made = await store.ensure_project(new_project())
        assert await store.default_project() == made

    async def test_settings_follow_the_configuration_and_keys_stay(self, store: Store, project: Project) -> None:
        keys = await store.signing_keys(project)
        changed = await store.ensure_project(
            new_project(name="New", site_url="https://new.example.com", contact="mailto:new@example.com")
        )
        assert (changed.id, changed.public_id, changed.publishable_key) == (
            project.id,
            project.public_id,
            project.publishable_key,
        )
        assert (changed.name, changed.site_url, changed.contact) == (
            "New",
            "https://new.example.com",
            "mailto:new@example.com",
        )
        assert await store.project_by_publishable_key(project.publishable_key) == changed
        assert [key.key.public_bytes for key in await store.signing_keys(changed)] == [
            key.key.public_bytes for key in keys
        ]

    async def test_many_starts_at_once_make_one_project(self, store: Store) -> None:
        made = await asyncio.gather(*(store.ensure_project(new_project()) for _ in range(20)))
        assert len(set(made)) == 1

    async def test_signing_key_and_secrets_come_back_as_they_went_in(self, store: Store) -> None:
        new = new_project(identity_secret=b"I" * 32, sync_secret=b"S" * 32, signing_key=SigningKey.generate())
        project = await store.ensure_project(new)
        (key,) = await store.signing_keys(project)
        assert key.key.to_pem() == new.signing_key.to_pem()
        assert (key.state, key.created_at) == (KeyState.ACTIVE, NOW)
        secrets = await store.project_secrets(project)
        assert (secrets.identity, secrets.sync) == (b"I" * 32, b"S" * 32)

    async def test_an_unknown_publishable_key_finds_nothing(self, store: Store, project: Project) -> None:
        assert await store.project_by_publishable_key("pk_unknown") is None

    async def test_api_keys_are_found_by_their_id(self, store: Store, project: Project) -> None:
        assert await store.api_key_digest("missing") is None
        await store.add_api_key(project, key_id="key", digest=b"d" * 32, label="CI", now=NOW)
        assert await store.api_key_digest("key") == (project, b"d" * 32)
        with pytest.raises(Conflict):
            await store.add_api_key(project, key_id="key", digest=b"e" * 32, label="CI", now=NOW)
        assert await store.api_key_digest("key") == (project, b"d" * 32)

    async def test_a_revoked_api_key_is_not_found_any_more(self, store: Store, project: Project) -> None:
        for name in ("one", "two"):
            await store.add_api_key(project, key_id=name, digest=b"d" * 32, label=f"for {name}", now=NOW)
        assert await store.list_api_keys(project) == (
            ApiKeyRecord("one", "for one", NOW),
            ApiKeyRecord("two", "for two", NOW),
        )
        assert await store.revoke_api_key(project, "one") is True
        assert await store.revoke_api_key(project, "one") is False
        assert await store.api_key_digest("one") is None
        assert [key.key_id for key in await store.list_api_keys(project)] == ["two"]

    async def test_check_answers(self, store: Store) -> None:
        await store.check()


class RegistrationContract:
    async def test_a_registration_is_stored_and_found_by_both_ids(self, store: Store, project: Project) -> None:
        asked = registration(subscription(), owner="ann")
        stored = await store.register(project, asked)
        record = stored.record
        assert stored.created
        assert (record.public_id, record.short_id) == (asked.public_id, asked.short_ids[0])
        assert (record.state, record.contact_external_id) == (State.ACTIVE, "ann")
        assert (record.origin, record.vendor) == ("https://updates.push.services.mozilla.com", "mozilla")
        assert (record.created_at, record.last_seen_at, record.last_accepted_at) == (NOW, NOW, None)
        assert (record.consecutive_failures, record.state_reason, record.superseded_by) == (0, None, None)
        for any_id in (AnyId(record.public_id, None), AnyId(None, record.short_id)):
            assert await store.find_subscription(project, any_id) == record

    async def test_doing_it_again_changes_nothing(self, store: Store, project: Project) -> None:
        first = await store.register(project, registration(subscription()))
        again = await store.register(project, registration(subscription()))
        assert not again.created
        assert again.record == first.record

    async def test_many_at_once_make_one_row(self, store: Store, project: Project) -> None:
        stored = await asyncio.gather(*(store.register(project, registration(subscription())) for _ in range(50)))
        assert len({item.record.id for item in stored}) == 1
        assert sum(item.created for item in stored) == 1
        assert len(await store.list_subscriptions(project, state=None, limit=10, after=0)) == 1

    async def test_last_seen_is_written_now_and_then(self, store: Store, project: Project) -> None:
        first = (await store.register(project, registration(subscription()))).record
        soon = await store.register(project, registration(subscription(), now=NOW + SEEN_WRITE_SECONDS - 1))
        assert soon.record.last_seen_at == NOW
        later = await store.register(project, registration(subscription(), now=NOW + SEEN_WRITE_SECONDS))
        assert later.record == dataclasses.replace(first, last_seen_at=NOW + SEEN_WRITE_SECONDS)

    async def test_abilities_are_what_the_browser_said_last(self, store: Store, project: Project) -> None:
        can = frozenset({"deflate"})
        first = (await store.register(project, registration(subscription()))).record
        assert first.abilities == frozenset()
        second = (await store.register(project, registration(subscription(), abilities=can))).record
        assert (second.abilities, second.version) == (can, first.version + 1)
        for said in (can, None):
            again = (await store.register(project, registration(subscription(), abilities=said))).record
            assert again == second
        (recipient,) = await sendable(store, project)
        assert recipient.record == second
        fresh = (await store.register(project, registration(subscription("two"), abilities=can))).record
        assert fresh.abilities == can

    async def test_other_keys_for_a_known_endpoint_are_refused(self, store: Store, project: Project) -> None:
        first = (await store.register(project, registration(subscription()))).record
        with pytest.raises(Conflict):
            await store.register(project, registration(subscription(p256dh=OTHER_BROWSER_KEY)))
        with pytest.raises(Conflict):
            await store.register(project, registration(subscription(auth=b"b" * 16)))
        assert await store.find_subscription(project, AnyId(first.public_id, None)) == first
        (recipient,) = await sendable(store, project)
        assert recipient.subscription == subscription()

    async def test_its_own_token_lets_a_browser_change_its_keys(self, store: Store, project: Project) -> None:
        first = (await store.register(project, registration(subscription()))).record
        changed = subscription(p256dh=OTHER_BROWSER_KEY)
        stored = await store.register(project, registration(changed, replaces=first.public_id))
        assert not stored.created
        assert (stored.record.id, stored.record.version) == (first.id, first.version + 1)
        assert stored.record.superseded_by is None
        (recipient,) = await sendable(store, project)
        assert recipient.subscription == changed

    async def test_a_token_of_another_row_does_not(self, store: Store, project: Project) -> None:
        await store.register(project, registration(subscription("victim")))
        mine = (await store.register(project, registration(subscription("mine")))).record
        with pytest.raises(Conflict):
            await store.register(project, registration(subscription("victim", auth=b"x" * 16), replaces=mine.public_id))
        found = await store.find_subscription(project, AnyId(mine.public_id, None))
        assert found == mine

    async def test_a_replacement_supersedes(self, store: Store, project: Project) -> None:
        old = (await store.register(project, registration(subscription("old"), owner="ann"))).record
        new = await store.register(project, registration(subscription("new"), replaces=old.public_id, now=NOW + 5))
        ended = await store.find_subscription(project, AnyId(old.public_id, None))
        assert new.created
        assert new.record.contact_external_id == "ann", "the token proves that it is the same browser"
        assert ended is not None
        assert (ended.state, ended.superseded_by) == (State.SUPERSEDED, new.record.id)
        assert ended.state_reason == StateReason(Event.REPLACED, NOW + 5)
        assert ended.version == old.version + 1
        recipients = await sendable(store, project)
        assert [recipient.record.id for recipient in recipients] == [new.record.id]

    async def test_replacing_again_changes_nothing(self, store: Store, project: Project) -> None:
        old = (await store.register(project, registration(subscription("old")))).record
        for _ in range(2):
            new = await store.register(project, registration(subscription("new"), replaces=old.public_id))
        assert not new.created
        assert len(await store.list_subscriptions(project, state=None, limit=10, after=0)) == 2

    async def test_an_ended_row_points_on_and_keeps_its_reason(self, store: Store, project: Project) -> None:
        old = (await store.register(project, registration(subscription("old")))).record
        gone = StateReason(Event.SAID_GONE, NOW, "No such subscription", 410, 410, 106, "https://example.com/")
        await store.apply_results(project, [ResultUpdate(old.id, old.version, Event.SAID_GONE, gone)], now=NOW)
        new = await store.register(project, registration(subscription("new"), replaces=old.public_id))
        ended = await store.find_subscription(project, AnyId(old.public_id, None))
        assert ended is not None
        assert (ended.state, ended.state_reason, ended.superseded_by) == (State.GONE, gone, new.record.id)

    async def test_replacing_a_row_that_does_not_exist_just_registers(self, store: Store, project: Project) -> None:
        stored = await store.register(
            project, registration(subscription(), replaces="00000000-0000-7000-8000-000000000000")
        )
        assert stored.created

    async def test_a_browser_that_comes_back_gets_its_row_again(self, store: Store, project: Project) -> None:
        for number, cause in enumerate((Event.LEFT, Event.REMOVED)):
            asked = registration(subscription(f"back{number}"), owner="ann")
            first = (await store.register(project, asked)).record
            await store.apply_results(
                project, [ResultUpdate(first.id, first.version, Event.FAILED, None, frozenset({7}))], now=NOW
            )
            ended = await store.end_subscription(project, AnyId(first.public_id, None), StateReason(cause, NOW + 1))
            assert ended is not None
            again = await store.register(project, registration(subscription(f"back{number}"), now=NOW + 2))
            assert not again.created
            assert again.record == dataclasses.replace(first, last_seen_at=NOW + 2, version=first.version + 2)

    async def test_a_tombstone_is_not_handed_to_other_keys(self, store: Store, project: Project) -> None:
        first = (await store.register(project, registration(subscription()))).record
        await store.end_subscription(project, AnyId(first.public_id, None), StateReason(Event.LEFT, NOW))
        with pytest.raises(Conflict):
            await store.register(project, registration(subscription(p256dh=OTHER_BROWSER_KEY)))

    async def test_owners_come_move_and_stay(self, store: Store, project: Project) -> None:
        anonymous = (await store.register(project, registration(subscription()))).record
        assert anonymous.contact_external_id is None
        ann = (await store.register(project, registration(subscription(), owner="ann"))).record
        assert (ann.contact_external_id, ann.id) == ("ann", anonymous.id)
        kept = (await store.register(project, registration(subscription()))).record
        assert kept.contact_external_id == "ann", "an anonymous re-sync never strips an owner"
        bob = (await store.register(project, registration(subscription(), owner="bob"))).record
        assert (bob.contact_external_id, bob.version) == ("bob", ann.version + 1)

    async def test_a_contact_has_limited_room(self, store: Store, project: Project) -> None:
        for number in range(SUBSCRIPTIONS_PER_CONTACT_MAX):
            await store.register(project, registration(subscription(f"s{number}"), owner="ann"))
        with pytest.raises(Conflict, match="limit is 100"):
            await store.register(project, registration(subscription("more"), owner="ann"))
        assert len(await store.list_subscriptions(project, state=None, limit=1000, after=0)) == 100
        await store.register(project, registration(subscription("s7"), owner="ann", now=NOW + 10_000))
        old = (await store.list_subscriptions(project, state=None, limit=1, after=0))[0]
        replaced = await store.register(
            project, registration(subscription("more"), owner="ann", replaces=old.public_id)
        )
        assert replaced.created, "a replacement needs no room of its own"

    async def test_a_taken_short_id_is_not_given_twice(self, store: Store, project: Project) -> None:
        taken = ("AAAAAAAA", "BBBBBBBB")
        first = await store.register(project, registration(subscription("one"), short_ids=taken))
        second = await store.register(project, registration(subscription("two"), short_ids=taken))
        assert (first.record.short_id, second.record.short_id) == taken

    async def test_bad_luck_four_times_passes(self, store: Store, project: Project) -> None:
        taken = ("AAAAAAAA",)
        await store.register(project, registration(subscription("one"), short_ids=taken))
        with pytest.raises(Unavailable, match="try again"):
            await store.register(project, registration(subscription("two"), short_ids=taken))
        assert len(await store.list_subscriptions(project, state=None, limit=9, after=0)) == 1

    async def test_another_project_sees_nothing(self, store: Store, project: Project) -> None:
        mine = (await store.register(project, registration(subscription(), owner="ann"))).record
        other = foreign(project)
        named = AnyId(mine.public_id, None)
        assert await store.find_subscription(other, named) is None
        assert await store.list_subscriptions(other, state=None, limit=10, after=0) == ()
        assert await store.find_recipient(other, named) is None
        assert await store.end_subscription(other, named, StateReason(Event.REMOVED, NOW)) is None
        applied = await store.apply_results(other, [ResultUpdate(mine.id, mine.version, Event.FAILED)], now=NOW)
        assert applied == frozenset()
        stolen = ResultUpdate(mine.id, mine.version, Event.SAID_GONE, StateReason(Event.SAID_GONE, NOW))
        assert await store.apply_results(other, [stolen], now=NOW) == frozenset()
        assert await store.find_subscription(project, named) == mine


class LookupContract:
    async def test_pages_follow_each_other(self, store: Store, project: Project) -> None:
        ids = [
            (await store.register(project, registration(subscription(f"s{number}")))).record.id for number in range(7)
        ]
        assert ids == sorted(ids)
        seen: list[int] = []
        while page := await store.list_subscriptions(project, state=None, limit=3, after=seen[-1] if seen else 0):
            seen += [record.id for record in page]
        assert seen == ids

    async def test_a_page_may_be_of_one_state(self, store: Store, project: Project) -> None:
        records = [
            (await store.register(project, registration(subscription(f"s{number}")))).record for number in range(3)
        ]
        await store.end_subscription(project, AnyId(records[1].public_id, None), StateReason(Event.LEFT, NOW))
        active = await store.list_subscriptions(project, state=State.ACTIVE, limit=10, after=0)
        left = await store.list_subscriptions(project, state=State.UNSUBSCRIBED, limit=10, after=0)
        assert [record.id for record in active] == [records[0].id, records[2].id]
        assert [record.id for record in left] == [records[1].id]

    async def test_active_subscriptions_are_counted_by_their_key(self, store: Store, project: Project) -> None:
        assert await store.living_by_signing_key(project) == {}
        records = [
            (await store.register(project, registration(subscription(f"s{number}")))).record for number in range(3)
        ]
        await store.end_subscription(project, AnyId(records[0].public_id, None), StateReason(Event.LEFT, NOW))
        assert await store.living_by_signing_key(project) == {records[1].signing_key_id: 2}

    async def test_recipients_are_active_and_complete(self, store: Store, project: Project) -> None:
        given = [subscription(f"s{number}") for number in range(4)]
        records = [(await store.register(project, registration(item))).record for item in given]
        await store.end_subscription(project, AnyId(records[0].public_id, None), StateReason(Event.LEFT, NOW))
        found = await sendable(store, project)
        assert [item.subscription for item in found] == given[1:]
        assert [item.record for item in found] == records[1:]

    async def test_a_recipient_by_either_id_in_any_state(self, store: Store, project: Project) -> None:
        one = (await store.register(project, registration(subscription("one")))).record
        two = (await store.register(project, registration(subscription("two")))).record
        await store.end_subscription(project, AnyId(one.public_id, None), StateReason(Event.LEFT, NOW))
        for named in (AnyId(None, two.short_id), AnyId(two.public_id, None)):
            assert await store.find_recipient(project, named) == Recipient(two, subscription("two"))
        ended = await store.find_recipient(project, AnyId(one.public_id, None))
        assert ended is not None
        assert (ended.record.id, ended.subscription) == (one.id, None), "what has ended cannot be sent to"
        assert await store.find_recipient(project, AnyId(None, "ZZZZZZZZ")) is None


class ResultContract:
    async def test_ending_keeps_the_reason_and_is_done_once(self, store: Store, project: Project) -> None:
        record = (await store.register(project, registration(subscription(), owner="ann"))).record
        named = AnyId(None, record.short_id)
        reason = StateReason(Event.REMOVED, NOW + 1, text="asked for by mail")
        ended = await store.end_subscription(project, named, reason)
        assert ended == dataclasses.replace(
            record, state=State.UNSUBSCRIBED, state_reason=reason, version=record.version + 1, ended_at=NOW + 1
        )
        later = await store.end_subscription(project, named, StateReason(Event.LEFT, NOW + 2))
        assert later == ended
        assert await store.end_subscription(project, AnyId(None, "ZZZZZZZZ"), reason) is None

    async def test_results_of_one_notification(self, store: Store, project: Project) -> None:
        records = [
            (await store.register(project, registration(subscription(f"s{number}")))).record for number in range(4)
        ]
        failed = StateReason(Event.FAILED, NOW, "try later", 404, verdict="suspect")
        reason = StateReason(Event.SAID_GONE, NOW, "gone", 410, None, 106, verdict="gone")
        updates = [
            ResultUpdate(records[0].id, 1, Event.ACCEPTED),
            ResultUpdate(records[1].id, 1, Event.FAILED, failed, verdict=Verdict.SUSPECT),
            ResultUpdate(records[2].id, 1, Event.SAID_GONE, reason),
        ]
        applied = await store.apply_results(project, updates, now=NOW + 9)
        assert applied == {record.id for record in records[:3]}
        after = await store.list_subscriptions(project, state=None, limit=10, after=0)
        assert after[0] == dataclasses.replace(
            records[0], last_accepted_at=NOW + 9, last_verdict="accepted", last_verdict_at=NOW + 9
        )
        assert after[1] == dataclasses.replace(
            records[1],
            state=State.FAILING,
            state_reason=failed,
            consecutive_failures=1,
            last_verdict="suspect",
            last_verdict_at=NOW,
        )
        assert after[2] == dataclasses.replace(
            records[2],
            state=State.GONE,
            state_reason=reason,
            version=2,
            ended_at=NOW,
            last_verdict="gone",
            last_verdict_at=NOW,
        )
        assert after[3] == records[3]

    async def test_success_clears_failures(self, store: Store, project: Project) -> None:
        record = (await store.register(project, registration(subscription()))).record
        for action, failures in ((Event.FAILED, 1), (Event.FAILED, 2), (Event.ACCEPTED, 0), (Event.FAILED, 1)):
            await store.apply_results(project, [ResultUpdate(record.id, 1, action)], now=NOW)
            found = await store.find_subscription(project, AnyId(record.public_id, None))
            assert found is not None
            assert found.consecutive_failures == failures

    async def test_days_of_doubt_are_kept_until_a_message_is_accepted(self, store: Store, project: Project) -> None:
        one, two = [(await store.register(project, registration(subscription(name)))).record for name in ("s1", "s2")]

        async def days_after(*updates: ResultUpdate) -> list[frozenset[int]]:
            await store.apply_results(project, updates, now=NOW)
            found = await store.list_subscriptions(project, state=None, limit=2, after=0)
            return [record.suspect_days for record in found]

        none, some = frozenset[int](), frozenset({20833, 20834})
        fail = Event.FAILED
        assert await days_after(ResultUpdate(one.id, 1, fail, suspect_days=some), ResultUpdate(two.id, 1, fail)) == [
            some,
            none,
        ]
        assert await days_after(ResultUpdate(one.id, 1, fail)) == [some, none], "another failure is no doubt"
        four = frozenset({1, 2, 3, 4})
        assert await days_after(ResultUpdate(one.id, 1, fail, suspect_days=four)) == [four - {1}, none], "three at most"
        assert await days_after(ResultUpdate(one.id, 1, Event.ACCEPTED)) == [none, none]

    async def test_a_late_verdict_cannot_end_a_renewed_row(self, store: Store, project: Project) -> None:
        sent = (await store.register(project, registration(subscription()))).record
        named = AnyId(sent.public_id, None)
        await store.end_subscription(project, named, StateReason(Event.LEFT, NOW))
        renewed = (await store.register(project, registration(subscription(), now=NOW + 1))).record
        late = [
            ResultUpdate(sent.id, sent.version, Event.SAID_GONE, StateReason(Event.SAID_GONE, NOW)),
            ResultUpdate(sent.id, sent.version, Event.FAILED),
            ResultUpdate(sent.id, sent.version, Event.ACCEPTED),
        ]
        for update in late:
            assert await store.apply_results(project, [update], now=NOW + 2) == frozenset()
        assert await store.find_subscription(project, named) == renewed

    async def test_two_verdicts_of_gone_end_once(self, store: Store, project: Project) -> None:
        record = (await store.register(project, registration(subscription()))).record
        update = ResultUpdate(record.id, 1, Event.SAID_GONE, StateReason(Event.SAID_GONE, NOW))
        applied = await asyncio.gather(*(store.apply_results(project, [update], now=NOW) for _ in range(8)))
        assert sorted(len(ids) for ids in applied) == [0] * 7 + [1]

    async def test_nothing_to_apply(self, store: Store, project: Project) -> None:
        assert await store.apply_results(project, [], now=NOW) == frozenset()

    async def test_a_thousand_results_at_once(self, store: Store, project: Project) -> None:
        records = [
            (await store.register(project, registration(subscription(f"s{number}")))).record for number in range(20)
        ]
        many = [ResultUpdate(record.id, 1, Event.FAILED) for record in records]
        unknown = [ResultUpdate(10_000 + number, 1, Event.FAILED) for number in range(1000)]
        applied = await store.apply_results(project, [*many, *unknown], now=NOW)
        assert applied == {record.id for record in records}


class StoreContract(ProjectContract, RegistrationContract, LookupContract, ResultContract):
    """Everything."""
