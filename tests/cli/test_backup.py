"""``pushkeep backup`` and ``pushkeep restore``: as an operator does it, and what goes wrong then."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.adapters.store import open_store
from pushkeep.adapters.store.master_units import master_keys_of
from pushkeep.adapters.store.sealing import master_key_id
from pushkeep.compose import open_project
from pushkeep.compose.backup import restore_backup
from pushkeep.config import load_settings
from pushkeep.domain.ids import AnyId
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.pushservice import PushService
from tests.cli.conftest import Cli, Stored
from tests.cli.inside import cli_inside
from tests.cli.standing import standing
from tests.processes.helpers import new_visitor, stopped
from tests.store.nowhere import assert_nowhere
from tests.store.samples import new_project

HOLDS_IT = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('select * from projects').fetchone(); "
HOLDS_IT += "print('open', flush=True); sys.stdin.read()"


@pytest.fixture
def cli(tmp_path: Path, environment: dict[str, str]) -> Cli:
    """In this process: there are many of them."""
    return cli_inside(environment, tmp_path)


async def visitor(stored: Stored, service: PushService) -> str:
    """One more, whose short id is told."""
    settings = load_settings(overrides={"data_dir": stored.data_dir}, environ={})
    async with open_project(settings) as (services, project):
        return (await new_visitor(services, project, service))[1]


async def known(stored: Stored, short_id: str) -> bool:
    settings = load_settings(overrides={"data_dir": stored.data_dir}, environ={})
    async with open_project(settings) as (services, project):
        return await services.store.find_subscription(project, AnyId.parse(short_id)) is not None


def kept(stored: Stored) -> list[Path]:
    return sorted(stored.data_dir.glob("pushkeep.db.before-restore-*"))


async def test_a_backup_is_restored_and_what_was_there_is_kept(
    cli: Cli, stored: Stored, service: PushService, tmp_path: Path
) -> None:
    file = tmp_path / "backup.db"
    made = await cli("backup", file, *stored.at)
    assert (made.status, "1 opened and signed for" in made.out) == (0, True), made.err
    later = await visitor(stored, service)
    verified = await cli("backup", "verify", file, *stored.at, "--json")
    assert json.loads(verified.out)["living"] == 1
    done = await cli("restore", file, *stored.at, "--json")
    assert done.status == 0, done.err
    assert [str(path) for path in kept(stored)] == [json.loads(done.out)["kept"]]
    assert (await known(stored, stored.short_id), await known(stored, later)) == (True, False)
    sent = await cli("send", stored.short_id, "--title", "Hello", *stored.at)
    assert sent.status == 0, sent.err
    again = await cli("restore", kept(stored)[0], *stored.at)
    assert again.status == 0, again.err
    assert await known(stored, later)


@contextlib.asynccontextmanager
async def open_elsewhere(database: Path) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDS_IT,
        str(database),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"open\n"
        yield
    finally:
        await stopped(process)


async def test_nothing_is_restored_while_a_process_has_the_database_open(
    cli: Cli, stored: Stored, tmp_path: Path
) -> None:
    file = tmp_path / "backup.db"
    assert (await cli("backup", file, *stored.at)).status == 0
    database = stored.data_dir / "pushkeep.db"
    async with open_elsewhere(database):
        before = standing(stored.data_dir)
        refused = await cli("restore", file, *stored.at)
        assert (refused.status, refused.out) == (2, "")
        assert "has" in refused.err
        assert "open; stop the server" in refused.err
        database.write_bytes(database.read_bytes()[:4000])  # what is damaged is in use as well
        assert "open; stop the server" in (await cli("restore", file, *stored.at)).err
    assert set(standing(stored.data_dir)) == set(before)
    assert not kept(stored)
    assert (await cli("restore", file, *stored.at)).status == 0


async def test_a_damaged_database_is_replaced_with_its_journal_and_kept(
    cli: Cli, stored: Stored, tmp_path: Path
) -> None:
    file, database = tmp_path / "backup.db", stored.data_dir / "pushkeep.db"
    assert (await cli("backup", file, *stored.at)).status == 0
    database.write_bytes(b"not a database any more")
    for ending in ("-wal", "-shm"):
        database.with_name(database.name + ending).write_bytes(b"of the damaged one")
    done = await cli("restore", file, *stored.at)
    assert done.status == 0, done.err
    assert [path.read_bytes() for path in kept(stored) if path.suffix.count("-") == 3]
    assert b"not a database any more" in [path.read_bytes() for path in kept(stored)]
    assert not list(stored.data_dir.glob("pushkeep.db-*"))
    assert await known(stored, stored.short_id)


async def test_a_new_machine_needs_the_master_key_and_nothing_else(cli: Cli, stored: Stored, tmp_path: Path) -> None:
    file, fresh = tmp_path / "backup.db", tmp_path / "fresh"
    assert (await cli("backup", file, *stored.at)).status == 0
    refused = await cli("restore", file, "--data-dir", fresh)
    assert (refused.status, "master.key does not exist" in refused.err) == (2, True)
    assert not fresh.exists()
    key = (stored.data_dir / "master.key").read_text().strip()
    assert "(id " in (await cli("restore", file, "--data-dir", fresh, PUSHKEEP_MASTER_KEY="A" * 43)).err
    assert not (fresh / "pushkeep.db").exists()
    (fresh / "pushkeep.db-wal").write_bytes(b"of another database")
    done = await cli("restore", file, "--data-dir", fresh, PUSHKEEP_MASTER_KEY=key)
    assert done.status == 0, done.err
    assert {path.name for path in fresh.iterdir()} == {"pushkeep.db", "pushkeep.db.lock"}


async def test_a_backup_from_before_the_master_key_changed_opens_with_the_old_one(
    cli: Cli, stored: Stored, tmp_path: Path
) -> None:
    file = tmp_path / "backup.db"
    assert (await cli("backup", file, *stored.at)).status == 0
    assert (await cli("secrets", "rotate-master", *stored.at)).status == 0
    (old,) = stored.data_dir.glob("master.key.old-*")
    before = standing(stored.data_dir)
    refused = await cli("restore", file, *stored.at)
    assert (refused.status, "--master-key-file" in refused.err) == (2, True)
    assert standing(stored.data_dir) == before
    done = await cli("restore", file, *stored.at, "--master-key-file", old)
    assert done.status == 0, done.err
    old.unlink()
    assert await known(stored, stored.short_id)
    newer = tmp_path / "newer.db"
    assert (await cli("backup", newer, *stored.at)).status == 0
    assert (await cli("backup", "verify", newer, *stored.at)).status == 0


@pytest.mark.parametrize("given", [1, 2])
async def test_a_backup_from_within_a_change_of_the_master_key_opens_with_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: int
) -> None:
    """And is brought under a third one, whichever of the two is still there."""
    keys = [bytes([number]) * 32 for number in range(4)]
    clock, entropy = SystemClock(), SystemEntropy()
    store = await open_store(tmp_path / "backup.db", keys[1], clock=clock, entropy=entropy)
    await store.ensure_project(new_project())
    await store.add_master_key(keys[2], now=clock.now())
    await store.aclose()
    old = tmp_path / "old.key"
    old.write_text(b64url_encode(keys[given]))
    old.chmod(0o600)
    monkeypatch.setenv("PUSHKEEP_MASTER_KEY", b64url_encode(keys[3]))
    settings = load_settings(overrides={"data_dir": tmp_path / "new", "contact": "mailto:a@example.com"})
    done = await restore_backup(settings, tmp_path / "backup.db", lambda *_: None, old_key_file=old)
    assert master_keys_of(done.database).keys() == {master_key_id(keys[3])}


async def test_who_was_erased_stays_erased(cli: Cli, stored: Stored, tmp_path: Path) -> None:
    settings = load_settings(overrides={"data_dir": stored.data_dir}, environ={})
    name = "hanna.schmidt@example.org"
    assert (await cli("contacts", "tag", name, "vip", *stored.at)).status == 0
    async with open_project(settings) as (services, project):
        assert await services.store.find_contact(project, name) is not None
    file = tmp_path / "backup.db"
    assert (await cli("backup", file, *stored.at)).status == 0
    assert name.encode() in file.read_bytes()
    assert (await cli("contacts", "erase", name, *stored.at)).status == 0
    done = await cli("restore", file, *stored.at)
    assert done.status == 0, done.err
    assert "Erased again: 1 contacts" in done.out
    assert_nowhere(stored.data_dir, [name])
    (stored.data_dir / "erasures.jsonl").unlink()
    newer = tmp_path / "newer.db"
    assert (await cli("backup", newer, *stored.at)).status == 0
    assert "is missing, or an old copy" in (await cli("restore", newer, *stored.at)).err


async def test_a_database_of_an_older_version_is_backed_up_before_it_is_changed(
    cli: Cli, stored: Stored, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(stored.data_dir / "pushkeep.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0004'")
    file = tmp_path / "backup.db"
    made = await cli("backup", file, *stored.at)
    assert (made.status, "only its pages were looked at" in made.out) == (0, True)
    verified = await cli("backup", "verify", file, *stored.at, "--json")
    assert json.loads(verified.out) == {"file": str(file)}


async def test_what_cannot_be_backed_up_or_restored_changes_nothing(cli: Cli, stored: Stored, tmp_path: Path) -> None:
    file, half = tmp_path / "backup.db", tmp_path / "half.db"
    assert (await cli("backup", file, *stored.at)).status == 0
    half.write_bytes(file.read_bytes()[:8192])
    broken = tmp_path / "broken.db"
    shutil.copyfile(file, broken)
    with contextlib.closing(sqlite3.connect(broken)) as connection, connection:
        connection.execute("UPDATE subscriptions SET sealed = zeroblob(200)")
    (tmp_path / "text.db").write_text("text")
    before = standing(tmp_path)
    for said, *arguments in (
        ("exists, and nothing is overwritten", "backup", file),
        ("cannot be written", "backup", tmp_path / "nowhere" / "backup.db"),
        ("cannot be read", "restore", tmp_path / "missing.db"),
        ("is no SQLite database", "restore", tmp_path / "text.db"),
        ("cannot be read", "restore", tmp_path),
        ("damaged", "restore", half),
        ("it does not open with this master key", "restore", broken),
        ("damaged", "backup", "verify", half),
        (f"subscription {stored.short_id}", "backup", "verify", broken),
    ):
        ran = await cli(*arguments, *stored.at)
        assert (ran.status, ran.out) == (2, ""), ran.text
        assert said in ran.err
        assert ran.err.count("\n") == 1
    assert standing(tmp_path) == before
