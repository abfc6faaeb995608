"""Units of work that take subscriptions, their lives and successions of the own format."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection, bindparam, func, insert, select, type_coerce, update

from pushkeep.adapters.store.lifecycle_units import Entry, write_entries
from pushkeep.adapters.store.portable_fates import Fate
from pushkeep.adapters.store.registration_units import note_push_service
from pushkeep.adapters.store.rows import AnyRow, PublicId, json_values, uuid_of, write_days, write_reason
from pushkeep.adapters.store.sealing import HASH_BYTES, Vault
from pushkeep.adapters.store.tables import contacts, lifecycle, signing_keys, subscriptions
from pushkeep.domain.ability import write_abilities
from pushkeep.domain.moving import MovedRecord, Numbered
from pushkeep.domain.portable import PortableEntry, PortableLife, PortableSubscription, PortableSuccession
from pushkeep.domain.project import Project
from pushkeep.errors import Conflict, PushkeepError

R = TypeVar("R", bound=MovedRecord)

_of = subscriptions.c
_BY_PUBLIC_ID = select(
    _of.id,
    type_coerce(_of.public_id, PublicId()).label("public_id"),
    _of.short_id,
    _of.signing_key_id,
    _of.superseded_by,
    _of.project_id,
).where(_of.public_id.in_(bindparam("ids", expanding=True)))
_BY_SHORT_ID = select(_of.short_id).where(
    _of.project_id == bindparam("project_id"), _of.short_id.in_(json_values("short_ids"))
)
_BY_HASH = select(_of.endpoint_hash, _of.signing_key_id).where(
    _of.project_id == bindparam("project_id"), _of.endpoint_hash.in_(bindparam("hashes", expanding=True))
)
_CONTACTS = select(contacts.c.id, contacts.c.external_id).where(
    contacts.c.project_id == bindparam("project_id"), contacts.c.external_id.in_(json_values("names"))
)
_KEYS = select(signing_keys.c.id, signing_keys.c.key_id).where(signing_keys.c.project_id == bindparam("project_id"))
_LIFE_LENGTHS = (
    select(lifecycle.c.subscription_id, func.count())
    .where(lifecycle.c.subscription_id.in_(json_values("ids")))
    .group_by(lifecycle.c.subscription_id)
)
_INSERT = insert(subscriptions).returning(_of.id, sort_by_parameter_order=True)
_FOLLOW = update(subscriptions).where(_of.id == bindparam("row_id")).values(superseded_by=bindparam("successor"))


def fates(
    connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]
) -> list[Fate | PushkeepError]:
    """What becomes of subscriptions."""
    records = records_of(run, PortableSubscription)
    known = find_rows(connection, (record.public_id for record in records))
    key_ids = {row.id: row.key_id for row in connection.execute(_KEYS, {"project_id": project.id})}
    named = {"project_id": project.id, "short_ids": json.dumps([record.short_id for record in records])}
    taken = Counter(connection.execute(_BY_SHORT_ID, named).scalars())
    bound = _bound(connection, vault, project, records, key_ids)
    result: list[Fate | PushkeepError] = []
    for record in records:
        row = known.get(record.public_id)
        if row is not None:
            same = row.project_id == project.id and key_ids.get(row.signing_key_id) == record.signing_key
            other = Conflict(f"Subscription {record.short_id} is another one here.", field="id")
            result.append(Fate.KNOWN if same and row.short_id == record.short_id else other)
        elif taken[record.short_id]:
            result.append(Conflict(f"Another subscription is called {record.short_id} here.", field="short_id"))
        elif record.subscription is not None and any(
            (found, record.signing_key) in bound for found in vault.endpoint_hashes(record.subscription.endpoint)
        ):
            result.append(
                Conflict(
                    f"The endpoint of subscription {record.short_id} is stored here under another id: its browser has "
                    "registered since.",
                    field="subscription",
                )
            )
        else:
            taken[record.short_id] += 1
            result.append(Fate.NEW)
    return result


def _bound(
    connection: Connection,
    vault: Vault,
    project: Project,
    records: Sequence[PortableSubscription],
    key_ids: Mapping[int, str],
) -> set[tuple[bytes, str | None]]:
    """Which of these endpoints are stored, with the signing key of each."""
    hashes = [
        found
        for record in records
        if record.subscription is not None
        for found in vault.endpoint_hashes(record.subscription.endpoint)
    ]
    rows = connection.execute(_BY_HASH, {"project_id": project.id, "hashes": hashes})
    return {(bytes(row.endpoint_hash), key_ids.get(row.signing_key_id)) for row in rows}


def write(connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]) -> int:
    """Write subscriptions with the beginning of their lives.

    Raises:
        Conflict: one names a contact or signing key that is not there, or comes twice.
    """
    records = records_of(run, PortableSubscription)
    if len({record.public_id for record in records}) < len(records):
        raise Conflict("Two subscriptions of the file have the same id.", field="id")
    key_ids = {row.key_id: row.id for row in connection.execute(_KEYS, {"project_id": project.id})}
    contact_ids = find_contacts(connection, project, _named(records))
    rows = [_values(vault, project, record, contact_ids, key_ids) for record in records]
    numbers = connection.execute(_INSERT, rows).scalars().all()
    entries = [
        entry
        for number, record in zip(numbers, records, strict=True)
        for entry in _entries(number, key_ids[record.signing_key], record.life, contact_ids)
    ]
    write_entries(connection, project.id, entries)
    for origin, vendor in {(record.origin, record.vendor) for record in records}:
        note_push_service(connection, project, origin, vendor)
    return 0


def _named(records: Sequence[PortableSubscription]) -> Iterable[str]:
    yield from (record.owner for record in records if record.owner is not None)
    yield from (
        name for record in records for entry in record.life for name in (entry.contact, entry.contact_before) if name
    )


def _values(
    vault: Vault,
    project: Project,
    record: PortableSubscription,
    contact_ids: Mapping[str, int],
    key_ids: Mapping[str, int],
) -> dict[str, object]:
    if record.owner is not None and record.owner not in contact_ids:
        raise Conflict(f"Subscription {record.short_id} belongs to a contact that is not there.", field="contact")
    if record.signing_key not in key_ids:
        raise Conflict(f"Subscription {record.short_id} has a signing key that is not there.", field="signing_key")
    given = record.subscription
    # A tombstone's endpoint is known to nobody: by a number of chance it is recognised as little as it was forgotten.
    endpoint_hash = vault.ring.sealing.draw(HASH_BYTES) if given is None else vault.endpoint_hash(given.endpoint)
    return {
        "project_id": project.id,
        "public_id": uuid_of(record.public_id),
        "short_id": record.short_id,
        "contact_id": None if record.owner is None else contact_ids[record.owner],
        "signing_key_id": key_ids[record.signing_key],
        "origin": record.origin,
        "vendor": record.vendor,
        "endpoint_hash": endpoint_hash,
        "keys_hash": vault.ring.sealing.draw(HASH_BYTES) if given is None else vault.keys_hash(given),
        "lookup_key_id": vault.lookup_key_id,
        "sealed": None if given is None else vault.seal_subscription(project, endpoint_hash, given),
        "state": record.state.value,
        "state_reason": None if record.reason is None else write_reason(record.reason),
        "created_at": record.created_at,
        "last_seen_at": record.last_seen_at,
        "last_accepted_at": record.last_accepted_at,
        "consecutive_failures": record.consecutive_failures,
        "suspect_days": write_days(record.suspect_days),
        "abilities": write_abilities(record.abilities),
        "version": record.version,
        "ended_at": record.ended_at,
        "last_displayed_at": record.last_displayed_at,
        "last_verdict": record.last_verdict,
        "last_verdict_at": record.last_verdict_at,
        "owner_since": record.owner_since,
        "sync_sequence": record.sync_sequence,
        "probe_at": record.probe_at,
        "probes": record.probes,
    }


def _entries(
    number: int, signing_key_id: int, life: Sequence[PortableEntry], contact_ids: Mapping[str, int]
) -> Iterable[Entry]:
    for entry in life:
        evidence = entry.evidence
        if entry.contact is not None or entry.contact_before is not None:
            evidence = replace(
                evidence,
                contact=contact_ids.get(entry.contact or ""),
                contact_before=contact_ids.get(entry.contact_before or ""),
            )
        yield Entry(number, signing_key_id, entry.at, entry.event, entry.before, entry.after, evidence)


def life_fates(
    connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]
) -> list[Fate | PushkeepError]:
    """What becomes of further entries: they are new where the life ends just before them."""
    records = records_of(run, PortableLife)
    known = find_rows(connection, (record.subscription for record in records))
    lengths = _lengths(connection, known)
    result: list[Fate | PushkeepError] = []
    for record in records:
        length = lengths.get(record.subscription)
        new = length is None or length == record.behind
        result.append(Fate.NEW if new else Fate.KNOWN)
        if length is not None and new:
            lengths[record.subscription] = length + len(record.entries)
    return result


def write_lives(connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]) -> int:
    """Write further entries; not those of subscriptions that were left out.

    Raises:
        Conflict: the entries before them are not there.
    """
    records = records_of(run, PortableLife)
    known = find_rows(connection, (record.subscription for record in records))
    lengths = _lengths(connection, known)
    entries: list[Entry] = []
    names = (name for record in records for entry in record.entries for name in (entry.contact, entry.contact_before))
    contact_ids = find_contacts(connection, project, (name for name in names if name))
    orphans = 0
    for record in records:
        row = known.get(record.subscription)
        if row is None:
            orphans += 1
            continue
        if lengths[record.subscription] != record.behind:
            raise Conflict(f"The life of subscription {record.subscription} has a gap.", field="behind")
        lengths[record.subscription] += len(record.entries)
        entries.extend(_entries(row.id, row.signing_key_id, record.entries, contact_ids))
    write_entries(connection, project.id, entries)
    return orphans


def _lengths(connection: Connection, known: Mapping[str, AnyRow]) -> dict[str, int]:
    ids = json.dumps([row.id for row in known.values()])
    counts: dict[int, int] = {}
    for number, count in connection.execute(_LIFE_LENGTHS, {"ids": ids}):
        counts[number] = count
    return {public_id: counts.get(row.id, 0) for public_id, row in known.items()}


def succession_fates(
    connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]
) -> list[Fate | PushkeepError]:
    """What becomes of successions: a row that is followed by one already has moved on since, or been told before."""
    records = records_of(run, PortableSuccession)
    known = find_rows(connection, (record.subscription for record in records))
    rows = [known.get(record.subscription) for record in records]
    return [Fate.NEW if row is None or row.superseded_by is None else Fate.KNOWN for row in rows]


def write_successions(connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]) -> int:
    """Write successions; not those of, or by, subscriptions that were left out."""
    records = records_of(run, PortableSuccession)
    known = find_rows(connection, [name for record in records for name in (record.subscription, record.successor)])
    rows = []
    for record in records:
        older, newer = known.get(record.subscription), known.get(record.successor)
        if older is not None and newer is not None:
            rows.append({"row_id": older.id, "successor": newer.id})
    if rows:
        connection.execute(_FOLLOW, rows)
    return len(records) - len(rows)


def records_of(run: Sequence[Numbered], kind: type[R]) -> list[R]:
    """The records of a run, which are of this kind."""
    return [numbered.record for numbered in run if isinstance(numbered.record, kind)]


def find_rows(connection: Connection, public_ids: Iterable[str]) -> dict[str, AnyRow]:
    """The subscriptions of public ids, by those."""
    ids = [uuid_of(public_id) for public_id in dict.fromkeys(public_ids)]
    return {row.public_id: row for row in connection.execute(_BY_PUBLIC_ID, {"ids": ids})}


def find_contacts(connection: Connection, project: Project, names: Iterable[str]) -> Mapping[str, int]:
    """The numbers of contacts, by their external ids."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    rows = connection.execute(_CONTACTS, {"project_id": project.id, "names": json.dumps(wanted)})
    return {row.external_id: row.id for row in rows}
