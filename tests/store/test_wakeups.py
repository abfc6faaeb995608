"""Wake-ups: heard from this process's commits, from other processes' commits, and not when nothing happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore, open_store, open_store_inline
from pushkeep.adapters.store.writer import SHARDS_READY
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy

LONG_SECONDS = 30.0


async def opened(path: Path | None) -> SqliteStore:
    return await open_store(path, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[tuple[SqliteStore, SqliteStore]]:
    """Two processes on one file."""
    one, other = await opened(tmp_path / "w.db"), await opened(tmp_path / "w.db")
    yield one, other
    await one.aclose()
    await other.aclose()


def change(connection: Connection) -> None:
    connection.execute(text("INSERT INTO origin_rests VALUES ('https://a.example', 1) ON CONFLICT DO NOTHING"))
    connection.execute(text("UPDATE origin_rests SET until = until + 1"))


def leave_shards(connection: Connection) -> None:
    connection.info[SHARDS_READY] = True


async def test_a_wait_ends_when_its_time_is_over(stores: tuple[SqliteStore, SqliteStore]) -> None:
    await stores[0].wakeups().wait(0.01)


async def test_what_another_process_changes_is_heard(stores: tuple[SqliteStore, SqliteStore]) -> None:
    one, other = stores
    wakeups = one.wakeups()
    await other.writer.run(change)
    async with asyncio.timeout(LONG_SECONDS):
        await wakeups.wait(2 * LONG_SECONDS)  # changed before the wait
        waiting = asyncio.create_task(wakeups.wait(2 * LONG_SECONDS))
        await other.writer.run(change)
        await waiting


async def test_a_unit_that_changes_nothing_wakes_nobody(stores: tuple[SqliteStore, SqliteStore]) -> None:
    one, other = stores
    wakeups = one.wakeups()
    for store in stores:
        await store.writer.run(lambda connection: connection.execute(text("SELECT 1")) and None)
    assert not wakeups._changed()
    await other.writer.run(change)
    assert wakeups._changed()
    assert not wakeups._changed()


@pytest.mark.parametrize("inline", [False, True])
async def test_shards_of_this_process_are_heard_of_without_asking_the_file(inline: bool) -> None:
    if inline:
        store = open_store_inline(None, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    else:
        store = await opened(None)
    wakeups = store.wakeups()
    async with asyncio.timeout(LONG_SECONDS):
        await store.writer.run(leave_shards)
        await wakeups.wait(2 * LONG_SECONDS)
        waiting = asyncio.create_task(wakeups.wait(2 * LONG_SECONDS))
        await asyncio.sleep(0)  # it is waiting now
        await store.writer.run(leave_shards)
        await waiting
    await store.aclose()


async def test_what_was_undone_is_not_announced() -> None:
    store = await opened(None)
    wakeups = store.wakeups()

    def fails(connection: Connection) -> None:
        leave_shards(connection)
        connection.execute(text("SELECT * FROM no_such_table"))

    with pytest.raises(Exception, match="database"):
        await store.writer.run(fails)
    await store.writer.run(change)
    assert not wakeups._changed()
    await store.aclose()


async def test_it_ends_with_the_store(tmp_path: Path) -> None:
    store = await opened(tmp_path / "w.db")
    wakeups = store.wakeups()
    await store.aclose()
    wakeups.close()
    await wakeups.wait(0.01)
