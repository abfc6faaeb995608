"""Backup and restore: a copy while everything runs, a look at a copy, and a copy in the database's place.

A backup is looked at before it gets its name, and a restored one before it takes the present database's place: whatever
goes wrong in between, at whichever moment, the database that was there is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pushkeep.adapters.clock import SystemClock, SystemEntropy, unique_name
from pushkeep.adapters.master_key import read_master_key
from pushkeep.adapters.new_file import exists, name_it
from pushkeep.adapters.store.backup_check import DatabaseFacts, check_database, check_is_ours
from pushkeep.adapters.store.backup_copy import Show, copied, missing
from pushkeep.adapters.store.exchange import exchange, nobody_has_it_open
from pushkeep.adapters.store.files import opening_lock
from pushkeep.adapters.store.master_units import master_keys_of
from pushkeep.adapters.store.migrate import MigrationPending
from pushkeep.adapters.store.sealing import Sealer, master_key_id
from pushkeep.adapters.store.sqlite import SqliteStore, open_store
from pushkeep.app.erase import replay_erasures
from pushkeep.compose.master_key import present_master_key
from pushkeep.compose.services import open_services
from pushkeep.config import Settings
from pushkeep.errors import ConfigurationError
from pushkeep.ports.privacy import ErasedCounts

T = TypeVar("T")

_RESTORING = "restoring-"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made, or looked at.

    Attributes:
        path: where it is.
        facts: what is in it; None of one by an older Pushkeep, of which only the pages were looked at.
        seconds: how long it took.
    """

    path: Path
    facts: DatabaseFacts | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Restored:
    """A restore that is done.

    Attributes:
        database: the file.
        facts: what is in it now.
        aside: where the database is that was there before; None where there was none.
        erased: what was erased again: it was erased after the backup was made.
        list_is_short: whether the list of who was erased has fewer entries than the backup knows of.
        seconds: how long it took.
    """

    database: Path
    facts: DatabaseFacts
    aside: Path | None
    erased: ErasedCounts
    list_is_short: bool
    seconds: float


async def make_backup(settings: Settings, target: Path, show: Show) -> Backup:
    """Copy the database as it is at one moment, while others use it, and look at all of the copy.

    Raises:
        ConfigurationError: there is no database, or the master key is not there or not the database's.
        InvalidInput: ``target`` exists or cannot be written, or the database is damaged.
        Unavailable: the database cannot be read at the moment, or the disk is full.
    """
    began = SystemClock().monotonic()

    def make() -> DatabaseFacts | None:
        if not settings.database.exists():
            raise missing(settings.database)
        if target.exists():
            raise exists(target)
        master = present_master_key(settings)
        with copied(settings.database, target, unique_name(), show, field="database_path") as copy:
            facts = _look(copy, master, show)
            name_it(copy, target)
        return facts

    facts = await asyncio.to_thread(make)
    return Backup(target, facts, SystemClock().monotonic() - began)


async def verify_backup(settings: Settings, path: Path, show: Show) -> Backup:
    """Look at all of a backup; neither it nor anything else is changed.

    Raises:
        InvalidInput: it is no backup, or damaged.
        ConfigurationError: the master key is not there or not the backup's, or a newer Pushkeep made it.
    """
    began = SystemClock().monotonic()
    facts = await asyncio.to_thread(lambda: _look(path, present_master_key(settings), show))
    return Backup(path, facts, SystemClock().monotonic() - began)


