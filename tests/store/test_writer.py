"""The writer thread: grouped commits, one unit's trouble is its own, the database's trouble is everybody's."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore, open_store, writer
from pushkeep.adapters.store.sqlite import BUSY_TIMEOUT_MILLISECONDS
from pushkeep.errors import Conflict, Unavailable
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await open_store(tmp_path / "w.db", MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    await store.writer.run(lambda c: c.execute(text("CREATE TABLE notes (words TEXT UNIQUE)")) and None)
    yield store
    await store.aclose()


def note(words: str) -> Callable[[Connection], str]:
    def unit(connection: Connection) -> str:
        connection.execute(text("INSERT INTO notes VALUES (:words)"), {"words": words})
        return words

    return unit


def notes(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT words FROM notes ORDER BY rowid")).scalars())


class Gate:
    """A unit that keeps the writer busy until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()

    def __call__(self, _: Connection) -> None:
        self.entered.set()
        assert self.release.wait(30)


async def behind_a_gate(store: SqliteStore, *units: Callable[[Connection], object]) -> list[object]:
    """Run units that all wait while another one is being carried out, so that they share a commit."""
    gate = Gate()
    holding = asyncio.create_task(store.writer.run(gate))
    await asyncio.to_thread(gate.entered.wait, 30)
    waiting = [asyncio.create_task(store.writer.run(unit)) for unit in units]
    await asyncio.sleep(0)  # each task puts its unit into the queue in its first step
    gate.release.set()
    await asyncio.gather(holding, return_exceptions=True)  # it shares their commit and its fate
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_units_that_wait_share_a_commit(store: SqliteStore) -> None:
    before = store.writer.commits
    results = await behind_a_gate(store, *(note(str(number)) for number in range(200)))
    assert results == [str(number) for number in range(200)]
    assert store.writer.commits - before <= 5
    assert await store.writer.run(notes) == [str(number) for number in range(200)]


async def test_a_unit_that_fails_takes_nobody_with_it(store: SqliteStore) -> None:
    def fails(connection: Connection) -> None:
        note("half-way")(connection)
        raise Conflict("no")

    first, failed, last = await behind_a_gate(store, note("first"), fails, note("last"))
    assert (first, last) == ("first", "last")
    assert isinstance(failed, Conflict)
    assert await store.writer.run(notes) == ["first", "last"]


@pytest.mark.parametrize("value", ["one", 2**70, object()], ids=["there already", "too large", "of no kind"])
async def test_what_one_unit_asks_wrongly_fails_it_alone(store: SqliteStore, value: object) -> None:
    def wrong(connection: Connection) -> None:
        note("half-way")(connection)
        connection.execute(text("INSERT INTO notes VALUES (:words)"), {"words": value})

    first, failed, last = await behind_a_gate(store, note("one"), wrong, note("two"))
    assert (first, last) == ("one", "two")
    assert isinstance(failed, Exception)
    assert not isinstance(failed, Unavailable), "it would be tried again for ever"
    assert "half-way" not in str(failed)
    assert await store.writer.run(notes) == ["one", "two"]


async def test_trouble_of_the_database_is_told_to_all_and_nothing_is_kept(store: SqliteStore) -> None:
    def damaged(connection: Connection) -> None:
        connection.execute(text("SELECT * FROM missing_table"))

    results = await behind_a_gate(store, note("first"), damaged)
    assert [type(result) for result in results] == [Unavailable, Unavailable]
    assert await store.writer.run(notes) == []
    assert await store.writer.run(note("again")) == "again"


async def test_a_full_disk_is_said_clearly_and_passes(store: SqliteStore) -> None:
    def shrink(connection: Connection) -> None:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))

    await store.writer.run(note("kept"))
    await store.writer.run(shrink)
    with pytest.raises(Unavailable, match=r"disk is full.*SQLITE_FULL"):
        await store.writer.run(note("x" * 1_000_000))
    await store.writer.run(lambda connection: connection.execute(text("PRAGMA max_page_count = 1000000")) and None)
    await store.writer.run(note("y" * 1_000_000))
    assert [words[0] for words in await store.writer.run(notes)] == ["k", "y"]


