"""A worker's page: on loopback, for agents that speak HTTP, and closed with the worker."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest

from pushkeep.adapters import metrics_server
from pushkeep.adapters.metrics import Metrics
from pushkeep.adapters.metrics_server import CONNECTIONS_MAX, HEAD_BYTES_MAX, serving_metrics
from pushkeep.domain.event import ShardsSetAside
from pushkeep.errors import ConfigurationError


def counting() -> Metrics:
    metrics = Metrics()
    metrics.listen(ShardsSetAside(3))
    return metrics


async def exchange(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def test_an_agent_gets_the_page() -> None:
    async with serving_metrics(counting(), 0) as port, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics?format=text")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "pushkeep_shards_set_aside_total 3.0" in answer.text
        head = await client.head(f"http://127.0.0.1:{port}/metrics")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 1000


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("POST", "/metrics", 405)])
async def test_nothing_else_is_there(method: str, path: str, status: int) -> None:
    async with serving_metrics(counting(), 0) as port, httpx.AsyncClient() as client:
        answer = await client.request(method, f"http://127.0.0.1:{port}{path}")
        assert answer.status_code == status
        assert "pushkeep_" not in answer.text


async def test_it_listens_on_loopback_only() -> None:
    async with serving_metrics(counting(), 0) as port:
        # 127.0.0.2 is loopback, too, but another address: a server on every address would answer there.
        with socket.socket() as other, pytest.raises(ConnectionRefusedError):
            other.connect(("127.0.0.2", port))


@pytest.mark.parametrize(
    "sent",
    [b"GET /metrics" + b"x" * 2 * HEAD_BYTES_MAX + b"\r\n\r\n", b"\xff\xfe\r\n\r\n", b"\r\n\r\n", b"GET\r\n\r\n"],
)
async def test_what_is_no_request_harms_nothing(sent: bytes) -> None:
    async with serving_metrics(counting(), 0) as port:
        answer = await exchange(port, sent)
        assert b"pushkeep_" not in answer
        assert b"pushkeep_" in await exchange(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_who_says_nothing_is_let_go_and_does_not_keep_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "REQUEST_SECONDS_MAX", 0.05)
    async with serving_metrics(counting(), 0) as port:
        assert await exchange(port, b"GET /metrics HTTP/1.1\r\n") == b""
    monkeypatch.setattr(metrics_server, "REQUEST_SECONDS_MAX", 60.0)
    async with asyncio.timeout(10):
        async with serving_metrics(counting(), 0) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await exchange(port, b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b"", "closed with the worker"
        writer.close()


async def test_connections_are_bounded() -> None:
    async with serving_metrics(counting(), 0) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MAX)]
        assert await exchange(port, b"") == b""
        for _, writer in idle:
            writer.close()


async def test_a_port_that_is_taken_is_named() -> None:
    async with serving_metrics(counting(), 0) as port:
        with pytest.raises(ConfigurationError, match=f"Port {port} for metrics is in use by another program; set work"):
            async with serving_metrics(counting(), port):
                raise AssertionError("it must not be served twice")


async def test_the_port_is_free_again_afterwards() -> None:
    async with serving_metrics(counting(), 0) as port:
        assert b"200 OK" in await exchange(port, b"GET /metrics HTTP/1.1\r\n\r\n")
    async with serving_metrics(counting(), port) as again:
        assert again == port
