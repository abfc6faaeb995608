"""The Store contract on SQLite, in a file and in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pushkeep.adapters.store import open_store
from pushkeep.ports import Store
from tests.store.contract import StoreContract, project
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy

__all__ = ["project"]


class TestFile(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        store = await open_store(tmp_path / "pushkeep.db", MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
        yield store
        await store.aclose()


class TestMemory(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        store = await open_store(None, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
        yield store
        await store.aclose()
