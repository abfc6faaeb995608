"""Clients that mean harm: whatever they do, they cost bounded memory and others are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from pushkeep.pushservice import Limits, PushService
from pushkeep.pushservice.fcm import mcs_frames, protobuf

from .helpers import KEY, FakeChromium, FakeMcs, Sender, firefox

CONNECTIONS_MAX = 20
SMALL = Limits(
    connections_max=CONNECTIONS_MAX,
    request_seconds_max=0.5,
    handshake_seconds_max=1,
    login_seconds_max=0.5,
    write_seconds_max=1,
    idle_seconds_max=5,
)
MEMORY_BYTES_MAX = 30_000_000
"""What one attack may cost at most; unbounded, each of these would cost hundreds of megabytes."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with PushService(limits=SMALL) as running:
        yield running


async def others_are_served(service: PushService) -> None:
    sender = Sender(service)
    async with asyncio.timeout(20), sender.client:
        receiver = await service.subscribe(KEY.public_bytes)
        assert (await sender.send(receiver.subscription, b"alive")).status_code == 201
        assert (await receiver.receive(5)).data == b"alive"
        async with firefox(service) as client:
            await client.register()


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_BYTES_MAX


@asynccontextmanager
async def tcp(url: str, count: int = 1, tls: ssl.SSLContext | None = None) -> AsyncIterator[list[Connection]]:
    """Connections that are cut when it is over."""
    opened: list[Connection] = []
    try:
        for _ in range(count):
            name = "localhost" if tls is not None else None
            pair = await asyncio.open_connection("127.0.0.1", urlsplit(url).port, ssl=tls, server_hostname=name)
            opened.append(pair)
        yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()


def context(service: PushService, *protocols: str) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(service.ca_file))
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


async def rest_of(reader: asyncio.StreamReader, seconds: float = 15) -> bytes:
    """Everything up to the end of the connection, which must come."""
    octets = b""
    async with asyncio.timeout(seconds):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                octets = (octets + data)[-1_000_000:]
    return octets


def frame(kind: int, flags: int, stream_id: int, content: bytes) -> bytes:
    return len(content).to_bytes(3) + bytes([kind, flags]) + stream_id.to_bytes(4) + content


# Connections


@pytest.mark.parametrize("url", ["url", "autopush_url", "mcs_url"])
async def test_connections_that_say_nothing(service: PushService, url: str) -> None:
    async with tcp(getattr(service, url), 3 * CONNECTIONS_MAX) as opened:
        await others_are_served(service)
        gone = sum(reader.at_eof() or reader.exception() is not None for reader, _ in opened)
        assert gone >= CONNECTIONS_MAX


