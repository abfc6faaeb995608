"""The store under test, in memory unless a test says otherwise, its clock, and a project in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pushkeep.adapters.store import SqliteStore, open_store, open_store_inline
from pushkeep.adapters.store.migrate import migrate
from pushkeep.adapters.store.sqlite import _engine
from pushkeep.domain.project import Project
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.samples import new_project


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqliteStore]:
    """Another one for ``parametrize("store", ["file", "memory", "inline"], indirect=True)``."""
    kind, entropy = getattr(request, "param", "memory"), SeededEntropy()
    if kind == "inline":
        store = open_store_inline(None, MASTER_KEY, clock=clock, entropy=entropy)
    else:
        path = tmp_path / "pushkeep.db" if kind == "file" else None
        store = await open_store(path, MASTER_KEY, clock=clock, entropy=entropy)
    yield store
    await store.aclose()


@pytest.fixture
async def project(store: SqliteStore) -> Project:
    return await store.ensure_project(new_project())


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """A database in memory with every table, for units of work without a store."""
    engine = _engine(":memory:", "BEGIN IMMEDIATE", 1)
    with engine.begin() as connection:
        migrate(connection)
    yield engine
    engine.dispose()
