"""Units of work that lend shards: whose turn it is, how long a loan lasts, and what becomes of one that ran out."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, String, bindparam, func, select, text, update

from pushkeep.adapters.store.sealing import SealBroken, Vault
from pushkeep.adapters.store.shard_rows import JOB_COLUMNS, SHARD_COLUMNS, job_from, shard_from
from pushkeep.adapters.store.tables import notifications, projects, shards
from pushkeep.domain.sending import NotificationJob
from pushkeep.domain.shard import TAKEOVERS_MAX, LeaseKey, ShardState
from pushkeep.ports.notifications import Leased
from pushkeep.ports.shards import ClaimFilter
from pushkeep.protocol.vendors import VENDORS

SET_ASIDE = "set_aside"
"""A claim says in ``connection.info[SET_ASIDE]`` how many shards it set aside instead of lending them."""

_FEW_SHARDS = 200
"""So many are looked at one by one, and what waits for its time behind them is not."""

_MAY_BE_LENT = """
    n.state IN ('planning', 'sending') AND n.paused_at IS NULL
    AND (r.until IS NULL OR r.until <= :now)
    AND s.origin NOT IN (SELECT value FROM json_each(:full_origins))
    AND (:plans OR s.kind <> 'plan')
    AND (:notification_id IS NULL OR s.notification_id = :notification_id)
