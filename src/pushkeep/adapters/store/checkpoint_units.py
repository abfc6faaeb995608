"""The unit of work in which a worker writes down what became of a shard's recipients."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select, text, update

from pushkeep.adapters.store.ending_units import ended_cancelled, finish
from pushkeep.adapters.store.follow_up_units import follow_up
from pushkeep.adapters.store.result_units import apply_updates
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.tables import notifications, shards
from pushkeep.adapters.store.writer import SHARDS_READY
from pushkeep.domain.sending import NotificationState
from pushkeep.domain.shard import Bitmap, Kind, LeaseKey, ShardKind, ShardState, unpack_ids
from pushkeep.ports.shards import Checkpoint, Ended, Ending, LeaseLost, Move, SettledMember

HELD = (
    shards.c.id == bindparam("shard_id"),
    shards.c.epoch == bindparam("held_epoch"),
    text("shards.state = 'leased'"),
)
"""What must be true of a shard for whoever shows a :class:`LeaseKey`."""

_HELD_SHARD: Select[tuple[Any, ...]] = (
    select(
        shards.c.id,
        shards.c.project_id,
        shards.c.notification_id,
        shards.c.kind,
        shards.c.priority,
        shards.c.origin,
        shards.c.vendor,
        shards.c.count.label("recipients"),
        shards.c.not_before,
        shards.c.lease_owner,
        notifications.c.state.label("notification_state"),
        notifications.c.keeps_outcomes,
        shards.c.members,
        shards.c.owners,
        shards.c.done,
    )
    .select_from(shards.join(notifications, notifications.c.id == shards.c.notification_id))
    .where(*HELD)
)
_COUNTS = {kind: getattr(shards.c, kind.value) for kind in Kind}
_WRITE_DOWN = (
    update(shards)
    .where(*HELD)
    .values(
        {
            shards.c.done: bindparam("new_done"),
            shards.c.settled: bindparam("new_settled"),
            shards.c.state: bindparam("new_state"),
            shards.c.not_before: bindparam("new_not_before"),
            shards.c.lease_owner: bindparam("new_owner"),
            shards.c.lease_expires_at: bindparam("new_expires_at"),
            **{column: column + bindparam(f"more_{kind.value}") for kind, column in _COUNTS.items()},
        }
    )
)
_KEEP_OUTCOME = text(
    """
    INSERT OR REPLACE INTO recipient_outcomes (project_id, notification_id, subscription_id, kind, action, status,
        explanation, retry_after, duration_ms, attempts, at)
    SELECT :project_id, :notification_id, :subscription_id, :kind, :action, :status,
        :explanation, :retry_after, :duration_ms, :attempts, :at
    WHERE EXISTS (SELECT 1 FROM subscriptions WHERE id = :subscription_id AND keys_hash <> zeroblob(16))
    """
)
"""Of who is or was erased while the message is under way nothing is kept but the shard's count; see `erase_units`."""

_PLANNED = text("UPDATE notifications SET state = 'sending' WHERE id = :notification_id AND state = 'planning'")


def lease_lost(lease: LeaseKey) -> LeaseLost:
    """The error, with its sentence."""
    return LeaseLost(f"Shard {lease.shard_id} is no longer lent under epoch {lease.epoch}; nothing was written for it.")


def checkpoint(
    connection: Connection, vault: Vault, written: Checkpoint, now: float, lease_seconds: float
) -> Ended | None:
    """See :meth:`pushkeep.ports.shards.ShardStore.checkpoint`."""
    held = {"shard_id": written.lease.shard_id, "held_epoch": written.lease.epoch}
    shard = connection.execute(_HELD_SHARD, held).one_or_none()
    if shard is None:
        raise lease_lost(written.lease)
    done = Bitmap(shard.recipients, shard.done)
    settled, moves = _not_done_yet(done, written, cancelled=_is_cancelled(shard))
    counts = Counter(member.kind for member in settled)
    counts[Kind.MOVED] += len(moves)
    _keep_outcomes(connection, shard, settled, now)
    follow_up(connection, shard, moves)
    if written.updates:
        apply_updates(connection, vault, shard.project_id, written.updates, now=now)
    values = _ending(shard, done, counts, written, now + lease_seconds)
    changed = connection.execute(_WRITE_DOWN, {**held, **values, "new_done": done.pack(), **_more(counts)})
    if changed.rowcount != 1:
        raise lease_lost(written.lease)
    if values["new_state"] == ShardState.READY.value:
        connection.info[SHARDS_READY] = True
    if values["new_state"] == ShardState.CLOSED.value:
        if shard.kind == ShardKind.PLAN.value:
            planned(connection, shard.notification_id)
        end = ended_cancelled if _is_cancelled(shard) else finish
        return end(connection, shard.notification_id, now)
    return None


