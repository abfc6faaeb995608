"""Units of work that erase people from notifications: what became of them there, and what was said to nobody else."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, select, text, update

from pushkeep.adapters.store.ending_units import cut_idle
from pushkeep.adapters.store.rows import AnyRow, json_values
from pushkeep.adapters.store.tables import notifications, receipts, recipient_outcomes, shards
from pushkeep.adapters.store.writer import ERASED
from pushkeep.domain.project import Project
from pushkeep.domain.sending import (
    SMALL_RECIPIENTS_MAX,
    NotificationEvent,
    NotificationState,
    move_notification,
)
from pushkeep.domain.shard import ShardKind, unpack_ids
from pushkeep.ports.privacy import ErasedCounts, ErasedPage, Subject

NO_HASH = bytes(16)
"""In place of a request's hash: whoever knows what may have been asked could tell by it that it was."""

_PAGE = (
    select(
        notifications.c.id,
        notifications.c.state,
        notifications.c.target_kind,
        notifications.c.finished_at,
        notifications.c.high_water,
        notifications.c.erased_at,
    )
    .where(notifications.c.project_id == bindparam("project_id"), notifications.c.id > bindparam("after"))
    .order_by(notifications.c.id)
    .limit(bindparam("most"))
)
_OUTCOMES = delete(recipient_outcomes).where(
    recipient_outcomes.c.notification_id.in_(json_values("notifications")),
    recipient_outcomes.c.subscription_id.in_(json_values("subscriptions")),
)
_RECEIPTS = delete(receipts).where(
    receipts.c.notification_id.in_(json_values("notifications")),
    receipts.c.subscription_id.in_(json_values("subscriptions")),
)
_PLANNED = func.sum(case((shards.c.page >= 0, shards.c.count), else_=0))
_FEW_RECIPIENTS = (
    select(shards.c.notification_id)
    .where(shards.c.notification_id.in_(json_values("notifications")))
    .group_by(shards.c.notification_id)
    .having(_PLANNED <= SMALL_RECIPIENTS_MAX, _PLANNED > 0)
)
_MEMBERS = select(shards.c.notification_id, shards.c.members, shards.c.owners).where(
    shards.c.notification_id.in_(json_values("notifications")), shards.c.kind == ShardKind.SEND.value
)
_CANCEL = update(notifications).where(notifications.c.id == bindparam("row_id")).values(state=bindparam("new_state"))
EMPTY_NOTIFICATIONS = (
    update(notifications)
    .where(notifications.c.id.in_(json_values("ids")))
    .values(
        content=b"",
        payload=None,
        token_offset=None,
        topic=None,
        idempotency_key=None,
        request_hash=NO_HASH,
        erased_at=bindparam("now"),
    )
)
"""Takes away what notifications say, and by what they could be told."""

_FORGET_TAG = text("UPDATE notifications SET tag_id = NULL WHERE id IN (SELECT value FROM json_each(:ids))")


def erase_messages(
    connection: Connection, project: Project, subject: Subject, *, after: int, limit: int, now: float
) -> ErasedPage:
    """See :meth:`pushkeep.ports.privacy.PrivacyStore.erase_messages`."""
    rows = connection.execute(_PAGE, {"project_id": project.id, "after": after, "most": limit}).all()
    if not rows:
        return ErasedPage(ErasedCounts(), None)
    first = min(subject.subscriptions, default=0)
    # Whoever came after a notification's high-water mark has no outcome; told of it they were, in place of another.
    later = [row.id for row in rows if row.high_water >= first]
    theirs = {"subscriptions": json.dumps(subject.subscriptions)}
    outcomes = connection.execute(_OUTCOMES, {**theirs, "notifications": json.dumps(later)}).rowcount
    reported = connection.execute(_RECEIPTS, {**theirs, "notifications": json.dumps([row.id for row in rows])}).rowcount
    own = _for_nobody_else(connection, subject, rows)
    by_id: Mapping[int, AnyRow] = {row.id: row for row in rows}
    for number in own:
        _cancel(connection, by_id[number], now)
    if own:
        found = {"ids": json.dumps(own)}
        connection.execute(EMPTY_NOTIFICATIONS, {**found, "now": now})
        connection.execute(_FORGET_TAG, found)
    if own or outcomes or reported:
        connection.info[ERASED] = True
    counts = ErasedCounts(notifications=len(own), outcomes=outcomes, receipts=reported)
    return ErasedPage(counts, rows[-1].id if len(rows) == limit else None)


def _for_nobody_else(connection: Connection, subject: Subject, rows: Sequence[AnyRow]) -> list[int]:
    """Notifications with recipients, all of whom are the subject. What was for everybody says nothing of anybody."""
    asked = [row.id for row in rows if row.target_kind != "all" and row.erased_at is None]
    few = connection.execute(_FEW_RECIPIENTS, {"notifications": json.dumps(asked)}).scalars().all()
    if not few:
        return []
    theirs: dict[int, bool] = {}
    for row in connection.execute(_MEMBERS, {"notifications": json.dumps(few)}):
        theirs[row.notification_id] = theirs.get(row.notification_id, True) and _all_theirs(row, subject)
    return sorted(number for number, only in theirs.items() if only)


def _all_theirs(row: Any, subject: Subject) -> bool:
    members, owners = unpack_ids(row.members), unpack_ids(row.owners)
    known: Collection[int] = frozenset(subject.subscriptions)
    return all(
        member in known or (subject.contact_id is not None and bool(owners) and owners[position] == subject.contact_id)
        for position, member in enumerate(members)
    )


def _cancel(connection: Connection, row: AnyRow, now: float) -> None:
    state = NotificationState(row.state)
    if state in (NotificationState.PLANNING, NotificationState.SENDING):
        cancelled = move_notification(state, NotificationEvent.CANCELLED)
        connection.execute(_CANCEL, {"row_id": row.id, "new_state": cancelled.value})
    elif row.finished_at is not None:
        return
    more = True
    while more:  # a thousand recipients at most: a handful of shards
        more, _ = cut_idle(connection, row.id, now)
