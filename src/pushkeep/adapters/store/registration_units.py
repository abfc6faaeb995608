"""Units of work on registrations: what :mod:`pushkeep.domain.registration` decides, carried out."""

from __future__ import annotations

import json
from dataclasses import replace

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from pushkeep.adapters.store.consent_units import hand_on, record_words, says_news, voice_of
from pushkeep.adapters.store.contact_units import contact_id_of
from pushkeep.adapters.store.lifecycle_units import Entry, write_entries
from pushkeep.adapters.store.move_units import ACTIVE_AGAIN, Step, move_rows
from pushkeep.adapters.store.rows import AnyRow, json_values, record_from, select_records, uuid_of
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.subscription_units import TOUCH, by_row_id, end_of_chain, find
from pushkeep.adapters.store.tables import push_services, signing_keys, subscriptions
from pushkeep.domain.ability import write_abilities
from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import Evidence
from pushkeep.domain.project import SIGNING, KeyState, Project
from pushkeep.domain.registration import Plan, Registration, Write, check_owner_has_room, foreign_key, plan
from pushkeep.domain.subscription import Event, State, StateReason, SubscriptionRecord
from pushkeep.errors import Conflict, Unavailable
from pushkeep.ports import StoredRegistration
from pushkeep.protocol.encoding import b64url_encode

# A statement costs more to build than to run: all of these are built once.
_BY_ENDPOINT = (
    select_records()
    .where(
        subscriptions.c.project_id == bindparam("project_id"),
        subscriptions.c.signing_key_id == bindparam("signing_key_id"),
    )
    .add_columns(subscriptions.c.lookup_key_id)
)
_BY_HASH = _BY_ENDPOINT.where(subscriptions.c.endpoint_hash == bindparam("endpoint_hash"))
_BY_HASHES = _BY_ENDPOINT.where(subscriptions.c.endpoint_hash.in_(bindparam("endpoint_hashes", expanding=True)))
_LIVING_OF_CONTACT = (
    select(func.count())
    .select_from(subscriptions)
    .where(
        subscriptions.c.contact_id == bindparam("contact_id"),
        subscriptions.c.ended_at.is_(None),
        subscriptions.c.id.not_in(json_values("leaving")),
    )
)
_POINT_ON = (
    update(subscriptions)
    .where(subscriptions.c.id == bindparam("row_id"))
    .values(superseded_by=bindparam("new_successor"))
)
_CONTACT_OF = select(subscriptions.c.contact_id).where(subscriptions.c.id == bindparam("row_id"))
_KEY = select(signing_keys.c.key_id, signing_keys.c.state).where(signing_keys.c.id == bindparam("key"))
_ACTIVE_KEY = select(signing_keys.c.public_key).where(
    signing_keys.c.project_id == bindparam("project_id"), signing_keys.c.state == KeyState.ACTIVE.value
)
_TAKEN_SHORT_IDS = select(subscriptions.c.short_id).where(
    subscriptions.c.project_id == bindparam("project_id"),
    subscriptions.c.short_id.in_(json_values("candidates")),
)
_INSERT = insert(subscriptions).returning(subscriptions.c.id)
_PUSH_SERVICE = sqlite_insert(push_services)
_NOTE_PUSH_SERVICE = _PUSH_SERVICE.on_conflict_do_update(
    index_elements=[push_services.c.project_id, push_services.c.origin],
    set_={"vendor": _PUSH_SERVICE.excluded.vendor},
    where=push_services.c.vendor != _PUSH_SERVICE.excluded.vendor,
)


def existing_registration(
    connection: Connection, vault: Vault, project: Project, registration: Registration
) -> StoredRegistration | None:
    """The registration if it changes nothing, found without the write lock; None if something is to be written.

    What changes nothing is living, and needs no key that signs.
    """
    existing, decided = _decide(connection, vault, project, registration)
    if existing is None or not decided.changes_nothing:
        return None
    if registration.consents:
        voice, heard = voice_of(connection, existing), _is_heard(registration, existing)
        if says_news(connection, vault, project, voice, registration.consents, heard=heard):
            return None
    return StoredRegistration(existing, created=False)


def register(connection: Connection, vault: Vault, project: Project, registration: Registration) -> StoredRegistration:
    """See :meth:`pushkeep.ports.SubscriptionStore.register`."""
    key_id, retired = _key(connection, project, registration)
    existing, decided = _decide(connection, vault, project, registration, retired)
    if existing is not None and decided.changes_nothing:
        _say(connection, vault, project, registration, existing, existing)
        return StoredRegistration(existing, created=False)
    contact_id = None
    if decided.owner is not None:
        contact_id = contact_id_of(connection, project, decided.owner, registration.now)
    try:
        _check_room(connection, contact_id, decided, existing, registration)
    except Conflict:
        if registration.owner is not None:
            raise
        # Nobody has asked for this owner, who came with a predecessor: better nobody's than lost.
        return register(connection, vault, project, replace(registration, detach=True))
    if existing is None:
        record = _insert(connection, vault, project, registration, decided, contact_id, key_id)
    else:
        record = _refresh(connection, vault, project, registration, decided, contact_id, existing)
    for replaced in decided.supersede:
        _supersede(connection, project, replaced, record, registration)
    note_push_service(connection, project, registration.subscription.endpoint.origin, registration.vendor)
    _say(connection, vault, project, registration, existing, record)
    return StoredRegistration(record, created=existing is None)


