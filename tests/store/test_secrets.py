"""Changing the keys: everything opens at every moment, whoever is killed or stands still, and the old key goes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from pushkeep.adapters.store import SqliteStore, open_store, open_store_inline, reseal_units
from pushkeep.adapters.store.fence import READ_AGAIN_SECONDS
from pushkeep.adapters.store.master_units import master_keys_of
from pushkeep.adapters.store.sqlite import open_store_to_read
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, StateReason, SubscriptionRecord
from pushkeep.errors import ConfigurationError, Conflict, Unavailable
from pushkeep.ports import ResultUpdate
from pushkeep.ports.secrets import RemadePage, SecretKind
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.samples import NOW, new_notification, new_project, registration, subscription

OTHER_MASTER = b"n" * 32
LATER = NOW + 3_600
DEEP = int(os.environ.get("PUSHKEEP_TEST_RESEALS", "4"))
"""How many interrupted runs are drawn; more of them by hand."""


async def opened(path: Path, master: bytes = MASTER_KEY, seed: int = 1, **more: object) -> SqliteStore:
    return await open_store(path, master, clock=FakeClock(), entropy=SeededEntropy(seed), **more)  # type: ignore[arg-type]


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    return tmp_path / "pushkeep.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = await opened(path)
    yield store
    await store.aclose()


@pytest.fixture
async def other(path: Path, store: SqliteStore) -> AsyncIterator[SqliteStore]:
    """The same database in another process."""
    other = await opened(path, seed=2)
    yield other
    await other.aclose()


async def filled(store: SqliteStore, project: Project, names: str) -> list[SubscriptionRecord]:
    found = [await store.register(project, registration(subscription(name))) for name in names]
    return [one.record for one in found]


async def all_open(store: SqliteStore, project: Project, rows: list[SubscriptionRecord], names: str) -> None:
    for row, name in zip(rows, names, strict=True):
        found = await store.find_recipient(project, AnyId(row.public_id, None))
        assert found is not None
        assert found.subscription == subscription(name)
    assert (await store.project_secrets(project)).identity == b"i" * 32
    assert len(await store.signing_keys(project)) == 1


async def remade(store: SqliteStore, limit: int = 2) -> list[RemadePage]:
    """Every page until the end of it."""
    pages = []
    while (page := await store.remake_page(limit=limit)).kind is not None:
        pages.append(page)
        if page.removed is not None or page.left:
            break
    return pages


def blob_keys(path: Path) -> set[bytes]:
    """The ids of all keys that anything in the database is sealed with."""
    columns = {
        "subscriptions": ("sealed",),
        "projects": ("identity_secret", "sync_secret"),
        "signing_keys": ("private_key",),
        "notifications": ("content", "payload"),
        "consents": ("content",),
    }
    with sqlite3.connect(path) as connection:
        return {
            row[0][1:5]
            for table, names in columns.items()
            for name in names
            for row in connection.execute(f"SELECT {name} FROM {table} WHERE {name} IS NOT NULL")
        }


async def test_a_fresh_data_key_seals_at_once_and_the_old_one_goes_when_nothing_is_left(
    store: SqliteStore, project: Project, path: Path
) -> None:
    rows = await filled(store, project, "abc")
    new = new_notification(Target.everyone())
    await store.accept(project, new, backlog_max=100, lease_owner=None)
    before = (await store.secrets_status()).keys
    fresh = await store.rotate_secret(SecretKind.DATA, now=LATER)
    rows += await filled(store, project, "d")
    (retiring,) = (await store.secrets_status()).retiring
    assert retiring.retiring_at == LATER
    assert blob_keys(path) == {bytes.fromhex(fresh), bytes.fromhex(retiring.key_id)}
    await all_open(store, project, rows, "abcd")
    pages = await remade(store)
    assert pages[-1].removed == retiring.key_id
    assert sum(page.remade for page in pages) == 3 + 1 + 1 + 1, "subscriptions, project, signing key, notification"
    assert blob_keys(path) == {bytes.fromhex(fresh)}
    after = (await store.secrets_status()).keys
    assert {key.key_id for key in before} - {key.key_id for key in after} == {retiring.key_id}
    assert await store.remake_page(limit=2) == RemadePage(None)
    await all_open(store, project, rows, "abcd")
    assert await store.content_of(project, new.public_id) == new.content
    again = await opened(path, seed=3)
    await all_open(again, project, rows, "abcd")
    await again.aclose()


async def test_what_keeps_an_old_key_is_counted_while_others_write(
    store: SqliteStore, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A count of a million takes seconds, and tombstones keep an old key for months, with a look every day."""
    counted: list[bool] = []
    count = reseal_units._left_of

    def watched(connection: Connection, key: Any) -> Any:
        counted.append(connection.engine is store._writing)
        return count(connection, key)

    monkeypatch.setattr(reseal_units, "_left_of", watched)
    rows = await filled(store, project, "ab")
    await store.end_subscription(project, AnyId(rows[0].public_id, None), StateReason(Event.LEFT, LATER))
    assert await store.remaking_over() is None
    await store.rotate_secret(SecretKind.LOOKUP, now=LATER)
    assert await store.remaking_over() is False
    assert (await remade(store))[-1].left == 1
    assert await store.remaking_over() is True
    assert (await remade(store))[-1].left == 1
    assert counted == [False, False]
    await store.forget_tombstones(after=0, limit=10)
    assert (await remade(store))[-1].removed is not None
    assert counted == [False, False, False, True], "before a key goes it is counted where nobody can write"


