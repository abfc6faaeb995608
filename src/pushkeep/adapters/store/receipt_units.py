"""Units of work on receipts: plain functions on a connection that is in a transaction."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, literal_column, or_, select, text, update

from pushkeep.adapters.store.rows import json_values, uuid_of
from pushkeep.adapters.store.tables import receipt_totals, subscriptions
from pushkeep.domain.project import Project
from pushkeep.domain.receipt import Receipt, ReceiptKind

DISPLAYED_WRITE_SECONDS = 86_400.0
"""A subscription's ``last_displayed_at`` is written at most once a day: health counts in days."""

# json_each numbers its rows in the order of the list; which of two alike is kept does not matter. Nothing is kept of
# who is or was erased; see `erase_units`.
_INSERT = text(
    """
    INSERT INTO receipts (project_id, notification_id, subscription_id, kind, at)
    SELECT n.project_id, n.id, json_extract(given.value, '$[1]'), json_extract(given.value, '$[2]'),
        json_extract(given.value, '$[3]')
    FROM json_each(:given) AS given
    JOIN notifications AS n ON n.public_id = json_extract(given.value, '$[0]') AND n.project_id = :project_id
    JOIN subscriptions AS s ON s.id = json_extract(given.value, '$[1]') AND s.keys_hash <> zeroblob(16)
    WHERE true
    ON CONFLICT DO NOTHING
    RETURNING notification_id, kind, subscription_id
    """
)
_COUNT = text(
    """
    INSERT INTO receipt_totals (project_id, notification_id, kind, count)
    VALUES (:project_id, :notification_id, :kind, :count)
    ON CONFLICT (notification_id, kind) DO UPDATE SET count = receipt_totals.count + excluded.count
    """
)
# Whoever shows every message of a busy day has one row written for it, by the first.
_DISPLAYED = (
    update(subscriptions)
    .where(
        subscriptions.c.id.in_(json_values("ids")),
        subscriptions.c.project_id + literal_column("0") == bindparam("of_project"),
        subscriptions.c.ended_at.is_(None),
        or_(subscriptions.c.last_displayed_at.is_(None), subscriptions.c.last_displayed_at <= bindparam("before")),
    )
    .values(last_displayed_at=bindparam("at"))
)
_TOTALS = select(receipt_totals.c.kind, receipt_totals.c.count).where(
    receipt_totals.c.project_id == bindparam("project_id"),
    receipt_totals.c.notification_id == bindparam("notification_id"),
)


def add(connection: Connection, project: Project, receipts: Sequence[Receipt]) -> Mapping[str, int]:
    """See :meth:`pushkeep.ports.audiences.ReceiptStore.add_receipts`."""
    if not receipts:
        return {}
    given = [
        (uuid_of(item.notification).hex, item.subscription_id, item.kind.value, item.at)  # as the column has it
        for item in receipts
    ]
    stored = connection.execute(_INSERT, {"given": json.dumps(given), "project_id": project.id})
    rows = stored.all()
    new = Counter((row[0], row[1]) for row in rows)
    if new:
        _note_displayed(connection, project, [row[2] for row in rows if row[1] == ReceiptKind.DISPLAYED], receipts)
        connection.execute(
            _COUNT,
            [
                {"project_id": project.id, "notification_id": notification_id, "kind": kind, "count": count}
                for (notification_id, kind), count in new.items()
            ],
        )
    by_kind: Counter[str] = Counter()
    for (_, kind), count in new.items():
        by_kind[kind] += count
    return dict(by_kind)


def _note_displayed(connection: Connection, project: Project, ids: Sequence[int], receipts: Sequence[Receipt]) -> None:
    """Their browsers are alive: written down once a day for each."""
    if not ids:
        return
    at = max(receipt.at for receipt in receipts)  # of one second: nobody asks for more
    connection.execute(
        _DISPLAYED,
        {"ids": json.dumps(ids), "of_project": project.id, "at": at, "before": at - DISPLAYED_WRITE_SECONDS},
    )


def counts(connection: Connection, project: Project, notification_id: int) -> Mapping[str, int]:
    """See :meth:`pushkeep.ports.audiences.ReceiptStore.receipt_counts`."""
    named = {"project_id": project.id, "notification_id": notification_id}
    found = {row[0]: row[1] for row in connection.execute(_TOTALS, named)}
    return {kind.value: found.get(kind.value, 0) for kind in ReceiptKind}
