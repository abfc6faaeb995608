"""Units of work that forget tombstones: old ones that neither a message under way nor a successor's chain needs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, func, literal, select, text, tuple_

from pushkeep.adapters.store.rows import json_values
from pushkeep.adapters.store.shard_rows import IS_LIVE
from pushkeep.adapters.store.tables import consent_states, lifecycle, notifications, shards, subscriptions
from pushkeep.adapters.store.writer import ERASED
from pushkeep.domain.project import Project
from pushkeep.domain.sweep import SweepRules
from pushkeep.ports.sweeps import PurgeCursor, PurgedPage

_of = subscriptions.c
# Who is replaced while a message waits is still led to by his tombstone, whether the message has recipients yet or
# is an audience that is still to be planned. Past its deadline it leads nobody anywhere.
_OLDEST_UNDER_WAY = select(func.min(notifications.c.accepted_at)).where(
    notifications.c.project_id == bindparam("project_id"),
    notifications.c.deadline > bindparam("now"),
    notifications.c.id.in_(select(shards.c.notification_id).where(IS_LIVE)),
)
_PAGE = (
    select(_of.id, _of.ended_at, _of.superseded_by)
    .where(
        _of.ended_at.is_not(None),
        _of.ended_at < bindparam("before"),
        tuple_(_of.ended_at, _of.id) > tuple_(bindparam("after_at"), bindparam("after_id")),
        _of.project_id + literal(0) == bindparam("project_id"),
    )
    .order_by(_of.ended_at, _of.id)
    .limit(bindparam("most"))
)
_POINTED_AT = select(_of.superseded_by).where(
    _of.superseded_by.in_(json_values("ids")), _of.id.not_in(json_values("ids"))
)
_LOG = delete(lifecycle).where(lifecycle.c.subscription_id.in_(json_values("ids")))
_ROWS = delete(subscriptions).where(subscriptions.c.id.in_(json_values("ids")))
# What was agreed to there rests on nothing any more, unless another one has taken it over.
_CONSENTS_OVER = text(
    """
    UPDATE consents SET over_at = s.ended_at
    FROM consent_states AS w CROSS JOIN subscriptions AS s ON s.id = w.subject_id
    WHERE w.subject = 's' AND w.subject_id IN (SELECT value FROM json_each(:ids)) AND s.superseded_by IS NULL
        AND consents.project_id = w.project_id AND consents.number = w.number AND consents.over_at IS NULL
    """
)
_STATES = delete(consent_states).where(
    consent_states.c.subject == "s", consent_states.c.subject_id.in_(json_values("ids"))
)
_COUNT = text(
    """
    WITH RECURSIVE pinned (id, superseded_by) AS (
        SELECT t.id, t.superseded_by FROM subscriptions AS t
        WHERE t.ended_at IS NOT NULL AND t.ended_at < :before AND t.project_id + 0 = :project_id AND EXISTS (
            SELECT 1 FROM subscriptions AS p
            WHERE p.superseded_by = t.id AND (p.ended_at IS NULL OR p.ended_at >= :before)
        )
        UNION
        SELECT t.id, t.superseded_by FROM pinned CROSS JOIN subscriptions AS t
        WHERE t.id = pinned.superseded_by AND t.ended_at < :before
    )
    SELECT (
        SELECT count(*) FROM subscriptions AS t
        WHERE t.ended_at IS NOT NULL AND t.ended_at < :before AND t.project_id + 0 = :project_id
    ) - (SELECT count(*) FROM pinned)
    """
)


def purge_before(connection: Connection, project: Project, rules: SweepRules) -> float:
    """See :meth:`pushkeep.ports.sweeps.SweepStore.purge_before`."""
    oldest = connection.execute(_OLDEST_UNDER_WAY, {"project_id": project.id, "now": rules.now}).scalar_one()
    return rules.tombstones_before if oldest is None else min(rules.tombstones_before, oldest)


def count_tombstones(connection: Connection, project: Project, *, before: float) -> int:
    """See :meth:`pushkeep.ports.sweeps.SweepStore.count_tombstones`."""
    return int(connection.execute(_COUNT, {"project_id": project.id, "before": before}).scalar_one())


def purge_page(
    connection: Connection, project: Project, *, before: float, after: PurgeCursor, limit: int
) -> PurgedPage:
    """See :meth:`pushkeep.ports.sweeps.SweepStore.purge_page`."""
    bounds = {"project_id": project.id, "before": before, "after_at": after[0], "after_id": after[1], "most": limit}
    rows = connection.execute(_PAGE, bounds).all()
    if not rows:
        return PurgedPage(0, None)
    ids = _unneeded(connection, [(row.id, row.superseded_by) for row in rows])
    if ids:
        named = {"ids": json.dumps(ids)}
        connection.execute(_CONSENTS_OVER, named)
        connection.execute(_STATES, named)
        connection.execute(_LOG, named)
        connection.execute(_ROWS, named)
        connection.info[ERASED] = True
    return PurgedPage(len(ids), (rows[-1].ended_at, rows[-1].id) if len(rows) == limit else None)


def _unneeded(connection: Connection, rows: Sequence[tuple[int, int | None]]) -> list[int]:
    """Without what a row that stays points at: a chain is forgotten from its beginning.

    Of those that go together one may point at the other: SQLite looks at references when a statement has ended.
    """
    successors = dict(rows)
    kept = set(connection.execute(_POINTED_AT, {"ids": json.dumps(list(successors))}).scalars())
    for row_id, _ in rows:  # what is kept keeps its successor, too
        following = successors.get(row_id) if row_id in kept else None
        while following is not None and following in successors and following not in kept:
            kept.add(following)
            following = successors[following]
    return [row_id for row_id in successors if row_id not in kept]
