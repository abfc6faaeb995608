"""Hears that the database was changed, by this process or by another one on the same file."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

from pushkeep.adapters.store.writer import CommitListeners

POLL_SECONDS = 0.1
"""How late another process's change is heard of at most; asking costs a few microseconds."""


class SqliteWakeups:
    """:class:`pushkeep.ports.lanes.Wakeups` on a SQLite database.

    Commits of this process that left shards to lease are heard at once. Those of other processes, and all others, are
    seen by ``PRAGMA data_version``, which differs after every commit of another connection.

    Args:
        database_path: the file; None for a database in memory, which nobody else changes.
        listeners: of this process's writer.
    """

    def __init__(self, database_path: Path | None, listeners: CommitListeners) -> None:
        self._connection = None if database_path is None else _connect(database_path)
        self._seen = 0
        self._seen = self._data_version()
        self._listeners = listeners
        self._told = False
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        listeners.add(self._tell)

    async def wait(self, seconds_max: float) -> None:
        """Return when the database was changed since this last returned, or after ``seconds_max``; for one caller."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        self._waiter = (loop, event)
        until = loop.time() + seconds_max
        try:
            while not self._changed():
                left = until - loop.time()
                if left <= 0:
                    return
                pause = left if self._connection is None else min(left, POLL_SECONDS)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await event.wait()
        finally:
            self._waiter = None

    def close(self) -> None:
        """Stop listening."""
        self._listeners.remove(self._tell)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _changed(self) -> bool:
        told, self._told = self._told, False
        version = self._data_version()
        changed, self._seen = version != self._seen, version
        return told or changed

    def _data_version(self) -> int:
        if self._connection is None:
            return 0
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            return self._seen  # whoever reads or writes next says what is wrong with the database

    def _tell(self) -> None:
        """From the writer's thread: the flag is set before the waiter is looked for, and read after it was set up."""
        self._told = True
        waiter = self._waiter
        if waiter is not None:
            loop, event = waiter
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                loop.call_soon_threadsafe(event.set)


def _connect(path: Path) -> sqlite3.Connection:
    # Even who only reads a WAL must be allowed to write its index; the database itself is not touched.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA query_only = ON")
    return connection
