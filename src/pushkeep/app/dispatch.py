"""Which message starts next: by lane, by priority, notification beside notification, in turns.

Messages are started and answered by call-backs, without a task for each. A lane says how much may be in flight; a
turn says for how long one goes on before others on the event loop are looked after. Each start is checked at the last
moment: the lease, the deadline, how long ago the recipient was looked at, the rest of its endpoint, the circuit of
its key.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from typing import Protocol

from pushkeep.app.context import Services
from pushkeep.app.judge import Judge
from pushkeep.app.lanes import Lanes
from pushkeep.app.probes import Probes
from pushkeep.app.shard_run import Flight, ShardRun
from pushkeep.app.traffic import BATCH_MEMBERS_MIN, BLOCKED_LOOKED_AT, PRIORITIES, AllTraffic, Traffic
from pushkeep.app.turn import Turn
from pushkeep.domain.event import AttemptEnded
from pushkeep.domain.sending import Priority
from pushkeep.domain.shard import CHECKPOINT_SECONDS, SUB_BATCH_MEMBERS_MAX, Kind, lease_margin_seconds
from pushkeep.errors import PayloadTooLarge, PushkeepError
from pushkeep.ports.shards import Ending, SettledMember
from pushkeep.protocol.answer import Answer
from pushkeep.protocol.verdict import classify

RUN_STARTS = 16
"""Messages of one shard before another of the same priority has its turn."""


REST_WAITED_SECONDS = 1.0
"""A shorter rest is waited for; for a longer one shards are given back until it is over."""


_log = logging.getLogger("pushkeep.app")


class Desk(Protocol):
    """Who does for the dispatcher what takes time."""

    def load(self, run: ShardRun, positions: list[int]) -> None:
        """Look at these members; they come back by ``take_in`` or ``not_loaded``, and then to ``tend``."""
        ...

    def finish(self, run: ShardRun) -> None:
        """Nothing more happens to this shard here: write it down and let it go."""
        ...

    def has_room(self) -> None:
        """More shards would be welcome."""
        ...

    def fail(self, error: Exception) -> None:
        """Nothing can be posted any more: this worker has to end."""
        ...


class Dispatcher:
    """Starts messages.

    Args:
        services: the ports.
        lanes: how much may be in flight to whom.
        judge: decides about answers.
        desk: loads and finishes.
        probes: finds out whether this worker may send a circuit's probe.

    Attributes:
        started: messages, since it was made.
        loads_paused_until: monotonic seconds before which nothing is loaded, because the store did not answer.
        stopping: whether nothing starts any more.
    """

    def __init__(self, services: Services, lanes: Lanes, judge: Judge, desk: Desk, probes: Probes) -> None:
        self._services = services
        self._lanes = lanes
        self._judge = judge
        self._desk = desk
        self._probes = probes
        self._monotonic = services.clock.monotonic
        self._margin = lease_margin_seconds(services.store.lease_seconds)
        self._turn = Turn(self._monotonic)
        self._traffic = AllTraffic(lanes)
        self._of = self._traffic.of
        self._active: deque[Traffic] = deque()
        self._full: deque[Traffic] = deque()  # those that wait for room in the whole worker; some are not full any more
        self._pump_due: asyncio.Handle | None = None
        self.started = 0
        self.loads_paused_until = -math.inf
        self.stopping = False

    def add(self, run: ShardRun) -> None:
        """One more shard."""
        self._of(run).runs.append(run)
        self.tend(run)

    def remove(self, run: ShardRun) -> None:
        """A shard that is written down, or another worker's."""
        traffic = self._of(run)
        if run in traffic.runs:
            traffic.runs.remove(run)
        if run.listed:
            traffic.startable[run.job.priority].remove(run)
            run.listed = False
        self._traffic.let_go(traffic)
        self._desk.has_room()

    def full_origins(self, priority: Priority) -> frozenset[str]:
        """Push services for which no more shards of this priority are wanted now."""
        return self._traffic.full_origins(priority, self._monotonic())

    def tend(self, run: ShardRun) -> None:
        """Look what this shard needs: to be loaded, started, given back, finished."""
        if run.lost:
            return
        if run.ending is None:
            self._look_at_rest(run)
        if run.ending is None and run.held:
            self._probes.look_at_held(run, self._monotonic())
        if run.finished:
            self._desk.finish(run)
            return
        if run.ending is not None:
            return
        self._stock(run)
        if run.ready:
            self._list(run)

    def tend_all(self) -> None:
        """Look at every shard; leases may have been renewed, rests have ended, stale messages been forgotten."""
        for run in self._traffic.runs():
            self.tend(run)

    def unstarted(self) -> int:
        """Members of all shards that are still to be started."""
        return sum(run.waiting for run in self._traffic.runs())

    def answered(self, flight: Flight, answer: Answer) -> None:
        """What came of a message."""
        run, now = flight.run, self._monotonic()
        traffic = self._of(run)
        seconds = now - flight.begun_at
        run.in_flight -= 1
        run.progressed_at = now
        verdict = classify(run.vendor, answer)
        traffic.lane.ended(run.job.priority, verdict, seconds, now)
        self._services.announcer.announce(AttemptEnded(run.shard.vendor, verdict, seconds))
        try:
            if run.lost:
                self._judge.learn(flight, verdict, now)
            elif self._judge.judge(flight, answer, verdict, now):
                self._repeat(flight)
        except Exception as error:
            self._judge.fault(flight, error, verdict)
        if flight.probe:
            flight.probe = False
            self._probes.ended(flight.key_id, run.shard.origin)
            self._after_probe(traffic)
        if now < traffic.lane.rests_until:
            for other in list(traffic.runs):
                self.tend(other)
        elif run.left == 0 or not run.in_flight:
            self.tend(run)
        self._activate(traffic)
        self._traffic.let_go(traffic)
        for _ in range(min(len(self._full), BLOCKED_LOOKED_AT)):
            blocked = self._full.popleft()
            blocked.blocked = False
            self._activate(blocked)

    def wake(self) -> None:
        """There may be something to start. Many changes of one moment make one turn."""
        if self._pump_due is None:
            self._pump_due = asyncio.get_running_loop().call_soon(self._pump)

    def _list(self, run: ShardRun) -> None:
        traffic = self._of(run)
        if not run.listed:
            run.listed = True
            traffic.startable[run.job.priority].append(run)
        self._activate(traffic)

    def _activate(self, traffic: Traffic) -> None:
        if not traffic.listed:
            traffic.listed = True
            self._active.append(traffic)
            self.wake()

    def _stock(self, run: ShardRun) -> None:
        """Load the next members, just in time for their turn."""
        traffic = self._of(run)
        if not run.pending or run.loading or len(run.ready) > traffic.batch // 2 or self.stopping:
            return
        now = self._monotonic()
        if now < max(self.loads_paused_until, traffic.lane.rests_until) or now >= run.lease_ends - self._margin:
            return
        priority = run.job.priority
        if priority is not Priority.TRANSACTIONAL and traffic.stock(priority) >= 2 * traffic.batch:
            return
        if self._probes.hold_all(run, now):
            self._desk.finish(run)
            return
        if not run.ready and run.served:
            traffic.batch = min(traffic.batch * 2, SUB_BATCH_MEMBERS_MAX)  # it was used up before the next came
        positions = [run.pending.popleft() for _ in range(min(traffic.batch, len(run.pending)))]
        run.loading += len(positions)
        if not run.pending:
            self._desk.has_room()
        self._desk.load(run, positions)

    def _pump(self) -> None:
        self._pump_due = None
        turn, active = self._turn, self._active
        turn.begin()
        while active and not self.stopping:
            traffic = active[0]
            try:
                started = self._serve(traffic)
            except Exception as error:  # the next checkpoint looks at it again; nobody else waits behind it
                _log.error("Sending failed with an internal error (%s).", type(error).__name__)
                started = False
            if started:
                active.rotate(-1)
                if turn.ends():
                    self.wake()
                    return
            else:
                active.popleft()
                traffic.listed = False

    def _serve(self, traffic: Traffic) -> bool:
        """Start one message; whether there was one that may."""
        lane = traffic.lane
        for priority in PRIORITIES:
            runs = traffic.startable[priority]
            while runs:
                run, now = runs[0], self._monotonic()
                if not run.ready or run.ending is not None or now >= run.lease_ends - self._margin:
                    runs.popleft()
                    run.listed = False
                    if run.ready or now >= run.lease_ends - self._margin:  # else what a probe holds back stays loaded
                        run.unload()
                    self.tend(run)
                    continue
                wait = lane.may_start(priority, now, run.job.project_id)
                if wait > 0.0:
                    self._wait(traffic, wait)
                    return False
                flight = run.ready.popleft()
                try:
                    started = self._start(traffic, run, flight, now)
                except Exception as error:
                    self._judge.fault(flight, error)
                    started = False
                if started:
                    run.served += 1
                    if run.served % RUN_STARTS == 0:
                        runs.rotate(-1)
                    if len(run.ready) <= traffic.batch // 2:
                        self._stock(run)
                    return True
                if not run.ready:
                    self.tend(run)
        return False

    def _wait(self, traffic: Traffic, seconds: float) -> None:
        """Nothing may start there now: ask again when something ended, or in so many seconds."""
        if math.isinf(seconds):
            if not traffic.blocked and not self._lanes.has_room(traffic.lane, Priority.NORMAL):
                traffic.blocked = True
                self._full.append(traffic)
            return
        if traffic.timer is None:
            traffic.timer = asyncio.get_running_loop().call_later(seconds, self._due, traffic)

    def _due(self, traffic: Traffic) -> None:
        traffic.timer = None
        for run in list(traffic.runs):
            self.tend(run)
        self._activate(traffic)

    def _start(self, traffic: Traffic, run: ShardRun, flight: Flight, now: float) -> bool:
        """Start a message, if nothing speaks against it; whether it started."""
        if now - flight.loaded_at > CHECKPOINT_SECONDS:
            stale = 1 + run.unload()
            run.pending.appendleft(flight.position)
            if stale > 1:
                traffic.batch = max(traffic.batch // 2, BATCH_MEMBERS_MIN)
            return False
        left = run.job.deadline - self._services.clock.now()
        if left <= 0:
            run.end(Ending.EXPIRE)
            return False
        origin, services = run.shard.origin, self._services
        held = services.statistics.held_seconds(flight.record.id, now)
        if held > 0:
            self._judge.held_back(flight, held)
            return False
        if len(services.circuits):
            permission = services.circuits.ask(flight.key_id, origin, now)
            if permission.probe:
                self._probe(run, flight)
                return False
            if not permission.granted:
                run.held.append(flight)
                return False
        return self._begin(traffic, run, flight, left, now)

    def _begin(self, traffic: Traffic, run: ShardRun, flight: Flight, left: float, now: float) -> bool:
        """Encrypt, sign and post; False if that cannot be done, which is this recipient's trouble alone."""
        if not flight.has_key:
            run.settle(SettledMember(flight.position, Kind.SKIPPED_KEY))
            return False
        try:
            request = flight.build(left)
        except PayloadTooLarge:
            run.settle(SettledMember(flight.position, Kind.TOO_LARGE))
            return False
        except PushkeepError:
            run.settle(SettledMember(flight.position, Kind.SKIPPED_UNREADABLE))
            return False
        flight.begun_at = now
        try:
            self._services.transport.start(request, flight.answered)
        except RuntimeError as error:  # it is closed: this worker ends, and another one goes on
            run.pending.appendleft(flight.position)
            self.stopping = True
            self._desk.fail(error)
            return False
        traffic.lane.started(run.job.priority, now, run.job.project_id)
        run.in_flight += 1
        run.progressed_at = now
        self.started += 1
        return True

    def _repeat(self, flight: Flight) -> None:
        """Once more at once, with what is different about it."""
        run, again = flight.run, flight.again
        if run.ending is not None:
            run.pending.appendleft(flight.position)
            return
        if again is not None and again.key_id is not None:
            flight.key_id = again.key_id
        run.ready.appendleft(flight)
        self._list(run)

    def _probe(self, run: ShardRun, flight: Flight) -> None:
        """Ask whether this worker is the one to send the probe, and send it then."""
        run.in_flight += 1

        def told(taken: bool) -> None:
            run.in_flight -= 1
            now = self._monotonic()
            traffic = self._of(run)
            if taken and self._may_probe(traffic, run, flight, now):
                flight.probe = True
                if self._post_probe(traffic, run, flight, now):
                    return
                flight.probe = False
                self._judge.learn(flight, None, now)
            elif not run.lost:
                run.held.append(flight)
            self._probes.ended(flight.key_id, run.shard.origin)
            self._after_probe(traffic)
            self.tend(run)

        self._probes.ask(flight.key_id, run.shard.origin, told)

    def _may_probe(self, traffic: Traffic, run: ShardRun, flight: Flight, now: float) -> bool:
        """Whether what was true before the store was asked still is; a probe that is not sent is missed by nobody."""
        ended = run.lost or run.ending is not None or self.stopping
        fresh = now - flight.loaded_at <= CHECKPOINT_SECONDS and now < run.lease_ends - self._margin
        return fresh and not ended and now >= traffic.lane.rests_until

    def _post_probe(self, traffic: Traffic, run: ShardRun, flight: Flight, now: float) -> bool:
        left = run.job.deadline - self._services.clock.now()
        try:
            return left > 0 and self._begin(traffic, run, flight, left, now)
        except Exception as error:
            self._judge.fault(flight, error)
            return False

    def _after_probe(self, traffic: Traffic) -> None:
        """Who was held back because of a probe may be started, or is told to wait on."""
        for run in list(traffic.runs):
            if run.held:
                self.tend(run)

    def _look_at_rest(self, run: ShardRun) -> None:
        """A shard whose push service rests is given back until that is over, once nothing is in flight."""
        seconds = self._of(run).lane.rests_until - self._monotonic()
        if seconds > REST_WAITED_SECONDS:
            run.end(Ending.RELEASE, self._services.clock.now() + seconds)
