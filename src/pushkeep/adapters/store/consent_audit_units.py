"""Units of work that look for what is wrong with consent records and with what sends ask.

Records are held to their commitments, columns to what the records say, and states to the records they follow from;
:mod:`pushkeep.domain.consent_audit` holds the rest to the chain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, select, text

from pushkeep.adapters.store.consent_list_units import rows_after
from pushkeep.adapters.store.consent_rows import record_from
from pushkeep.adapters.store.rows import AnyRow, PublicId, json_values
from pushkeep.adapters.store.sealing import SealBroken, Vault
from pushkeep.adapters.store.tables import contacts, purposes, subscriptions
from pushkeep.domain.consent import ConsentContent
from pushkeep.domain.project import Project
from pushkeep.ports.consents import ConsentRecord, StateFaults

_SUBSCRIPTIONS = select(subscriptions.c.id, subscriptions.c.public_id.cast(PublicId()).label("public_id")).where(
    subscriptions.c.id.in_(json_values("ids"))
)
_CONTACTS = select(contacts.c.id, contacts.c.external_id).where(contacts.c.id.in_(json_values("ids")))
_PURPOSES = select(purposes.c.id, purposes.c.name).where(purposes.c.project_id == bindparam("project_id"))
_COLUMNS = ("subscription_id", "contact_id", "purpose_id", "given", "at", "content")
_STATES = text(
    """
    SELECT t.subject, t.subject_id, t.purpose_id, t.given, t.number, t.contact_id, p.name AS purpose,
        r.number AS of_record, r.erased_at, r.subscription_id AS r_subscription, r.contact_id AS r_contact,
        r.purpose_id AS r_purpose, r.given AS r_given,
        (
            SELECT max(l.number) FROM consents AS l
            WHERE l.subscription_id = t.subject_id AND l.purpose_id = t.purpose_id AND t.subject = 's'
        ) AS latest_of_browser,
        (
            SELECT max(l.number) FROM consents AS l
            WHERE l.contact_id = t.subject_id AND l.purpose_id = t.purpose_id AND t.subject = 'c'
                AND l.subscription_id IS NULL
        ) AS latest_of_contact
    FROM consent_states AS t
    LEFT JOIN purposes AS p ON p.id = t.purpose_id
    LEFT JOIN consents AS r ON r.project_id = t.project_id AND r.number = t.number
    WHERE t.project_id = :project_id AND (t.subject, t.subject_id, t.purpose_id) > (:subject, :subject_id, :purpose_id)
    ORDER BY t.subject, t.subject_id, t.purpose_id LIMIT :most
    """
)
# Of the browsers' own: whose chain of replacements leads from the one that spoke to the one that it holds for.
_LEADS_TO = text(
    """
    WITH RECURSIVE chain (id) AS (
        SELECT :spoke
        UNION
        SELECT s.superseded_by FROM chain CROSS JOIN subscriptions AS s
        WHERE s.id = chain.id AND s.superseded_by IS NOT NULL
        UNION
        SELECT n.id FROM chain CROSS JOIN lifecycle AS e CROSS JOIN subscriptions AS n
        WHERE e.subscription_id = chain.id AND e.event = 'replaced'
            AND n.public_id = replace(json_extract(e.evidence, '$.successor'), '-', '')
    )
    SELECT 1 FROM chain WHERE id = :holds_for
    """
)
_IS_THERE = select(subscriptions.c.id).where(subscriptions.c.id == bindparam("row_id"))
_UNKEPT = text(
    """
    SELECT r.number FROM consents AS r
    WHERE r.project_id = :project_id AND r.number > :after AND r.number <= :until AND r.purpose_id IS NOT NULL
        AND NOT EXISTS (
            SELECT 1 FROM consent_states AS t
            WHERE t.subject = CASE WHEN r.subscription_id IS NULL THEN 'c' ELSE 's' END
                AND t.subject_id = coalesce(r.subscription_id, r.contact_id) AND t.purpose_id = r.purpose_id
        )
        AND CASE WHEN r.subscription_id IS NULL
            THEN EXISTS (SELECT 1 FROM contacts AS c WHERE c.id = r.contact_id)
            ELSE EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.id = r.subscription_id) END
    ORDER BY r.number
    """
)


def rows(
    connection: Connection, vault: Vault, project: Project, *, limit: int, after: int
) -> tuple[tuple[ConsentRecord, tuple[str, ...]], ...]:
    """See :meth:`pushkeep.ports.ConsentStore.consent_rows`."""
    found = rows_after(connection, project, limit=limit, after=after)
    names = _names(connection, project, found)
    unkept: set[int] = set()
    if found:
        bounds = {"project_id": project.id, "after": after, "until": found[-1].number}
        unkept = set(connection.execute(_UNKEPT, bounds).scalars())
    result = []
    for row in found:
        record, faults = _opened(vault, project, row, names)
        if row.number in unkept:
            faults = (*faults, f"Record {row.number} has no state: a send does not ask what it says.")
        result.append((record, faults))
    return tuple(result)


def _names(connection: Connection, project: Project, found: Sequence[AnyRow]) -> tuple[Mapping[int, str], ...]:
    browsers = json.dumps([row.subscription_id for row in found if row.subscription_id is not None])
    people = json.dumps([row.contact_id for row in found if row.contact_id is not None])
    return (
        {row.id: row.public_id for row in connection.execute(_SUBSCRIPTIONS, {"ids": browsers})},
        {row.id: row.external_id for row in connection.execute(_CONTACTS, {"ids": people})},
        {row.id: row.name for row in connection.execute(_PURPOSES, {"project_id": project.id})},
    )


def _opened(
    vault: Vault, project: Project, row: AnyRow, names: tuple[Mapping[int, str], ...]
) -> tuple[ConsentRecord, tuple[str, ...]]:
    what = f"Record {row.number}"
    if row.erased_at is not None:
        left = [name for name in _COLUMNS if getattr(row, name) is not None]
        bare = ConsentRecord(row.number, row.commitment, None, None, row.erased_at)
        return bare, (f"{what} is marked as erased and still has {', '.join(left)}.",) if left else ()
    bare = ConsentRecord(row.number, row.commitment, None, None, None)
    if row.content is None:
        return bare, (f"{what} has lost its content without being marked as erased.",)
    try:
        record = record_from(vault, project.public_id, row)
    except SealBroken as error:
        return bare, (f"{what} does not open: {error.message}",)
    assert record.content is not None  # it was opened
    faults = tuple(
        f"{what} says another {name} than the column beside it." for name in _differing(record.content, row, names)
    )
    return record, faults


def _differing(content: ConsentContent, row: AnyRow, names: tuple[Mapping[int, str], ...]) -> list[str]:
    browsers, people, declared = names
    different = []
    # A tombstone that was purged has taken the name with it; that there was a browser must still agree.
    browser_named = browsers.get(row.subscription_id, content.subscription or "")
    if content.subscription != (None if row.subscription_id is None else browser_named):
        different.append("subscription")
    if content.contact != (None if row.contact_id is None else people.get(row.contact_id, content.contact or "")):
        different.append("contact")
    if content.purpose != declared.get(row.purpose_id):
        different.append("purpose")
    if content.given != row.given:
        different.append("given")
    if content.at != row.at:
        different.append("at")
    return different


def state_faults(connection: Connection, project: Project, *, limit: int, after: tuple[str, int, int]) -> StateFaults:
    """See :meth:`pushkeep.ports.ConsentStore.state_faults`."""
    subject, subject_id, purpose_id = after
    bounds = {
        "project_id": project.id,
        "subject": subject,
        "subject_id": subject_id,
        "purpose_id": purpose_id,
        "most": limit,
    }
    found = connection.execute(_STATES, bounds).all()
    faults = [fault for row in found for fault in _state_faults(connection, row)]
    last = found[-1] if len(found) == limit else None
    return StateFaults(
        len(found), tuple(faults), None if last is None else (last.subject, last.subject_id, last.purpose_id)
    )


def _state_faults(connection: Connection, row: AnyRow) -> list[str]:
    who = f"{'subscription' if row.subject == 's' else 'contact'} number {row.subject_id}"
    what = f"What a send asks about {who} and the purpose {row.purpose or row.purpose_id}"
    if row.of_record is None:
        return [f"{what} follows from record {row.number}, which is missing."]
    latest = row.latest_of_browser if row.subject == "s" else row.latest_of_contact
    faults = []
    if latest is not None and latest > row.number:
        faults.append(f"{what} follows from record {row.number}, and record {latest} is later.")
    if row.erased_at is not None:
        return faults  # nothing says any more what it said
    same = row.r_purpose == row.purpose_id and bool(row.r_given) == bool(row.given) and row.r_contact == row.contact_id
    if not same:
        faults.append(f"{what} is not what record {row.number} says.")
    elif row.subject == "c" and (row.r_subscription is not None or row.r_contact != row.subject_id):
        faults.append(f"{what} follows from record {row.number}, which is somebody else's.")
    elif row.subject == "s" and not _is_its_own(connection, row):
        faults.append(f"{what} follows from record {row.number}, which is another browser's.")
    return faults


def _is_its_own(connection: Connection, row: AnyRow) -> bool:
    """Whether the record was said in this browser: for this subscription, or one that it replaced."""
    if row.r_subscription == row.subject_id:
        return True
    if row.r_subscription is None:
        return False
    if connection.execute(_IS_THERE, {"row_id": row.r_subscription}).one_or_none() is None:
        return True  # its tombstone was purged, and with it what led on
    named = {"spoke": row.r_subscription, "holds_for": row.subject_id}
    return connection.execute(_LEADS_TO, named).first() is not None
