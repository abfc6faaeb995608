"""What a well-behaved push service sees of us, and we of it."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path

import pycurl
import pytest

from pushkeep.adapters.http2 import CurlTransport, TransportLimits
from pushkeep.adapters.http2_dial import Gate
from pushkeep.adapters.http2_reply import Reply
from pushkeep.domain.origin_map import OriginMap
from pushkeep.errors import ConfigurationError
from pushkeep.protocol.answer import PushResponse, TransportFailure

from .requests import BODY, request
from .servers import HOST, ORIGIN, Authority, Seen, answer, answer2, http1, http2


def mapped(*entries: str, **options: object) -> CurlTransport:
    return CurlTransport(origin_map=OriginMap.parse(entries), **options)  # type: ignore[arg-type]


async def test_http2_is_negotiated_and_the_request_arrives_byte_for_byte(authority: Authority) -> None:
    target = "/wpush/./v2/../a%2fb%2Bc/?token=%2b%2F&x=.."
    async with (
        http2(
            answer2(201, b"", ("location", "https://push.example/m/1"), ("ttl", "60")),
            authority.server_context(alpn=("h2",)),
        ) as server,
        mapped(server.entry(authority.file)) as transport,
    ):
        got = await transport.post(request(ORIGIN + target))
    assert got == PushResponse(201, {"location": "https://push.example/m/1", "ttl": "60"}, b"", "2")
    (seen,) = server.requests
    assert (seen.method, seen.target, seen.body) == ("POST", target, BODY)
    assert dict(seen.headers) == {
        ":method": "POST",
        ":scheme": "https",
        ":authority": HOST,
        ":path": target,
        "user-agent": "pushkeep",
        "ttl": "60",
        "authorization": "vapid t=token, k=key",
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
        "content-length": str(len(BODY)),
    }
    assert server.server_names == [HOST]


@pytest.mark.parametrize(("target", "sent"), [("", "/"), ("?a=%2f", "/?a=%2f"), ("/%2f//..", "/%2f//..")])
async def test_the_target_is_sent_as_given_over_http_1_1_too(authority: Authority, target: str, sent: str) -> None:
    async with (
        http1(answer(), authority.server_context()) as server,
        mapped(server.entry(authority.file)) as transport,
    ):
        assert isinstance(await transport.post(request(ORIGIN + target)), PushResponse)
    assert [seen.target for seen in server.requests] == [sent]


@pytest.mark.parametrize("body", [BODY, b"", bytes(4096)], ids=["some", "none", "largest"])
async def test_http_1_1_is_a_fallback_with_content_length(authority: Authority, body: bytes) -> None:
    async with (
        http1(
            answer("201 Created", b"", "Location: /m/1", "X-Twice: a", "X-Twice: b"), authority.server_context()
        ) as server,
        mapped(server.entry(authority.file)) as transport,
    ):
        got = await transport.post(request(body=body))
        assert got == PushResponse(201, {"location": "/m/1", "x-twice": "b", "content-length": "0"}, b"", "1.1")
        assert transport.statistics.http_1_answers == 1
    (seen,) = server.requests
    assert seen.body == body
    names = [name.lower() for name, _ in seen.headers]
    assert seen.header("content-length") == str(len(body))
    assert ("content-type" in names) is bool(body)
    assert not {"expect", "transfer-encoding", "accept", "cookie", "accept-encoding"} & set(names)
    assert seen.header("host") == HOST


async def test_connections_and_handles_are_used_again(authority: Authority) -> None:
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        mapped(server.entry(authority.file), limits=TransportLimits(in_flight_max=10)) as transport,
    ):
        answers = await asyncio.gather(*(transport.post(request()) for _ in range(300)))
        assert {got.status for got in answers if isinstance(got, PushResponse)} == {201}
        assert len(answers) == 300
        assert transport.statistics.handles_created == 10
        assert transport.statistics.connections_opened == server.connections == 1


async def test_an_origin_keeps_to_its_connection_limit(authority: Authority) -> None:
    most = 0

    async def slow(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal most
        most = max(most, server.open_connections)
        await asyncio.sleep(0.01)  # long enough for the others to want a connection too
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    async with (
        http1(slow, authority.server_context()) as server,
        mapped(server.entry(authority.file), limits=TransportLimits(host_connections_max=3)) as transport,
    ):
        answers = await asyncio.gather(*(transport.post(request()) for _ in range(20)))
    assert all(isinstance(got, PushResponse) for got in answers)
    assert most == 3


@pytest.mark.parametrize("status", [200, 201, 202, 400, 401, 403, 404, 410, 413, 429, 500, 503])
async def test_every_status_is_an_answer(authority: Authority, status: int) -> None:
    body = b'{"code":%d,"errno":106}' % status
    async with (
        http2(answer2(status, body, ("retry-after", "120")), authority.server_context(alpn=("h2",))) as server,
        mapped(server.entry(authority.file)) as transport,
    ):
        assert await transport.post(request()) == PushResponse(status, {"retry-after": "120"}, body, "2")


async def test_a_failed_exchange_leaves_nothing_in_the_handle(authority: Authority) -> None:
    first = True

    async def once_broken(seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal first
        if first:
            first = False
            writer.write(b"HTTP/1.1 403 Forbidden\r\nX-Old: yes\r\nContent-Length: 100\r\n\r\nold body")
            await writer.drain()
            writer.transport.abort()
        else:
            await answer("201 Created")(seen, writer)

    async with (
        http1(once_broken, authority.server_context()) as server,
        mapped(server.entry(authority.file)) as transport,
    ):
        broken = await transport.post(request())
        assert isinstance(broken, PushResponse)
        assert broken.status == 403
        assert await transport.post(request(body=b"")) == PushResponse(201, {"content-length": "0"}, b"", "1.1")
        assert transport.statistics.handles_created == 1


async def test_nothing_is_taken_from_environment_netrc_or_earlier_answers(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text(f"machine {HOST} login a password b\n")
    fields = ("Set-Cookie: a=b; Path=/", 'Alt-Svc: h3=":1"; ma=86400', "Strict-Transport-Security: max-age=1000")
    async with (
        http1(answer("201 Created", b"", *fields), authority.server_context()) as server,
        mapped(server.entry(authority.file)) as transport,
    ):
        for _ in range(3):
            got = await transport.post(request())
            assert isinstance(got, PushResponse)
    assert len(server.requests) == 3
    for seen in server.requests:
        assert seen.header("cookie") is None
        assert seen.header("authorization") == "vapid t=token, k=key"


async def test_a_plain_http_base_keeps_path_and_host(authority: Authority) -> None:
    async with (
        http1(answer(), None) as server,
        mapped(
            f"{ORIGIN}=http://127.0.0.1:{server.port}",
            f"https://other.example:8443=http://localhost:{server.port}",
        ) as transport,
    ):
        for url in (f"{ORIGIN}/a/../b?c", "https://other.example:8443/d"):
            got = await transport.post(request(url))
            assert isinstance(got, PushResponse)
    assert [(seen.target, seen.header("host")) for seen in server.requests] == [
        ("/a/../b?c", HOST),
        ("/d", "other.example:8443"),
    ]


async def test_cancelling_ends_the_exchange_and_the_transport_goes_on(authority: Authority) -> None:
    arrived = asyncio.Event()

    async def hang_once(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if not arrived.is_set():
            arrived.set()
            await asyncio.Event().wait()
        await answer()(seen, writer)

    async with (
        http1(hang_once, authority.server_context()) as server,
        mapped(server.entry(authority.file), limits=TransportLimits(in_flight_max=1)) as transport,
    ):
        task = asyncio.create_task(transport.post(request()))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        got = await asyncio.wait_for(transport.post(request()), 5)
        assert isinstance(got, PushResponse)


async def test_closing_waits_for_what_is_in_flight_and_refuses_what_comes_after(authority: Authority) -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def wait(seen: Seen, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await release.wait()
        await answer()(seen, writer)

    async with http1(wait, authority.server_context()) as server:
        transport = mapped(server.entry(authority.file), limits=TransportLimits(in_flight_max=1))
        running = asyncio.create_task(transport.post(request()))
        await arrived.wait()
        queued = asyncio.create_task(transport.post(request()))
        await asyncio.sleep(0)  # lets the second request join the queue
        closing = [asyncio.create_task(transport.aclose()) for _ in range(2)]
        await asyncio.sleep(0)  # and the closing begin
        with pytest.raises(RuntimeError, match="closed"):
            await transport.post(request())
        assert not any(task.done() for task in closing)
        release.set()
        assert isinstance(await running, PushResponse)
        left_out = await queued
        assert isinstance(left_out, TransportFailure)
        assert not left_out.request_sent
        await asyncio.gather(*closing)
    assert len(server.requests) == 1


async def test_an_impatient_close_ends_what_is_in_flight_with_a_value(authority: Authority) -> None:
    arrived = asyncio.Event()

    async def hang(_seen: Seen, _writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.Event().wait()

    async with http1(hang, authority.server_context()) as server:
        transport = mapped(server.entry(authority.file))
        running = asyncio.create_task(transport.post(request()))
        await arrived.wait()
        closing = asyncio.create_task(transport.aclose())
        await asyncio.sleep(0)  # lets the closing begin to wait
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert await running == TransportFailure("reset", "The transport was closed.", request_sent=True)


def living(*kinds: type) -> int:
    gc.collect()
    return sum(isinstance(item, kinds) for item in gc.get_objects())


async def test_handles_stay_as_many_as_are_used_and_none_after_closing(authority: Authority) -> None:
    kinds = (Gate, Reply, pycurl.Curl, CurlTransport)
    before = living(*kinds)
    async with http2(answer2(), authority.server_context(alpn=("h2",))) as server:
        transport = mapped(server.entry(authority.file), limits=TransportLimits(in_flight_max=5))
        for _ in range(3):
            await asyncio.gather(*(transport.post(request()) for _ in range(50)))
            assert living(*kinds) == before + 5 * 3 + 1
        await transport.aclose()
        del transport
        assert living(*kinds) == before


def inheritable_sockets() -> set[str]:
    return {
        entry.name
        for entry in Path("/proc/self/fd").iterdir()
        if entry.is_symlink() and str(entry.readlink()).startswith("socket:") and os.get_inheritable(int(entry.name))
    }


async def test_sockets_do_not_survive_an_exec(authority: Authority) -> None:
    before = inheritable_sockets()
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        mapped(server.entry(authority.file)) as transport,
    ):
        await transport.post(request())
        assert transport.statistics.connections_opened == 1
        assert inheritable_sockets() == before


def test_a_proxy_must_be_named_in_full() -> None:
    for proxy in ("proxy.example:3128", "socks5://proxy:1080", "http://proxy", "http://proxy:99999", "http://[::1"):
        with pytest.raises(ConfigurationError, match="proxy must be") as caught:
            CurlTransport(proxy=proxy)
        assert caught.value.field == "proxy"
