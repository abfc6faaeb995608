"""A configured proxy is asked for addresses we have checked, and for nothing else."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from pushkeep.adapters.http2 import CurlTransport
from pushkeep.domain.origin_map import OriginMap
from pushkeep.errors import ConfigurationError
from pushkeep.protocol.answer import PushResponse, TransportFailure

from .requests import request
from .servers import HOST, ORIGIN, Authority, Server, answer2, http2, listening
from .test_guard import aimed_at

PUBLIC = "198.41.0.4"


@dataclass
class Proxy:
    url: str = ""
    targets: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def proxying(
    to_port: int, answer: str = "200 Connection established", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Proxy]:
    """A CONNECT proxy that leads every target to one loopback port."""
    proxy = Proxy()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _state: Server) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        proxy.heads.append(head)
        proxy.targets.append(head.split(" ")[1])
        writer.write(f"HTTP/1.1 {answer}\r\nX-Proxy: yes\r\n\r\n".encode())
        await writer.drain()
        if not answer.startswith("200") or to_port == 0:
            return
        onward = await asyncio.open_connection("127.0.0.1", to_port)
        try:
            await asyncio.gather(carry(reader, onward[1]), carry(onward[0], writer))
        finally:
            onward[1].transport.abort()

    async with listening(handle, tls) as state:
        proxy.url = f"http{'s' if tls else ''}://127.0.0.1:{state.port}"
        yield proxy


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def test_the_proxy_is_asked_for_the_checked_address_and_tls_is_with_the_name(authority: Authority) -> None:
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        proxying(server.port) as proxy,
        CurlTransport(
            proxy=proxy.url, ca_file=str(authority.file), pinned_addresses={HOST: ["10.0.0.1", PUBLIC]}
        ) as transport,
    ):
        for _ in range(3):
            got = await transport.post(request())
            assert got == PushResponse(201, {}, b"", "2")
    assert proxy.targets == [f"{PUBLIC}:443"]
    assert server.server_names == [HOST]
    assert server.requests[0].header(":authority") == HOST
    assert "authorization" not in proxy.heads[0].lower()


async def test_a_proxy_that_speaks_tls_is_verified_by_the_same_authorities(authority: Authority) -> None:
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        proxying(server.port, tls=authority.server_context("127.0.0.1")) as proxy,
    ):
        for ca_file, kind in ((str(authority.file), None), (None, "tls")):
            async with CurlTransport(proxy=proxy.url, ca_file=ca_file, pinned_addresses={HOST: [PUBLIC]}) as transport:
                got = await transport.post(request())
            assert got.kind == kind if isinstance(got, TransportFailure) else kind is None
    assert proxy.targets == [f"{PUBLIC}:443"]


@pytest.mark.parametrize("environment", ["no_proxy", "NO_PROXY"])
async def test_the_environment_cannot_take_the_proxy_away(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    monkeypatch.setenv(environment, "*")
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        proxying(server.port) as proxy,
        CurlTransport(proxy=proxy.url, ca_file=str(authority.file), pinned_addresses={HOST: [PUBLIC]}) as transport,
    ):
        assert isinstance(await transport.post(request()), PushResponse)
    assert len(proxy.targets) == 1


@pytest.mark.parametrize("url", [f"{ORIGIN}/x", "https://localhost/x", "https://127.0.0.1/x", "https://[::1]/x"])
async def test_the_proxy_never_hears_of_a_private_target(authority: Authority, url: str) -> None:
    async with (
        proxying(0) as proxy,
        CurlTransport(proxy=proxy.url, pinned_addresses={HOST: ["10.0.0.1", "::1"]}) as transport,
    ):
        got = await transport.post(request(url))
        assert isinstance(got, TransportFailure)
        assert got.kind == "refused_address"
    assert proxy.targets == []


async def test_a_name_that_changes_is_checked_again(authority: Authority) -> None:
    addresses = {HOST: [PUBLIC]}
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        proxying(server.port) as proxy,
        CurlTransport(proxy=proxy.url, ca_file=str(authority.file), pinned_addresses=addresses) as transport,
    ):
        assert isinstance(await transport.post(request()), PushResponse)
        addresses[HOST] = ["127.0.0.1"]
        got = await transport.post(request())
        assert isinstance(got, TransportFailure)
        assert got.kind == "refused_address"
    assert proxy.targets == [f"{PUBLIC}:443"]


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
async def test_the_proxys_own_answer_is_never_taken_for_the_push_services(authority: Authority, status: str) -> None:
    async with (
        proxying(0, status) as proxy,
        CurlTransport(proxy=proxy.url, pinned_addresses={HOST: [PUBLIC]}) as transport,
    ):
        got = await transport.post(request())
    assert isinstance(got, TransportFailure)
    assert not got.request_sent


async def test_a_tunnel_that_leads_nowhere_is_not_an_answer(authority: Authority) -> None:
    async with (
        proxying(0) as proxy,
        CurlTransport(proxy=proxy.url, pinned_addresses={HOST: [PUBLIC]}) as transport,
    ):
        got = await transport.post(request())
    assert isinstance(got, TransportFailure)
    assert not got.request_sent


async def test_a_mapped_origin_is_dialled_past_the_proxy(authority: Authority) -> None:
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        proxying(0) as proxy,
        CurlTransport(origin_map=OriginMap.parse([server.entry(authority.file)]), proxy=proxy.url) as transport,
    ):
        assert isinstance(await transport.post(request()), PushResponse)
    assert proxy.targets == []


@pytest.mark.parametrize("status", ["200 Connection established", "407 Proxy Authentication Required"])
async def test_the_proxys_password_is_for_the_proxy_alone(
    authority: Authority, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        proxying(server.port, status) as proxy,
        CurlTransport(
            proxy=proxy.url.replace("http://", "http://ann:s%3Acret@"),
            ca_file=str(authority.file),
            pinned_addresses={HOST: [PUBLIC]},
        ) as transport,
    ):
        got = await transport.post(request())
        assert isinstance(got, PushResponse) is status.startswith("200")
        assert "cret" not in f"{got!r} {transport!r} {vars(transport)!r} {caplog.text}"
    expected = base64.b64encode(b"ann:s:cret").decode()
    assert f"Proxy-Authorization: Basic {expected}" in proxy.heads[0]
    for seen in server.requests:
        assert seen.header("proxy-authorization") is None


def test_a_wrong_proxy_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        CurlTransport(proxy="socks5://ann:secret@proxy.example:1080")
    assert "secret" not in str(caught.value)


async def test_a_name_that_cannot_be_resolved_for_the_proxy_is_said_so() -> None:
    async with CurlTransport(proxy="http://127.0.0.1:9") as transport:
        got = await transport.post(aimed_at("a" * 64 + ".example", 443))  # longer than any name server takes
    assert isinstance(got, TransportFailure)
    assert (got.kind, got.request_sent) == ("resolve", False)


async def test_a_dead_proxy_is_a_failed_connect() -> None:
    async with proxying(0) as proxy:
        pass
    async with CurlTransport(proxy=proxy.url, pinned_addresses={HOST: [PUBLIC]}) as transport:
        got = await transport.post(request())
    assert isinstance(got, TransportFailure)
    assert (got.kind, got.request_sent) == ("connect", False)
