"""Where a command writes what only its user may read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pushkeep.errors import InvalidInput


@contextmanager
def private_file(path: Path) -> Iterator[TextIO]:
    """A new file of mode 0600; it is gone again if what belongs in it could not be made or written.

    It is there at once and not only when it is complete: a key that was made and cannot be written down is lost.

    Raises:
        InvalidInput: the file exists, or cannot be made or written, or it is ``-``: a secret does not belong on a
            terminal, and less so in a file of that name.
    """
    if str(path) == "-":
        raise InvalidInput("out must be a file; a secret is not written to a terminal.", field="out")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidInput(f"{path} exists and is not overwritten; name another file.", field="out") from None
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}.", field="out") from None
    try:
        with os.fdopen(descriptor, "w") as file:
            yield file
    except OSError as error:
        path.unlink(missing_ok=True)
        raise InvalidInput(f"cannot write {path}: {error.strerror}.", field="out") from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise
