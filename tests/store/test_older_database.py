"""A database from before there were data keys: its secrets are sealed by the master key itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore, open_store
from pushkeep.adapters.store.migrate import migrate, migrate_down
from pushkeep.adapters.store.sealing import KeyRing, LookupKey, Sealer, Vault, wrap_context
from pushkeep.adapters.store.sqlite import _engine, open_store_to_read
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.errors import ConfigurationError
from pushkeep.protocol.signing_key import SigningKey
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.samples import NOW, registration, subscription

PUBLIC_ID = str(UUID(int=7 << 76 | 2 << 62 | 1))
KEY = SigningKey(SeededEntropy(12).ephemeral_key())


def _sealed_as_then() -> tuple[Sealer, Vault]:
    master = Sealer(MASTER_KEY, SeededEntropy(5).token_bytes)
    return master, Vault(KeyRing(0, master, {master.key_id: master}, (LookupKey(1, b"l" * 32),), b""))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Schema 0004, with a project, its signing key and two subscribers."""
    path, (master, vault) = tmp_path / "old.db", _sealed_as_then()
    engine = _engine(str(path), "BEGIN IMMEDIATE", 1)
    with engine.begin() as connection:
        migrate(connection, "0004")
        wrapped = master.seal(b"l" * 32, wrap_context("lookup"))
        connection.execute(
            text("INSERT INTO installation VALUES (1, :master, :lookup, :now)"),
            {"master": master.key_id, "lookup": wrapped, "now": NOW},
        )
        _insert_project(connection, vault)
        for number, name in enumerate(("one", "two"), 1):
            _insert_subscription(connection, vault, number, name)
    engine.dispose()
    return path


def _insert_project(connection: Connection, vault: Vault) -> None:
    connection.execute(
        text(
            "INSERT INTO projects (id, public_id, name, site_url, contact, publishable_key, identity_secret, "
            "sync_secret, created_at) VALUES (1, :public, 'Old', 'https://example.com', 'mailto:a@example.com', "
            "'pk_old', :identity, :sync, :now)"
        ),
        {
            "public": UUID(PUBLIC_ID).hex,
            "identity": vault.seal_secret(PUBLIC_ID, "identity", b"i" * 32),
            "sync": vault.seal_secret(PUBLIC_ID, "sync", b"s" * 32),
            "now": NOW,
        },
    )
    connection.execute(
        text(
            "INSERT INTO signing_keys (id, project_id, key_id, public_key, private_key, state, created_at) "
            "VALUES (1, 1, :key, :public, :private, 'active', :now)"
        ),
        {
            "key": KEY.key_id,
            "public": KEY.public_bytes,
            "private": vault.seal_secret(PUBLIC_ID, f"signing key {KEY.key_id}", KEY.to_pem().encode()),
            "now": NOW,
        },
    )


def _insert_subscription(connection: Connection, vault: Vault, number: int, name: str) -> None:
    one = subscription(name)
    endpoint_hash = vault.endpoint_hash(one.endpoint)
    connection.execute(
        text(
            "INSERT INTO subscriptions (id, project_id, public_id, short_id, signing_key_id, origin, vendor, "
            "endpoint_hash, keys_hash, sealed, state, created_at, last_seen_at) "
            "VALUES (:id, 1, :public, :short, 1, :origin, 'mozilla', :hash, :keys, :sealed, 'active', :now, :now)"
        ),
        {
            "id": number,
            "public": f"{number:032x}",
            "short": f"{number:08}",
            "origin": one.endpoint.origin,
            "hash": endpoint_hash,
            "keys": vault.keys_hash(one),
            "sealed": vault.seal_subscription(_project(), endpoint_hash, one),
            "now": NOW,
        },
    )


def _project() -> Project:
    return Project(1, PUBLIC_ID, "Old", "https://example.com", "pk_old", "mailto:a@example.com")


async def opened(path: Path, master: bytes = MASTER_KEY) -> SqliteStore:
    return await open_store(path, master, clock=FakeClock(), entropy=SeededEntropy())


async def everything_opens(store: SqliteStore) -> Project:
    project = await store.default_project()
    assert project is not None
    assert (await store.project_secrets(project)).sync == b"s" * 32
    (key,) = await store.signing_keys(project)
    assert key.key.public_bytes == KEY.public_bytes
    for number, name in enumerate(("one", "two"), 1):
        found = await store.find_recipient(project, AnyId(None, f"{number:08}"))
        assert found is not None
        assert found.subscription == subscription(name)
    return project


async def test_it_opens_and_moves_to_a_data_key(path: Path) -> None:
    store = await opened(path)
    project = await everything_opens(store)
    again = await store.register(project, registration(subscription("one")))
    assert (again.created, again.record.id) == (False, 1)
    status = await store.secrets_status()
    (retiring,) = status.retiring
    assert retiring.key_id == status.master_key_id, "the master key itself, on its way out as a data key"
    assert status.master_since == NOW
    while (page := await store.remake_page(limit=1)).removed is None:
        assert page.kind is not None
    assert page.removed == status.master_key_id
    await everything_opens(store)
    await store.aclose()
    with sqlite3.connect(path) as connection:
        heads = {row[0][1:5].hex() for row in connection.execute("SELECT sealed FROM subscriptions")}
    assert status.master_key_id not in heads
    store = await opened(path)
    await everything_opens(store)
    assert not (await store.secrets_status()).retiring
    await store.aclose()


async def test_its_master_key_can_be_changed_before_that(path: Path) -> None:
    store = await opened(path)
    await store.add_master_key(b"n" * 32, now=NOW)
    new = await opened(path, b"n" * 32)
    assert await new.finish_master_key() == 1
    await everything_opens(new)
    for one in (store, new):
        await one.aclose()


async def test_a_wrong_master_key_is_one_sentence_and_nothing_is_migrated(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="is not the one this database was made with") as caught:
        await opened(path, b"w" * 32)
    assert caught.value.field == "master_key"
    assert path.read_bytes() == before
    with pytest.raises(ConfigurationError, match="has schema 0004"):
        await open_store_to_read(path, b"w" * 32, clock=FakeClock(), entropy=SeededEntropy())
    store = await opened(path)
    await everything_opens(store)
    await store.aclose()


async def test_the_code_before_gets_nothing_that_it_cannot_open(path: Path) -> None:
    store = await opened(path)
    await store.aclose()
    engine = _engine(str(path), "BEGIN IMMEDIATE", 1)
    with pytest.raises(ConfigurationError, match="restore the backup made before"), engine.begin() as connection:
        migrate_down(connection, "0004")
    engine.dispose()
    store = await opened(path)
    await everything_opens(store)
    await store.aclose()
