"""Two processes with one database hear of each other's rests and circuits; one probe goes out for all of them."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pushkeep.adapters.store import SqliteStore, open_store
from pushkeep.app.announcer import Announcer
from pushkeep.app.lanes import Lanes
from pushkeep.app.sharing import LIVE_SECONDS, REPORT_SECONDS, WAKE_SECONDS, Sharing
from pushkeep.domain.circuit import COOL_DOWN_SECONDS, PROBE_SECONDS_MAX, Circuits, CircuitState, Permission
from pushkeep.domain.event import CircuitClosed, CircuitOpened, Event, LaneRested
from pushkeep.domain.pacing import LaneLimits, Rates
from pushkeep.domain.sending import Priority
from pushkeep.errors import Unavailable
from pushkeep.ports.lanes import LaneState, WorkerReport
from pushkeep.protocol.verdict import Verdict
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.samples import new_project

WNS = "https://wns2-par02p.notify.windows.com"


@dataclass
class OffsetClock:
    """The clock of one process: each counts its monotonic seconds from another start."""

    wall: FakeClock
    boot: float

    def now(self) -> float:
        return self.wall.time

    def monotonic(self) -> float:
        return self.wall.time - self.boot


@dataclass
class Process:
    """What one process knows."""

    store: SqliteStore
    clock: OffsetClock
    lanes: Lanes
    circuits: Circuits
    heard: list[Event]
    sharing: Sharing

    def wait(self, origin: str = WNS) -> float:
        return self.lanes.lane(origin, "wns").may_start(Priority.NORMAL, self.clock.monotonic())

    def ask(self, key_id: int) -> Permission:
        return self.sharing.ask(key_id, WNS, self.clock.monotonic())

    def tell(self, key_id: int, verdict: Verdict | None, *, probe: bool = False) -> None:
        self.sharing.tell(key_id, WNS, verdict, self.clock.monotonic(), probe=probe)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


Maker = Callable[..., "asyncio.Future[Process]"]


@pytest.fixture
async def make(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Callable[..., asyncio.Task[Process]]]:
    stores: list[SqliteStore] = []

    async def made(rates: Rates | None = None, report: WorkerReport | None = None) -> Process:
        own = OffsetClock(clock, clock.time - 1000.0 * (len(stores) + 1))
        store = await open_store(tmp_path / "pushkeep.db", MASTER_KEY, clock=own, entropy=SeededEntropy())
        stores.append(store)
        lanes = Lanes(LaneLimits(), rates or Rates(), own.monotonic)
        circuits, announcer, heard = Circuits(), Announcer(), list[Event]()
        announcer.listen(heard.append)
        reporter = None if report is None else lambda: dataclasses.replace(report, seen_at=clock.time)
        sharing = Sharing(store, own, lanes, circuits, announcer, report=reporter)
        return Process(store, own, lanes, circuits, heard, sharing)

    yield lambda *given, **named: asyncio.ensure_future(made(*given, **named))
    for store in stores:
        await store.aclose()


@pytest.fixture
async def one(make: Maker) -> Process:
    return await make()


@pytest.fixture
async def other(make: Maker) -> Process:
    return await make()


@pytest.fixture
async def key_id(one: Process) -> int:
    project = await one.store.ensure_project(new_project())
    (key,) = await one.store.signing_keys(project)
    return key.id


async def exchange(*processes: Process) -> None:
    for process in (*processes, *processes):
        await process.sharing.refresh()


async def test_a_rest_applies_here_at_once_and_there_with_the_next_round(one: Process, other: Process) -> None:
    one.sharing.rest(WNS, "wns", 30)
    assert one.wait() == pytest.approx(30)
    assert other.wait() == 0.0
    await exchange(one, other)
    assert other.wait() == pytest.approx(30)
    assert one.heard == [LaneRested(WNS, "wns", 30)]
    assert other.heard == [], "a fact is announced where it happened"


async def test_a_shorter_rest_never_cuts_a_longer_one_of_another(one: Process, other: Process) -> None:
    one.sharing.rest(WNS, "wns", 60)
    other.sharing.rest(WNS, "wns", 10)
    await exchange(one, other)
    assert one.wait() == other.wait() == pytest.approx(60)


async def test_a_hundred_answers_of_one_burst_are_one_piece_of_news_and_the_last_word_counts(
    one: Process, other: Process, clock: FakeClock
) -> None:
    for _ in range(100):
        one.sharing.rest(WNS, "wns", 10)
        clock.time += 0.001
    assert len(one.heard) == 1
    await exchange(one, other)
    assert other.wait() == pytest.approx(10 - 0.001)


async def test_a_refused_token_closes_the_way_for_everybody_until_a_probe_is_taken(
    one: Process, other: Process, clock: FakeClock, key_id: int
) -> None:
    await exchange(one, other)
    one.tell(key_id, Verdict.BAD_TOKEN)
    assert not one.ask(key_id).granted
    await exchange(one, other)
    assert other.ask(key_id).wait_seconds == pytest.approx(COOL_DOWN_SECONDS)
    clock.time += COOL_DOWN_SECONDS
    assert one.ask(key_id).probe
    assert other.ask(key_id).probe
    probes = [await process.sharing.take_probe(key_id, WNS) for process in (other, one)]
    assert probes == [True, False]
    assert one.ask(key_id).wait_seconds == pytest.approx(PROBE_SECONDS_MAX)
    other.tell(key_id, Verdict.ACCEPTED, probe=True)
    assert other.ask(key_id) == Permission(True)
    await exchange(other, one)
    assert one.ask(key_id) == Permission(True)
    assert one.heard == [CircuitOpened(key_id, WNS, 1, COOL_DOWN_SECONDS)]
    assert other.heard == [CircuitClosed(key_id, WNS)]


async def test_processes_that_ask_for_the_probe_at_once_get_one(make: Maker, clock: FakeClock) -> None:
    processes = [await make() for _ in range(3)]
    project = await processes[0].store.ensure_project(new_project())
    (key,) = await processes[0].store.signing_keys(project)
    for process in processes:
        process.tell(key.id, Verdict.BAD_TOKEN)
    clock.time += COOL_DOWN_SECONDS
    assert all(process.ask(key.id).probe for process in processes)
    answers = await asyncio.gather(*(process.sharing.take_probe(key.id, WNS) for process in processes))
    assert answers.count(True) == 1


async def test_a_probe_that_is_refused_doubles_the_wait_for_everybody(
    one: Process, other: Process, clock: FakeClock, key_id: int
) -> None:
    one.tell(key_id, Verdict.BAD_TOKEN)
    clock.time += COOL_DOWN_SECONDS
    assert one.ask(key_id).probe
    assert await one.sharing.take_probe(key_id, WNS)
    await exchange(other)
    one.tell(key_id, Verdict.BAD_TOKEN, probe=True)
    await exchange(one, other)
    assert other.ask(key_id).wait_seconds == pytest.approx(2 * COOL_DOWN_SECONDS)
    assert one.heard[-1] == CircuitOpened(key_id, WNS, 2, 2 * COOL_DOWN_SECONDS)


async def test_a_probe_that_says_nothing_about_the_token_opens_it_again_without_news(
    one: Process, other: Process, clock: FakeClock, key_id: int
) -> None:
    one.tell(key_id, Verdict.BAD_TOKEN)
    clock.time += COOL_DOWN_SECONDS
    one.ask(key_id)
    assert await one.sharing.take_probe(key_id, WNS)
    one.tell(key_id, None, probe=True)
    await exchange(one, other)
    assert other.ask(key_id).wait_seconds == pytest.approx(COOL_DOWN_SECONDS)
    assert len(one.heard) == 1


async def test_a_circuit_that_another_worker_closed_needs_no_probe(
    one: Process, other: Process, clock: FakeClock, key_id: int
) -> None:
    one.tell(key_id, Verdict.BAD_TOKEN)
    await exchange(one, other)
    other.tell(key_id, Verdict.ACCEPTED)
    await exchange(other)
    clock.time += COOL_DOWN_SECONDS
    assert one.ask(key_id).probe
    assert not await one.sharing.take_probe(key_id, WNS)
    assert one.ask(key_id) == Permission(True)


async def test_what_an_accepted_message_says_of_a_closed_circuit_costs_nothing(one: Process, key_id: int) -> None:
    one.tell(key_id, Verdict.ACCEPTED)
    one.tell(key_id, Verdict.GONE)
    assert one.circuits.not_closed() == {}
    assert one.heard == []


class BreakingStore:
    """A store whose answers come when the test lets them, or not at all."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.broken = False
        self.reading = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.reads = 0
        self.third = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        if self.broken:
            raise Unavailable("The disk is full.")
        return getattr(self._store, name)

    async def lane_state(self) -> LaneState:
        if self.broken:
            raise Unavailable("The disk is full.")
        state = await self._store.lane_state()
        self.reads += 1
        self.reading.set()
        if self.reads >= 3:
            self.third.set()
        await self.go_on.wait()
        return state


