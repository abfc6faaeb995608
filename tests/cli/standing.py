"""Everything that a directory holds, to be compared: what was refused has changed nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_OF_SQLITE = ("-wal", "-shm", ".lock")
"""Files that come and go with whoever has a database open; what stands in them is seen through the database."""


def standing(directory: Path) -> dict[str, tuple[int, object]]:
    """Each file's mode and content, by its path; of a database every row of every table."""
    found: dict[str, tuple[int, object]] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.name.endswith(_OF_SQLITE):
            with path.open("rb") as file:
                database = file.read(16) == b"SQLite format 3\0"
            found[str(path.relative_to(directory))] = (
                path.stat().st_mode,
                _rows(path) if database else path.read_bytes(),
            )
    return found


def _rows(path: Path) -> object:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return list(connection.iterdump())
        except sqlite3.DatabaseError:  # damaged
            return path.read_bytes()
