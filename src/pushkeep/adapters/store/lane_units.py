"""Units of work on what workers share: rests, circuits, who is at work, and how much waits.

None of it is about people, and so none of it belongs to a project.
"""

from __future__ import annotations

import json
from dataclasses import replace

from sqlalchemy import Connection, and_, bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from pushkeep.adapters.store import notification_units
from pushkeep.adapters.store.tables import circuits, notifications, origin_rests, shards, workers
from pushkeep.domain.circuit import PROBE_SECONDS_MAX, Circuit, CircuitState
from pushkeep.domain.project import Project
from pushkeep.domain.sending import NotificationRecord, Priority
from pushkeep.domain.shard import ShardKind, ShardState
from pushkeep.ports.lanes import WORKER_SECONDS_MAX, Backlog, LaneState, WorkerReport

FORGOTTEN_SECONDS = 3600.0
"""A worker's row outlives its silence by so much: enough for an operator to see who died, little to keep."""

# INSERT … ON CONFLICT DO UPDATE is written alike for PostgreSQL, with that dialect's insert().
_rest = insert(origin_rests)
_REST = _rest.on_conflict_do_update(
    index_elements=["origin"],
    set_={"until": _rest.excluded.until},
    where=origin_rests.c.until < _rest.excluded.until,
)
_circuit = insert(circuits)
_CIRCUIT = _circuit.on_conflict_do_update(
    index_elements=["signing_key_id", "origin"],
    set_={name: _circuit.excluded[name] for name in ("state", "refusals", "probe_at")},
    where=circuits.c.probe_at < _circuit.excluded.probe_at,
)
_worker = insert(workers)
_WORKER = _worker.on_conflict_do_update(
    index_elements=["owner"],
    set_={name: _worker.excluded[name] for name in ("seen_at", "stopping", "figures")},
)


_UNFINISHED = (
    select(notifications.c.public_id)
    .where(notifications.c.finished_at.is_(None), notifications.c.project_id == bindparam("project_id"))
    .order_by(notifications.c.deadline)
    .limit(bindparam("limit"))
)


def rest_origin(connection: Connection, origin: str, until: float, *, now: float) -> None:
    """See :meth:`pushkeep.ports.lanes.LaneStore.rest_origin`."""
    connection.execute(delete(origin_rests).where(origin_rests.c.until <= now))
    connection.execute(_REST, {"origin": origin, "until": until})


def keep_circuit(connection: Connection, key_id: int, origin: str, circuit: Circuit | None) -> None:
    """See :meth:`pushkeep.ports.lanes.LaneStore.keep_circuit`."""
    if circuit is None or circuit.state is CircuitState.CLOSED:
        connection.execute(delete(circuits).where(circuits.c.signing_key_id == key_id, circuits.c.origin == origin))
        return
    values = {"state": circuit.state.value, "refusals": circuit.refusals, "probe_at": circuit.probe_at}
    connection.execute(_CIRCUIT, {"signing_key_id": key_id, "origin": origin, **values})


def take_probe(connection: Connection, key_id: int, origin: str, *, now: float) -> bool:
    """See :meth:`pushkeep.ports.lanes.LaneStore.take_probe`."""
    taken = connection.execute(
        update(circuits)
        .where(circuits.c.signing_key_id == key_id, circuits.c.origin == origin, circuits.c.probe_at <= now)
        .values(state=CircuitState.HALF_OPEN.value, probe_at=now + PROBE_SECONDS_MAX)
    )
    return taken.rowcount == 1


def lane_state(connection: Connection, *, now: float) -> LaneState:
    """See :meth:`pushkeep.ports.lanes.LaneStore.lane_state`."""
    rests = connection.execute(select(origin_rests.c.origin, origin_rests.c.until).where(origin_rests.c.until > now))
    rows = connection.execute(select(circuits))
    return LaneState(
        rests={row.origin: row.until for row in rests},
        circuits={
            (row.signing_key_id, row.origin): Circuit(CircuitState(row.state), row.refusals, row.probe_at)
            for row in rows
        },
    )


