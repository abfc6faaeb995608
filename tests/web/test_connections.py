"""What a connection may cost before there is a request: hostile clients on real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pushkeep.web.connections import HEAD_BYTES_MAX, BoundedConnection
from tests.web.conftest import settings_for
from tests.web.test_real_server import WAIT_SECONDS, exchange, served

FLOOD_BYTES = 32 * 1024 * 1024
"""Far more than every buffer between here and the parser holds."""

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"


async def flood(port: int, endless: bytes, *, first: bytes = HEALTH + b"b: ") -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(first)
        for _ in range(FLOOD_BYTES // len(endless)):
            writer.write(endless)
            await asyncio.wait_for(writer.drain(), WAIT_SECONDS)
    finally:
        writer.close()


@pytest.mark.parametrize("endless", [b"a: " + b"x" * 8000 + b"\r\n", b"x" * 8000], ids=["headers", "one header"])
async def test_a_head_without_end_is_cut_off(tmp_path: Path, endless: bytes) -> None:
    async with served(settings_for(tmp_path, port=0)) as serving:
        with pytest.raises(ConnectionError):
            await flood(serving.settings.port, endless)


async def test_a_head_over_the_limit_is_answered_and_one_below_is_served(tmp_path: Path) -> None:
    async with served(settings_for(tmp_path, port=0)) as serving:
        port = serving.settings.port
        near = HEALTH + b"b: " + b"x" * (HEAD_BYTES_MAX - 2000) + b"\r\nConnection: close\r\n\r\n"
        assert (await exchange(port, near)).startswith(b"HTTP/1.1 200")
        over = await exchange(port, HEALTH + b"b: " + b"x" * HEAD_BYTES_MAX)
        assert over.startswith(b"HTTP/1.1 400")
        assert b"65536 octets" in over


@pytest.mark.parametrize("begun", [b"", b"GET /hea", HEALTH + b"b: "], ids=["nothing", "line", "headers"])
async def test_a_head_that_never_ends_does_not_hold_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(BoundedConnection, "head_seconds_max", 0.2)
    async with served(settings_for(tmp_path, port=0)) as serving:
        assert await exchange(serving.settings.port, begun) == b""


async def test_line_breaks_do_not_keep_an_idle_connection_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "head_seconds_max", 0.2)
    async with served(settings_for(tmp_path, port=0)) as serving:
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.settings.port)
        writer.write(HEALTH + b"\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b'"ok"}'), WAIT_SECONDS)).startswith(b"HTTP/1.1 200")
        writer.write(b"\r\n")
        assert await asyncio.wait_for(reader.read(), WAIT_SECONDS) == b""
        writer.close()


async def test_the_limit_counts_each_head_of_a_connection_for_itself(tmp_path: Path) -> None:
    async with served(settings_for(tmp_path, port=0)) as serving:
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.settings.port)
        for _ in range(3):
            for part in (HEALTH + b"b: ", b"x" * 30_000 + b"\r\n", b"\r\n"):
                writer.write(part)
                await writer.drain()
            answer = await asyncio.wait_for(reader.readuntil(b'"ok"}'), WAIT_SECONDS)
            assert answer.startswith(b"HTTP/1.1 200")
        writer.close()


async def test_requests_sent_ahead_without_end_are_cut_off(tmp_path: Path) -> None:
    async with served(settings_for(tmp_path, port=0)) as serving:
        with pytest.raises(ConnectionError):
            await flood(serving.settings.port, (HEALTH + b"\r\n") * 200, first=b"")


async def test_some_requests_sent_ahead_are_answered_in_turn(tmp_path: Path) -> None:
    async with served(settings_for(tmp_path, port=0)) as serving:
        answers = await exchange(serving.settings.port, (HEALTH + b"\r\n") * 50 + HEALTH + b"Connection: close\r\n\r\n")
        assert answers.count(b"HTTP/1.1 200") == 51
