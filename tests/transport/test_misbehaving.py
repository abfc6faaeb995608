"""Push services that redirect, hang, flood, break off or talk nonsense: a value comes back, soon and bounded."""

from __future__ import annotations

import asyncio
import resource
import ssl

import h2.connection
import pytest

from pushkeep.adapters.http2 import CurlTransport, TransportLimits
from pushkeep.domain.origin_map import OriginMap
from pushkeep.protocol.answer import Answer, PushResponse, TransportFailure

from .requests import BODY, request
from .servers import (
    HOST,
    ORIGIN,
    Authority,
    Behaviour,
    Behaviour2,
    Seen,
    Server,
    answer,
    answer2,
    http1,
    http2,
    listening,
    read_request,
)

IMPATIENT = TransportLimits(connect_seconds_max=0.5, total_seconds_max=0.5)
"""For tests that have to wait until a limit is reached."""


async def post_to(server: Server, authority: Authority, limits: TransportLimits | None = None) -> Answer:
    async with CurlTransport(origin_map=OriginMap.parse([server.entry(authority.file)]), limits=limits) as transport:
        # Bounded, so that a flood that is not cut shows as a failure and not as a long test.
        got = await asyncio.wait_for(transport.post(request()), 10)
        assert ORIGIN + "/wpush" not in repr(got)
        return got


async def post_h1(behave: Behaviour, authority: Authority, limits: TransportLimits | None = None) -> Answer:
    async with http1(behave, authority.server_context()) as server:
        return await post_to(server, authority, limits)


async def post_h2(behave: Behaviour2, authority: Authority, limits: TransportLimits | None = None) -> Answer:
    async with http2(behave, authority.server_context(alpn=("h2",))) as server:
        return await post_to(server, authority, limits)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_answers_and_are_not_followed(authority: Authority, status: int) -> None:
    async with (
        http1(answer("201 Created"), authority.server_context()) as second,
        http2(
            answer2(status, b"", ("location", f"https://{HOST}:{second.port}/elsewhere")),
            authority.server_context(alpn=("h2",)),
        ) as first,
    ):
        got = await post_to(first, authority)
    assert isinstance(got, PushResponse)
    assert got.status == status
    assert len(first.requests) == 1
    assert second.connections == 0


