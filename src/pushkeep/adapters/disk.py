"""Files of this user alone, and how they get to the disk.

What is to outlast a loss of power has to be brought there, and so have the names it is found by.
"""

from __future__ import annotations

import os
from pathlib import Path

FILE_MODE = 0o600


def sync(path: Path) -> None:
    """Bring to disk what was written to a file, or which names a directory has.

    Raises:
        OSError: it cannot be opened, or the disk is in trouble.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