async def test_one_change_at_a_time(store: SqliteStore, project: Project) -> None:
    await store.rotate_secret(SecretKind.DATA, now=LATER)
    with pytest.raises(Conflict, match="still on its way out"):
        await store.rotate_secret(SecretKind.DATA, now=LATER)
    await store.add_master_key(OTHER_MASTER, now=LATER)
    with pytest.raises(Conflict, match="master key is being changed"):
        await store.rotate_secret(SecretKind.LOOKUP, now=LATER)
    with pytest.raises(Conflict, match="erasure key is not changed"):
        await store.rotate_secret(SecretKind.ERASURE, now=LATER)


async def test_another_process_sees_a_change_before_it_does_anything(
    store: SqliteStore, other: SqliteStore, project: Project, path: Path
) -> None:
    """However long it stood still: it held a key that is gone, and would seal what nobody can open."""
    rows = await filled(other, project, "a")
    fresh = await store.rotate_secret(SecretKind.DATA, now=LATER)
    await remade(store)
    rows += await filled(other, project, "b")
    assert blob_keys(path) == {bytes.fromhex(fresh)}
    await all_open(store, project, rows, "ab")
    await all_open(other, project, rows, "ab")


async def test_a_read_that_began_before_a_change_opens_what_it_sees(
    store: SqliteStore, other: SqliteStore, project: Project
) -> None:
    (row,) = await filled(store, project, "a")
    assert other._reading is not None
    with other._reading.begin() as frozen:
        await store.rotate_secret(SecretKind.DATA, now=LATER)
        await store.rotate_secret(SecretKind.LOOKUP, now=LATER)
        await remade(store), await remade(store)
        await filled(other, project, "b")  # by which that process learns of the new keys
        found = frozen.exec_driver_sql("SELECT endpoint_hash, sealed FROM subscriptions").one()
        vault = other._vault
        assert vault.open_subscription(project.public_id, found[0], found[1]) == subscription("a")
        assert found[0] in vault.endpoint_hashes(subscription("a").endpoint)
    await all_open(other, project, [row], "a")


