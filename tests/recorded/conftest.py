from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pushkeep.pushservice import PushService
from tests.pushservice.helpers import Sender


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with PushService() as running:
        yield running


@pytest.fixture
async def sender(service: PushService) -> AsyncIterator[Sender]:
    made = Sender(service)
    async with made.client:
        yield made
