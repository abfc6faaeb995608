"""A copy of the database: of one moment, whole or not there, and looked at to the last row."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pushkeep.adapters.new_file import name_it
from pushkeep.adapters.store import SqliteStore, open_store
from pushkeep.adapters.store.backup_check import DatabaseFacts, check_database
from pushkeep.adapters.store.backup_copy import copied
from pushkeep.adapters.store.migrate import MigrationPending
from pushkeep.adapters.store.sealing import Sealer
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.errors import ConfigurationError, InvalidInput
from pushkeep.protocol.signing_key import SigningKey
from tests.processes.helpers import until
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.samples import NOW, new_notification, new_project, registration, subscription


def sealer(key: bytes = MASTER_KEY) -> Sealer:
    return Sealer(key, SeededEntropy().token_bytes)


def quiet(phase: str, done: int, total: int | None) -> None:
    pass


def check(path: Path, key: bytes = MASTER_KEY) -> DatabaseFacts:
    return check_database(path, sealer(key), SeededEntropy(), quiet)


def backup(source: Path, target: Path) -> DatabaseFacts:
    with copied(source, target, "1", quiet) as copy:
        facts = check(copy)
        name_it(copy, target)
    return facts


@contextlib.contextmanager
def changed(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        yield connection


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "pushkeep.db"
    asyncio.run(_fill(path))
    return path


@pytest.fixture
def stored(made: Path, tmp_path: Path) -> Path:
    """A database with a little of everything."""
    return Path(shutil.copy(made, tmp_path))


async def _fill(path: Path) -> None:
    store = await open_store(path, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    project = await store.ensure_project(new_project())
    for name in ("one", "two", "three"):
        await store.register(project, registration(subscription(name), owner="anna"))
    ended = (await store.register(project, registration(subscription("gone")))).record
    left = StateReason(Event.LEFT, NOW)
    await store.end_subscription(project, AnyId(ended.public_id, None), left)
    await store.put_contact(project, "anna", ["vip"])  # whose table some versions of SQLite call damaged
    await store.accept(project, new_notification(Target.to_contacts(["anna"])), backlog_max=1000, lease_owner=None)
    key = (await store.signing_keys(project))[0]
    await store.rotate_keys(project, expected=key.id, fresh=SigningKey.generate(), leaked=False, now=NOW)
    await store.aclose()


async def test_a_backup_has_everything_and_belongs_to_its_user_alone(stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    facts = backup(stored, target)
    assert facts == DatabaseFacts(
        size_bytes=target.stat().st_size,
        signing_keys=2,
        living=3,
        awaiting_renewal=0,
        ended=1,
        notifications=1,
        consents=0,
        erasures=0,
    )
    assert check(target) == facts
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.glob("*backup.db*")} == {"backup.db"}, "one file, and nothing beside it"


async def test_it_is_of_one_moment_while_others_write(tmp_path: Path) -> None:
    """Each of two rows is written in one transaction with the other: a copy has both or none."""
    path = tmp_path / "pushkeep.db"
    store = await open_store(path, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    project = await store.ensure_project(new_project())
    writing = asyncio.create_task(_register_on_and_on(store, project))
    try:
        for number in range(3):
            await until(partial(_has_commits, store, (number + 1) * 20))
            target = tmp_path / f"backup{number}.db"
            facts = await asyncio.to_thread(backup, path, target)
            with changed(target) as connection:
                (entries,) = connection.execute("SELECT count(*) FROM lifecycle").fetchone()
            assert entries == facts.living > 0
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await store.aclose()


def _has_commits(store: SqliteStore, many: int) -> bool:
    return store.writer.commits >= many


async def _register_on_and_on(store: SqliteStore, project: Project) -> None:
    for number in range(100_000):
        await store.register(project, registration(subscription(f"n{number}")))


async def test_a_database_in_use_is_not_taken_for_a_backup(tmp_path: Path) -> None:
    """What is in the journal beside it would not be seen: it could be called sound with half of it missing."""
    path = tmp_path / "pushkeep.db"
    store = await open_store(path, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    with pytest.raises(InvalidInput, match=r"has a journal beside it, pushkeep\.db-wal"):
        check(path)
    await store.aclose()
    assert check(path).living == 0


async def test_nothing_is_overwritten(stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    with copied(stored, target, "1", quiet) as copy:
        target.write_text("mine")
        with pytest.raises(InvalidInput, match="exists, and nothing is overwritten"):
            name_it(copy, target)
    assert target.read_text() == "mine"
    assert not list(tmp_path.glob(".backup.db*"))


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "UPDATE subscriptions SET sealed = substr(sealed, 1, 30) || x'00' || substr(sealed, 32) WHERE id = 2",
            "is damaged",
        ),
        (
            "UPDATE subscriptions SET sealed = (SELECT sealed FROM subscriptions WHERE id = 1) WHERE id = 2",
            "does not open",
        ),
        ("UPDATE subscriptions SET sealed = NULL WHERE id = 2", "subscription .* does not open"),
        ("UPDATE subscriptions SET origin = 'https://other.example' WHERE id = 2", "its push service is another one"),
        ("UPDATE signing_keys SET public_key = zeroblob(65) WHERE id = 1", "its private half does not fit"),
        ("UPDATE signing_keys SET private_key = x'' WHERE id = 1", "signing key .* does not open"),
        ("UPDATE projects SET sync_secret = identity_secret", "a secret of the project"),
        ("UPDATE notifications SET content = payload", "notification .* does not open"),
        ("PRAGMA foreign_keys = OFF; UPDATE subscriptions SET signing_key_id = 99 WHERE id = 2", "is damaged"),
        ("DELETE FROM key_wraps", "is damaged"),
    ],
)
async def test_what_does_not_fit_is_named(stored: Path, tmp_path: Path, statement: str, says: str) -> None:
    target = tmp_path / "backup.db"
    backup(stored, target)
    with changed(target) as connection:
        connection.executescript(statement)
    with pytest.raises((InvalidInput, ConfigurationError), match=says):
        check(target)


async def test_a_subscription_of_a_retired_key_waits_for_its_browser(stored: Path) -> None:
    with changed(stored) as connection:
        connection.execute("UPDATE signing_keys SET state = 'retired', private_key = x'' WHERE id = 1")
    assert check(stored).awaiting_renewal == 3


async def test_every_damaged_page_is_found_or_harmless(stored: Path) -> None:
    """Wherever a page of the file is overwritten: it is said, or nothing that is kept is different."""
    sound, pages = check(stored), stored.stat().st_size // 4096
    content, said = stored.read_bytes(), []
    for page in range(pages):
        stored.write_bytes(content[: page * 4096] + b"\xa5" * 4096 + content[(page + 1) * 4096 :])
        try:
            found = check(stored)
        except (InvalidInput, ConfigurationError) as error:
            said.append(error.message)
        else:
            assert found == sound
    assert not [message for message in said if "\n" in message]
    assert len(said) >= pages * 0.9


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no SQLite database"),
        (b"not a database at all", "is no SQLite database"),
        (b"SQLite format 3\0" + bytes(200), "backup.db is damaged"),
    ],
)
def test_what_is_no_database_is_said_so(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "backup.db"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=says):
        check(path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        check(tmp_path / "missing.db")


async def test_half_a_file_another_key_and_another_schema(stored: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.db"
    half.write_bytes(stored.read_bytes()[: stored.stat().st_size // 2])
    with pytest.raises(InvalidInput, match="damaged"):
        check(half)
    with pytest.raises(ConfigurationError, match="is not the one this database was made with"):
        check(stored, bytes(32))
    with changed(stored) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0004'")
    with pytest.raises(MigrationPending):
        check(stored)
    with changed(stored) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="does not know"):
        check(stored)
    with changed(stored) as connection:
        connection.execute("DROP TABLE alembic_version")
    with pytest.raises(InvalidInput, match="not Pushkeep's"):
        check(stored)
