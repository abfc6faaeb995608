"""Opening what the use cases need: store, transport, clock and chance, and the installation's project."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from pushkeep.adapters.clock import SystemClock, SystemEntropy, SystemSleeper
from pushkeep.adapters.erasure_file import ErasureFile
from pushkeep.adapters.http2 import CurlTransport, TransportLimits
from pushkeep.adapters.store.sqlite import open_store, open_store_to_read
from pushkeep.app.context import Services
from pushkeep.app.projects import ensure_default_project
from pushkeep.compose.master_key import master_key_of, present_master_key
from pushkeep.config import Settings
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.identity_keys import IdentityRules, VerifyingKey, read_verifying_keys
from pushkeep.domain.project import Project
from pushkeep.errors import ConfigurationError, InvalidInput
from pushkeep.ports import Store, Transport
from pushkeep.protocol.token_cache import TokenCache

IDENTITY_KEYS_BYTES_MAX = 65_536
"""Sixteen RSA keys with certificates around them are less."""

CLOSE_SECONDS_MAX = 0.5
"""For a last answer that is on its way already."""


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open everything the use cases need, in the running event loop, and close it on leaving.

    Raises:
        ConfigurationError: the master key, the database or the file of identity keys cannot be opened.
        Unavailable: another process holds the database.
    """
    clock, entropy = SystemClock(), SystemEntropy()
    async with AsyncExitStack() as stack:
        master_key = await asyncio.to_thread(master_key_of, settings, entropy.token_bytes)
        identity_keys = await asyncio.to_thread(_identity_keys, settings.identity_keys_file)
        store = await open_store(
            settings.database,
            master_key,
            clock=clock,
            entropy=entropy,
            lease_seconds=settings.lease_seconds,
            read_again=partial(present_master_key, settings),
        )
        stack.push_async_callback(store.aclose)
        transport = CurlTransport(
            origin_map=settings.origin_map,
            limits=TransportLimits(
                connect_seconds_max=settings.push_connect_seconds_max,
                total_seconds_max=settings.push_answer_seconds_max,
                in_flight_max=settings.in_flight_max,
            ),
            proxy=settings.push_proxy,
        )
        stack.push_async_callback(_close, transport)
        yield Services(
            store=store,
            transport=transport,
            clock=clock,
            entropy=entropy,
            sleeper=SystemSleeper(),
            tokens=TokenCache(),
            policy=EndpointPolicy(settings.origin_map, settings.allowed_origins),
            identity_rules=IdentityRules(identity_keys, settings.identity_audience),
            erasures=ErasureFile(settings.erasure_list),
            contact_subscriptions_max=settings.contact_subscriptions_max,
        )


async def _close(transport: Transport) -> None:
    """Close it; whoever sent what is in flight still has waited for it as long as it may, and has given it up."""
    closing = asyncio.create_task(transport.aclose())
    await asyncio.wait({closing}, timeout=CLOSE_SECONDS_MAX)
    closing.cancel()
    await asyncio.gather(closing, return_exceptions=True)


async def ensure_project(services: Services, settings: Settings) -> Project:
    """The installation's project, as the settings want it; a contact that is not set stays as it was.

    Raises:
        ConfigurationError: there is no contact, neither set nor stored.
    """
    stored = await services.store.default_project() if settings.contact is None else None
    contact = stored.contact if stored else settings.contact
    if contact is None:
        raise ConfigurationError(
            "contact is not set. Push services want to know whom to write to: set PUSHKEEP_CONTACT to "
            "mailto:you@your-domain.org or https://your-domain.org/contact.",
            field="contact",
        )
    return await ensure_default_project(
        services,
        name=settings.project_name,
        site_url=settings.site_url.url,
        contact=contact,
        site_origins=settings.site_origins,
    )


@asynccontextmanager
async def open_project(settings: Settings) -> AsyncIterator[tuple[Services, Project]]:
    """Services and project together, for a command that needs them for a moment.

    The project is taken as it is stored: a command beside a running server must not change what that server was told
    on its own command line. Only before the first start it is created, as :func:`ensure_project` does.

    Raises:
        ConfigurationError: as for :func:`open_services` and :func:`ensure_project`.
    """
    async with open_services(settings) as services:
        yield services, await services.store.default_project() or await ensure_project(services, settings)


@asynccontextmanager
async def open_project_to_read(settings: Settings) -> AsyncIterator[tuple[Store, Project]]:
    """What is stored, to look at it: nothing is created, migrated or written.

    Raises:
        MigrationPending: the database has an older schema.
        ConfigurationError: the master key or the database cannot be opened, or no server has run with it yet.
        Unavailable: it cannot be read at the moment.
    """
    master_key = await asyncio.to_thread(present_master_key, settings)
    store = await open_store_to_read(settings.database, master_key, clock=SystemClock(), entropy=SystemEntropy())
    try:
        project = await store.default_project()
        if project is None:
            raise ConfigurationError("Nothing is stored yet: start `pushkeep serve` once.", field="database_path")
        yield store, project
    finally:
        await store.aclose()


def _identity_keys(path: Path | None) -> tuple[VerifyingKey, ...]:
    if path is None:
        return ()
    try:
        with path.open("rb") as file:
            content = file.read(IDENTITY_KEYS_BYTES_MAX + 1)
        if len(content) > IDENTITY_KEYS_BYTES_MAX:
            raise InvalidInput(f"{path} is over {IDENTITY_KEYS_BYTES_MAX} octets; it is no file of keys.")
        return read_verifying_keys(content.decode(), field=str(path))
    except OSError as error:
        reason = f"{path} cannot be read: {error.strerror}. Check its owner and mode."
    except UnicodeDecodeError:
        reason = f"{path} must be text: public keys in PEM, or a JSON Web Key Set."
    except InvalidInput as error:
        reason = error.message
    raise ConfigurationError(reason, field="identity_keys_file")
