"""The worker: takes shards while its lanes have room, sends, writes down, and sleeps when there is nothing to do.

One object for every kind of process. It takes nothing on trust from its own clock: leases are the store's, and what
it may not know to be its own it does not send. It can be killed at any moment.

Its tasks, beside those that load, plan and write: one claims; one makes a checkpoint of everything once a second; one
renews leases, so that no stall in the others loses them unnoticed; one sweeps up what nobody works on; one keeps
rests and circuits in step with other workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pushkeep.app.bookkeeper import Bookkeeper, fact_of
from pushkeep.app.claimer import Claimer
from pushkeep.app.context import Services
from pushkeep.app.dispatch import Dispatcher
from pushkeep.app.judge import Judge
from pushkeep.app.lanes import Lanes
from pushkeep.app.loader import TROUBLE_SECONDS, Loader
from pushkeep.app.planner import PlanRun, run_plan
from pushkeep.app.probes import Probes
from pushkeep.app.rate_meter import RateMeter
from pushkeep.app.shard_run import ShardRun
from pushkeep.app.sharing import Sharing
from pushkeep.app.tasks import Tasks
from pushkeep.domain.event import ShardLeased, ShardsSetAside, WorkerStarted, WorkerStopped
from pushkeep.domain.pacing import LaneLimits, Rates
from pushkeep.domain.sending import Priority
from pushkeep.domain.shard import CHECKPOINT_SECONDS, ShardKind, lease_renew_seconds
from pushkeep.errors import Unavailable
from pushkeep.ports.lanes import Wakeups, WorkerReport
from pushkeep.ports.notifications import Leased
from pushkeep.ports.shards import Ending
from pushkeep.protocol.vendors import UNKNOWN, VENDORS

ALL_PRIORITIES = frozenset(Priority)

SWEEP_SECONDS = 5.0
"""Between two sweeps; also the longest sleep."""

CLAIM_SECONDS_MIN = 0.05
"""Between two claims of which the first found nothing."""

IDLE_SECONDS_MAX = 10.0
"""A shard that could not start anything for so long is given back: another worker may have room for it."""


RUNS_MAX = 128
"""Shards in hand beyond which only hurried ones are taken; a thousand recipients each are some 6 MB."""

TAKEN_RUNS_MAX = 4 * RUNS_MAX
"""Shards in hand beyond which what is handed over is given back at once: where a push service hangs, what is accepted
meanwhile waits in the database."""

LAST_CHECKPOINT_SECONDS_MAX = 5.0
"""For writing down what was done when a stop has taken as long as it may."""

_log = logging.getLogger("pushkeep.app")


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """How much one worker does at once, and how long it takes its leave.

    Attributes:
        lanes: how much is in flight.
        stop_seconds_max: how long a stop waits for what is in flight.
    """

    lanes: LaneLimits = field(default_factory=LaneLimits)
    stop_seconds_max: float = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker runs, as it reports itself.

    Attributes:
        host, pid: of its process.
    """

    host: str = ""
    pid: int = 0


