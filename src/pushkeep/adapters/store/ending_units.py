"""The end of a notification: it is over with its last shard, and whoever closes that one is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, func, select, text, update

from pushkeep.adapters.store.shard_rows import IS_LIVE
from pushkeep.adapters.store.tables import notifications, shards
from pushkeep.domain.sending import NotificationState
from pushkeep.domain.shard import FINAL_KINDS, Kind
from pushkeep.ports.shards import Ended

CUT_SHARDS_MAX = 200
"""Shards that one unit closes: each is rewritten with its members, and others wait meanwhile, for about 50 ms."""

CUT_OFF = """
    UPDATE shards SET {kind} = {kind} + count - settled, settled = count, state = 'closed', epoch = epoch + 1,
        lease_owner = NULL, lease_expires_at = NULL
    WHERE id IN ({which} LIMIT :limit)
    RETURNING notification_id, kind
"""
"""Closes shards as they are: who was not done becomes ``kind``."""

_CUT_IDLE = text(
    CUT_OFF.format(
        kind="cancelled",
        which="""
            SELECT id FROM shards INDEXED BY ix_shards_live
            WHERE notification_id = :notification_id AND state <> 'closed' AND state <> 'leased'
        """,
    )
)
_ALL_CUT = update(notifications).where(notifications.c.id == bindparam("row_id")).values(finished_at=bindparam("now"))
_NOTHING_LEFT = ~exists().where(shards.c.notification_id == bindparam("row_id"), IS_LIVE)
_TOLD = (notifications.c.public_id, notifications.c.send_at, notifications.c.keeps_outcomes)
_FINISH = (
    update(notifications)
    .where(
        notifications.c.id == bindparam("row_id"),
        notifications.c.state == NotificationState.SENDING.value,
        _NOTHING_LEFT,
    )
    .values(state=NotificationState.DONE.value, finished_at=bindparam("now"))
    .returning(*_TOLD)
)
_CANCELLED = select(*_TOLD).where(
    notifications.c.id == bindparam("row_id"),
    notifications.c.state == NotificationState.CANCELLED.value,
    _NOTHING_LEFT,
)
_COUNTS = select(*(func.sum(getattr(shards.c, kind.value)).label(kind.value) for kind in FINAL_KINDS)).where(
    shards.c.notification_id == bindparam("row_id")
)


def finish(connection: Connection, notification_id: int, now: float) -> Ended | None:
    """Call a notification done if its last shard is closed; None if it is not, or was done before."""
    row = connection.execute(_FINISH, {"row_id": notification_id, "now": now}).one_or_none()
    return None if row is None else _ended(connection, notification_id, NotificationState.DONE, row, now)


def ended_cancelled(connection: Connection, notification_id: int, now: float) -> Ended | None:
    """The end of a cancelled notification, for who has just closed a shard of it; None while others are on loan."""
    row = connection.execute(_CANCELLED, {"row_id": notification_id}).one_or_none()
    return None if row is None else _ended(connection, notification_id, NotificationState.CANCELLED, row, now)


def cut_idle(connection: Connection, notification_id: int, now: float) -> tuple[bool, Ended | None]:
    """Close shards of a cancelled notification that nobody works on: some of them, so that nobody waits for long.

    Returns:
        whether there may be more, and the notification's end where these were the last. Whoever comes after a kill
        between two calls finds the notification by its ``finished_at``, which is set with the last one.
    """
    named = {"notification_id": notification_id, "limit": CUT_SHARDS_MAX}
    cut = len(connection.execute(_CUT_IDLE, named).all())
    more = cut == CUT_SHARDS_MAX
    if not more:
        connection.execute(_ALL_CUT, {"row_id": notification_id, "now": now})
    return more, ended_cancelled(connection, notification_id, now) if cut else None


def _ended(
    connection: Connection, notification_id: int, state: NotificationState, row: Row[Any, Any, Any], now: float
) -> Ended:
    counts = {} if row.keeps_outcomes else _counts(connection, notification_id)
    return Ended(str(row.public_id), state, max(now - row.send_at, 0.0), counts)


def _counts(connection: Connection, notification_id: int) -> Mapping[Kind, int]:
    row = connection.execute(_COUNTS, {"row_id": notification_id}).one()
    return {kind: count for kind, count in zip(FINAL_KINDS, row, strict=True) if count}