@pytest.mark.parametrize("kind", [SecretKind.DATA, SecretKind.LOOKUP])
@given(cuts=st.lists(st.integers(0, 30), max_size=4), limit=st.integers(1, 5), late=st.integers(0, 8))
@settings(max_examples=DEEP, deadline=None)
def test_interrupted_anywhere_it_ends_alike(kind: SecretKind, cuts: list[int], limit: int, late: int) -> None:
    """Killed between two pages, or taken over by another process, with somebody new after any page."""

    async def work() -> None:
        clock = FakeClock()
        store = open_store_inline(None, MASTER_KEY, clock=clock, entropy=SeededEntropy())
        project = await store.ensure_project(new_project())
        rows, names = await filled(store, project, "abcdefg"), "abcdefg"
        await store.rotate_secret(kind, now=LATER)
        for count in cuts:
            for _ in range(count % 5):
                await store.remake_page(limit=limit)
            _rolled_back(store, limit)
        for step in range(60):
            if step == late:
                rows, names = rows + await filled(store, project, "h"), names + "h"
            page = await store.remake_page(limit=limit)
            if page.removed is not None and step >= late:
                break
        await all_open(store, project, rows, names)
        again = [await store.register(project, registration(subscription(name))) for name in names]
        assert [one.record.id for one in again] == [row.id for row in rows]
        assert not (await store.secrets_status()).retiring
        await store.aclose()

    asyncio.run(work())


def _rolled_back(store: SqliteStore, limit: int) -> None:
    """A page whose process was killed before its commit."""
    with store._writing.connect() as connection:
        transaction = connection.begin()
        reseal_units.remake_page(connection, store._vault, limit, {})
        transaction.rollback()


async def test_while_the_lookup_key_changes_an_endpoint_has_one_row(store: SqliteStore, project: Project) -> None:
    rows = await filled(store, project, "abc")
    await store.rotate_secret(SecretKind.LOOKUP, now=LATER)
    for limit in (1, 1, 5):
        again = [await store.register(project, registration(subscription(name))) for name in "abc"]
        assert [(one.record.id, one.created) for one in again] == [(row.id, False) for row in rows]
        await store.remake_page(limit=limit)


async def test_while_the_lookup_key_changes_other_keys_of_an_endpoint_are_refused(
    store: SqliteStore, project: Project
) -> None:
    (row,) = await filled(store, project, "a")
    await store.rotate_secret(SecretKind.LOOKUP, now=LATER)
    thief = subscription("a", auth=b"x" * 16)
    with pytest.raises(Conflict) as refused:
        await store.register(project, registration(thief))
    assert refused.value.reason == "other_secrets"
    moved = await store.register(project, registration(thief, replaces=row.public_id, now=LATER))
    assert moved.record.id == row.id
    pages = await remade(store)
    assert [page.removed for page in pages][-1] is not None, "what was written meanwhile is hashed with the new key"
    with pytest.raises(Conflict):
        await store.register(project, registration(subscription("a")))


async def test_tombstones_keep_the_old_lookup_key_until_they_are_forgotten(
    store: SqliteStore, project: Project
) -> None:
    rows = await filled(store, project, "abc")
    left = StateReason(Event.LEFT, NOW)
    await store.end_subscription(project, AnyId(rows[0].public_id, None), left)
    await store.end_subscription(project, AnyId(rows[1].public_id, None), left)
    await store.rotate_secret(SecretKind.LOOKUP, now=LATER)
    assert (await remade(store))[-1].left == 2
    (retiring,) = (await store.secrets_status()).retiring
    assert retiring.remaking is not None
    assert (retiring.remaking.over, retiring.remaking.unreadable) == (True, 0)
    back = await store.register(project, registration(subscription("a"), now=LATER))
    assert back.record.id == rows[0].id, "who comes back is known again by the old hash"
    assert (await remade(store))[-1].left == 1
    page = await store.forget_tombstones(after=0, limit=10)
    assert (page.moved, page.last) == (1, None)
    assert (await remade(store))[-1].removed == retiring.key_id
    new = await store.register(project, registration(subscription("b"), now=LATER))
    assert (new.created, new.record.id) == (True, rows[2].id + 1)


