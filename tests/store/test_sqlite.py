"""The database file itself: private, sealed, locked, and clear about what is wrong with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore, files, open_store
from pushkeep.domain.ids import AnyId
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.errors import ConfigurationError, Unavailable
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.samples import BROWSER_KEY, NOW, new_project, registration, sendable, subscription


@contextlib.asynccontextmanager
async def opened(path: Path, key: bytes = MASTER_KEY, seed: int = 1) -> AsyncIterator[SqliteStore]:
    store = await open_store(path, key, clock=FakeClock(), entropy=SeededEntropy(seed))
    try:
        yield store
    finally:
        await store.aclose()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_files_belong_to_their_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "deep" / "pushkeep.db"
    before = os.umask(0)
    try:
        async with opened(path) as store:
            await store.ensure_project(new_project())
            assert mode(path.parent) == 0o700
            for file in path.parent.iterdir():
                assert mode(file) == 0o600, file.name
            assert {file.name for file in path.parent.iterdir()} >= {"pushkeep.db", "pushkeep.db-wal"}
    finally:
        os.umask(before)


async def test_rights_of_others_are_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "pushkeep.db"
    path.touch(mode=0o644)
    path.chmod(0o644)
    async with opened(path):
        assert mode(path) == 0o600
        assert mode(Path(f"{path}-wal")) == 0o600


async def test_pragmas_hold_on_every_connection(tmp_path: Path) -> None:
    wanted = {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "busy_timeout": 10_000,
        "wal_autocheckpoint": 1000,
        "journal_size_limit": 64 * 1024 * 1024,
    }

    def pragmas(connection: Connection) -> dict[str, object]:
        return {name: connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in wanted}

    async with opened(tmp_path / "pushkeep.db") as store:
        assert await store.writer.run(pragmas) == wanted
        assert await store._read(pragmas) == wanted


async def test_readers_cannot_write(tmp_path: Path) -> None:
    async with opened(tmp_path / "pushkeep.db") as store:
        with pytest.raises(Unavailable, match="read-only"):
            await store._read(lambda connection: connection.execute(text("DELETE FROM projects")) and None)


async def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "pushkeep.db"
    async with opened(path) as store:
        project = await store.ensure_project(new_project())
        record = (await store.register(project, registration(subscription()))).record
        keys = await store.signing_keys(project)
    async with opened(path, seed=2) as store:
        assert await store.ensure_project(new_project()) == project
        assert [key.key.to_pem() for key in await store.signing_keys(project)] == [key.key.to_pem() for key in keys]
        (recipient,) = await sendable(store, project)
        assert (recipient.record, recipient.subscription) == (record, subscription())
        assert not (await store.register(project, registration(subscription()))).created


async def test_another_master_key_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "pushkeep.db"
    async with opened(path):
        pass
    with pytest.raises(ConfigurationError, match="not the one this database was made with") as caught:
        await open_store(path, b"k" * 32, clock=FakeClock(), entropy=SeededEntropy())
    assert caught.value.field == "master_key"
    assert "6b6b" not in caught.value.message
    async with opened(path):
        pass  # and nothing was harmed


@pytest.mark.parametrize("key", [b"", b"k" * 16, b"k" * 33])
async def test_a_master_key_of_another_length_is_refused(tmp_path: Path, key: bytes) -> None:
    with pytest.raises(ConfigurationError, match="32 octets"):
        await open_store(tmp_path / "pushkeep.db", key, clock=FakeClock(), entropy=SeededEntropy())
    assert not (tmp_path / "pushkeep.db").exists()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sir or Madam, " * 500)
    with pytest.raises(ConfigurationError, match="not a SQLite file") as caught:
        await open_store(path, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    assert caught.value.field == "database_path"


async def test_a_directory_that_cannot_hold_the_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pushkeep.db.lock").mkdir()
    with pytest.raises(ConfigurationError, match="directory of the database must be writable"):
        await open_store(tmp_path / "pushkeep.db", MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())


async def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "pushkeep.db", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be created or written"):
            await open_store(path, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())


async def test_opening_a_database_twice_leaves_the_locks_of_the_first_one(tmp_path: Path) -> None:
    """By POSIX closing any descriptor of a file drops all locks that the process holds on it, SQLite's among them: the
    next process to look would find nobody there, and fold the log that is in use."""
    path = tmp_path / "pushkeep.db"
    fold = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('PRAGMA journal_mode = DELETE')"
    async with opened(path):
        files.prepare(path)
        command = [sys.executable, "-I", "-S", "-c", fold, str(path)]
        found = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=30)
        assert b"database is locked" in found.stderr


def test_a_lock_that_is_never_released_is_said_clearly(tmp_path: Path) -> None:
    path = tmp_path / "pushkeep.db"
    with (
        files.opening_lock(path),
        pytest.raises(Unavailable, match="Another process"),
        files.opening_lock(path, wait_seconds=0.1),
    ):
        pass
    with files.opening_lock(path, wait_seconds=0.1):
        pass


async def test_one_damaged_row_does_not_hide_the_others(tmp_path: Path) -> None:
    path = tmp_path / "pushkeep.db"
    async with opened(path) as store:
        project = await store.ensure_project(new_project())
        await store.register(project, registration(subscription("one")))
        await store.register(project, registration(subscription("two")))

        def swap(connection: Connection) -> None:
            connection.execute(
                text("UPDATE subscriptions SET sealed = (SELECT sealed FROM subscriptions WHERE id = 2) WHERE id = 1")
            )

        await store.writer.run(swap)
        first, second = await sendable(store, project)
        assert first.subscription is None, "a blob moved to another row does not open"
        assert second.subscription == subscription("two")


async def test_a_stolen_file_tells_nothing(tmp_path: Path) -> None:
    path = tmp_path / "pushkeep.db"
    async with opened(path) as store:
        new = new_project(
            identity_secret=b"IDENTITY-SECRET-0123456789abcdef", sync_secret=b"SYNC-SECRET-0123456789abcdef0123"
        )
        project = await store.ensure_project(new)
        await store.register(project, registration(subscription("capability-token", auth=b"SECRET-AUTH-0123")))
        content = path.read_bytes() + Path(f"{path}-wal").read_bytes()
    for secret in (
        b"capability-token",
        b"SECRET-AUTH",
        BROWSER_KEY,
        b"IDENTITY-SECRET",
        b"SYNC-SECRET",
        b"PRIVATE KEY",
    ):
        assert secret not in content


async def test_what_has_ended_is_erased_from_the_files(tmp_path: Path) -> None:
    path = tmp_path / "pushkeep.db"
    async with opened(path) as store:
        project = await store.ensure_project(new_project())
        record = (await store.register(project, registration(subscription()))).record
        sealed = await store._read(lambda c: bytes(c.execute(text("SELECT sealed FROM subscriptions")).scalar_one()))
        assert sealed in Path(f"{path}-wal").read_bytes() + path.read_bytes()
        await store.end_subscription(project, AnyId(record.public_id, None), StateReason(Event.LEFT, NOW))
        async with asyncio.timeout(30):
            while sealed in Path(f"{path}-wal").read_bytes() + path.read_bytes():  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.05)  # the writer truncates the log once it is idle
        assert sealed[5:] not in path.read_bytes()
        found = await store.find_subscription(project, AnyId(record.public_id, None))
        assert found is not None
        assert found.state_reason == StateReason(Event.LEFT, NOW)


async def test_ids_are_never_given_twice(tmp_path: Path) -> None:
    async with opened(tmp_path / "pushkeep.db") as store:
        project = await store.ensure_project(new_project())
        first = (await store.register(project, registration(subscription("one")))).record
        await store.writer.run(lambda connection: connection.execute(text("DELETE FROM lifecycle")) and None)
        await store.writer.run(lambda connection: connection.execute(text("DELETE FROM subscriptions")) and None)
        second = (await store.register(project, registration(subscription("two")))).record
        assert second.id > first.id


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "pushkeep.db"
    async with opened(path) as store:
        await store.writer.run(
            lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'")) and None
        )
    with pytest.raises(ConfigurationError, match="9999"):
        await open_store(path, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())


STARTER = """
import asyncio, sys
from pathlib import Path
from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.adapters.store import open_store
from tests.store.doubles import MASTER_KEY
from tests.store.samples import new_project, registration, subscription

