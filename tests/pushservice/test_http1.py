"""HTTP/1.1 on both listeners: keep-alive, limits, hostile octets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pushkeep.pushservice import Limits, PushService


@asynccontextmanager
async def plain(service: PushService) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(service.checkin_url).port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def talk(service: PushService, octets: bytes, *, seconds: float = 10) -> bytes:
    """Send, close our half, and read to the end."""
    async with plain(service) as (reader, writer):
        writer.write(octets)
        writer.write_eof()
        async with asyncio.timeout(seconds):
            return await reader.read(-1)


async def test_connections_are_kept_for_the_next_request(service: PushService) -> None:
    request = b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n"
    answer = await talk(service, request * 3)
    assert answer.count(b"HTTP/1.1 404 Not Found") == 3


async def test_expect_100_continue_is_answered(service: PushService) -> None:
    async with plain(service) as (reader, writer):
        writer.write(b"POST /checkin HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"\x10\x00")
        assert b" 200 OK" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"x" * 40_000, 431),
        (b"POST /checkin HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /checkin HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n", 501),
        (b"POST /checkin HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
async def test_a_broken_request_is_told_so(service: PushService, octets: bytes, status: int) -> None:
    assert f"HTTP/1.1 {status}".encode() in await talk(service, octets)


async def test_a_body_over_what_is_kept_is_a_413_and_not_a_broken_pipe(service: PushService) -> None:
    head = b"POST /checkin HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n"
    assert b" 413 " in await talk(service, head + b"x" * 1_000_000)


async def test_a_body_without_end_is_cut_off() -> None:
    async with PushService(limits=Limits(request_discard_bytes_max=100_000)) as service:
        head = b"POST /checkin HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        assert b" 413 " in await talk(service, head + b"1000\r\n" + (b"x" * 0x1000 + b"\r\n1000\r\n") * 30)


async def test_half_a_request_is_told_that_it_took_too_long() -> None:
    async with (
        PushService(limits=Limits(request_seconds_max=0.2)) as service,
        plain(service) as (reader, writer),
    ):
        writer.write(b"POST /checkin HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab")
        assert b" 408 " in await asyncio.wait_for(reader.read(-1), 10)


async def test_an_idle_connection_ends_without_a_word() -> None:
    async with PushService(limits=Limits(idle_seconds_max=0.2)) as service, plain(service) as (reader, _):
        assert await asyncio.wait_for(reader.read(-1), 10) == b""


async def test_a_connection_over_the_limit_takes_the_place_of_the_one_silent_for_longest() -> None:
    request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    async with PushService(limits=Limits(connections_max=2)) as service:
        async with plain(service) as (reader, writer), plain(service) as (silent, _):
            writer.write(request)  # the older one, but the silent one is the other
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            async with plain(service) as (third, third_writer):
                third_writer.write(request)
                assert await asyncio.wait_for(third.readuntil(b"\r\n\r\n"), 5)
                assert await asyncio.wait_for(silent.read(1), 5) == b""
                assert not reader.at_eof()
        assert b" 404 " in await talk_when_there_is_room(service)


async def talk_when_there_is_room(service: PushService) -> bytes:
    for _ in range(100):
        try:
            answer = await talk(service, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        except OSError:
            answer = b""
        if answer:
            return answer
        await asyncio.sleep(0.02)  # the server notices the closed connections in its own time
    raise AssertionError("the closed connections were not noticed")


async def test_a_client_that_never_finishes_tls_is_cut_off() -> None:
    async with PushService(limits=Limits(handshake_seconds_max=0.3)) as service:
        for url in (service.url, service.mcs_url):
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
            assert await asyncio.wait_for(reader.read(-1), 10) == b""
            writer.close()


async def test_https_without_alpn_speaks_http1(service: PushService) -> None:
    context = ssl.create_default_context(cafile=str(service.ca_file))
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", urlsplit(service.url).port, ssl=context, server_hostname="localhost"
    )
    authority = urlsplit(service.url).netloc.encode()
    writer.write(b"GET / HTTP/1.1\r\nhost: " + authority + b"\r\nconnection: close\r\n\r\n")
    assert b"HTTP/1.1 404" in await asyncio.wait_for(reader.read(-1), 10)
    writer.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=100).map(lambda tail: b"POST /checkin HTTP/1.1\r\nhost: x\r\n" + tail),
        st.binary(max_size=100).map(
            lambda body: b"POST /checkin HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        ),
    )
)
async def test_arbitrary_octets_end_in_an_answer_or_an_end(service: PushService, octets: bytes) -> None:
    await talk(service, octets)
    assert b" 404 " in await talk(service, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
