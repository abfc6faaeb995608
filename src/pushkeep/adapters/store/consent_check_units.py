"""The unit of work that says who may not be told something for a purpose: what every send for one asks.

It is :func:`pushkeep.domain.consent_words.effective` and :func:`~pushkeep.domain.consent_words.may_be_told` as a
statement, which looks each subscription's and contact's word up by key.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import Connection, text

WORDS = """
    LEFT JOIN consent_states AS own ON own.subject = 's' AND own.subject_id = s.id
        AND own.purpose_id = :purpose_id AND (own.contact_id IS NULL OR own.contact_id = s.contact_id)
    LEFT JOIN consent_states AS owners ON owners.subject = 'c' AND owners.subject_id = s.contact_id
        AND owners.purpose_id = :purpose_id
"""
"""Joins what was said to ``subscriptions AS s``."""

IS_TOLD = """
    CASE WHEN coalesce(own.number, 0) > coalesce(owners.number, 0) THEN own.given
        WHEN owners.number IS NOT NULL THEN owners.given
        ELSE (SELECT basis <> 'consent' FROM purposes WHERE id = :purpose_id) END
"""
"""Whether the subscription may be told something for the purpose."""

_ASKED = """
    SELECT s.id FROM json_each(:ids) AS wanted CROSS JOIN subscriptions AS s {words}
    WHERE s.id = wanted.value AND NOT ({is_told})
"""
_NOT_TOLD = text(_ASKED.format(words=WORDS, is_told=IS_TOLD))


def without_consent(connection: Connection, purpose_id: int, ids: Collection[int]) -> frozenset[int]:
    """Those of these subscriptions, by number, that may not be told something for a purpose."""
    found = connection.execute(_NOT_TOLD, {"ids": json.dumps(list(ids)), "purpose_id": purpose_id})
    return frozenset(found.scalars())
