"""What workers tell each other: which push services rest, where tokens are refused, and who is at work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pushkeep.domain.circuit import Circuit


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


class LaneStore(Protocol):
    """Keeps what workers share."""

    async def rest_origin(self, origin: str, until: float) -> None:
        """Let a push service rest; a shorter rest never cuts a longer one."""
        ...

    async def keep_circuit(self, key_id: int, origin: str, circuit: Circuit | None) -> None:
        """Store a circuit in epoch seconds, or forget it when it has closed."""
        ...

    async def take_probe(self, key_id: int, origin: str) -> bool:
        """Whether the caller is the one worker that may send the probe of a circuit now."""
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
        """Workers that were there within the last minute."""
        ...


class Wakeups(Protocol):
    """Tells that there may be something to do."""

    async def wait(self, seconds_max: float) -> None:
        """Return when the database was changed, here or by another process, or after ``seconds_max``."""
        ...
