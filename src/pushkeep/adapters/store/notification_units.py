"""Units of work on notifications: plain functions on a connection that is in a transaction."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    Connection,
    String,
    bindparam,
    case,
    func,
    insert,
    literal_column,
    select,
    update,
)

from pushkeep.adapters.store.audience_units import (
    LISTS,
    Audience,
    audience_page,
    high_water,
    listed,
    tag_id_of,
    vendors_of,
)
from pushkeep.adapters.store.rows import AnyRow, uuid_of
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.shard_rows import (
    IS_LIVE,
    IS_READY,
    AudienceMember,
    Loan,
    insert_lent_shards,
    insert_plan,
    insert_shards,
)
from pushkeep.adapters.store.tables import notifications, shards
from pushkeep.adapters.store.writer import SHARDS_READY
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import (
    SMALL_RECIPIENTS_MAX,
    Account,
    NewNotification,
    NotificationEvent,
    NotificationJob,
    NotificationRecord,
    NotificationState,
    Priority,
    move_notification,
)
from pushkeep.domain.shard import (
    FINAL_KINDS,
    SUB_BATCH_MEMBERS_MAX,
    Kind,
    Shard,
    ShardKind,
    ShardState,
)
from pushkeep.errors import Conflict, NotFound, Unavailable
from pushkeep.ports.notifications import Accepted, Command, Leased
from pushkeep.protocol.request import PushOptions, Urgency
from pushkeep.protocol.sizes import check_size
from pushkeep.protocol.vendors import UNKNOWN, VENDORS

BACKLOG_DRAINED_A_SECOND = 1000.0
"""What one worker sends; how long a refused caller is told to wait follows from it."""

BACKLOG_WAIT_SECONDS_MAX = 300.0
"""A longer guess would be no better."""

_ORIGINAL = notifications.alias("original")
_OF_PROJECT = notifications.c.project_id == bindparam("project_id")
_RECORDS = select(
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
).select_from(notifications.outerjoin(_ORIGINAL, _ORIGINAL.c.id == notifications.c.retry_of))
_BY_PUBLIC_ID = _RECORDS.where(_OF_PROJECT, notifications.c.public_id == bindparam("public_id"))
_BY_KEY = _RECORDS.where(_OF_PROJECT, notifications.c.idempotency_key == bindparam("key"))
_BY_ID = _RECORDS.where(notifications.c.id == bindparam("row_id"))
_LATEST = _RECORDS.where(_OF_PROJECT).order_by(notifications.c.id.desc()).limit(bindparam("limit"))
_BEFORE = _LATEST.where(
    notifications.c.id
    < select(_ORIGINAL.c.id)
    .where(_ORIGINAL.c.project_id == bindparam("project_id"), _ORIGINAL.c.public_id == bindparam("before"))
    .scalar_subquery()
)
_RETRY_OF = _RECORDS.where(notifications.c.retry_of == bindparam("row_id"))
_LIVE = select(shards.c.id).where(shards.c.notification_id == bindparam("row_id"), IS_LIVE).limit(1)
_INSERT = insert(notifications).returning(notifications.c.id)
_CONTENT = select(notifications.c.content).where(_OF_PROJECT, notifications.c.public_id == bindparam("public_id"))
_WAITING = select(func.coalesce(func.sum(shards.c.count - shards.c.settled), 0)).where(
    IS_READY, shards.c.priority <= bindparam("priority"), shards.c.not_before <= bindparam("now")
)
_PLANNED = (shards.c.page >= 0).label("planned")
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
_LISTED_IDS = select(func.json_each(bindparam("ids", type_=String)).table_valued("value").c.value)
_ACCOUNTS = (
    select(shards.c.notification_id, *_SUMS)
    .where(shards.c.notification_id.in_(_LISTED_IDS), shards.c.project_id == bindparam("project_id"))
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
_CUT_IDLE = (
    update(shards)
    .where(_EVERY_SHARD_OF, literal_column("shards.state").in_([ShardState.READY.value, ShardState.SET_ASIDE.value]))
    .values(
        cancelled=shards.c.cancelled + shards.c.count - shards.c.settled,
        settled=shards.c.count,
        state=ShardState.CLOSED.value,
    )
)
_BRING_BACK = (
    update(shards)
    .where(_EVERY_SHARD_OF, shards.c.state == ShardState.SET_ASIDE.value)
    .values(state=ShardState.READY.value, takeovers=0)
)


@dataclass(frozen=True, slots=True)
class _Resolved:
    """Whom a new notification is for: members, or an audience that is still to be planned."""

    members: Sequence[AudienceMember] | None
    vendors: Iterable[str]
    unknown: tuple[str, ...] = ()
    tag_id: int | None = None
    retry_of: int | None = None


def accept(
    connection: Connection,
    vault: Vault,
    project: Project,
    new: NewNotification,
    *,
    backlog_max: int,
    lease_owner: str | None,
    lease_seconds: float,
    now: float,
) -> Accepted:
    """See :meth:`pushkeep.ports.notifications.NotificationStore.accept`."""
    if new.idempotency_key is not None:
        replayed = replay(connection, project, new.target, new.idempotency_key, new.request_hash)
        if replayed is not None:
            return replayed
    _check_backlog(connection, new.priority, backlog_max, now)
    mark = high_water(connection)
    due = new.send_at <= now
    resolved = _resolve(connection, project, new, mark, due=due)
    for vendor in resolved.vendors:
        check_size(VENDORS.get(vendor, UNKNOWN), len(new.payload or b""))
    loan = None
    if lease_owner is not None and due and _is_small(resolved, new):
        loan = Loan(lease_owner, now + lease_seconds)
    job = _insert(connection, vault, project, new, resolved, mark)
    lent = _insert_shards(connection, job, resolved, new.send_at, loan)
    return Accepted(
        record_from(connection.execute(_BY_ID, {"row_id": job.id}).one()),
        None if resolved.members is None else len(resolved.members),
        resolved.unknown,
        tuple(Leased(shard, job) for shard in lent),
    )


def replay(
    connection: Connection, project: Project, target: Target, idempotency_key: str, request_hash: bytes
) -> Accepted | None:
    """See :meth:`pushkeep.ports.notifications.NotificationStore.replay`."""
    row = connection.execute(_BY_KEY, {"project_id": project.id, "key": idempotency_key}).one_or_none()
    if row is None:
        return None
    if row.request_hash != request_hash:
        raise Conflict(
            "This Idempotency-Key was used for another request; repeat that one word for word, or take a new key.",
            field="Idempotency-Key",
            details={"id": str(row.public_id)},
        )
    record = record_from(row)
    targeted = None
    if record.state is not NotificationState.PLANNING:
        account = accounts(connection, project, [record.id]).get(record.id)
        targeted = 0 if account is None else account.targeted
    unknown = listed(connection, project, target).unknown if target.kind in LISTS else ()
    return Accepted(record, targeted, unknown, replayed=True)


def _check_backlog(connection: Connection, priority: Priority, backlog_max: int, now: float) -> None:
    waiting = connection.execute(_WAITING, {"priority": priority.value, "now": now}).scalar_one()
    if waiting > backlog_max:
        drained = math.ceil((waiting - backlog_max) / BACKLOG_DRAINED_A_SECOND)
        seconds = min(max(float(drained), 1.0), BACKLOG_WAIT_SECONDS_MAX)
        raise Unavailable(
            f"{waiting} recipients wait for their message already, and no more is accepted above {backlog_max}; "
            f"try again in {seconds:.0f} s, or start more workers.",
            retry_after_seconds=seconds,
        )


def _resolve(connection: Connection, project: Project, new: NewNotification, mark: int, *, due: bool) -> _Resolved:
    target = new.target
    if target.kind in LISTS:
        found = listed(connection, project, target)
        return _Resolved(found.members, {member.vendor for member in found.members}, found.unknown)
    tag_id = None if target.tag is None else tag_id_of(connection, project, target.tag)
    original = _original(connection, project, new.retry_of) if target.kind == "retry" else None
    audience = Audience(project.id, target.kind, mark, tag_id, original)
    if due:
        # One more than is small: a full page with all there is, is small still.
        page = audience_page(connection, audience, after=0, limit=SMALL_RECIPIENTS_MAX + 1)
        if target.kind == "retry" and page.complete and not page.members:
            raise Conflict("There is nobody left to tell again: all were reached, or cannot be reached any more.")
        if page.complete and len(page.members) <= SMALL_RECIPIENTS_MAX:
            vendors = {member.vendor for member in page.members}
            return _Resolved(page.members, vendors, tag_id=tag_id, retry_of=original)
    return _Resolved(None, vendors_of(connection, project.id), tag_id=tag_id, retry_of=original)


def _original(connection: Connection, project: Project, public_id: str | None) -> int:
    """Whose failures are told again: of the notification, or of the latest retry that it has had already.

    So somebody who was reached by an earlier retry is not told once more.
    """
    row = None if public_id is None else _row(connection, project, public_id)
    if row is None:
        raise NotFound("There is no such notification.")
    while row.state in _ENDED and connection.execute(_LIVE, {"row_id": row.id}).first() is None:
        later = connection.execute(_RETRY_OF, {"row_id": row.id}).one_or_none()
        if later is None:
            return int(row.id)
        row = later
    what = "It" if row.retry_of is None else f"Its retry {row.public_id}"
    raise Conflict(f"{what} is still on its way; wait until it has ended, or cancel it, and retry then.")


def _insert(
    connection: Connection, vault: Vault, project: Project, new: NewNotification, resolved: _Resolved, mark: int
) -> NotificationJob:
    members = resolved.members
    small = members is not None and len(members) <= SMALL_RECIPIENTS_MAX
    state = NotificationState.PLANNING if members is None else NotificationState.SENDING
    if members is not None and not members:
        state = move_notification(state, NotificationEvent.SETTLED)
    seal = vault.seal_notification
    values = {
        "project_id": project.id,
        "public_id": uuid_of(new.public_id),
        "content": seal(project.public_id, new.public_id, "content", new.content),
        "payload": None if new.payload is None else seal(project.public_id, new.public_id, "payload", new.payload),
        "token_offset": new.token_offset,
        "compress": new.compress,
        "ttl": new.options.ttl,
        "urgency": None if new.options.urgency is None else new.options.urgency.value,
        "topic": new.options.topic,
        "priority": new.priority.value,
        "target_kind": new.target.kind,
        "tag_id": resolved.tag_id,
        "retry_of": resolved.retry_of,
        "state": state.value,
        "accepted_at": new.accepted_at,
        "send_at": new.send_at,
        "deadline": new.deadline,
        "finished_at": new.accepted_at if state in _ENDED_STATES else None,
        "high_water": mark,
        "keeps_outcomes": small,
        "idempotency_key": new.idempotency_key,
        "request_hash": new.request_hash,
    }
    return NotificationJob(
        id=int(connection.execute(_INSERT, values).scalar_one()),
        project_id=project.id,
        public_id=new.public_id,
        payload=new.payload,
        token_offset=new.token_offset,
        options=new.options,
        priority=new.priority,
        deadline=new.deadline,
        compress=new.compress,
        keeps_outcomes=small,
    )


def _is_small(resolved: _Resolved, new: NewNotification) -> bool:
    """Whether its process's worker gets it at once, without a claim."""
    members = resolved.members
    return members is not None and len(members) <= SUB_BATCH_MEMBERS_MAX and new.priority is not Priority.BULK


