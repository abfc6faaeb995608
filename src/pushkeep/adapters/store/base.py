"""What the store's methods stand on: a way to write, a way to read, the vault and the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from pushkeep.adapters.store.fence import Fence
from pushkeep.adapters.store.inline_writer import InlineWriter
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.writer import Writer, unavailable
from pushkeep.domain.shard import LEASE_SECONDS
from pushkeep.errors import Unavailable
from pushkeep.ports import Clock

T = TypeVar("T")

READERS = 2
"""Reads take a fraction of a millisecond and hold Python's lock for most of it: more threads read no faster."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a store is made of.

    Attributes:
        writing: begins with ``BEGIN IMMEDIATE``.
        reading: begins with ``BEGIN`` and cannot write; None where reads go the way of writes, on the one connection.
        writer: carries out units on ``writing``.
        fence: has what seals and hashes, and keeps it at the keys of the database.
        clock: tells the times of leases, inside the transaction.
        path: the database's file; None in memory.
        lease_seconds: how long a shard is lent, or lent on.
    """

    writing: Engine
    reading: Engine | None
    writer: Writer | InlineWriter
    fence: Fence
    clock: Clock
    path: Path | None = None
    lease_seconds: float = LEASE_SECONDS


class StoreBase:
    """Runs units of work: plain functions on a connection that is in a transaction."""

    def __init__(self, ground: Ground) -> None:
        self._writing = ground.writing
        self._reading = ground.reading
        self._vault: Vault = ground.fence.vault
        self._fence = ground.fence
        self._clock = ground.clock
        self._path = ground.path
        self.lease_seconds = ground.lease_seconds
        self.writer = ground.writer
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="pushkeep-reader")
        self._ends_with_it: list[Callable[[], None]] = []
        self._closed = False
        self._project_changes = 0

    async def _write(self, unit: Callable[[Connection], T]) -> T:
        """Run a unit in a transaction of its own or a shared one; its result is on disk.

        Raises:
            Unavailable: the database does not take it.
        """
        return await self.writer.run(unit)

    async def _change_project(self, unit: Callable[[Connection], T]) -> T:
        """:meth:`_write` for what changes a project, its keys or its purposes."""
        try:
            return await self._write(unit)
        finally:
            self._project_changes += 1

    async def _read(self, unit: Callable[[Connection], T]) -> T:
        reading = self._reading
        if reading is None:
            return await self.writer.run(unit)
        if self._closed:
            raise Unavailable("The database is closed: the server is stopping.")
        return await asyncio.get_running_loop().run_in_executor(self._readers, _read_once, reading, unit)

    async def aclose(self) -> None:
        """See :meth:`pushkeep.ports.Store.aclose`."""
        self._closed = True
        if isinstance(self.writer, InlineWriter):
            self._close()
        else:
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for end in self._ends_with_it:
            end()
        self.writer.close()
        self._readers.shutdown(wait=True)
        if self._reading is not None:
            self._reading.dispose()
        self._writing.dispose()


def _read_once(engine: Engine, unit: Callable[[Connection], T]) -> T:
    try:
        with engine.begin() as connection:
            return unit(connection)
    except DBAPIError as error:
        raise unavailable(error) from None
