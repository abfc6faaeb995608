"""What a first reading remembers of a million records: in a database of SQLite's own, which nobody can open and which
is gone with it. Its names are hashes under a key that is drawn for this one reading."""

from __future__ import annotations

import hashlib
import sqlite3

_KEY_BYTES = 16
_CACHE_KIBIBYTES = 32 * 1024


class Scratch:
    """:class:`pushkeep.ports.moving.Seen`.

    Args:
        key: 32 random octets.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._database = sqlite3.connect("", isolation_level=None)  # a file without a name
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE seen (key BLOB PRIMARY KEY, rest BLOB, line INTEGER) WITHOUT ROWID")
        self._database.execute("CREATE TABLE counts (name BLOB PRIMARY KEY, count INTEGER) WITHOUT ROWID")

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    def first(self, key: bytes, rest: bytes, line: int) -> tuple[int, bool] | None:
        """See the port."""
        hashed, other = self._hash(key), self._hash(rest)
        made = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (hashed, other, line))
        if made.rowcount == 1:
            return None
        found = self._database.execute("SELECT line, rest FROM seen WHERE key = ?", (hashed,)).fetchone()
        return found[0], found[1] == other

    def count(self, name: bytes) -> int:
        """See the port."""
        row = self._database.execute(
            "INSERT INTO counts VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count",
            (self._hash(name),),
        ).fetchone()
        return int(row[0])

    def _hash(self, value: bytes) -> bytes:
        return hashlib.blake2b(value, key=self._key, digest_size=_KEY_BYTES).digest()