"""

_DUE_COUNT = text(
    """
    SELECT count(*) FROM (
        SELECT 1 FROM shards WHERE state = 'ready' AND priority = :priority AND not_before <= :now LIMIT :limit
    )
    """
)
_TURNS_OF_FEW = text(
    f"""
    SELECT s.notification_id, s.origin, s.vendor, s.priority
    FROM shards AS s INDEXED BY ix_shards_ready
    CROSS JOIN notifications AS n ON n.id = s.notification_id
    LEFT JOIN origin_rests AS r ON r.origin = s.origin
    WHERE s.state = 'ready' AND s.priority = :priority AND s.not_before <= :now AND {_MAY_BE_LENT}
    GROUP BY s.notification_id, s.origin
    ORDER BY n.last_leased_at, n.id, min(s.not_before), min(s.id)
    """  # noqa: S608 - of constants only
)
# The first shard at every push service of every notification whose time has come, each found from the one before by
# ix_shards_turns: it costs as much as there are such pairs, however many shards stand behind each first one, and
# however many notifications wait for their time.
_TURNS_OF_MANY = text(
    f"""
    WITH RECURSIVE first (id, notification_id, origin) AS (
        SELECT s.id, s.notification_id, s.origin
        FROM notifications AS n INDEXED BY ix_notifications_begun CROSS JOIN shards AS s ON s.id = (
            SELECT id FROM shards WHERE state = 'ready' AND priority = :priority AND notification_id = n.id
            ORDER BY origin, not_before LIMIT 1
        )
        WHERE n.finished_at IS NULL AND n.send_at <= :now
        UNION ALL
        SELECT next.id, next.notification_id, next.origin
        FROM first CROSS JOIN shards AS next ON next.id = (
            SELECT id FROM shards WHERE state = 'ready' AND priority = :priority
                AND notification_id = first.notification_id AND origin > first.origin
            ORDER BY origin, not_before LIMIT 1
        )
    )
    SELECT s.notification_id, s.origin, s.vendor, s.priority
    FROM first
    JOIN shards AS s ON s.id = first.id
    JOIN notifications AS n ON n.id = s.notification_id
    LEFT JOIN origin_rests AS r ON r.origin = s.origin
    WHERE s.not_before <= :now AND {_MAY_BE_LENT}
    ORDER BY n.last_leased_at, n.id, s.not_before, s.id
    """  # noqa: S608 - of constants only
)
_EXPIRED = text(
    f"""
    SELECT s.id, s.origin, s.vendor, s.takeovers, s.priority
    FROM shards AS s INDEXED BY ix_shards_leased
    CROSS JOIN notifications AS n ON n.id = s.notification_id
    LEFT JOIN origin_rests AS r ON r.origin = s.origin
    WHERE s.state = 'leased' AND s.lease_expires_at <= :now AND {_MAY_BE_LENT}
    ORDER BY s.lease_expires_at, s.id
    """  # noqa: S608 - of constants only
)
_DUE = text(
    """
    SELECT id FROM shards
    WHERE state = 'ready' AND priority = :priority AND notification_id = :notification_id AND origin = :origin
        AND not_before <= :now
    ORDER BY not_before, id LIMIT :limit
    """
)
_LISTED = select(func.json_each(bindparam("ids", type_=String)).table_valued("value").c.value)
_LEND = (
    update(shards)
    .where(shards.c.id.in_(_LISTED))
    .values(
        state=ShardState.LEASED.value,
        epoch=shards.c.epoch + 1,
        takeovers=shards.c.takeovers + bindparam("again"),
        lease_owner=bindparam("owner"),
        lease_expires_at=bindparam("until"),
    )
)
_SET_ASIDE = (
    update(shards)
    .where(shards.c.id.in_(_LISTED))
    .values(
        state=ShardState.SET_ASIDE.value,
        epoch=shards.c.epoch + 1,
        takeovers=shards.c.takeovers + bindparam("again"),
        lease_owner=None,
        lease_expires_at=None,
    )
)
_LEASED_FROM = update(notifications).where(notifications.c.id.in_(_LISTED)).values(last_leased_at=bindparam("now"))
_SHARDS = select(*SHARD_COLUMNS).where(shards.c.id.in_(_LISTED))
_JOBS = (
    select(*JOB_COLUMNS)
    .select_from(notifications.join(projects, projects.c.id == notifications.c.project_id))
    .where(notifications.c.id.in_(_LISTED))
)
_RENEW = text(
    """
    UPDATE shards SET lease_expires_at = :until
    WHERE state = 'leased'
        AND id IN (SELECT json_extract(value, '$[0]') FROM json_each(:leases))
        AND (id, epoch) IN (
            SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:leases)
        )
    RETURNING id
    """
)
_NEXT_DUE = text(
    """
    SELECT min(due) FROM (
        SELECT min(not_before) AS due FROM shards WHERE state = 'ready' AND priority = 0 AND not_before > :now
        UNION ALL
        SELECT min(not_before) FROM shards WHERE state = 'ready' AND priority = 1 AND not_before > :now
        UNION ALL
        SELECT min(not_before) FROM shards WHERE state = 'ready' AND priority = 2 AND not_before > :now
        UNION ALL
        SELECT min(lease_expires_at) FROM shards WHERE state = 'leased' AND lease_expires_at > :now
        UNION ALL
        SELECT min(until) FROM origin_rests WHERE until > :now
    )
    """
)


class _Lanes:
    """Which push services the worker has a lane for, counted down as strangers are chosen."""

    def __init__(self, wanted: ClaimFilter) -> None:
        self._strangers = set(wanted.stranger_origins)
        self._free = wanted.stranger_lanes_free

    def take(self, origin: str, vendor: str) -> bool:
        """Whether a shard at this push service may be taken; an unknown one's lane is used up then."""
        row = VENDORS.get(vendor)
        if not origin or (row is not None and row.known) or origin in self._strangers:
            return True
        if self._free <= 0:
            return False
        self._free -= 1
        self._strangers.add(origin)
        return True


class _Chosen(NamedTuple):
    due: list[int]
    taken_over: list[int]
    set_aside: list[int]

    def __len__(self) -> int:
        return len(self.due) + len(self.taken_over)


def has_work(connection: Connection, wanted: ClaimFilter, now: float) -> bool:
    """Whether :func:`claim` would change anything; needs no write lock."""
    chosen = _choose(connection, wanted, now)
    return any(chosen)


def claim(
    connection: Connection, vault: Vault, wanted: ClaimFilter, now: float, lease_seconds: float
) -> tuple[Leased, ...]:
    """See :meth:`pushkeep.ports.shards.ShardStore.claim`."""
    chosen = _choose(connection, wanted, now)
    lent = {"owner": wanted.owner, "until": now + lease_seconds}
    for statement, ids, values in (
        (_LEND, chosen.due, {**lent, "again": 0}),
        (_LEND, chosen.taken_over, {**lent, "again": 1}),
        (_SET_ASIDE, chosen.set_aside, {"again": 1}),
    ):
        if ids:
            connection.execute(statement, {**values, "ids": json.dumps(ids)})
    connection.info[SET_ASIDE] = len(chosen.set_aside)
    return _lent(connection, vault, [*chosen.taken_over, *chosen.due], now)


