"""What every adapter of the NotificationStore port must do; test modules subclass it and say on which stores."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import SMALL_RECIPIENTS_MAX, Account, NotificationState, Priority
from pushkeep.domain.shard import LEASE_SECONDS, SUB_BATCH_MEMBERS_MAX, Kind, ShardKind
from pushkeep.domain.subscription import Event, StateReason, SubscriptionRecord
from pushkeep.errors import Conflict, InvalidInput, NotFound, PayloadTooLarge, Unavailable
from pushkeep.ports import Store
from pushkeep.ports.notifications import Accepted, Command, Leased, RecipientOutcome
from pushkeep.ports.shards import Checkpoint, ClaimFilter, Ending, LeaseLost, Move, SettledMember
from pushkeep.protocol.outcome import Explanation
from pushkeep.protocol.request import PushOptions, Urgency
from pushkeep.protocol.sizes import plaintext_bytes_max
from pushkeep.protocol.vendors import MOZILLA
from pushkeep.protocol.verdict import Verdict
from tests.store.doubles import FakeClock
from tests.store.samples import NOW, foreign, new_notification, registration, subscription

FCM = "fcm.googleapis.com"
UNKNOWN_ID = "00000000-0000-7000-8000-000000000000"
BACKLOG_MAX = 1_000_000


async def subscribe(
    store: Store, project: Project, count: int, *, owner: str | None = None, host: str | None = None, name: str = "s"
) -> list[SubscriptionRecord]:
    """So many new browsers of one contact, or of nobody."""
    vendor = "mozilla" if host is None else "fcm"
    given = [subscription(f"{name}{number}", host=host) for number in range(count)]
    stored = await asyncio.gather(
        *(store.register(project, registration(one, owner=owner, vendor=vendor)) for one in given)
    )
    return sorted((item.record for item in stored), key=lambda record: record.id)


async def accept(
    store: Store, project: Project, target: Target, *, owner: str | None = None, **changes: Any
) -> Accepted:
    return await store.accept(project, new_notification(target, **changes), backlog_max=BACKLOG_MAX, lease_owner=owner)


def by_id(*records: SubscriptionRecord) -> Target:
    return Target.to_subscriptions([record.public_id for record in records])


async def claim(store: Store, notification_id: int | None = None, limit: int = 100) -> tuple[Leased, ...]:
    """Everything that is due, with plans."""
    return await store.claim(
        ClaimFilter(
            owner="w",
            priorities=frozenset(Priority),
            plans=True,
            full_origins=(),
            stranger_origins=(),
            stranger_lanes_free=100,
            notification_id=notification_id,
            limit=limit,
        )
    )


async def account_of(store: Store, project: Project, accepted: Accepted) -> Account:
    found = (await store.accounts(project, [accepted.record.id]))[accepted.record.id]
    assert found.balances
    return found


async def settle(store: Store, leased: Leased, *kinds: Kind) -> None:
    """Give the members these final states, in order, and close the shard or release what is left."""
    settled = [SettledMember(position, kind, attempts=1) for position, kind in enumerate(kinds)]
    await store.checkpoint(Checkpoint(leased.shard.lease, settled, ending=Ending.RELEASE))


async def members_of(leased: Sequence[Leased]) -> dict[str, list[int]]:
    return {item.shard.origin: list(item.shard.members) for item in leased}


class AcceptContract:
    async def test_a_list_is_in_shards_by_push_service(self, store: Store, project: Project) -> None:
        first = await subscribe(store, project, 3)
        second = await subscribe(store, project, 2, host=FCM)
        accepted = await accept(store, project, by_id(*second, *first))
        assert (accepted.targeted, accepted.unknown, accepted.leased, accepted.replayed) == (5, (), (), False)
        assert await members_of(await claim(store)) == {
            first[0].origin: [record.id for record in first],
            second[0].origin: [record.id for record in second],
        }

    async def test_what_was_asked_is_what_a_worker_gets(self, store: Store, project: Project) -> None:
        (one,) = await subscribe(store, project, 1)
        new = new_notification(
            by_id(one),
            payload=b"secret words",
            token_offset=3,
            options=PushOptions(60, Urgency.HIGH, "news"),
            priority=Priority.TRANSACTIONAL,
            deadline=NOW + 77,
            compress=True,
        )
        accepted = await store.accept(project, new, backlog_max=BACKLOG_MAX, lease_owner=None)
        (leased,) = await claim(store)
        job = leased.job
        assert (job.id, job.project_id, job.public_id) == (accepted.record.id, project.id, new.public_id)
        assert (job.payload, job.token_offset, job.options) == (new.payload, 3, new.options)
        assert (job.priority, job.deadline, job.compress, job.keeps_outcomes) == (new.priority, NOW + 77, True, True)
        shard = leased.shard
        assert (shard.kind, shard.vendor, shard.attempt, shard.history) == (ShardKind.SEND, "mozilla", 1, ())
        assert (shard.notification_id, shard.project_id) == (accepted.record.id, project.id)
        assert list(shard.done.unset()) == [0]

    async def test_no_payload_stays_none(self, store: Store, project: Project) -> None:
        (one,) = await subscribe(store, project, 1)
        await accept(store, project, by_id(one), payload=None)
        assert [leased.job.payload for leased in await claim(store)] == [None]

    async def test_ids_of_both_forms_name_one_recipient_once(self, store: Store, project: Project) -> None:
        (one,) = await subscribe(store, project, 1)
        accepted = await accept(store, project, Target.to_subscriptions([one.short_id, one.public_id]))
        assert accepted.targeted == 1

    async def test_ids_that_lead_nowhere_are_told(self, store: Store, project: Project) -> None:
        one, ended = await subscribe(store, project, 2)
        reason = StateReason(Event.SAID_GONE, NOW)
        await store.end_subscription(project, AnyId(ended.public_id, None), reason)
        accepted = await accept(
            store, project, Target.to_subscriptions([ended.short_id, one.public_id, UNKNOWN_ID, "HMV192av"])
        )
        assert (accepted.targeted, accepted.unknown) == (1, (ended.short_id, UNKNOWN_ID, "HMV192av"))

    async def test_one_that_was_replaced_stands_for_its_successor(self, store: Store, project: Project) -> None:
        (old,) = await subscribe(store, project, 1)
        newer = await store.register(project, registration(subscription("newer"), replaces=old.public_id))
        newest = await store.register(project, registration(subscription("newest"), replaces=newer.record.public_id))
        accepted = await accept(store, project, by_id(old, newer.record, newest.record))
        assert (accepted.targeted, accepted.unknown) == (1, ())
        assert await members_of(await claim(store)) == {old.origin: [newest.record.id]}

    async def test_a_contact_is_all_of_its_browsers_and_they_must_stay_its_own(
        self, store: Store, project: Project
    ) -> None:
        ann = await subscribe(store, project, 2, owner="ann", name="a")
        bob = await subscribe(store, project, 1, owner="bob", name="b")
        await subscribe(store, project, 1, owner="eve", name="e")
        accepted = await accept(store, project, Target.to_contacts(["bob", "nobody", "ann"]))
        assert (accepted.targeted, accepted.unknown) == (3, ("nobody",))
        (leased,) = await claim(store)
        assert list(leased.shard.members) == [record.id for record in (*ann, *bob)]
        first, second, third = leased.shard.owners
        assert first == second != third
        assert 0 not in leased.shard.owners

    async def test_everyone_is_who_is_subscribed_now(self, store: Store, project: Project) -> None:
        one, ended = await subscribe(store, project, 2)
        await store.end_subscription(project, AnyId(ended.public_id, None), StateReason(Event.LEFT, NOW))
        accepted = await accept(store, project, Target.everyone())
        assert accepted.targeted == 1
        assert accepted.record.state is NotificationState.SENDING
        (leased,) = await claim(store)
        assert (list(leased.shard.members), list(leased.shard.owners)) == ([one.id], [])

    async def test_a_tag_is_its_contacts_browsers(self, store: Store, project: Project) -> None:
        vips = await subscribe(store, project, 2, owner="ann", name="a")
        await subscribe(store, project, 1, owner="bob", name="b")
        await store.put_contact(project, "ann", ["vip", "news"])
        await store.put_contact(project, "bob", ["news"])
        accepted = await accept(store, project, Target.to_tag("vip"))
        assert (accepted.targeted, accepted.record.target_kind) == (2, "tag")
        (leased,) = await claim(store)
        assert list(leased.shard.members) == [record.id for record in vips]
        assert len(leased.shard.owners) == 2

    async def test_a_tag_that_is_not_there_is_refused(self, store: Store, project: Project) -> None:
        await subscribe(store, project, 1, owner="ann")
        with pytest.raises(InvalidInput, match="no tag news") as caught:
            await accept(store, project, Target.to_tag("news"))
        assert caught.value.field == "tag"
        assert await store.list_notifications(project, limit=10, before=None) == ()

    @pytest.mark.parametrize("target", [Target.everyone(), Target.to_contacts(["ann"])])
    async def test_one_for_nobody_is_done(self, store: Store, project: Project, target: Target) -> None:
        accepted = await accept(store, project, target, owner="w")
        assert (accepted.targeted, accepted.leased) == (0, ())
        assert (accepted.record.state, accepted.record.finished_at) == (NotificationState.DONE, NOW)
        assert await claim(store) == ()

    async def test_many_are_planned_by_a_worker(self, store: Store, project: Project) -> None:
        await subscribe(store, project, SMALL_RECIPIENTS_MAX + 1, owner=None)
        accepted = await accept(store, project, Target.everyone(), owner="w")
        assert (accepted.targeted, accepted.leased) == (None, ())
        assert accepted.record.state is NotificationState.PLANNING
        assert not accepted.record.keeps_outcomes
        late = await subscribe(store, project, 1, name="late")
        (leased,) = await claim(store)
        assert (leased.shard.kind, len(leased.shard.members)) == (ShardKind.PLAN, 0)
        planned = await store.plan_page(leased.shard.lease)
        while not planned.complete:
            planned = await store.plan_page(leased.shard.lease)
        shards = await claim(store)
        assert [len(item.shard.members) for item in shards] == [1000, 1]
        assert late[0].id not in {member for item in shards for member in item.shard.members}
        assert (await account_of(store, project, accepted)).targeted == SMALL_RECIPIENTS_MAX + 1

    async def test_an_audience_of_later_is_looked_at_then(
        self, store: Store, project: Project, clock: FakeClock
    ) -> None:
        one, leaving, replaced = await subscribe(store, project, 3)
        accepted = await accept(store, project, Target.everyone(), owner="w", send_at=NOW + 60)
        assert (accepted.targeted, accepted.record.state) == (None, NotificationState.PLANNING)
        assert await claim(store) == ()
        await store.end_subscription(project, AnyId(leaving.public_id, None), StateReason(Event.LEFT, NOW))
        await store.register(project, registration(subscription("newer"), replaces=replaced.public_id))
        clock.time += 60
        (leased,) = await claim(store)
        assert (await store.plan_page(leased.shard.lease)).complete
        (leased,) = await claim(store)
        # The new row is above the mark and is followed when its turn comes; who left is not planned.
        assert list(leased.shard.members) == [one.id, replaced.id]

    async def test_small_sends_are_lent_to_their_own_worker(
        self, store: Store, project: Project, clock: FakeClock
    ) -> None:
        here = await subscribe(store, project, 2)
        there = await subscribe(store, project, 1, host=FCM)
        accepted = await accept(store, project, by_id(*here, *there), owner="web")
        assert await members_of(accepted.leased) == {
            here[0].origin: [record.id for record in here],
            there[0].origin: [there[0].id],
        }
        assert await claim(store) == ()
        leases = [item.shard.lease for item in accepted.leased]
        assert await store.renew(leases) == {lease.shard_id for lease in leases}
        clock.time += LEASE_SECONDS + 1
        taken = await claim(store)
        assert {(item.shard.lease.shard_id, item.shard.lease.epoch) for item in taken} == {
            (lease.shard_id, lease.epoch + 1) for lease in leases
        }
        with pytest.raises(LeaseLost):
            await settle(store, accepted.leased[0], Kind.ACCEPTED)

    @pytest.mark.parametrize(
        ("count", "changes"),
        [
            (1, {"priority": Priority.BULK}),
            (1, {"send_at": NOW + 1}),
            (SUB_BATCH_MEMBERS_MAX + 1, {}),
        ],
    )
    async def test_what_is_not_small_or_not_due_is_not_lent(
        self, store: Store, project: Project, count: int, changes: dict[str, Any]
    ) -> None:
        records = await subscribe(store, project, count)
        accepted = await accept(store, project, by_id(*records), owner="web", **changes)
        assert (accepted.targeted, accepted.leased) == (count, ())

    async def test_a_list_of_later_waits_for_its_time(self, store: Store, project: Project, clock: FakeClock) -> None:
        (one,) = await subscribe(store, project, 1)
        await accept(store, project, by_id(one), send_at=NOW + 10)
        assert await claim(store) == ()
        assert await store.next_due() == NOW + 10
        clock.time += 10
        assert len(await claim(store)) == 1

    async def test_a_long_list_keeps_no_outcome_of_who_was_reached(self, store: Store, project: Project) -> None:
        records = await subscribe(store, project, SMALL_RECIPIENTS_MAX + 1)
        accepted = await accept(store, project, by_id(*records))
        assert (accepted.targeted, accepted.record.keeps_outcomes) == (SMALL_RECIPIENTS_MAX + 1, False)
        assert [len(item.shard.members) for item in await claim(store)] == [1000, 1]

    async def test_other_projects_subscriptions_are_unknown(self, store: Store, project: Project) -> None:
        (one,) = await subscribe(store, project, 1)
        accepted = await accept(store, project, by_id(one))
        elsewhere = foreign(project)
        public_id = accepted.record.public_id
        assert await store.find_notification(elsewhere, public_id) is None
        assert await store.standing(elsewhere, public_id) is None
        assert await store.content_of(elsewhere, public_id) is None
        assert await store.control(elsewhere, public_id, Command.CANCEL) is None
        assert await store.list_notifications(elsewhere, limit=10, before=None) == ()
        assert (await store.accounts(elsewhere, [accepted.record.id]))[accepted.record.id].targeted == 0
        assert await store.accounts_by_vendor(elsewhere, accepted.record.id) == {}
        assert (await store.count_audience(elsewhere, by_id(one))).unknown == (one.public_id,)


class RefusalContract:
    async def test_the_same_request_again_is_the_same_notification(self, store: Store, project: Project) -> None:
        (one,) = await subscribe(store, project, 1)
        target = Target.to_subscriptions([one.public_id, UNKNOWN_ID])
        again: dict[str, Any] = {"idempotency_key": "k", "request_hash": b"h" * 16}
        first = await accept(store, project, target, owner="w", **again)
        second = await accept(store, project, target, owner="w", **again)
        assert (first.replayed, second.replayed) == (False, True)
        assert second == dataclasses.replace(first, leased=(), replayed=True)
        assert len(await store.list_notifications(project, limit=10, before=None)) == 1

    async def test_many_at_once_with_one_key_are_one(self, store: Store, project: Project) -> None:
        (one,) = await subscribe(store, project, 1)
        made = await asyncio.gather(
            *(accept(store, project, by_id(one), idempotency_key="k", request_hash=b"h" * 16) for _ in range(20))
        )
        assert len({item.record.id for item in made}) == 1
        assert sum(not item.replayed for item in made) == 1

    async def test_a_key_is_for_one_request(self, store: Store, project: Project) -> None:
        (one,) = await subscribe(store, project, 1)
        first = await accept(store, project, by_id(one), idempotency_key="k", request_hash=b"h" * 16)
        with pytest.raises(Conflict) as caught:
            await accept(store, project, by_id(one), idempotency_key="k", request_hash=b"i" * 16)
        assert caught.value.details == {"id": first.record.public_id}
        other = await accept(store, project, by_id(one), idempotency_key="l", request_hash=b"i" * 16)
        assert not other.replayed

    async def test_requests_without_a_key_are_two(self, store: Store, project: Project) -> None:
        (one,) = await subscribe(store, project, 1)
        for _ in range(2):
            assert not (await accept(store, project, by_id(one), request_hash=b"h" * 16)).replayed

    async def test_a_replay_of_what_is_being_planned_does_not_know_how_many(
        self, store: Store, project: Project
    ) -> None:
        again: dict[str, Any] = {"idempotency_key": "k", "request_hash": b"h" * 16, "send_at": NOW + 60}
        assert (await accept(store, project, Target.everyone(), **again)).targeted is None
        assert (await accept(store, project, Target.everyone(), **again)).targeted is None

    async def test_beyond_the_backlog_nothing_is_accepted(self, store: Store, project: Project) -> None:
        target = by_id(*await subscribe(store, project, 3))
        for _ in range(2):
            await store.accept(project, new_notification(target), backlog_max=5, lease_owner=None)
        with pytest.raises(Unavailable, match="6 recipients wait") as caught:
            await store.accept(project, new_notification(target), backlog_max=5, lease_owner=None)
        assert caught.value.retry_after_seconds == 1
        assert len(await store.list_notifications(project, limit=10, before=None)) == 2
        for leased in await claim(store):
            await settle(store, leased, *[Kind.ACCEPTED] * 3)
        await store.accept(project, new_notification(target), backlog_max=5, lease_owner=None)

    async def test_what_is_more_urgent_waits_for_nothing_that_is_less(self, store: Store, project: Project) -> None:
        target = by_id(*await subscribe(store, project, 3))
        await accept(store, project, target, priority=Priority.BULK)
        urgent = new_notification(target, priority=Priority.TRANSACTIONAL)
        await store.accept(project, urgent, backlog_max=0, lease_owner=None)
        with pytest.raises(Unavailable):
            await store.accept(project, new_notification(target), backlog_max=0, lease_owner=None)

    async def test_what_is_for_later_is_no_backlog_now(self, store: Store, project: Project) -> None:
        target = by_id(*await subscribe(store, project, 3))
        await accept(store, project, target, send_at=NOW + 60)
        await store.accept(project, new_notification(target), backlog_max=0, lease_owner=None)

    @pytest.mark.parametrize("kind", ["list", "small", "large"])
    async def test_a_payload_that_does_not_fit_is_refused(self, store: Store, project: Project, kind: str) -> None:
        records = await subscribe(store, project, 1)
        target = by_id(*records) if kind == "list" else Target.everyone()
        changes: dict[str, Any] = {"send_at": NOW + 60} if kind == "large" else {}
        most = plaintext_bytes_max(MOZILLA)
        await accept(store, project, target, payload=b"x" * most, **changes)
        with pytest.raises(PayloadTooLarge) as caught:
            await accept(store, project, target, payload=b"x" * (most + 1), **changes)
        assert caught.value.excess_bytes == 1
        assert len(await store.list_notifications(project, limit=10, before=None)) == 1


class LookupContract:
    async def test_a_record_is_found_and_its_content_comes_back(self, store: Store, project: Project) -> None:
        (one,) = await subscribe(store, project, 1)
        accepted = await accept(store, project, by_id(one), content=b'{"title":"private"}')
        record = accepted.record
        assert await store.find_notification(project, record.public_id) == record
        assert (record.state, record.priority, record.target_kind) == (
            NotificationState.SENDING,
            Priority.NORMAL,
            "subscriptions",
        )
        assert (record.accepted_at, record.send_at, record.deadline, record.finished_at) == (NOW, NOW, NOW + 3600, None)
        assert (record.paused_at, record.retry_of, record.keeps_outcomes) == (None, None, True)
        assert await store.content_of(project, record.public_id) == b'{"title":"private"}'
        assert await store.find_notification(project, UNKNOWN_ID) is None
        assert await store.content_of(project, UNKNOWN_ID) is None

    async def test_the_latest_are_listed_first(self, store: Store, project: Project) -> None:
        (one,) = await subscribe(store, project, 1)
        made = [(await accept(store, project, by_id(one))).record for _ in range(5)]
        listed = await store.list_notifications(project, limit=3, before=None)
        assert list(listed) == made[:1:-1]
        assert list(await store.list_notifications(project, limit=3, before=listed[-1].public_id)) == made[1::-1]
        assert await store.list_notifications(project, limit=3, before=UNKNOWN_ID) == ()

    async def test_accounts_are_sums_by_notification_and_by_vendor(self, store: Store, project: Project) -> None:
        here, there = await subscribe(store, project, 3), await subscribe(store, project, 2, host=FCM)
        accepted = await accept(store, project, by_id(*here, *there))
        idle = await accept(store, project, by_id(*here))
        mozilla, fcm = sorted(await claim(store, accepted.record.id), key=lambda item: item.shard.vendor)[::-1]
        await settle(store, mozilla, Kind.ACCEPTED, Kind.GONE, Kind.ACCEPTED)
        move = Move(1, NOW + 10, 2, (Verdict.THROTTLED,))
        await store.checkpoint(Checkpoint(fcm.shard.lease, [SettledMember(0, Kind.ACCEPTED)], [move]))
        unknown_number = 1000
        found = await store.accounts(project, [accepted.record.id, idle.record.id, unknown_number])
        assert all(account.balances for account in found.values())
        account = found[accepted.record.id]
        assert (account.targeted, account.undone, account.moved, account.followed_up) == (5, 1, 1, 1)
        assert account.counts == {Kind.ACCEPTED: 3, Kind.GONE: 1}
        assert (found[idle.record.id].targeted, found[idle.record.id].undone) == (3, 3)
        assert found[unknown_number].targeted == 0
        by_vendor = await store.accounts_by_vendor(project, accepted.record.id)
        assert {vendor: item.counts for vendor, item in by_vendor.items()} == {
            "mozilla": {Kind.ACCEPTED: 2, Kind.GONE: 1},
            "fcm": {Kind.ACCEPTED: 1},
        }
        assert all(item.balances for item in by_vendor.values())
        together = await store.standing(project, accepted.record.public_id)
        assert together is not None
        assert (together.record, together.account, together.by_vendor) == (accepted.record, account, by_vendor)
        assert not any(together.receipts.values())

    async def test_counting_an_audience_changes_nothing(self, store: Store, project: Project) -> None:
        ann = await subscribe(store, project, 2, owner="ann", name="a")
        (bob,) = await subscribe(store, project, 1, owner="bob", host=FCM, name="b")
        await store.put_contact(project, "ann", ["vip"])
        await store.end_subscription(project, AnyId(ann[1].public_id, None), StateReason(Event.LEFT, NOW))
        mozilla, fcm = (ann[0].origin, "mozilla"), (bob.origin, "fcm")
        everyone = await store.count_audience(project, Target.everyone())
        assert (everyone.by_origin, everyone.skipped, everyone.unknown) == ({mozilla: 1, fcm: 1}, {}, ())
        assert (await store.count_audience(project, Target.to_tag("vip"))).by_origin == {mozilla: 1}
        contacts = await store.count_audience(project, Target.to_contacts(["bob", "eve"]))
        assert (contacts.by_origin, contacts.unknown) == ({fcm: 1}, ("eve",))
        listed = await store.count_audience(project, by_id(*ann, bob))
        assert (listed.by_origin, listed.skipped) == ({mozilla: 1, fcm: 1}, {Kind.SKIPPED_ENDED: 1})
        assert listed.unknown == (ann[1].public_id,)
        assert await store.list_notifications(project, limit=10, before=None) == ()
        for target in (Target.to_tag("nothing"), Target.to_failed()):
            with pytest.raises(InvalidInput):
                await store.count_audience(project, target)


class ControlContract:
    async def test_a_pause_holds_what_is_not_lent_until_it_is_resumed(self, store: Store, project: Project) -> None:
        records = await subscribe(store, project, 1)
        public_id = (await accept(store, project, by_id(*records))).record.public_id
        for _ in range(2):
            paused = await store.control(project, public_id, Command.PAUSE)
            assert paused is not None
            assert (paused.record.state, paused.record.paused_at) == (NotificationState.SENDING, NOW)
            assert await claim(store) == ()
        for _ in range(2):
            resumed = await store.control(project, public_id, Command.RESUME)
            assert resumed is not None
            assert resumed.record.paused_at is None
        assert len(await claim(store)) == 1

    async def test_a_pause_keeps_the_moment_it_began(self, store: Store, project: Project, clock: FakeClock) -> None:
        records = await subscribe(store, project, 1)
        public_id = (await accept(store, project, by_id(*records))).record.public_id
        first = await store.control(project, public_id, Command.PAUSE)
        clock.time += 10
        assert await store.control(project, public_id, Command.PAUSE) == first

    async def test_cancelling_settles_what_is_not_lent(self, store: Store, project: Project) -> None:
        here, there = await subscribe(store, project, 3), await subscribe(store, project, 2, host=FCM)
        accepted = await accept(store, project, by_id(*here, *there))
        lent, released = await claim(store)
        await settle(store, released, Kind.ACCEPTED)
        cancelled = await store.control(project, accepted.record.public_id, Command.CANCEL)
        assert cancelled is not None
        assert (cancelled.record.state, cancelled.record.finished_at) == (NotificationState.CANCELLED, NOW)
        assert not cancelled.ended  # the worker that has the other shard ends it
        account = await account_of(store, project, accepted)
        left = len(released.shard.members) - 1
        assert account.counts == {Kind.ACCEPTED: 1, Kind.CANCELLED: left}
        assert account.undone == len(lent.shard.members)
        assert await store.control(project, accepted.record.public_id, Command.CANCEL) == cancelled
        ended = await store.checkpoint(Checkpoint(lent.shard.lease, ending=Ending.CANCEL))
        assert ended is not None
        account = await account_of(store, project, accepted)
        assert (account.undone, account.counts[Kind.CANCELLED]) == (0, 4)

    async def test_a_plan_is_cancelled_with_its_notification(
        self, store: Store, project: Project, clock: FakeClock
    ) -> None:
        await subscribe(store, project, 1)
        accepted = await accept(store, project, Target.everyone(), send_at=NOW + 60)
        await store.control(project, accepted.record.public_id, Command.CANCEL)
        clock.time += 60
        assert await claim(store) == ()
        assert (await account_of(store, project, accepted)).targeted == 0

    async def test_a_cancellation_ends_it_once_where_nothing_is_lent(self, store: Store, project: Project) -> None:
        public_id = (await accept(store, project, by_id(*await subscribe(store, project, 1)))).record.public_id
        ended = []
        for command in (Command.PAUSE, Command.RESUME, Command.CANCEL, Command.CANCEL):
            controlled = await store.control(project, public_id, command)
            ended.append(controlled is not None and controlled.ended)
        assert ended == [False, False, True, False]

    @pytest.mark.parametrize("end", [Command.CANCEL, None])
    async def test_what_has_ended_is_not_controlled(self, store: Store, project: Project, end: Command | None) -> None:
        records = await subscribe(store, project, 1)
        public_id = (await accept(store, project, by_id(*records))).record.public_id
        if end is not None:
            await store.control(project, public_id, end)
        else:
            (leased,) = await claim(store)
            await settle(store, leased, Kind.ACCEPTED)
        refused = {Command.PAUSE, Command.RESUME} | ({Command.CANCEL} if end is None else set())
        for command in refused:
            with pytest.raises(Conflict, match="has ended"):
                await store.control(project, public_id, command)

    async def test_an_unknown_id_is_none(self, store: Store, project: Project) -> None:
        assert await store.control(project, UNKNOWN_ID, Command.PAUSE) is None


class OutcomeContract:
    async def test_of_a_small_send_everybody_is_told(self, store: Store, project: Project) -> None:
        (ann,) = await subscribe(store, project, 1, owner="ann", name="a")
        others = await subscribe(store, project, 2)
        accepted = await accept(store, project, by_id(ann, *others))
        (leased,) = await claim(store)
        explained = SettledMember(
            1, Kind.THROTTLED, "retry", 429, Explanation("slow down", errno=201), 30.0, 12.5, attempts=3
        )
        await store.checkpoint(
            Checkpoint(leased.shard.lease, [SettledMember(0, Kind.ACCEPTED, "done", 201, attempts=1), explained])
        )
        first, second = await store.outcomes(project, accepted.record.id, kinds=None, limit=10, after=0)
        assert (first.subscription_id, first.public_id, first.short_id) == (ann.id, ann.public_id, ann.short_id)
        assert (first.contact, first.kind, first.action, first.status) == ("ann", Kind.ACCEPTED, "done", 201)
        assert (second.contact, second.kind, second.status, second.attempts) == (None, Kind.THROTTLED, 429, 3)
        assert second.explanation == Explanation("slow down", errno=201)
        assert (second.retry_after, second.duration_ms, second.at) == (30.0, 12.5, NOW)

    async def test_pages_and_kinds(self, store: Store, project: Project) -> None:
        here, there = await subscribe(store, project, 4), await subscribe(store, project, 4, host=FCM)
        accepted = await accept(store, project, by_id(*here, *there))
        for leased in await claim(store):
            await settle(store, leased, Kind.ACCEPTED, Kind.GONE)
        await store.control(project, accepted.record.public_id, Command.CANCEL)
        number = accepted.record.id
        everybody = await store.outcomes(project, number, kinds=None, limit=100, after=0)
        assert [item.subscription_id for item in everybody] == [record.id for record in (*here, *there)]
        kinds = [Kind.ACCEPTED, Kind.GONE, Kind.CANCELLED, Kind.CANCELLED]
        assert [item.kind for item in everybody] == kinds * 2
        paged: list[RecipientOutcome] = []
        while page := await store.outcomes(
            project, number, kinds=None, limit=3, after=paged[-1].subscription_id if paged else 0
        ):
            assert len(page) <= 3
            paged += page
        assert tuple(paged) == everybody
        gone = await store.outcomes(project, number, kinds=frozenset({Kind.GONE}), limit=100, after=0)
        assert [item.subscription_id for item in gone] == [here[1].id, there[1].id]
        cut = await store.outcomes(project, number, kinds=frozenset({Kind.CANCELLED}), limit=3, after=here[2].id)
        assert [item.subscription_id for item in cut] == [here[3].id, there[2].id, there[3].id]
        assert await store.outcomes(foreign(project), number, kinds=None, limit=100, after=0) == ()

    async def test_who_was_cut_off_by_the_deadline_is_told(
        self, store: Store, project: Project, clock: FakeClock
    ) -> None:
        one, two = await subscribe(store, project, 2)
        accepted = await accept(store, project, by_id(one, two))
        (leased,) = await claim(store)
        await store.checkpoint(
            Checkpoint(
                leased.shard.lease,
                [SettledMember(0, Kind.ACCEPTED)],
                [Move(1, NOW + 5, 2, (Verdict.TRANSIENT,))],
            )
        )
        clock.time = accepted.record.deadline
        await store.sweep()
        first, second = await store.outcomes(project, accepted.record.id, kinds=None, limit=10, after=0)
        assert (first.subscription_id, first.kind) == (one.id, Kind.ACCEPTED)
        assert (second.subscription_id, second.kind, second.attempts) == (two.id, Kind.EXPIRED, 0)
        found = await store.find_notification(project, accepted.record.public_id)
        assert found is not None
        assert found.state is NotificationState.DONE


class RetryContract:
    async def ended(self, store: Store, project: Project, records: Sequence[SubscriptionRecord], *kinds: Kind) -> str:
        """A notification that came to these ends; its public id."""
        accepted = await accept(store, project, by_id(*records))
        for leased in await claim(store):
            await settle(store, leased, *kinds)
        return accepted.record.public_id

    async def retry(self, store: Store, project: Project, public_id: str, **changes: Any) -> Accepted:
        return await accept(store, project, Target.to_failed(), retry_of=public_id, **changes)

    async def test_it_is_for_whom_another_attempt_may_reach(self, store: Store, project: Project) -> None:
        kinds = [kind for kind in Kind if kind is not Kind.MOVED]
        records = await subscribe(store, project, len(kinds))
        original = await self.ended(store, project, records, *kinds)
        accepted = await self.retry(store, project, original, owner="w")
        assert (accepted.record.retry_of, accepted.record.target_kind) == (original, "retry")
        (leased,) = accepted.leased
        told = {kind for kind, record in zip(kinds, records, strict=True) if record.id in leased.shard.members}
        assert told == {
            Kind.SUSPECT,
            Kind.KEY_MISMATCH,
            Kind.BAD_TOKEN,
            Kind.TOO_LARGE,
            Kind.BAD_REQUEST,
            Kind.THROTTLED,
            Kind.TRANSIENT,
            Kind.EXPIRED,
        }

    async def test_it_is_for_who_was_cut_off_by_the_deadline(
        self, store: Store, project: Project, clock: FakeClock
    ) -> None:
        records = await subscribe(store, project, 3)
        original = await accept(store, project, by_id(*records))
        clock.time = original.record.deadline
        await store.sweep()
        accepted = await self.retry(
            store, project, original.record.public_id, send_at=clock.time, deadline=clock.time + 60
        )
        assert accepted.targeted == 3

    async def test_it_waits_until_the_original_has_ended(self, store: Store, project: Project) -> None:
        records = await subscribe(store, project, 2)
        original = await accept(store, project, by_id(*records))
        with pytest.raises(Conflict, match="still on its way"):
            await self.retry(store, project, original.record.public_id)
        (leased,) = await claim(store)
        await store.control(project, original.record.public_id, Command.CANCEL)
        with pytest.raises(Conflict, match="still on its way"):
            await self.retry(store, project, original.record.public_id)
        await store.checkpoint(Checkpoint(leased.shard.lease, [SettledMember(0, Kind.TRANSIENT)], ending=Ending.CANCEL))
        assert (await self.retry(store, project, original.record.public_id)).targeted == 1

    async def test_one_at_a_time_and_then_only_whom_the_last_did_not_reach(
        self, store: Store, project: Project
    ) -> None:
        records = await subscribe(store, project, 3)
        original = await self.ended(store, project, records, *[Kind.TRANSIENT] * 3)
        first = await self.retry(store, project, original, owner="w")
        with pytest.raises(Conflict, match=f"retry {first.record.public_id}"):
            await self.retry(store, project, original)
        await settle(store, first.leased[0], Kind.ACCEPTED, Kind.TRANSIENT, Kind.GONE)
        second = await self.retry(store, project, original, owner="w")
        assert second.record.retry_of == first.record.public_id
        assert [list(item.shard.members) for item in second.leased] == [[records[1].id]]
        await settle(store, second.leased[0], Kind.ACCEPTED)
        with pytest.raises(Conflict, match="nobody left"):
            await self.retry(store, project, original)

    async def test_it_is_for_the_same_people_only(self, store: Store, project: Project) -> None:
        ann = await subscribe(store, project, 1, owner="ann", name="a")
        await subscribe(store, project, 1, owner="bob", name="b")
        original = await accept(store, project, Target.to_contacts(["ann", "bob"]), owner="w")
        (leased,) = original.leased
        await settle(store, leased, Kind.TRANSIENT, Kind.TRANSIENT)
        await store.register(project, registration(subscription("a0"), owner="eve", replaces=ann[0].public_id))
        again = await self.retry(store, project, original.record.public_id, owner="w")
        assert [(list(item.shard.members), list(item.shard.owners)) for item in again.leased] == [
            (list(leased.shard.members), list(leased.shard.owners))
        ]
        loaded = await store.load(again.leased[0], [0, 1])
        assert [member.skip for member in loaded.members] == [Kind.SKIPPED_OWNER, None]

    async def test_it_follows_browsers_and_leaves_out_who_left(self, store: Store, project: Project) -> None:
        moved, left, stayed = await subscribe(store, project, 3)
        original = await self.ended(store, project, [moved, left, stayed], *[Kind.TRANSIENT] * 3)
        newer = await store.register(project, registration(subscription("newer"), replaces=moved.public_id))
        await store.end_subscription(project, AnyId(left.public_id, None), StateReason(Event.LEFT, NOW))
        accepted = await self.retry(store, project, original, owner="w")
        assert [list(item.shard.members) for item in accepted.leased] == [[stayed.id, newer.record.id]]

    async def test_many_failures_are_planned(self, store: Store, project: Project) -> None:
        records = await subscribe(store, project, SMALL_RECIPIENTS_MAX + 2)
        original = await accept(store, project, by_id(*records))
        for leased in await claim(store):
            await settle(store, leased, *[Kind.THROTTLED] * len(leased.shard.members))
        accepted = await self.retry(store, project, original.record.public_id)
        assert accepted.record.state is NotificationState.PLANNING
        (plan,) = await claim(store)
        while not (await store.plan_page(plan.shard.lease)).complete:
            pass
        assert (await account_of(store, project, accepted)).targeted == len(records)

    @pytest.mark.parametrize("public_id", [None, UNKNOWN_ID])
    async def test_what_is_not_there_is_not_repeated(
        self, store: Store, project: Project, public_id: str | None
    ) -> None:
        with pytest.raises(NotFound):
            await accept(store, project, Target.to_failed(), retry_of=public_id)


class NotificationContract(
    AcceptContract, RefusalContract, LookupContract, ControlContract, OutcomeContract, RetryContract
):
    """Everything."""
