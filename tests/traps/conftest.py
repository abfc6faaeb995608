"""A server that keeps what it is sent, and the local push service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.app.conftest import world
from tests.cli.conftest import cli, environment
from tests.client.conftest import CONTACT, client, key, service
from tests.peers.browser import Browser
from tests.transport.servers import Seen, Server, answer, http1

__all__ = ["CONTACT", "cli", "client", "environment", "key", "service", "world"]  # mostly fixtures of others

MOZILLA = "https://updates.push.services.mozilla.com"
FCM = "https://fcm.googleapis.com"
APPLE = "https://web.push.apple.com"
WNS = "https://wns2-ln2p.notify.windows.com"
ORIGINS = (MOZILLA, FCM, APPLE, WNS)
UA = Browser()
SECONDS = 5
"""Bound on waits for a message that is on its way; it takes milliseconds."""


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
