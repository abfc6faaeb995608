"""Units of work on the log of subscriptions' lives: plain functions on a connection that is in a transaction.

Who moves a row writes here in the same transaction; nothing here is ever changed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields

from sqlalchemy import Connection, bindparam, insert, select
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from pushkeep.adapters.store.tables import lifecycle, lifecycle_days
from pushkeep.domain.lifecycle import By, Evidence, LifecycleEntry
from pushkeep.domain.project import Project
from pushkeep.domain.situation import DAY_SECONDS
from pushkeep.domain.subscription import Event, State
from pushkeep.ports.lifecycle import DayCount, NumberedEntry

ROW_ID_MAX = 2**63 - 1
"""The highest number a row can have."""

_FACTS = tuple(field.name for field in fields(Evidence))
_ADD = insert(lifecycle)
_DAY = sqlite_insert(lifecycle_days)
_COUNT = _DAY.on_conflict_do_update(
    index_elements=[
        lifecycle_days.c.project_id,
        lifecycle_days.c.day,
        lifecycle_days.c.signing_key_id,
        lifecycle_days.c.event,
    ],
    set_={"count": lifecycle_days.c.count + _DAY.excluded.count},
)
_OF_SUBSCRIPTION = (
    select(
        lifecycle.c.id,
        lifecycle.c.at,
        lifecycle.c.event,
        lifecycle.c.state_before,
        lifecycle.c.state,
        lifecycle.c.evidence,
    )
    .where(
        lifecycle.c.subscription_id == bindparam("subscription_id"),
        lifecycle.c.project_id + 0 == bindparam("project_id"),
        lifecycle.c.id < bindparam("before"),
    )
    .order_by(lifecycle.c.id.desc())
    .limit(bindparam("most"))
)
_DAYS = (
    select(lifecycle_days.c.day, lifecycle_days.c.signing_key_id, lifecycle_days.c.event, lifecycle_days.c.count)
    .where(lifecycle_days.c.project_id == bindparam("project_id"), lifecycle_days.c.day >= bindparam("first_day"))
    .order_by(lifecycle_days.c.day, lifecycle_days.c.signing_key_id, lifecycle_days.c.event)
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is written of one move.

    Attributes:
        subscription_id, signing_key_id: internal numbers; the key is the one after the move.
        at: epoch seconds.
        event: what happened.
        before: the state before; None at its registration.
        after: the state after.
        evidence: what it rests on.
    """

    subscription_id: int
    signing_key_id: int
    at: float
    event: Event
    before: State | None
    after: State
    evidence: Evidence


def write_entries(connection: Connection, project_id: int, entries: Sequence[Entry]) -> None:
    """Add to the log, in this order, and count by day, key and event."""
    if not entries:
        return
    connection.execute(
        _ADD,
        [
            {
                "project_id": project_id,
                "subscription_id": entry.subscription_id,
                "at": entry.at,
                "event": entry.event.value,
                "state_before": None if entry.before is None else entry.before.value,
                "state": entry.after.value,
                "evidence": write_evidence(entry.evidence),
            }
            for entry in entries
        ],
    )
    counts = Counter((int(entry.at // DAY_SECONDS), entry.signing_key_id, entry.event.value) for entry in entries)
    connection.execute(
        _COUNT,
        [
            {"project_id": project_id, "day": day, "signing_key_id": key, "event": event, "count": count}
            for (day, key, event), count in counts.items()
        ],
    )


def history(
    connection: Connection, project: Project, subscription_id: int, *, limit: int, before: int | None = None
) -> tuple[NumberedEntry, ...]:
    """See :meth:`pushkeep.ports.lifecycle.LifecycleStore.lifecycle`."""
    below = ROW_ID_MAX if before is None else before
    rows = connection.execute(
        _OF_SUBSCRIPTION,
        {"subscription_id": subscription_id, "project_id": project.id, "before": below, "most": limit},
    ).all()
    return tuple(
        NumberedEntry(
            row.id,
            LifecycleEntry(
                row.at,
                Event(row.event),
                None if row.state_before is None else State(row.state_before),
                State(row.state),
                read_evidence(row.evidence),
            ),
        )
        for row in reversed(rows)
    )


def by_day(connection: Connection, project: Project, *, first_day: int) -> tuple[DayCount, ...]:
    """See :meth:`pushkeep.ports.lifecycle.LifecycleStore.lifecycle_by_day`."""
    rows = connection.execute(_DAYS, {"project_id": project.id, "first_day": first_day})
    return tuple(DayCount(day, signing_key_id, Event(event), count) for day, signing_key_id, event, count in rows)


def write_evidence(evidence: Evidence) -> str:
    """Evidence as JSON, without what does not apply."""
    return json.dumps({name: value for name in _FACTS if (value := getattr(evidence, name)) is not None})


def read_evidence(text: str) -> Evidence:
    """What :func:`write_evidence` wrote."""
    value = json.loads(text)
    return Evidence(**{**value, "by": By(value["by"])})
