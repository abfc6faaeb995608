"""The unit of work that takes a notification on: its key, its place in the backlog, its recipients, and its rows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, func, insert, select

from pushkeep.adapters.store.audience_units import LISTS, Audience, audience_page, listed, tag_id_of, vendors_of
from pushkeep.adapters.store.notification_units import (
    ENDED_STATES,
    OF_PROJECT,
    RECORDS,
    accounts,
    record_from,
    row_of,
)
from pushkeep.adapters.store.purpose_units import find_purpose
from pushkeep.adapters.store.rows import json_values, uuid_of
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
from pushkeep.adapters.store.tables import notifications, shards, subscriptions
from pushkeep.adapters.store.writer import SHARDS_READY
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import (
    SMALL_RECIPIENTS_MAX,
    NewNotification,
    NotificationEvent,
    NotificationJob,
    NotificationRecord,
    NotificationState,
    Priority,
    move_notification,
)
from pushkeep.domain.shard import SUB_BATCH_MEMBERS_MAX, Shard
from pushkeep.errors import Conflict, NotFound, Unavailable
from pushkeep.ports.notifications import Accepted, Leased
from pushkeep.protocol.sizes import check_size
from pushkeep.protocol.vendors import UNKNOWN, VENDORS

BACKLOG_DRAINED_A_SECOND = 1000.0
"""What one worker sends; how long a refused caller is told to wait follows from it."""

BACKLOG_WAIT_SECONDS_MAX = 300.0
"""A longer guess would be no better."""

_BY_KEY = RECORDS.where(OF_PROJECT, notifications.c.idempotency_key == bindparam("key"))
_RETRY_OF = RECORDS.where(notifications.c.retry_of == bindparam("row_id"))
_LIVE = select(shards.c.id).where(shards.c.notification_id == bindparam("row_id"), IS_LIVE).limit(1)
_STANDING = select(
    # The highest subscription id there is, and how many recipients wait who come first or at the same time.
    select(func.coalesce(func.max(subscriptions.c.id), 0)).scalar_subquery(),
    select(func.coalesce(func.sum(shards.c.count - shards.c.settled), 0))
    .where(
        IS_READY,
        # One by one, not as a range: so the index that has the counts, too, is entered for each and read alone.
        shards.c.priority.in_(json_values("priorities")),
        shards.c.not_before <= bindparam("now"),
    )
    .scalar_subquery(),
)
_INSERT = insert(notifications).returning(notifications.c.id)


@dataclass(frozen=True, slots=True)
class _Resolved:
    """Whom a new notification is for: members, or an audience that is still to be planned."""

    members: Sequence[AudienceMember] | None
    vendors: Iterable[str]
    unknown: tuple[str, ...] = ()
    tag_id: int | None = None
    original: NotificationRecord | None = None
    purpose_id: int | None = None


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
    standing = {"priorities": json.dumps([*range(new.priority + 1)]), "now": now}
    mark, waiting = connection.execute(_STANDING, standing).one()
    _check_backlog(waiting, backlog_max)
    due = new.send_at <= now
    resolved = _resolve(connection, project, new, mark, due=due)
    if new.purpose is not None:
        resolved = replace(resolved, purpose_id=find_purpose(connection, project, new.purpose).id)
    for vendor in resolved.vendors:
        check_size(VENDORS.get(vendor, UNKNOWN), len(new.payload or b""))
    loan = None
    if lease_owner is not None and due and _is_small(resolved, new):
        loan = Loan(lease_owner, now + lease_seconds)
    record = _insert(connection, vault, project, new, resolved, mark)
    job = _job(record, new, resolved.purpose_id)
    lent = _insert_shards(connection, job, resolved, new.send_at, loan)
    return Accepted(
        record,
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


def _check_backlog(waiting: int, backlog_max: int) -> None:
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
    audience = Audience(project.id, target.kind, mark, tag_id, original.id if original else None)
    if due:
        # One more than is small: a full page with all there is, is small still.
        page = audience_page(connection, audience, after=0, limit=SMALL_RECIPIENTS_MAX + 1)
        if target.kind == "retry" and page.complete and not page.members:
            raise Conflict("There is nobody left to tell again: all were reached, or cannot be reached any more.")
        if page.complete and len(page.members) <= SMALL_RECIPIENTS_MAX:
            vendors = {member.vendor for member in page.members}
            return _Resolved(page.members, vendors, tag_id=tag_id, original=original)
    return _Resolved(None, vendors_of(connection, project.id), tag_id=tag_id, original=original)


def _original(connection: Connection, project: Project, public_id: str | None) -> NotificationRecord:
    """Whose failures are told again: of the notification, or of the latest retry that it has had already.

    So somebody who was reached by an earlier retry is not told once more.
    """
    row = None if public_id is None else row_of(connection, project, public_id)
    if row is None:
        raise NotFound("There is no such notification.")
    record = record_from(row)
    while record.state in ENDED_STATES and connection.execute(_LIVE, {"row_id": record.id}).first() is None:
        later = connection.execute(_RETRY_OF, {"row_id": record.id}).one_or_none()
        if later is None:
            return record
        record = record_from(later)
    what = "It" if record.public_id == public_id else f"Its retry {record.public_id}"
    raise Conflict(f"{what} is still on its way; wait until it has ended, or cancel it, and retry then.")


def _insert(
    connection: Connection, vault: Vault, project: Project, new: NewNotification, resolved: _Resolved, mark: int
) -> NotificationRecord:
    members = resolved.members
    small = members is not None and len(members) <= SMALL_RECIPIENTS_MAX
    state = NotificationState.PLANNING if members is None else NotificationState.SENDING
    if members is not None and not members:
        state = move_notification(state, NotificationEvent.SETTLED)
    finished_at = new.accepted_at if state in ENDED_STATES else None
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
        "retry_of": resolved.original.id if resolved.original else None,
        "state": state.value,
        "accepted_at": new.accepted_at,
        "send_at": new.send_at,
        "deadline": new.deadline,
        "finished_at": finished_at,
        "high_water": mark,
        "keeps_outcomes": small,
        "idempotency_key": new.idempotency_key,
        "request_hash": new.request_hash,
        "purpose_id": resolved.purpose_id,
    }
    return NotificationRecord(
        id=int(connection.execute(_INSERT, values).scalar_one()),
        public_id=new.public_id,
        project_id=project.id,
        state=state,
        paused_at=None,
        priority=new.priority,
        options=new.options,
        target_kind=new.target.kind,
        accepted_at=new.accepted_at,
        send_at=new.send_at,
        deadline=new.deadline,
        finished_at=finished_at,
        keeps_outcomes=small,
        retry_of=resolved.original.public_id if resolved.original else None,
        purpose=new.purpose,
    )


def _job(record: NotificationRecord, new: NewNotification, purpose_id: int | None) -> NotificationJob:
    return NotificationJob(
        id=record.id,
        project_id=record.project_id,
        public_id=new.public_id,
        payload=new.payload,
        token_offset=new.token_offset,
        options=new.options,
        priority=new.priority,
        deadline=new.deadline,
        compress=new.compress,
        keeps_outcomes=record.keeps_outcomes,
        purpose_id=purpose_id,
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
