"""Damaged conversations on every port of the local push service: it keeps nothing of them and serves the next."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import h2.config
import h2.connection
import pytest

from pushkeep import PushClient, SigningKey
from pushkeep.pushservice import PushService
from pushkeep.pushservice.limits import Limits

from .http_targets import TOKEN
from .mutation import TOKENS, damage
from .service_targets import MCS_LOGIN

ROUNDS = 60
"""Of each conversation; one takes a few milliseconds."""
SEED = 8030
ANSWER_SECONDS_MAX = 0.05
"""An answer to rubbish is not waited for longer: most of it gets none, and the service waits for the rest of it."""
LIMITS = Limits(request_seconds_max=5, handshake_seconds_max=5, login_seconds_max=5, idle_seconds_max=5)

HTTP1 = (
    b"POST /wpush/v2/x HTTP/1.1\r\nHost: localhost\r\nTTL: 60\r\nAuthorization: "
    + TOKEN.encode()
    + b"\r\nContent-Encoding: aes128gcm\r\nContent-Length: 110\r\n\r\n"
    + bytes(110)
)
CHUNKED = (
    b"POST /checkin HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\x10\x00\x70\x03\r\n0\r\n\r\n"
)
WEBSOCKET = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: push-notification\r\n\r\n"
    b'\x81\xb3\x00\x00\x00\x00{"messageType":"hello","use_webpush":true,"uaid":""}'
)


def http2() -> bytes:
    """A connection's beginning and one push."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    fields = {":method": "POST", ":scheme": "https", ":authority": "localhost", ":path": "/wpush/v2/x", "ttl": "60"}
    connection.send_headers(1, list(fields.items()))
    connection.send_data(1, bytes(110), end_stream=True)
    return connection.data_to_send()


def conversations(service: PushService) -> dict[str, tuple[str, str | None, bytes]]:
    """Name: URL of the port, the protocol offered in TLS (None without TLS), and what to say."""
    return {
        "HTTP/1.1": (service.url, "http/1.1", HTTP1),
        "HTTP/2": (service.url, "h2", http2()),
        "autopush": (service.autopush_url, None, WEBSOCKET),
        "autopush over TLS": (service.autopush_tls_url, "http/1.1", WEBSOCKET),
        "check-in": (service.checkin_url, None, CHUNKED),
        "MCS": (service.mcs_url, "", bytes([41]) + MCS_LOGIN),
        "no TLS at all": (service.url, None, HTTP1),
    }


@contextlib.asynccontextmanager
async def connected(
    service: PushService, url: str, protocol: str | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    context = None
    if protocol is not None:
        context = ssl.create_default_context(cafile=str(service.ca_file))
        if protocol:
            context.set_alpn_protocols([protocol])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", urlsplit(url).port, ssl=context, server_hostname="localhost" if context else None
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def say(service: PushService, url: str, protocol: str | None, data: bytes) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
        async with connected(service, url, protocol) as (reader, writer):
            writer.write(data)
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                while await reader.read(65_536):
                    pass


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_damaged_conversations_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    chance = random.Random(SEED)
    key = SigningKey.generate()
    async with PushService(limits=LIMITS) as service:
        before = open_files()
        tasks = asyncio.all_tasks()
        for url, protocol, whole in conversations(service).values():
            said = [whole]
            for _ in range(ROUNDS):
                data = whole
                for _ in range(chance.randint(1, 6)):
                    data = damage(
                        data,
                        (
                            chance.choice(("put", "insert", "cut", "repeat")),
                            chance.random(),
                            chance.choice((*TOKENS, chance.randbytes(4))),
                            chance.randint(1, 40),
                        ),
                    )
                said.append(data)
            await asyncio.gather(*(say(service, url, protocol, data) for data in said))
        for _ in range(500):  # until the service has noticed the last of the hang-ups, ten seconds at most
            left = asyncio.all_tasks() - tasks
            if open_files() <= before and not left:
                break
            await asyncio.sleep(0.02)
        assert open_files() <= before
        assert not left
        subscriber = await service.subscribe(key.public_bytes)
        async with PushClient(
            key=key, contact="mailto:ops@example.org", origin_map=service.origin_map_entries()
        ) as client:
            assert (await client.send(subscriber.subscription, "still here")).accepted
        assert (await subscriber.receive(5)).data == b"still here"
    assert not [record for record in caplog.records if record.exc_info], caplog.text
