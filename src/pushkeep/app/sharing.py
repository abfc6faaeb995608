"""Keeps what this process knows of rests and circuits in step with what the others know, through the store.

Within the process everything is monotonic seconds and applies at once; in the store it is epoch seconds and comes with
the next round, which follows a change or a wake-up at once and a second of silence at the latest. A round writes what
changed here, reports the worker, and then reads: in this order, so that nothing read is older than what was written.

One who wants to send asks :meth:`Sharing.ask`. Where the answer is a probe, only one worker of all may send it::

    permission = sharing.ask(key_id, origin, now)
    if permission.probe and not await sharing.take_probe(key_id, origin):
        …                                                  # another worker's probe is under way: ask again later
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from pushkeep.app.announcer import Announcer
from pushkeep.app.lanes import Lanes
from pushkeep.domain.circuit import Circuit, Circuits, CircuitState, Permission
from pushkeep.domain.event import CircuitClosed, CircuitOpened, LaneRested
from pushkeep.errors import Unavailable
from pushkeep.ports import Clock
from pushkeep.ports.lanes import LaneState, LaneStore, WorkerReport
from pushkeep.protocol.verdict import Verdict

READ_SECONDS = 1.0
"""Between two rounds at most: what another worker learnt is heeded after so long at the latest."""

WAKE_SECONDS = 0.1
"""Wake-ups closer to a round than this are not worth another: every commit of every process is one."""

REPORT_SECONDS = 2.0
"""A worker reports itself so often: fresh enough to watch, and one small commit."""

LIVE_SECONDS = 10.0
"""Who reported within so long takes part in the rates: five reports may be late, and after a crash the others have
their full share again soon."""

NEWS_SECONDS = 1.0
"""A rest that lengthens another by less than this is kept, but no news."""

_CLOSED = Circuit()

_log = logging.getLogger("pushkeep.app")


class Sharing:
    """The rests and circuits of one process and of the store, in step.

    Args:
        store: what is shared.
        clock: tells the time.
        lanes: where rests apply.
        circuits: the process's own.
        announcer: hears of rests, and of circuits that open and close here.
        report: how this worker reports itself; None for a process that does not.
    """

    def __init__(
        self,
        store: LaneStore,
        clock: Clock,
        lanes: Lanes,
        circuits: Circuits,
        announcer: Announcer,
        *,
        report: Callable[[], WorkerReport] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._lanes = lanes
        self._circuits = circuits
        self._announcer = announcer
        self._report = report
        self._rests: dict[str, float] = {}  # to be written, monotonic
        self._changed: dict[tuple[int, str], Circuit] = {}  # circuits to be written, as they were then
        self._touched: set[tuple[int, str]] = set()  # circuits that changed here since the last reading began
        self._round = asyncio.Lock()
        self._news = asyncio.Event()
        self._read_at = float("-inf")
        self._reported_at = float("-inf")
        self._failing = False

    def rest(self, origin: str, vendor: str, seconds: float) -> None:
        """Let a push service rest, here at once and everywhere soon; a shorter rest never cuts a longer one."""
        now = self._clock.monotonic()
        moment, known = now + seconds, self._lanes.rests_until(origin)
        if moment <= known:
            return
        self._lanes.rest(origin, moment)
        self._rests[origin] = moment
        self._news.set()
        if moment > max(known, now) + NEWS_SECONDS:
            self._announcer.announce(LaneRested(origin, vendor, seconds))

    def ask(self, key_id: int, origin: str, now: float) -> Permission:
        """Whether a message may go, by the circuit of its signing key; see the module for what a probe asks for."""
        return self._circuits.ask(key_id, origin, now)

    async def take_probe(self, key_id: int, origin: str) -> bool:
        """Whether this worker is the one that may send the probe that :meth:`ask` granted.

        If not, the circuit is as the others know it: it may even be closed by now.

        Raises:
            Unavailable: the store does not answer; nobody may probe.
        """
        async with self._round:
            await self._write_circuits()
            if await self._store.take_probe(key_id, origin):
                return True
            await self._read()
            return False

    def tell(self, key_id: int, origin: str, verdict: Verdict | None, now: float, *, probe: bool = False) -> None:
        """Learn what came of a message; None where nothing did, so that a probe is not waited for in vain."""
        before = self._circuits.get(key_id, origin)
        if before.state is CircuitState.CLOSED and verdict is not Verdict.BAD_TOKEN:
            return  # nearly every message
        self._circuits.tell(key_id, origin, verdict, now, probe=probe)
        after = self._circuits.get(key_id, origin)
        if after == before:
            return
        self._changed[key_id, origin] = after
        self._touched.add((key_id, origin))
        self._news.set()
        if after.state is CircuitState.CLOSED:
            self._announcer.announce(CircuitClosed(key_id, origin))
        elif after.refusals > before.refusals:
            self._announcer.announce(CircuitOpened(key_id, origin, after.refusals, after.probe_at - now))

    def wake(self) -> None:
        """The database was changed: have a look soon."""
        if self._clock.monotonic() - self._read_at >= WAKE_SECONDS:
            self._news.set()

    async def refresh(self) -> None:
        """One round: write, report, read.

        Raises:
            Unavailable: the store does not answer; what was to be written is kept for the next round.
        """
        async with self._round:
            await self._write_rests()
            await self._write_circuits()
            await self._write_report()
            await self._read()

    async def run(self) -> None:
        """Round after round, until cancelled; while the store does not answer, the process goes by what it knows."""
        while True:
            self._news.clear()
            try:
                await self.refresh()
                self._failing = False
            except Unavailable as error:
                if not self._failing:
                    _log.warning("What workers share cannot be kept in step: %s", error)
                self._failing = True
            if self._failing:  # a store that does not answer is not asked faster because there is more to tell it
                await asyncio.sleep(READ_SECONDS)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(READ_SECONDS):
                    await self._news.wait()

    async def leave(self) -> None:
        """Write what is left, and say that this worker has gone.

        Raises:
            Unavailable: the store does not answer.
        """
        async with self._round:
            await self._write_rests()
            await self._write_circuits()
            if self._report is not None:
                await self._store.leave(self._report().owner)

    async def _write_rests(self) -> None:
        for origin, moment in list(self._rests.items()):
            await self._store.rest_origin(origin, self._epoch(moment))
            if self._rests.get(origin) == moment:
                del self._rests[origin]

    async def _write_circuits(self) -> None:
        for (key_id, origin), circuit in list(self._changed.items()):
            closed = circuit.state is CircuitState.CLOSED
            await self._store.keep_circuit(key_id, origin, None if closed else _moved(circuit, self._epoch))
            if self._changed.get((key_id, origin)) is circuit:
                del self._changed[key_id, origin]

    async def _write_report(self) -> None:
        now = self._clock.monotonic()
        if self._report is not None and now - self._reported_at >= REPORT_SECONDS:
            await self._store.report_worker(self._report())
            self._reported_at = now

    async def _read(self) -> None:
        self._touched.clear()
        state = await self._store.lane_state()
        if self._lanes.rated:
            since = self._clock.now() - LIVE_SECONDS
            live = [report for report in await self._store.workers() if report.seen_at >= since]
            self._lanes.share(sum(not report.stopping for report in live))
        self._adopt(state)
        self._read_at = self._clock.monotonic()

    def _adopt(self, state: LaneState) -> None:
        """Take over what the store says, but for what changed here while it was asked."""
        for origin, until in state.rests.items():
            self._lanes.rest(origin, self._monotonic(until))
        for index in self._circuits.not_closed():
            if index not in state.circuits and index not in self._touched and index not in self._changed:
                self._circuits.put(*index, _CLOSED)
        for (key_id, origin), circuit in state.circuits.items():
            if (key_id, origin) not in self._touched and (key_id, origin) not in self._changed:
                self._circuits.put(key_id, origin, _moved(circuit, self._monotonic))

    def _epoch(self, moment: float) -> float:
        return self._clock.now() + (moment - self._clock.monotonic())

    def _monotonic(self, at: float) -> float:
        return self._clock.monotonic() + (at - self._clock.now())


def _moved(circuit: Circuit, time: Callable[[float], float]) -> Circuit:
    """A circuit in another count of seconds."""
    return Circuit(circuit.state, circuit.refusals, time(circuit.probe_at))
