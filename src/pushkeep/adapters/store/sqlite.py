"""The store on SQLite: one writer thread, a few readers, one file."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from pushkeep.adapters.store import files, project_units, subscription_units
from pushkeep.adapters.store.migrate import check_migrated, migrate
from pushkeep.adapters.store.sealing import (
    LOOKUP_KEY_BYTES,
    SealBroken,
    Sealer,
    Vault,
    open_lookup_key,
    seal_lookup_key,
)
from pushkeep.adapters.store.tables import installation
from pushkeep.adapters.store.writer import Writer, unavailable
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import NewProject, Project, ProjectSigningKey
from pushkeep.domain.registration import Registration
from pushkeep.domain.subscription import EndReason, Recipient, State, SubscriptionRecord
from pushkeep.errors import ConfigurationError, Unavailable
from pushkeep.ports import Clock, Entropy, ProjectSecrets, ResultUpdate, StoredRegistration

T = TypeVar("T")

BUSY_TIMEOUT_MILLISECONDS = 10_000
"""How long a write waits for another process's; its transactions take milliseconds."""

WAL_PAGES_MAX = 1000
"""4 MB: readers search the WAL, so it is folded into the database often."""

JOURNAL_BYTES_MAX = 64 * 1024 * 1024
"""What is kept of a WAL that a long read let grow."""

READERS = 2
"""Reads take a fraction of a millisecond and hold Python's lock for most of it: more threads read no faster."""

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # what was accepted survives a power failure
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # erased is overwritten
    "PRAGMA temp_store = MEMORY",
    "PRAGMA trusted_schema = OFF",
    f"PRAGMA wal_autocheckpoint = {WAL_PAGES_MAX}",
    f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}",
)
_READING_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA temp_store = MEMORY", "PRAGMA trusted_schema = OFF")


