from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pushkeep.pushservice import PushService

from .helpers import Sender


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    before = asyncio.all_tasks()
    async with PushService() as running:
        yield running
    # Nothing of the service may outlive it.
    left = {task for task in asyncio.all_tasks() - before if not task.done() and "pushservice" in repr(task)}
    assert not left


@pytest.fixture
async def sender(service: PushService) -> AsyncIterator[Sender]:
    made = Sender(service)
    async with made.client:
        yield made