@pytest.mark.parametrize("returns", [False, True])
async def test_a_firefox_with_subscriptions_is_not_pushed_out(service: PushService, *, returns: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(firefox(service))
        await client.register()
        if returns:
            client = await stack.enter_async_context(firefox(service, client.uaid))
        async with tcp(service.autopush_url, 3 * CONNECTIONS_MAX):
            await client.say()
            assert await client.hear() == {}


async def test_a_chromium_with_subscriptions_is_not_pushed_out(service: PushService) -> None:
    """It logs in before a page subscribes, over another connection."""
    chromium = FakeChromium(service)
    async with chromium.http:
        await chromium.check_in()
        async with chromium.mcs() as connection:
            assert await connection.hear() is not None
            await chromium.register("wp:https://site.test/#1")
            async with tcp(service.mcs_url, 3 * CONNECTIONS_MAX):
                connection.send(mcs_frames.Tag.HEARTBEAT_PING, b"")
                assert await connection.hear() is not None


@pytest.mark.parametrize(
    "octets", [b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01" + b"\0" * 100, b"GET / HTTP/1.1\r\n\r\n"]
)
async def test_half_a_tls_handshake(service: PushService, octets: bytes) -> None:
    async with tcp(service.url, CONNECTIONS_MAX) as opened:
        for _, writer in opened:
            writer.write(octets)
        await others_are_served(service)
        for reader, _ in opened:
            await rest_of(reader)


# HTTP/1.1


@pytest.mark.parametrize(
    "head", [b"POST /", b"POST / HTTP/1.1\r\nhost: x\r\n", b"POST / HTTP/1.1\r\nhost: x\r\nttl: 6"]
)
async def test_slowloris(service: PushService, head: bytes) -> None:
    """A head that never ends, one octet now and then, is cut off after the time of a request."""
    async with tcp(service.url, CONNECTIONS_MAX, context(service, "http/1.1")) as opened:
        for _, writer in opened:
            writer.write(head)

        async def drip() -> None:
            while True:
                for _, writer in opened:
                    writer.write(b"x")
                await asyncio.sleep(0.05)  # the attack itself

        dripping = asyncio.create_task(drip())
        try:
            await others_are_served(service)
            for reader, _ in opened:
                await rest_of(reader)
        finally:
            dripping.cancel()


async def test_a_body_by_the_octet(service: PushService) -> None:
    async with tcp(service.url, 1, context(service, "http/1.1")) as ((reader, writer),):
        writer.write(b"POST /wpush/v2/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4000\r\n\r\n")
        ended = asyncio.create_task(rest_of(reader))
        while not ended.done():
            writer.write(b"x")
            await asyncio.wait([ended], timeout=0.05)
        assert b" 408 " in await ended
    await others_are_served(service)


async def test_a_head_without_end(service: PushService) -> None:
    with bounded_memory():
        async with tcp(service.url, 1, context(service, "http/1.1")) as ((reader, writer),):
            writer.write(b"POST / HTTP/1.1\r\n")
            with contextlib.suppress(ConnectionError):
                for _ in range(1000):
                    writer.write(b"x-filler: " + b"y" * 1000 + b"\r\n")
                    await writer.drain()
            await rest_of(reader)
    await others_are_served(service)


# HTTP/2


def flood(name: str) -> bytes:
    """Some 64 KB of frames that carry no request."""
    one = {
        "settings": frame(4, 0, 0, (3).to_bytes(2) + (100).to_bytes(4)),
        "ping": frame(6, 0, 0, b"12345678"),
        "priority": frame(2, 0, 1, bytes(4) + b"\x10"),
        "unknown": frame(0xFA, 0, 0, b""),
        "window": frame(8, 0, 0, (1).to_bytes(4)),
    }[name]
    return one * (65_536 // len(one))


@pytest.mark.parametrize("name", ["settings", "ping", "priority", "unknown", "window"])
async def test_a_flood_of_frames_without_requests_is_told_to_calm_down(service: PushService, name: str) -> None:
    with bounded_memory():
        async with tcp(service.url, 1, context(service, "h2")) as ((reader, writer),):
            writer.write(PREFACE + frame(4, 0, 0, b""))
            ended = asyncio.create_task(rest_of(reader))
            octets = flood(name)
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(20):
                    while not ended.done():
                        writer.write(octets)
                        await writer.drain()
            octets = await ended
    assert octets.endswith(frame(7, 0, 0, bytes(4) + (0xB).to_bytes(4))) or octets == b""
    await others_are_served(service)


@pytest.mark.parametrize("name", ["settings", "ping"])
async def test_a_flood_whose_answers_are_not_read(service: PushService, name: str) -> None:
    with bounded_memory():
        async with tcp(service.url, 1, context(service, "h2")) as ((_, writer),):
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(PREFACE + frame(4, 0, 0, b""))
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(3):
                    while True:
                        writer.write(flood(name))
                        await writer.drain()
            await others_are_served(service)


async def test_continuations_without_end(service: PushService) -> None:
    with bounded_memory():
        async with tcp(service.url, 1, context(service, "h2")) as ((reader, writer),):
            writer.write(PREFACE + frame(4, 0, 0, b"") + frame(1, 0, 1, b"\x83"))
            with contextlib.suppress(ConnectionError):
                for _ in range(2_000):
                    writer.write(frame(9, 0, 1, b"\x00\x01a" + b"\x7f\xe1\x7d" + b"b" * 16_000))
                    await writer.drain()
            await rest_of(reader)
    await others_are_served(service)


async def test_empty_continuations_without_end(service: PushService) -> None:
    async with tcp(service.url, 1, context(service, "h2")) as ((reader, writer),):
        writer.write(PREFACE + frame(4, 0, 0, b"") + frame(1, 0, 1, b"\x83"))
        with contextlib.suppress(ConnectionError):
            for _ in range(1_000):
                writer.write(frame(9, 0, 1, b"") * 1_000)
                await writer.drain()
        await rest_of(reader)
    await others_are_served(service)


async def test_a_header_bomb(service: PushService) -> None:
    """One large field put into the dynamic table once and referred to sixteen thousand times: 64 MB unpacked."""
    first = b"\x40\x01a" + b"\x7f\xa1\x1e" + b"b" * 4_000
    with bounded_memory():
        async with tcp(service.url, 1, context(service, "h2")) as ((reader, writer),):
            writer.write(PREFACE + frame(4, 0, 0, b"") + frame(1, 5, 1, b"\x83\x84\x87" + first))
            writer.write(frame(1, 5, 3, b"\x83\x84\x87" + b"\xbe" * 16_000))
            await rest_of(reader)
    await others_are_served(service)


async def test_streams_that_are_never_ended_or_never_read(service: PushService) -> None:
    """A hundred half requests, with a window of nothing for the answers, on every connection there may be."""
    path = b"\x04\x0e/wpush/v1/none"
    async with tcp(service.url, CONNECTIONS_MAX, context(service, "h2")) as opened:
        for _, writer in opened:
            writer.write(PREFACE + frame(4, 0, 0, (4).to_bytes(2) + bytes(4)))
            for number in range(100):
                end = 1 if number % 2 else 0
                writer.write(frame(1, 4 | end, 2 * number + 1, b"\x83\x87" + path))
        await others_are_served(service)


async def test_a_stream_reset_as_soon_as_it_is_opened() -> None:
    """Rapid reset, as long as the client likes."""
    async with PushService(limits=Limits(resets_per_connection_max=100)) as service:
        async with tcp(service.url, 1, context(service, "h2")) as ((reader, writer),):
            writer.write(PREFACE + frame(4, 0, 0, b""))
            with contextlib.suppress(ConnectionError):
                for number in range(20_000):
                    stream_id = 2 * number + 1
                    writer.write(frame(1, 5, stream_id, b"\x83\x84\x87") + frame(3, 0, stream_id, (8).to_bytes(4)))
                    await writer.drain()
            await rest_of(reader)
        await others_are_served(service)


# WebSocket


async def upgraded(service: PushService, connection: Connection) -> None:
    reader, writer = connection
    writer.write(
        b"GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with asyncio.timeout(5):
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")


def websocket_frame(opcode: int, content: bytes, *, fin: bool = True, masked: bool = True) -> bytes:
    """A client's frame under a mask of zeros; up to 125 octets."""
    head = bytes([opcode | (0x80 if fin else 0), len(content) | (0x80 if masked else 0)])
    return head + (bytes(4) if masked else b"") + content


HELLO = websocket_frame(1, json.dumps({"messageType": "hello", "use_webpush": True}).encode())


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (websocket_frame(1, b"{}", masked=False), 1002),
        (websocket_frame(1, b"\xff\xfe"), 1007),
        (websocket_frame(3, b"x"), 1002),
        (b"\x81\xff" + (2**40).to_bytes(8) + bytes(4), 1009),
        (websocket_frame(0, b"x"), 1002),
        (websocket_frame(1, b"not json"), 1008),
    ],
)
async def test_a_frame_that_breaks_the_websocket_protocol(service: PushService, octets: bytes, code: int) -> None:
    async with tcp(service.autopush_url) as (connection,):
        await upgraded(service, connection)
        connection[1].write(octets)
        said = await rest_of(connection[0])
        assert said[:1] == b"\x88"
        assert int.from_bytes(said[2:4]) == code
    await others_are_served(service)


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 100])
async def test_fragments_without_end(service: PushService, content: bytes) -> None:
    with bounded_memory():
        async with tcp(service.autopush_url) as (connection,):
            await upgraded(service, connection)
            reader, writer = connection
            writer.write(HELLO)
            writer.write(websocket_frame(1, content, fin=False))
            ended = asyncio.create_task(rest_of(reader))
            with contextlib.suppress(ConnectionError):
                for _ in range(300):
                    writer.write(websocket_frame(0, content, fin=False) * 1_000)
                    await writer.drain()
                    if ended.done():
                        break
            await others_are_served(service)
            ended.cancel()
    await others_are_served(service)


