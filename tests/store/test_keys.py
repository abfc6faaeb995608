"""The KeyStore contract on SQLite; and what several processes with one file, and the file itself, show of keys."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from pushkeep.adapters.store import SqliteStore, open_store
from pushkeep.domain.project import KeyState, Project
from pushkeep.domain.subscription import State
from pushkeep.errors import Conflict
from pushkeep.protocol.signing_key import SigningKey
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.key_contract import LATER, KeyContract, active, browsers, rotated, states
from tests.store.samples import new_project

PROCESSES = 3


@pytest.mark.parametrize("store", ["file", "memory", "inline"], indirect=True)
class TestKeys(KeyContract):
    pass


@pytest.fixture
async def stores(tmp_path: Path, clock: FakeClock) -> AsyncIterator[list[SqliteStore]]:
    """Several stores on one file: writer threads and connections of their own, as processes have them."""
    async with AsyncExitStack() as stack:
        opened = []
        for seed in range(PROCESSES):
            store = await open_store(tmp_path / "pushkeep.db", MASTER_KEY, clock=clock, entropy=SeededEntropy(seed))
            stack.push_async_callback(store.aclose)
            opened.append(store)
        await opened[0].ensure_project(new_project())
        yield opened


@pytest.fixture
async def shared(stores: list[SqliteStore]) -> Project:
    project = await stores[0].default_project()
    assert project is not None
    return project


async def test_every_process_sees_the_new_key_as_soon_as_the_rotation_has_returned(
    stores: list[SqliteStore], shared: Project
) -> None:
    for store in stores:  # each has read the old one, and could remember it
        assert len(await store.signing_keys(shared)) == 1
    for number in range(6):
        now_active, before = await rotated(stores[number % PROCESSES], shared)
        for store in stores:
            seen, *others = await store.signing_keys(shared)
            assert (seen.id, seen.key.public_bytes) == (now_active.id, now_active.public_bytes)
            assert before.id in {key.id for key in others}


async def test_of_processes_that_rotate_at_once_one_does(stores: list[SqliteStore], shared: Project) -> None:
    for _ in range(5):
        expected = (await active(stores[0], shared)).id
        answers = await asyncio.gather(
            *(
                store.rotate_keys(shared, expected=expected, fresh=SigningKey.generate(), leaked=False, now=LATER)
                for store in stores
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, Conflict) for answer in answers) == PROCESSES - 1
    keys = await stores[0].list_keys(shared)
    assert [key.state for key in keys] == [KeyState.RETIRING] * 5 + [KeyState.ACTIVE]


async def test_a_retirement_cut_short_is_finished_by_whoever_asks_again(
    stores: list[SqliteStore], shared: Project
) -> None:
    """The process dies after the key is out of use and after some of those bound to it were given up."""
    old = await active(stores[0], shared)
    await browsers(stores[0], shared, old.id, 5)
    await rotated(stores[0], shared)
    await stores[0].retire_key(shared, old.id, force=True, now=LATER)
    assert await stores[0].give_up_bound(shared, old.id, limit=2, now=LATER) == 2
    await stores[0].aclose()
    assert old.id not in {key.id for key in await stores[1].signing_keys(shared)}
    assert (await stores[1].retire_key(shared, old.id, force=True, now=LATER)).state is KeyState.RETIRED
    assert await stores[1].give_up_bound(shared, old.id, limit=10, now=LATER) == 3
    assert await states(stores[2], shared) == [State.NEEDS_RENEWAL] * 5


async def test_the_private_half_of_a_retired_key_is_nowhere_in_the_file(
    stores: list[SqliteStore], shared: Project, tmp_path: Path
) -> None:
    path = tmp_path / "pushkeep.db"
    (held,) = [key.key for key in await stores[0].signing_keys(shared)]
    with closing(sqlite3.connect(path)) as database:
        ((sealed,),) = database.execute("SELECT private_key FROM signing_keys").fetchall()
    _, before = await rotated(stores[0], shared)
    await stores[0].retire_key(shared, before.id, force=False, now=LATER)
    for store in stores:
        await store.aclose()
    files = [file.read_bytes() for file in tmp_path.iterdir() if file.name.startswith(path.name)]
    assert files
    for content in files:
        assert sealed not in content
        assert held.to_pem().encode() not in content
    with closing(sqlite3.connect(path)) as database:
        kept = database.execute("SELECT private_key FROM signing_keys WHERE state = 'retired'").fetchall()
    assert kept == [(b"",)]
