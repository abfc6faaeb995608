"""The store without threads, as simulations use it: one clock, one thread, every unit its own commit."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore, open_store_inline
from pushkeep.errors import Conflict, Unavailable
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy


def opened(path: Path | None = None) -> SqliteStore:
    return open_store_inline(path, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())


def note(connection: Connection) -> str:
    connection.execute(text("INSERT INTO origin_rests VALUES ('https://a.example', 1)"))
    return threading.current_thread().name


def notes(connection: Connection) -> int:
    return int(connection.execute(text("SELECT count(*) FROM origin_rests")).scalar_one())


async def test_it_starts_no_thread_and_keeps_what_it_was_told(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    store = opened(tmp_path / "i.db")
    assert await store.writer.run(note) == threading.current_thread().name
    await store.check()
    assert set(threading.enumerate()) == before
    await store.aclose()
    again = opened(tmp_path / "i.db")
    assert await again.writer.run(notes) == 1
    await again.aclose()


async def test_a_unit_that_fails_leaves_nothing() -> None:
    store = opened()

    def fails(connection: Connection) -> None:
        note(connection)
        raise Conflict("no")

    with pytest.raises(Conflict):
        await store.writer.run(fails)
    with pytest.raises(Unavailable, match="does not do what it was asked"):
        await store.writer.run(lambda connection: connection.execute(text("SELECT * FROM missing")) and None)
    assert await store.writer.run(notes) == 0
    await store.aclose()
    await store.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await store.writer.run(notes)


async def test_whoever_is_killed_before_or_after_a_commit_has_written_all_or_nothing() -> None:
    store = opened()
    before = asyncio.create_task(store.writer.run(note))
    await asyncio.sleep(0)  # its first step: it lets others go first
    before.cancel()
    await asyncio.wait([before])
    assert await store.writer.run(notes) == 0
    after = asyncio.create_task(store.writer.run(note))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # its second step: the commit
    after.cancel()
    await asyncio.wait([after])
    assert await store.writer.run(notes) == 1
    await store.aclose()
