"""Units of work that look for what is wrong with consent records and with what sends ask.

Records are held to their commitments, columns to what the records say, and states to the records they follow from;
:mod:`pushkeep.domain.consent_audit` holds the rest to the chain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, String, bindparam, or_, select, text, type_coerce

from pushkeep.adapters.store.consent_list_units import rows_after
from pushkeep.adapters.store.consent_rows import record_from
from pushkeep.adapters.store.rows import AnyRow, PublicId, json_values
from pushkeep.adapters.store.sealing import SealBroken, Vault
from pushkeep.adapters.store.tables import contacts, purposes, subscriptions
from pushkeep.domain.consent import ConsentContent
from pushkeep.domain.project import Project
from pushkeep.ports.consents import ConsentRecord, StateFaults

_SUBSCRIPTIONS = select(
    subscriptions.c.id, type_coerce(subscriptions.c.public_id, PublicId()).label("public_id")
).where(
    or_(
        subscriptions.c.id.in_(json_values("ids")),
        type_coerce(subscriptions.c.public_id, String).in_(json_values("names")),
    )
)
_CONTACTS = select(contacts.c.id, contacts.c.external_id).where(
    contacts.c.project_id == bindparam("project_id"),
    or_(contacts.c.id.in_(json_values("ids")), contacts.c.external_id.in_(json_values("names"))),
)
_PURPOSES = select(purposes.c.id, purposes.c.name).where(purposes.c.project_id == bindparam("project_id"))
_COLUMNS = ("subscription_id", "contact_id", "purpose_id", "given", "at", "content")
_STATES = text(
    """
    SELECT t.subject, t.subject_id, t.purpose_id, t.given, t.number, t.contact_id, p.name AS purpose,
        r.number AS of_record, r.erased_at, r.subscription_id AS r_subscription, r.contact_id AS r_contact,
        r.purpose_id AS r_purpose, r.given AS r_given,
        CASE t.subject
            WHEN 's' THEN EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.id = t.subject_id AND s.ended_at IS NULL)
            ELSE EXISTS (SELECT 1 FROM contacts AS c WHERE c.id = t.subject_id) END AS is_asked,
        (
            WITH RECURSIVE before (id) AS (
                SELECT t.subject_id
                UNION
                SELECT s.id FROM before CROSS JOIN subscriptions AS s WHERE s.superseded_by = before.id
            )
            SELECT max(l.number) FROM before CROSS JOIN consents AS l
            WHERE l.subscription_id = before.id AND l.purpose_id = t.purpose_id AND t.subject = 's'
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
# Whoever replaced the browser's subscription has what it said as well.
_UNKEPT = text(
    """
    WITH RECURSIVE holds (number, purpose_id, subject, subject_id) AS (
        SELECT r.number, r.purpose_id, CASE WHEN r.subscription_id IS NULL THEN 'c' ELSE 's' END,
            coalesce(r.subscription_id, r.contact_id)
        FROM consents AS r
        WHERE r.project_id = :project_id AND r.number > :after AND r.number <= :until AND r.purpose_id IS NOT NULL
        UNION
        SELECT h.number, h.purpose_id, 's', s.superseded_by
        FROM holds AS h CROSS JOIN subscriptions AS s
        WHERE h.subject = 's' AND s.id = h.subject_id AND s.superseded_by IS NOT NULL
    )
    SELECT DISTINCT h.number FROM holds AS h
    WHERE NOT EXISTS (
            SELECT 1 FROM consent_states AS t
            WHERE t.subject = h.subject AND t.subject_id = h.subject_id AND t.purpose_id = h.purpose_id
                AND t.project_id = :project_id
        )
        AND CASE h.subject
            WHEN 'c' THEN EXISTS (SELECT 1 FROM contacts AS c WHERE c.id = h.subject_id)
            ELSE EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.id = h.subject_id) END
    """
)


def rows(
    connection: Connection, vault: Vault, project: Project, *, limit: int, after: int
) -> tuple[tuple[ConsentRecord, tuple[str, ...]], ...]:
    """See :meth:`pushkeep.ports.ConsentStore.consent_rows`."""
    found = rows_after(connection, project, limit=limit, after=after)
    if not found:
        return ()
    opened = [_opened(vault, project, row) for row in found]
    names = _Names.of(connection, project, found, [one.content for one, _ in opened if one.content is not None])
    bounds = {"project_id": project.id, "after": after, "until": found[-1].number}
    unkept = set(connection.execute(_UNKEPT, bounds).scalars())
    result = []
    for row, (record, faults) in zip(found, opened, strict=True):
        what = f"Record {row.number}"
        if record.content is not None:
            differing = names.differing(record.content, row)
            faults = tuple(f"{what} says another {name} than the column beside it." for name in differing)
        if row.number in unkept:
            faults = (*faults, f"{what} has no state: a send does not ask what it says.")
        result.append((record, faults))
    return tuple(result)


def _opened(vault: Vault, project: Project, row: AnyRow) -> tuple[ConsentRecord, tuple[str, ...]]:
    """The record, and why it does not open."""
    what = f"Record {row.number}"
    bare = ConsentRecord(row.number, row.commitment, None, None, row.erased_at)
    if row.erased_at is not None:
        left = [name for name in _COLUMNS if getattr(row, name) is not None]
        return bare, (f"{what} is marked as erased and still has {', '.join(left)}.",) if left else ()
    if row.content is None:
        return bare, (f"{what} has lost its content without being marked as erased.",)
    try:
        return record_from(vault, project.public_id, row), ()
    except SealBroken as error:
        return bare, (f"{what} does not open: {error.message}",)


@dataclass(frozen=True, slots=True)
class _Names:
    """Who and what there is, both ways: by the number that columns have, and by the name that contents have."""

    browsers: Mapping[int, str]
    browser_ids: Mapping[str, int]
    people: Mapping[int, str]
    people_ids: Mapping[str, int]
    purposes: Mapping[int, str]

    @classmethod
    def of(
        cls, connection: Connection, project: Project, found: Sequence[AnyRow], contents: Sequence[ConsentContent]
    ) -> _Names:
        named = {
            "project_id": project.id,
            "ids": json.dumps([row.subscription_id for row in found]),
            "names": json.dumps([one.subscription.replace("-", "") for one in contents if one.subscription]),
        }
        browsers = {row.id: row.public_id for row in connection.execute(_SUBSCRIPTIONS, named)}
        named["ids"] = json.dumps([row.contact_id for row in found])
        named["names"] = json.dumps([one.contact for one in contents if one.contact is not None])
        people = {row.id: row.external_id for row in connection.execute(_CONTACTS, named)}
        return cls(
            browsers,
            {name: number for number, name in browsers.items()},
            people,
            {name: number for number, name in people.items()},
            {row.id: row.name for row in connection.execute(_PURPOSES, named)},
        )

    def differing(self, content: ConsentContent, row: AnyRow) -> list[str]:
        """The columns that say something else than the content."""
        different = []
        if not _agree(content.subscription, row.subscription_id, self.browsers, self.browser_ids):
            different.append("subscription")
        if not _agree(content.contact, row.contact_id, self.people, self.people_ids):
            different.append("contact")
        if content.purpose != self.purposes.get(row.purpose_id):
            different.append("purpose")
        if content.given != row.given:
            different.append("given")
        if content.at != row.at:
            different.append("at")
        return different


def _agree(name: str | None, number: int | None, names: Mapping[int, str], numbers: Mapping[str, int]) -> bool:
    """Whether name and number are of the same; of what is gone from the database neither leads to another."""
    if name is None or number is None:
        return name is None and number is None
    return name == names.get(number, name) and number == numbers.get(name, number)


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
    if row.erased_at is not None:  # nothing says any more what it said
        # A withdrawal may outlive its record, and so may what nobody asks any more, as the subscription has ended.
        rests = row.given and row.is_asked
        return [*faults, f"{what} rests on record {row.number}, which is erased."] if rests else faults
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
