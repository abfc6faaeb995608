"""Rows of shards, and of the notifications they are part of: written where recipients are known, read when claimed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, text

from pushkeep.adapters.store.rows import AnyRow
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.tables import notifications, projects, shards
from pushkeep.domain.sending import NotificationJob, Priority
from pushkeep.domain.shard import (
    SHARD_MEMBERS_MAX,
    Bitmap,
    LeaseKey,
    Shard,
    ShardKind,
    ShardState,
    pack_ids,
    unpack_ids,
)
from pushkeep.protocol.request import PushOptions, Urgency
from pushkeep.protocol.verdict import Verdict

FIRST_EPOCH = 1
"""Of a shard that is inserted on loan: it counts as its first claim."""

# Written out and not bound: SQLite takes a partial index only where the statement itself shows its condition.
IS_READY = text("shards.state = 'ready'")
IS_LIVE = text("shards.state <> 'closed'")

SHARD_COLUMNS = (
    shards.c.id.label("shard_id"),
    shards.c.project_id,
    shards.c.notification_id,
    shards.c.kind,
    shards.c.origin,
    shards.c.vendor,
    shards.c.attempt,
    shards.c.history,
    shards.c.count,
    shards.c.epoch,
    shards.c.takeovers,
    shards.c.members,
    shards.c.owners,
    shards.c.done,
)
"""What :func:`shard_from` reads."""

JOB_COLUMNS = (
    notifications.c.id.label("notification_id"),
    notifications.c.project_id,
    projects.c.public_id.label("project_public_id"),
    notifications.c.public_id,
    notifications.c.token_offset,
    notifications.c.ttl,
    notifications.c.urgency,
    notifications.c.topic,
    notifications.c.priority,
    notifications.c.deadline,
    notifications.c.compress,
    notifications.c.keeps_outcomes,
    notifications.c.payload,
    notifications.c.purpose_id,
)
"""What :func:`job_from` reads, of notifications joined with projects."""

_INSERT = insert(shards)
_INSERT_ONE = insert(shards).returning(shards.c.id)


class AudienceMember(NamedTuple):
    """A recipient of a notification, before it is in a shard.

    Attributes:
        subscription_id: internal number.
        origin, vendor: where its endpoint is.
        owner: the contact it must still belong to when it is sent to; 0 for anybody.
    """

    subscription_id: int
    origin: str
    vendor: str
    owner: int


class Loan(NamedTuple):
    """To whom shards are lent as they are inserted, and until when in epoch seconds."""

    owner: str
    expires_at: float


def insert_shards(
    connection: Connection, job: NotificationJob, members: Iterable[AudienceMember], *, page: int, not_before: float
) -> int:
    """Put members into shards of at most a thousand at one push service each.

    Args:
        connection: in a transaction.
        job: the notification.
        members: no one twice.
        page: of the plan, so that the same page cannot be written twice.
        not_before: epoch seconds.

    Returns:
        how many shards there are.
    """
    rows = _rows(job, members, page=page, not_before=not_before)
    if rows:
        connection.execute(_INSERT, rows)
    return len(rows)


def insert_lent_shards(
    connection: Connection, job: NotificationJob, members: Iterable[AudienceMember], *, not_before: float, loan: Loan
) -> tuple[Shard, ...]:
    """As :func:`insert_shards`, on loan from the beginning: for a few recipients, whose worker is told at once."""
    lent = []
    for row in _rows(job, members, page=0, not_before=not_before):
        row.update(
            state=ShardState.LEASED.value, epoch=FIRST_EPOCH, lease_owner=loan.owner, lease_expires_at=loan.expires_at
        )
        shard_id = connection.execute(_INSERT_ONE, row).scalar_one()
        lent.append(_shard(shard_id, row))
    return tuple(lent)


def insert_plan(connection: Connection, job: NotificationJob, *, not_before: float) -> None:
    """Insert the shard whose work is to make the others."""
    row = _row(job, ShardKind.PLAN, not_before=not_before)
    connection.execute(_INSERT, {**row, "origin": "", "vendor": "", **_members(())})


def _rows(
    job: NotificationJob, members: Iterable[AudienceMember], *, page: int, not_before: float
) -> list[dict[str, Any]]:
    by_service: dict[tuple[str, str], list[AudienceMember]] = {}
    for member in members:
        by_service.setdefault((member.origin, member.vendor), []).append(member)
    rows: list[dict[str, Any]] = []
    chunks: dict[str, int] = {}  # of an origin, also if its vendor row has been renamed
    for (origin, vendor), some in by_service.items():
        some.sort()
        for start in range(0, len(some), SHARD_MEMBERS_MAX):
            chunk = chunks[origin] = chunks.get(origin, -1) + 1
            row = _row(job, ShardKind.SEND, not_before=not_before, page=page, chunk=chunk)
            row.update(origin=origin, vendor=vendor, **_members(some[start : start + SHARD_MEMBERS_MAX]))
            rows.append(row)
    return rows


def _row(job: NotificationJob, kind: ShardKind, *, not_before: float, page: int = 0, chunk: int = 0) -> dict[str, Any]:
    return {
        "project_id": job.project_id,
        "notification_id": job.id,
        "kind": kind.value,
        "priority": job.priority.value,
        "page": page,
        "chunk": chunk,
        "state": ShardState.READY.value,
        "not_before": not_before,
    }


def _members(members: Sequence[AudienceMember]) -> dict[str, Any]:
    owned = any(member.owner for member in members)
    return {
        "members": pack_ids([member.subscription_id for member in members]),
        "owners": pack_ids([member.owner for member in members]) if owned else b"",
        "count": len(members),
        "done": Bitmap(len(members)).pack(),
    }


def _shard(shard_id: int, row: Mapping[str, Any]) -> Shard:
    return Shard(
        lease=LeaseKey(shard_id, row["epoch"]),
        project_id=row["project_id"],
        notification_id=row["notification_id"],
        kind=ShardKind(row["kind"]),
        origin=row["origin"],
        vendor=row["vendor"],
        members=unpack_ids(row["members"]),
        owners=unpack_ids(row["owners"]),
        done=Bitmap(row["count"], row["done"]),
        attempt=row.get("attempt", 1),
        history=read_history(row.get("history", "")),
        takeovers=row.get("takeovers", 0),
    )


def shard_from(row: AnyRow) -> Shard:
    """Read a row that has :data:`SHARD_COLUMNS`; its epoch is taken for the claim's."""
    return _shard(row.shard_id, row._asdict())


def job_from(vault: Vault, row: AnyRow) -> NotificationJob:
    """Read a row that has :data:`JOB_COLUMNS`.

    Raises:
        SealBroken: the stored payload does not open.
    """
    payload = row.payload
    if payload is not None:
        payload = vault.open_notification(str(row.project_public_id), str(row.public_id), "payload", payload)
    return NotificationJob(
        id=row.notification_id,
        project_id=row.project_id,
        public_id=str(row.public_id),
        payload=payload,
        token_offset=row.token_offset,
        options=PushOptions(row.ttl, None if row.urgency is None else Urgency(row.urgency), row.topic),
        priority=Priority(row.priority),
        deadline=row.deadline,
        compress=row.compress,
        keeps_outcomes=row.keeps_outcomes,
        purpose_id=row.purpose_id,
    )


def read_history(text: str) -> tuple[Verdict, ...]:
    """Verdicts of earlier attempts, as a follow-up's column has them."""
    return tuple(map(Verdict, text.split()))


def write_history(verdicts: Sequence[Verdict]) -> str:
    """Undo :func:`read_history`."""
    return " ".join(verdict.value for verdict in verdicts)