async def test_who_is_being_erased_stays_marked_while_tombstones_are_forgotten(
    store: SqliteStore, project: Project
) -> None:
    (row,) = await filled(store, project, "a")
    subject = await store.find_subject(project, subscription=AnyId(row.public_id, None))
    assert subject is not None
    await store.stop_subject(project, subject)
    await store.rotate_secret(SecretKind.LOOKUP, now=LATER)
    assert (await store.forget_tombstones(after=0, limit=10)).moved == 0
    page = await store.erase_subscriptions(project, subject, limit=10)
    assert page.counts.subscriptions == 1
    assert (await remade(store))[-1].removed


async def test_a_found_signing_key_meets_its_twin_under_another_lookup_key(
    store: SqliteStore, project: Project
) -> None:
    """Two rows of one endpoint, each with a signing key of its own and hashed with another lookup key, become one."""
    second = await store.writer.run(_second_key)
    (old,) = await filled(store, project, "a")
    await store.rotate_secret(SecretKind.LOOKUP, now=LATER)
    twin = (await store.register(project, registration(subscription("a"), second))).record
    update = ResultUpdate(old.id, old.version, Event.KEY_FOUND, signing_key_id=second)
    assert await store.apply_results(project, [update], now=LATER) == {old.id}
    found = await store.find_subscription(project, AnyId(old.public_id, None))
    assert found is not None
    assert (found.living, found.superseded_by) == (False, twin.id)


def _second_key(connection: object) -> int:
    from tests.store.test_lives import _second_key as second

    return second(connection)  # type: ignore[arg-type]


async def test_what_is_damaged_keeps_the_old_key_and_is_named(store: SqliteStore, project: Project, path: Path) -> None:
    rows = await filled(store, project, "ab")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE subscriptions SET sealed = substr(sealed, 1, 60) WHERE id = ?", (rows[0].id,))
        whole = connection.execute("SELECT identity_secret, sync_secret FROM projects").fetchone()
        broken = "identity_secret = substr(identity_secret, 1, 20), sync_secret = substr(sync_secret, 1, 20)"
        connection.execute(f"UPDATE projects SET {broken}")
    await store.rotate_secret(SecretKind.DATA, now=LATER)
    for _ in range(2):  # the second time nothing is walked through again: what is left has been found
        assert (await remade(store))[-1].left == 2
        (retiring,) = (await store.secrets_status()).retiring
        assert retiring.remaking is not None
        assert retiring.remaking.over
        named = (f"subscriptions {rows[0].id}", f"projects {project.id}")
        assert (retiring.remaking.unreadable, retiring.remaking.examples) == (2, named)
    await store.end_subscription(project, AnyId(rows[0].public_id, None), StateReason(Event.REMOVED, NOW))
    with sqlite3.connect(path) as connection:  # sealed with the old key as they are, so one more walk is for them
        connection.execute("UPDATE projects SET identity_secret = ?, sync_secret = ?", whole)
        connection.execute("UPDATE sealing_keys SET cursor = ''")
    assert (await remade(store))[-1].removed == retiring.key_id


