"""Units of work that move rows of subscriptions by the table of moves, each with its entry in the log.

Whoever moves rows comes through here: results of messages, ends, the operator, sweeps, keys that retire. One look at
the rows, one statement for all that change, one for the log, however many there are.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, literal_column, select, update

from pushkeep.adapters.store.lifecycle_units import Entry, write_entries
from pushkeep.adapters.store.rows import AnyRow, json_values, write_days, write_reason
from pushkeep.adapters.store.tables import signing_keys, subscriptions
from pushkeep.adapters.store.writer import ERASED
from pushkeep.domain.lifecycle import By, Evidence
from pushkeep.domain.project import SIGNING
from pushkeep.domain.quarantine import after_failure, after_quarantine
from pushkeep.domain.subscription import ENDED, TRANSITIONS, Event, State, StateReason

_STANDING = select(
    subscriptions.c.id,
    subscriptions.c.state,
    subscriptions.c.version,
    subscriptions.c.signing_key_id,
    subscriptions.c.state_reason,
    subscriptions.c.last_accepted_at,
    subscriptions.c.consecutive_failures,
    subscriptions.c.suspect_days,
    subscriptions.c.probe_at,
    subscriptions.c.probes,
    subscriptions.c.last_verdict,
    subscriptions.c.last_verdict_at,
    subscriptions.c.superseded_by,
).where(
    subscriptions.c.id.in_(json_values("ids")),
    # Added to zero so that SQLite does not look it up in the index on (project_id, id) instead of by key alone.
    subscriptions.c.project_id + literal_column("0") == bindparam("of_project"),
)
_KEY_STATE = select(signing_keys.c.state).where(signing_keys.c.id == bindparam("key"))
_HEALTH = (
    "state",
    "state_reason",
    "last_accepted_at",
    "consecutive_failures",
    "suspect_days",
    "probe_at",
    "probes",
    "last_verdict",
    "last_verdict_at",
)
_FAILURES = frozenset({Event.FAILED, Event.QUARANTINED, Event.KEY_REFUSED})
"""What counts as a failure where it rests on an answer; a sweep has none."""

_STAY = (
    update(subscriptions)
    .where(subscriptions.c.id == bindparam("row_id"))
    .values({name: bindparam(f"new_{name}") for name in _HEALTH})
)
_END = (
    update(subscriptions)
    .where(subscriptions.c.id == bindparam("row_id"))
    .values(
        {name: bindparam(f"new_{name}") for name in _HEALTH}
        | {
            "sealed": None,
            "ended_at": bindparam("at"),
            "superseded_by": bindparam("new_superseded_by"),
            "version": subscriptions.c.version + 1,
        }
    )
)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to a row.

    Attributes:
        event: what happened.
        reason: why; its time is the move's.
        by: whose word.
        version: of the row for which it holds; None for any.
        suspect_days: the days on which it has been doubted by now; None changes none, and is no definite failure.
        probe_at: for ``QUARANTINED``, and ``FAILED`` in quarantine: when the next message may go to it.
        verdict: of the answer it rests on.
        superseded_by: for ``REPLACED``: internal number of the other one.
        successor: for ``REPLACED``: public id of the other one.
        key: for ``KEY_RETIRED``: id of its signing key.
    """

    event: Event
    reason: StateReason
    by: By
    version: int | None = None
    suspect_days: frozenset[int] | None = None
    probe_at: float | None = None
    verdict: str | None = None
    superseded_by: int | None = None
    successor: str | None = None
    key: str | None = None