async def test_what_changes_while_the_store_is_read_is_not_overwritten_by_what_was_read(
    one: Process, key_id: int
) -> None:
    store = BreakingStore(one.store)
    one.sharing._store = store  # type: ignore[assignment]
    store.go_on.clear()
    reading = asyncio.create_task(one.sharing.refresh())
    await store.reading.wait()
    one.tell(key_id, Verdict.BAD_TOKEN)
    store.go_on.set()
    await reading
    assert not one.ask(key_id).granted
    await one.sharing.refresh()
    assert not one.ask(key_id).granted


async def test_while_the_store_does_not_answer_nothing_learnt_is_lost(
    one: Process, other: Process, key_id: int, caplog: pytest.LogCaptureFixture
) -> None:
    store = BreakingStore(one.store)
    one.sharing._store = store  # type: ignore[assignment]
    store.broken = True
    one.sharing.rest(WNS, "wns", 30)
    one.tell(key_id, Verdict.BAD_TOKEN)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await one.sharing.refresh()
    with pytest.raises(Unavailable):
        await one.sharing.take_probe(key_id, WNS)
    assert one.wait() == pytest.approx(30)
    assert one.circuits.get(key_id, WNS).state is CircuitState.OPEN
    store.broken = False
    await exchange(one, other)
    assert other.wait() == pytest.approx(30)
    assert not other.ask(key_id).granted


