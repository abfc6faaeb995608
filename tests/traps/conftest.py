"""A server that keeps what it is sent, and the local push service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pushkeep import PushClient, SigningKey
from pushkeep.pushservice import PushService
from tests.app.conftest import world
from tests.cli.conftest import cli, environment
from tests.peers.browser import Browser
from tests.transport.servers import Seen, Server, answer, http1

__all__ = ["cli", "environment", "world"]  # fixtures of others

CONTACT = "mailto:ops@example.org"
MOZILLA = "https://updates.push.services.mozilla.com"
FCM = "https://fcm.googleapis.com"
APPLE = "https://web.push.apple.com"
WNS = "https://wns2-ln2p.notify.windows.com"
ORIGINS = (MOZILLA, FCM, APPLE, WNS)
UA = Browser()
SECONDS = 5
"""Bound on waits for a message that is on its way; it takes milliseconds."""


class Clock:
    """Moved by hand."""

    def __init__(self, seconds: float = 1_800_000_000.0) -> None:
        self.seconds = seconds

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


class Sleeper:
    """Sleeping moves the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.seconds += seconds


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with PushService() as running:
        yield running


@pytest.fixture
async def client(service: PushService, key: SigningKey) -> AsyncIterator[PushClient]:
    async with PushClient(key=key, contact=CONTACT, origin_map=service.origin_map_entries()) as opened:
        yield opened


@pytest.fixture
async def wire() -> AsyncIterator[Server]:
    """Takes every message, for whichever push service."""
    async with http1(answer(), None) as server:
        yield server


def led_to(server: Server, *origins: str) -> list[str]:
    """Origin map entries that dial ``server``."""
    return [f"{origin}=http://127.0.0.1:{server.port}" for origin in origins or ORIGINS]


def header(seen: Seen, name: str) -> str:
    value = seen.header(name)
    assert value is not None, name
    return value