async def test_silence_before_the_header_is_a_timeout_after_sending(authority: Authority) -> None:
    async def hang(_seen: Seen, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    got = await post_h1(hang, authority, IMPATIENT)
    assert got == TransportFailure("timeout", "The push service did not answer in time.", request_sent=True)


async def test_silence_before_the_header_is_a_timeout_over_http2_too(authority: Authority) -> None:
    async def hang(*_: object) -> None:
        return

    got = await post_h2(hang, authority, IMPATIENT)
    assert got == TransportFailure("timeout", "The push service did not answer in time.", request_sent=True)


async def test_silence_within_the_body_keeps_the_status(authority: Authority) -> None:
    async def hang(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 410 Gone\r\nContent-Length: 100\r\n\r\nexpired")
        await writer.drain()
        await asyncio.Event().wait()

    assert await post_h1(hang, authority, IMPATIENT) == PushResponse(410, {"content-length": "100"}, b"expired", "1.1")


async def test_silence_within_the_header_is_no_answer(authority: Authority) -> None:
    async def hang(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 410 Gone\r\nDate: ")
        await writer.drain()
        await asyncio.Event().wait()

    got = await post_h1(hang, authority, IMPATIENT)
    assert isinstance(got, TransportFailure)
    assert (got.kind, got.request_sent) == ("timeout", True)


async def test_one_octet_at_a_time_does_not_stretch_the_limit(authority: Authority) -> None:
    async def drip(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\n")
        while True:
            writer.write(b"X: a\r\n"[:1])
            await writer.drain()
            await asyncio.sleep(0.02)  # the point of this server: progress, but never an end

    got = await post_h1(drip, authority, IMPATIENT)
    assert isinstance(got, TransportFailure)
    assert got.kind == "timeout"


async def test_silence_in_the_tls_handshake_is_a_timeout_before_sending(authority: Authority) -> None:
    async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _state: Server) -> None:
        await asyncio.Event().wait()

    async with listening(hang, None) as server:
        got = await post_to(server, authority, IMPATIENT)
    assert got == TransportFailure("timeout", "The push service did not answer in time.", request_sent=False)


async def test_a_body_without_end_is_cut_and_the_status_kept(authority: Authority) -> None:
    async def flood(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            await writer.drain()

    before = peak_kilobytes()
    got = await post_h1(flood, authority)
    assert isinstance(got, PushResponse)
    assert (got.status, got.body) == (403, bytes(65536))
    assert peak_kilobytes() - before < 16_384


async def test_a_body_without_end_is_cut_over_http2_and_the_connection_lives_on(authority: Authority) -> None:
    async def flood(
        seen: Seen, connection: h2.connection.H2Connection, stream: int, _writer: asyncio.StreamWriter
    ) -> None:
        if len(server.requests) == 2:
            return await answer2()(seen, connection, stream, _writer)
        connection.send_headers(stream, [(":status", "403")])
        while (room := min(connection.local_flow_control_window(stream), 16384)) > 0 and server.written < 10**6:
            connection.send_data(stream, bytes(room))
            server.written += room
        return None

    async with (
        http2(flood, authority.server_context(alpn=("h2",))) as server,
        CurlTransport(origin_map=OriginMap.parse([server.entry(authority.file)])) as transport,
    ):
        got = await asyncio.wait_for(transport.post(request()), 10)
        assert isinstance(got, PushResponse)
        assert (got.status, got.body) == (403, bytes(65536))
        assert server.written > 65536
        again = await asyncio.wait_for(transport.post(request()), 10)
        assert isinstance(again, PushResponse)
        assert again.status == 201
    assert server.connections == 1


@pytest.mark.parametrize("line", [b"X-Flood: " + b"a" * 1000 + b"\r\n", b"X: a\r\n"], ids=["long", "many"])
async def test_headers_without_end_are_cut_and_the_status_kept(authority: Authority, line: bytes) -> None:
    async def flood(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 410 Gone\r\nRetry-After: 1\r\n")
        while not writer.is_closing():
            writer.write(line * 100)
            await writer.drain()

    before = peak_kilobytes()
    got = await post_h1(flood, authority)
    assert isinstance(got, PushResponse)
    assert (got.status, got.headers["retry-after"]) == (410, "1")
    assert len(got.headers) <= 100
    assert peak_kilobytes() - before < 16_384


async def test_one_header_line_without_end_is_no_answer(authority: Authority) -> None:
    async def flood(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 410 Gone\r\nX-Flood: ")
        while not writer.is_closing():
            writer.write(b"a" * 65536)
            await writer.drain()

    before = peak_kilobytes()
    got = await post_h1(flood, authority)
    assert isinstance(got, TransportFailure)
    assert got.kind == "protocol"
    assert peak_kilobytes() - before < 16_384


async def test_large_headers_over_http2_are_cut(authority: Authority) -> None:
    fields = [(f"x-{number}", "a" * 4000) for number in range(10)]
    got = await post_h2(answer2(410, b"", *fields), authority)
    assert isinstance(got, PushResponse)
    assert got.status == 410
    assert sum(len(value) for value in got.headers.values()) < 16_384


async def test_interim_answers_without_end_are_no_answer(authority: Authority) -> None:
    async def flood(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
            await writer.drain()

    got = await post_h1(flood, authority)
    assert isinstance(got, TransportFailure)
    assert (got.kind, got.request_sent) == ("protocol", True)


async def test_an_interim_answer_before_the_real_one_is_passed_over(authority: Authority) -> None:
    async def behave(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    assert await post_h1(behave, authority) == PushResponse(201, {"content-length": "0"}, b"", "1.1")


async def test_trailers_are_not_headers(authority: Authority) -> None:
    async def behave(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nTrailer: Location\r\n\r\n"
            b"1\r\na\r\n0\r\nLocation: /late\r\n\r\n"
        )

    got = await post_h1(behave, authority)
    assert isinstance(got, PushResponse)
    assert (got.status, got.body, got.headers.get("location")) == (201, b"a", None)


@pytest.mark.parametrize(
    "words",
    [
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x00\x01\x02\x03" * 64,
        b"HTTP/1.1 99 Odd\r\n\r\n",
        b"HTTP/9.9 201 Created\r\n\r\n",
        b"HTTP/1.1 201\x00 Created\r\n: no name\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
    ],
    ids=["ssh", "binary", "low-status", "version", "nul", "icy"],
)
async def test_nonsense_is_a_protocol_failure(authority: Authority, words: bytes) -> None:
    async def babble(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await writer.drain()
        writer.close()

    got = await post_h1(babble, authority)
    assert isinstance(got, TransportFailure)
    assert (got.kind, got.request_sent) == ("protocol", True)


async def test_an_upgrade_nobody_asked_for_is_no_answer(authority: Authority) -> None:
    async def upgrade(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        await writer.drain()
        writer.close()

    got = await post_h1(upgrade, authority)
    assert isinstance(got, TransportFailure)
    assert got.request_sent


async def test_nonsense_in_http2_frames_is_no_answer(authority: Authority) -> None:
    async def babble(
        _seen: Seen, _connection: h2.connection.H2Connection, _stream: int, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"\xff" * 200)

    # libcurl ends such a session at once but may tell us only at the time limit.
    got = await post_h2(babble, authority, IMPATIENT)
    assert isinstance(got, TransportFailure)
    assert got.kind in ("protocol", "reset", "timeout")
    assert got.request_sent


@pytest.mark.parametrize("polite", [True, False], ids=["closed", "reset"])
async def test_a_connection_ended_before_the_answer_is_a_reset(authority: Authority, polite: bool) -> None:
    async def leave(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        if polite:
            writer.close()
        else:
            writer.transport.abort()

    got = await post_h1(leave, authority)
    assert isinstance(got, TransportFailure)
    assert (got.kind, got.request_sent) == ("reset", True)


async def test_a_stream_reset_before_the_answer_is_a_reset(authority: Authority) -> None:
    async def leave(
        _seen: Seen, connection: h2.connection.H2Connection, stream: int, _writer: asyncio.StreamWriter
    ) -> None:
        connection.reset_stream(stream, error_code=2)

    got = await post_h2(leave, authority)
    assert isinstance(got, TransportFailure)
    assert (got.kind, got.request_sent) == ("reset", True)


async def test_a_stream_reset_after_the_header_keeps_the_status(authority: Authority) -> None:
    async def leave(
        _seen: Seen, connection: h2.connection.H2Connection, stream: int, _writer: asyncio.StreamWriter
    ) -> None:
        connection.send_headers(stream, [(":status", "410")])
        connection.send_data(stream, b"gone")
        connection.reset_stream(stream, error_code=2)

    got = await post_h2(leave, authority)
    assert isinstance(got, PushResponse)
    assert got.status == 410


async def test_a_pooled_connection_that_died_is_replaced(authority: Authority) -> None:
    async def once_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: Server) -> None:
        seen = await read_request(reader, state.connections)
        assert seen is not None
        state.requests.append(seen)
        await answer()(seen, writer)
        await writer.drain()
        writer.transport.abort()

    async with (
        listening(once_each, authority.server_context()) as server,
        CurlTransport(origin_map=OriginMap.parse([server.entry(authority.file)])) as transport,
    ):
        for _ in range(3):
            got = await asyncio.wait_for(transport.post(request()), 10)
            assert isinstance(got, PushResponse)
    assert [seen.body for seen in server.requests] == [BODY] * 3


async def test_nobody_listening_is_a_failed_connect(authority: Authority) -> None:
    async with http1(answer(), authority.server_context()) as server:
        pass
    got = await post_to(server, authority)
    assert got == TransportFailure("connect", "No connection to the push service could be made.")


@pytest.mark.parametrize("wrong", ["name", "authority", "expired", "old-tls", "no-tls"])
async def test_tls_is_always_verified(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory, wrong: str
) -> None:
    context: ssl.SSLContext | None
    if wrong == "name":
        context = authority.server_context("other.example", "127.0.0.1", "localhost")
    elif wrong == "authority":
        context = Authority(tmp_path_factory.mktemp("stranger")).server_context()
    elif wrong == "expired":
        context = authority.expired_context()
    elif wrong == "old-tls":
        context = authority.server_context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLS"):
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    else:
        context = None

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _state: Server) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with http1(answer(), context) if context else listening(plain, None) as server:
        got = await post_to(server, authority)
        assert isinstance(got, TransportFailure)
        assert (got.kind, got.request_sent) == ("tls", False)
        assert HOST not in got.detail
        assert server.requests == []


async def test_a_missing_ca_file_is_said_so(authority: Authority) -> None:
    async with http1(answer(), authority.server_context()) as server:
        entry = f"{ORIGIN}=https://127.0.0.1:{server.port},ca=/nonexistent/ca.pem"
        async with CurlTransport(origin_map=OriginMap.parse([entry])) as transport:
            got = await transport.post(request())
    assert isinstance(got, TransportFailure)
    assert got.kind == "tls"
    assert "/nonexistent/ca.pem" in got.detail


async def test_one_hanging_service_does_not_hold_up_another(authority: Authority) -> None:
    async def hang(_seen: Seen, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    other = "https://other.example"
    async with (
        http1(hang, authority.server_context()) as slow,
        http2(answer2(), authority.server_context("other.example", alpn=("h2",))) as quick,
        CurlTransport(
            origin_map=OriginMap.parse([slow.entry(authority.file), quick.entry(authority.file, origin=other)]),
            limits=TransportLimits(total_seconds_max=2),
        ) as transport,
    ):
        hanging = [asyncio.create_task(transport.post(request())) for _ in range(20)]
        answers = await asyncio.gather(*(transport.post(request(f"{other}/x")) for _ in range(20)))
        assert not any(task.done() for task in hanging)
        assert all(isinstance(got, PushResponse) for got in answers)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


def peak_kilobytes() -> int:
    """The most memory this process has ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
