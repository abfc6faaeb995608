"""The store on SQLite: one writer thread, a few readers, one file."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from pushkeep.adapters.store import files
from pushkeep.adapters.store.base import READERS, Ground
from pushkeep.adapters.store.consent_methods import ConsentMethods
from pushkeep.adapters.store.contact_methods import ContactMethods
from pushkeep.adapters.store.export_methods import ExportMethods
from pushkeep.adapters.store.fence import Fence
from pushkeep.adapters.store.import_methods import ImportMethods
from pushkeep.adapters.store.inline_writer import InlineWriter
from pushkeep.adapters.store.key_methods import KeyMethods
from pushkeep.adapters.store.keyring_units import load_ring, make_keys
from pushkeep.adapters.store.lane_methods import LaneMethods
from pushkeep.adapters.store.lifecycle_methods import LifecycleMethods
from pushkeep.adapters.store.migrate import check_migrated, migrate
from pushkeep.adapters.store.notification_methods import NotificationMethods
from pushkeep.adapters.store.privacy_methods import PrivacyMethods
from pushkeep.adapters.store.project_methods import ProjectMethods
from pushkeep.adapters.store.receipt_methods import ReceiptMethods
from pushkeep.adapters.store.sealing import KeyRing, Sealer, Vault
from pushkeep.adapters.store.secret_methods import SecretMethods
from pushkeep.adapters.store.shard_methods import ShardMethods
from pushkeep.adapters.store.subscription_methods import SubscriptionMethods
from pushkeep.adapters.store.sweep_methods import SweepMethods
from pushkeep.adapters.store.tables import installation
from pushkeep.adapters.store.wakeups import SqliteWakeups
from pushkeep.adapters.store.writer import Writer, unavailable
from pushkeep.domain.shard import LEASE_SECONDS
from pushkeep.errors import ConfigurationError
from pushkeep.ports import Clock, Entropy

T = TypeVar("T")

BUSY_TIMEOUT_MILLISECONDS = 10_000
"""How long a write waits for another process's; its transactions take milliseconds."""

WAL_PAGES_MAX = 1000
"""4 MB: readers search the WAL, so it is folded into the database often."""

JOURNAL_BYTES_MAX = 64 * 1024 * 1024
"""What is kept of a WAL that a long read let grow."""

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


class SqliteStore(
    ProjectMethods,
    KeyMethods,
    SubscriptionMethods,
    LifecycleMethods,
    ContactMethods,
    ConsentMethods,
    NotificationMethods,
    ShardMethods,
    LaneMethods,
    ReceiptMethods,
    PrivacyMethods,
    SweepMethods,
    ImportMethods,
    ExportMethods,
    SecretMethods,
):
    """:class:`pushkeep.ports.Store` on a SQLite database; made by :func:`open_store`."""

    async def check(self) -> None:
        """See the port."""
        await self._read(lambda connection: connection.execute(select(installation.c.id)).scalar_one())

    def wakeups(self) -> SqliteWakeups:
        """What hears of changes from now on; for one worker. It ends with the store."""
        made = SqliteWakeups(self._path, self.writer.listeners)
        self._ends_with_it.append(made.close)
        return made


async def open_store(
    database_path: Path | None,
    master_key: bytes,
    *,
    clock: Clock,
    entropy: Entropy,
    lease_seconds: float = LEASE_SECONDS,
    read_again: Callable[[], bytes] | None = None,
) -> SqliteStore:
    """Open a database, create it where there is none, and bring it to this version's schema.

    Args:
        database_path: the file; None for a database in memory that ends with the store.
        master_key: 32 octets that seal the keys of every secret in it. A database opens only with its own master key.
        clock: stamps a new database.
        entropy: draws keys and nonces.
        lease_seconds: how long a shard is lent to a worker; alike in every process that opens this database.
        read_again: reads the master key where it comes from, should it have been exchanged when other keys change;
            None where only a restart brings another one.

    Raises:
        ConfigurationError: the master key is not the database's, the file cannot be written or is no database, or
            a newer Pushkeep wrote it.
        Unavailable: another process holds it for over a minute.
    """
    sealer = Sealer(master_key, entropy.token_bytes)
    return await asyncio.to_thread(
        _open, database_path, sealer, clock, entropy, lease_seconds=lease_seconds, read_again=read_again
    )


