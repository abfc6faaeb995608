"""What became of a notification for each recipient: rows of their own, and bits that were cut off in closed shards.

A deadline or a cancellation closes shards without looking at their members. Whoever was not reached is found in the
shard: a bit that is not set, in a shard that is closed.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, select

from pushkeep.adapters.store.membership_units import members_among
from pushkeep.adapters.store.rows import AnyRow, json_values
from pushkeep.adapters.store.tables import contacts, notifications, recipient_outcomes, shards, subscriptions
from pushkeep.domain.project import Project
from pushkeep.domain.sending import RETRIED_KINDS
from pushkeep.domain.shard import Bitmap, Kind, ShardKind, ShardState, unpack_ids
from pushkeep.ports.notifications import RecipientOutcome
from pushkeep.protocol.outcome import Explanation


class CutOff(NamedTuple):
    """A recipient whose turn did not come: ``kind`` is ``expired`` or ``cancelled``."""

    subscription_id: int
    kind: Kind


def _page_of(selected: Select[Any]) -> Select[Any]:
    """Of one notification those of some kinds, behind a subscription."""
    return (
        selected.where(
            recipient_outcomes.c.notification_id == bindparam("notification_id"),
            recipient_outcomes.c.subscription_id > bindparam("after"),
            recipient_outcomes.c.kind.in_(bindparam("kinds", expanding=True)),
        )
        .order_by(recipient_outcomes.c.subscription_id)
        .limit(bindparam("limit"))
    )


_NAMED = (
    subscriptions.c.id.label("subscription_id"),
    subscriptions.c.public_id,
    subscriptions.c.short_id,
    contacts.c.external_id,
)
_WITH_NAMES = subscriptions.outerjoin(contacts, contacts.c.id == subscriptions.c.contact_id)
_WRITTEN = _page_of(
    select(
        *_NAMED,
        recipient_outcomes.c.kind,
        recipient_outcomes.c.action,
        recipient_outcomes.c.status,
        recipient_outcomes.c.explanation,
        recipient_outcomes.c.retry_after,
        recipient_outcomes.c.duration_ms,
        recipient_outcomes.c.attempts,
        recipient_outcomes.c.at,
    ).select_from(
        recipient_outcomes.join(subscriptions, subscriptions.c.id == recipient_outcomes.c.subscription_id).outerjoin(
            contacts, contacts.c.id == subscriptions.c.contact_id
        )
    )
)
_WRITTEN_IDS = _page_of(select(recipient_outcomes.c.subscription_id))
_NAMES = select(*_NAMED).select_from(_WITH_NAMES).where(subscriptions.c.id.in_(json_values("ids")))
_CUT_SHARDS = select(
    shards.c.id,
    shards.c.page,
    func.substr(shards.c.members, 1, 8).label("first"),
    func.substr(shards.c.members, -8).label("last"),
).where(
    shards.c.notification_id == bindparam("notification_id"),
    shards.c.kind == ShardKind.SEND.value,
    shards.c.state == ShardState.CLOSED.value,
    shards.c.expired + shards.c.cancelled > 0,
)
_CUT_MEMBERS = select(shards.c.count.label("size"), shards.c.cancelled, shards.c.done, shards.c.members).where(
    shards.c.id == bindparam("shard_id")
)
_ENDED_AT = select(func.coalesce(notifications.c.finished_at, notifications.c.deadline)).where(
    notifications.c.id == bindparam("notification_id")
)


def outcomes(
    connection: Connection,
    project: Project,
    notification_id: int,
    *,
    kinds: frozenset[Kind] | None,
    limit: int,
    after: int,
) -> tuple[RecipientOutcome, ...]:
    """See :meth:`pushkeep.ports.notifications.NotificationStore.outcomes`."""
    ended_at = connection.execute(
        _ENDED_AT.where(notifications.c.project_id == project.id), {"notification_id": notification_id}
    ).scalar_one_or_none()
    if ended_at is None:
        return ()
    wanted = frozenset(Kind) if kinds is None else kinds
    page = {
        "notification_id": notification_id,
        "after": after,
        "kinds": [kind.value for kind in sorted(wanted)],
        "limit": limit,
    }
    found = [_outcome(row) for row in connection.execute(_WRITTEN, page)]
    cut = cut_off(connection, notification_id, kinds=wanted, after=after, limit=limit)
    found += _cut_outcomes(connection, cut, ended_at)
    found.sort(key=lambda item: item.subscription_id)
    return tuple(found[:limit])


def _outcome(row: AnyRow) -> RecipientOutcome:
    return RecipientOutcome(
        subscription_id=row.subscription_id,
        public_id=str(row.public_id),
        short_id=row.short_id,
        contact=row.external_id,
        kind=Kind(row.kind),
        action=row.action,
        status=row.status,
        explanation=None if row.explanation is None else Explanation(**json.loads(row.explanation)),
        retry_after=row.retry_after,
        duration_ms=row.duration_ms,
        attempts=row.attempts,
        at=row.at,
    )


def _cut_outcomes(connection: Connection, cut: Sequence[CutOff], at: float) -> Iterable[RecipientOutcome]:
    if not cut:
        return
    kinds = {item.subscription_id: item.kind for item in cut}
    for row in connection.execute(_NAMES, {"ids": json.dumps(list(kinds))}):
        yield RecipientOutcome(
            subscription_id=row.subscription_id,
            public_id=str(row.public_id),
            short_id=row.short_id,
            contact=row.external_id,
            kind=kinds[row.subscription_id],
            action=None,
            status=None,
            explanation=None,
            retry_after=None,
            duration_ms=None,
            attempts=0,
            at=at,
        )


def cut_off(
    connection: Connection, notification_id: int, *, kinds: frozenset[Kind], after: int, limit: int
) -> Sequence[CutOff]:
    """Recipients above ``after`` who were cut off, in the order of their ids, at most ``limit``."""
    if kinds.isdisjoint((Kind.EXPIRED, Kind.CANCELLED)):
        return ()
    ranges = []
    for row in connection.execute(_CUT_SHARDS, {"notification_id": notification_id}):
        # A plan's shard has its members in order; a follow-up gets them as they come.
        ordered = row.page >= 0
        if not ordered or unpack_ids(row.last)[0] > after:
            ranges.append((unpack_ids(row.first)[0] if ordered else 0, row.id))
    found: list[CutOff] = []
    for first, shard_id in sorted(ranges):
        if len(found) >= limit and first > (found := heapq.nsmallest(limit, found))[-1].subscription_id:
            break
        row = connection.execute(_CUT_MEMBERS, {"shard_id": shard_id}).one()
        done, members = Bitmap(row.size, row.done), unpack_ids(row.members)
        kind = Kind.CANCELLED if row.cancelled else Kind.EXPIRED  # a cut is one or the other, for all that was left
        if kind in kinds:
            found += [CutOff(members[at], kind) for at in done.unset() if members[at] > after]
    return heapq.nsmallest(limit, found)


def failed_page(
    connection: Connection, notification_id: int, *, after: int, limit: int
) -> tuple[Mapping[int, int], int, bool]:
    """Recipients of a notification whom another attempt may reach.

    Returns:
        the contact each must still belong to (0 for anybody) by id, in the order of ids; where the next page begins;
        whether this is the last one.
    """
    page = {
        "notification_id": notification_id,
        "after": after,
        "kinds": [kind.value for kind in sorted(RETRIED_KINDS)],
        "limit": limit,
    }
    ids = set(connection.execute(_WRITTEN_IDS, page).scalars())
    ids.update(
        item.subscription_id
        for item in cut_off(connection, notification_id, kinds=RETRIED_KINDS, after=after, limit=limit)
    )
    failed = dict.fromkeys(heapq.nsmallest(limit, ids), 0)
    # Whose messages these were: a retry reaches nobody whom the original was not for.
    failed.update(members_among(connection, notification_id, failed, owned=True))
    return failed, max(failed, default=after), len(failed) < limit
