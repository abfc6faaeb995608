"""Backup and restore: a copy while everything runs, a look at a copy, and a copy in the database's place.

A backup is looked at before it gets its name, and a restored one before it takes the present database's place: whatever
goes wrong in between, at whichever moment, the database that was there is there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.adapters.store.backup_check import DatabaseFacts, check_database
from pushkeep.adapters.store.backup_copy import Show, copied, exists, missing, name_it
from pushkeep.adapters.store.exchange import exchange, nobody_has_it_open
from pushkeep.adapters.store.files import opening_lock
from pushkeep.adapters.store.sealing import Sealer
from pushkeep.adapters.store.sqlite import open_store
from pushkeep.compose.master_key import present_master_key
from pushkeep.config import Settings

T = TypeVar("T")

UNIQUE_BYTES = 8
"""Of a temporary name."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made, or looked at.

    Attributes:
        path: where it is.
        facts: what is in it.
        seconds: how long it took.
    """

    path: Path
    facts: DatabaseFacts
    seconds: float


@dataclass(frozen=True, slots=True)
class Restored:
    """A restore that is done.

    Attributes:
        database: the file.
        facts: what is in it now.
        aside: where the database is that was there before; None where there was none.
        seconds: how long it took.
    """

    database: Path
    facts: DatabaseFacts
    aside: Path | None
    seconds: float


async def make_backup(settings: Settings, target: Path, show: Show) -> Backup:
    """Copy the database as it is at one moment, while others use it, and look at all of the copy.

    Raises:
        ConfigurationError: there is no database, or the master key is not there or not the database's.
        InvalidInput: ``target`` exists or cannot be written, or the database is damaged.
        Unavailable: the database cannot be read at the moment, or the disk is full.
    """
    began = SystemClock().monotonic()

    def make() -> DatabaseFacts:
        if not settings.database.exists():
            raise missing(settings.database)
        if target.exists():
            raise exists(target)
        master = _master(settings)
        with copied(settings.database, target, _unique(), show, field="database_path") as copy:
            facts = check_database(copy, master, SystemEntropy(), show)
            name_it(copy, target)
        return facts

    facts = await asyncio.to_thread(make)
    return Backup(target, facts, SystemClock().monotonic() - began)


async def verify_backup(settings: Settings, path: Path, show: Show) -> Backup:
    """Look at all of a backup; neither it nor anything else is changed.

    Raises:
        InvalidInput: it is no backup, or damaged.
        ConfigurationError: the master key is not there or not the backup's, or a newer Pushkeep made it.
        MigrationPending: an older Pushkeep made it.
    """
    began = SystemClock().monotonic()
    facts = await asyncio.to_thread(lambda: check_database(path, _master(settings), SystemEntropy(), show))
    return Backup(path, facts, SystemClock().monotonic() - began)


async def restore_backup(settings: Settings, source: Path, show: Show) -> Restored:
    """Put a backup into the database's place; the present one is kept beside it under another name.

    Raises:
        Conflict: a process has the database open.
        InvalidInput, ConfigurationError: as for :func:`verify_backup`. Nothing has changed then.
        Unavailable: the disk is full, or another process is just preparing the database.
    """
    clock = SystemClock()
    began = clock.monotonic()
    database = settings.database.absolute()
    master = await asyncio.to_thread(_master, settings)
    async with _in_thread(_alone(database)) as aside, _in_thread(copied(source, database, _unique(), show)) as copy:
        # Once as a store, which brings an older schema up to date, and carries out what was erased since.
        store = await open_store(copy, master.key, clock=clock, entropy=SystemEntropy())
        await store.aclose()
        facts = await asyncio.to_thread(check_database, copy, master, SystemEntropy(), show)
        await asyncio.to_thread(exchange, copy, database, aside)
    return Restored(database, facts, aside, clock.monotonic() - began)


@contextlib.contextmanager
def _alone(database: Path) -> Iterator[Path | None]:
    """Keep everybody else from the database; where it is to be kept, None if there is none."""
    database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with opening_lock(database), contextlib.ExitStack() as stack:
        aside = None
        if database.exists():
            stack.enter_context(nobody_has_it_open(database))
            now = datetime.fromtimestamp(SystemClock().now(), UTC)
            aside = database.with_name(f"{database.name}.before-restore-{now:%Y%m%dT%H%M%SZ}-{_unique()[:4]}")
        yield aside


@contextlib.asynccontextmanager
async def _in_thread(context: contextlib.AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave something that waits for the disk."""
    entered = await asyncio.to_thread(context.__enter__)
    try:
        yield entered
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


def _master(settings: Settings) -> Sealer:
    return Sealer(present_master_key(settings), SystemEntropy().token_bytes)


def _unique() -> str:
    return SystemEntropy().token_bytes(UNIQUE_BYTES).hex()