def move_rows(connection: Connection, project_id: int, steps: Mapping[int, Step]) -> frozenset[int]:
    """Move rows, by their numbers, and write the log of those whose state changes.

    Returns:
        the numbers of those that the step was for: of that project and version, and in a state the table has the
        event for. What needs renewal because its key is retired is brought back by its browser only.
    """
    rows = connection.execute(_STANDING, {"ids": json.dumps(list(steps)), "of_project": project_id}).all()
    stay: list[dict[str, Any]] = []
    end: list[dict[str, Any]] = []
    entries: list[Entry] = []
    applied: set[int] = set()
    for row in rows:
        step = steps[row.id]
        before = State(row.state)
        after = TRANSITIONS.get((before, step.event))
        if after is None or (step.version is not None and step.version != row.version):
            continue
        revives = before is State.NEEDS_RENEWAL and after is State.ACTIVE
        if revives and not key_signs(connection, row.signing_key_id):
            continue
        applied.add(row.id)
        (end if after in ENDED else stay).append(_values(row, before, after, step))
        if after is not before:
            entries.append(
                Entry(row.id, row.signing_key_id, step.reason.at, step.event, before, after, _evidence(row, step))
            )
    if stay:
        connection.execute(_STAY, stay)
    if end:
        connection.execute(_END, end)
        connection.info[ERASED] = True
    write_entries(connection, project_id, entries)
    return frozenset(applied)


def key_signs(connection: Connection, signing_key_id: int) -> bool:
    """Whether messages are sent with a signing key at this moment."""
    return connection.execute(_KEY_STATE, {"key": signing_key_id}).scalar_one() in SIGNING


def move_all(
    connection: Connection,
    project_id: int,
    ids: Collection[int],
    event: Event,
    reason: StateReason,
    by: By,
    *,
    probe_at: float | None = None,
) -> frozenset[int]:
    """The same thing happens to many rows; see :func:`move_rows`."""
    step = Step(event, reason, by, probe_at=probe_at)
    return move_rows(connection, project_id, dict.fromkeys(ids, step))


def _values(row: AnyRow, before: State, after: State, step: Step) -> dict[str, Any]:
    values: dict[str, Any] = {f"new_{name}": getattr(row, name) for name in _HEALTH}
    values |= {"row_id": row.id, "new_state": after.value}
    if after is State.ACTIVE:
        values |= ACTIVE_AGAIN
    elif after is not before or before is State.FAILING or _is_not_dialled(step):
        # In quarantine and in need of renewal, it stays said why; what messages came to since is the last verdict.
        values["new_state_reason"] = write_reason(step.reason)
    if step.verdict is not None:
        values |= {"new_last_verdict": step.verdict, "new_last_verdict_at": step.reason.at}
    if step.event is Event.ACCEPTED:
        values["new_last_accepted_at"] = step.reason.at
    elif step.event in _FAILURES and (step.event is Event.FAILED or step.verdict is not None):
        values["new_consecutive_failures"] = row.consecutive_failures + 1
    if step.suspect_days is not None and after is not State.ACTIVE:
        values["new_suspect_days"] = write_days(step.suspect_days)
    if after is State.QUARANTINED and step.event in (Event.QUARANTINED, Event.FAILED):
        values["new_probe_at"], values["new_probes"] = _probes(row, before, step)
    if after in ENDED:
        values |= {"at": step.reason.at, "new_superseded_by": step.superseded_by or row.superseded_by}
    if after is not State.QUARANTINED:
        values["new_probe_at"] = None
    return values


def _is_not_dialled(step: Step) -> bool:
    """Whether an endpoint turned out to be one that must not be dialled; graver than what put it into quarantine."""
    return step.event is Event.QUARANTINED and step.probe_at is None


def _probes(row: AnyRow, before: State, step: Step) -> tuple[float | None, int]:
    """When the next probe may go after this step, and how many have failed."""
    if step.event is Event.QUARANTINED:
        return after_quarantine(
            quarantined=before is State.QUARANTINED,
            probe_at=row.probe_at,
            probes=row.probes,
            next_probe_at=step.probe_at,
        )
    return after_failure(
        probe_at=row.probe_at,
        probes=row.probes,
        next_probe_at=step.probe_at,
        definite=step.suspect_days is not None,
        at=step.reason.at,
    )


ACTIVE_AGAIN: Mapping[str, Any] = {
    "new_state_reason": None,
    "new_consecutive_failures": 0,
    "new_suspect_days": "",
    "new_probe_at": None,
    "new_probes": 0,
}
"""What being active clears."""


def _evidence(row: AnyRow, step: Step) -> Evidence:
    days = None if step.suspect_days is None else len(step.suspect_days)
    evidence = Evidence.of(step.reason, step.by, days=days)
    return replace(evidence, successor=step.successor, key=step.key)
