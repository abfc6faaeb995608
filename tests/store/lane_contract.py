"""What every adapter of the LaneStore port must do; test modules subclass it and say on which stores."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from pushkeep.adapters.store import SqliteStore
from pushkeep.domain.circuit import COOL_DOWN_SECONDS, PROBE_SECONDS_MAX, Circuit, CircuitState
from pushkeep.ports.lanes import WORKER_SECONDS_MAX, WorkerReport
from tests.store.doubles import FakeClock
from tests.store.samples import NOW, new_project

WNS = "https://wns2-par02p.notify.windows.com"
FCM = "https://fcm.googleapis.com"

REPORT = WorkerReport(
    owner="box:17:ab",
    kind="worker",
    host="box",
    pid=17,
    started_at=NOW,
    seen_at=NOW,
    stopping=False,
    figures={"leased": 3.0, "rate": 812.5},
)


@pytest.fixture
async def key_id(store: SqliteStore) -> int:
    """The number of a signing key."""
    project = await store.ensure_project(new_project())
    (key,) = await store.signing_keys(project)
    return key.id


def opened(probe_at: float, refusals: int = 1) -> Circuit:
    return Circuit(CircuitState.OPEN, refusals, probe_at)


class RestContract:
    async def test_a_rest_is_told_until_it_is_over(self, store: SqliteStore, clock: FakeClock) -> None:
        await store.rest_origin(WNS, clock.now() + 30)
        assert (await store.lane_state()).rests == {WNS: clock.now() + 30}
        clock.time += 30
        assert (await store.lane_state()).rests == {}

    async def test_a_shorter_rest_never_cuts_a_longer_one(self, store: SqliteStore, clock: FakeClock) -> None:
        await store.rest_origin(WNS, clock.now() + 60)
        await store.rest_origin(WNS, clock.now() + 10)
        assert (await store.lane_state()).rests == {WNS: clock.now() + 60}
        await store.rest_origin(WNS, clock.now() + 90)
        assert (await store.lane_state()).rests == {WNS: clock.now() + 90}

    async def test_rests_of_push_services_are_apart(self, store: SqliteStore, clock: FakeClock) -> None:
        await store.rest_origin(WNS, clock.now() + 60)
        clock.time += 30
        await store.rest_origin(FCM, clock.now() + 60)
        assert (await store.lane_state()).rests == {WNS: clock.now() + 30, FCM: clock.now() + 60}


class CircuitContract:
    async def test_an_open_circuit_is_told_and_forgotten_when_it_closes(
        self, store: SqliteStore, clock: FakeClock, key_id: int
    ) -> None:
        circuit = opened(clock.now() + COOL_DOWN_SECONDS)
        await store.keep_circuit(key_id, WNS, circuit)
        assert (await store.lane_state()).circuits == {(key_id, WNS): circuit}
        again = opened(clock.now() + 2 * COOL_DOWN_SECONDS, refusals=2)
        await store.keep_circuit(key_id, WNS, again)
        assert (await store.lane_state()).circuits == {(key_id, WNS): again}
        await store.keep_circuit(key_id, WNS, None)
        await store.keep_circuit(key_id, WNS, None)
        assert (await store.lane_state()).circuits == {}

    async def test_who_has_not_heard_of_a_probe_does_not_bring_the_next_one_nearer(
        self, store: SqliteStore, clock: FakeClock, key_id: int
    ) -> None:
        await store.keep_circuit(key_id, WNS, opened(clock.now()))
        assert await store.take_probe(key_id, WNS)
        await store.keep_circuit(key_id, WNS, opened(clock.now() - 1))
        assert not await store.take_probe(key_id, WNS)

    async def test_a_closed_circuit_takes_no_row(self, store: SqliteStore, key_id: int) -> None:
        await store.keep_circuit(key_id, WNS, opened(NOW))
        await store.keep_circuit(key_id, WNS, Circuit())
        assert (await store.lane_state()).circuits == {}

    async def test_no_probe_is_given_before_the_cool_down_or_without_a_circuit(
        self, store: SqliteStore, clock: FakeClock, key_id: int
    ) -> None:
        assert not await store.take_probe(key_id, WNS)
        await store.keep_circuit(key_id, WNS, opened(clock.now() + 1))
        assert not await store.take_probe(key_id, WNS)
        assert (await store.lane_state()).circuits == {(key_id, WNS): opened(clock.now() + 1)}

    async def test_of_many_who_ask_at_once_exactly_one_may_probe(
        self, store: SqliteStore, clock: FakeClock, key_id: int
    ) -> None:
        await store.keep_circuit(key_id, WNS, opened(clock.now(), refusals=3))
        answers = await asyncio.gather(*(store.take_probe(key_id, WNS) for _ in range(20)))
        assert answers.count(True) == 1
        expected = Circuit(CircuitState.HALF_OPEN, 3, clock.now() + PROBE_SECONDS_MAX)
        assert (await store.lane_state()).circuits == {(key_id, WNS): expected}

    async def test_a_probe_that_never_came_back_is_given_again(
        self, store: SqliteStore, clock: FakeClock, key_id: int
    ) -> None:
        await store.keep_circuit(key_id, WNS, opened(clock.now()))
        assert await store.take_probe(key_id, WNS)
        clock.time += PROBE_SECONDS_MAX - 1
        assert not await store.take_probe(key_id, WNS)
        clock.time += 1
        assert await store.take_probe(key_id, WNS)

    async def test_a_probe_is_of_one_push_service(self, store: SqliteStore, clock: FakeClock, key_id: int) -> None:
        await store.keep_circuit(key_id, WNS, opened(clock.now()))
        await store.keep_circuit(key_id, FCM, opened(clock.now()))
        assert await store.take_probe(key_id, WNS)
        assert await store.take_probe(key_id, FCM)


class WorkerContract:
    async def test_a_worker_is_told_as_it_reported_itself_last(self, store: SqliteStore) -> None:
        await store.report_worker(REPORT)
        later = dataclasses.replace(REPORT, seen_at=NOW + 2, stopping=True, figures={"leased": 0.0})
        await store.report_worker(later)
        assert await store.workers() == (later,)

    async def test_who_left_or_fell_silent_is_not_told(self, store: SqliteStore, clock: FakeClock) -> None:
        other = dataclasses.replace(REPORT, owner="box:18:cd", pid=18, started_at=NOW - 5)
        await store.report_worker(REPORT)
        await store.report_worker(other)
        assert await store.workers() == (other, REPORT)
        await store.leave(other.owner)
        assert await store.workers() == (REPORT,)
        clock.time += WORKER_SECONDS_MAX
        assert await store.workers() == ()

    async def test_who_leaves_twice_does_no_harm(self, store: SqliteStore) -> None:
        await store.leave("nobody")


class LaneContract(RestContract, CircuitContract, WorkerContract):
    """All of it."""
