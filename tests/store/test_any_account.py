"""Whatever is accepted, planned, sent, moved, cut off and repeated: nobody is lost and nobody counted twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pushkeep.adapters.store import SqliteStore, accept_units, plan_units
from pushkeep.adapters.store.sqlite import open_store_inline
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import NotificationState
from pushkeep.domain.shard import LEASE_SECONDS, Kind, ShardKind
from pushkeep.domain.subscription import Event, StateReason, SubscriptionRecord
from pushkeep.errors import Conflict
from pushkeep.ports.notifications import Command, Leased
from pushkeep.ports.shards import Checkpoint, Ending, LeaseLost, Move, SettledMember
from pushkeep.protocol.verdict import Verdict
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.notification_contract import FCM, claim
from tests.store.samples import new_notification, new_project, registration, subscription

PEOPLE = ("ann", "bob", "eve")
SMALL = 3
TARGETS = {
    "all": Target.everyone(),
    "tag": Target.to_tag("vip"),
    "contacts": Target.to_contacts(["ann", "bob", "nobody"]),
}
FINAL = [Kind.ACCEPTED, Kind.GONE, Kind.TRANSIENT, Kind.THROTTLED, Kind.SKIPPED_OWNER]


@dataclass(frozen=True)
class Accept:
    target: str
    later: bool
    lent: bool


@dataclass(frozen=True)
class Retry:
    number: int


@dataclass(frozen=True)
class Order:
    number: int
    command: Command


@dataclass(frozen=True)
class Work:
    """Take up to so many shards, and settle, move or leave each of their members."""

    shards: int
    fates: tuple[Kind | None, ...]
    ending: Ending
    dies: bool


@dataclass(frozen=True)
class Leave:
    browser: int


@dataclass(frozen=True)
class Replace:
    browser: int
    owner: str | None


@dataclass(frozen=True)
class Wait:
    seconds: float


numbers = st.integers(0, 7)
happenings = st.one_of(
    st.builds(Accept, st.sampled_from(sorted(TARGETS)), st.booleans(), st.booleans()),
    st.builds(Retry, numbers),
    st.builds(Order, numbers, st.sampled_from(Command)),
    st.builds(
        Work,
        st.integers(1, 4),
        st.lists(st.sampled_from([*FINAL, Kind.MOVED, None]), min_size=1, max_size=5).map(tuple),
        st.sampled_from([Ending.KEEP, Ending.RELEASE, Ending.RELEASE, Ending.EXPIRE, Ending.CANCEL]),
        st.booleans(),
    ),
    st.builds(Leave, numbers),
    st.builds(Replace, numbers, st.sampled_from((None, *PEOPLE))),
    st.builds(Wait, st.sampled_from([1.0, LEASE_SECONDS + 1, 120.0])),
)


@dataclass
class World:
    """A store, its clock, and what has happened so far."""

    store: SqliteStore
    clock: FakeClock
    project: Project
    browsers: list[SubscriptionRecord] = field(default_factory=list)
    notifications: list[str] = field(default_factory=list)
    held: list[Leased] = field(default_factory=list)

    async def subscribe(self, name: str, owner: str | None, host: str | None, replaces: str | None = None) -> None:
        asked = registration(
            subscription(name, host=host),
            owner=owner,
            replaces=replaces,
            now=self.clock.now(),
            vendor="mozilla" if host is None else "fcm",
        )
        self.browsers.append((await self.store.register(self.project, asked)).record)

    async def happen(self, happening: object) -> None:
        match happening:
            case Accept(target, later, lent):
                await self.accept(TARGETS[target], None, later=later, lent=lent)
            case Retry(number) if self.notifications:
                original = self.notifications[number % len(self.notifications)]
                await self.accept(Target.to_failed(), original, later=False, lent=False)
            case Order(number, command) if self.notifications:
                public_id = self.notifications[number % len(self.notifications)]
                await self.store.control(self.project, public_id, command)
            case Work():
                await self.work(happening)
            case Leave(browser):
                gone = self.browsers[browser % len(self.browsers)]
                reason = StateReason(Event.LEFT, self.clock.now())
                await self.store.end_subscription(self.project, AnyId(gone.public_id, None), reason)
            case Replace(browser, owner):
                old = self.browsers[browser % len(self.browsers)]
                await self.subscribe(f"new{len(self.browsers)}", owner, None, old.public_id)
            case Wait(seconds):
                self.clock.time += seconds
                await self.store.sweep()

    async def accept(self, target: Target, retry_of: str | None, *, later: bool, lent: bool) -> None:
        now = self.clock.now()
        send_at = now + 60 if later else now
        new = new_notification(target, retry_of=retry_of, accepted_at=now, send_at=send_at, deadline=send_at + 100)
        owner = "w" if lent else None
        accepted = await self.store.accept(self.project, new, backlog_max=10**9, lease_owner=owner)
        self.notifications.append(accepted.record.public_id)
        self.held += accepted.leased

    async def work(self, work: Work) -> None:
        held, self.held = self.held, []
        for leased in (*held, *await claim(self.store, limit=work.shards)):
            if work.dies:
                self.held.append(leased)  # and is heard of again when it may have lost its lease
                continue
            if leased.shard.kind is ShardKind.PLAN:
                await self.store.plan_page(leased.shard.lease)
            else:
                await self.store.checkpoint(self.checkpoint(leased, work))

    def checkpoint(self, leased: Leased, work: Work) -> Checkpoint:
        settled, moves = [], []
        for position, fate in zip(leased.shard.done.unset(), work.fates, strict=False):
            if fate is Kind.MOVED:
                moves.append(Move(position, self.clock.now() + 10, leased.shard.attempt + 1, (Verdict.TRANSIENT,)))
            elif fate is not None:
                settled.append(SettledMember(position, fate, attempts=1))
        return Checkpoint(leased.shard.lease, settled, moves, ending=work.ending)

    async def look(self) -> None:
        """Every account balances, and tells of as many as the list of recipients does."""
        for public_id in self.notifications:
            record = await self.store.find_notification(self.project, public_id)
            assert record is not None
            account = (await self.store.accounts(self.project, [record.id]))[record.id]
            assert account.balances, (public_id, account)
            by_vendor = (await self.store.accounts_by_vendor(self.project, record.id)).values()
            assert sum((Counter(item.counts) for item in by_vendor), Counter[Kind]()) == Counter(account.counts)
            assert all(item.balances for item in by_vendor)
            if record.state is NotificationState.DONE:
                assert account.undone == 0
                assert record.finished_at is not None
            told = await self.store.outcomes(self.project, record.id, kinds=None, limit=1000, after=0)
            assert [item.subscription_id for item in told] == sorted({item.subscription_id for item in told})
            counts = Counter(account.counts)
            if not record.keeps_outcomes:
                del counts[Kind.ACCEPTED]
            assert Counter(item.kind for item in told) == counts


@pytest.fixture(autouse=True)
def everything_is_small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accept_units, "SMALL_RECIPIENTS_MAX", SMALL)
        patch.setattr(plan_units, "PLAN_PAGE_MEMBERS", 2)
        yield


@given(st.lists(happenings, max_size=25))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_nobody_is_lost_and_nobody_counted_twice(history: list[object]) -> None:
    async def live() -> None:
        clock = FakeClock()
        store = open_store_inline(None, MASTER_KEY, clock=clock, entropy=SeededEntropy())
        try:
            world = World(store, clock, await store.ensure_project(new_project()))
            for number, owner in enumerate((*PEOPLE, "ann", None)):
                await world.subscribe(f"s{number}", owner, FCM if number % 2 else None)
            await store.put_contact(world.project, "ann", ["vip"])
            await store.put_contact(world.project, "eve", ["vip"])
            for happening in history:
                with contextlib.suppress(Conflict, LeaseLost):  # refused, and so nothing has happened
                    await world.happen(happening)
                await world.look()
        finally:
            await store.aclose()

    asyncio.run(live())
