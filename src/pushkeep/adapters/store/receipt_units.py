"""Units of work on receipts: plain functions on a connection that is in a transaction."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, select, text

from pushkeep.adapters.store.rows import uuid_of
from pushkeep.adapters.store.tables import receipt_totals
from pushkeep.domain.project import Project
from pushkeep.domain.receipt import Receipt, ReceiptKind

# json_each numbers its rows in the order of the list; which of two alike is kept does not matter.
_INSERT = text(
    """
    INSERT INTO receipts (project_id, notification_id, subscription_id, kind, at)
    SELECT n.project_id, n.id, json_extract(given.value, '$[1]'), json_extract(given.value, '$[2]'),
        json_extract(given.value, '$[3]')
    FROM json_each(:given) AS given
    JOIN notifications AS n ON n.public_id = json_extract(given.value, '$[0]') AND n.project_id = :project_id
    WHERE true
    ON CONFLICT DO NOTHING
    RETURNING notification_id, kind
    """
)
_COUNT = text(
    """
    INSERT INTO receipt_totals (project_id, notification_id, kind, count)
    VALUES (:project_id, :notification_id, :kind, :count)
    ON CONFLICT (notification_id, kind) DO UPDATE SET count = receipt_totals.count + excluded.count
    """
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
    new = Counter((row[0], row[1]) for row in stored)
    if new:
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


def counts(connection: Connection, project: Project, notification_id: int) -> Mapping[str, int]:
    """See :meth:`pushkeep.ports.audiences.ReceiptStore.receipt_counts`."""
    named = {"project_id": project.id, "notification_id": notification_id}
    found = {row[0]: row[1] for row in connection.execute(_TOTALS, named)}
    return {kind.value: found.get(kind.value, 0) for kind in ReceiptKind}