async def test_a_lock_held_elsewhere_is_said_clearly(store: SqliteStore, tmp_path: Path) -> None:
    await store.writer.run(lambda connection: connection.execute(text("PRAGMA busy_timeout = 50")) and None)
    other = sqlite3.connect(tmp_path / "w.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked by another process"):
        await store.writer.run(note("late"))
    other.execute("COMMIT")
    other.close()
    assert await store.writer.run(note("now")) == "now"


async def test_a_long_read_elsewhere_does_not_hold_up_writes_after_an_erasure(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "w.db", MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    engine = store._writing
    writing = writer.Writer(engine, erase_after_idle_seconds=0.01)
    await writing.run(lambda c: c.execute(text("CREATE TABLE notes (words TEXT UNIQUE)")) and None)
    backup = sqlite3.connect(tmp_path / "w.db", isolation_level=None)
    backup.execute("BEGIN")
    backup.execute("SELECT count(*) FROM notes").fetchone()

    def erase(connection: Connection) -> None:
        note("before")(connection)
        connection.info[writer.ERASED] = True

    try:
        for number in range(3):
            await writing.run(erase if number == 0 else note(str(number)))
            # Idle for longer than the 0.01 s after which truncating is tried.
            await asyncio.sleep(0.03)
            # Far below the 10 s that the connection waits for other writers.
            async with asyncio.timeout(5):
                await writing.run(note(f"after {number}"))
        assert (tmp_path / "w.db-wal").stat().st_size > 0
        backup.execute("COMMIT")
        for _ in range(1500):  # tried again once the reader is gone, within 30 s
            if (tmp_path / "w.db-wal").stat().st_size == 0:
                break
            await asyncio.sleep(0.02)
        assert (tmp_path / "w.db-wal").stat().st_size == 0
        timeout = await writing.run(lambda c: c.execute(text("PRAGMA busy_timeout")).scalar_one())
        assert timeout == BUSY_TIMEOUT_MILLISECONDS
    finally:
        backup.close()
        await asyncio.to_thread(writing.close)
        await store.aclose()


async def test_a_caller_that_gave_up_while_waiting_is_not_served(store: SqliteStore) -> None:
    gate = Gate()
    holding = asyncio.create_task(store.writer.run(gate))
    await asyncio.to_thread(gate.entered.wait, 30)
    waiting = asyncio.create_task(store.writer.run(note("unwanted")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.release.set()
    await asyncio.gather(holding, return_exceptions=True)  # it shares their commit and its fate
    assert await store.writer.run(notes) == []


async def test_too_much_waiting_is_refused_at_once(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(store.writer, writer.Writer)
    monkeypatch.setattr(store.writer._waiting, "maxsize", 3)
    results = await behind_a_gate(store, *(note(str(number)) for number in range(5)))
    assert [type(result) for result in results] == [str, str, str, Unavailable, Unavailable]


async def test_closing_finishes_what_waits_and_then_refuses(store: SqliteStore, tmp_path: Path) -> None:
    waiting = [asyncio.create_task(store.writer.run(note(str(number)))) for number in range(300)]
    await asyncio.sleep(0)
    await store.aclose()
    assert await asyncio.gather(*waiting) == [str(number) for number in range(300)]
    with pytest.raises(Unavailable, match="stopping"):
        await store.writer.run(note("late"))
    with pytest.raises(Unavailable, match="stopping"):
        await store.check()
    await store.aclose()
    reader = sqlite3.connect(tmp_path / "w.db")
    assert reader.execute("SELECT count(*) FROM notes").fetchone() == (300,)
    reader.close()


def test_no_more_than_a_group_shares_a_commit() -> None:
    assert writer.GROUP_UNITS_MAX == 64
