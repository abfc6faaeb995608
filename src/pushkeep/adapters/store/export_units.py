"""Units of work that hand out everything a project has: in one transaction, so that all of it is of one moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from sqlalchemy import Connection, Select, bindparam, select, text, type_coerce

from pushkeep.adapters.store.consent_rows import record_from as consent_from
from pushkeep.adapters.store.export_lives import read_lives
from pushkeep.adapters.store.project_units import key_seal_name, project_secrets
from pushkeep.adapters.store.purpose_units import all_purposes, all_wordings
from pushkeep.adapters.store.rows import AnyRow, PublicId, record_from, select_records
from pushkeep.adapters.store.seal_units import list_seals
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.tables import (
    api_keys,
    consents,
    contact_tags,
    contacts,
    projects,
    signing_keys,
    subscriptions,
    tags,
)
from pushkeep.domain.moving import MovedRecord
from pushkeep.domain.portable import (
    LIFE_ENTRIES_MAX,
    PortableApiKey,
    PortableConsent,
    PortableConsentState,
    PortableContact,
    PortableLife,
    PortableProject,
    PortablePurpose,
    PortableSeal,
    PortableSigningKey,
    PortableSubscription,
    PortableSuccession,
    PortableWording,
)
from pushkeep.domain.project import KeyState, Project
from pushkeep.protocol.signing_key import SigningKey

PAGE = 1000
"""Rows read together."""

_MOST = 2**63 - 1

_of = subscriptions.c
_API_KEYS = select(api_keys).where(api_keys.c.project_id == bindparam("project_id")).order_by(api_keys.c.id)
_SIGNING_KEYS = (
    select(signing_keys).where(signing_keys.c.project_id == bindparam("project_id")).order_by(signing_keys.c.id)
)
_CONTACTS = (
    select(contacts.c.id, contacts.c.external_id, contacts.c.created_at)
    .where(contacts.c.project_id == bindparam("project_id"), contacts.c.id > bindparam("after"))
    .order_by(contacts.c.id)
    .limit(PAGE)
)
_TAGS = (
    select(contact_tags.c.contact_id, tags.c.name)
    .select_from(contact_tags.join(tags, tags.c.id == contact_tags.c.tag_id))
    .where(contact_tags.c.contact_id >= bindparam("low"), contact_tags.c.contact_id <= bindparam("high"))
    .order_by(tags.c.name)
)
_SUBSCRIPTIONS = (
    select_records(with_sealed=True)
    .where(_of.project_id == bindparam("project_id"), _of.id > bindparam("after"))
    .order_by(_of.id)
    .limit(PAGE)
)
_newer = subscriptions.alias("newer")
_SUCCESSIONS = (
    select(
        _of.id,
        type_coerce(_of.public_id, PublicId()).label("older"),
        type_coerce(_newer.c.public_id, PublicId()).label("newer"),
    )
    .select_from(subscriptions.join(_newer, _newer.c.id == _of.superseded_by))
    .where(_of.project_id == bindparam("project_id"), _of.superseded_by.is_not(None), _of.id > bindparam("after"))
    .order_by(_of.id)
    .limit(PAGE)
)
_CONSENTS = (
    select(consents.c.number.label("id"), *consents.c)
    .where(consents.c.project_id == bindparam("project_id"), consents.c.number > bindparam("after"))
    .order_by(consents.c.number)
    .limit(PAGE)
)
# What a state names may be gone with its tombstone; so may the owner, whose word counts for nobody else.
_STATES = text(
    """
    SELECT t.subject, t.subject_id, t.purpose_id, t.given, t.number, p.name AS purpose, o.external_id AS owner,
        c.external_id AS contact, s.public_id AS subscription
    FROM consent_states AS t
    JOIN purposes AS p ON p.id = t.purpose_id
    LEFT JOIN contacts AS o ON o.id = t.contact_id
    LEFT JOIN contacts AS c ON t.subject = 'c' AND c.id = t.subject_id
    LEFT JOIN subscriptions AS s ON t.subject = 's' AND s.id = t.subject_id
    WHERE t.project_id = :project_id AND coalesce(c.id, s.id) IS NOT NULL
        AND (t.contact_id IS NULL OR o.id IS NOT NULL)
        AND (t.subject, t.subject_id, t.purpose_id) > (:subject, :subject_id, :purpose_id)
    ORDER BY t.subject, t.subject_id, t.purpose_id LIMIT :most
    """
).columns(subscription=PublicId())


def export(
    connection: Connection, vault: Vault, project: Project, take: Callable[[MovedRecord], None], *, secrets: bool
) -> None:
    """See :meth:`pushkeep.ports.moving.ExportStore.export_records`."""
    for record in _records(connection, vault, project, secrets=secrets):
        take(record)


def _records(connection: Connection, vault: Vault, project: Project, *, secrets: bool) -> Iterator[MovedRecord]:
    yield _project(connection, vault, project, secrets=secrets)
    named = {"project_id": project.id}
    if secrets:
        for row in connection.execute(_API_KEYS, named):
            yield PortableApiKey(row.key_id, row.digest, row.label, row.created_at)
    key_ids = {}
    for row in connection.execute(_SIGNING_KEYS, named):
        key_ids[row.id] = row.key_id
        yield _signing_key(vault, project, row, secrets=secrets)
    for purpose in all_purposes(connection, project):
        yield PortablePurpose(purpose.name, purpose.description, purpose.basis, purpose.created_at)
    for wording in all_wordings(connection, project, None):
        yield PortableWording(wording)
    yield from _contacts(connection, project)
    yield from _subscriptions(connection, vault, project, key_ids, secrets=secrets)
    for row in _rows(connection, project, _SUCCESSIONS):
        yield PortableSuccession(row.older, row.newer)
    for row in _rows(connection, project, _CONSENTS):
        opened = consent_from(vault, project.public_id, row)
        yield PortableConsent(
            opened.number, opened.commitment, opened.salt, opened.content, opened.erased_at, row.over_at
        )
    yield from _states(connection, project)
    for seal in list_seals(connection, project, limit=_MOST, after=0):
        yield PortableSeal(seal.number, seal.first, seal.last, seal.previous, seal.head, seal.sealed_at)


def _project(connection: Connection, vault: Vault, project: Project, *, secrets: bool) -> PortableProject:
    created_at = connection.execute(select(projects.c.created_at).where(projects.c.id == project.id)).scalar_one()
    held = project_secrets(connection, vault, project) if secrets else None
    return PortableProject(
        public_id=project.public_id,
        name=project.name,
        site_url=project.site_url,
        contact=project.contact,
        publishable_key=project.publishable_key,
        site_origins=project.site_origins,
        created_at=created_at,
        identity_secret=None if held is None else held.identity,
        sync_secret=None if held is None else held.sync,
    )


def _signing_key(vault: Vault, project: Project, row: AnyRow, *, secrets: bool) -> PortableSigningKey:
    pair = None
    if secrets and row.state != KeyState.RETIRED.value:
        pair = SigningKey.from_pem(vault.open_secret(project.public_id, key_seal_name(row.key_id), row.private_key))
    return PortableSigningKey(
        public_bytes=row.public_key,
        pair=pair,
        state=KeyState(row.state),
        created_at=row.created_at,
        activated_at=row.activated_at,
        retiring_at=row.retiring_at,
        retired_at=row.retired_at,
        leaked_at=row.leaked_at,
    )


def _contacts(connection: Connection, project: Project) -> Iterator[PortableContact]:
    after = 0
    while rows := connection.execute(_CONTACTS, {"project_id": project.id, "after": after}).all():
        after = rows[-1].id
        named: dict[int, list[str]] = {row.id: [] for row in rows}
        for contact_id, name in connection.execute(_TAGS, {"low": rows[0].id, "high": after}):
            named[contact_id].append(name)
        for row in rows:
            yield PortableContact(row.external_id, tuple(named[row.id]), row.created_at)


def _subscriptions(
    connection: Connection, vault: Vault, project: Project, key_ids: Mapping[int, str], *, secrets: bool
) -> Iterator[MovedRecord]:
    after = 0
    while rows := connection.execute(_SUBSCRIPTIONS, {"project_id": project.id, "after": after}).all():
        after = rows[-1].id
        lives = read_lives(connection, json.dumps([row.id for row in rows]))
        for row in rows:
            life = lives.get(row.id, ())
            record, sealed = record_from(row), row.sealed if secrets else None
            yield PortableSubscription(
                public_id=record.public_id,
                short_id=record.short_id,
                owner=record.contact_external_id,
                signing_key=key_ids[record.signing_key_id],
                origin=record.origin,
                vendor=record.vendor,
                subscription=None
                if sealed is None
                else vault.open_subscription(project.public_id, row.endpoint_hash, sealed),
                state=record.state,
                reason=record.state_reason,
                created_at=record.created_at,
                last_seen_at=record.last_seen_at,
                last_accepted_at=record.last_accepted_at,
                last_displayed_at=record.last_displayed_at,
                last_verdict=record.last_verdict,
                last_verdict_at=record.last_verdict_at,
                ended_at=record.ended_at,
                owner_since=record.owner_since,
                probe_at=record.probe_at,
                probes=record.probes,
                consecutive_failures=record.consecutive_failures,
                suspect_days=record.suspect_days,
                abilities=record.abilities,
                sync_sequence=record.sync_sequence,
                version=record.version,
                life=tuple(life[:LIFE_ENTRIES_MAX]),
            )
            for behind in range(LIFE_ENTRIES_MAX, len(life), LIFE_ENTRIES_MAX):
                yield PortableLife(record.public_id, behind, tuple(life[behind : behind + LIFE_ENTRIES_MAX]))


def _states(connection: Connection, project: Project) -> Iterator[PortableConsentState]:
    after: tuple[str, int, int] = ("", 0, 0)
    while True:
        subject, subject_id, purpose_id = after
        bounds = {"subject": subject, "subject_id": subject_id, "purpose_id": purpose_id, "most": PAGE}
        rows = connection.execute(_STATES, {"project_id": project.id, **bounds}).all()
        if not rows:
            return
        after = rows[-1].subject, rows[-1].subject_id, rows[-1].purpose_id
        for row in rows:
            subscription = row.subscription if row.subject == "s" else None
            yield PortableConsentState(subscription, row.contact, row.purpose, bool(row.given), row.number, row.owner)


def _rows(connection: Connection, project: Project, pages: Select[tuple[object, ...]]) -> Iterator[AnyRow]:
    after = 0
    while rows := connection.execute(pages, {"project_id": project.id, "after": after}).all():
        after = rows[-1].id
        yield from rows
