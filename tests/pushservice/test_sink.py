"""The sink: every request is taken and counted, nothing is kept, and bad framing ends one connection only."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
import uvloop

from pushkeep import PushClient
from pushkeep.pushservice import Limits, PushService

from .helpers import KEY

LIMITS = Limits(connections_max=5, idle_seconds_max=0.2)


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with PushService(sink=True) as running:
        yield running


def context(service: PushService, *protocols: str) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(service.ca_file))
    made.set_alpn_protocols(list(protocols))
    return made


async def connect(service: PushService, *protocols: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port = urlsplit(service.url).port
    tls = context(service, *protocols)
    return await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname="localhost")


async def use(service: PushService) -> None:
    """Our own sender, 300 messages at once."""
    entries = service.origin_map_entries()
    async with PushClient(key=KEY, contact="mailto:a@example.com", origin_map=entries) as client:
        crowd = await service.subscribe_many(300, KEY.public_bytes, vendor="fcm")
        outcomes = await asyncio.gather(*(client.send(one, "x" * 1000, ttl=60) for one in crowd))
    assert all((outcome.accepted, outcome.status) == (True, 201) for outcome in outcomes)
    assert service.sink is not None
    assert service.sink.requests == 300
    assert crowd.delivered == 0
    assert service.messages() == []


async def test_our_sender(service: PushService) -> None:
    await use(service)


def test_on_uvloop() -> None:
    async def run() -> None:
        async with PushService(sink=True) as service:
            await use(service)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


@pytest.mark.parametrize("http2", [True, False])
async def test_another_sender(service: PushService, http2: bool) -> None:
    async with httpx.AsyncClient(http2=http2, verify=context(service), trust_env=False) as client:
        for size in (0, 10, 4096):
            answer = await client.post(service.url + "/wpush/v2/x", content=b"x" * size, headers={"ttl": "60"})
            assert (answer.status_code, answer.http_version) == (201, "HTTP/2" if http2 else "HTTP/1.1")
    assert service.sink is not None
    assert service.sink.requests == 3


async def test_bodies_of_more_than_a_window_are_taken(service: PushService) -> None:
    async with httpx.AsyncClient(http2=True, verify=context(service), trust_env=False) as client:
        for _ in range(200):
            answer = await client.post(service.url, content=b"x" * 16_000)  # 3.2 MB over one connection
            assert answer.status_code == 201


HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize(
    "octets",
    [
        HTTP2 + b"\xff\xff\xff" + bytes(6),
        HTTP2 + b"\x00\x00\x08\x07\x00" + bytes(12),
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 999999\r\n\r\n",
        b"x" * 40_000,
        b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000,
    ],
)
async def test_bad_framing_ends_the_connection(service: PushService, octets: bytes) -> None:
    reader, writer = await connect(service, "h2")
    writer.write(octets)
    async with asyncio.timeout(5):
        while await reader.read(65_536):
            pass
    writer.close()
    await use(service)


async def test_idle_and_too_many_connections_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushkeep.pushservice.service._SWEEP_SECONDS", 0.1)
    async with PushService(sink=True, limits=LIMITS) as service:
        opened = [await connect(service, "h2") for _ in range(8)]
        assert service.sink is not None
        assert len(service.sink.connections) <= 5
        async with asyncio.timeout(5):
            for reader, _ in opened:
                assert await reader.read(100) == b""
        for _, writer in opened:
            writer.close()
        await use(service)


async def test_a_client_that_does_not_read_is_not_read(service: PushService) -> None:
    """A flood of pings whose answers are never read: what waits to be written stays within a few buffers."""
    reader, writer = await connect(service, "h2")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(HTTP2)
    ping = b"\x00\x00\x08\x06\x00" + bytes(12)

    async def flood() -> None:
        while True:
            writer.write(ping * 4_000)
            await writer.drain()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):  # the flood stalls: socket buffers and one transport buffer are full
            await flood()
    assert service.sink is not None
    (connection,) = service.sink.connections
    assert connection.unwritten_bytes < 2_000_000
    writer.transport.abort()
    del reader
    await use(service)