async def main() -> None:
    name = sys.argv[2]
    store = await open_store(Path(sys.argv[1]), MASTER_KEY, clock=SystemClock(), entropy=SystemEntropy())
    entropy = SystemEntropy()
    project = await store.ensure_project(new_project(publishable_key=f"pk_{name:0>24}"))
    (key,) = await store.signing_keys(project)
    async def one(number: int) -> None:
        asked = registration(subscription(f"{number}"), key.id)
        from dataclasses import replace
        from pushkeep.domain.ids import short_id, uuid7
        asked = replace(
            asked,
            public_id=str(uuid7(1.8e9, entropy.token_bytes(10))),
            short_ids=tuple(short_id(entropy.token_bytes(16)) for _ in range(4)),
        )
        await store.register(project, asked)
    await asyncio.gather(*(one(number) for number in range(100)))
    print(project.public_id, project.publishable_key)
    await store.aclose()

asyncio.run(main())
"""


async def test_processes_that_start_at_once_share_one_database(tmp_path: Path) -> None:
    path = tmp_path / "pushkeep.db"
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            STARTER,
            str(path),
            str(number),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for number in range(3)
    ]
    async with asyncio.timeout(120):
        answers = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1, "one project, made once"
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*), count(DISTINCT endpoint_hash) FROM subscriptions").fetchone() == (
        100,
        100,
    )
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