async def open_store_to_read(database_path: Path, master_key: bytes, *, clock: Clock, entropy: Entropy) -> SqliteStore:
    """Open a database that is there, to look at it: nothing is created, migrated or written, and no write succeeds.

    Raises:
        MigrationPending: its schema is older than this version's.
        ConfigurationError: as :func:`open_store` does.
        Unavailable: it cannot be read at the moment.
    """
    sealer = Sealer(master_key, entropy.token_bytes)
    return await asyncio.to_thread(_open_to_read, database_path, sealer, clock, entropy)


def open_store_inline(
    database_path: Path | None,
    master_key: bytes,
    *,
    clock: Clock,
    entropy: Entropy,
    lease_seconds: float = LEASE_SECONDS,
) -> SqliteStore:
    """Open a database as :func:`open_store` does, for a simulation: it has no threads.

    Raises:
        ConfigurationError, Unavailable: as :func:`open_store` does.
    """
    sealer = Sealer(master_key, entropy.token_bytes)
    return _open(database_path, sealer, clock, entropy, inline=True, lease_seconds=lease_seconds)


def _open_to_read(path: Path, sealer: Sealer, clock: Clock, entropy: Entropy) -> SqliteStore:
    # With mode=rw SQLite creates no database; it must still be allowed to write, as even readers of a WAL lock it.
    engine = _engine(f"{path.absolute().as_uri()}?mode=rw", "BEGIN", 1, _READING_PRAGMAS)

    def look(connection: Connection) -> KeyRing:
        check_migrated(connection)
        return load_ring(connection, sealer, entropy.token_bytes)

    try:
        fence = Fence(Vault(_prepared(engine, look)), sealer, entropy.token_bytes, clock.monotonic)
        fence.guard(engine, "BEGIN")
        return SqliteStore(Ground(engine, None, Writer(engine), fence, clock))
    except BaseException:
        engine.dispose()
        raise


def _open(
    path: Path | None,
    sealer: Sealer,
    clock: Clock,
    entropy: Entropy,
    *,
    lease_seconds: float,
    inline: bool = False,
    read_again: Callable[[], bytes] | None = None,
) -> SqliteStore:
    if path is None:
        writing = _engine(":memory:", "BEGIN IMMEDIATE", 1)
        fence = _make_ready(writing, sealer, clock, entropy, read_again)
        writer = InlineWriter(writing) if inline else Writer(writing)
        return SqliteStore(Ground(writing, None, writer, fence, clock, None, lease_seconds))
    path = path.absolute()
    files.prepare(path)
    writing = _engine(str(path), "BEGIN IMMEDIATE", 1)
    try:
        with files.opening_lock(path):
            fence = _make_ready(writing, sealer, clock, entropy, read_again)
    except BaseException:
        writing.dispose()
        raise
    if inline:
        return SqliteStore(Ground(writing, None, InlineWriter(writing), fence, clock, path, lease_seconds))
    reading = _engine(str(path), "BEGIN", READERS, (*_PRAGMAS, "PRAGMA query_only = ON"))
    fence.guard(reading, "BEGIN")
    return SqliteStore(Ground(writing, reading, Writer(writing), fence, clock, path, lease_seconds))


def _make_ready(
    engine: Engine, sealer: Sealer, clock: Clock, entropy: Entropy, read_again: Callable[[], bytes] | None
) -> Fence:
    def prepare(connection: Connection) -> KeyRing:
        migrate(connection)
        make_keys(connection, sealer, entropy.token_bytes, clock.now())
        return load_ring(connection, sealer, entropy.token_bytes)

    fence = Fence(Vault(_prepared(engine, prepare)), sealer, entropy.token_bytes, clock.monotonic, read_again)
    fence.guard(engine, "BEGIN IMMEDIATE")
    return fence


def _prepared(engine: Engine, prepare: Callable[[Connection], T]) -> T:
    try:
        with engine.begin() as connection:
            return prepare(connection)
    except DBAPIError as error:
        trouble = unavailable(error)
        if isinstance(error.orig, sqlite3.OperationalError):
            raise trouble from None
        raise ConfigurationError(trouble.message, field="database_path") from None


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