def planned(connection: Connection, notification_id: int) -> None:
    """Say that nobody will be added to a notification's recipients any more."""
    connection.execute(_PLANNED, {"notification_id": notification_id})


def _is_cancelled(shard: Row[tuple[Any, ...]]) -> bool:
    return bool(shard.notification_state == NotificationState.CANCELLED.value)


def _not_done_yet(done: Bitmap, written: Checkpoint, *, cancelled: bool) -> tuple[list[SettledMember], list[Move]]:
    """What is new in a checkpoint; its bits are set.

    A bit that is set already was set by the same worker's checkpoint, whose success it has not heard of.
    """
    settled, moves = [], []
    for member in written.settled:
        if member.kind is Kind.MOVED:
            raise ValueError("A member that is moved is no settled one.")
        if member.position not in done:
            done.set(member.position)
            settled.append(member)
    for move in written.moves:
        if move.position in done:
            continue
        done.set(move.position)
        if cancelled:  # no follow-up of a cancelled notification is made that nobody would cancel
            settled.append(SettledMember(move.position, Kind.CANCELLED, attempts=move.attempt - 1))
        else:
            moves.append(move)
    return settled, moves


def _keep_outcomes(
    connection: Connection, shard: Row[tuple[Any, ...]], settled: Sequence[SettledMember], now: float
) -> None:
    kept: Iterable[SettledMember] = settled
    if not shard.keeps_outcomes:
        kept = [member for member in settled if member.kind is not Kind.ACCEPTED]
    if not kept:
        return
    members = unpack_ids(shard.members)
    connection.execute(
        _KEEP_OUTCOME,
        [
            {
                "project_id": shard.project_id,
                "notification_id": shard.notification_id,
                "subscription_id": members[member.position],
                "kind": member.kind.value,
                "action": member.action,
                "status": member.status,
                "explanation": None if member.explanation is None else json.dumps(member.explanation.to_dict()),
                "retry_after": member.retry_after,
                "duration_ms": member.duration_ms,
                "attempts": member.attempts,
                "at": now,
            }
            for member in kept
        ],
    )


def _ending(
    shard: Row[tuple[Any, ...]], done: Bitmap, counts: Counter[Kind], written: Checkpoint, until: float
) -> dict[str, object]:
    """The state after it; what is cut off is added to ``counts``."""
    ending = written.ending
    if ending in (Ending.RELEASE, Ending.EXPIRE) and _is_cancelled(shard):
        ending = Ending.CANCEL
    left = shard.recipients - len(done)
    closed = ending in (Ending.EXPIRE, Ending.CANCEL) or (left == 0 and shard.kind == ShardKind.SEND.value)
    if closed:
        counts[Kind.CANCELLED if ending is Ending.CANCEL else Kind.EXPIRED] += left
        state, expires_at = ShardState.CLOSED, None
    elif ending is Ending.RELEASE:
        state, expires_at = ShardState.READY, None
    else:
        state, expires_at = ShardState.LEASED, until
    kept = state is ShardState.LEASED
    return {
        "new_state": state.value,
        "new_settled": shard.recipients if closed else len(done),
        "new_not_before": written.not_before if state is ShardState.READY else shard.not_before,
        "new_owner": shard.lease_owner if kept else None,
        "new_expires_at": expires_at,
    }


def _more(counts: Counter[Kind]) -> dict[str, int]:
    return {f"more_{kind.value}": counts[kind] for kind in Kind}