async def test_pings_without_end(service: PushService) -> None:
    with bounded_memory():
        async with tcp(service.autopush_url) as (connection,):
            await upgraded(service, connection)
            reader, writer = connection
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(HELLO)
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(3):
                    while True:
                        writer.write(websocket_frame(9, b"x" * 100) * 500)
                        await writer.drain()
            await others_are_served(service)
            del reader


async def test_registrations_without_end() -> None:
    limits = Limits(subscriptions_per_client_max=50, connections_max=CONNECTIONS_MAX)
    async with PushService(limits=limits) as service:
        async with firefox(service) as client:
            answers = []
            for number in range(80):
                channel = f"00000000-0000-0000-0000-{number:012d}"
                await client.say(messageType="register", channelID=channel, key=KEY.public_b64)
                answers.append((await client.hear())["status"])
            assert answers == [200] * 50 + [500] * 30
            await others_are_served(service)
        assert len(service.subscriptions()) >= 50


async def test_a_client_that_never_says_hello_or_says_it_over_and_over(service: PushService) -> None:
    async with tcp(service.autopush_url, 2) as (silent, talkative):
        await upgraded(service, silent)
        await upgraded(service, talkative)
        talkative[1].write(HELLO * 1_000)
        for reader, _ in (silent, talkative):
            await rest_of(reader)
    assert service.clients() == []
    await others_are_served(service)


