"""Units of work on subscriptions that come from elsewhere: what is known of them here, and writing those that are new.

An import takes nobody's word back: a subscription that has ended here stays so, whatever the file says, since whoever
left after the file was made would be sent to again. One that is living here stays as it is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, bindparam, func, insert, select, update

from pushkeep.adapters.store.consent_units import Voice, known_of, record_words
from pushkeep.adapters.store.contact_units import add_tags
from pushkeep.adapters.store.lifecycle_units import Entry, write_entries
from pushkeep.adapters.store.purpose_units import find_purpose
from pushkeep.adapters.store.registration_units import note_push_service
from pushkeep.adapters.store.rows import AnyRow, json_values, uuid_of
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.tables import contacts, subscriptions
from pushkeep.domain.consent import ConsentWord, Method
from pushkeep.domain.lifecycle import By, Evidence
from pushkeep.domain.moving import Fault, ForeignSubscription, ImportAsked, NewNames, Numbered
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, State
from pushkeep.errors import Conflict, Unavailable
from pushkeep.ports.moving import Standing
from pushkeep.ports.privacy import ErasedKind
from pushkeep.protocol.signing_key import SigningKey

_STORED = (
    select(
        subscriptions.c.id,
        subscriptions.c.endpoint_hash,
        subscriptions.c.keys_hash,
        subscriptions.c.lookup_key_id,
        subscriptions.c.ended_at,
        subscriptions.c.owner_since,
        subscriptions.c.signing_key_id,
        subscriptions.c.state,
        contacts.c.external_id,
    )
    .select_from(subscriptions.outerjoin(contacts, contacts.c.id == subscriptions.c.contact_id))
    .where(
        subscriptions.c.project_id == bindparam("project_id"),
        subscriptions.c.endpoint_hash.in_(bindparam("hashes", expanding=True)),
    )
)
_CONTACTS = select(contacts.c.id, contacts.c.external_id).where(
    contacts.c.project_id == bindparam("project_id"), contacts.c.external_id.in_(json_values("names"))
)
_LIVING_OF = (
    select(contacts.c.external_id, func.count().label("living"))
    .select_from(contacts.join(subscriptions, subscriptions.c.contact_id == contacts.c.id))
    .where(
        contacts.c.project_id == bindparam("project_id"),
        contacts.c.external_id.in_(json_values("names")),
        subscriptions.c.ended_at.is_(None),
    )
    .group_by(contacts.c.external_id)
)
_TAKEN_SHORT_IDS = select(subscriptions.c.short_id).where(
    subscriptions.c.project_id == bindparam("project_id"), subscriptions.c.short_id.in_(json_values("candidates"))
)
_INSERT = insert(subscriptions)
_NUMBERS = select(subscriptions.c.id, subscriptions.c.short_id).where(
    subscriptions.c.project_id == bindparam("project_id"), subscriptions.c.short_id.in_(json_values("short_ids"))
)
_OWN = (
    update(subscriptions)
    .where(subscriptions.c.id == bindparam("row_id"))
    .values(
        contact_id=bindparam("new_contact"),
        owner_since=bindparam("now"),
        version=subscriptions.c.version + 1,
    )
)


@dataclass(frozen=True, slots=True)
class Page:
    """What is written in one transaction.

    Attributes:
        asked: by the operator.
        records: of one kind of units.
        names: as many, drawn for those that are new.
        key: the pair that the file's subscriptions were made with; None where the file says it of each.
        key_row: that key's number.
        now: epoch seconds.
    """

    asked: ImportAsked
    records: Sequence[Numbered]
    names: Sequence[NewNames]
    key: SigningKey | None
    key_row: int | None
    now: float


class Fate(StrEnum):
    """What becomes of a record, in the words of the counts."""

    NEW = "subscriptions"
    KNOWN = "known"
    OWNED = "owned"
    """Known here, nobody's so far, and of the file's contact from now on."""
    ENDED = "ended"
    ERASED = "erased"
    """Its contact was erased here after the file has it."""


def check_records(
    connection: Connection, vault: Vault, project: Project, asked: ImportAsked, records: Sequence[Numbered]
) -> Standing:
    """See :meth:`pushkeep.ports.moving.ImportStore.check_records`."""
    stored = _stored(connection, vault, project, records)
    faults: list[Fault] = []
    counts: Counter[str] = Counter()
    joining: dict[int, tuple[str, str]] = {}
    for numbered in records:
        record = _foreign(numbered)
        try:
            fate = _fate(vault, project, asked, record, _row_of(vault, record, stored))
        except Conflict as conflict:
            faults.append(Fault.of(numbered.number, numbered.line, conflict))
            continue
        counts[fate] += 1
        if record.owner is not None and fate in (Fate.NEW, Fate.OWNED):
            joining[numbered.number] = record.owner, fate
    living = _living_of(connection, project, {owner for owner, _ in joining.values()})
    has = {number: (living.get(owner, 0), str(fate)) for number, (owner, fate) in joining.items()}
    return Standing(tuple(faults), counts, has)


def write_records(connection: Connection, vault: Vault, project: Project, page: Page) -> Mapping[str, int]:
    """Do what :func:`check_records` said.

    Raises:
        Conflict: something has changed since, and a record cannot be taken.
    """
    if page.key is None or page.key_row is None:
        raise Conflict("The signing key of these subscriptions is not known; name it.", field="vapid")
    stored = _stored(connection, vault, project, page.records)
    counts: Counter[str] = Counter()
    fresh: list[tuple[ForeignSubscription, NewNames]] = []
    owned: list[tuple[ForeignSubscription, AnyRow]] = []
    for numbered, names in zip(page.records, page.names, strict=True):
        record = _foreign(numbered)
        row = _row_of(vault, record, stored)
        try:
            fate = _fate(vault, project, page.asked, record, row)
        except Conflict as conflict:
            raise Conflict(f"line {numbered.line}: {conflict.message}", field=f"line {numbered.line}") from None
        counts[fate] += 1
        if fate is Fate.NEW:
            fresh.append((record, names))
        elif fate is Fate.OWNED and row is not None:
            owned.append((record, row))
    owners = {record.owner for record, _ in (*fresh, *owned) if record.owner is not None}
    ids, made = _contact_ids(connection, project, owners, page.now)
    if made:
        counts["contacts"] += made
    numbers = _insert(connection, vault, project, page, fresh, ids)
    if page.asked.consent is not None:
        counts["consents"] = _agree(connection, vault, project, page, fresh, numbers, ids)
    _give(connection, project, page, owned, ids)
    _tag(connection, project, [record for record, _ in (*fresh, *owned)], ids)
    return counts


def _foreign(numbered: Numbered) -> ForeignSubscription:
    record = numbered.record
    assert isinstance(record, ForeignSubscription)
    return record


def _stored(
    connection: Connection, vault: Vault, project: Project, records: Sequence[Numbered]
) -> Mapping[bytes, AnyRow]:
    """The rows of these endpoints by their hashes; of two the living one."""
    hashes = [
        found for numbered in records for found in vault.endpoint_hashes(_foreign(numbered).subscription.endpoint)
    ]
    rows = connection.execute(_STORED, {"project_id": project.id, "hashes": hashes}).all()
    return {bytes(row.endpoint_hash): row for row in sorted(rows, key=lambda row: row.ended_at is None)}


def _row_of(vault: Vault, record: ForeignSubscription, stored: Mapping[bytes, AnyRow]) -> AnyRow | None:
    if not stored:
        return None
    rows = [stored[found] for found in vault.endpoint_hashes(record.subscription.endpoint) if found in stored]
    return max(rows, key=lambda row: row.ended_at is None, default=None)


def _fate(vault: Vault, project: Project, asked: ImportAsked, record: ForeignSubscription, row: AnyRow | None) -> Fate:
    """What becomes of a record.

    Raises:
        Conflict: what is stored contradicts it.
    """
    if _was_erased(vault, project, asked, record):
        return Fate.ERASED
    if row is None:
        return Fate.NEW
    if row.ended_at is not None:
        return Fate.ENDED
    if vault.keys_hash(record.subscription, row.lookup_key_id) != bytes(row.keys_hash):
        raise Conflict(
            f"the endpoint at {record.subscription.endpoint.origin} is stored here with other keys (p256dh, auth); "
            "take this record out.",
            field="keys",
        )
    if record.owner is None or record.owner == row.external_id:
        return Fate.KNOWN
    if row.external_id is not None:
        raise Conflict(
            f"the subscription at {record.subscription.endpoint.origin} is another contact's here; take this record "
            "out, or its owner.",
            field="owner",
        )
    # Somebody has logged out there since: that is the later word.
    return Fate.OWNED if row.owner_since is None else Fate.KNOWN


def _was_erased(vault: Vault, project: Project, asked: ImportAsked, record: ForeignSubscription) -> bool:
    if not asked.erased or record.owner is None:
        return False
    at = asked.erased.get(vault.erasure_hash(project.public_id, ErasedKind.CONTACT.value, record.owner))
    return at is not None and (record.created_at is None or record.created_at <= at)


def _living_of(connection: Connection, project: Project, owners: set[str]) -> Mapping[str, int]:
    if not owners:
        return {}
    rows = connection.execute(_LIVING_OF, {"project_id": project.id, "names": json.dumps(sorted(owners))})
    return {row.external_id: row.living for row in rows}


def _contact_ids(
    connection: Connection, project: Project, owners: set[str], now: float
) -> tuple[Mapping[str, int], int]:
    """The numbers of contacts, and how many of them were stored for it."""
    if not owners:
        return {}, 0
    named = {"project_id": project.id, "names": json.dumps(sorted(owners))}
    known = {row.external_id for row in connection.execute(_CONTACTS, named)}
    missing = sorted(owners - known)
    if missing:
        rows = [{"project_id": project.id, "external_id": name, "created_at": now} for name in missing]
        connection.execute(insert(contacts), rows)
    return {row.external_id: row.id for row in connection.execute(_CONTACTS, named)}, len(missing)


def _insert(
    connection: Connection,
    vault: Vault,
    project: Project,
    page: Page,
    fresh: Sequence[tuple[ForeignSubscription, NewNames]],
    contact_ids: Mapping[str, int],
) -> Sequence[int]:
    if not fresh:
        return ()
    assert page.key is not None
    assert page.key_row is not None
    short_ids = _short_ids(connection, project, [names for _, names in fresh])
    rows = [
        _values(vault, project, page, record, names, short_id, contact_ids)
        for (record, names), short_id in zip(fresh, short_ids, strict=True)
    ]
    # Without RETURNING: in the order of the rows it would be one statement for each of them.
    connection.execute(_INSERT, rows)
    named = {"project_id": project.id, "short_ids": json.dumps(short_ids)}
    drawn = {row.short_id: row.id for row in connection.execute(_NUMBERS, named)}
    numbers = [drawn[short_id] for short_id in short_ids]
    entries = [
        Entry(
            number,
            page.key_row,
            page.now,
            Event.REGISTERED,
            None,
            State.ACTIVE,
            Evidence(By.OPERATOR, contact=contact_ids.get(record.owner or ""), key=page.key.key_id),
        )
        for number, (record, _) in zip(numbers, fresh, strict=True)
    ]
    write_entries(connection, project.id, entries)
    for origin, vendor in {(record.subscription.endpoint.origin, record.vendor) for record, _ in fresh}:
        note_push_service(connection, project, origin, vendor)
    return numbers


def _agree(
    connection: Connection,
    vault: Vault,
    project: Project,
    page: Page,
    fresh: Sequence[tuple[ForeignSubscription, NewNames]],
    numbers: Sequence[int],
    contact_ids: Mapping[str, int],
) -> int:
    """Record that they agreed elsewhere; not of contacts who have said something about it here, which is later."""
    brought = page.asked.consent
    assert brought is not None
    purpose = find_purpose(connection, project, brought.purpose)
    said = 0
    for (record, names), number in zip(fresh, numbers, strict=True):
        voice = Voice(number, names.public_id, contact_ids.get(record.owner or ""), record.owner)
        if known_of(connection, voice).counts(purpose.id) is not None:
            continue
        at = None if record.created_at is None else min(record.created_at, page.now)
        word = ConsentWord(purpose.name, True, Method.IMPORT, brought.wording, at=at)
        record_words(connection, vault, project, voice, [word], now=page.now)
        said += 1
    return said


def _values(
    vault: Vault,
    project: Project,
    page: Page,
    record: ForeignSubscription,
    names: NewNames,
    short_id: str,
    contact_ids: Mapping[str, int],
) -> dict[str, object]:
    endpoint_hash = vault.endpoint_hash(record.subscription.endpoint)
    return {
        "project_id": project.id,
        "public_id": uuid_of(names.public_id),
        "short_id": short_id,
        "contact_id": None if record.owner is None else contact_ids[record.owner],
        "signing_key_id": page.key_row,
        "origin": record.subscription.endpoint.origin,
        "vendor": record.vendor,
        "endpoint_hash": endpoint_hash,
        "keys_hash": vault.keys_hash(record.subscription),
        "lookup_key_id": vault.lookup_key_id,
        "sealed": vault.seal_subscription(project, endpoint_hash, record.subscription),
        "state": State.ACTIVE.value,
        "created_at": page.now if record.created_at is None else min(record.created_at, page.now),
        # Seen by whoever hands it in: else the next sweep would end those whom the file calls old.
        "last_seen_at": page.now,
        "owner_since": None if record.owner is None else page.now,
    }


def _short_ids(connection: Connection, project: Project, names: Sequence[NewNames]) -> list[str]:
    candidates = json.dumps([candidate for one in names for candidate in one.short_ids])
    taken = set(connection.execute(_TAKEN_SHORT_IDS, {"project_id": project.id, "candidates": candidates}).scalars())
    chosen = []
    for one in names:
        free = next((candidate for candidate in one.short_ids if candidate not in taken), None)
        if free is None:
            raise Unavailable("No free short id was drawn; try again.")
        taken.add(free)
        chosen.append(free)
    return chosen


def _give(
    connection: Connection,
    project: Project,
    page: Page,
    owned: Sequence[tuple[ForeignSubscription, AnyRow]],
    contact_ids: Mapping[str, int],
) -> None:
    """Subscriptions that were nobody's get their owners."""
    if not owned:
        return
    moves = [(row, contact_ids[record.owner]) for record, row in owned if record.owner is not None]
    connection.execute(_OWN, [{"row_id": row.id, "new_contact": contact, "now": page.now} for row, contact in moves])
    entries = [
        Entry(
            row.id,
            row.signing_key_id,
            page.now,
            Event.OWNER_MOVED,
            State(row.state),
            State(row.state),
            Evidence(By.OPERATOR, contact=contact),
        )
        for row, contact in moves
    ]
    write_entries(connection, project.id, entries)


def _tag(
    connection: Connection, project: Project, records: Sequence[ForeignSubscription], contact_ids: Mapping[str, int]
) -> None:
    for record in records:
        if record.tags and record.owner is not None:
            add_tags(connection, project, contact_ids[record.owner], record.tags)