async def test_rounds_follow_news_and_wake_ups_at_once(
    one: Process, other: Process, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = BreakingStore(one.store)
    one.sharing._store = store  # type: ignore[assignment]
    with caplog.at_level(logging.WARNING):
        running = asyncio.create_task(one.sharing.run())
        await asyncio.wait_for(store.reading.wait(), 10)
        store.reading.clear()
        one.sharing.wake()  # too soon after a round
        one.sharing.rest(WNS, "wns", 30)
        await asyncio.wait_for(store.reading.wait(), 10)
        await other.sharing.refresh()
        assert other.wait() == pytest.approx(30)
        clock.time += WAKE_SECONDS
        store.reading.clear()
        other.sharing.rest("https://web.push.apple.com", "apple", 5)
        await other.sharing.refresh()
        one.sharing.wake()
        await asyncio.wait_for(store.reading.wait(), 10)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert caplog.records == []


async def test_rounds_come_without_any_news_and_go_on_after_trouble(
    one: Process, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pushkeep.app.sharing.READ_SECONDS", 0.01)
    store = BreakingStore(one.store)
    store.broken = True
    one.sharing._store = store  # type: ignore[assignment]
    running = asyncio.create_task(one.sharing.run())
    await asyncio.sleep(0.05)  # some rounds that fail: how many does not matter
    store.broken = False
    await asyncio.wait_for(store.third.wait(), 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["What workers share cannot be kept in step: The disk is full."], "said once, not every second"


def report(owner: str) -> WorkerReport:
    return WorkerReport(owner, "worker", "box", 1, 0.0, 0.0, False, {"rate": 1.0})


async def test_workers_report_themselves_and_share_the_rates(make: Maker, clock: FakeClock) -> None:
    rates = Rates(origin_per_second_max=120)
    first, second = await make(rates, report("a")), await make(rates, report("b"))
    await exchange(first, second)
    assert {found.owner for found in await first.store.workers()} == {"a", "b"}
    assert first.lanes.rate(120) == second.lanes.rate(120) == 60
    clock.time += LIVE_SECONDS + 1
    await exchange(first)
    assert first.lanes.rate(120) == 120, "the other was killed"
    await exchange(second, first)
    await second.sharing.leave()
    await exchange(first)
    assert first.lanes.rate(120) == 120, "the other left"
    assert [found.owner for found in await first.store.workers()] == ["a"]


async def test_a_worker_does_not_report_itself_more_often_than_needed(make: Maker, clock: FakeClock) -> None:
    process = await make(None, report("a"))
    await process.sharing.refresh()
    begun = clock.time
    clock.time += REPORT_SECONDS - 0.5
    await process.sharing.refresh()
    assert (await process.store.workers())[0].seen_at == begun
    clock.time += 0.5
    await process.sharing.refresh()
    assert (await process.store.workers())[0].seen_at == clock.time


async def test_who_leaves_writes_down_what_it_learnt(one: Process, other: Process, key_id: int) -> None:
    one.sharing.rest(WNS, "wns", 30)
    one.tell(key_id, Verdict.BAD_TOKEN)
    await one.sharing.leave()
    await other.sharing.refresh()
    assert other.wait() == pytest.approx(30)
    assert not other.ask(key_id).granted
