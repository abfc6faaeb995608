"""A writer without a thread: for simulations, in which one loop's virtual time is all the time there is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from pushkeep.adapters.store.writer import SHARDS_READY, CommitListeners, truncate_wal, unavailable
from pushkeep.errors import Unavailable

T = TypeVar("T")


class InlineWriter:
    """Does what :class:`~pushkeep.adapters.store.writer.Writer` does, in the caller's thread and at once.

    Every unit has a commit of its own. The loop gets its turn before a unit begins and after it was committed, and at
    no other time: whoever is killed there has written everything or nothing, and does not know which.

    Args:
        engine: its connections begin with ``BEGIN IMMEDIATE``.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closed = False
        self.commits = 0
        """How many commits there have been."""
        self.listeners = CommitListeners()

    async def run(self, unit: Callable[[Connection], T]) -> T:
        """Run a unit in a transaction and return its result once it is on disk.

        Raises:
            Unavailable: the database is locked, full, read-only or damaged.
        """
        await asyncio.sleep(0)
        result, ready = self._commit(unit)
        if ready:
            self.listeners.tell()
        await asyncio.sleep(0)
        return result

    def _commit(self, unit: Callable[[Connection], T]) -> tuple[T, bool]:
        if self._closed:
            raise Unavailable("The database is closed: the server is stopping.")
        try:
            with self._engine.begin() as connection:
                connection.info.pop(SHARDS_READY, None)
                result = unit(connection)
                ready = bool(connection.info.pop(SHARDS_READY, None))
        except SQLAlchemyError as error:
            raise unavailable(error) from None
        self.commits += 1
        return result, ready

    def close(self) -> None:
        """Take nothing more."""
        if self._closed:
            return
        self._closed = True
        with self._engine.connect() as connection:
            truncate_wal(connection)
