"""Units of work on projects and their keys: plain functions on a connection that is in a transaction.

They are written for every dialect. SQLite runs them on its writer thread; an asynchronous driver can run the same
functions through SQLAlchemy's ``run_sync``.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from pushkeep.adapters.store.rows import project_from, select_projects, uuid_of, write_origins
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.tables import api_keys, projects, signing_keys
from pushkeep.domain.project import SIGNING, ApiKeyRecord, KeyState, NewProject, Project, ProjectSigningKey
from pushkeep.errors import Conflict
from pushkeep.ports import ProjectSecrets
from pushkeep.protocol.signing_key import SigningKey

KeyCache = dict[int, dict[int, SigningKey]]
"""Signing keys by project and row id, of those that sign. A row's key never changes, so it is unsealed and parsed once;
which rows sign is read from the database each time."""


# Asked for with every registration and notification, and so built once.
_SIGNING_KEYS = (
    select(
        signing_keys.c.id,
        signing_keys.c.key_id,
        signing_keys.c.private_key,
        signing_keys.c.state,
        signing_keys.c.created_at,
        signing_keys.c.activated_at,
        signing_keys.c.retiring_at,
        signing_keys.c.leaked_at,
    )
    .where(signing_keys.c.project_id == bindparam("project_id"), signing_keys.c.state.in_([*SIGNING]))
    .order_by(signing_keys.c.id.desc())
)
_SECRETS = select(projects.c.identity_secret, projects.c.sync_secret).where(projects.c.id == bindparam("project_id"))
_BY_PUBLISHABLE_KEY = select_projects().where(projects.c.publishable_key == bindparam("key"))


def ensure_project(connection: Connection, vault: Vault, new: NewProject) -> Project:
    """See :meth:`pushkeep.ports.ProjectStore.ensure_project`."""
    found = default_project(connection)
    if found is None:
        return _create_project(connection, vault, new)
    wanted = replace(found, name=new.name, site_url=new.site_url, contact=new.contact, site_origins=new.site_origins)
    if wanted != found:
        connection.execute(update(projects).where(projects.c.id == found.id).values(**_settings(new)))
    return wanted


def _settings(new: NewProject) -> dict[str, object]:
    return {
        "name": new.name,
        "site_url": new.site_url,
        "contact": new.contact,
        "site_origins": write_origins(new.site_origins),
    }


def _create_project(connection: Connection, vault: Vault, new: NewProject) -> Project:
    project_id = connection.execute(
        insert(projects)
        .values(
            public_id=uuid_of(new.public_id),
            **_settings(new),
            publishable_key=new.publishable_key,
            identity_secret=vault.seal_secret(new.public_id, "identity", new.identity_secret),
            sync_secret=vault.seal_secret(new.public_id, "sync", new.sync_secret),
            created_at=new.created_at,
        )
        .returning(projects.c.id)
    ).scalar_one()
    key = new.signing_key
    connection.execute(
        insert(signing_keys).values(
            project_id=project_id,
            key_id=key.key_id,
            public_key=key.public_bytes,
            private_key=vault.seal_secret(new.public_id, key_seal_name(key.key_id), key.to_pem().encode()),
            state=KeyState.ACTIVE.value,
            created_at=new.created_at,
            activated_at=new.created_at,
        )
    )
    return Project(
        project_id,
        new.public_id,
        new.name,
        new.site_url,
        new.publishable_key,
        new.contact,
        new.site_origins,
    )


def default_project(connection: Connection) -> Project | None:
    """See :meth:`pushkeep.ports.ProjectStore.default_project`."""
    row = connection.execute(select_projects().order_by(projects.c.id).limit(1)).one_or_none()
    return None if row is None else project_from(row)


def project_by_id(connection: Connection, id: int) -> Project | None:
    """See :meth:`pushkeep.ports.ProjectStore.project_by_id`."""
    row = connection.execute(select_projects().where(projects.c.id == id)).one_or_none()
    return None if row is None else project_from(row)


def project_by_publishable_key(connection: Connection, key: str) -> Project | None:
    """See :meth:`pushkeep.ports.ProjectStore.project_by_publishable_key`."""
    row = connection.execute(_BY_PUBLISHABLE_KEY, {"key": key}).one_or_none()
    return None if row is None else project_from(row)


def add_api_key(
    connection: Connection, project: Project, *, key_id: str, digest: bytes, label: str, now: float
) -> None:
    """See :meth:`pushkeep.ports.ProjectStore.add_api_key`."""
    if connection.execute(select(api_keys.c.id).where(api_keys.c.key_id == key_id)).first() is not None:
        raise Conflict("An API key with this id exists.")
    connection.execute(
        insert(api_keys).values(project_id=project.id, key_id=key_id, digest=digest, label=label, created_at=now)
    )


def api_key_digest(connection: Connection, key_id: str) -> tuple[Project, bytes] | None:
    """See :meth:`pushkeep.ports.ProjectStore.api_key_digest`."""
    row = connection.execute(
        select_projects()
        .add_columns(api_keys.c.digest)
        .join(api_keys, api_keys.c.project_id == projects.c.id)
        .where(api_keys.c.key_id == key_id)
    ).one_or_none()
    return None if row is None else (project_from(row), row.digest)


def list_api_keys(connection: Connection, project: Project) -> tuple[ApiKeyRecord, ...]:
    """See :meth:`pushkeep.ports.ProjectStore.list_api_keys`."""
    found = select(api_keys.c.key_id, api_keys.c.label, api_keys.c.created_at).where(
        api_keys.c.project_id == project.id
    )
    return tuple(ApiKeyRecord(*row) for row in connection.execute(found.order_by(api_keys.c.id)))


def revoke_api_key(connection: Connection, project: Project, key_id: str) -> bool:
    """See :meth:`pushkeep.ports.ProjectStore.revoke_api_key`."""
    named = (api_keys.c.project_id == project.id, api_keys.c.key_id == key_id)
    return connection.execute(delete(api_keys).where(*named)).rowcount == 1


def load_signing_keys(
    connection: Connection, vault: Vault, cache: KeyCache, project: Project
) -> tuple[ProjectSigningKey, ...]:
    """See :meth:`pushkeep.ports.ProjectStore.signing_keys`."""
    rows = connection.execute(_SIGNING_KEYS, {"project_id": project.id}).all()
    known = cache.get(project.id, {})
    signing: dict[int, SigningKey] = {}
    keys = []
    for row in rows:
        key = known.get(row.id)
        if key is None:
            pem = vault.open_secret(project.public_id, key_seal_name(row.key_id), row.private_key)
            key = SigningKey.from_pem(pem)
        signing[row.id] = key
        times = row.created_at, row.activated_at, row.retiring_at, row.leaked_at
        keys.append(ProjectSigningKey(row.id, key, KeyState(row.state), *times))
    cache[project.id] = signing  # a key that was retired does not stay in memory either
    return tuple(sorted(keys, key=lambda found: found.state is not KeyState.ACTIVE))


def project_secrets(connection: Connection, vault: Vault, project: Project) -> ProjectSecrets:
    """See :meth:`pushkeep.ports.ProjectStore.project_secrets`."""
    row = connection.execute(_SECRETS, {"project_id": project.id}).one()
    return ProjectSecrets(
        identity=vault.open_secret(project.public_id, "identity", row.identity_secret),
        sync=vault.open_secret(project.public_id, "sync", row.sync_secret),
    )


def key_seal_name(key_id: str) -> str:
    """The name under which a signing key's private half is sealed."""
    return f"signing key {key_id}"
