"""Projects and the keys that open them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pushkeep.app.context import Services
from pushkeep.domain.ids import UUID7_RANDOM_BYTES, uuid7
from pushkeep.domain.project import (
    API_KEY_ID_BYTES,
    API_KEY_SECRET_BYTES,
    PROJECT_SECRET_BYTES,
    PUBLISHABLE_KEY_BYTES,
    ApiKey,
    KeyState,
    NewProject,
    Project,
    ProjectSettings,
    ProjectSigningKey,
    check_label,
    publishable_key,
)
from pushkeep.errors import ConfigurationError, NotFound, Unauthorized
from pushkeep.protocol.signing_key import SigningKey

_NO_KEY_DIGEST = bytes(32)
"""Compared with when an API key's id is unknown, so that this takes as long as a wrong secret."""


async def ensure_default_project(
    services: Services, *, name: str, site_url: str, contact: str, site_origins: Collection[str] = ()
) -> Project:
    """Return the installation's project, created at the first start and kept to the given settings afterwards.

    Raises:
        InvalidInput: the name is empty, browsers would not call a site secure, or push services would refuse
            the contact.
    """
    settings = ProjectSettings.of(name=name, site_url=site_url, contact=contact, site_origins=site_origins)
    entropy, now = services.entropy, services.clock.now()
    return await services.store.ensure_project(
        NewProject(
            public_id=str(uuid7(now, entropy.token_bytes(UUID7_RANDOM_BYTES))),
            name=settings.name,
            site_url=settings.site_url,
            contact=settings.contact,
            publishable_key=publishable_key(entropy.token_bytes(PUBLISHABLE_KEY_BYTES)),
            signing_key=SigningKey(entropy.ephemeral_key()),
            identity_secret=entropy.token_bytes(PROJECT_SECRET_BYTES),
            sync_secret=entropy.token_bytes(PROJECT_SECRET_BYTES),
            created_at=now,
            site_origins=settings.site_origins,
        )
    )


async def project_by_publishable_key(services: Services, key: str) -> Project:
    """The project of a ``pk_…`` key, as it was a moment ago.

    Raises:
        NotFound: there is none.
    """
    known = await services.projects.find(key)
    if known is None:
        raise NotFound("No project has this publishable key (pk_…); copy it from the server's settings.")
    return known.project


async def create_api_key(services: Services, project: Project, label: str) -> str:
    """Make an API key and return it. It is stored as a digest only, so this is the one time it is seen.

    Raises:
        InvalidInput: the label is empty or too long.
    """
    key = ApiKey.make(services.entropy.token_bytes(API_KEY_ID_BYTES + API_KEY_SECRET_BYTES))
    await services.store.add_api_key(
        project, key_id=key.key_id, digest=key.digest, label=check_label(label), now=services.clock.now()
    )
    return key.text


async def revoke_api_key(services: Services, project: Project, key: str) -> str:
    """Take an API key's rights away, at once and for good.

    Args:
        key: its id, or the whole key.

    Returns:
        its id.

    Raises:
        NotFound: the project has no such key. Nothing of what was given is said again: it may be a whole key.
    """
    whole = ApiKey.parse(key)
    key_id = key if whole is None else whole.key_id
    if not await services.store.revoke_api_key(project, key_id):
        raise NotFound("There is no API key of this id; see which there are with: pushkeep api-keys list", field="key")
    return key_id


async def authenticate(services: Services, api_key: str) -> Project:
    """The project that an API key opens.

    Raises:
        Unauthorized: it opens none; nothing is said about why.
    """
    key = ApiKey.parse(api_key)
    found = await services.store.api_key_digest(key.key_id) if key is not None else None
    project, digest = found if found is not None else (None, _NO_KEY_DIGEST)
    if key is None or not key.matches(digest) or project is None:
        raise Unauthorized("The API key (sk_…) is not valid; create one and send it as Authorization: Bearer sk_….")
    return project


async def signing_keys(services: Services, project: Project) -> tuple[ProjectSigningKey, ...]:
    """The project's VAPID keys, the active one first."""
    return await services.store.signing_keys(project)


async def current_signing_key(services: Services, project: Project) -> SigningKey:
    """The key that new subscriptions are made with: ``applicationServerKey`` is its public half."""
    return (await active_signing_key(services, project)).key


async def active_signing_key(services: Services, project: Project) -> ProjectSigningKey:
    """The active signing key with what is recorded about it."""
    return active_of(await services.store.signing_keys(project))


def active_of(keys: Sequence[ProjectSigningKey]) -> ProjectSigningKey:
    """The active one of a project's keys.

    Raises:
        ConfigurationError: there is none; only a damaged database can be like this.
    """
    for key in keys:
        if key.state is KeyState.ACTIVE:
            return key
    raise ConfigurationError("The project has no active signing key; restore the database from a backup.")


async def identity_secret(services: Services, project: Project) -> bytes:
    """The secret with which the site's own server signs identity tokens; 32 octets."""
    return (await services.store.project_secrets(project)).identity
