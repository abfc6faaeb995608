"""What workers tell each other: which push services rest, where tokens are refused, and who is at work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pushkeep.domain.circuit import Circuit
from pushkeep.domain.project import Project
from pushkeep.domain.sending import NotificationRecord, Priority

WORKER_SECONDS_MAX = 60.0
"""A worker that has not reported for so long is taken for gone; it reports every few seconds."""


@dataclass(frozen=True, slots=True)
class LaneState:
    """What is shared between workers at this moment.

    Attributes:
        rests: epoch seconds until which push services rest, by origin; past ones are left out.
        circuits: circuits that are not closed, by the signing key's number and origin, in epoch seconds.
    """

    rests: Mapping[str, float]
    circuits: Mapping[tuple[int, str], Circuit]


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """A process at work, as it reports itself every few seconds.

    Attributes:
        owner: its name in leases.
        kind: ``web`` or ``worker``.
        host, pid: where it is.
        started_at, seen_at: epoch seconds.
        stopping: whether it finishes what is in flight and takes nothing more.
        figures: what it is doing, by name: ``leased``, ``in_flight``, ``sent``, ``rate`` (messages a second), …
    """

    owner: str
    kind: str
    host: str
    pid: int
    started_at: float
    seen_at: float
    stopping: bool
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits or is under way in one priority.

    Attributes:
        recipients: without a final state, in shards that are ready or on loan.
        shards: how many such shards; those that wait for their time, too.
        leased: of these, on loan.
        plans: audiences that wait to be planned further.
        set_aside: recipients in shards that worker after worker lost; not among the others.
        oldest_seconds: for how long the shard that is due for longest has been due, paused ones aside; 0 for none.
    """

    recipients: int = 0
    shards: int = 0
    leased: int = 0
    plans: int = 0
    set_aside: int = 0
    oldest_seconds: float = 0.0


class LaneStore(Protocol):
    """Keeps what workers share, and tells how much there is to do."""

    async def rest_origin(self, origin: str, until: float) -> None:
        """Let a push service rest; a shorter rest never cuts a longer one."""
        ...

    async def keep_circuit(self, key_id: int, origin: str, circuit: Circuit | None) -> None:
        """Store a circuit in epoch seconds, or forget it when it has closed.

        One that would bring the probe nearer is not stored: who wrote it had not heard of what came later.
        """
        ...

    async def take_probe(self, key_id: int, origin: str) -> bool:
        """Whether the caller is the one worker that may send the probe of a circuit now.

        True once in :data:`~pushkeep.domain.circuit.PROBE_SECONDS_MAX`, and not before the circuit has cooled down;
        false as well where no circuit is stored, because another worker's probe was taken.
        """
        ...

    async def lane_state(self) -> LaneState:
        """What is shared at this moment."""
        ...

    async def report_worker(self, report: WorkerReport) -> None:
        """Say that a worker is there."""
        ...

    async def leave(self, owner: str) -> None:
        """Say that a worker has gone."""
        ...

    async def workers(self) -> tuple[WorkerReport, ...]:
        """Workers that were there within the last minute, by the time of their start."""
        ...

    async def under_way(self, project: Project, *, limit: int) -> tuple[NotificationRecord, ...]:
        """Notifications that have not ended, scheduled and paused ones too; the nearest deadline first."""
        ...

    async def backlog(self) -> Mapping[Priority, Backlog]:
        """What waits or is under way at this moment, for each priority."""
        ...


class Wakeups(Protocol):
    """Tells that there may be something to do."""

    async def wait(self, seconds_max: float) -> None:
        """Return when the database was changed, here or by another process, or after ``seconds_max``."""
        ...
