"""The ShardStore contract on SQLite: in a file, in memory, and without threads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pushkeep.adapters.store import SqliteStore, open_store, open_store_inline
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.shard_contract import ShardContract, project

__all__ = ["project"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class TestFile(ShardContract):
    @pytest.fixture
    async def store(self, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqliteStore]:
        store = await open_store(tmp_path / "pushkeep.db", MASTER_KEY, clock=clock, entropy=SeededEntropy())
        yield store
        await store.aclose()


class TestMemory(ShardContract):
    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[SqliteStore]:
        store = await open_store(None, MASTER_KEY, clock=clock, entropy=SeededEntropy())
        yield store
        await store.aclose()


class TestInline(ShardContract):
    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[SqliteStore]:
        store = open_store_inline(None, MASTER_KEY, clock=clock, entropy=SeededEntropy())
        yield store
        await store.aclose()
