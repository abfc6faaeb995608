"""The file that holds the master key: made once, for one user's eyes, never overwritten.

Losing this file loses every signing key and with them every subscriber, so it is created only when there is no database
yet, and completely or not at all.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from pushkeep.adapters.disk import FILE_MODE, sync
from pushkeep.errors import ConfigurationError, InvalidInput
from pushkeep.protocol.encoding import b64_decode, b64url_encode

MASTER_KEY_BYTES = 32
"""AES-256."""

_FILE_BYTES_MAX = 4096  # a key is 43 characters; reading on would be reading the wrong file
_FORBIDDEN_MODE = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP


def read_master_key(path: Path) -> bytes:
    """Read the key, 32 octets in base64 on one line.

    Raises:
        ConfigurationError: the file is missing, unreadable, readable or writable by others, writable by its group, or
            does not hold a key.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise _problem(f"{path} does not exist. Restore the master key, or name the right file.") from None
    except OSError as error:
        raise _problem(f"{path} cannot be read: {error.strerror}. Check its owner and mode.") from None
    if mode & _FORBIDDEN_MODE:
        raise _problem(f"{path} holds the master key but other users can read or change it. Run: chmod 600 {path}")
    try:
        return b64_decode(content.decode("ascii", "replace").strip(), field="the master key", length=MASTER_KEY_BYTES)
    except InvalidInput as error:
        raise _problem(f"{path}: {error.message} Restore the file from a backup.") from None


def open_master_key(path: Path, *, database: Path, random_bytes: Callable[[int], bytes]) -> bytes:
    """Read the key, or make it if neither it nor the database exists yet.

    Raises:
        ConfigurationError: as for :func:`read_master_key`, or the directory cannot be written.
    """
    # In this order: a key is there before its database, so another first start between the two looks is no loss.
    database_exists = database.exists()
    if not path.exists():
        if database_exists:
            raise _problem(
                f"{database} exists but its master key {path} does not. Restore the key from a backup; "
                "without it the database cannot be opened."
            )
        _create(path, b64url_encode(random_bytes(MASTER_KEY_BYTES)), random_bytes(8).hex())
    return read_master_key(path)


def next_path(path: Path) -> Path:
    """Where the key lies that is to take the place of the one in ``path``."""
    return path.with_name(path.name + ".next")


def create_master_key(path: Path, *, random_bytes: Callable[[int], bytes]) -> bytes:
    """Read a key that is there already, or make one.

    Raises:
        ConfigurationError: as for :func:`read_master_key`, or the directory cannot be written.
    """
    if not path.exists():
        _create(path, b64url_encode(random_bytes(MASTER_KEY_BYTES)), random_bytes(8).hex())
    return read_master_key(path)


def exchange_master_key(path: Path, *, old_id: str) -> Path:
    """Put the next key into the place of the present one, and keep that under a name with its id.

    At every moment ``path`` names one of the two. Done by somebody else, or before, it does nothing.

    Returns:
        where the old key is.

    Raises:
        ConfigurationError: the directory cannot be written.
    """
    following, kept = next_path(path), path.with_name(f"{path.name}.old-{old_id}")
    try:
        if following.exists():
            with contextlib.suppress(FileExistsError):
                os.link(path, kept)
            with contextlib.suppress(FileNotFoundError):
                following.replace(path)
        sync(path.parent)
    except OSError as error:
        raise _problem(f"{path} cannot be exchanged: {error.strerror}. Check who may write its directory.") from None
    return kept


def _create(path: Path, text: str, unique: str) -> None:
    """Write to a file of our own and link it into place: the name never shows half a key, nor replaces one."""
    temporary = path.with_name(f".{path.name}.{unique}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
        except FileExistsError:
            pass  # another process was first; its key is the one to use
        finally:
            temporary.unlink(missing_ok=True)
        sync(path.parent)
    except OSError as error:
        raise _problem(f"{path} cannot be created: {error.strerror}. Choose another place for it.") from None


def _problem(message: str) -> ConfigurationError:
    return ConfigurationError(message, field="master_key")
