"""The database file: made private, and opened by one process at a time until it is ready."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from pushkeep.adapters.disk import FILE_MODE
from pushkeep.errors import ConfigurationError, Unavailable

DIRECTORY_MODE = 0o700

LOCK_WAIT_SECONDS_MAX = 60.0
"""A migration by another process; larger databases are migrated before the server is started."""

_LOCK_POLL_SECONDS = 0.05


def prepare(path: Path) -> None:
    """Create the file and its directory for this user alone, and take others' rights to the file away.

    A directory that exists is left as it is: it may be shared with others on purpose. A file that exists is not opened:
    closing any descriptor of it would take away all locks that this process's own connections hold on it (POSIX,
    fcntl), and the next process would find nobody there and fold the log that is in use.

    Raises:
        ConfigurationError: the place cannot be written.
    """
    try:
        if not path.parent.exists():
            path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        if not path.exists():
            with contextlib.suppress(FileExistsError):  # another process was first
                os.close(os.open(path.resolve(), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
        for wrong, why in ((path.is_dir(), errno.EISDIR), (not os.access(path, os.R_OK | os.W_OK), errno.EACCES)):
            if wrong:
                raise OSError(why, os.strerror(why))
        # SQLite gives its -wal and -shm files the rights of the database file.
        if path.stat().st_mode & 0o077:
            path.chmod(FILE_MODE)
    except OSError as error:
        raise ConfigurationError(
            f"The database {path} cannot be created or written ({error.strerror}); choose another place or change who "
            f"may write there.",
            field="database_path",
        ) from None


@contextlib.contextmanager
def opening_lock(path: Path, *, wait_seconds: float = LOCK_WAIT_SECONDS_MAX) -> Iterator[None]:
    """Hold the right to bring the database into shape: to switch its journal, migrate it, and make its keys.

    Raises:
        ConfigurationError: the lock's file cannot be made beside the database.
        Unavailable: another process holds it for longer than ``wait_seconds``.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise ConfigurationError(
            f"{lock} cannot be created or written ({error.strerror}); the directory of the database must be writable "
            f"for this user.",
            field="database_path",
        ) from None
    try:
        for _ in range(round(wait_seconds / _LOCK_POLL_SECONDS)):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            threading.Event().wait(_LOCK_POLL_SECONDS)
        else:
            raise Unavailable(
                f"Another process has been preparing the database {path} for over {wait_seconds:.0f} s; wait for it "
                f"or stop it."
            )
        yield
    finally:
        os.close(descriptor)  # and with it the lock