def _choose(connection: Connection, wanted: ClaimFilter, now: float) -> _Chosen:
    chosen = _Chosen([], [], [])
    lanes = _Lanes(wanted)
    conditions = {
        "now": now,
        "full_origins": json.dumps(sorted(wanted.full_origins)),
        "plans": wanted.plans,
        "notification_id": wanted.notification_id,
    }
    expired = connection.execute(_EXPIRED, conditions).all()
    for priority in sorted(wanted.priorities):
        for row in expired:
            if row.priority != priority:
                continue
            if row.takeovers + 1 >= TAKEOVERS_MAX:
                chosen.set_aside.append(row.id)
            elif len(chosen) < wanted.limit and lanes.take(row.origin, row.vendor):
                chosen.taken_over.append(row.id)
        if len(chosen) < wanted.limit:
            turns = _turns(connection, {**conditions, "priority": priority.value})
            for shard_id in _in_turn(connection, turns, lanes, wanted.limit, now):
                chosen.due.append(shard_id)
                if len(chosen) == wanted.limit:
                    break
    return chosen


def _turns(connection: Connection, conditions: dict[str, object]) -> Sequence[Row[Any]]:
    """Notifications and push services that have something due, in the order in which it is their turn."""
    due = connection.execute(_DUE_COUNT, {**conditions, "limit": _FEW_SHARDS + 1}).scalar_one()
    if not due:
        return ()
    return connection.execute(_TURNS_OF_FEW if due <= _FEW_SHARDS else _TURNS_OF_MANY, conditions).all()


def _in_turn(connection: Connection, turns: Sequence[Row[Any]], lanes: _Lanes, limit: int, now: float) -> Iterator[int]:
    """Shards that are due, one of each notification after the other, and of each its push services in turn."""
    by_notification: dict[int, deque[tuple[Row[Any], Iterator[int] | None]]] = {}
    for row in turns:
        by_notification.setdefault(row.notification_id, deque()).append((row, None))
    waiting = deque(by_notification.values())
    while waiting:
        services = waiting.popleft()
        while services:
            row, due = services.popleft()
            if due is None:
                if not lanes.take(row.origin, row.vendor):
                    continue
                due = _due(connection, row, limit, now)
            shard_id = next(due, None)
            if shard_id is not None:
                services.append((row, due))
                waiting.append(services)
                yield shard_id
                break


def _due(connection: Connection, row: Row[Any], limit: int, now: float) -> Iterator[int]:
    place = {"priority": row.priority, "notification_id": row.notification_id, "origin": row.origin}
    return iter(connection.execute(_DUE, {**place, "now": now, "limit": limit}).scalars().all())


def _lent(connection: Connection, vault: Vault, ids: Sequence[int], now: float) -> tuple[Leased, ...]:
    if not ids:
        return ()
    rows = {row.shard_id: row for row in connection.execute(_SHARDS, {"ids": json.dumps(ids)})}
    named = json.dumps(sorted({row.notification_id for row in rows.values()}))
    connection.execute(_LEASED_FROM, {"ids": named, "now": now})
    jobs: dict[int, NotificationJob] = {}
    for row in connection.execute(_JOBS, {"ids": named}):
        try:
            jobs[row.notification_id] = job_from(vault, row)
        except SealBroken:
            continue
    unreadable = [shard_id for shard_id in ids if rows[shard_id].notification_id not in jobs]
    if unreadable:  # a payload that does not open would be lent again and again
        connection.execute(_SET_ASIDE, {"ids": json.dumps(unreadable), "again": 0})
        connection.info[SET_ASIDE] += len(unreadable)
    return tuple(
        Leased(shard_from(rows[shard_id]), jobs[rows[shard_id].notification_id])
        for shard_id in ids
        if rows[shard_id].notification_id in jobs
    )


def renew(connection: Connection, leases: Sequence[LeaseKey], until: float) -> frozenset[int]:
    """See :meth:`pushkeep.ports.shards.ShardStore.renew`."""
    listed = json.dumps([(lease.shard_id, lease.epoch) for lease in leases])
    return frozenset(connection.execute(_RENEW, {"leases": listed, "until": until}).scalars())


def next_due(connection: Connection, now: float) -> float | None:
    """See :meth:`pushkeep.ports.shards.ShardStore.next_due`."""
    due = connection.execute(_NEXT_DUE, {"now": now}).scalar_one()
    return None if due is None else float(due)