def _insert_shards(
    connection: Connection, job: NotificationJob, resolved: _Resolved, not_before: float, loan: Loan | None
) -> tuple[Shard, ...]:
    if loan is not None and resolved.members is not None:
        return insert_lent_shards(connection, job, resolved.members, not_before=not_before, loan=loan)
    connection.info[SHARDS_READY] = True
    if resolved.members is None:
        insert_plan(connection, job, not_before=not_before)
    else:
        insert_shards(connection, job, resolved.members, page=0, not_before=not_before)
    return ()


_ENDED_STATES = frozenset({NotificationState.DONE, NotificationState.CANCELLED})
_ENDED = frozenset(state.value for state in _ENDED_STATES)


def _row(connection: Connection, project: Project, public_id: str) -> AnyRow | None:
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
    )


def find(connection: Connection, project: Project, public_id: str) -> NotificationRecord | None:
    """See :meth:`pushkeep.ports.notifications.NotificationStore.find_notification`."""
    row = _row(connection, project, public_id)
    return None if row is None else record_from(row)


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
    return None if sealed is None else vault.open_notification(project.public_id, public_id, "content", sealed)


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
) -> NotificationRecord | None:
    """See :meth:`pushkeep.ports.notifications.NotificationStore.control`."""
    row = _row(connection, project, public_id)
    if row is None:
        return None
    record = record_from(row)
    if command is Command.CANCEL and record.state is NotificationState.CANCELLED:
        return record
    if record.state in _ENDED_STATES:
        raise Conflict(f"The notification has ended ({record.state.value}): it can no longer be {_DONE_TO[command]}.")
    change: dict[str, object] = {}
    if command is Command.PAUSE and record.paused_at is None:
        change["paused_at"] = now
    elif command is Command.RESUME:
        change["paused_at"] = None
        connection.execute(_BRING_BACK, {"notification_id_": record.id})
        connection.info[SHARDS_READY] = True
    elif command is Command.CANCEL:
        change.update(state=move_notification(record.state, NotificationEvent.CANCELLED).value, finished_at=now)
        connection.execute(_CUT_IDLE, {"notification_id_": record.id})
    if change:
        connection.execute(update(notifications).where(notifications.c.id == record.id).values(**change))
    return find(connection, project, public_id)


_DONE_TO = {Command.PAUSE: "paused", Command.RESUME: "resumed", Command.CANCEL: "cancelled"}
