"""Units of work that erase what is over its time, a page in a transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select, text

from pushkeep.adapters.store.erase_message_units import EMPTY_NOTIFICATIONS
from pushkeep.adapters.store.erase_units import EMPTY_RECORDS
from pushkeep.adapters.store.rows import AnyRow
from pushkeep.adapters.store.tables import notifications
from pushkeep.adapters.store.writer import ERASED
from pushkeep.domain.project import Project
from pushkeep.ports.privacy import Kept, RetentionPage

ROWS_ERASED_MAX = 2_000
"""Outcomes or receipts in one transaction: a notification to a million may have as many, and others wait meanwhile."""

_of = notifications.c
_OLD = (
    select(_of.id, _of.finished_at, _of.erased_at)
    .where(_of.project_id == bindparam("project_id"), _of.id > bindparam("after"))
    .order_by(_of.id)
    .limit(bindparam("most"))
)
_OUTCOMES = text(
    """
    DELETE FROM recipient_outcomes WHERE (notification_id, subscription_id) IN (
        SELECT notification_id, subscription_id FROM recipient_outcomes
        WHERE notification_id IN (SELECT value FROM json_each(:ids)) LIMIT :most
    )
    """
)
_RECEIPTS = text(
    """
    DELETE FROM receipts WHERE (notification_id, subscription_id, kind) IN (
        SELECT notification_id, subscription_id, kind FROM receipts
        WHERE notification_id IN (SELECT value FROM json_each(:ids)) LIMIT :most
    )
    """
)

# A withdrawal is over as soon as it is said; the rest when another word took its place, or the subscription went. An
# imported record may not say so, but what came after it does. What an ended subscription that came back rests on stays.
_RECORDS = text(
    """
    SELECT c.id, coalesce(
        c.over_at,
        CASE WHEN c.given THEN (
            SELECT min(l.at) FROM consents AS l
            WHERE l.subscription_id = c.subscription_id AND l.purpose_id = c.purpose_id AND l.number > c.number
        ) ELSE c.at END
    ) AS over, c.given AND EXISTS (
        SELECT 1 FROM consent_states AS w CROSS JOIN subscriptions AS s ON s.id = w.subject_id
        WHERE w.subject = 's' AND w.subject_id = c.subscription_id AND w.purpose_id = c.purpose_id
            AND w.number = c.number AND w.given AND s.ended_at IS NULL
    ) AS rests
    FROM consents AS c
    WHERE c.project_id + 0 = :project_id AND c.id > :after AND c.at < :before AND c.content IS NOT NULL
    ORDER BY c.id LIMIT :most
    """
)


def erase_old(
    connection: Connection, project: Project, kept: Kept, *, before: float, after: int, limit: int, now: float
) -> RetentionPage:
    """See :meth:`pushkeep.ports.privacy.PrivacyStore.erase_old`."""
    if kept is Kept.CONSENTS:
        return _erase_consents(connection, project, before=before, after=after, limit=limit, now=now)
    rows = connection.execute(_OLD, {"project_id": project.id, "after": after, "most": limit}).all()
    old = [row for row in rows if row.finished_at is not None and row.finished_at < before]
    last = rows[-1].id if len(rows) == limit else None
    if kept is Kept.NOTIFICATIONS:
        return RetentionPage(_empty(connection, old, now), last)
    erased = _erase_outcomes(connection, [row.id for row in old])
    return RetentionPage(erased, after if erased >= ROWS_ERASED_MAX else last)


def _erase_consents(
    connection: Connection, project: Project, *, before: float, after: int, limit: int, now: float
) -> RetentionPage:
    named = {"project_id": project.id, "after": after, "before": before, "most": limit}
    rows = connection.execute(_RECORDS, named).all()
    ids = [row.id for row in rows if row.over is not None and row.over < before and not row.rests]
    if ids:
        connection.execute(EMPTY_RECORDS, {"ids": json.dumps(ids), "now": now})
        connection.info[ERASED] = True
    return RetentionPage(len(ids), rows[-1].id if len(rows) == limit else None)


def _empty(connection: Connection, old: Sequence[AnyRow], now: float) -> int:
    ids = [row.id for row in old if row.erased_at is None]
    if ids:
        connection.execute(EMPTY_NOTIFICATIONS, {"ids": json.dumps(ids), "now": now})
        connection.info[ERASED] = True
    return len(ids)


def _erase_outcomes(connection: Connection, ids: Sequence[int]) -> int:
    if not ids:
        return 0
    named = {"ids": json.dumps(list(ids)), "most": ROWS_ERASED_MAX}
    erased = 0
    for statement in (_OUTCOMES, _RECEIPTS):
        erased += connection.execute(statement, named).rowcount
    if erased:
        connection.info[ERASED] = True
    return erased
