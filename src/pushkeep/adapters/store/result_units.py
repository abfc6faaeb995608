"""Units of work that write into subscriptions what messages came to: many rows at a time, and none that changed."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, literal_column, update

from pushkeep.adapters.store.key_found_units import key_found
from pushkeep.adapters.store.move_units import Step, move_rows
from pushkeep.adapters.store.rows import json_values
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.tables import subscriptions
from pushkeep.domain.lifecycle import By
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, State, StateReason
from pushkeep.ports import ResultUpdate
from pushkeep.protocol.verdict import Verdict

_ACCEPTED = (
    update(subscriptions)
    .where(
        subscriptions.c.id.in_(json_values("ids")),
        subscriptions.c.version == bindparam("of_version"),
        subscriptions.c.state == State.ACTIVE.value,
        # Added to zero so that SQLite does not look it up in the index on (project_id, id) instead of by key alone.
        subscriptions.c.project_id + literal_column("0") == bindparam("of_project"),
    )
    .values(
        # Nothing that an index is made of, or SQLite would write that for each row, too.
        last_accepted_at=bindparam("now"),
        last_verdict=Verdict.ACCEPTED.value,
        last_verdict_at=bindparam("now"),
    )
    .returning(subscriptions.c.id)
)
"""What is active has nothing to reset: hardly any message comes to more than this."""


def apply_results(
    connection: Connection, vault: Vault, project: Project, updates: Sequence[ResultUpdate], *, now: float
) -> frozenset[int]:
    """See :meth:`pushkeep.ports.SubscriptionStore.apply_results`."""
    return apply_updates(connection, vault, project.id, updates, now=now)


def apply_updates(
    connection: Connection, vault: Vault, project_id: int, updates: Sequence[ResultUpdate], *, now: float
) -> frozenset[int]:
    """As :func:`apply_results`, for a checkpoint, which has the project's number only."""
    # Of one notification there are few versions: few statements change many rows.
    accepted: dict[int, list[int]] = {}
    others: dict[int, Step] = {}
    applied: set[int] = set()
    for item in updates:
        if item.event is Event.ACCEPTED:
            accepted.setdefault(item.version, []).append(item.id)
        elif item.event is Event.KEY_FOUND:
            applied.update({item.id} if key_found(connection, vault, project_id, item, now) else ())
        else:
            others[item.id] = _step(item, now)
    for version, ids in accepted.items():
        rows = {"ids": json.dumps(ids), "of_version": version, "of_project": project_id}
        active = frozenset(connection.execute(_ACCEPTED, {**rows, "now": now}).scalars())
        applied |= active
        if len(active) < len(ids):
            again = Step(Event.ACCEPTED, StateReason(Event.ACCEPTED, now), By.PUSH_SERVICE, version, verdict="accepted")
            others |= {id: again for id in ids if id not in active and id not in others}
    if others:
        applied |= move_rows(connection, project_id, others)
    return frozenset(applied)


def _step(item: ResultUpdate, now: float) -> Step:
    reason = item.reason
    verdict = None if item.verdict is None else item.verdict.value
    if reason is None:
        reason = StateReason(item.event, now, verdict=verdict)
    return Step(
        item.event,
        reason,
        By.PUSH_SERVICE,
        item.version,
        item.suspect_days,
        item.probe_at,
        reason.verdict if verdict is None else verdict,
    )
