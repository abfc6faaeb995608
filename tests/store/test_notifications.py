"""The NotificationStore contract on SQLite, in a file and in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pushkeep.adapters.store import SqliteStore, open_store
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.notification_contract import NotificationContract, project

__all__ = ["project"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class TestFile(NotificationContract):
    @pytest.fixture
    async def store(self, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqliteStore]:
        store = await open_store(tmp_path / "pushkeep.db", MASTER_KEY, clock=clock, entropy=SeededEntropy())
        yield store
        await store.aclose()


class TestMemory(NotificationContract):
    @pytest.fixture
    async def store(self, clock: FakeClock) -> AsyncIterator[SqliteStore]:
        store = await open_store(None, MASTER_KEY, clock=clock, entropy=SeededEntropy())
        yield store
        await store.aclose()
