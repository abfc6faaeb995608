"""Units of work on follow-ups: the shards of recipients who are tried again later.

A follow-up is named by notification, push service, number and history of attempts, and the time it is due. Whoever is
to be tried again joins the one that is there while nobody works on it, so that a push service which asks each of a
thousand recipients for a little patience leaves a few shards and not a thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, insert, select, update

from pushkeep.adapters.store.shard_rows import write_history
from pushkeep.adapters.store.tables import shards
from pushkeep.adapters.store.writer import SHARDS_READY
from pushkeep.domain.shard import FOLLOW_UP_PAGE, SHARD_MEMBERS_MAX, Bitmap, ShardKind, ShardState, pack_ids, unpack_ids
from pushkeep.ports.shards import Move

_LATEST: Select[tuple[Any, ...]] = (
    select(
        shards.c.id,
        shards.c.chunk,
        shards.c.count.label("room_taken"),
        shards.c.state,
        shards.c.members,
        shards.c.owners,
        shards.c.done,
    )
    .where(
        shards.c.notification_id == bindparam("notification_id"),
        shards.c.page == FOLLOW_UP_PAGE,
        shards.c.origin == bindparam("origin"),
        shards.c.attempt == bindparam("attempt"),
        shards.c.history == bindparam("history"),
        shards.c.bucket == bindparam("bucket"),
    )
    .order_by(shards.c.chunk.desc())
    .limit(1)
)
_INSERT = insert(shards)
_APPEND = (
    update(shards)
    .where(shards.c.id == bindparam("shard_id"))
    .values(
        members=bindparam("new_members"),
        owners=bindparam("new_owners"),
        count=bindparam("new_count"),
        done=bindparam("new_done"),
    )
)


def follow_up(connection: Connection, source: Row[tuple[Any, ...]], moves: Sequence[Move]) -> None:
    """Make members of a shard members of follow-ups.

    Args:
        connection: in the transaction in which their bits are set.
        source: of the shard: ``project_id``, ``notification_id``, ``origin``, ``vendor``, ``priority``, ``members``
            and ``owners``.
        moves: whom, and for when.
    """
    if not moves:
        return
    members, owners = unpack_ids(source.members), unpack_ids(source.owners)
    groups: dict[tuple[str, str, int, str, int], list[int]] = {}
    for move in moves:
        where = (move.origin, move.vendor) if move.origin else (source.origin, source.vendor)
        key = (*where, move.attempt, write_history(move.history), ceil(move.not_before))
        groups.setdefault(key, []).append(move.position)
    for (origin, vendor, attempt, history, bucket), positions in groups.items():
        named = {
            "notification_id": source.notification_id,
            "origin": origin,
            "attempt": attempt,
            "history": history,
            "bucket": bucket,
        }
        _add(
            connection,
            source,
            vendor,
            named,
            [members[position] for position in positions],
            [owners[position] for position in positions] if owners else [],
        )
    connection.info[SHARDS_READY] = True


def _add(
    connection: Connection,
    source: Row[tuple[Any, ...]],
    vendor: str,
    named: dict[str, Any],
    members: list[int],
    owners: list[int],
) -> None:
    latest = connection.execute(_LATEST, named).one_or_none()
    added = 0
    if latest is not None and latest.state == ShardState.READY.value and bool(latest.owners) == bool(owners):
        added = min(len(members), SHARD_MEMBERS_MAX - latest.room_taken)
        if added:
            _append(connection, latest, members[:added], owners[:added])
    chunk = 0 if latest is None else latest.chunk + 1
    for start in range(added, len(members), SHARD_MEMBERS_MAX):
        some = slice(start, start + SHARD_MEMBERS_MAX)
        connection.execute(
            _INSERT,
            {
                **_row(source, vendor, members[some], owners[some]),
                **named,
                "not_before": named["bucket"],
                "chunk": chunk,
            },
        )
        chunk += 1


def _append(connection: Connection, latest: Row[tuple[Any, ...]], members: list[int], owners: list[int]) -> None:
    count = latest.room_taken + len(members)
    connection.execute(
        _APPEND,
        {
            "shard_id": latest.id,
            "new_members": latest.members + pack_ids(members),
            "new_owners": latest.owners + pack_ids(owners),
            "new_count": count,
            "new_done": Bitmap(count, latest.done).pack(),
        },
    )


def _row(source: Row[tuple[Any, ...]], vendor: str, members: list[int], owners: list[int]) -> dict[str, Any]:
    return {
        "project_id": source.project_id,
        "kind": ShardKind.SEND.value,
        "priority": source.priority,
        "vendor": vendor,
        "page": FOLLOW_UP_PAGE,
        "state": ShardState.READY.value,
        "members": pack_ids(members),
        "owners": pack_ids(owners),
        "count": len(members),
        "done": Bitmap(len(members)).pack(),
    }
