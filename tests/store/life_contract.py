"""What every store keeps of a subscription's life: who comes back and who is asked to renew, what messages make of
it, and the log that says so."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import By, Evidence
from pushkeep.domain.project import Project
from pushkeep.domain.registration import SEEN_WRITE_SECONDS
from pushkeep.domain.subscription import Event, State, StateReason, SubscriptionRecord
from pushkeep.errors import Conflict, InvalidToken
from pushkeep.ports import DayCount, ResultUpdate, Store
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.verdict import Verdict
from tests.store.samples import NOW, foreign, registration, subscription

DAY = 86_400
TODAY = int(NOW // DAY)


async def registered(store: Store, project: Project, given: Subscription, **more: Any) -> SubscriptionRecord:
    return (await store.register(project, registration(given, **more))).record


async def now_of(store: Store, project: Project, record: SubscriptionRecord) -> SubscriptionRecord:
    found = await store.find_subscription(project, AnyId(record.public_id, None))
    assert found is not None
    return found


async def end(
    store: Store, project: Project, record: SubscriptionRecord, cause: Event, *, sequence: int | None = None
) -> SubscriptionRecord:
    reason = StateReason(cause, NOW)
    ended = await store.end_subscription(project, AnyId(record.public_id, None), reason, sequence=sequence)
    assert ended is not None
    return ended


async def came_to(
    store: Store, project: Project, record: SubscriptionRecord, event: Event, *, now: float = NOW, **more: Any
) -> SubscriptionRecord:
    """The row after a message to it came to this."""
    reason = None if event in (Event.ACCEPTED, Event.KEY_FOUND) else StateReason(event, now, "no")
    update = ResultUpdate(record.id, record.version, event, reason, **more)
    assert await store.apply_results(project, [update], now=now) == {record.id}
    return await now_of(store, project, record)


async def told(store: Store, project: Project, record: SubscriptionRecord) -> list[tuple[Event, State]]:
    entries = await store.lifecycle(project, record, limit=100)
    return [(numbered.entry.event, numbered.entry.after) for numbered in entries]


class ComingBackContract:
    async def test_what_its_push_service_calls_gone_is_left_alone(self, store: Store, project: Project) -> None:
        for cause in (Event.SAID_GONE, Event.LOST, Event.EXPIRED):
            name = f"x{cause.value}"
            gone = await end(store, project, await registered(store, project, subscription(name)), cause)
            assert gone.state is State.GONE
            again = await store.register(project, registration(subscription(name), owner="ann", now=NOW + 1))
            assert (again.created, again.record) == (False, gone)
            entered = await registered(store, project, subscription(name), by=By.OPERATOR, now=NOW + 1)
            assert (entered.state, entered.ended_at, entered.state_reason) == (State.ACTIVE, None, None)

    async def test_every_named_predecessor_ends_at_once(self, store: Store, project: Project) -> None:
        a, b = [await registered(store, project, subscription(name)) for name in "ab"]
        unknown = "00000000-0000-7000-8000-000000000000"
        named = (b.public_id, unknown, a.public_id, a.public_id)
        new = await registered(store, project, subscription("c"), replaces=named)
        for old in (a, b):
            ended = await now_of(store, project, old)
            assert (ended.state, ended.superseded_by) == (State.SUPERSEDED, new.id)
        assert len(await store.list_subscriptions(project, state=State.ACTIVE, limit=9, after=0)) == 1

    async def test_an_old_one_comes_back_in_the_place_of_its_successor_only(
        self, store: Store, project: Project
    ) -> None:
        a = await registered(store, project, subscription("a"))
        b = await registered(store, project, subscription("b"), replaces=a.public_id)
        c = await registered(store, project, subscription("c"), replaces=b.public_id)
        for named in ((), (b.public_id,)):
            with pytest.raises(Conflict) as caught:
                await store.register(project, registration(subscription("a"), replaces=named))
            assert caught.value.reason == "replaced"
        back = await registered(store, project, subscription("a"), replaces=c.public_id)
        assert (back.id, back.state, back.superseded_by) == (a.id, State.ACTIVE, None)
        assert (await now_of(store, project, c)).superseded_by == a.id
        assert (await now_of(store, project, b)).superseded_by == c.id
        await end(store, project, back, Event.LEFT)
        again = await registered(store, project, subscription("c"))
        assert again.state is State.ACTIVE, "nothing living stands in its place"

    async def test_words_that_were_overtaken_change_nothing(self, store: Store, project: Project) -> None:
        first = await registered(store, project, subscription(), sequence=5)
        assert first.sync_sequence == 5
        with pytest.raises(Conflict, match="nothing has changed"):
            await store.register(
                project, registration(subscription(auth=b"x" * 16), replaces=first.public_id, sequence=4)
            )
        with pytest.raises(Conflict):
            await end(store, project, first, Event.LEFT, sequence=4)
        with pytest.raises(Conflict):
            await store.heartbeat(project, first.public_id, sequence=4, now=NOW)
        assert await now_of(store, project, first) == first
        later = await registered(store, project, subscription(), sequence=6)
        assert later == dataclasses.replace(first, sync_sequence=6), "kept at once, and no new version"
        left = await end(store, project, first, Event.LEFT, sequence=6)
        assert left.state is State.UNSUBSCRIBED

    async def test_a_newer_word_counts_though_it_has_ended(self, store: Store, project: Project) -> None:
        removed = await end(store, project, await registered(store, project, subscription()), Event.REMOVED)
        left = await end(store, project, removed, Event.LEFT, sequence=9)
        assert left == dataclasses.replace(removed, sync_sequence=9)
        with pytest.raises(Conflict):
            await store.register(project, registration(subscription(), sequence=8))
        assert await end(store, project, left, Event.LEFT, sequence=3) == left, "it has ended in any case"

    async def test_the_number_goes_on_with_the_browser(self, store: Store, project: Project) -> None:
        first = await registered(store, project, subscription("a"), sequence=5)
        new = await registered(store, project, subscription("b"), replaces=first.public_id)
        assert new.sync_sequence == 5
        with pytest.raises(Conflict):
            await store.register(project, registration(subscription("c"), replaces=new.public_id, sequence=4))
        assert len(await store.list_subscriptions(project, state=None, limit=9, after=0)) == 2


class HeartbeatContract:
    async def test_is_written_now_and_then(self, store: Store, project: Project) -> None:
        record = await registered(store, project, subscription())
        soon = NOW + SEEN_WRITE_SECONDS - 1
        assert await store.heartbeat(project, record.public_id, sequence=None, now=soon) == record
        later = NOW + SEEN_WRITE_SECONDS
        seen = await store.heartbeat(project, record.public_id, sequence=None, now=later)
        assert seen == dataclasses.replace(record, last_seen_at=later)
        counted = await store.heartbeat(project, record.public_id, sequence=3, now=later)
        assert counted == dataclasses.replace(seen, sync_sequence=3)
        assert await told(store, project, record) == [(Event.REGISTERED, State.ACTIVE)]

    async def test_an_ended_one_is_told_and_not_touched(self, store: Store, project: Project) -> None:
        gone = await end(store, project, await registered(store, project, subscription()), Event.SAID_GONE)
        later = NOW + SEEN_WRITE_SECONDS
        assert await store.heartbeat(project, gone.public_id, sequence=None, now=later) == gone
        counted = await store.heartbeat(project, gone.public_id, sequence=3, now=later)
        assert counted == dataclasses.replace(gone, sync_sequence=3)

    async def test_of_nobody(self, store: Store, project: Project) -> None:
        record = await registered(store, project, subscription())
        assert await store.heartbeat(foreign(project), record.public_id, sequence=None, now=NOW) is None
        unknown = "00000000-0000-7000-8000-000000000000"
        assert await store.heartbeat(project, unknown, sequence=1, now=NOW) is None


class OwnerContract:
    async def test_log_out_and_in_again(self, store: Store, project: Project) -> None:
        first = await registered(store, project, subscription(), owner="ann")
        assert first.owner_since == NOW
        out = await registered(store, project, subscription(), detach=True, now=NOW + 10)
        assert (out.contact_external_id, out.owner_since, out.version) == (None, NOW + 10, first.version + 1)
        assert await registered(store, project, subscription(), detach=True, now=NOW + 20) == out
        for issued in (None, NOW + 9):
            with pytest.raises(InvalidToken):
                await store.register(
                    project, registration(subscription(), owner="ann", identity_issued_at=issued, now=NOW + 30)
                )
        assert await now_of(store, project, out) == out
        bob = await registered(store, project, subscription(), owner="bob", identity_issued_at=NOW + 25, now=NOW + 30)
        assert bob.contact_external_id == "bob"
        entries = await store.lifecycle(project, bob, limit=9)
        owners = [(one.entry.event, one.entry.evidence.contact_before, one.entry.evidence.contact) for one in entries]
        ann_number, bob_number = owners[0][2], owners[2][2]
        assert owners == [
            (Event.REGISTERED, None, ann_number),
            (Event.OWNER_DETACHED, ann_number, None),
            (Event.OWNER_MOVED, None, bob_number),
        ]
        assert None not in (ann_number, bob_number)
        assert ann_number != bob_number

    async def test_go_on_with_the_browser(self, store: Store, project: Project) -> None:
        a = await registered(store, project, subscription("a"), owner="ann")
        b = await registered(store, project, subscription("b"), replaces=a.public_id, now=NOW + 5)
        assert (b.contact_external_id, b.owner_since) == ("ann", NOW)
        out = await registered(store, project, subscription("b"), detach=True, now=NOW + 6)
        c = await registered(store, project, subscription("c"), replaces=(out.public_id, a.public_id), now=NOW + 7)
        assert (c.contact_external_id, c.owner_since) == (None, NOW + 6)

    async def test_the_room_is_the_callers_to_say(self, store: Store, project: Project) -> None:
        a, b = [await registered(store, project, subscription(name), owner="ann", contact_max=2) for name in "ab"]
        with pytest.raises(Conflict) as caught:
            await store.register(project, registration(subscription("c"), owner="ann", contact_max=2))
        assert caught.value.reason == "owner_full"
        both = (a.public_id, b.public_id)
        await registered(store, project, subscription("c"), owner="ann", contact_max=1, replaces=both)

    async def test_a_replacement_is_not_one_more(self, store: Store, project: Project) -> None:
        rows = [await registered(store, project, subscription(name), owner="ann") for name in "abc"]
        new = await registered(store, project, subscription("d"), contact_max=1, replaces=rows[0].public_id)
        assert new.contact_external_id == "ann", "though the limit was lowered since"

    async def test_an_owner_with_too_many_is_left_behind_and_not_the_subscription(
        self, store: Store, project: Project
    ) -> None:
        gone, _ = [await registered(store, project, subscription(name), owner="ann") for name in "ab"]
        await came_to(store, project, gone, Event.SAID_GONE)
        new = await registered(store, project, subscription("c"), contact_max=1, replaces=gone.public_id)
        assert (new.state, new.contact_external_id, new.owner_since) == (State.ACTIVE, None, NOW)
        assert (await now_of(store, project, gone)).superseded_by == new.id

    async def test_an_old_token_brings_neither_its_owner_nor_one_more(self, store: Store, project: Project) -> None:
        a = await registered(store, project, subscription("a"), owner="ann", sequence=1)
        b = await registered(store, project, subscription("b"), replaces=a.public_id, sequence=20)
        c = await registered(store, project, subscription("c"), replaces=b.public_id, sequence=30)
        with pytest.raises(Conflict) as caught:
            await registered(store, project, subscription("late"), replaces=a.public_id, sequence=29)
        assert (caught.value.reason, caught.value.details) == ("stale", {"sequence": 30})
        for number in (None, 31):
            other = await registered(
                store, project, subscription(f"other{number}"), replaces=a.public_id, sequence=number
            )
            assert (other.contact_external_id, await now_of(store, project, c)) == (None, c)
        found = await store.find_contact(project, "ann")
        assert found is not None
        assert found.active_subscriptions == 1


class MessageContract:
    async def test_quarantine_probes_and_release(self, store: Store, project: Project) -> None:
        row = await registered(store, project, subscription())
        row = await came_to(store, project, row, Event.FAILED, suspect_days=frozenset({1}), verdict=Verdict.SUSPECT)
        assert (row.state, row.consecutive_failures, row.version) == (State.FAILING, 1, 1)
        days = frozenset({1, 2, 3})
        row = await came_to(
            store, project, row, Event.QUARANTINED, suspect_days=days, probe_at=NOW + DAY, verdict=Verdict.SUSPECT
        )
        assert (row.state, row.probe_at, row.probes, row.suspect_days) == (State.QUARANTINED, NOW + DAY, 0, days)
        assert (row.consecutive_failures, row.version, row.last_verdict) == (2, 1, "suspect")
        why = row.state_reason
        row = await came_to(
            store,
            project,
            row,
            Event.FAILED,
            now=NOW + DAY,
            suspect_days=days,
            probe_at=NOW + 4 * DAY,
            verdict=Verdict.GONE,
        )
        assert (row.state, row.probe_at, row.probes, row.last_verdict) == (
            State.QUARANTINED,
            NOW + 4 * DAY,
            1,
            "gone",
        )
        assert row.state_reason == why, "what put it there stays said"
        row = await came_to(store, project, row, Event.ACCEPTED, now=NOW + 4 * DAY)
        assert (row.state, row.state_reason, row.consecutive_failures) == (State.ACTIVE, None, 0)
        assert (row.suspect_days, row.probe_at, row.probes) == (frozenset(), None, 0)
        assert (row.last_accepted_at, row.last_verdict, row.version) == (NOW + 4 * DAY, "accepted", 1)
        assert await told(store, project, row) == [
            (Event.REGISTERED, State.ACTIVE),
            (Event.FAILED, State.FAILING),
            (Event.QUARANTINED, State.QUARANTINED),
            (Event.ACCEPTED, State.ACTIVE),
        ]

    async def test_what_the_log_says_of_an_answer(self, store: Store, project: Project) -> None:
        row = await registered(store, project, subscription())
        reason = StateReason(Event.SAID_GONE, NOW + 1, "expired", 410, 106, 7, "https://example.com/", "gone")
        update = ResultUpdate(row.id, 1, Event.SAID_GONE, reason, suspect_days=frozenset({1, 2}), verdict=Verdict.GONE)
        await store.apply_results(project, [update], now=NOW + 1)
        _, (_, entry) = [(one.id, one.entry) for one in await store.lifecycle(project, row, limit=9)]
        assert (entry.at, entry.event, entry.before, entry.after) == (
            NOW + 1,
            Event.SAID_GONE,
            State.ACTIVE,
            State.GONE,
        )
        assert entry.evidence == Evidence(
            By.PUSH_SERVICE,
            text="expired",
            verdict="gone",
            status=410,
            code=106,
            errno=7,
            more_info="https://example.com/",
            days=2,
        )

    async def test_of_many_only_those_that_change_are_written_in_the_log(self, store: Store, project: Project) -> None:
        rows = [await registered(store, project, subscription(f"s{number}")) for number in range(6)]
        failed = [ResultUpdate(row.id, 1, Event.FAILED) for row in rows[:3]]
        await store.apply_results(project, failed, now=NOW + DAY)
        every = [ResultUpdate(row.id, 1, Event.ACCEPTED) for row in rows]
        assert await store.apply_results(project, every, now=NOW + DAY) == {row.id for row in rows}
        for number, row in enumerate(rows):
            moved = [(Event.FAILED, State.FAILING), (Event.ACCEPTED, State.ACTIVE)]
            expected = [(Event.REGISTERED, State.ACTIVE), *(moved if number < 3 else ())]
            assert await told(store, project, row) == expected
        key = rows[0].signing_key_id
        assert await store.lifecycle_by_day(project, first_day=TODAY) == (
            DayCount(TODAY, key, Event.REGISTERED, 6),
            DayCount(TODAY + 1, key, Event.ACCEPTED, 3),
            DayCount(TODAY + 1, key, Event.FAILED, 3),
        )
        assert len(await store.lifecycle_by_day(project, first_day=TODAY + 1)) == 2
        assert await store.lifecycle_by_day(foreign(project), first_day=0) == ()

    async def test_a_refused_key_waits_for_its_browser(self, store: Store, project: Project) -> None:
        row = await registered(store, project, subscription())
        row = await came_to(store, project, row, Event.KEY_REFUSED, verdict=Verdict.KEY_MISMATCH)
        assert (row.state, row.last_verdict, row.living) == (State.NEEDS_RENEWAL, "key_mismatch", True)
        assert await registered(store, project, subscription()) == row, "a page load does not mend it"
        new = await registered(store, project, subscription("new"), replaces=row.public_id)
        assert new.state is State.ACTIVE
        assert (await now_of(store, project, row)).state is State.SUPERSEDED

    async def test_the_operator_releases(self, store: Store, project: Project) -> None:
        rows = [await registered(store, project, subscription(f"s{number}")) for number in range(5)]
        other = await registered(store, project, subscription("o", host="push.example.net"), vendor="unknown")
        for row in (*rows, other):
            await came_to(store, project, row, Event.QUARANTINED)
        reason = StateReason(Event.RELEASED, NOW, text="it was their outage")
        one = await store.release_subscription(project, AnyId(rows[0].public_id, None), reason)
        assert one is not None
        assert (one.state, one.state_reason) == (State.ACTIVE, None)
        assert await store.release_subscription(project, AnyId(one.public_id, None), reason) == one
        assert await store.release_subscription(project, AnyId(None, "ZZZZZZZZ"), reason) is None
        pages = [await store.release_origin(project, rows[0].origin, reason, limit=3) for _ in range(3)]
        assert pages == [[row.id for row in rows[1:4]], [rows[4].id], []]
        assert (await now_of(store, project, other)).state is State.QUARANTINED
        last = (await store.lifecycle(project, rows[4], limit=9))[-1].entry
        assert (last.event, last.evidence) == (Event.RELEASED, Evidence(By.OPERATOR, text="it was their outage"))


class LogContract:
    async def test_a_life_from_the_beginning_page_by_page(self, store: Store, project: Project) -> None:
        a = await registered(store, project, subscription("a"), owner="ann")
        changed = subscription("a", auth=b"x" * 16)
        await registered(store, project, changed, replaces=a.public_id, owner="bob", now=NOW + 1)
        await end(store, project, a, Event.LEFT)
        await registered(store, project, changed, now=NOW + 2)
        b = await registered(store, project, subscription("b"), replaces=a.public_id, now=NOW + 3)
        expected = [
            (Event.REGISTERED, State.ACTIVE),
            (Event.RENEWED, State.ACTIVE),
            (Event.OWNER_MOVED, State.ACTIVE),
            (Event.LEFT, State.UNSUBSCRIBED),
            (Event.SYNCED, State.ACTIVE),
            (Event.REPLACED, State.SUPERSEDED),
        ]
        assert await told(store, project, a) == expected
        paged: list[Event] = []
        before: int | None = None
        while page := await store.lifecycle(project, a, limit=4, before=before):
            paged = [*(numbered.entry.event for numbered in page), *paged]
            before = page[0].id
        assert paged == [event for event, _ in expected]
        (made,) = await store.lifecycle(project, b, limit=9)
        (*_, replaced) = await store.lifecycle(project, a, limit=9)
        assert made.entry.evidence.predecessor == a.public_id
        assert replaced.entry.evidence == Evidence(By.BROWSER, successor=b.public_id)
        assert await store.lifecycle(foreign(project), a, limit=9) == ()

    async def test_what_only_confirms_is_no_entry(self, store: Store, project: Project) -> None:
        row = await registered(store, project, subscription(), owner="ann")
        await registered(store, project, subscription(), now=NOW + SEEN_WRITE_SECONDS, abilities=frozenset({"deflate"}))
        await came_to(store, project, await now_of(store, project, row), Event.ACCEPTED)
        assert await told(store, project, row) == [(Event.REGISTERED, State.ACTIVE)]

    async def test_many_at_once_are_each_written_once(self, store: Store, project: Project) -> None:
        await asyncio.gather(*(store.register(project, registration(subscription())) for _ in range(20)))
        (row,) = await store.list_subscriptions(project, state=None, limit=9, after=0)
        await asyncio.gather(*(end(store, project, row, Event.LEFT) for _ in range(10)))
        assert [event for event, _ in await told(store, project, row)] == [Event.REGISTERED, Event.LEFT]
        counted = await store.lifecycle_by_day(project, first_day=TODAY)
        assert [(day.event, day.count) for day in counted] == [(Event.LEFT, 1), (Event.REGISTERED, 1)]

    async def test_a_refusal_writes_nothing(self, store: Store, project: Project) -> None:
        row = await registered(store, project, subscription())
        with pytest.raises(Conflict):
            await store.register(project, registration(subscription(auth=b"x" * 16)))
        assert await store.apply_results(project, [ResultUpdate(row.id, 7, Event.FAILED)], now=NOW) == frozenset()
        assert len(await told(store, project, row)) == 1


class LifeContract(ComingBackContract, HeartbeatContract, OwnerContract, MessageContract, LogContract):
    """Everything."""