def report_worker(connection: Connection, report: WorkerReport) -> None:
    """See :meth:`pushkeep.ports.lanes.LaneStore.report_worker`."""
    connection.execute(delete(workers).where(workers.c.seen_at < report.seen_at - FORGOTTEN_SECONDS))
    connection.execute(
        _WORKER,
        {
            "owner": report.owner,
            "kind": report.kind,
            "host": report.host,
            "pid": report.pid,
            "started_at": report.started_at,
            "seen_at": report.seen_at,
            "stopping": report.stopping,
            "figures": json.dumps(dict(report.figures), separators=(",", ":")),
        },
    )


def leave(connection: Connection, owner: str) -> None:
    """See :meth:`pushkeep.ports.lanes.LaneStore.leave`."""
    connection.execute(delete(workers).where(workers.c.owner == owner))


def load_workers(connection: Connection, *, now: float) -> tuple[WorkerReport, ...]:
    """See :meth:`pushkeep.ports.lanes.LaneStore.workers`."""
    rows = connection.execute(
        select(workers).where(workers.c.seen_at > now - WORKER_SECONDS_MAX).order_by(workers.c.started_at)
    )
    return tuple(
        WorkerReport(
            owner=row.owner,
            kind=row.kind,
            host=row.host,
            pid=row.pid,
            started_at=row.started_at,
            seen_at=row.seen_at,
            stopping=row.stopping,
            figures=json.loads(row.figures),
        )
        for row in rows
    )


def under_way(connection: Connection, project: Project, *, limit: int) -> tuple[NotificationRecord, ...]:
    """See :meth:`pushkeep.ports.lanes.LaneStore.under_way`."""
    found = connection.execute(_UNFINISHED, {"project_id": project.id, "limit": limit}).scalars()
    records = [notification_units.find(connection, project, str(public_id)) for public_id in found.all()]
    return tuple(record for record in records if record is not None)


def backlog(connection: Connection, *, now: float) -> dict[Priority, Backlog]:
    """See :meth:`pushkeep.ports.lanes.LaneStore.backlog`."""
    sending = shards.c.kind == ShardKind.SEND.value
    undone = func.sum(shards.c.count - shards.c.settled)
    found = dict.fromkeys(Priority, Backlog())
    ready = connection.execute(
        select(
            shards.c.priority,
            undone.filter(sending),
            func.count().filter(sending),
            func.count().filter(~sending),
            func.min(shards.c.not_before).filter(and_(notifications.c.paused_at.is_(None), shards.c.not_before <= now)),
        )
        .join(notifications, notifications.c.id == shards.c.notification_id)
        .where(shards.c.state == ShardState.READY.value)
        .group_by(shards.c.priority)
    )
    for priority, recipients, sends, plans, oldest in ready:
        age = 0.0 if oldest is None else now - oldest
        found[Priority(priority)] = Backlog(recipients=recipients or 0, shards=sends, plans=plans, oldest_seconds=age)
    set_aside = connection.execute(
        select(shards.c.priority, undone)
        .where(shards.c.state != ShardState.CLOSED.value, shards.c.state == ShardState.SET_ASIDE.value)
        .group_by(shards.c.priority)
    )
    for priority, recipients in set_aside:
        found[Priority(priority)] = replace(found[Priority(priority)], set_aside=recipients)
    leased = connection.execute(
        select(shards.c.priority, undone, func.count())
        .where(shards.c.state == ShardState.LEASED.value, sending)
        .group_by(shards.c.priority)
    )
    for priority, recipients, count in leased:
        before = found[Priority(priority)]
        found[Priority(priority)] = replace(
            before, recipients=before.recipients + recipients, shards=before.shards + count, leased=count
        )
    return found