def _say(
    connection: Connection,
    vault: Vault,
    project: Project,
    registration: Registration,
    existing: SubscriptionRecord | None,
    record: SubscriptionRecord,
) -> None:
    """Record what the visitor says with it: after it is known who owns the row, and what it takes over."""
    if registration.consents:
        voice, heard = voice_of(connection, record), _is_heard(registration, existing)
        record_words(connection, vault, project, voice, registration.consents, now=registration.now, heard=heard)


def _is_heard(registration: Registration, existing: SubscriptionRecord | None) -> bool:
    """Whether the browser's words up to this number have been heard already."""
    sequence = registration.sequence
    return existing is not None and sequence is not None and sequence <= existing.sync_sequence


def _key(connection: Connection, project: Project, registration: Registration) -> tuple[str, Conflict | None]:
    """The id of the key it was made with, and what to raise if that does not sign: it can have been retired since the
    caller looked, and whoever comes after that transaction must not be stored as one that is sent to."""
    key = connection.execute(_KEY, {"key": registration.signing_key_id}).one()
    if key.state in SIGNING:
        return key.key_id, None
    active = connection.execute(_ACTIVE_KEY, {"project_id": project.id}).scalar_one()
    return key.key_id, foreign_key(b64url_encode(active), retired=True)


def _decide(
    connection: Connection,
    vault: Vault,
    project: Project,
    registration: Registration,
    retired: Conflict | None = None,
) -> tuple[SubscriptionRecord | None, Plan]:
    row = _stored(connection, vault, project, registration)
    existing = None if row is None else record_from(row)
    predecessors = [
        predecessor
        for public_id in dict.fromkeys(registration.replaces)
        if (predecessor := find(connection, project, AnyId(public_id, None))) is not None
    ]
    successor = None if existing is None or existing.living else end_of_chain(connection, existing)
    decided = plan(
        registration,
        keys_hash=vault.keys_hash(registration.subscription, None if row is None else row.lookup_key_id),
        existing=existing,
        predecessors=predecessors,
        successor=successor,
        followers=_followers(connection, predecessors),
        retired=retired,
    )
    return existing, decided


def _stored(connection: Connection, vault: Vault, project: Project, registration: Registration) -> AnyRow | None:
    """The row with this endpoint and signing key, whichever lookup key made its hashes."""
    hashes = vault.endpoint_hashes(registration.subscription.endpoint)
    named: dict[str, object] = {"project_id": project.id, "signing_key_id": registration.signing_key_id}
    if len(hashes) == 1:
        return connection.execute(_BY_HASH, {**named, "endpoint_hash": hashes[0]}).one_or_none()
    return connection.execute(_BY_HASHES, {**named, "endpoint_hashes": hashes}).one_or_none()


def _followers(connection: Connection, named: list[SubscriptionRecord]) -> list[SubscriptionRecord]:
    """The ends of the chains that lead on from those named, and are not among them."""
    ids = {row.id for row in named}
    found = [end_of_chain(connection, row) for row in named if row.superseded_by not in ids]
    return list({row.id: row for row in found if row is not None and row.id not in ids}.values())


def _check_room(
    connection: Connection,
    contact_id: int | None,
    decided: Plan,
    existing: SubscriptionRecord | None,
    registration: Registration,
) -> None:
    """Count only where the contact gets one more living subscription."""
    before = decided.supersede if existing is None else (existing, *decided.supersede)
    already = any(row.living and row.contact_external_id == decided.owner for row in before)
    if contact_id is None or already:
        return
    leaving = json.dumps([replaced.id for replaced in decided.supersede])
    count = connection.execute(_LIVING_OF_CONTACT, {"contact_id": contact_id, "leaving": leaving}).scalar_one()
    check_owner_has_room(decided.owner, count, registration.contact_max)


