"""What a worker has in hand for one push service."""

from __future__ import annotations

import asyncio
from collections import deque

from pushkeep.app.lanes import Lane, Lanes
from pushkeep.app.shard_run import ShardRun
from pushkeep.domain.sending import Priority
from pushkeep.domain.shard import SUB_BATCH_MEMBERS_MAX

BATCH_MEMBERS_MIN = 4
"""Where a push service takes so few that most go stale before their turn, no more are loaded at a time."""

BLOCKED_LOOKED_AT = 4
"""Push services that are looked at when a message of another one ended, where the whole worker was full."""

FULL_WINDOWS = 4
FULL_MEMBERS_MIN = 16
"""A lane has enough in hand with so many windows' worth of messages, or so many messages."""

PRIORITIES = tuple(Priority)


class Traffic:
    """What one worker has to send to one push service.

    Attributes:
        lane: how much may be in flight.
        runs: its shards.
        startable: those with loaded messages, by priority.
        batch: members loaded at a time.
        listed: whether it stands among those that may start something.
        blocked: whether it waits for room in the whole worker.
        timer: when it is looked at again by itself.
    """

    __slots__ = ("batch", "blocked", "lane", "listed", "runs", "startable", "timer")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.runs: list[ShardRun] = []
        self.startable: tuple[deque[ShardRun], ...] = tuple(deque() for _ in PRIORITIES)
        self.batch = 2 * BATCH_MEMBERS_MIN if lane.stranger else SUB_BATCH_MEMBERS_MAX
        self.listed = False
        self.blocked = False
        self.timer: asyncio.TimerHandle | None = None

    def full(self, priority: Priority) -> bool:
        """Whether it has enough in hand: a hurried message looks at others of its kind alone."""
        hurry = priority is Priority.TRANSACTIONAL
        waiting = sum(run.waiting for run in self.runs if not hurry or run.job.priority is priority)
        return waiting >= max(FULL_WINDOWS * self.lane.window, FULL_MEMBERS_MIN)

    def stock(self, priority: Priority) -> int:
        """Members loaded, or being loaded, that come before one more of this priority."""
        return sum(len(run.ready) + run.loading for run in self.runs if run.job.priority <= priority)


class AllTraffic:
    """What one worker has to send, by push service.

    Args:
        lanes: how much may be in flight.
    """

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._by_origin: dict[str, Traffic] = {}

    def of(self, run: ShardRun) -> Traffic:
        """The traffic that a shard belongs to."""
        origin = run.shard.origin
        traffic = self._by_origin.get(origin)
        if traffic is None:
            traffic = self._by_origin[origin] = Traffic(self._lanes.lane(origin, run.shard.vendor))
        return traffic

    def let_go(self, traffic: Traffic) -> None:
        """Forget a push service that nothing is sent to."""
        if traffic.runs or traffic.lane.in_flight:
            return
        if traffic.timer is not None:
            traffic.timer.cancel()
        self._by_origin.pop(traffic.lane.origin, None)

    def runs(self) -> list[ShardRun]:
        """Every shard in hand."""
        return [run for traffic in self._by_origin.values() for run in traffic.runs]

    def full_origins(self, priority: Priority, now: float) -> frozenset[str]:
        """Push services for which no more shards of this priority are wanted now."""
        full = (origin for origin, traffic in self._by_origin.items() if traffic.full(priority))
        return self._lanes.resting(now).union(full)
