"""Units of work on notifications: plain functions on a connection that is in a transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import (
    Connection,
    bindparam,
    case,
    func,
    select,
    update,
)

from pushkeep.adapters.store import receipt_units
from pushkeep.adapters.store.ending_units import cut_idle
from pushkeep.adapters.store.rows import AnyRow, json_values, uuid_of
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.tables import notifications, purposes, shards
from pushkeep.adapters.store.writer import SHARDS_READY
from pushkeep.domain.project import Project
from pushkeep.domain.sending import (
    Account,
    NotificationEvent,
    NotificationRecord,
    NotificationState,
    Priority,
    move_notification,
)
from pushkeep.domain.shard import (
    FINAL_KINDS,
    Kind,
    ShardKind,
    ShardState,
)
from pushkeep.errors import Conflict
from pushkeep.ports.notifications import Command, Controlled, Standing
from pushkeep.protocol.request import PushOptions, Urgency

_ORIGINAL = notifications.alias("original")
OF_PROJECT = notifications.c.project_id == bindparam("project_id")
RECORDS = select(
    notifications.c.id,
    notifications.c.public_id,
    notifications.c.project_id,
    notifications.c.state,
    notifications.c.paused_at,
    notifications.c.priority,
    notifications.c.ttl,
    notifications.c.urgency,
    notifications.c.topic,
    notifications.c.target_kind,
    notifications.c.accepted_at,
    notifications.c.send_at,
    notifications.c.deadline,
    notifications.c.finished_at,
    notifications.c.keeps_outcomes,
    notifications.c.request_hash,
    notifications.c.high_water,
    _ORIGINAL.c.public_id.label("retry_of"),
    purposes.c.name.label("purpose"),
).select_from(
    notifications.outerjoin(_ORIGINAL, _ORIGINAL.c.id == notifications.c.retry_of).outerjoin(
        purposes, purposes.c.id == notifications.c.purpose_id
    )
)
_BY_PUBLIC_ID = RECORDS.where(OF_PROJECT, notifications.c.public_id == bindparam("public_id"))
_LATEST = RECORDS.where(OF_PROJECT).order_by(notifications.c.id.desc()).limit(bindparam("limit"))
_BEFORE = _LATEST.where(
    notifications.c.id
    < select(_ORIGINAL.c.id)
    .where(_ORIGINAL.c.project_id == bindparam("project_id"), _ORIGINAL.c.public_id == bindparam("before"))
    .scalar_subquery()
)
_CONTENT = select(notifications.c.content).where(OF_PROJECT, notifications.c.public_id == bindparam("public_id"))
_SUMS = (
    func.sum(case((shards.c.page >= 0, shards.c.count), else_=0)).label("targeted"),
    func.sum(case((shards.c.page < 0, shards.c.count), else_=0)).label("followed_up"),
    func.sum(case((shards.c.state != ShardState.CLOSED.value, shards.c.count - shards.c.settled), else_=0)).label(
        "undone"
    ),
    func.sum(case((shards.c.state == ShardState.SET_ASIDE.value, shards.c.count - shards.c.settled), else_=0)).label(
        "set_aside"
    ),
    *(func.sum(shards.c[kind.value]).label(kind.value) for kind in Kind),
)
_ACCOUNTS = (
    select(shards.c.notification_id, *_SUMS)
    .where(shards.c.notification_id.in_(json_values("ids")), shards.c.project_id == bindparam("project_id"))
    .group_by(shards.c.notification_id)
)
_ACCOUNTS_BY_VENDOR = (
    select(shards.c.vendor, *_SUMS)
    .where(
        shards.c.notification_id == bindparam("notification_id"),
        shards.c.project_id == bindparam("project_id"),
        shards.c.kind == ShardKind.SEND.value,
    )
    .group_by(shards.c.vendor)
)
_EVERY_SHARD_OF = shards.c.notification_id == bindparam("notification_id_")
_BRING_BACK = (
    update(shards)
    .where(_EVERY_SHARD_OF, shards.c.state == ShardState.SET_ASIDE.value)
    .values(state=ShardState.READY.value, takeovers=0)
)


ENDED_STATES = frozenset({NotificationState.DONE, NotificationState.CANCELLED})


def row_of(connection: Connection, project: Project, public_id: str) -> AnyRow | None:
    """The row of an id, for :func:`record_from`."""
    named = {"project_id": project.id, "public_id": uuid_of(public_id)}
    return connection.execute(_BY_PUBLIC_ID, named).one_or_none()


def record_from(row: AnyRow) -> NotificationRecord:
    """Read a row of the statements above."""
    return NotificationRecord(
        id=row.id,
        public_id=str(row.public_id),
        project_id=row.project_id,
        state=NotificationState(row.state),
        paused_at=row.paused_at,
        priority=Priority(row.priority),
        options=PushOptions(row.ttl, None if row.urgency is None else Urgency(row.urgency), row.topic),
        target_kind=row.target_kind,
        accepted_at=row.accepted_at,
        send_at=row.send_at,
        deadline=row.deadline,
        finished_at=row.finished_at,
        keeps_outcomes=row.keeps_outcomes,
        retry_of=None if row.retry_of is None else str(row.retry_of),
        purpose=row.purpose,
    )


def find(connection: Connection, project: Project, public_id: str) -> NotificationRecord | None:
    """See :meth:`pushkeep.ports.notifications.NotificationStore.find_notification`."""
    row = row_of(connection, project, public_id)
    return None if row is None else record_from(row)


def standing(connection: Connection, project: Project, public_id: str) -> Standing | None:
    """See :meth:`pushkeep.ports.notifications.NotificationStore.standing`."""
    record = find(connection, project, public_id)
    if record is None:
        return None
    return Standing(
        record,
        accounts(connection, project, [record.id])[record.id],
        accounts_by_vendor(connection, project, record.id),
        receipt_units.counts(connection, project, record.id),
    )


def page(connection: Connection, project: Project, *, limit: int, before: str | None) -> tuple[NotificationRecord, ...]:
    """See :meth:`pushkeep.ports.notifications.NotificationStore.list_notifications`."""
    bounds: dict[str, object] = {"project_id": project.id, "limit": limit}
    if before is None:
        rows = connection.execute(_LATEST, bounds)
    else:
        rows = connection.execute(_BEFORE, {**bounds, "before": uuid_of(before)})
    return tuple(record_from(row) for row in rows)


def content_of(connection: Connection, vault: Vault, project: Project, public_id: str) -> bytes | None:
    """See :meth:`pushkeep.ports.notifications.NotificationStore.content_of`."""
    named = {"project_id": project.id, "public_id": uuid_of(public_id)}
    sealed = connection.execute(_CONTENT, named).scalar_one_or_none()
    return None if not sealed else vault.open_notification(project.public_id, public_id, "content", sealed)


def accounts(connection: Connection, project: Project, ids: Sequence[int]) -> Mapping[int, Account]:
    """See :meth:`pushkeep.ports.notifications.NotificationStore.accounts`."""
    rows = connection.execute(_ACCOUNTS, {"project_id": project.id, "ids": json.dumps(list(ids))})
    found = {row.notification_id: _account(row) for row in rows}
    return {id: found.get(id, _NOBODY) for id in ids}


def accounts_by_vendor(connection: Connection, project: Project, id: int) -> Mapping[str, Account]:
    """See :meth:`pushkeep.ports.notifications.NotificationStore.accounts_by_vendor`."""
    rows = connection.execute(_ACCOUNTS_BY_VENDOR, {"project_id": project.id, "notification_id": id})
    return {row.vendor: _account(row) for row in rows}


_NOBODY = Account(0, {}, 0, 0, 0)


def _account(row: AnyRow) -> Account:
    counts = {kind: row._mapping[kind.value] for kind in FINAL_KINDS}
    return Account(
        targeted=row.targeted,
        counts={kind: number for kind, number in counts.items() if number},
        moved=row.moved,
        followed_up=row.followed_up,
        undone=row.undone,
        set_aside=row.set_aside,
    )


def control(
    connection: Connection, project: Project, public_id: str, command: Command, *, now: float
) -> Controlled | None:
    """A part of :meth:`pushkeep.ports.notifications.NotificationStore.control`.

    A cancelled notification without ``finished_at`` has more to cancel: by the same command again.
    """
    row = row_of(connection, project, public_id)
    if row is None:
        return None
    record = record_from(row)
    goes_on = command is Command.CANCEL and record.state is NotificationState.CANCELLED
    if goes_on and record.finished_at is not None:
        return Controlled(record)
    if record.state in ENDED_STATES and not goes_on:
        raise Conflict(f"The notification has ended ({record.state.value}): it can no longer be {_DONE_TO[command]}.")
    change: dict[str, object] = {}
    if command is Command.PAUSE and record.paused_at is None:
        change["paused_at"] = now
    elif command is Command.RESUME:
        change["paused_at"] = None
        connection.execute(_BRING_BACK, {"notification_id_": record.id})
        connection.info[SHARDS_READY] = True
    elif command is Command.CANCEL and not goes_on:
        change["state"] = move_notification(record.state, NotificationEvent.CANCELLED).value
    if change:
        connection.execute(update(notifications).where(notifications.c.id == record.id).values(**change))
    ended = command is Command.CANCEL and cut_idle(connection, record.id, now)[1] is not None
    after = find(connection, project, public_id)
    return None if after is None else Controlled(after, ended)


_DONE_TO = {Command.PAUSE: "paused", Command.RESUME: "resumed", Command.CANCEL: "cancelled"}
