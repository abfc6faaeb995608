"""Putting another database into the place of the present one: at once, and only while nobody has it open."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from pushkeep.adapters.disk import FILE_MODE, sync
from pushkeep.errors import Conflict

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database; of another database it would be taken for a part of this one."""

# Every connection to a database in WAL mode holds a read lock on these octets for as long as it is open (SQLite's
# file format, "locking bytes"; os_unix.c: SHARED_FIRST, SHARED_SIZE).
_LOCKED_FROM = 0x40000002
_LOCKED_BYTES = 510


@contextlib.contextmanager
def nobody_has_it_open(database: Path) -> Iterator[None]:
    """Hold a database that exists as its only user; it is folded into one file, if it is sound.

    Raises:
        Conflict: a process has it open.
    """
    with contextlib.suppress(sqlite3.DatabaseError):  # a damaged one is no less to be replaced
        _fold(database)
    # After SQLite's own look, which a second descriptor of this process would take its locks from.
    descriptor = os.open(database, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKED_BYTES, _LOCKED_FROM)
        except OSError:
            raise _in_use(database) from None
        yield
    finally:
        os.close(descriptor)


def exchange(prepared: Path, database: Path, aside: Path | None) -> None:
    """Give ``prepared`` the name of the database; the name never shows none, or half of one.

    Args:
        prepared: one file in the same directory, without a journal beside it.
        database: the name; :func:`nobody_has_it_open` holds it if it is taken.
        aside: what the present one is called from now on; None where there is none.
    """
    if aside is not None:
        try:
            os.link(database, aside)
        except OSError:  # a file system without a second name for a file
            shutil.copyfile(database, aside)
            aside.chmod(FILE_MODE)
    for ending in BESIDE:
        stale = database.with_name(database.name + ending)
        if aside is None:
            stale.unlink(missing_ok=True)
        elif stale.exists():
            stale.replace(aside.with_name(aside.name + ending))
    sync(database.parent)  # the old journal is away before the new database is there
    prepared.replace(database)
    sync(database.parent)


def _fold(database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database, isolation_level=None, timeout=0)) as connection:
        try:
            connection.execute("PRAGMA journal_mode = DELETE")  # possible for its only user
        except sqlite3.OperationalError as error:
            if str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise _in_use(database) from None
            raise


def _in_use(database: Path) -> Conflict:
    return Conflict(
        f"A process has {database} open; stop the server, its workers and every other command first. Nothing was "
        "changed.",
        field="database_path",
    )