def _insert(
    connection: Connection,
    vault: Vault,
    project: Project,
    registration: Registration,
    decided: Plan,
    contact_id: int | None,
    key_id: str,
) -> SubscriptionRecord:
    subscription = registration.subscription
    endpoint_hash, keys_hash = vault.endpoint_hash(subscription.endpoint), vault.keys_hash(subscription)
    short_id = _free_short_id(connection, project, registration.short_ids)
    values = {
        "project_id": project.id,
        "public_id": uuid_of(registration.public_id),
        "short_id": short_id,
        "contact_id": contact_id,
        "signing_key_id": registration.signing_key_id,
        "origin": subscription.endpoint.origin,
        "vendor": registration.vendor,
        "endpoint_hash": endpoint_hash,
        "keys_hash": keys_hash,
        "lookup_key_id": vault.lookup_key_id,
        "sealed": vault.seal_subscription(project, endpoint_hash, subscription),
        "state": State.ACTIVE.value,
        "created_at": registration.now,
        "last_seen_at": registration.now,
        "abilities": write_abilities(decided.abilities),
        "owner_since": decided.owner_since,
        "sync_sequence": decided.sequence,
    }
    row_id = int(connection.execute(_INSERT, values).scalar_one())
    named = None if not decided.supersede else decided.supersede[0].public_id
    evidence = Evidence(registration.by, contact=contact_id, predecessor=named, key=key_id)
    entry = Entry(row_id, registration.signing_key_id, registration.now, Event.REGISTERED, None, State.ACTIVE, evidence)
    write_entries(connection, project.id, [entry])
    return SubscriptionRecord(  # as it would be read
        id=row_id,
        public_id=registration.public_id,
        short_id=short_id,
        project_id=project.id,
        contact_external_id=decided.owner,
        origin=subscription.endpoint.origin,
        vendor=registration.vendor,
        state=State.ACTIVE,
        signing_key_id=registration.signing_key_id,
        created_at=registration.now,
        last_seen_at=registration.now,
        last_accepted_at=None,
        consecutive_failures=0,
        suspect_days=frozenset(),
        state_reason=None,
        superseded_by=None,
        version=1,
        keys_hash=keys_hash,
        abilities=decided.abilities,
        owner_since=decided.owner_since,
        sync_sequence=decided.sequence,
    )


def _free_short_id(connection: Connection, project: Project, candidates: tuple[str, ...]) -> str:
    wanted = {"project_id": project.id, "candidates": json.dumps(candidates)}
    taken = set(connection.execute(_TAKEN_SHORT_IDS, wanted).scalars())
    for candidate in candidates:
        if candidate not in taken:
            return candidate
    raise Unavailable("No free short id was drawn; try again.")


def note_push_service(connection: Connection, project: Project, origin: str, vendor: str) -> None:
    """A message to everybody keeps the limits of every push service there has been a subscription at."""
    connection.execute(_NOTE_PUSH_SERVICE, {"project_id": project.id, "origin": origin, "vendor": vendor})


def _refresh(
    connection: Connection,
    vault: Vault,
    project: Project,
    registration: Registration,
    decided: Plan,
    contact_id: int | None,
    existing: SubscriptionRecord,
) -> SubscriptionRecord:
    """Touch or renew the row of a browser that came back."""
    if decided.write is Write.NOTHING:
        return existing
    if decided.write is Write.TOUCH:
        touched = {"row_id": existing.id, "now": registration.now, "sequence": decided.sequence}
        connection.execute(TOUCH, touched)
        return replace(existing, last_seen_at=registration.now, sync_sequence=decided.sequence)
    endpoint_hash = vault.endpoint_hash(registration.subscription.endpoint)
    _write_moves(connection, project, registration, decided, contact_id, existing)
    values: dict[str, object] = {
        "state": decided.state.value,
        "contact_id": contact_id,
        "vendor": registration.vendor,
        "endpoint_hash": endpoint_hash,
        "keys_hash": vault.keys_hash(registration.subscription),
        "lookup_key_id": vault.lookup_key_id,
        "sealed": vault.seal_subscription(project, endpoint_hash, registration.subscription),
        "ended_at": None,
        "superseded_by": None,
        "abilities": write_abilities(decided.abilities),
        "last_seen_at": registration.now,
        "owner_since": decided.owner_since,
        "sync_sequence": decided.sequence,
        "version": existing.version + 1,
    }
    if decided.state is State.ACTIVE:
        values |= {name.removeprefix("new_"): value for name, value in ACTIVE_AGAIN.items()}
    connection.execute(update(subscriptions).where(subscriptions.c.id == existing.id).values(values))
    return by_row_id(connection, existing.id)


def _write_moves(
    connection: Connection,
    project: Project,
    registration: Registration,
    decided: Plan,
    contact_id: int | None,
    existing: SubscriptionRecord,
) -> None:
    if not decided.moves:
        return
    contact_before = connection.execute(_CONTACT_OF, {"row_id": existing.id}).scalar_one()
    entries, before = [], existing.state
    for event in decided.moves:
        evidence = Evidence(registration.by)
        if event in (Event.OWNER_MOVED, Event.OWNER_DETACHED):
            evidence = Evidence(registration.by, contact=contact_id, contact_before=contact_before)
        elif decided.supersede:
            evidence = Evidence(registration.by, predecessor=decided.supersede[0].public_id)
        entries.append(
            Entry(existing.id, existing.signing_key_id, registration.now, event, before, decided.state, evidence)
        )
        before = decided.state
    write_entries(connection, project.id, entries)


def _supersede(
    connection: Connection,
    project: Project,
    replaced: SubscriptionRecord,
    successor: SubscriptionRecord,
    registration: Registration,
) -> None:
    hand_on(connection, replaced.id, successor.id)
    if not replaced.living:
        connection.execute(_POINT_ON, {"row_id": replaced.id, "new_successor": successor.id})
        return
    step = Step(
        Event.REPLACED,
        StateReason(Event.REPLACED, registration.now),
        registration.by,
        replaced.version,
        superseded_by=successor.id,
        successor=successor.public_id,
    )
    move_rows(connection, project.id, {replaced.id: step})
