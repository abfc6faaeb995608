"""What an operator wants to see at a glance: what is under way, who works, what rests, what is stopped, what waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pushkeep.app.progress import Progress, status_of
from pushkeep.domain.circuit import CircuitState
from pushkeep.domain.project import Project
from pushkeep.domain.sending import Account, Priority
from pushkeep.ports import Store
from pushkeep.ports.lanes import Backlog, WorkerReport

NOTIFICATIONS_SHOWN_MAX = 20
"""Each costs sums over its shards; more do not fit a screen."""


@dataclass(frozen=True, slots=True)
class OpenCircuit:
    """A push service that refuses our token.

    Attributes:
        signing_key: the key's id as people see it.
        origin: of the push service.
        state: open, or half open while a probe is under way.
        refusals: in a row.
        probe_seconds: until the next probe; 0.0 where it is due.
    """

    signing_key: str
    origin: str
    state: CircuitState
    refusals: int
    probe_seconds: float


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of an installation at one moment.

    Attributes:
        at: epoch seconds.
        notifications: those that have not ended, the nearest deadline first; with accounts by vendor.
        more: whether there are further ones.
        backlog: what waits, by priority.
        workers: processes at work.
        rests: seconds for which push services still rest, by origin.
        circuits: push services that refuse our token.
    """

    at: float
    notifications: tuple[Progress, ...]
    more: bool
    backlog: Mapping[Priority, Backlog]
    workers: tuple[WorkerReport, ...]
    rests: Mapping[str, float]
    circuits: tuple[OpenCircuit, ...]

    @property
    def rate(self) -> float:
        """Messages a second that all workers send, as they report it themselves."""
        return sum(worker.figures.get("rate", 0.0) for worker in self.workers)


async def overview(store: Store, project: Project, now: float, *, limit: int = NOTIFICATIONS_SHOWN_MAX) -> Overview:
    """Look at everything once; nothing is written.

    Args:
        store: what is looked at.
        project: whose notifications.
        now: epoch seconds.
        limit: notifications at most.

    Raises:
        Unavailable: the store does not answer.
    """
    records = await store.under_way(project, limit=limit + 1)
    shown = records[:limit]
    accounts = await store.accounts(project, [record.id for record in shown])
    nobody = Account(targeted=0, counts={}, moved=0, followed_up=0, undone=0)
    state = await store.lane_state()
    keys = {key.id: key.key.key_id for key in await store.signing_keys(project)}
    return Overview(
        at=now,
        notifications=tuple(
            [
                Progress(
                    record,
                    status_of(record, now),
                    accounts.get(record.id, nobody),
                    await store.accounts_by_vendor(project, record.id),
                    {},
                )
                for record in shown
            ]
        ),
        more=len(records) > limit,
        backlog=await store.backlog(),
        workers=await store.workers(),
        rests={origin: until - now for origin, until in sorted(state.rests.items()) if until > now},
        circuits=tuple(
            OpenCircuit(
                keys.get(key_id, str(key_id)),
                origin,
                circuit.state,
                circuit.refusals,
                max(circuit.probe_at - now, 0.0),
            )
            for (key_id, origin), circuit in sorted(state.circuits.items())
        ),
    )
