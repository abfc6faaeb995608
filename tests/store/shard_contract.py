"""What every adapter of the ShardStore port must do; test modules subclass it and say on which stores."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import pytest
from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore, ending_units, notification_units, plan_units
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import Account, Control, NotificationRecord, NotificationState, Priority
from pushkeep.domain.shard import (
    LEASE_SECONDS,
    SHARD_MEMBERS_MAX,
    SUB_BATCH_MEMBERS_MAX,
    TAKEOVERS_MAX,
    Kind,
    LeaseKey,
    ShardKind,
)
from pushkeep.domain.subscription import Event, State, StateReason, SubscriptionRecord
from pushkeep.ports import ResultUpdate
from pushkeep.ports.notifications import Command, Leased
from pushkeep.ports.shards import Checkpoint, ClaimFilter, Ending, LeaseLost, Move, Planned, SettledMember
from pushkeep.protocol.outcome import Explanation
from pushkeep.protocol.verdict import Verdict
from tests.store.doubles import FakeClock
from tests.store.samples import NOW, new_notification, registration, subscription

MOZILLA = "https://updates.push.services.mozilla.com"
FCM = "https://fcm.googleapis.com"
WAIT_SECONDS = 30.0
BACKLOG_MAX = 1_000_000


def wanted(**changes: object) -> ClaimFilter:
    """A worker that takes everything."""
    anything = ClaimFilter(
        owner="worker",
        priorities=frozenset(Priority),
        plans=True,
        full_origins=(),
        stranger_origins=(),
        stranger_lanes_free=10,
        notification_id=None,
        limit=10,
    )
    return dataclasses.replace(anything, **changes)  # type: ignore[arg-type]


def accepted(positions: Iterable[int]) -> list[SettledMember]:
    return [SettledMember(position, Kind.ACCEPTED, "done", 201, attempts=1) for position in positions]


def later(position: int, not_before: float, *history: Verdict) -> Move:
    history = history or (Verdict.THROTTLED,)
    return Move(position, not_before, len(history) + 1, history)


async def browsers(
    store: SqliteStore,
    project: Project,
    count: int,
    *,
    host: str = "updates.push.services.mozilla.com",
    vendor: str = "mozilla",
    owner: str | None = None,
    name: str = "b",
) -> list[SubscriptionRecord]:
    """Register so many."""
    records = []
    for number in range(count):
        asked = registration(subscription(f"{name}{number}", host=host), owner=owner)
        records.append((await store.register(project, dataclasses.replace(asked, vendor=vendor))).record)
    return records


async def replace(
    store: SqliteStore, project: Project, name: str, *replaced: SubscriptionRecord, now: float = NOW
) -> SubscriptionRecord:
    """One browser says of these subscriptions that another one stands for them."""
    for record in replaced:
        asked = registration(subscription(name), replaces=record.public_id, now=now)
        stored = await store.register(project, asked)
    return stored.record


async def send_to(
    store: SqliteStore,
    project: Project,
    records: Sequence[SubscriptionRecord],
    *,
    lease_owner: str | None = None,
    **changes: object,
) -> tuple[NotificationRecord, tuple[Leased, ...]]:
    """Accept a notification for a list."""
    target = Target("subscriptions", subscriptions=tuple(AnyId(record.public_id, None) for record in records))
    done = await store.accept(
        project, new_notification(target, **changes), backlog_max=BACKLOG_MAX, lease_owner=lease_owner
    )
    return done.record, done.leased


async def account_of(store: SqliteStore, project: Project, record: NotificationRecord) -> Account:
    account = (await store.accounts(project, [record.id]))[record.id]
    assert account.balances, account
    return account


async def state_of(store: SqliteStore, project: Project, record: NotificationRecord) -> NotificationState:
    found = await store.find_notification(project, record.public_id)
    assert found is not None
    return found.state


class ClaimContract:
    async def test_nothing_is_there_to_claim(self, store: SqliteStore, project: Project) -> None:
        assert await store.claim(wanted()) == ()
        assert await store.next_due() is None

    async def test_a_shard_is_lent_once_with_its_notification(self, store: SqliteStore, project: Project) -> None:
        records = await browsers(store, project, 3)
        record, none = await send_to(store, project, records)
        assert none == ()
        (leased,) = await store.claim(wanted())
        assert await store.claim(wanted(owner="other")) == ()
        shard = leased.shard
        assert list(shard.members) == sorted(member.id for member in records)
        assert (shard.kind, shard.origin, shard.vendor, shard.attempt) == (ShardKind.SEND, MOZILLA, "mozilla", 1)
        assert (len(shard.done), shard.history, shard.takeovers, len(shard.owners)) == (0, (), 0, 0)
        job = leased.job
        assert (job.id, job.public_id, job.deadline) == (record.id, record.public_id, record.deadline)
        assert (job.payload, job.keeps_outcomes) == (b'{"web_push":8030}', True)

    async def test_priority_first_then_who_waited_longest(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        (browser,) = await browsers(store, project, 1)
        asked = [Priority.BULK, Priority.NORMAL, Priority.NORMAL, Priority.TRANSACTIONAL]
        ids = [(await send_to(store, project, [browser], priority=priority))[0].id for priority in asked]
        order = []
        for _ in asked:
            clock.time += 1
            (leased,) = await store.claim(wanted(limit=1))
            order.append(leased.job.id)
        assert order == [ids[3], ids[1], ids[2], ids[0]]

    async def test_notifications_take_turns(self, store: SqliteStore, project: Project, clock: FakeClock) -> None:
        """A large one that was there first does not hold up one that comes after it."""
        some = await browsers(store, project, 4) + await browsers(
            store, project, 1, host="fcm.googleapis.com", vendor="fcm"
        )
        large = (await send_to(store, project, some))[0]
        await store.writer.run(_split_into_shards_of_one)
        small = (await send_to(store, project, some[:1]))[0]
        (first,) = await store.claim(wanted(limit=1))
        clock.time += 1
        two = await store.claim(wanted(limit=2))
        rest = await store.claim(wanted())
        assert [first.job.id, *(leased.job.id for leased in two)] == [large.id, small.id, large.id]
        assert {leased.shard.origin for leased in (first, two[1])} == {MOZILLA, FCM}, "push services take turns, too"
        assert [leased.job.id for leased in rest] == [large.id] * 3

    async def test_only_what_is_asked_for(self, store: SqliteStore, project: Project) -> None:
        (browser,) = await browsers(store, project, 1)
        bulk = (await send_to(store, project, [browser], priority=Priority.BULK))[0]
        everybody = await store.accept(
            project, new_notification(Target.everyone()), backlog_max=BACKLOG_MAX, lease_owner=None
        )
        assert await store.claim(wanted(priorities=frozenset({Priority.TRANSACTIONAL}))) == ()
        assert await store.claim(wanted(notification_id=bulk.id + 1000)) == ()
        assert await store.claim(wanted(full_origins={MOZILLA}, plans=False)) == ()
        (only,) = await store.claim(wanted(plans=False, notification_id=bulk.id))
        assert only.job.id == bulk.id
        (plan,) = await store.claim(wanted(notification_id=everybody.record.id, limit=1))
        assert plan.shard.kind in (ShardKind.PLAN, ShardKind.SEND)

    async def test_strangers_get_as_many_lanes_as_are_free(self, store: SqliteStore, project: Project) -> None:
        some = []
        for number in range(4):
            some += await browsers(store, project, 1, host=f"up{number}.example.net", vendor="unknown")
        some += await browsers(store, project, 1)
        await send_to(store, project, some)
        first = await store.claim(wanted(stranger_lanes_free=1, stranger_origins={"https://up2.example.net"}))
        assert sorted(leased.shard.origin for leased in first) == [
            "https://up0.example.net",
            "https://up2.example.net",
            MOZILLA,
        ]
        assert await store.claim(wanted(stranger_lanes_free=0)) == ()
        assert len(await store.claim(wanted(stranger_lanes_free=5))) == 2

    async def test_a_resting_push_service_is_passed_over(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        both = await browsers(store, project, 1) + await browsers(
            store, project, 1, host="fcm.googleapis.com", vendor="fcm"
        )
        await send_to(store, project, both)
        await store.rest_origin(FCM, NOW + WAIT_SECONDS)
        assert [leased.shard.origin for leased in await store.claim(wanted())] == [MOZILLA]
        assert await store.next_due() == NOW + WAIT_SECONDS
        clock.time += WAIT_SECONDS
        assert FCM in [leased.shard.origin for leased in await store.claim(wanted())]

    async def test_nothing_before_its_time_while_paused_or_after_its_end(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        (browser,) = await browsers(store, project, 1)
        record, _ = await send_to(store, project, [browser], send_at=NOW + WAIT_SECONDS)
        assert await store.claim(wanted()) == ()
        assert await store.next_due() == NOW + WAIT_SECONDS
        clock.time += WAIT_SECONDS
        await store.control(project, record.public_id, Command.PAUSE)
        assert await store.claim(wanted()) == ()
        await store.control(project, record.public_id, Command.RESUME)
        assert len(await store.claim(wanted())) == 1
        other, _ = await send_to(store, project, [browser])
        await store.control(project, other.public_id, Command.CANCEL)
        assert await store.claim(wanted()) == ()

    async def test_a_payload_that_does_not_open_is_set_aside(self, store: SqliteStore, project: Project) -> None:
        records = await browsers(store, project, 1)
        damaged, _ = await send_to(store, project, records)
        whole, _ = await send_to(store, project, records)
        await store.writer.run(
            lambda connection: (
                connection.execute(
                    text("UPDATE notifications SET payload = x'01020304' WHERE id = :id"), {"id": damaged.id}
                )
                and None
            )
        )
        assert [leased.job.id for leased in await store.claim(wanted())] == [whole.id]
        assert (await account_of(store, project, damaged)).set_aside == 1
        assert await store.claim(wanted()) == ()


def _split_into_shards_of_one(connection: Connection) -> None:
    """As a plan of many pages would leave them."""
    statement = text(
        "INSERT INTO shards (project_id, notification_id, kind, priority, origin, vendor, page, count, state,"
        " not_before, members, owners, done)"
        " SELECT project_id, notification_id, kind, priority, origin, vendor, 10 + value, 1, state, not_before,"
        " substr(members, 1 + 8 * value, 8), owners, x'00' FROM shards, json_each('[1,2,3]') WHERE count = 4"
    )
    connection.execute(statement)
    connection.execute(text("UPDATE shards SET members = substr(members, 1, 8), count = 1 WHERE count = 4"))


class LeaseContract:
    async def test_a_lease_that_ran_out_is_taken_over_and_the_first_worker_writes_nothing_more(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        record, _ = await send_to(store, project, await browsers(store, project, 2))
        (mine,) = await store.claim(wanted(owner="first"))
        clock.time += LEASE_SECONDS - 0.1
        assert await store.claim(wanted(owner="second")) == ()
        assert await store.next_due() == pytest.approx(NOW + LEASE_SECONDS)
        clock.time += 0.1
        (theirs,) = await store.claim(wanted(owner="second"))
        assert (theirs.shard.takeovers, theirs.shard.lease.shard_id) == (1, mine.shard.lease.shard_id)
        assert theirs.shard.lease.epoch > mine.shard.lease.epoch
        assert await store.renew([mine.shard.lease]) == frozenset()
        with pytest.raises(LeaseLost, match="no longer lent"):
            await store.load(mine, [0])
        with pytest.raises(LeaseLost, match="nothing was written"):
            await store.checkpoint(Checkpoint(mine.shard.lease, accepted([0, 1])))
        assert (await account_of(store, project, record)).undone == 2
        await store.checkpoint(Checkpoint(theirs.shard.lease, accepted([0, 1])))
        assert await state_of(store, project, record) is NotificationState.DONE

    async def test_a_renewal_keeps_a_lease(self, store: SqliteStore, project: Project, clock: FakeClock) -> None:
        await send_to(store, project, await browsers(store, project, 1))
        (mine,) = await store.claim(wanted())
        for _ in range(5):
            clock.time += LEASE_SECONDS / 2
            unknown = LeaseKey(mine.shard.lease.shard_id + 1, 1)
            assert await store.renew([mine.shard.lease, unknown]) == {mine.shard.lease.shard_id}
            assert await store.claim(wanted(owner="second")) == ()

    async def test_a_checkpoint_keeps_a_lease_too(self, store: SqliteStore, project: Project, clock: FakeClock) -> None:
        await send_to(store, project, await browsers(store, project, 3))
        (mine,) = await store.claim(wanted())
        for position in range(2):
            clock.time += LEASE_SECONDS - 1
            await store.checkpoint(Checkpoint(mine.shard.lease, accepted([position])))
            assert await store.claim(wanted(owner="second")) == ()

    @pytest.mark.parametrize("by", ["claim", "sweep"])
    async def test_the_fifth_takeover_sets_it_aside_until_somebody_resumes(
        self, store: SqliteStore, project: Project, clock: FakeClock, by: str
    ) -> None:
        record, _ = await send_to(store, project, await browsers(store, project, 2))
        for takeovers in range(TAKEOVERS_MAX):
            (leased,) = await store.claim(wanted())
            assert leased.shard.takeovers == takeovers
            clock.time += LEASE_SECONDS
        if by == "sweep":
            assert (await store.sweep()).set_aside == 1
        assert await store.claim(wanted()) == ()
        assert (await account_of(store, project, record)).set_aside == 2
        with pytest.raises(LeaseLost):
            await store.checkpoint(Checkpoint(leased.shard.lease, accepted([0])))
        await store.control(project, record.public_id, Command.RESUME)
        assert len(await store.claim(wanted())) == 1

    async def test_a_small_send_is_lent_from_the_beginning_and_falls_to_others_if_its_worker_dies(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        _, (mine,) = await send_to(store, project, await browsers(store, project, 2), lease_owner="web")
        assert await store.claim(wanted()) == ()
        assert len((await store.load(mine, [0, 1])).members) == 2
        clock.time += LEASE_SECONDS
        (theirs,) = await store.claim(wanted())
        assert theirs.shard.lease.shard_id == mine.shard.lease.shard_id


class LoadContract:
    async def test_members_come_with_what_is_needed_to_send(self, store: SqliteStore, project: Project) -> None:
        records = await browsers(store, project, 3, owner="ann")
        await send_to(store, project, records)
        (leased,) = await store.claim(wanted())
        loaded = await store.load(leased, [2, 0])
        assert (loaded.control, loaded.origin_rests_until) == (Control.SEND, 0.0)
        assert [member.position for member in loaded.members] == [2, 0]
        for member in loaded.members:
            assert member.recipient is not None
            record = member.recipient.record
            assert record == await store.find_subscription(project, AnyId(record.public_id, None))
            assert record.id == leased.shard.members[member.position]
            number = [known.id for known in records].index(record.id)
            assert member.recipient.subscription == subscription(f"b{number}")

    async def test_no_more_than_a_sub_batch_at_a_time(self, store: SqliteStore, project: Project) -> None:
        await send_to(store, project, await browsers(store, project, 1))
        (leased,) = await store.claim(wanted())
        with pytest.raises(ValueError, match="100"):
            await store.load(leased, [0] * (SUB_BATCH_MEMBERS_MAX + 1))

    async def test_pause_cancel_and_rests_are_seen_at_once(self, store: SqliteStore, project: Project) -> None:
        record, _ = await send_to(store, project, await browsers(store, project, 2))
        (leased,) = await store.claim(wanted())
        await store.rest_origin(MOZILLA, NOW + WAIT_SECONDS)
        assert (await store.load(leased, [0])).origin_rests_until == NOW + WAIT_SECONDS
        for command, control in ((Command.PAUSE, Control.PAUSED), (Command.RESUME, Control.SEND)):
            await store.control(project, record.public_id, command)
            loaded = await store.load(leased, [0])
            assert (loaded.control, len(loaded.members)) == (control, int(control is Control.SEND))
        await store.control(project, record.public_id, Command.CANCEL)
        loaded = await store.load(leased, [0])
        assert (loaded.control, loaded.members) == (Control.CANCELLED, ())

    async def test_who_has_left_is_skipped(self, store: SqliteStore, project: Project) -> None:
        left, stays = await browsers(store, project, 2)
        await send_to(store, project, [left, stays])
        (leased,) = await store.claim(wanted())
        await store.load(leased, [0, 1])
        await store.end_subscription(project, AnyId(left.public_id, None), StateReason(Event.LEFT, NOW))
        loaded = await store.load(leased, [0, 1])
        assert [member.skip for member in loaded.members] == [Kind.SKIPPED_ENDED, None]
        assert loaded.members[0].recipient is None

    async def test_a_newer_successor_is_sent_to_an_older_one_is_a_member_itself(
        self, store: SqliteStore, project: Project
    ) -> None:
        one, two, three = await browsers(store, project, 3)
        await send_to(store, project, [one, two, three])
        (leased,) = await store.claim(wanted())
        again = registration(subscription("new"), replaces=one.public_id)
        new = (await store.register(project, again)).record
        newest = (await store.register(project, registration(subscription("newest"), replaces=new.public_id))).record
        await store.register(project, registration(subscription("b2"), replaces=two.public_id))
        loaded = await store.load(leased, [0, 1, 2])
        assert [member.skip for member in loaded.members] == [None, Kind.SKIPPED_REPLACED, None]
        found = [member.recipient.record.id for member in loaded.members if member.recipient is not None]
        assert found == [newest.id, three.id]
        await store.end_subscription(project, AnyId(newest.public_id, None), StateReason(Event.LEFT, NOW))
        assert (await store.load(leased, [0])).members[0].skip is Kind.SKIPPED_ENDED

    @pytest.mark.parametrize("loads", [[[0, 1]], [[1], [0]]], ids=["together", "one after the other"])
    async def test_two_that_were_replaced_by_one_get_one_message(
        self, store: SqliteStore, project: Project, loads: list[list[int]]
    ) -> None:
        one, two = await browsers(store, project, 2)
        await send_to(store, project, [one, two])
        (leased,) = await store.claim(wanted())
        new = await replace(store, project, "new", two, one)
        members = [member for some in loads for member in (await store.load(leased, some)).members]
        assert {member.position: member.skip for member in members} == {0: None, 1: Kind.SKIPPED_REPLACED}
        assert [member.recipient.record.id for member in members if member.recipient is not None] == [new.id]

    async def test_who_is_no_recipient_or_was_not_reached_takes_nobodys_message(
        self, store: SqliteStore, project: Project
    ) -> None:
        unasked, lost, told = await browsers(store, project, 3)
        await send_to(store, project, [lost, told])
        (leased,) = await store.claim(wanted())
        gone = SettledMember(0, Kind.GONE, "end", 410, attempts=1)
        await store.checkpoint(Checkpoint(leased.shard.lease, [gone]))
        new = await replace(store, project, "new", unasked, lost, told)
        (member,) = (await store.load(leased, [1])).members
        assert member.recipient is not None
        assert member.recipient.record.id == new.id

    async def test_an_older_successor_that_is_no_recipient_is_sent_to(
        self, store: SqliteStore, project: Project
    ) -> None:
        """A browser that came back to a subscription it had before."""
        old, asked = await browsers(store, project, 2)
        await send_to(store, project, [asked])
        (leased,) = await store.claim(wanted())
        await send_to(store, project, [asked, old])
        (to_both,) = await store.claim(wanted())
        await replace(store, project, "b0", asked)
        (member,) = (await store.load(leased, [0])).members
        assert member.recipient is not None
        assert member.recipient.record.id == old.id
        skips = [member.skip for member in (await store.load(to_both, [0, 1])).members]
        assert skips == [None, Kind.SKIPPED_REPLACED], "one that is a recipient itself gets it once"

    async def test_whoever_was_there_before_it_was_accepted_is_no_recipient(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        first, asked = await browsers(store, project, 2)
        await replace(store, project, "b1", first)
        clock.time += 3600
        await send_to(store, project, [asked], accepted_at=clock.time)
        (leased,) = await store.claim(wanted())
        new = await replace(store, project, "new", asked, now=clock.time)
        (member,) = (await store.load(leased, [0])).members
        assert member.recipient is not None
        assert member.recipient.record.id == new.id

    async def test_while_an_audience_is_planned_who_will_be_in_it_waits_for_its_turn(
        self, store: SqliteStore, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plan_units, "PLAN_PAGE_MEMBERS", 2)
        first, *_ = await browsers(store, project, 4)
        soon = new_notification(Target.everyone(), send_at=NOW + 0.5)
        await store.accept(project, soon, backlog_max=BACKLOG_MAX, lease_owner=None)
        await store.writer.run(lambda connection: connection.execute(text("UPDATE shards SET not_before = 0")) and None)
        (plan,) = await store.claim(wanted())
        await store.plan_page(plan.shard.lease)
        await store.writer.run(lambda connection: connection.execute(text("UPDATE shards SET not_before = 0")) and None)
        (leased,) = await store.claim(wanted())
        await replace(store, project, "b3", first)
        assert [m.skip for m in (await store.load(leased, [0, 1])).members] == [Kind.SKIPPED_REPLACED, None]

    async def test_another_owner_by_now_gets_nothing(self, store: SqliteStore, project: Project) -> None:
        await browsers(store, project, 2, owner="ann")
        target = Target.to_contacts(["ann"])
        await store.accept(project, new_notification(target), backlog_max=BACKLOG_MAX, lease_owner=None)
        (leased,) = await store.claim(wanted())
        assert len(leased.shard.owners) == 2
        await store.register(project, registration(subscription("b1"), owner="bob"))
        assert [m.skip for m in (await store.load(leased, [0, 1])).members] == [None, Kind.SKIPPED_OWNER]
        first = (await store.list_subscriptions(project, state=State.ACTIVE, limit=1, after=0))[0]
        bobs = registration(subscription("new"), owner="bob", replaces=first.public_id)
        await store.register(project, bobs)
        assert (await store.load(leased, [0])).members[0].skip is Kind.SKIPPED_OWNER, "of a successor, too"

    async def test_a_damaged_row_is_skipped_and_takes_nobody_with_it(
        self, store: SqliteStore, project: Project
    ) -> None:
        damaged, whole = await browsers(store, project, 2)
        await send_to(store, project, [damaged, whole])
        (leased,) = await store.claim(wanted())
        await store.writer.run(
            lambda connection: (
                connection.execute(text("UPDATE subscriptions SET sealed = x'0102' WHERE id = :id"), {"id": damaged.id})
                and None
            )
        )
        assert [m.skip for m in (await store.load(leased, [0, 1])).members] == [Kind.SKIPPED_UNREADABLE, None]


class CheckpointContract:
    async def test_what_was_done_is_counted_and_the_last_one_ends_it(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        records = await browsers(store, project, 4)
        record, _ = await send_to(store, project, records)
        (leased,) = await store.claim(wanted())
        failed = SettledMember(
            1, Kind.GONE, "end", 410, Explanation("gone", errno=106), retry_after=None, duration_ms=3.5, attempts=1
        )
        ended = await store.checkpoint(Checkpoint(leased.shard.lease, [*accepted([0]), failed]))
        assert ended is None
        account = await account_of(store, project, record)
        assert (dict(account.counts), account.undone) == ({Kind.ACCEPTED: 1, Kind.GONE: 1}, 2)
        assert await state_of(store, project, record) is NotificationState.SENDING
        clock.time += 5
        await store.checkpoint(Checkpoint(leased.shard.lease, accepted([2, 3])))
        found = await store.find_notification(project, record.public_id)
        assert found is not None
        assert (found.state, found.finished_at) == (NotificationState.DONE, NOW + 5)
        outcomes = await store.outcomes(project, record.id, kinds=None, limit=10, after=0)
        assert [outcome.kind for outcome in outcomes] == [Kind.ACCEPTED, Kind.GONE, Kind.ACCEPTED, Kind.ACCEPTED]
        gone = outcomes[1]
        assert (gone.status, gone.explanation, gone.duration_ms, gone.attempts, gone.at) == (
            410,
            Explanation("gone", errno=106),
            3.5,
            1,
            NOW,
        )
        with pytest.raises(LeaseLost):
            await store.checkpoint(Checkpoint(leased.shard.lease, accepted([2])))

    async def test_subscriptions_change_with_it_unless_they_changed_before(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        one, two, three = await browsers(store, project, 3)
        await send_to(store, project, [one, two, three])
        (leased,) = await store.claim(wanted())
        clock.time += 7
        gone = StateReason(Event.SAID_GONE, clock.now(), "gone", 410)
        updates = [
            ResultUpdate(one.id, one.version, Event.ACCEPTED),
            ResultUpdate(two.id, two.version, Event.SAID_GONE, gone),
            ResultUpdate(three.id, three.version + 1, Event.FAILED),
        ]
        await store.checkpoint(Checkpoint(leased.shard.lease, accepted([0]), updates=updates))
        found = [await store.find_subscription(project, AnyId(r.public_id, None)) for r in (one, two, three)]
        assert [(r.state, r.last_accepted_at, r.consecutive_failures) for r in found if r is not None] == [
            (State.ACTIVE, clock.now(), 0),
            (State.GONE, None, 0),
            (State.ACTIVE, None, 0),
        ]

    async def test_a_lost_lease_undoes_everything(self, store: SqliteStore, project: Project, clock: FakeClock) -> None:
        (one, two) = await browsers(store, project, 2)
        record, _ = await send_to(store, project, [one, two])
        (leased,) = await store.claim(wanted())
        clock.time += LEASE_SECONDS
        await store.claim(wanted(owner="other"))
        gone = StateReason(Event.SAID_GONE, clock.now())
        lost = Checkpoint(
            leased.shard.lease,
            accepted([0]),
            [later(1, NOW + 60)],
            [ResultUpdate(one.id, one.version, Event.SAID_GONE, gone)],
        )
        with pytest.raises(LeaseLost):
            await store.checkpoint(lost)
        account = await account_of(store, project, record)
        assert (account.undone, account.moved, dict(account.counts)) == (2, 0, {})
        assert await store.find_subscription(project, AnyId(one.public_id, None)) == one
        assert await store.outcomes(project, record.id, kinds=None, limit=10, after=0) == ()

    async def test_written_twice_it_counts_once(self, store: SqliteStore, project: Project) -> None:
        """Whoever does not hear whether a checkpoint was kept writes it again."""
        record, _ = await send_to(store, project, await browsers(store, project, 3))
        (leased,) = await store.claim(wanted())
        written = Checkpoint(leased.shard.lease, accepted([0]), [later(1, NOW + 60)])
        for _ in range(2):
            await store.checkpoint(written)
        account = await account_of(store, project, record)
        assert (dict(account.counts), account.moved, account.undone) == ({Kind.ACCEPTED: 1}, 1, 2)

    async def test_what_cannot_be_is_refused_whole(self, store: SqliteStore, project: Project) -> None:
        record, _ = await send_to(store, project, await browsers(store, project, 2))
        (leased,) = await store.claim(wanted())
        with pytest.raises(IndexError):
            await store.checkpoint(Checkpoint(leased.shard.lease, accepted([0, 2])))
        with pytest.raises(ValueError, match="moved"):
            await store.checkpoint(Checkpoint(leased.shard.lease, [SettledMember(0, Kind.MOVED)]))
        assert (await account_of(store, project, record)).undone == 2

    async def test_released_it_waits_for_its_time(self, store: SqliteStore, project: Project, clock: FakeClock) -> None:
        record, _ = await send_to(store, project, await browsers(store, project, 3))
        (leased,) = await store.claim(wanted())
        await store.checkpoint(
            Checkpoint(leased.shard.lease, accepted([1]), ending=Ending.RELEASE, not_before=NOW + WAIT_SECONDS)
        )
        assert await store.claim(wanted()) == ()
        assert await store.next_due() == NOW + WAIT_SECONDS
        clock.time += WAIT_SECONDS
        (again,) = await store.claim(wanted())
        assert list(again.shard.done.unset()) == [0, 2]
        assert (again.shard.takeovers, again.shard.attempt) == (0, 1)
        await store.checkpoint(Checkpoint(again.shard.lease, accepted([0, 2]), ending=Ending.RELEASE))
        assert await state_of(store, project, record) is NotificationState.DONE

    @pytest.mark.parametrize(("ending", "kind"), [(Ending.EXPIRE, Kind.EXPIRED), (Ending.CANCEL, Kind.CANCELLED)])
    async def test_cut_off_what_is_not_done_is_counted(
        self, store: SqliteStore, project: Project, ending: Ending, kind: Kind
    ) -> None:
        record, _ = await send_to(store, project, await browsers(store, project, 3))
        (leased,) = await store.claim(wanted())
        await store.checkpoint(Checkpoint(leased.shard.lease, accepted([1]), ending=ending))
        account = await account_of(store, project, record)
        assert (dict(account.counts), account.undone) == ({Kind.ACCEPTED: 1, kind: 2}, 0)
        assert await state_of(store, project, record) is NotificationState.DONE
        outcomes = await store.outcomes(project, record.id, kinds=None, limit=10, after=0)
        assert [outcome.kind for outcome in outcomes] == [kind, Kind.ACCEPTED, kind]

    async def test_of_a_large_send_only_failures_are_kept(self, store: SqliteStore, project: Project) -> None:
        record, _ = await send_to(store, project, await browsers(store, project, 2))
        await store.writer.run(
            lambda connection: connection.execute(text("UPDATE notifications SET keeps_outcomes = 0")) and None
        )
        (leased,) = await store.claim(wanted())
        await store.checkpoint(
            Checkpoint(leased.shard.lease, [*accepted([0]), SettledMember(1, Kind.TRANSIENT, "fail", 503, attempts=4)])
        )
        outcomes = await store.outcomes(project, record.id, kinds=None, limit=10, after=0)
        assert [outcome.kind for outcome in outcomes] == [Kind.TRANSIENT]


class FollowUpContract:
    async def test_who_is_moved_is_sent_to_later_with_its_history(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        records = await browsers(store, project, 4)
        record, _ = await send_to(store, project, records)
        (leased,) = await store.claim(wanted())
        moves = [
            later(1, NOW + 60, Verdict.THROTTLED),
            later(3, NOW + 60, Verdict.THROTTLED),
            later(2, NOW + 10, Verdict.TRANSIENT, Verdict.TRANSIENT),
        ]
        await store.checkpoint(Checkpoint(leased.shard.lease, accepted([0]), moves))
        account = await account_of(store, project, record)
        assert (account.moved, account.followed_up, account.undone, account.targeted) == (3, 3, 3, 4)
        assert await store.next_due() == NOW + 10
        clock.time += 60
        short, long = sorted(await store.claim(wanted()), key=lambda some: len(some.shard.members))
        assert (list(short.shard.members), short.shard.attempt) == ([records[2].id], 3)
        assert short.shard.history == (Verdict.TRANSIENT, Verdict.TRANSIENT)
        assert (list(long.shard.members), long.shard.attempt) == ([records[1].id, records[3].id], 2)
        for some in (short, long):
            await store.checkpoint(Checkpoint(some.shard.lease, accepted(range(len(some.shard.members)))))
        assert await state_of(store, project, record) is NotificationState.DONE
        assert dict((await account_of(store, project, record)).counts) == {Kind.ACCEPTED: 4}

    async def test_one_follow_up_is_joined_until_somebody_works_on_it(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        record, _ = await send_to(store, project, await browsers(store, project, 6))
        (leased,) = await store.claim(wanted())
        for position in range(3):
            await store.checkpoint(Checkpoint(leased.shard.lease, moves=[later(position, NOW + 5)]))
        clock.time += 5
        (first,) = await store.claim(wanted())
        assert first.shard.done.count == 3
        for position in range(3, 6):
            await store.checkpoint(Checkpoint(leased.shard.lease, moves=[later(position, NOW + 5)]))
        (second,) = await store.claim(wanted())
        assert second.shard.done.count == 3
        assert second.shard.lease.shard_id != first.shard.lease.shard_id
        # Given back half done, it is joined again by others of the same name.
        await store.checkpoint(Checkpoint(second.shard.lease, accepted([1]), ending=Ending.RELEASE))
        assert (await account_of(store, project, record)).undone == 5

    async def test_a_follow_up_has_room_for_a_shards_members(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        records = await browsers(store, project, 3)
        record, _ = await send_to(store, project, records)

        def make_many(connection: Connection) -> None:
            many = b"".join(connection.execute(text("SELECT members FROM shards")).scalar_one() for _ in range(250))
            connection.execute(
                text("UPDATE shards SET members = :many, count = 750, done = zeroblob(94)"), {"many": many}
            )
            connection.execute(
                text(
                    "INSERT INTO shards (project_id, notification_id, kind, priority, origin, vendor, page, count,"
                    " state, not_before, members, owners, done) SELECT project_id, notification_id, kind, priority,"
                    " origin, vendor, 7, count, state, not_before, members, owners, done FROM shards"
                )
            )

        await store.writer.run(make_many)
        for leased in await store.claim(wanted()):
            await store.checkpoint(
                Checkpoint(leased.shard.lease, moves=[later(position, NOW + 5) for position in range(750)])
            )
        clock.time += 5
        counts = sorted(leased.shard.done.count for leased in await store.claim(wanted()))
        assert counts == [500, SHARD_MEMBERS_MAX]
        account = await account_of(store, project, record)
        assert (account.targeted, account.followed_up) == (1500, 1500)

    async def test_owners_go_along(self, store: SqliteStore, project: Project, clock: FakeClock) -> None:
        await browsers(store, project, 2, owner="ann")
        await browsers(store, project, 1, owner="bob", name="c")
        target = Target.to_contacts(["ann", "bob"])
        await store.accept(project, new_notification(target), backlog_max=BACKLOG_MAX, lease_owner=None)
        (leased,) = await store.claim(wanted())
        owners = dict(zip(leased.shard.members, leased.shard.owners, strict=True))
        for position in (2, 0):
            await store.checkpoint(Checkpoint(leased.shard.lease, moves=[later(position, NOW + 1)]))
        clock.time += 1
        (moved,) = await store.claim(wanted())
        assert dict(zip(moved.shard.members, moved.shard.owners, strict=True)) == {
            member: owners[member] for member in moved.shard.members
        }
        assert len(moved.shard.members) == 2

    async def test_nobody_is_moved_of_a_cancelled_notification(self, store: SqliteStore, project: Project) -> None:
        record, _ = await send_to(store, project, await browsers(store, project, 4))
        (leased,) = await store.claim(wanted())
        await store.checkpoint(Checkpoint(leased.shard.lease, moves=[later(0, NOW + 60)]))
        await store.control(project, record.public_id, Command.CANCEL)
        await store.checkpoint(
            Checkpoint(leased.shard.lease, accepted([1]), [later(2, NOW + 60)], ending=Ending.RELEASE)
        )
        account = await account_of(store, project, record)
        assert (dict(account.counts), account.undone) == ({Kind.ACCEPTED: 1, Kind.CANCELLED: 3}, 0)
        assert await state_of(store, project, record) is NotificationState.CANCELLED
        assert await store.claim(wanted()) == ()


class PlanContract:
    async def test_an_audience_is_planned_page_by_page_and_goes_on_after_a_kill(
        self, store: SqliteStore, project: Project, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pushkeep.adapters.store.plan_units.PLAN_PAGE_MEMBERS", 4)
        await browsers(store, project, 6)
        await browsers(store, project, 4, host="fcm.googleapis.com", vendor="fcm", name="f")
        record = await _to_everybody(store, project, clock)
        late = await browsers(store, project, 1, name="late")
        (plan,) = await store.claim(wanted())
        assert plan.shard.kind is ShardKind.PLAN
        assert await store.plan_page(plan.shard.lease) == Planned(4, 1, complete=False)
        assert await state_of(store, project, record) is NotificationState.PLANNING
        (first,) = await store.claim(wanted())
        await store.checkpoint(Checkpoint(first.shard.lease, accepted(range(4))))
        assert await state_of(store, project, record) is NotificationState.PLANNING, "not all have had their turn"
        clock.time += LEASE_SECONDS
        (again,) = await store.claim(wanted())
        with pytest.raises(LeaseLost):
            await store.plan_page(plan.shard.lease)
        assert await store.plan_page(again.shard.lease) == Planned(4, 2, complete=False)
        assert await store.plan_page(again.shard.lease) == Planned(2, 1, complete=True)
        assert await state_of(store, project, record) is NotificationState.SENDING
        with pytest.raises(LeaseLost):
            await store.plan_page(again.shard.lease)
        members = [member for leased in await store.claim(wanted()) for member in leased.shard.members]
        assert sorted([*members, *first.shard.members]) == [
            row.id for row in await store.list_subscriptions(project, state=None, limit=10, after=0)
        ]
        assert late[0].id not in members, "who came after the message was accepted is not in question"
        assert (await account_of(store, project, record)).targeted == 10

    async def test_a_browser_that_changes_hands_meanwhile_is_in_an_audience_once(
        self, store: SqliteStore, project: Project, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plan_units, "PLAN_PAGE_MEMBERS", 1)
        shared, *_ = await browsers(store, project, 2, owner="ann")
        await browsers(store, project, 1, owner="bob", name="bobs")
        for name in ("ann", "bob"):
            await store.put_contact(project, name, ["news"])
        new = new_notification(Target.to_tag("news"), send_at=NOW + 1)
        record = (await store.accept(project, new, backlog_max=BACKLOG_MAX, lease_owner=None)).record
        clock.time += 2
        (plan,) = await store.claim(wanted())
        assert await store.plan_page(plan.shard.lease) == Planned(2, 1, complete=False)
        await store.register(project, registration(subscription("b0"), owner="bob", now=clock.time))
        assert await store.plan_page(plan.shard.lease) == Planned(1, 1, complete=False)
        leased = [one for one in await store.claim(wanted()) if one.job.id == record.id]
        members = [member for one in leased for member in one.shard.members]
        assert len(members) == len(set(members)) == 3
        assert shared.id in members

    async def test_a_browser_whose_two_subscriptions_failed_is_told_again_once(
        self, store: SqliteStore, project: Project, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plan_units, "PLAN_PAGE_MEMBERS", 1)
        one, two, three = await browsers(store, project, 3)
        original, (leased,) = await send_to(store, project, [one, two, three], lease_owner="w")
        failed = [SettledMember(position, Kind.TRANSIENT, attempts=1) for position in range(3)]
        await store.checkpoint(Checkpoint(leased.shard.lease, failed))
        both = await replace(store, project, "both", one, two)
        retry = new_notification(Target.to_failed(), retry_of=original.public_id, send_at=NOW + 1)
        record = (await store.accept(project, retry, backlog_max=BACKLOG_MAX, lease_owner=None)).record
        new = await replace(store, project, "new", three)
        clock.time += 2
        (plan,) = await store.claim(wanted())
        while not (await store.plan_page(plan.shard.lease)).complete:
            pass
        assert (await account_of(store, project, record)).targeted == 2
        told = []
        for leased in await store.claim(wanted()):
            (member,) = (await store.load(leased, [0])).members
            assert member.recipient is not None
            told.append(member.recipient.record.id)
        assert sorted(told) == [both.id, new.id], "who was replaced before it was planned, too"

    async def test_who_failed_is_looked_up_in_smaller_pages(
        self, store: SqliteStore, project: Project, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plan_units, "RETRY_PAGE_MEMBERS", 2)
        records = await browsers(store, project, 3)
        original, (leased,) = await send_to(store, project, records, lease_owner="w")
        failed = [SettledMember(position, Kind.TRANSIENT, attempts=1) for position in range(3)]
        await store.checkpoint(Checkpoint(leased.shard.lease, failed))
        retry = new_notification(Target.to_failed(), retry_of=original.public_id, send_at=NOW + 1)
        await store.accept(project, retry, backlog_max=BACKLOG_MAX, lease_owner=None)
        everybody = await _to_everybody(store, project, clock)
        plans = {plan.job.id: plan.shard.lease for plan in await store.claim(wanted())}
        assert await store.plan_page(plans.pop(everybody.id)) == Planned(3, 1, complete=True)
        (lease,) = plans.values()
        assert await store.plan_page(lease) == Planned(2, 1, complete=False)
        assert await store.plan_page(lease) == Planned(1, 1, complete=True)

    async def test_an_audience_of_nobody_is_done_at_once(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        record = await _to_everybody(store, project, clock)
        for leased in await store.claim(wanted()):
            assert (await store.plan_page(leased.shard.lease)).complete
        assert await state_of(store, project, record) is NotificationState.DONE

    async def test_a_plan_that_is_given_back_is_claimed_again(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        await browsers(store, project, 1)
        await _to_everybody(store, project, clock)
        (plan,) = await store.claim(wanted())
        await store.checkpoint(Checkpoint(plan.shard.lease))
        await store.checkpoint(Checkpoint(plan.shard.lease, ending=Ending.RELEASE))
        (again,) = await store.claim(wanted())
        assert again.shard.lease.shard_id == plan.shard.lease.shard_id

    @pytest.mark.parametrize("how", ["deadline", "cancel", "expire"])
    async def test_a_plan_whose_notification_ends_is_closed(
        self, store: SqliteStore, project: Project, clock: FakeClock, how: str
    ) -> None:
        await browsers(store, project, 1)
        record = await _to_everybody(store, project, clock)
        (plan,) = await store.claim(wanted())
        if how == "cancel":
            await store.control(project, record.public_id, Command.CANCEL)
            assert (await store.plan_page(plan.shard.lease)).complete
        elif how == "expire":
            await store.checkpoint(Checkpoint(plan.shard.lease, ending=Ending.EXPIRE))
        else:
            clock.time = record.deadline
            page = await store.plan_page(plan.shard.lease)
            assert (page.recipients, page.shards, page.complete) == (0, 0, True)
            assert page.ended is not None
            assert page.ended.public_id == record.public_id
        assert (await account_of(store, project, record)).targeted == 0
        ended = NotificationState.CANCELLED if how == "cancel" else NotificationState.DONE
        assert await state_of(store, project, record) is ended
        assert await store.claim(wanted()) == ()


async def _to_everybody(store: SqliteStore, project: Project, clock: FakeClock) -> NotificationRecord:
    """Sent in a second, since a small audience is otherwise put into shards at once; the second has passed."""
    asked = new_notification(Target.everyone(), send_at=clock.now() + 1)
    done = await store.accept(project, asked, backlog_max=BACKLOG_MAX, lease_owner=None)
    clock.time += 1
    return done.record


class SweepContract:
    async def test_past_the_deadline_everything_that_is_not_lent_is_closed(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        both = await browsers(store, project, 2) + await browsers(
            store, project, 2, host="fcm.googleapis.com", vendor="fcm"
        )
        record, _ = await send_to(store, project, both)
        paused, _ = await send_to(store, project, both)
        await store.control(project, paused.public_id, Command.PAUSE)
        (working,) = await store.claim(wanted(limit=1))
        await store.checkpoint(Checkpoint(working.shard.lease, accepted([0])))
        assert await store.sweep() == await store.sweep()
        clock.time = record.deadline - LEASE_SECONDS / 2
        assert await store.renew([working.shard.lease]) == {working.shard.lease.shard_id}
        clock.time = record.deadline
        swept = await store.sweep()
        assert (swept.expired, swept.set_aside, len(swept.ended)) == (3, 0, 1)
        assert await state_of(store, project, paused) is NotificationState.DONE, "a pause does not stop the deadline"
        assert dict((await account_of(store, project, paused)).counts) == {Kind.EXPIRED: 4}
        assert (await account_of(store, project, record)).undone == 1
        clock.time += LEASE_SECONDS  # its worker died
        assert (await store.sweep()).expired == 1
        assert dict((await account_of(store, project, record)).counts) == {Kind.ACCEPTED: 1, Kind.EXPIRED: 3}
        with pytest.raises(LeaseLost):
            await store.checkpoint(Checkpoint(working.shard.lease, accepted([1])))

    async def test_a_dead_workers_shard_of_a_cancelled_notification_is_closed(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        record, _ = await send_to(store, project, await browsers(store, project, 2))
        await store.claim(wanted())
        await store.control(project, record.public_id, Command.CANCEL)
        clock.time += LEASE_SECONDS
        await store.sweep()
        account = await account_of(store, project, record)
        assert (dict(account.counts), account.undone) == ({Kind.CANCELLED: 2}, 0)

    async def test_a_large_sweep_goes_on_to_the_end(
        self, store: SqliteStore, project: Project, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _cut_two_at_a_time(monkeypatch)
        record, _ = await send_to(store, project, await _at_five_services(store, project))
        clock.time = record.deadline
        swept = await store.sweep()
        assert (swept.expired, len(swept.ended)) == (5, 1)

    async def test_a_large_cancellation_goes_on_to_the_end(
        self, store: SqliteStore, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _cut_two_at_a_time(monkeypatch)
        record, _ = await send_to(store, project, await _at_five_services(store, project))
        controlled = await store.control(project, record.public_id, Command.CANCEL)
        assert controlled is not None
        assert (controlled.record.finished_at, controlled.ended) == (NOW, True)
        assert (await account_of(store, project, record)).counts == {Kind.CANCELLED: 5}
        assert (await store.sweep()).ended == (), "it is told once"

    async def test_a_cancellation_that_was_killed_half_way_is_brought_to_its_end(
        self, store: SqliteStore, project: Project, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _cut_two_at_a_time(monkeypatch)
        record, _ = await send_to(store, project, await _at_five_services(store, project))
        await store.writer.run(
            lambda connection: notification_units.control(
                connection, project, record.public_id, Command.CANCEL, now=clock.now()
            )
        )
        assert await state_of(store, project, record) is NotificationState.CANCELLED
        assert (await account_of(store, project, record)).undone == 3
        assert await store.claim(wanted()) == ()
        clock.time = record.deadline  # what is cancelled does not expire
        assert [ended.state for ended in (await store.sweep()).ended] == [NotificationState.CANCELLED]
        account = await account_of(store, project, record)
        assert (dict(account.counts), account.undone) == ({Kind.CANCELLED: 5}, 0)
        assert (await store.sweep()).ended == ()

    async def test_nothing_of_a_cancelled_notification_is_set_aside(
        self, store: SqliteStore, project: Project, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _cut_two_at_a_time(monkeypatch)
        record, _ = await send_to(store, project, await _at_five_services(store, project))
        for _ in range(TAKEOVERS_MAX):
            assert len(await store.claim(wanted())) == 5
            clock.time += LEASE_SECONDS
        await store.control(project, record.public_id, Command.CANCEL)
        assert (await store.sweep()).set_aside == 0
        account = await account_of(store, project, record)
        assert (dict(account.counts), account.undone) == ({Kind.CANCELLED: 5}, 0)

    async def test_a_clock_that_is_put_back_makes_no_lease_longer(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        both = await browsers(store, project, 2)
        await send_to(store, project, both[:1])
        await send_to(store, project, both[1:])
        lives, dies = await store.claim(wanted())
        clock.time -= 3600
        await store.sweep()
        assert await store.claim(wanted()) == (), "who lives has time to renew"
        clock.time += LEASE_SECONDS - 1
        assert len(await store.renew([lives.shard.lease])) == 1
        clock.time += 1
        taken = await store.claim(wanted())
        assert [one.shard.lease.shard_id for one in taken] == [dies.shard.lease.shard_id]

    async def test_an_audience_that_was_never_planned_ends_with_its_deadline(
        self, store: SqliteStore, project: Project, clock: FakeClock
    ) -> None:
        await browsers(store, project, 1)
        record = await _to_everybody(store, project, clock)
        clock.time = record.deadline
        assert (await store.sweep()).expired == 1
        assert await state_of(store, project, record) is NotificationState.DONE


def _cut_two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (ending_units, plan_units):
        monkeypatch.setattr(module, "CUT_SHARDS_MAX", 2)


async def _at_five_services(store: SqliteStore, project: Project) -> list[SubscriptionRecord]:
    some = []
    for number in range(5):
        some += await browsers(store, project, 1, host=f"up{number}.example.net", vendor="unknown")
    return some


class ShardContract(
    ClaimContract, LeaseContract, LoadContract, CheckpointContract, FollowUpContract, PlanContract, SweepContract
):
    """Everything."""
