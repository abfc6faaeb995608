"""A copy of the database, made while others write to it.

SQLite's own backup copies pages inside one read transaction: the copy is the database of one moment, whoever goes on
writing. It is written under another name, made one file without a journal, brought to disk, and only then given its
name: a name never shows half a copy, and no file is ever overwritten.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from pushkeep.adapters.disk import sync
from pushkeep.adapters.new_file import hidden
from pushkeep.errors import ConfigurationError, InvalidInput, Unavailable

Show: TypeAlias = Callable[[str, int, int | None], None]
"""Is told how far something has come: what is done, how much of it, and of how much; None where nobody knows."""

PAGES_AT_ONCE = 1024
"""4 MB: between them the bar moves, and Ctrl-C is heard."""

READ_WAIT_SECONDS_MAX = 10.0
"""For another process that is just changing the database's journal; everything else lets readers by."""

_HEADER = b"SQLite format 3\0"


@contextlib.contextmanager
def copied(source: Path, target: Path, unique: str, show: Show, *, field: str = "file") -> Iterator[Path]:
    """Copy a database to a name of its own beside ``target``, which is taken away on leaving.

    :func:`~pushkeep.adapters.new_file.name_it` gives the copy a name that stays.

    Args:
        source: a SQLite database, in use or not.
        target: what the copy is going to be called.
        unique: makes the name of the copy, e.g. 16 hexadecimal digits by chance.
        show: is told how far it is, in octets.
        field: what ``source`` is called in errors.

    Raises:
        InvalidInput: ``target``'s directory cannot be written, or ``source`` is no database.
        Unavailable: the source cannot be read at the moment, or the disk is full.
    """
    check_is_database(source, field=field)
    descriptor, temporary = hidden(target, unique)
    os.close(descriptor)
    try:
        _copy(source, temporary, show, field)
        sync(temporary)
        yield temporary
    finally:
        for ending in ("", "-journal", "-wal", "-shm", ".lock"):
            temporary.with_name(temporary.name + ending).unlink(missing_ok=True)


def check_is_database(path: Path, *, field: str) -> None:
    """Look whether a file begins as a SQLite database does.

    Only for files that this process has not opened through SQLite: closing a second descriptor would drop its locks.

    Raises:
        InvalidInput: it is not there, cannot be read, or is something else.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(_HEADER))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}); check the path.", field=field) from None
    if head != _HEADER:
        raise InvalidInput(f"{path} is no SQLite database; check the path.", field=field)


def _copy(source: Path, temporary: Path, show: Show, field: str) -> None:
    try:
        with (
            contextlib.closing(_connect(f"{source.absolute().as_uri()}?mode=rw")) as reading,
            contextlib.closing(_connect(str(temporary))) as writing,
        ):
            page = int(reading.execute("PRAGMA page_size").fetchone()[0])
            reading.execute("PRAGMA query_only = ON")
            reading.execute("BEGIN")  # one moment for all pages: without it each write of others begins the copy anew
            reading.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            reading.backup(
                writing,
                pages=PAGES_AT_ONCE,
                progress=lambda _, left, total: show("copying", (total - left) * page, total * page),
            )
            reading.execute("ROLLBACK")
            writing.execute("PRAGMA journal_mode = DELETE")  # one file that needs no other beside it
    except sqlite3.Error as error:
        raise _trouble(error, source, field) from None


def _connect(name: str) -> sqlite3.Connection:
    return sqlite3.connect(name, isolation_level=None, uri=True, timeout=READ_WAIT_SECONDS_MAX)


def _trouble(error: sqlite3.Error, source: Path, field: str) -> InvalidInput | Unavailable:
    name = str(getattr(error, "sqlite_errorname", ""))
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return InvalidInput(f"{source} is damaged ({name}); use another backup.", field=field)
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return Unavailable(f"The copy cannot be written ({name}); look at the disk, and whether it is full.")
    return Unavailable(f"{source} cannot be read at the moment ({name or type(error).__name__}); try again.")


def missing(database: Path) -> ConfigurationError:
    """What is said where there is no database."""
    return ConfigurationError(
        f"There is no database {database}; name the server's directory with --data-dir.", field="database_path"
    )
