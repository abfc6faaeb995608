"""One connection's octets and time limits, between two real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from pushkeep.pushservice import Limits
from pushkeep.pushservice.http.listener import Listener
from pushkeep.pushservice.http.stream import Stream

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def served(serve: Callable[[Stream], Awaitable[None]], limits: Limits | None = None) -> AsyncIterator[Pair]:
    """A client connected to ``serve``."""
    listener = Listener(serve, limits=limits or Limits())
    await listener.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await listener.stop()


async def test_a_peer_that_does_not_read_is_cut_off() -> None:
    outcome: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    async def serve(stream: Stream) -> None:
        try:
            await stream.send(b"x" * 50_000_000)  # more than the kernel buffers on both sides
        except ConnectionError as error:
            outcome.set_result(error)
            raise
        outcome.set_result(None)

    async with served(serve, Limits(write_seconds_max=0.2)):
        assert isinstance(await asyncio.wait_for(outcome, 10), ConnectionAbortedError)


async def test_reading_waits_no_longer_than_told() -> None:
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve(stream: Stream) -> None:
        with pytest.raises(TimeoutError):
            await stream.receive(seconds=0.05)
        with pytest.raises(TimeoutError):
            await stream.receive_exactly(1, seconds=0.05)
        outcome.set_result("both timed out")

    async with served(serve):
        assert await asyncio.wait_for(outcome, 10) == "both timed out"


async def test_the_end_is_empty_or_an_error_where_octets_were_promised() -> None:
    outcome: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(stream: Stream) -> None:
        assert await stream.receive_exactly(2, seconds=5) == b"ab"
        with pytest.raises(ConnectionResetError):
            await stream.receive_exactly(2, seconds=5)
        outcome.set_result(await stream.receive(seconds=5))

    async with served(serve) as (_, writer):
        writer.write(b"abc")
        writer.write_eof()
        assert await asyncio.wait_for(outcome, 10) == b""


async def test_a_bug_in_a_handler_ends_that_connection_and_is_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def serve(_stream: Stream) -> None:
        raise ValueError("what the peer sent")

    async with served(serve) as (reader, _):
        assert await asyncio.wait_for(reader.read(-1), 10) == b""
    assert "ValueError" in caplog.text
    assert "what the peer sent" not in caplog.text


async def test_half_closing_lets_the_peer_finish() -> None:
    async def serve(stream: Stream) -> None:
        stream.half_close()
        await stream.receive(seconds=5)

    async with served(serve) as (reader, writer):
        assert await asyncio.wait_for(reader.read(-1), 10) == b""
        writer.write(b"late")
        await writer.drain()