async def test_a_master_key_is_changed_without_a_moment_at_which_none_opens(
    store: SqliteStore, project: Project, path: Path
) -> None:
    rows = await filled(store, project, "a")
    new_id = await store.add_master_key(OTHER_MASTER, now=LATER)
    assert await store.add_master_key(OTHER_MASTER, now=LATER) == new_id, "once more changes nothing"
    status = await store.secrets_status()
    assert status.next_master_key_id == new_id
    assert master_keys_of(path) == {status.master_key_id: True, new_id: True}
    with pytest.raises(Conflict, match="old master key"):
        await store.finish_master_key()
    new = await opened(path, OTHER_MASTER)
    assert await new.finish_master_key() == 1
    assert await new.finish_master_key() == 0
    assert (await new.secrets_status()).master_since == LATER
    assert master_keys_of(path) == {new_id: True}
    await all_open(new, project, rows, "a")
    with pytest.raises(ConfigurationError, match="is not the one this database was made with"):
        await opened(path)
    with pytest.raises(ConfigurationError, match="is not the one this database was made with"):
        await open_store_to_read(path, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    rows += await filled(store, project, "b")  # who has opened it before goes on
    await all_open(new, project, rows, "ab")
    for kind in (SecretKind.DATA, SecretKind.LOOKUP):  # but makes no keys that only the old one would open
        with pytest.raises(ConfigurationError, match="is not the one this database was made with"):
            await store.rotate_secret(kind, now=LATER)
    assert master_keys_of(path) == {new_id: True}
    await new.rotate_secret(SecretKind.DATA, now=LATER)
    with pytest.raises(Unavailable, match="restart it with the new one"):
        await store.register(project, registration(subscription("c")))
    with pytest.raises(Unavailable, match="restart it with the new one"):
        await store.find_subscription(project, AnyId(rows[0].public_id, None))
    await new.aclose()


async def test_a_process_reads_an_exchanged_master_key_again(path: Path, store: SqliteStore, project: Project) -> None:
    old = await opened(path, read_again=lambda: OTHER_MASTER)
    await store.add_master_key(OTHER_MASTER, now=LATER)
    new = await opened(path, OTHER_MASTER)
    await new.finish_master_key()
    await new.rotate_secret(SecretKind.DATA, now=LATER)
    rows = await filled(old, project, "a")
    await all_open(new, project, rows, "a")
    assert (await old.secrets_status()).master_key_id == (await new.secrets_status()).master_key_id
    await old.aclose()
    await new.aclose()


async def test_who_reads_the_master_key_again_keeps_nobody_from_writing(
    path: Path, store: SqliteStore, project: Project
) -> None:
    """It may come from a program, which takes its time; and which is not run for each transaction."""
    answers = [MASTER_KEY, OTHER_MASTER]

    def read_again() -> bytes:
        with sqlite3.connect(path, timeout=0, isolation_level=None) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        return answers.pop(0)

    clock = FakeClock()
    old = await open_store(path, MASTER_KEY, clock=clock, entropy=SeededEntropy(3), read_again=read_again)
    await store.add_master_key(OTHER_MASTER, now=LATER)
    new = await opened(path, OTHER_MASTER)
    await new.finish_master_key()
    await new.rotate_secret(SecretKind.DATA, now=LATER)
    for _ in range(2):
        with pytest.raises(Unavailable, match="restart it with the new one"):
            await filled(old, project, "a")
    assert answers == [OTHER_MASTER]
    clock.time += READ_AGAIN_SECONDS
    rows = await filled(old, project, "a")
    await all_open(new, project, rows, "a")
    await old.aclose()
    await new.aclose()


async def test_a_change_of_the_master_key_is_taken_back(store: SqliteStore, path: Path) -> None:
    with pytest.raises(Conflict, match="is not being changed"):
        await store.cancel_master_key()
    await store.add_master_key(OTHER_MASTER, now=LATER)
    with pytest.raises(Conflict, match="being changed to another one"):
        await store.add_master_key(b"o" * 32, now=LATER)
    new = await opened(path, OTHER_MASTER)
    with pytest.raises(Conflict, match="new master key"):
        await new.cancel_master_key()
    await new.aclose()
    await store.cancel_master_key()
    assert set(master_keys_of(path).values()) == {True}
    with pytest.raises(ConfigurationError):
        await opened(path, OTHER_MASTER)


async def test_the_master_key_in_use_and_one_of_another_length_are_refused(store: SqliteStore) -> None:
    with pytest.raises(ConfigurationError, match="the one in use"):
        await store.add_master_key(MASTER_KEY, now=LATER)
    with pytest.raises(ConfigurationError, match="must be 32 octets"):
        await store.add_master_key(b"short", now=LATER)


@pytest.mark.parametrize("content", [None, b"", b"no database"])
def test_a_file_that_is_no_database_knows_no_master_key(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "some.db"
    if content is not None:
        file.write_bytes(content)
    assert master_keys_of(file) == {}