class SqliteStore:
    """:class:`pushkeep.ports.Store` on a SQLite database; made by :func:`open_store`.

    Args:
        writing: begins with ``BEGIN IMMEDIATE``.
        reading: begins with ``BEGIN`` and cannot write; None for a database in memory, which has one connection.
        vault: seals and hashes.
    """

    def __init__(self, writing: Engine, reading: Engine | None, vault: Vault) -> None:
        self._writing = writing
        self._reading = reading
        self._vault = vault
        self._keys: project_units.KeyCache = {}
        self.writer = Writer(writing)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="pushkeep-reader")
        self._closed = False

    async def _read(self, unit: Callable[[Connection], T]) -> T:
        reading = self._reading
        if reading is None:
            return await self.writer.run(unit)
        if self._closed:
            raise Unavailable("The database is closed: the server is stopping.")
        return await asyncio.get_running_loop().run_in_executor(self._readers, _read_once, reading, unit)

    async def check(self) -> None:
        """See the port."""
        await self._read(lambda connection: connection.execute(select(installation.c.id)).scalar_one())

    async def aclose(self) -> None:
        """See the port."""
        self._closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.writer.close()
        self._readers.shutdown(wait=True)
        if self._reading is not None:
            self._reading.dispose()
        self._writing.dispose()

    async def ensure_project(self, new: NewProject) -> Project:
        """See the port."""
        return await self.writer.run(partial(project_units.ensure_project, vault=self._vault, new=new))

    async def default_project(self) -> Project | None:
        """See the port."""
        return await self._read(project_units.default_project)

    async def project_by_publishable_key(self, key: str) -> Project | None:
        """See the port."""
        return await self._read(partial(project_units.project_by_publishable_key, key=key))

    async def add_api_key(self, project: Project, *, key_id: str, digest: bytes, label: str, now: float) -> None:
        """See the port."""
        await self.writer.run(
            partial(
                project_units.add_api_key,
                project=project,
                key_id=key_id,
                digest=digest,
                label=label,
                now=now,
            )
        )

    async def api_key_digest(self, key_id: str) -> tuple[Project, bytes] | None:
        """See the port."""
        return await self._read(partial(project_units.api_key_digest, key_id=key_id))

    async def signing_keys(self, project: Project) -> tuple[ProjectSigningKey, ...]:
        """See the port."""
        return await self._read(
            partial(project_units.load_signing_keys, vault=self._vault, cache=self._keys, project=project)
        )

    async def project_secrets(self, project: Project) -> ProjectSecrets:
        """See the port."""
        return await self._read(partial(project_units.project_secrets, vault=self._vault, project=project))

    async def register(self, project: Project, registration: Registration) -> StoredRegistration:
        """See the port. Pages re-sync on every load: what changes nothing never waits for the write lock."""
        unchanged = await self._read(
            partial(
                subscription_units.existing_registration,
                vault=self._vault,
                project=project,
                registration=registration,
            )
        )
        if unchanged is not None:
            return unchanged
        return await self.writer.run(
            partial(subscription_units.register, vault=self._vault, project=project, registration=registration)
        )

    async def find_subscription(self, project: Project, any_id: AnyId) -> SubscriptionRecord | None:
        """See the port."""
        return await self._read(partial(subscription_units.find, project=project, any_id=any_id))

    async def list_subscriptions(
        self, project: Project, *, state: State | None, limit: int, after: int
    ) -> tuple[SubscriptionRecord, ...]:
        """See the port."""
        return await self._read(
            partial(subscription_units.page, project=project, state=state, limit=limit, after=after)
        )

    async def recipients_of_all(self, project: Project, *, limit: int, after: int) -> tuple[Recipient, ...]:
        """See the port."""
        return await self._read(
            partial(
                subscription_units.recipients_of_all,
                vault=self._vault,
                project=project,
                limit=limit,
                after=after,
            )
        )

    async def recipients_by_contact(
        self, project: Project, external_ids: Sequence[str], *, limit: int
    ) -> tuple[Recipient, ...]:
        """See the port."""
        return await self._read(
            partial(
                subscription_units.recipients_by_contact,
                vault=self._vault,
                project=project,
                external_ids=external_ids,
                limit=limit,
            )
        )

    async def recipients_by_id(self, project: Project, ids: Sequence[AnyId]) -> tuple[Recipient, ...]:
        """See the port."""
        return await self._read(
            partial(subscription_units.recipients_by_id, vault=self._vault, project=project, ids=ids)
        )

    async def end_subscription(self, project: Project, any_id: AnyId, reason: EndReason) -> SubscriptionRecord | None:
        """See the port."""
        return await self.writer.run(partial(subscription_units.end, project=project, any_id=any_id, reason=reason))

    async def active_by_signing_key(self, project: Project) -> Mapping[int, int]:
        """See the port."""
        return await self._read(partial(subscription_units.active_by_signing_key, project=project))

    async def apply_results(self, project: Project, updates: Sequence[ResultUpdate], *, now: float) -> frozenset[int]:
        """See the port."""
        return await self.writer.run(
            partial(subscription_units.apply_results, project=project, updates=updates, now=now)
        )


async def open_store(database_path: Path | None, master_key: bytes, *, clock: Clock, entropy: Entropy) -> SqliteStore:
    """Open a database, create it where there is none, and bring it to this version's schema.

    Args:
        database_path: the file; None for a database in memory that ends with the store.
        master_key: 32 octets that seal every secret in it. A database opens only with the key it was made with.
        clock: stamps a new database.
        entropy: draws the lookup key and nonces.

    Raises:
        ConfigurationError: the master key is not the database's, the file cannot be written or is no database, or
            a newer Pushkeep wrote it.
        Unavailable: another process holds it for over a minute.
    """
    sealer = Sealer(master_key, entropy.token_bytes)
    return await asyncio.to_thread(_open, database_path, sealer, clock.now(), entropy)


async def open_store_to_read(database_path: Path, master_key: bytes, *, entropy: Entropy) -> SqliteStore:
    """Open a database that is there, to look at it: nothing is created, migrated or written, and no write succeeds.

    Raises:
        MigrationPending: its schema is older than this version's.
        ConfigurationError: as :func:`open_store` does.
        Unavailable: it cannot be read at the moment.
    """
    return await asyncio.to_thread(_open_to_read, database_path, Sealer(master_key, entropy.token_bytes))


