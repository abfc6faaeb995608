"""Tests that need public and private addresses of our own; run by ``test_guard`` in a network namespace."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from pushkeep.adapters.http2 import CurlTransport, TransportLimits
from pushkeep.adapters.http2_resolver import THREADS_MAX
from pushkeep.domain.origin_map import OriginMap
from pushkeep.protocol.answer import PushResponse, TransportFailure

from .requests import request
from .servers import HOST, ORIGIN, Authority, Seen, answer2, http1, http2

PUBLIC = "198.41.0.4"
PRIVATE = "10.9.8.7"
EVERYWHERE = "0.0.0.0"
LOOK_UP_SECONDS = 30
"""How long the system's resolver waits for a name server."""


async def test_a_public_address_is_reached_without_any_exemption(authority: Authority) -> None:
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",)), PUBLIC) as server,
        CurlTransport(ca_file=str(authority.file), pinned_addresses={HOST: [PUBLIC]}) as transport,
    ):
        for _ in range(3):
            got = await transport.post(request(f"{ORIGIN}:{server.port}/x"))
            assert isinstance(got, PushResponse)
        assert server.connections == 1


async def test_a_name_that_changes_to_a_private_address_is_refused(authority: Authority) -> None:
    peers: list[str] = []

    async def answer_once(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("sockname")[0])
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    addresses = {HOST: [PUBLIC]}
    async with (
        http1(answer_once, authority.server_context(), EVERYWHERE) as server,
        CurlTransport(ca_file=str(authority.file), pinned_addresses=addresses) as transport,
    ):
        url = f"{ORIGIN}:{server.port}/x"
        assert isinstance(await transport.post(request(url)), PushResponse)
        for private in ("127.0.0.1", PRIVATE):
            addresses[HOST] = [private]
            got = await transport.post(request(url))
            assert isinstance(got, TransportFailure)
            assert got.kind == "refused_address"
        addresses[HOST] = [PUBLIC]
        assert isinstance(await transport.post(request(url)), PushResponse)
    assert peers == [PUBLIC, PUBLIC]


async def test_a_connection_already_open_goes_on_to_the_checked_address(authority: Authority) -> None:
    addresses = {HOST: [PUBLIC]}
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",)), EVERYWHERE) as server,
        CurlTransport(ca_file=str(authority.file), pinned_addresses=addresses) as transport,
    ):
        url = f"{ORIGIN}:{server.port}/x"
        assert isinstance(await transport.post(request(url)), PushResponse)
        addresses[HOST] = ["127.0.0.1"]
        got = await transport.post(request(url))
        # Either is safe: the old connection was checked, a new one would be refused. Never a second connection.
        assert isinstance(got, PushResponse) or got.kind == "refused_address"
        assert server.connections == 1


async def test_of_several_addresses_only_the_public_one_is_dialled(authority: Authority) -> None:
    addresses = {HOST: ["127.0.0.1", "::1", PRIVATE, PUBLIC]}
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",)), PUBLIC) as server,
        CurlTransport(ca_file=str(authority.file), pinned_addresses=addresses) as transport,
    ):
        got = await transport.post(request(f"{ORIGIN}:{server.port}/x"))
        assert isinstance(got, PushResponse)
        assert transport.statistics.connections_opened == 1


async def test_a_failed_connect_to_a_public_address_is_not_a_refusal(authority: Authority) -> None:
    async with http2(answer2(), authority.server_context(alpn=("h2",)), PUBLIC) as server:
        pass
    async with CurlTransport(pinned_addresses={HOST: [PUBLIC]}) as transport:
        got = await transport.post(request(f"{ORIGIN}:{server.port}/x"))
    assert got == TransportFailure("connect", "No connection to the push service could be made.")


async def test_a_private_base_is_reached_only_through_its_map_entry(authority: Authority) -> None:
    async with (
        http2(answer2(), authority.server_context(HOST, PRIVATE, alpn=("h2",)), PRIVATE) as server,
        CurlTransport(
            origin_map=OriginMap.parse([server.entry(authority.file, host=PRIVATE)]), ca_file=str(authority.file)
        ) as transport,
    ):
        assert isinstance(await transport.post(request()), PushResponse)
        got = await transport.post(request(f"https://{PRIVATE}:{server.port}/x"))
        assert isinstance(got, TransportFailure)
        assert got.kind == "refused_address"
        assert len(server.requests) == 1


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:1"])
async def test_an_unknown_name_is_not_taken_for_a_refusal(proxy: str | None) -> None:
    async with CurlTransport(proxy=proxy) as transport:
        got = await transport.post(request("https://no-such-name.invalid/x"))
    assert got == TransportFailure("resolve", "The push service's name cannot be resolved.")


@contextlib.contextmanager
def name_server() -> Iterator[None]:
    """Knows that there are no names below ``.com``, and of all others says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        server.setblocking(False)

        def answer() -> None:
            data, address = server.recvfrom(512)
            if data[12:].split(b"\0", 1)[0].endswith(b"\x03com"):
                server.sendto(data[:2] + b"\x81\x83" + data[4:], address)  # RFC 1035 section 4.1.1: NXDOMAIN

        loop = asyncio.get_running_loop()
        loop.add_reader(server.fileno(), answer)
        try:
            yield
        finally:
            loop.remove_reader(server.fileno())


async def test_names_that_are_never_found_hold_up_neither_known_services_nor_closing() -> None:
    """Anybody can subscribe with names whose servers are silent; libcurl looks only so many up at once."""
    limits = TransportLimits(connect_seconds_max=5)
    loop = asyncio.get_running_loop()
    with name_server():
        async with CurlTransport(limits=limits) as transport:
            strangers = [
                asyncio.ensure_future(transport.post(request(f"https://stranger-{number}.example/x")))
                for number in range(30)
            ]
            await asyncio.sleep(0)
            got = await transport.post(request("https://fcm.googleapis.com/fcm/send/x"))
            assert got == TransportFailure("resolve", "The push service's name cannot be resolved.")
            assert not any(stranger.done() for stranger in strangers)
            for failure in await asyncio.gather(*strangers):
                assert isinstance(failure, TransportFailure)
                assert failure.kind == "timeout"
            closing_at = loop.time()
        assert loop.time() - closing_at < LOOK_UP_SECONDS / 2  # the look-ups were not waited for


def look_ups() -> int:
    """Threads that wait for the system's resolver."""
    return sum(thread.name == "pushkeep-resolver" for thread in threading.enumerate())


async def test_with_a_proxy_such_names_hold_up_neither_known_services_nor_the_application() -> None:
    """Names are then looked up by us: not in the threads that the event loop has for everybody."""
    limits = TransportLimits(connect_seconds_max=5)
    loop, before = asyncio.get_running_loop(), look_ups()
    with name_server():
        async with CurlTransport(limits=limits, proxy="http://127.0.0.1:1") as transport:
            strangers = [
                asyncio.ensure_future(transport.post(request(f"https://stranger-{number % 50}.example/x")))
                for number in range(100)
            ]
            await asyncio.sleep(0)
            assert await loop.run_in_executor(None, str) == ""
            got = await transport.post(request("https://fcm.googleapis.com/fcm/send/x"))
            assert got == TransportFailure("resolve", "The push service's name cannot be resolved.")
            assert not any(stranger.done() for stranger in strangers)
            assert THREADS_MAX <= look_ups() - before <= THREADS_MAX + 1  # one of the others' may be about to end
            assert {await stranger for stranger in strangers} == {got}
            closing_at = loop.time()
        await loop.shutdown_default_executor()
        assert loop.time() - closing_at < LOOK_UP_SECONDS / 2  # the look-ups were not waited for