class Worker:
    """Delivers.

    Args:
        services: the ports.
        owner: its name in leases, unlike any other's.
        wakeups: tell that there may be something to do.
        kind: ``web`` or ``worker``, for reports.
        priorities: it claims only these; what is handed to it by :meth:`take` it runs in any case.
        plans: whether it plans audiences.
        notification_id: it claims for this notification only; None for any.
        limits: how much at once.
        rates: what the operator allows for the whole installation.
        place: where it runs, for reports.

    Attributes:
        owner: as given.
    """

    def __init__(
        self,
        services: Services,
        *,
        owner: str,
        wakeups: Wakeups,
        kind: str = "worker",
        priorities: frozenset[Priority] = ALL_PRIORITIES,
        plans: bool = True,
        notification_id: int | None = None,
        limits: WorkerLimits = WorkerLimits(),
        rates: Rates = Rates(),  # noqa: B008 - frozen
        place: Place = Place(),
    ) -> None:
        self.owner = owner
        self._services = services
        self._wakeups = wakeups
        self._kind = kind
        self._limits = limits
        self._place = place
        self._clock = services.clock
        self._started_at = services.clock.now()
        lanes = self._lanes = Lanes(limits.lanes, rates, services.clock.monotonic)
        self._sharing = Sharing(
            services.store, services.clock, lanes, services.circuits, services.announcer, report=self._report
        )
        judge = Judge(services, self._sharing)
        self._tasks = Tasks(lambda error: self._books.trouble(error))
        probes = Probes(services.clock, self._sharing, services.circuits, self._tasks.spawn)
        self._dispatcher = Dispatcher(services, lanes, judge, self, probes)
        self._books = Bookkeeper(services, judge, self._let_go)
        self._loader = Loader(services, self._sharing, self._books, self._dispatcher, probes)
        self._meter = RateMeter(services.clock.monotonic)
        self._poke = asyncio.Event()
        self._stop = asyncio.Event()
        self._idle = asyncio.Event()
        self._failure: Exception | None = None
        self._claimer = Claimer(
            services,
            lanes,
            self._dispatcher,
            owner=owner,
            priorities=priorities,
            plans=plans,
            notification_id=notification_id,
        )

    async def run(self) -> None:
        """Work until :meth:`stop`; then finish what is in flight, write it down, and give the rest back.

        Cancelled, it stops at once, as if it were killed: what is not written down is repeated by others.

        Raises:
            Exception: one of its tasks has ended by itself, or nothing can be posted any more: a worker that does half
                of its work looks alive and is not, so whoever runs it has to start another one.
        """
        announcer = self._services.announcer
        announcer.announce(WorkerStarted(self.owner, self._kind))
        tasks = self._tasks
        claims = tasks.last(self._claims())
        tasks.every(CHECKPOINT_SECONDS, self._checkpoint)
        tasks.every(lease_renew_seconds(self._services.store.lease_seconds) / 2, self._books.renew)
        tasks.every(SWEEP_SECONDS, self._sweep)
        tasks.last(self._share())
        try:
            await tasks.until(self._stop)
            self._poke.set()
            await claims
            await self._finish_all()
            with contextlib.suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(LAST_CHECKPOINT_SECONDS_MAX):
                    await self._sharing.leave()
        finally:
            self._dispatcher.stopping = True
            await tasks.cancel()
            self._idle.set()  # whoever waits for it waits no longer,
            self._stop.set()  # and what is handed over from now on is given back at once
            announcer.announce(WorkerStopped(self.owner, self._kind))
        if self._failure is not None:
            raise self._failure

    def take(self, leased: Sequence[Leased]) -> None:
        """Run shards that are on loan to this worker already: inserted so a moment ago."""
        # By our clock the loan began when they were handed over; a load finds out if that is not true any more.
        for one in leased:
            self._begin(one, self._clock.monotonic())

    def stop(self) -> None:
        """Take nothing more; :meth:`run` returns when what is in flight is done."""
        self._stop.set()
        self._poke.set()

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stop.is_set()

    async def wait_idle(self) -> None:
        """Wait until nothing is in hand and nothing is due, as far as this worker claims, or it has ended."""
        await self._idle.wait()

    def figures(self) -> Mapping[str, float]:
        """What it is doing: shards on loan, recipients still to be started, in flight, sent, messages a second."""
        return {
            "leased": len(self._books.runs) + len(self._books.plans),
            "waiting": self._dispatcher.unstarted(),
            "in_flight": self._lanes.in_flight,
            "sent": self._dispatcher.started,
            "rate": round(self._meter.rate(self._dispatcher.started), 1),
        }

    def lane_figures(self) -> Mapping[str, tuple[int, int]]:
        """Messages in flight and what lanes allow now, by vendor: :meth:`pushkeep.app.lanes.Lanes.figures`."""
        return self._lanes.figures()

    # What the dispatcher asks for.

    def load(self, run: ShardRun, positions: list[int]) -> None:
        """See :class:`~pushkeep.app.dispatch.Desk`."""
        self._tasks.spawn(self._loader.load(run, positions))

    def finish(self, run: ShardRun) -> None:
        """See :class:`~pushkeep.app.dispatch.Desk`."""
        if not run.writing:
            self._tasks.spawn(self._books.write(run))

    def has_room(self) -> None:
        """See :class:`~pushkeep.app.dispatch.Desk`."""
        if self._claimer.wants_more or not self._books.runs:
            self._poke.set()

    def fail(self, error: Exception) -> None:
        """See :class:`~pushkeep.app.dispatch.Desk`."""
        self._failure = self._failure or error
        self.stop()

    # Taking work.

    async def _claims(self) -> None:
        while not self.stopping:
            began = self._clock.monotonic()
            self._poke.clear()
            pause = await self._claim_or_pause()
            if pause is None:
                continue
            if not self._books.runs and not self._books.plans and not self._poke.is_set():
                self._idle.set()
            await self._sleep(pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(CLAIM_SECONDS_MIN - (self._clock.monotonic() - began), 0.0)):
                    await self._stop.wait()
            self._sharing.wake()

    async def _claim_or_pause(self) -> float | None:
        """Take what there is; for how long to sleep where there is nothing, None where there may be more."""
        try:
            if await self._claim_round():
                return None
            due = await self._services.store.next_due()
            self._books.answered()
            return SWEEP_SECONDS if due is None else min(max(due - self._clock.now(), CLAIM_SECONDS_MIN), SWEEP_SECONDS)
        except Unavailable as error:
            self._books.trouble(error)
        except Exception as error:
            _log.error("Looking for work failed with an internal error (%s).", type(error).__name__)
        return TROUBLE_SECONDS

    async def _claim_round(self) -> bool:
        """Take what there is room for; whether anything was taken."""
        taken = 0
        in_hand = len(self._books.runs)
        if in_hand >= TAKEN_RUNS_MAX:
            return False
        hurry_only = in_hand >= RUNS_MAX
        async for leased, before in self._claimer.round(hurry_only=hurry_only, plans=not self._books.plans):
            self._begin(leased, before)
            taken += 1
        return taken > 0

    def _begin(self, leased: Leased, lent_at: float) -> None:
        """One more shard in hand."""
        if not self.stopping:
            self._idle.clear()
        shard, now = leased.shard, self._clock.monotonic()
        lease_ends = lent_at + self._services.store.lease_seconds
        self._services.announcer.announce(
            ShardLeased(shard.vendor, leased.job.priority, len(shard.members) - len(shard.done), shard.takeovers > 0)
        )
        if shard.kind is ShardKind.PLAN:
            plan = PlanRun(leased, lease_ends=lease_ends, now=now)
            self._books.plans[shard.lease.shard_id] = plan
            self._tasks.spawn(self._plan(plan))
            return
        before = self._books.runs.get(shard.lease.shard_id)
        if before is not None:  # its lease had run out unnoticed, while the database or this process stood still
            self._books.lose(before)
        run = ShardRun(leased, VENDORS.get(shard.vendor, UNKNOWN), lease_ends=lease_ends, now=now)
        self._books.runs[shard.lease.shard_id] = run
        if self.stopping or len(self._books.runs) > TAKEN_RUNS_MAX:
            run.end(Ending.RELEASE)
        self._dispatcher.add(run)

    async def _sleep(self, seconds: float) -> None:
        """Until something may be there to do, or there is room again, or so many seconds have passed."""
        waiting = [asyncio.ensure_future(self._wakeups.wait(seconds)), asyncio.ensure_future(self._poke.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    # Chores.

    async def _plan(self, plan: PlanRun) -> None:
        try:
            await run_plan(self._services, plan, lambda: self.stopping, self._books.trouble)
        finally:
            self._books.plans.pop(plan.lease.shard_id, None)
            self._poke.set()

    async def _checkpoint(self) -> None:
        now, wall = self._clock.monotonic(), self._clock.now()
        for run in list(self._books.runs.values()):
            if wall >= run.job.deadline:
                run.end(Ending.EXPIRE)
            elif not run.in_flight and run.ending is None and now - run.progressed_at > IDLE_SECONDS_MAX:
                run.end(Ending.RELEASE)
        try:
            self._dispatcher.tend_all()
        finally:  # whatever is wrong with one of them, what was done is written down
            await self._books.write_all()
        if self._claimer.wants_more:
            self._poke.set()

    async def _sweep(self) -> None:
        swept = await self._services.store.sweep()
        for ended in swept.ended:
            self._services.announcer.announce(fact_of(ended))
        if swept.set_aside:
            self._services.announcer.announce(ShardsSetAside(swept.set_aside))
        if swept.expired or swept.set_aside:
            self._poke.set()

    async def _share(self) -> None:
        while True:
            try:
                await self._sharing.run()
            except Exception as error:
                _log.error("Sharing rests and circuits failed with an internal error (%s).", type(error).__name__)
                await asyncio.sleep(TROUBLE_SECONDS)

    # Leaving.

    async def _finish_all(self) -> None:
        """Let what is in flight end, and give everything back."""
        for run in list(self._books.runs.values()):
            run.end(Ending.RELEASE)
            self._dispatcher.tend(run)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.stop_seconds_max):
                while self._books.runs or self._books.plans:
                    self._poke.clear()
                    await self._poke.wait()
        self._dispatcher.stopping = True
        for run in self._books.runs.values():  # what is in flight still is repeated by another worker
            run.in_flight = run.loading = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_CHECKPOINT_SECONDS_MAX):
                await self._books.write_all()
        for run in self._books.runs.values():
            run.lost = True

    def _let_go(self, run: ShardRun) -> None:
        self._dispatcher.remove(run)
        self._poke.set()

    def _report(self) -> WorkerReport:
        place = self._place
        return WorkerReport(
            self.owner,
            self._kind,
            place.host,
            place.pid,
            self._started_at,
            self._clock.now(),
            self.stopping,
            self.figures(),
        )