# MCS


@pytest.mark.parametrize(
    "octets",
    [
        b"\x29",  # the version and no more
        b"\x29\x02",
        b"\x29\x02" + b"\xff" * 11,  # a length that does not end
        b"\x29\x02\xff\xff\xff\xff\x0f",  # a frame of 4 GB
        b"\x29\x02\x05\xff\xff\xff\xff\xff",  # not protobuf
        b"\x29\x08\x00",  # something else than a login
        b"\x28\x02\x00",
    ],
)
async def test_what_is_no_login_to_mcs(service: PushService, octets: bytes) -> None:
    async with tcp(service.mcs_url, CONNECTIONS_MAX, context(service)) as opened:
        for _, writer in opened:
            writer.write(octets)
        await others_are_served(service)
        for reader, _ in opened:
            await rest_of(reader)
    await mcs_is_served(service)


async def mcs_is_served(service: PushService) -> None:
    chromium = FakeChromium(service)
    async with chromium.http:
        await chromium.check_in()
        async with chromium.mcs() as connection:
            assert await connection.hear() is not None


async def test_a_frame_of_mcs_without_end(service: PushService) -> None:
    with bounded_memory():
        async with tcp(service.mcs_url, 1, context(service)) as ((reader, writer),):
            writer.write(b"\x29\x02" + protobuf.encode_varint(200_000))
            with contextlib.suppress(ConnectionError):
                for _ in range(1_000):
                    writer.write(b"\0" * 100_000)
                    await writer.drain()
            await rest_of(reader)
    await mcs_is_served(service)


async def test_logins_without_end(service: PushService) -> None:
    """Each with credentials of its own, which a check-in gives to anybody; nothing stays of them."""
    tokens = service._hub.core.tokens  # a check-in for each would take longer and show nothing more
    for _ in range(4):
        async with tcp(service.mcs_url, CONNECTIONS_MAX, context(service)) as opened:
            for reader, writer in opened:
                android_id, security_token = tokens.device()
                await FakeMcs(reader, writer).login(str(android_id), str(security_token), ())
    await mcs_is_served(service)
    for client in service.clients():
        # The service notices the closed connections in its own time.
        if client.connected:
            await service.wait_for_disconnect(client.id, 10)
    assert service.clients() == []


async def test_heartbeats_without_end(service: PushService) -> None:
    with bounded_memory():
        async with tcp(service.mcs_url, 1, context(service)) as ((reader, writer),):
            android_id, security_token = service._hub.core.tokens.device()
            await FakeMcs(reader, writer).login(str(android_id), str(security_token), ())
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(3):
                    while True:
                        writer.write(b"\0\0" * 10_000)
                        await writer.drain()
            await others_are_served(service)


# Admin


async def test_admin_without_the_token(service: PushService) -> None:
    sender = Sender(service)
    async with sender.client:
        for _ in range(50):
            answer = await sender.request("POST", service.admin_url + "faults", body=os.urandom(10_000))
            assert answer.status_code == 401
            assert service.admin_token not in answer.text
    assert service.faults.list() == []
    await others_are_served(service)
