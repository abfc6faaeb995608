"""Units of work on subscriptions: plain functions on a connection that is in a transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, func, select, text, update

from pushkeep.adapters.store.consent_units import withdraw_all
from pushkeep.adapters.store.move_units import Step, key_signs, move_all, move_rows
from pushkeep.adapters.store.rows import json_values, record_from, select_records, uuid_of
from pushkeep.adapters.store.sealing import SealBroken, Vault
from pushkeep.adapters.store.tables import subscriptions
from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import BY_OF_END, By
from pushkeep.domain.project import Project
from pushkeep.domain.registration import check_sequence, seen_recently
from pushkeep.domain.subscription import Event, Recipient, State, StateReason, SubscriptionRecord
from pushkeep.errors import Conflict

# A statement costs more to build than to run: those of the browsers' paths are built once.
_BY_PUBLIC_ID = select_records().where(
    subscriptions.c.project_id == bindparam("project_id"), subscriptions.c.public_id == bindparam("public_id")
)
_BY_SHORT_ID = select_records().where(
    subscriptions.c.project_id == bindparam("project_id"), subscriptions.c.short_id == bindparam("short_id")
)
_SEALED = select(subscriptions.c.endpoint_hash, subscriptions.c.sealed).where(subscriptions.c.id == bindparam("row_id"))
TOUCH = (
    update(subscriptions)
    .where(subscriptions.c.id == bindparam("row_id"))
    .values(last_seen_at=bindparam("now"), sync_sequence=bindparam("sequence"))
)
_SEQUENCE = (
    update(subscriptions).where(subscriptions.c.id == bindparam("row_id")).values(sync_sequence=bindparam("sequence"))
)
_BY_ROW_ID = select_records().where(subscriptions.c.id == bindparam("row_id"))
_END_OF_CHAIN = text(
    """
    WITH RECURSIVE chain (id, next) AS (
        SELECT id, superseded_by FROM subscriptions WHERE id = :first
        UNION ALL
        SELECT s.id, s.superseded_by FROM chain CROSS JOIN subscriptions AS s WHERE s.id = chain.next
    )
    SELECT id FROM chain WHERE next IS NULL
    """
)
_STILL_QUARANTINED = select(subscriptions.c.id).where(
    subscriptions.c.id.in_(json_values("ids")), subscriptions.c.state == State.QUARANTINED.value
)
_QUARANTINED_AT = (
    select(subscriptions.c.id)
    .where(
        subscriptions.c.project_id == bindparam("project_id"),
        subscriptions.c.state == State.QUARANTINED.value,
        subscriptions.c.origin == bindparam("origin"),
    )
    .order_by(subscriptions.c.id)
    .limit(bindparam("most"))
)


def find(connection: Connection, project: Project, any_id: AnyId) -> SubscriptionRecord | None:
    """See :meth:`pushkeep.ports.SubscriptionStore.find_subscription`."""
    if any_id.public_id is not None:
        named = {"project_id": project.id, "public_id": uuid_of(any_id.public_id)}
        row = connection.execute(_BY_PUBLIC_ID, named).one_or_none()
    else:
        row = connection.execute(_BY_SHORT_ID, {"project_id": project.id, "short_id": any_id.short_id}).one_or_none()
    return None if row is None else record_from(row)


def find_recipient(connection: Connection, vault: Vault, project: Project, any_id: AnyId) -> Recipient | None:
    """See :meth:`pushkeep.ports.SubscriptionStore.find_recipient`."""
    record = find(connection, project, any_id)
    if record is None:
        return None
    row = connection.execute(_SEALED, {"row_id": record.id}).one()
    if row.sealed is None:
        return Recipient(record, None)
    try:
        return Recipient(record, vault.open_subscription(project.public_id, row.endpoint_hash, row.sealed))
    except SealBroken:  # a damaged row is told as one that cannot be sent to, here as in a broadcast
        return Recipient(record, None)


def page(
    connection: Connection, project: Project, *, state: State | None, limit: int, after: int
) -> tuple[SubscriptionRecord, ...]:
    """See :meth:`pushkeep.ports.SubscriptionStore.list_subscriptions`."""
    query = (
        select_records()
        .where(subscriptions.c.project_id == project.id, subscriptions.c.id > after)
        .order_by(subscriptions.c.id)
        .limit(limit)
    )
    if state is not None:
        query = query.where(subscriptions.c.state == state.value)
    return tuple(record_from(row) for row in connection.execute(query))


def living_by_signing_key(connection: Connection, project: Project) -> Mapping[int, int]:
    """See :meth:`pushkeep.ports.SubscriptionStore.living_by_signing_key`."""
    rows = connection.execute(
        select(subscriptions.c.signing_key_id, func.count())
        .where(subscriptions.c.project_id == project.id, subscriptions.c.ended_at.is_(None))
        .group_by(subscriptions.c.signing_key_id)
    )
    return {row[0]: row[1] for row in rows}


def end(
    connection: Connection,
    vault: Vault,
    project: Project,
    any_id: AnyId,
    reason: StateReason,
    sequence: int | None = None,
) -> SubscriptionRecord | None:
    """See :meth:`pushkeep.ports.SubscriptionStore.end_subscription`."""
    record = find(connection, project, any_id)
    if record is None:
        return None
    if reason.cause in (Event.LEFT, Event.LOST) and sequence is not None and not record.living:
        _end_successor(connection, vault, project, record, reason, sequence)
    if not record.living and (sequence is None or sequence <= record.sync_sequence):
        return record
    return _end(connection, vault, project, record, reason, sequence)


def _end_successor(
    connection: Connection,
    vault: Vault,
    project: Project,
    ended: SubscriptionRecord,
    reason: StateReason,
    sequence: int,
) -> None:
    """The browser has one subscription, and may not know its token: the answer to its last registration was lost."""
    successor = end_of_chain(connection, ended)
    if successor is not None and successor.living:
        _end(connection, vault, project, successor, reason, sequence)


def _end(
    connection: Connection,
    vault: Vault,
    project: Project,
    record: SubscriptionRecord,
    reason: StateReason,
    sequence: int | None,
) -> SubscriptionRecord:
    note_sequence(connection, record, sequence)  # of what has ended, too: what was said before must not bring it back
    if reason.cause is Event.LEFT:
        withdraw_all(connection, vault, project, record, at=reason.at)
    if record.living:
        step = Step(reason.cause, reason, BY_OF_END.get(reason.cause, By.OPERATOR), record.version)
        move_rows(connection, project.id, {record.id: step})
    return by_row_id(connection, record.id)


def note_sequence(connection: Connection, record: SubscriptionRecord, sequence: int | None) -> None:
    """Write down the number of what a browser says, where it gives one that is new.

    Raises:
        Conflict: ``stale``, it has said something later.
    """
    known = check_sequence(sequence, record.sync_sequence)
    if known != record.sync_sequence:
        connection.execute(_SEQUENCE, {"row_id": record.id, "sequence": known})


def by_row_id(connection: Connection, row_id: int) -> SubscriptionRecord:
    """The record with an internal number that is known to be there."""
    return record_from(connection.execute(_BY_ROW_ID, {"row_id": row_id}).one())


def end_of_chain(connection: Connection, ended: SubscriptionRecord) -> SubscriptionRecord | None:
    """The last of those that replaced one another, beginning with what replaced this one; None where nothing did."""
    if ended.superseded_by is None:
        return None
    return by_row_id(connection, connection.execute(_END_OF_CHAIN, {"first": ended.superseded_by}).scalar_one())


def seen_lately(
    connection: Connection, project: Project, public_id: str, sequence: int | None, now: float
) -> tuple[SubscriptionRecord | None, bool]:
    """The record a heartbeat is for, and whether nothing of it is to be written."""
    record = find(connection, project, AnyId(public_id, None))
    if record is None:
        return None, True
    known = check_sequence(sequence, record.sync_sequence)
    recent = not record.living or seen_recently(record, now)
    return record, recent and known == record.sync_sequence


def heartbeat(
    connection: Connection, project: Project, public_id: str, sequence: int | None, now: float
) -> SubscriptionRecord | None:
    """See :meth:`pushkeep.ports.SubscriptionStore.heartbeat`."""
    record, unchanged = seen_lately(connection, project, public_id, sequence, now)
    if record is None or unchanged:
        return record
    if record.living:
        known = check_sequence(sequence, record.sync_sequence)
        connection.execute(TOUCH, {"row_id": record.id, "now": now, "sequence": known})
    else:
        note_sequence(connection, record, sequence)
    return find(connection, project, AnyId(public_id, None))


def release(connection: Connection, project: Project, any_id: AnyId, reason: StateReason) -> SubscriptionRecord | None:
    """See :meth:`pushkeep.ports.lifecycle.LifecycleStore.release_subscription`."""
    record = find(connection, project, any_id)
    if record is not None:
        if record.state is State.NEEDS_RENEWAL and not key_signs(connection, record.signing_key_id):
            raise Conflict(
                "Its signing key is retired, so nothing can be sent to it: only its browser can renew it, at its next "
                "visit to the site.",
                field="id",
            )
        move_all(connection, project.id, [record.id], Event.RELEASED, reason, By.OPERATOR)
    return find(connection, project, any_id)


def quarantined_at(connection: Connection, project: Project, origin: str, *, limit: int) -> Sequence[int]:
    """The next to be released of a push service. Those of others are gone through for it, so nobody must be waiting."""
    named = {"project_id": project.id, "origin": origin, "most": limit}
    return connection.execute(_QUARANTINED_AT, named).scalars().all()


def release_rows(connection: Connection, project: Project, found: Sequence[int], reason: StateReason) -> Sequence[int]:
    """Release those of the rows that were found which are still in quarantine."""
    ids = connection.execute(_STILL_QUARANTINED, {"ids": json.dumps(found)}).scalars().all()
    return sorted(move_all(connection, project.id, ids, Event.RELEASED, reason, By.OPERATOR))
