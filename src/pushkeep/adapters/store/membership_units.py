"""Units of work on who is a recipient of a notification already, so that no browser is told the same thing twice."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select, text

from pushkeep.adapters.store.tables import shards
from pushkeep.domain.sending import NotificationState
from pushkeep.domain.shard import ShardKind, unpack_ids

SUCCESSORS_MAX = 10
"""A browser that replaced its subscription more often than this since the message was accepted is in a loop."""

CLOCKS_APART_SECONDS = 60.0
"""Whose end was written so long before a notification was accepted was none of its recipients, whoever's clock says
so; of the others it is looked up."""

_PLANNED = select(shards.c.members, shards.c.owners).where(
    shards.c.notification_id == bindparam("notification_id"),
    shards.c.page >= 0,  # every recipient's first shard
    shards.c.kind == ShardKind.SEND.value,
)
_OWNED = _PLANNED.where(func.length(shards.c.owners) > 0)
_LEAD_TO = text(
    f"""
    WITH RECURSIVE leads (successor, id, steps) AS (
        SELECT value, value, 0 FROM json_each(:successors)
        UNION ALL
        SELECT leads.successor, s.id, leads.steps + 1
        FROM leads CROSS JOIN subscriptions AS s INDEXED BY ix_subscriptions_successor
        WHERE s.superseded_by = leads.id AND s.ended_at IS NOT NULL AND leads.steps < {SUCCESSORS_MAX}
    )
    SELECT leads.successor, leads.id
    FROM leads CROSS JOIN subscriptions AS s ON s.id = leads.id
    WHERE leads.id <= :high_water
        AND (s.ended_at IS NULL OR s.ended_at >= :since)
    """  # noqa: S608 - of a constant only
)
_NOT_REACHED = text(
    """
    SELECT subscription_id FROM recipient_outcomes
    WHERE notification_id = :notification_id AND subscription_id IN (SELECT value FROM json_each(:ids))
        AND kind <> 'accepted'
    """
)


@dataclass(frozen=True, slots=True)
class Followed:
    """A recipient that was replaced by another subscription, which is sent to in its place.

    Attributes:
        member: the recipient's number.
        successor: the other's number; it is active.
        contact: whom the other belongs to; 0 for nobody.
    """

    member: int
    successor: int
    contact: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How far a notification's recipients are known.

    Attributes:
        notification_id: internal number.
        state, target_kind: as they are stored.
        accepted_at: epoch seconds.
        high_water, cursor: the highest subscription id in question, and up to where an audience has been planned.
    """

    notification_id: int
    state: str
    target_kind: str
    accepted_at: float
    high_water: int
    cursor: int


def members_among(
    connection: Connection, notification_id: int, ids: Collection[int], *, owned: bool = False
) -> Mapping[int, int]:
    """Which of these are recipients in a notification's shards, and the contact each must belong to; 0 for anybody.

    Args:
        connection: in a transaction.
        notification_id: internal number.
        ids: internal numbers of subscriptions.
        owned: only those that must belong to a contact are asked for.
    """
    found: dict[int, int] = {}
    if not ids:
        return found
    wanted, lowest, highest = frozenset(ids), min(ids), max(ids)
    statement = _OWNED if owned else _PLANNED
    for row in connection.execute(statement, {"notification_id": notification_id}):
        members = unpack_ids(row.members)  # in order
        if members[-1] < lowest or members[0] > highest:
            continue
        hits = wanted.intersection(members)
        if hits and row.owners:
            found.update(
                (member, owner) for member, owner in zip(members, unpack_ids(row.owners), strict=True) if member in hits
            )
        else:
            found.update(dict.fromkeys(hits, 0))
    return found


def told_by_another(connection: Connection, plan: Plan, followed: Collection[Followed]) -> frozenset[int]:
    """Of recipients that were replaced, those whose successor gets the message by another recipient.

    Of several that lead to one subscription, that subscription itself comes first if it is a recipient, then the one
    with the lowest number: whatever the others' workers do at the same time, it is the same one for all of them. Who
    is known not to have been reached is passed over, and who may tell only somebody else's browser.

    Returns:
        their numbers.
    """
    if not followed:
        return frozenset()
    before = _before(connection, plan, followed)
    candidates = {id for ids in before.values() for id in ids}
    if not candidates:
        return frozenset()
    members = dict(members_among(connection, plan.notification_id, candidates))
    if plan.state == NotificationState.PLANNING.value and plan.target_kind == "all":
        members.update(dict.fromkeys((id for id in candidates if id > plan.cursor), 0))  # soon
    named = {"notification_id": plan.notification_id, "ids": json.dumps(sorted(members))}
    not_reached = frozenset(connection.execute(_NOT_REACHED, named).scalars())
    return frozenset(
        one.member
        for one in followed
        if any(id not in not_reached and members.get(id, -1) in (0, one.contact) for id in before.get(one.member, ()))
    )


def _before(connection: Connection, plan: Plan, followed: Collection[Followed]) -> Mapping[int, Collection[int]]:
    """Who comes before each member in telling its successor, if they are recipients at all."""
    rows = connection.execute(
        _LEAD_TO,
        {
            "successors": json.dumps(sorted({one.successor for one in followed})),
            "high_water": plan.high_water,
            "since": plan.accepted_at - CLOCKS_APART_SECONDS,
        },
    )
    leading: defaultdict[int, set[int]] = defaultdict(set)
    for successor, id in rows:
        leading[successor].add(id)
    return {
        one.member: [id for id in leading[one.successor] if id == one.successor or id < one.member]
        for one in followed
        if one.successor in leading
    }
