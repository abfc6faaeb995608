"""Units of work that take consent records, what holds of them, and their seals, of the own format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, insert, select

from pushkeep.adapters.store.consent_units import CONTACT, SET_STATE, SUBSCRIPTION
from pushkeep.adapters.store.portable_fates import Fate
from pushkeep.adapters.store.portable_subscription_units import find_contacts, find_rows, records_of
from pushkeep.adapters.store.purpose_units import all_purposes
from pushkeep.adapters.store.rows import json_values
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.tables import consent_seals, consent_states, consents
from pushkeep.domain.consent import GENESIS, link
from pushkeep.domain.moving import Numbered
from pushkeep.domain.portable import PortableConsent, PortableConsentState, PortableSeal
from pushkeep.domain.project import Project
from pushkeep.errors import Conflict, PushkeepError

_NOBODY_BITS = 62

_COMMITMENTS = select(consents.c.number, consents.c.commitment).where(
    consents.c.project_id == bindparam("project_id"), consents.c.number.in_(json_values("numbers"))
)
_RANGE = (
    select(consents.c.commitment)
    .where(
        consents.c.project_id == bindparam("project_id"),
        consents.c.number >= bindparam("first"),
        consents.c.number <= bindparam("last"),
    )
    .order_by(consents.c.number)
)
_LAST = select(func.coalesce(func.max(consents.c.number), 0)).where(consents.c.project_id == bindparam("project_id"))
_SEALS = select(consent_seals).where(consent_seals.c.project_id == bindparam("project_id"))
_STATES = select(consent_states.c.subject_id, consent_states.c.purpose_id, consent_states.c.number).where(
    consent_states.c.subject == bindparam("of_subject"), consent_states.c.subject_id.in_(json_values("ids"))
)


def fates(
    connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]
) -> list[Fate | PushkeepError]:
    """What becomes of consent records."""
    records = records_of(run, PortableConsent)
    numbers = json.dumps([record.number for record in records])
    rows = connection.execute(_COMMITMENTS, {"project_id": project.id, "numbers": numbers})
    known: Mapping[int, bytes] = {row.number: row.commitment for row in rows}
    return [
        Fate.NEW
        if record.number not in known
        else Fate.KNOWN
        if known[record.number] == record.commitment
        else Conflict(
            f"Consent record {record.number} is another one here: both installations have recorded since the file was "
            "written.",
            field="number",
        )
        for record in records
    ]


def write(connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]) -> int:
    """Write consent records.

    Raises:
        Conflict: one before them is missing, or a purpose is not there.
    """
    records = records_of(run, PortableConsent)
    last = connection.execute(_LAST, {"project_id": project.id}).scalar_one()
    if [record.number for record in records] != list(range(last + 1, last + 1 + len(records))):
        raise Conflict(f"Consent records go on with {last + 1} here; there is a gap before the file's.", field="number")
    contents = [record.content for record in records if record.content is not None]
    browsers = find_rows(connection, (one.subscription for one in contents if one.subscription is not None))
    people = find_contacts(connection, project, (one.contact for one in contents if one.contact is not None))
    purposes = {purpose.name: purpose.id for purpose in all_purposes(connection, project)}
    rows: list[dict[str, object]] = []
    for record in records:
        row: dict[str, object] = {
            "project_id": project.id,
            "number": record.number,
            "commitment": record.commitment,
            "erased_at": record.erased_at,
            "over_at": record.over_at,
            **dict.fromkeys(("subscription_id", "contact_id", "purpose_id", "given", "at", "content")),
        }
        content, salt = record.content, record.salt
        if content is not None and salt is not None:
            if content.purpose not in purposes:
                raise Conflict(f"Consent record {record.number} has a purpose that is not there.", field="purpose")
            found = browsers.get(content.subscription or "")
            row |= {
                "subscription_id": _number(content.subscription, None if found is None else found.id),
                "contact_id": None if content.contact is None else people.get(content.contact, -1),
                "purpose_id": purposes[content.purpose],
                "given": content.given,
                "at": content.at,
                "content": vault.seal_consent(project.public_id, record.number, salt + content.canonical()),
            }
        rows.append(row)
    connection.execute(insert(consents), rows)
    return 0


def _number(public_id: str | None, found: int | None) -> int | None:
    """Of a subscription; of one whose tombstone was forgotten a number that no row ever gets."""
    if public_id is None or found is not None:
        return found
    return -1 - UUID(public_id).int % (1 << _NOBODY_BITS)


def state_fates(
    connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]
) -> list[Fate | PushkeepError]:
    """What becomes of states: the later word counts."""
    records = records_of(run, PortableConsentState)
    keys = _keys(connection, project, records)
    known: dict[tuple[str, int, int], int] = {}
    for subject in (SUBSCRIPTION, CONTACT):
        ids = json.dumps(sorted({key[1] for key in keys if key is not None and key[0] == subject}))
        for row in connection.execute(_STATES, {"of_subject": subject, "ids": ids}):
            known[subject, row.subject_id, row.purpose_id] = row.number
    return [
        Fate.KNOWN if key is not None and known.get(key, 0) >= record.number else Fate.NEW
        for record, key in zip(records, keys, strict=True)
    ]


def write_states(connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]) -> int:
    """Write states; not those of subscriptions that were left out."""
    records = records_of(run, PortableConsentState)
    owners = find_contacts(connection, project, (record.owner for record in records if record.owner is not None))
    rows = []
    for record, key in zip(records, _keys(connection, project, records), strict=True):
        if key is None or (record.owner is not None and record.owner not in owners):
            continue
        subject, subject_id, purpose_id = key
        rows.append(
            {
                "subject": subject,
                "subject_id": subject_id,
                "purpose_id": purpose_id,
                "project_id": project.id,
                "given": record.given,
                "number": record.number,
                "contact_id": None if record.owner is None else owners[record.owner],
            }
        )
    if rows:
        connection.execute(SET_STATE, rows)
    return len(records) - len(rows)


def _keys(
    connection: Connection, project: Project, records: Sequence[PortableConsentState]
) -> list[tuple[str, int, int] | None]:
    browsers = find_rows(connection, (one.subscription for one in records if one.subscription is not None))
    people = find_contacts(connection, project, (one.contact for one in records if one.contact is not None))
    purposes = {purpose.name: purpose.id for purpose in all_purposes(connection, project)}
    keys: list[tuple[str, int, int] | None] = []
    for record in records:
        row = browsers.get(record.subscription or "")
        number = people.get(record.contact or "") if record.subscription is None else None if row is None else row.id
        subject, purpose_id = CONTACT if record.subscription is None else SUBSCRIPTION, purposes.get(record.purpose)
        keys.append(None if number is None or purpose_id is None else (subject, number, purpose_id))
    return keys


def seal_fates(
    connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]
) -> list[Fate | PushkeepError]:
    """What becomes of seals."""
    heads = {row.number: row.head for row in connection.execute(_SEALS, {"project_id": project.id})}
    return [
        Fate.NEW
        if record.number not in heads
        else Fate.KNOWN
        if heads[record.number] == record.head
        else Conflict(f"Seal {record.number} of the consent records is another one here.", field="head")
        for record in records_of(run, PortableSeal)
    ]


def write_seals(connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]) -> int:
    """Write seals, each held to its records and the one before.

    Raises:
        Conflict: one does not hold.
    """
    named = {"project_id": project.id}
    latest = max(connection.execute(_SEALS, named).all(), key=lambda row: row.number, default=None)
    number, last, head = (0, 0, GENESIS) if latest is None else (latest.number, latest.last, latest.head)
    for record in records_of(run, PortableSeal):
        bounds = named | {"first": record.first, "last": record.last}
        commitments = connection.execute(_RANGE, bounds).scalars().all()
        made = link(head, record.number, record.first, record.sealed_at, commitments)
        complete = len(commitments) == record.last - record.first + 1
        if (record.number, record.first, record.previous) != (number + 1, last + 1, head):
            raise Conflict(f"Seal {record.number} does not follow seal {number}, the last one here.", field="number")
        if not complete or made != record.head:
            raise Conflict(f"Seal {record.number} does not hold its consent records.", field="head")
        connection.execute(
            insert(consent_seals).values(
                project_id=project.id,
                number=record.number,
                first=record.first,
                last=record.last,
                previous=record.previous,
                head=record.head,
                sealed_at=record.sealed_at,
            )
        )
        number, last, head = record.number, record.last, record.head
    return 0
