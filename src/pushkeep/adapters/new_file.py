"""A file for one user alone, which has its name only once it is complete."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pushkeep.adapters.disk import FILE_MODE, sync
from pushkeep.errors import InvalidInput, Unavailable

_BUFFER_BYTES = 1 << 20
_OPEN_FILES = Path("/proc/self/fd")
"""Where Linux has a path for a file without a name."""


@contextlib.contextmanager
def written(target: Path, unique: str) -> Iterator[BinaryIO]:
    """A file that gets its name when the context is left as it should be.

    Until then it has none, where the system knows such files: what is in it may be secret, and nothing of it stays when
    the process is killed. Elsewhere it has a hidden one.

    Args:
        target: its name; must not exist.
        unique: makes the hidden name, e.g. 16 hexadecimal digits by chance.

    Raises:
        InvalidInput: ``target`` exists or cannot be written.
        Unavailable: the disk is full.
    """
    if target.exists():
        raise exists(target)
    descriptor, temporary = _opened(target, unique)
    try:
        with os.fdopen(descriptor, "wb", buffering=_BUFFER_BYTES) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            name_it(temporary or _OPEN_FILES / str(file.fileno()), target)
    except OSError as error:
        raise Unavailable(f"{target} cannot be written ({error.strerror}); is the disk full?") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _opened(target: Path, unique: str) -> tuple[int, Path | None]:
    nameless = getattr(os, "O_TMPFILE", 0)
    if nameless and _OPEN_FILES.is_dir():
        with contextlib.suppress(OSError):  # not every file system can
            return os.open(target.parent, nameless | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE), None
    return hidden(target, unique)


def hidden(target: Path, unique: str) -> tuple[int, Path]:
    """Make a file with a name of its own beside ``target``; its descriptor, and the name.

    Raises:
        InvalidInput: that directory cannot be written.
    """
    temporary = target.with_name(f".{target.name}.{unique}")
    try:
        return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE), temporary
    except OSError as error:
        raise _refused(target, error) from None


def name_it(temporary: Path, target: Path) -> None:
    """Give a complete file its name, which must be free.

    Raises:
        InvalidInput: somebody else has taken the name meanwhile, or the file system cannot do it.
    """
    try:
        directory = os.open(temporary.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # By its directory: only then does Python have the system follow a path of an open file to that file.
            os.link(temporary.name, target, src_dir_fd=directory)
        finally:
            os.close(directory)
    except FileExistsError:
        raise exists(target) from None
    except OSError as error:
        raise _refused(target, error) from None
    sync(target.parent)


def exists(target: Path) -> InvalidInput:
    """What is said of a name that is taken."""
    return InvalidInput(f"{target} exists, and nothing is overwritten; choose another name.", field="file")


def _refused(target: Path, error: OSError) -> InvalidInput:
    return InvalidInput(f"{target} cannot be written ({error.strerror}); choose another place.", field="file")
