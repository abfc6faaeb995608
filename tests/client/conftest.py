"""A local push service, a signing key and a client wired to both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pushkeep import PushClient, SigningKey
from pushkeep.pushservice import PushService
from tests.transport.servers import Authority

CONTACT = "mailto:ops@example.org"


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[PushService]:
    async with PushService(state_dir=tmp_path / "pushservice") as running:
        yield running


@pytest.fixture
async def client(service: PushService, key: SigningKey) -> AsyncIterator[PushClient]:
    async with PushClient(key=key, contact=CONTACT, origin_map=service.origin_map_entries()) as opened:
        yield opened
