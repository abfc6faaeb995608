"""What every adapter of the ConsentStore port must do; test modules subclass it and say on which stores."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence

import pytest

from pushkeep.domain.consent import GENESIS, Basis, ConsentWord, Method, Wording, commitment, link
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.shard import Kind
from pushkeep.domain.subscription import Event, StateReason, SubscriptionRecord
from pushkeep.errors import Conflict, InvalidInput, NotFound
from pushkeep.ports import Store
from pushkeep.ports.consents import ConsentRecord, Speaker
from pushkeep.ports.privacy import Kept
from tests.store.samples import NOW, foreign, new_notification, registration, subscription

NEWS = Wording("news", "en", "1", "2026-01", "May we tell you news?", NOW)
NACHRICHTEN = Wording("news", "de", "1", "2026-01", "Dürfen wir Ihnen Neues melden?", NOW)
LATER_NEWS = Wording("news", "en", "2", "2026-02", "May we tell you news, at most once a day?", NOW + 1)


async def declare(store: Store, project: Project, *names: str) -> None:
    """Purposes that need consent; ``news`` with its wordings."""
    for name in names or ("news",):
        await store.put_purpose(project, name, description=name.title(), basis=Basis.CONSENT, now=NOW)
    if not names or "news" in names:
        for wording in (NEWS, NACHRICHTEN, LATER_NEWS):
            await store.add_wording(project, wording)


def yes(purpose: str = "news", wording: Wording | None = NEWS, **more: object) -> ConsentWord:
    digest = None if wording is None or wording.purpose != purpose else wording.digest
    word = ConsentWord(purpose, True, Method.PROMPT, digest, "https://example.com/welcome")
    return dataclasses.replace(word, **more)  # type: ignore[arg-type]


def no(purpose: str = "news", **more: object) -> ConsentWord:
    return dataclasses.replace(ConsentWord(purpose, False, Method.SETTINGS), **more)  # type: ignore[arg-type]


def by(record: SubscriptionRecord) -> Speaker:
    return Speaker(subscription=AnyId(record.public_id, None))


ANN = Speaker(contact="ann")


async def said(store: Store, project: Project) -> list[ConsentRecord]:
    return list(await store.list_consents(project, limit=1000, after=0))


async def holds(store: Store, project: Project, speaker: Speaker) -> dict[str, bool]:
    return {word.purpose: word.given for word in await store.held(project, speaker)}


class ConsentContract:
    async def test_a_purpose_is_declared_and_changed(self, store: Store, project: Project) -> None:
        made, new = await store.put_purpose(project, "news", description="News", basis=Basis.CONSENT, now=NOW)
        assert (made.name, made.description, made.basis, made.created_at, new) == (
            "news",
            "News",
            Basis.CONSENT,
            NOW,
            True,
        )
        changed, new = await store.put_purpose(
            project, "news", description="All news", basis=Basis.CONTRACT, now=NOW + 5
        )
        assert (changed.id, changed.description, changed.basis, changed.created_at, new) == (
            made.id,
            "All news",
            Basis.CONTRACT,
            NOW,
            False,
        )
        assert await store.purposes(project) == (changed,)
        assert await store.purposes(foreign(project)) == ()

    async def test_a_wording_is_kept_word_for_word(self, store: Store, project: Project) -> None:
        await declare(store, project)
        assert await store.wordings(project, "news") == (NEWS, NACHRICHTEN, LATER_NEWS)
        assert await store.wordings(project, "other") == ()
        assert await store.add_wording(project, dataclasses.replace(NEWS, created_at=NOW + 99)) == (NEWS, False)
        with pytest.raises(Conflict, match="has another text already") as caught:
            await store.add_wording(project, dataclasses.replace(NEWS, text="Something else?"))
        assert caught.value.field == "version"
        with pytest.raises(InvalidInput, match="declared are news"):
            await store.add_wording(project, dataclasses.replace(NEWS, purpose="offers"))

    async def test_a_registration_keeps_what_is_said_with_it(self, store: Store, project: Project) -> None:
        await declare(store, project)
        stored = await store.register(project, registration(subscription(), owner="ann", consents=(yes(),)))
        (record,) = await said(store, project)
        assert record.content is not None
        assert record.salt is not None
        assert dataclasses.asdict(record.content) == {
            "subscription": stored.record.public_id,
            "contact": "ann",
            "purpose": "news",
            "given": True,
            "method": "prompt",
            "wording": NEWS.digest.hex(),
            "wording_version": "1",
            "locale": "en",
            "policy_version": "2026-01",
            "page": "https://example.com/welcome",
            "at": NOW,
        }
        assert record.number == 1
        assert record.commitment == commitment(record.salt, record.content.canonical())
        assert await holds(store, project, by(stored.record)) == {"news": True}

    @pytest.mark.parametrize(
        ("word", "match"),
        [
            (yes("offers"), "There is no purpose offers; declared are news"),
            (yes(wording=dataclasses.replace(NEWS, text="Never shown.")), "There is no such wording"),
        ],
    )
    async def test_nothing_is_stored_with_a_word_about_what_is_not_declared(
        self, store: Store, project: Project, word: ConsentWord, match: str
    ) -> None:
        await declare(store, project)
        with pytest.raises(InvalidInput, match=match):
            await store.register(project, registration(subscription(), owner="ann", consents=(no(), word)))
        assert await store.list_subscriptions(project, state=None, limit=10, after=0) == ()
        assert await store.find_contact(project, "ann") is None
        assert await said(store, project) == []

    async def test_the_same_word_again_writes_nothing(self, store: Store, project: Project) -> None:
        await declare(store, project)
        stored = await store.register(project, registration(subscription(), consents=(yes(),)))
        for later in (0, 10, 100_000):
            asked = registration(subscription(), consents=(yes(),), now=NOW + later)
            assert (await store.register(project, asked)).record.id == stored.record.id
            assert await store.say(project, by(stored.record), [yes()], sequence=None, now=NOW + later) == {
                "news": True
            }
        assert len(await said(store, project)) == 1

    async def test_agreeing_to_another_wording_is_another_word(self, store: Store, project: Project) -> None:
        await declare(store, project)
        stored = await store.register(project, registration(subscription(), consents=(yes(),)))
        await store.register(project, registration(subscription(), consents=(yes(wording=LATER_NEWS),)))
        assert [record.content and record.content.wording_version for record in await said(store, project)] == [
            "1",
            "2",
        ]
        (held,) = await store.held(project, by(stored.record))
        assert held.number == 2

    async def test_a_withdrawal_is_not_undone_by_a_registration_that_comes_again(
        self, store: Store, project: Project
    ) -> None:
        await declare(store, project)
        first = registration(subscription(), consents=(yes(),), sequence=5)
        stored = await store.register(project, first)
        for sequence in (None, 6):
            await store.say(project, by(stored.record), [no()], sequence=sequence, now=NOW + 1)
            with contextlib.suppress(Conflict):  # it is stale once later words had a number
                await store.register(project, dataclasses.replace(first, now=NOW + 2))
            assert await holds(store, project, by(stored.record)) == {"news": False}
        assert len(await said(store, project)) == 2
        await store.register(project, dataclasses.replace(first, sequence=7, now=NOW + 3))
        assert await holds(store, project, by(stored.record)) == {"news": True}

    async def test_a_late_word_is_refused(self, store: Store, project: Project) -> None:
        await declare(store, project)
        stored = await store.register(project, registration(subscription(), consents=(yes(),), sequence=5))
        with pytest.raises(Conflict) as caught:
            await store.say(project, by(stored.record), [no()], sequence=4, now=NOW)
        assert caught.value.reason == "stale"
        assert await holds(store, project, by(stored.record)) == {"news": True}

    async def test_a_word_from_elsewhere_that_is_older_than_what_is_known_writes_nothing(
        self, store: Store, project: Project
    ) -> None:
        await declare(store, project)
        old = yes(at=NOW - 100, method=Method.IMPORT)
        await store.say(project, ANN, [no()], sequence=None, now=NOW)
        assert await store.say(project, ANN, [old], sequence=None, now=NOW + 1) == {"news": False}
        assert await store.say(project, Speaker(contact="bob"), [old], sequence=None, now=NOW + 1) == {"news": True}
        assert [record.content and record.content.at for record in await said(store, project)] == [NOW, NOW - 100]

    async def test_who_has_withdrawn_since_is_not_brought_back_by_what_they_agreed_to_elsewhere_before(
        self, store: Store, project: Project
    ) -> None:
        await declare(store, project)
        old = yes(at=NOW - 100, method=Method.API)
        browser = by((await store.register(project, registration(subscription(), owner="ann"))).record)
        await store.say(project, browser, [no()], sequence=None, now=NOW)
        assert await store.say(project, ANN, [old], sequence=None, now=NOW + 1) == {"news": False}
        assert await holds(store, project, browser) == {"news": False}, "of the contact, before the browser's own"
        await store.say(project, ANN, [no(at=NOW - 50)], sequence=None, now=NOW + 2)
        other = by((await store.register(project, registration(subscription("two"), owner="ann"))).record)
        assert await store.say(project, other, [old], sequence=None, now=NOW + 3) == {"news": False}
        late = yes(at=NOW - 40, method=Method.API)
        assert await store.say(project, other, [late], sequence=None, now=NOW + 4) == {"news": True}
        erased = await store.erase_old(project, Kept.CONSENTS, before=NOW + 5, after=0, limit=10)
        assert erased.erased == 2, "withdrawals whose records are over their time"
        assert await store.say(project, browser, [late], sequence=None, now=NOW + 5) == {"news": False}

    async def test_the_later_word_of_browser_and_owner_counts(self, store: Store, project: Project) -> None:
        await declare(store, project)
        stored = await store.register(project, registration(subscription(), owner="ann", consents=(yes(),)))
        other = await store.register(project, registration(subscription("two"), owner="ann"))
        assert await holds(store, project, by(other.record)) == {}
        await store.say(project, ANN, [no()], sequence=None, now=NOW + 1)
        assert await holds(store, project, by(stored.record)) == {"news": False}
        assert await store.say(project, by(stored.record), [yes()], sequence=None, now=NOW + 2) == {"news": True}
        assert await holds(store, project, by(stored.record)) == {"news": True}
        assert await holds(store, project, by(other.record)) == {"news": False}
        assert len(await said(store, project)) == 3

    async def test_a_word_in_a_shared_browser_is_of_who_said_it(self, store: Store, project: Project) -> None:
        await declare(store, project)
        stored = await store.register(project, registration(subscription(), consents=(yes(),)))
        me = by(stored.record)
        for step, owner in enumerate(("ann", "bob"), start=1):
            moved = registration(subscription(), owner=owner, identity_issued_at=NOW + step, now=NOW + step)
            await store.register(project, moved)
            assert await holds(store, project, me) == {"news": True}, "said by nobody in particular"
        await store.say(project, me, [no()], sequence=None, now=NOW + 3)
        await store.say(project, me, [yes()], sequence=None, now=NOW + 4)
        again = registration(subscription(), owner="ann", identity_issued_at=NOW + 5, now=NOW + 5)
        await store.register(project, again)
        assert await holds(store, project, me) == {}, "bob's word is not ann's"
        await store.register(project, registration(subscription(), detach=True, now=NOW + 6))
        assert await holds(store, project, me) == {}, "nor anybody's"

    async def test_a_word_holds_for_the_subscription_that_replaces_its_own(
        self, store: Store, project: Project
    ) -> None:
        await declare(store, project, "news", "offers")
        words = (yes(), no("offers"))
        first = await store.register(project, registration(subscription(), consents=words))
        renewed = registration(subscription("two"), replaces=first.record.public_id, consents=(yes("offers"),))
        second = await store.register(project, renewed)
        third = await store.register(project, registration(subscription("three"), replaces=second.record.public_id))
        assert await holds(store, project, by(third.record)) == {"news": True, "offers": True}
        assert len(await said(store, project)) == 3

    async def test_a_word_by_an_old_token_is_of_the_browser_that_has_a_newer_one(
        self, store: Store, project: Project
    ) -> None:
        await declare(store, project, "news", "offers")
        first = await store.register(project, registration(subscription(), consents=(yes(),)))
        renewed = registration(subscription("two"), owner="ann", replaces=first.record.public_id)
        second = await store.register(project, renewed)
        assert await store.say(project, by(first.record), [no(), yes("offers")], sequence=None, now=NOW) == {
            "news": False,
            "offers": True,
        }
        assert await holds(store, project, by(second.record)) == {"news": False, "offers": True}
        assert [record.content and record.content.subscription for record in await said(store, project)] == [
            first.record.public_id,
            second.record.public_id,
            second.record.public_id,
        ]

    async def test_leaving_withdraws_everything_that_was_given(self, store: Store, project: Project) -> None:
        await declare(store, project, "news", "offers", "alerts")
        asked = registration(subscription(), owner="ann", consents=(yes(), no("offers")))
        stored = await store.register(project, asked)
        await store.say(project, ANN, [yes("alerts", method=Method.API)], sequence=None, now=NOW)
        left = StateReason(Event.LEFT, NOW + 5)
        for _ in range(2):
            await store.end_subscription(project, AnyId(stored.record.public_id, None), left)
        contents = [record.content for record in await said(store, project)][3:]
        assert [(c.purpose, c.given, c.method, c.contact, c.at) for c in contents if c] == [
            ("news", False, "unsubscribed", "ann", NOW + 5),
            ("alerts", False, "unsubscribed", "ann", NOW + 5),
        ]
        assert await holds(store, project, ANN) == {"alerts": True}, "elsewhere they are still told"
        for cause in (Event.LOST, Event.REMOVED):
            other = await store.register(project, registration(subscription(cause.value), consents=(yes(),)))
            await store.end_subscription(project, AnyId(other.record.public_id, None), StateReason(cause, NOW + 6))
            assert await holds(store, project, by(other.record)) == {"news": True}, "nobody has said otherwise"

    async def test_records_are_listed_by_whose_they_are(self, store: Store, project: Project) -> None:
        await declare(store, project, "news", "offers")
        stored = await store.register(project, registration(subscription(), owner="ann", consents=(yes(),)))
        await store.say(project, ANN, [yes("offers")], sequence=None, now=NOW)
        await store.say(project, Speaker(contact="bob"), [yes()], sequence=None, now=NOW)

        async def numbers(speaker: Speaker | None = None, purpose: str | None = None, after: int = 0) -> list[int]:
            found = await store.list_consents(project, speaker=speaker, purpose=purpose, limit=10, after=after)
            return [record.number for record in found]

        assert await numbers() == [1, 2, 3]
        assert await numbers(after=2) == [3]
        assert await numbers(ANN) == [1, 2]
        assert await numbers(by(stored.record)) == [1]
        assert await numbers(purpose="news") == [1, 3]
        assert await numbers(ANN, "offers") == [2]
        assert await numbers(Speaker(contact="nobody")) == []
        with pytest.raises(InvalidInput, match="There is no purpose other"):
            await numbers(purpose="other")
        assert await store.list_consents(foreign(project), limit=10, after=0) == ()

    async def test_who_is_unknown_says_nothing(self, store: Store, project: Project) -> None:
        await declare(store, project)
        with pytest.raises(NotFound):
            await store.say(project, Speaker(subscription=AnyId(None, "abcdefgh")), [yes()], sequence=None, now=NOW)
        assert await store.held(project, ANN) == ()

    async def test_seals_link_batches_without_a_gap(self, store: Store, project: Project) -> None:
        await declare(store, project)
        assert await store.seal_consents(project, now=NOW) is None
        for name in ("ann", "bob", "cat"):
            await store.say(project, Speaker(contact=name), [yes()], sequence=None, now=NOW)
            if name != "ann":
                assert await store.seal_consents(project, now=NOW + 7) is not None
        assert await store.seal_consents(project, now=NOW + 8) is None
        first, second = await store.list_seals(project, limit=10, after=0)
        records = await said(store, project)
        assert (first.number, first.first, first.last, first.previous) == (1, 1, 2, GENESIS)
        assert (second.number, second.first, second.last, second.previous) == (2, 3, 3, first.head)
        assert first.head == link(GENESIS, 1, 1, NOW + 7, [record.commitment for record in records[:2]])
        assert second.head == link(first.head, 2, 3, NOW + 7, [records[2].commitment])
        assert await store.list_seals(project, limit=10, after=1) == (second,)
        await store.say(project, Speaker(contact="dan"), [yes()], sequence=None, now=NOW)
        standing = await store.chain_standing(project)
        assert (standing.records, standing.sealed, standing.waiting, standing.latest) == (4, 3, 1, second)


class SendingContract:
    """Who is left out of a notification that names its purpose."""

    async def test_only_who_agreed_is_sent_to(self, store: Store, project: Project) -> None:
        await declare(store, project)
        willing = await store.register(project, registration(subscription("one"), consents=(yes(),)))
        await store.register(project, registration(subscription("two")))
        refusing = await store.register(project, registration(subscription("three"), consents=(no(),)))
        by_owner = await store.register(project, registration(subscription("four"), owner="ann"))
        await store.say(project, ANN, [yes()], sequence=None, now=NOW)
        expected = [None, Kind.SKIPPED_CONSENT, Kind.SKIPPED_CONSENT, None]
        for target in (
            Target.everyone(),
            Target.to_subscriptions([stored.public_id for stored in await all_records(store, project)]),
        ):
            assert await looks(store, project, target, "news") == expected
            assert await looks(store, project, target, None) == [None] * 4
            counted = await store.count_audience(project, target, purpose="news")
            assert (sum(counted.by_origin.values()), counted.skipped) == (2, {Kind.SKIPPED_CONSENT: 2})
            assert (await store.count_audience(project, target)).skipped == {}
        counted = await store.count_audience(project, Target.to_contacts(["ann"]), purpose="news")
        assert (sum(counted.by_origin.values()), counted.skipped) == (1, {})
        await store.say(project, by(willing.record), [no()], sequence=None, now=NOW + 1)
        await store.say(project, by(refusing.record), [yes()], sequence=None, now=NOW + 1)
        await store.say(project, by(by_owner.record), [no()], sequence=None, now=NOW + 1)
        assert await looks(store, project, Target.everyone(), "news") == [
            Kind.SKIPPED_CONSENT,
            Kind.SKIPPED_CONSENT,
            None,
            Kind.SKIPPED_CONSENT,
        ]

    async def test_a_withdrawal_after_the_claim_is_heeded(self, store: Store, project: Project) -> None:
        await declare(store, project)
        stored = await store.register(project, registration(subscription(), consents=(yes(),)))
        new = new_notification(Target.everyone(), purpose="news")
        accepted = await store.accept(project, new, backlog_max=1000, lease_owner="w")
        assert accepted.record.purpose == "news"
        (leased,) = accepted.leased
        await store.say(project, by(stored.record), [no()], sequence=None, now=NOW)
        loaded = await store.load(leased, [0])
        assert [member.skip for member in loaded.members] == [Kind.SKIPPED_CONSENT]

    async def test_another_basis_asks_no_consent_but_heeds_an_objection(self, store: Store, project: Project) -> None:
        await store.put_purpose(project, "orders", description="Orders", basis=Basis.CONTRACT, now=NOW)
        first = await store.register(project, registration(subscription("one")))
        await store.register(project, registration(subscription("two")))
        await store.say(project, by(first.record), [no("orders")], sequence=None, now=NOW)
        assert await looks(store, project, Target.everyone(), "orders") == [Kind.SKIPPED_CONSENT, None]

    async def test_what_is_replaced_under_way_is_asked_at_its_successor(self, store: Store, project: Project) -> None:
        await declare(store, project)
        old = await store.register(project, registration(subscription("one"), consents=(yes(),)))
        new = new_notification(Target.everyone(), purpose="news")
        accepted = await store.accept(project, new, backlog_max=1000, lease_owner="w")
        renewed = registration(subscription("two"), replaces=old.record.public_id, now=NOW + 1)
        successor = await store.register(project, renewed)
        loaded = await store.load(accepted.leased[0], [0])
        assert [member.recipient and member.recipient.record.id for member in loaded.members] == [successor.record.id]
        await store.say(project, by(successor.record), [no()], sequence=None, now=NOW + 2)
        loaded = await store.load(accepted.leased[0], [0])
        assert [member.skip for member in loaded.members] == [Kind.SKIPPED_CONSENT]

    async def test_an_unknown_purpose_is_refused_by_naming_those_there_are(
        self, store: Store, project: Project
    ) -> None:
        new = new_notification(Target.everyone(), purpose="nws")
        with pytest.raises(InvalidInput, match="There is no purpose nws; none is declared yet"):
            await store.accept(project, new, backlog_max=1000, lease_owner=None)
        await declare(store, project, "news", "offers")
        with pytest.raises(InvalidInput, match="There is no purpose nws; declared are news, offers"):
            await store.accept(project, new, backlog_max=1000, lease_owner=None)
        with pytest.raises(InvalidInput, match="declared are news, offers"):
            await store.count_audience(project, Target.everyone(), purpose="nws")
        assert await store.list_notifications(project, limit=10, before=None) == ()

    async def test_what_it_is_for_is_shown(self, store: Store, project: Project) -> None:
        await declare(store, project)
        for purpose in ("news", None):
            new = new_notification(Target.everyone(), purpose=purpose)
            await store.accept(project, new, backlog_max=1000, lease_owner=None)
            found = await store.find_notification(project, new.public_id)
            assert found is not None
            assert found.purpose == purpose


async def all_records(store: Store, project: Project) -> Sequence[SubscriptionRecord]:
    return await store.list_subscriptions(project, state=None, limit=100, after=0)


async def looks(store: Store, project: Project, target: Target, purpose: str | None) -> list[Kind | None]:
    """What the last look before sending says of each member, in the order of their ids; None where it is sent."""
    new = new_notification(target, purpose=purpose)
    accepted = await store.accept(project, new, backlog_max=1000, lease_owner="w")
    skips: dict[int, Kind | None] = {}
    for leased in accepted.leased:
        members = leased.shard.members
        loaded = await store.load(leased, range(len(members)))
        skips |= {members[member.position]: member.skip for member in loaded.members}
    return [skips[member] for member in sorted(skips)]
