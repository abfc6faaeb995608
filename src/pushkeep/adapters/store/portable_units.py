"""Units of work that take records of the own format: what is known of each, and writing those that are new.

A record that is here already stays as it is, whatever has become of it since the file was written; only what is new is
added. What contradicts what is here is a conflict. The first record is the project: an installation that has nothing
yet takes its place, with its ids, keys and secrets, so that pages and tokens go on working.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from sqlalchemy import Connection, bindparam, delete, exists, insert, select, update

from pushkeep.adapters.store import portable_consent_units, portable_subscription_units
from pushkeep.adapters.store.contact_units import add_tags
from pushkeep.adapters.store.foreign_units import Page
from pushkeep.adapters.store.key_units import NO_PRIVATE_KEY, all_keys
from pushkeep.adapters.store.portable_fates import ORPHANS, Fate, FateOf, Writer
from pushkeep.adapters.store.portable_subscription_units import find_contacts, records_of
from pushkeep.adapters.store.project_units import key_seal_name, project_by_id
from pushkeep.adapters.store.purpose_units import add_wording, all_purposes, all_wordings, put_purpose
from pushkeep.adapters.store.rows import uuid_of, write_origins
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.tables import (
    api_keys,
    consents,
    contacts,
    notifications,
    projects,
    purposes,
    signing_keys,
    subscriptions,
)
from pushkeep.domain.moving import Fault, ImportAsked, MovedRecord, Numbered
from pushkeep.domain.portable import (
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
from pushkeep.domain.signing_keys import KEYS_MAX
from pushkeep.errors import Conflict, PushkeepError
from pushkeep.ports.moving import Standing

_HAS = tuple(
    select(exists().where(table.c.project_id == bindparam("project_id")))
    for table in (subscriptions, contacts, notifications, consents, purposes)
)
_API_KEY = select(api_keys.c.digest).where(api_keys.c.key_id == bindparam("key_id"))


def check_records(
    connection: Connection, vault: Vault, project: Project, asked: ImportAsked, records: Sequence[Numbered]
) -> Standing:
    """See :meth:`pushkeep.ports.moving.ImportStore.check_records`."""
    faults: list[Fault] = []
    counts: Counter[str] = Counter()
    for kind, run in _runs(records):
        for numbered, fate in zip(run, _FATES[kind](connection, vault, project, run), strict=True):
            if isinstance(fate, PushkeepError):
                faults.append(Fault.of(numbered.number, numbered.line, fate))
            else:
                counts[kind.kind if fate is Fate.NEW else fate.value] += 1
    return Standing(tuple(faults), counts)


def write_records(connection: Connection, vault: Vault, project: Project, page: Page) -> Mapping[str, int]:
    """Do what :func:`check_records` said.

    Raises:
        Conflict: something has changed since, or a record names one that is not there.
    """
    counts: Counter[str] = Counter()
    for kind, run in _runs(page.records):
        new: list[Numbered] = []
        for numbered, fate in zip(run, _FATES[kind](connection, vault, project, run), strict=True):
            if isinstance(fate, PushkeepError):
                raise Conflict(f"line {numbered.line}: {fate.message}", field=f"line {numbered.line}")
            counts[kind.kind if fate is Fate.NEW else fate.value] += 1
            if fate is Fate.NEW:
                new.append(numbered)
        if new and (orphans := _WRITERS[kind](connection, vault, project, new)):
            counts[kind.kind] -= orphans
            counts[ORPHANS] += orphans
        if kind is PortableProject:
            project = project_by_id(connection, project.id) or project
    return counts


def _runs(records: Sequence[Numbered]) -> list[tuple[type[MovedRecord], list[Numbered]]]:
    return [(kind, list(run)) for kind, run in groupby(records, lambda numbered: type(numbered.record))]


def _project_fates(
    connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]
) -> list[Fate | PushkeepError]:
    return [_project_fate(connection, project, numbered.record) for numbered in run]


def _project_fate(connection: Connection, project: Project, record: MovedRecord | None) -> Fate | PushkeepError:
    assert isinstance(record, PortableProject)
    if record.public_id == project.public_id:
        return Fate.KNOWN
    if _has_nothing(connection, project):
        return Fate.NEW
    return Conflict(
        f"This installation has a project of its own already, {project.name!r}, with subscriptions, contacts or "
        "purposes; import into a new data directory.",
        field="project",
    )


def _write_project(connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]) -> int:
    """Take the place of a project that has nothing yet; its own keys, which nobody has used, go."""
    for numbered in run:
        record = numbered.record
        assert isinstance(record, PortableProject)
        if record.identity_secret is None or record.sync_secret is None:
            raise Conflict("The file has no secrets; nobody could be sent to with what it says.", field="project")
        connection.execute(delete(signing_keys).where(signing_keys.c.project_id == project.id))
        connection.execute(
            update(projects)
            .where(projects.c.id == project.id)
            .values(
                public_id=uuid_of(record.public_id),
                name=record.name,
                site_url=record.site_url,
                contact=record.contact,
                publishable_key=record.publishable_key,
                site_origins=write_origins(record.site_origins),
                created_at=record.created_at,
                identity_secret=vault.seal_secret(record.public_id, "identity", record.identity_secret),
                sync_secret=vault.seal_secret(record.public_id, "sync", record.sync_secret),
            )
        )
    return 0


def _api_key_fates(
    connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]
) -> list[Fate | PushkeepError]:
    fates: list[Fate | PushkeepError] = []
    # Where the project goes on already, a key that is not there was revoked.
    absent = Fate.NEW if _has_nothing(connection, project) else Fate.ENDED
    for numbered in run:
        assert isinstance(numbered.record, PortableApiKey)
        digest = connection.execute(_API_KEY, {"key_id": numbered.record.key_id}).scalar_one_or_none()
        conflict = Conflict(f"API key {numbered.record.key_id} is another one here.", field="id")
        if digest is None:
            fates.append(absent)
        else:
            fates.append(Fate.KNOWN if digest == numbered.record.digest else conflict)
    return fates


def _write_api_keys(connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]) -> int:
    for numbered in run:
        record = numbered.record
        assert isinstance(record, PortableApiKey)
        values = {"key_id": record.key_id, "digest": record.digest, "label": record.label}
        connection.execute(insert(api_keys).values(project_id=project.id, created_at=record.created_at, **values))
    return 0


def _signing_key_fates(
    connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]
) -> list[Fate | PushkeepError]:
    keys = {key.key_id: key.state for key in all_keys(connection, project)}
    # Those of a project that has nothing yet go as the file's takes its place.
    known = {} if _has_nothing(connection, project) else dict(keys)
    fates: list[Fate | PushkeepError] = []
    for numbered in run:
        record = numbered.record
        assert isinstance(record, PortableSigningKey)
        single = record.state in (KeyState.ACTIVE, KeyState.NEXT)
        if record.key_id in keys:
            fates.append(Fate.KNOWN)
        elif single and record.state in known.values():
            fates.append(
                Conflict(
                    f"Signing key {record.key_id} is {record.state.value} in the file, and another one is here: both "
                    "were in use since the file was written.",
                    field="state",
                )
            )
        elif len(known) >= KEYS_MAX:
            fates.append(Conflict(f"The project has {KEYS_MAX} signing keys, which is the limit.", field="id"))
        else:
            fates.append(Fate.NEW)
            known[record.key_id] = record.state
    return fates


def _has_nothing(connection: Connection, project: Project) -> bool:
    return not any(connection.execute(has, {"project_id": project.id}).scalar_one() for has in _HAS)


def _write_signing_keys(connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]) -> int:
    for numbered in run:
        record = numbered.record
        assert isinstance(record, PortableSigningKey)
        sealed = NO_PRIVATE_KEY
        if record.pair is not None:
            pem = record.pair.to_pem().encode()
            sealed = vault.seal_secret(project.public_id, key_seal_name(record.key_id), pem)
        connection.execute(
            insert(signing_keys).values(
                project_id=project.id,
                key_id=record.key_id,
                public_key=record.public_bytes,
                private_key=sealed,
                state=record.state.value,
                created_at=record.created_at,
                activated_at=record.activated_at,
                retiring_at=record.retiring_at,
                retired_at=record.retired_at,
                leaked_at=record.leaked_at,
            )
        )
    return 0


def _purpose_fates(
    connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]
) -> list[Fate | PushkeepError]:
    bases = {purpose.name: purpose.basis for purpose in all_purposes(connection, project)}
    fates: list[Fate | PushkeepError] = []
    for numbered in run:
        record = numbered.record
        assert isinstance(record, PortablePurpose)
        basis = bases.get(record.name)
        conflict = Conflict(f"The purpose {record.name} has another basis here, {basis}.", field="basis")
        fates.append(Fate.NEW if basis is None else Fate.KNOWN if basis is record.basis else conflict)
    return fates


def _write_purposes(connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]) -> int:
    for numbered in run:
        record = numbered.record
        assert isinstance(record, PortablePurpose)
        put_purpose(
            connection,
            project,
            record.name,
            description=record.description,
            basis=record.basis,
            now=record.created_at,
        )
    return 0


def _wording_fates(
    connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]
) -> list[Fate | PushkeepError]:
    known = {(one.purpose, one.locale, one.version): one.digest for one in all_wordings(connection, project, None)}
    fates: list[Fate | PushkeepError] = []
    for numbered in run:
        assert isinstance(numbered.record, PortableWording)
        wording = numbered.record.wording
        digest = known.get((wording.purpose, wording.locale, wording.version))
        conflict = Conflict(f"Version {wording.version} in {wording.locale} has another text here.", field="version")
        fates.append(Fate.NEW if digest is None else Fate.KNOWN if digest == wording.digest else conflict)
    return fates


def _write_wordings(connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]) -> int:
    for numbered in run:
        assert isinstance(numbered.record, PortableWording)
        add_wording(connection, project, numbered.record.wording)
    return 0


def _contact_fates(
    connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]
) -> list[Fate | PushkeepError]:
    names = [record.external_id for record in records_of(run, PortableContact)]
    known = find_contacts(connection, project, names)
    return [Fate.KNOWN if name in known else Fate.NEW for name in names]


def _write_contacts(connection: Connection, vault: Vault, project: Project, run: Sequence[Numbered]) -> int:
    records = records_of(run, PortableContact)
    rows = [
        {"project_id": project.id, "external_id": record.external_id, "created_at": record.created_at}
        for record in records
    ]
    connection.execute(insert(contacts), rows)
    numbers = find_contacts(connection, project, [record.external_id for record in records if record.tags])
    for record in records:
        if record.tags:
            add_tags(connection, project, numbers[record.external_id], record.tags)
    return 0


_FATES: Mapping[type[MovedRecord], FateOf] = {
    PortableProject: _project_fates,
    PortableApiKey: _api_key_fates,
    PortableSigningKey: _signing_key_fates,
    PortablePurpose: _purpose_fates,
    PortableWording: _wording_fates,
    PortableContact: _contact_fates,
    PortableSubscription: portable_subscription_units.fates,
    PortableLife: portable_subscription_units.life_fates,
    PortableSuccession: portable_subscription_units.succession_fates,
    PortableConsent: portable_consent_units.fates,
    PortableConsentState: portable_consent_units.state_fates,
    PortableSeal: portable_consent_units.seal_fates,
}
_WRITERS: Mapping[type[MovedRecord], Writer] = {
    PortableProject: _write_project,
    PortableApiKey: _write_api_keys,
    PortableSigningKey: _write_signing_keys,
    PortablePurpose: _write_purposes,
    PortableWording: _write_wordings,
    PortableContact: _write_contacts,
    PortableSubscription: portable_subscription_units.write,
    PortableLife: portable_subscription_units.write_lives,
    PortableSuccession: portable_subscription_units.write_successions,
    PortableConsent: portable_consent_units.write,
    PortableConsentState: portable_consent_units.write_states,
    PortableSeal: portable_consent_units.write_seals,
}
KINDS = frozenset(_WRITERS)
"""What is known here."""
