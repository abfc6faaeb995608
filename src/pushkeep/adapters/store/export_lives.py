"""The lives of a page of subscriptions, with contacts by the names that hold everywhere."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from pushkeep.adapters.store.lifecycle_units import read_evidence
from pushkeep.adapters.store.rows import json_values
from pushkeep.adapters.store.tables import contacts, lifecycle
from pushkeep.domain.portable import PortableEntry
from pushkeep.domain.subscription import Event, State

_ENTRIES = (
    select(
        lifecycle.c.subscription_id,
        lifecycle.c.at,
        lifecycle.c.event,
        lifecycle.c.state_before,
        lifecycle.c.state,
        lifecycle.c.evidence,
    )
    .where(lifecycle.c.subscription_id.in_(json_values("ids")))
    .order_by(lifecycle.c.subscription_id, lifecycle.c.id)
)
_NAMES = select(contacts.c.id, contacts.c.external_id).where(contacts.c.id.in_(json_values("ids")))


def read_lives(connection: Connection, ids: str) -> Mapping[int, Sequence[PortableEntry]]:
    """The whole life of each subscription.

    Args:
        connection: in a transaction.
        ids: their numbers, as a JSON list.
    """
    rows = [(row, read_evidence(row.evidence)) for row in connection.execute(_ENTRIES, {"ids": ids})]
    numbers = {evidence.contact for _, evidence in rows} | {evidence.contact_before for _, evidence in rows}
    named = json.dumps([number for number in numbers if number is not None])
    names = {row.id: row.external_id for row in connection.execute(_NAMES, {"ids": named})}
    lives: dict[int, list[PortableEntry]] = defaultdict(list)
    for row, evidence in rows:
        contact, before = evidence.contact, evidence.contact_before
        if contact is not None or before is not None:
            evidence = replace(evidence, contact=None, contact_before=None)
        lives[row.subscription_id].append(
            PortableEntry(
                row.at,
                Event(row.event),
                None if row.state_before is None else State(row.state_before),
                State(row.state),
                evidence,
                # Of a contact that was erased there is no name, and there shall be none.
                None if contact is None else names.get(contact),
                None if before is None else names.get(before),
            )
        )
    return lives
