"""Units of work that write into subscriptions what messages came to: many rows at a time, and none that changed."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, String, bindparam, case, func, literal_column, update

from pushkeep.adapters.store.rows import json_values, write_days, write_reason
from pushkeep.adapters.store.tables import subscriptions
from pushkeep.adapters.store.writer import ERASED
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, State, StateReason, move
from pushkeep.ports import ResultUpdate

_END = (
    update(subscriptions)
    .where(
        subscriptions.c.id == bindparam("row_id"),
        subscriptions.c.project_id == bindparam("of_project"),
        subscriptions.c.version == bindparam("of_version"),
        subscriptions.c.ended_at.is_(None),
    )
    .values(
        state=bindparam("new_state"),
        sealed=None,
        state_reason=bindparam("new_reason"),
        ended_at=bindparam("at"),
        version=subscriptions.c.version + 1,
    )
)
_CHANGED = (
    update(subscriptions)
    .where(
        subscriptions.c.id.in_(json_values("ids")),
        subscriptions.c.version == bindparam("of_version"),
        # Added to zero so that SQLite does not look it up in the index on (project_id, id) instead of by key alone.
        subscriptions.c.project_id + literal_column("0") == bindparam("of_project"),
    )
    .returning(subscriptions.c.id)
)
_ACCEPTED = _CHANGED.values(
    state=State.ACTIVE.value, last_accepted_at=bindparam("now"), consecutive_failures=0, suspect_days=""
)
_FAILED = _CHANGED.values(
    state=case((subscriptions.c.state == State.ACTIVE.value, State.FAILING.value), else_=subscriptions.c.state),
    consecutive_failures=subscriptions.c.consecutive_failures + 1,
    suspect_days=func.coalesce(bindparam("new_days", type_=String), subscriptions.c.suspect_days),
)


def end_version(connection: Connection, project_id: int, row_id: int, version: int, reason: StateReason) -> bool:
    """End a row of this version: what could be used to send to it goes, what recognises it stays."""
    ended = connection.execute(
        _END,
        {
            "row_id": row_id,
            "of_project": project_id,
            "of_version": version,
            "new_state": move(State.ACTIVE, reason.cause).value,
            "new_reason": write_reason(reason),
            "at": reason.at,
        },
    )
    if ended.rowcount != 1:
        return False
    connection.info[ERASED] = True
    return True


def apply_results(
    connection: Connection, project: Project, updates: Sequence[ResultUpdate], *, now: float
) -> frozenset[int]:
    """See :meth:`pushkeep.ports.SubscriptionStore.apply_results`."""
    return apply_updates(connection, project.id, updates, now=now)


def apply_updates(
    connection: Connection, project_id: int, updates: Sequence[ResultUpdate], *, now: float
) -> frozenset[int]:
    """As :func:`apply_results`, for a checkpoint, which has the project's number only."""
    applied: set[int] = set()
    # Of one notification there are few versions and few such sets of days: few statements change many rows.
    accepted: dict[int, list[int]] = {}
    failed: dict[tuple[int, frozenset[int] | None], list[int]] = {}
    for item in updates:
        if item.event is Event.ACCEPTED:
            accepted.setdefault(item.version, []).append(item.id)
        elif item.event is Event.FAILED:
            failed.setdefault((item.version, item.suspect_days), []).append(item.id)
        elif item.event is Event.SAID_GONE and item.reason is not None:
            ended = end_version(connection, project_id, item.id, item.version, item.reason)
            applied.update({item.id} if ended else ())
    for version, ids in accepted.items():
        rows = {"ids": json.dumps(ids), "of_version": version, "of_project": project_id}
        applied.update(connection.execute(_ACCEPTED, {**rows, "now": now}).scalars())
    for (version, days), ids in failed.items():
        rows = {"ids": json.dumps(ids), "of_version": version, "of_project": project_id}
        doubted = None if days is None else write_days(days)
        applied.update(connection.execute(_FAILED, {**rows, "new_days": doubted}).scalars())
    return frozenset(applied)