def _open_to_read(path: Path, sealer: Sealer) -> SqliteStore:
    # With mode=rw SQLite creates no database; it must still be allowed to write, as even readers of a WAL lock it.
    engine = _engine(f"{path.absolute().as_uri()}?mode=rw", "BEGIN", 1, _READING_PRAGMAS)

    def look(connection: Connection) -> bytes:
        check_migrated(connection)
        return _stored_lookup_key(connection, sealer) or b""

    try:
        return SqliteStore(engine, None, Vault(sealer, _prepared(engine, look)))
    except BaseException:
        engine.dispose()
        raise


def _open(path: Path | None, sealer: Sealer, now: float, entropy: Entropy) -> SqliteStore:
    if path is None:
        writing = _engine(":memory:", "BEGIN IMMEDIATE", 1)
        return SqliteStore(writing, None, _make_ready(writing, sealer, now, entropy))
    path = path.absolute()
    files.prepare(path)
    writing = _engine(str(path), "BEGIN IMMEDIATE", 1)
    try:
        with files.opening_lock(path):
            vault = _make_ready(writing, sealer, now, entropy)
    except BaseException:
        writing.dispose()
        raise
    reading = _engine(str(path), "BEGIN", READERS, (*_PRAGMAS, "PRAGMA query_only = ON"))
    return SqliteStore(writing, reading, vault)


def _make_ready(engine: Engine, sealer: Sealer, now: float, entropy: Entropy) -> Vault:
    def prepare(connection: Connection) -> bytes:
        migrate(connection)
        return _stored_lookup_key(connection, sealer) or _new_lookup_key(connection, sealer, now, entropy)

    return Vault(sealer, _prepared(engine, prepare))


def _prepared(engine: Engine, prepare: Callable[[Connection], T]) -> T:
    try:
        with engine.begin() as connection:
            return prepare(connection)
    except DBAPIError as error:
        trouble = unavailable(error)
        if isinstance(error.orig, sqlite3.OperationalError):
            raise trouble from None
        raise ConfigurationError(trouble.message, field="database_path") from None


def _new_lookup_key(connection: Connection, sealer: Sealer, now: float, entropy: Entropy) -> bytes:
    lookup_key = entropy.token_bytes(LOOKUP_KEY_BYTES)
    connection.execute(
        insert(installation).values(
            id=1,
            master_key_id=sealer.key_id,
            lookup_key=seal_lookup_key(sealer, lookup_key),
            created_at=now,
        )
    )
    return lookup_key


def _stored_lookup_key(connection: Connection, sealer: Sealer) -> bytes | None:
    """The key that is there; None in a database that was just made."""
    row = connection.execute(select(installation.c.master_key_id, installation.c.lookup_key)).one_or_none()
    if row is None:
        return None
    try:
        return open_lookup_key(sealer, row.lookup_key)
    except SealBroken:
        raise ConfigurationError(
            f"The master key (id {sealer.key_id.hex()}) is not the one this database was made with "
            f"(id {row.master_key_id.hex()}); give the right one, or another database.",
            field="master_key",
        ) from None


def _engine(name: str, begin: str, connections: int, pragmas: Sequence[str] = _PRAGMAS) -> Engine:
    def connect() -> sqlite3.Connection:
        # isolation_level None turns the driver's own begin off: it would begin deferred, and a transaction that reads
        # before it writes then fails at once when another process wrote in between.
        connection = sqlite3.connect(
            name,
            isolation_level=None,
            check_same_thread=False,
            uri=True,
            timeout=BUSY_TIMEOUT_MILLISECONDS / 1000,
        )
        with contextlib.closing(connection.cursor()) as cursor:
            for pragma in pragmas:
                cursor.execute(pragma)
        return connection

    if connections == 1:
        engine = create_engine("sqlite://", creator=connect, poolclass=StaticPool)
    else:
        engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=connections, max_overflow=0)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _read_once(engine: Engine, unit: Callable[[Connection], T]) -> T:
    try:
        with engine.begin() as connection:
            return unit(connection)
    except DBAPIError as error:
        raise unavailable(error) from None