async def restore_backup(settings: Settings, source: Path, show: Show, *, old_key_file: Path | None = None) -> Restored:
    """Put a backup into the database's place; the present one is kept beside it under another name.

    Args:
        settings: say where, and with which master key it is opened from now on.
        source: the backup.
        show: is told how far it is.
        old_key_file: has the master key that the backup was made with, if that is another one.

    Raises:
        Conflict: a process has the database open.
        InvalidInput, ConfigurationError: as for :func:`verify_backup`. Nothing has changed then.
        Unavailable: the disk is full, or another process is just preparing the database.
    """
    clock = SystemClock()
    began = clock.monotonic()
    database = settings.database.absolute()
    master = await asyncio.to_thread(present_master_key, settings)
    old = master if old_key_file is None else await asyncio.to_thread(read_master_key, old_key_file)
    async with _in_thread(_alone(database)) as aside, _in_thread(_prepared(source, database, show)) as copy:
        await asyncio.to_thread(check_is_ours, copy, called=source)
        if old != master:
            await _hand_over(copy, old, master)
        else:
            await asyncio.to_thread(_check_key, copy, master)
        erased, list_is_short = await _bring_up(dataclasses.replace(settings, database=copy))
        facts = await asyncio.to_thread(_check_copy, copy, source, master, show)
        await asyncio.to_thread(exchange, copy, database, aside)
    return Restored(database, facts, aside, erased, list_is_short, clock.monotonic() - began)


async def _hand_over(copy: Path, old: bytes, new: bytes) -> None:
    """Have another master key open a database, and no other."""
    clock, entropy = SystemClock(), SystemEntropy()
    for key in (old, new):
        store = await open_store(copy, key, clock=clock, entropy=entropy)
        try:
            if key == old:
                await _settle(store)
                await store.add_master_key(new, now=clock.now())
            else:
                await store.finish_master_key()
        finally:
            await store.aclose()


async def _bring_up(settings: Settings) -> tuple[ErasedCounts, bool]:
    """Bring a database to this version's schema, and erase in it who was erased since it was copied."""
    async with open_services(settings) as services:
        project = await services.store.default_project()
        if project is None or services.erasures is None:
            return ErasedCounts(), False
        replayed = await replay_erasures(services, project)
        standing = await services.erasures.standing()
        return replayed.erased, standing.last < await services.store.erasures_applied()


async def _settle(store: SqliteStore) -> None:
    """End the change of the master key that the copy was made in the middle of: another one is about to begin."""
    status = await store.secrets_status()
    if status.next_master_key_id == status.master_key_id:
        await store.finish_master_key()
    elif status.next_master_key_id is not None:
        await store.cancel_master_key()


def _check_key(copy: Path, master: bytes) -> None:
    known = master_keys_of(copy)
    if known and master_key_id(master) not in known:
        raise ConfigurationError(
            f"The master key (id {master_key_id(master)}) does not open this backup, which was made with another one "
            f"(id {', '.join(sorted(known))}): name the file that has it with --master-key-file.",
            field="master_key",
        )


def _check_copy(copy: Path, source: Path, master: bytes, show: Show) -> DatabaseFacts:
    return check_database(copy, _sealer(master), SystemEntropy(), show, called=source)


def _look(path: Path, master: bytes, show: Show) -> DatabaseFacts | None:
    """Everything in a database; only its pages, where an older Pushkeep wrote it."""
    try:
        return check_database(path, _sealer(master), SystemEntropy(), show)
    except MigrationPending:
        return None


@contextlib.contextmanager
def _alone(database: Path) -> Iterator[Path | None]:
    """Keep everybody else from the database; where it is to be kept, None if there is none."""
    database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with opening_lock(database), contextlib.ExitStack() as stack:
        for stale in database.parent.glob(f".{database.name}.{_RESTORING}*"):  # a restore that was killed left it
            stale.unlink(missing_ok=True)
        aside = None
        if database.exists():
            stack.enter_context(nobody_has_it_open(database))
            now = datetime.fromtimestamp(SystemClock().now(), UTC)
            aside = database.with_name(f"{database.name}.before-restore-{now:%Y%m%dT%H%M%SZ}-{unique_name()[:4]}")
        yield aside


def _prepared(source: Path, database: Path, show: Show) -> contextlib.AbstractContextManager[Path]:
    return copied(source, database, _RESTORING + unique_name(), show)


@contextlib.asynccontextmanager
async def _in_thread(context: contextlib.AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave something that waits for the disk."""
    entered = await asyncio.to_thread(context.__enter__)
    try:
        yield entered
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


def _sealer(master: bytes) -> Sealer:
    return Sealer(master, SystemEntropy().token_bytes)
