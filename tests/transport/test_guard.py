"""A stranger's endpoint never makes us connect to an address that is not public, however it is dressed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pushkeep.adapters.http2 import CurlTransport
from pushkeep.adapters.http2_dial import mapped_route
from pushkeep.domain.origin_map import MappedOrigin, OriginMap
from pushkeep.protocol.answer import PushResponse, TransportFailure
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.request import PushRequest

from .namespace import LOOK_UP_SECONDS, PRIVATE, PUBLIC
from .requests import request
from .servers import HOST, ORIGIN, Authority, answer2, http2

NAME = "rebound.example"


def aimed_at(host: str, port: int) -> PushRequest:
    """A request that skips endpoint parsing: the socket must be guarded without its help."""
    shown = f"[{host}]" if ":" in host else host
    origin = f"https://{shown}:{port}"
    return PushRequest(Endpoint(f"{origin}/x", "https", host, port, origin, "/x"), (("TTL", "0"),), b"")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "2130706433",
        "127.0.0.1.",
        "0.0.0.0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "anything.localhost",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "0:0:0:0:0:ffff:7f00:0001",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fec0::1",
        "fe80::1",
        "fd00::1",
        "10.0.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "224.0.0.1",
        "ff02::1",
    ],
)
async def test_an_address_in_the_endpoint_is_refused(authority: Authority, host: str) -> None:
    async with (
        http2(answer2(), authority.server_context("127.0.0.1", "localhost", alpn=("h2",))) as server,
        CurlTransport(ca_file=str(authority.file)) as transport,
    ):
        got = await transport.post(aimed_at(host, server.port))
        assert isinstance(got, TransportFailure)
        assert got.kind == "refused_address"
        assert not got.request_sent
        assert transport.statistics.connections_opened == server.connections == 0


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["::1"], ["10.0.0.1", "fd00::1"], ["::ffff:127.0.0.1"]])
async def test_a_name_that_leads_to_private_addresses_is_refused(authority: Authority, addresses: list[str]) -> None:
    async with (
        http2(answer2(), authority.server_context(NAME, alpn=("h2",))) as server,
        CurlTransport(ca_file=str(authority.file), pinned_addresses={NAME: addresses}) as transport,
    ):
        got = await transport.post(request(f"https://{NAME}:{server.port}/x"))
        assert isinstance(got, TransportFailure)
        assert got.kind == "refused_address"
        assert server.connections == 0


async def test_a_live_connection_of_a_mapped_origin_is_no_way_in(authority: Authority) -> None:
    async with http2(answer2(), authority.server_context("localhost", "push.example", alpn=("h2",))) as server:
        mapped = f"https://localhost:{server.port}"
        entries = [server.entry(authority.file), server.entry(authority.file, origin=mapped, host="localhost")]
        async with CurlTransport(
            origin_map=OriginMap.parse(entries),
            ca_file=str(authority.file),
            pinned_addresses={NAME: ["127.0.0.1"], HOST: ["127.0.0.1"]},
        ) as transport:
            for url in (f"{ORIGIN}/x", f"{mapped}/x"):
                assert isinstance(await transport.post(request(url)), PushResponse)
            reached = len(server.requests)
            for url in (
                f"https://127.0.0.1:{server.port}/x",
                f"https://localhost.:{server.port}/x",
                f"https://{NAME}:{server.port}/x",
                f"{ORIGIN}:{server.port}/x",
            ):
                got = await transport.post(request(url))
                assert isinstance(got, TransportFailure)
                assert got.kind == "refused_address"
            assert len(server.requests) == reached == 2


async def test_a_mapped_origin_is_dialled_elsewhere_and_nothing_else_changes(authority: Authority) -> None:
    async with (
        http2(answer2(), authority.server_context("jmt17.google.com", alpn=("h2",))) as server,
        CurlTransport(
            origin_map=OriginMap.parse(
                [server.entry(authority.file, origin="https://jmt17.google.com", host="localhost") + ",vendor=fcm"]
            )
        ) as transport,
    ):
        got = await transport.post(request("https://jmt17.google.com/fcm/send/token"))
    assert isinstance(got, PushResponse)
    (seen,) = server.requests
    assert seen.header(":authority") == "jmt17.google.com"
    assert server.server_names == ["jmt17.google.com"]


@pytest.mark.parametrize(
    ("base", "address", "port", "allowed"),
    [
        ("https://10.9.8.7:8443", "10.9.8.7", 8443, True),
        ("https://10.9.8.7:8443", "10.9.8.7", 22, False),
        ("https://10.9.8.7:8443", "10.9.8.8", 8443, False),
        ("https://[fd00::1]:8443", "fd00::1", 8443, True),
        ("https://[fd00::1]:8443", "fd00::2", 8443, False),
        ("https://localhost:8443", "::1", 8443, True),
        ("https://localhost:8443", "127.0.0.1", 22, False),
        ("https://push.internal.example:8443", "10.9.8.7", 8443, False),
        ("https://push.internal.example:8443", "1.1.1.1", 8443, True),
        ("http://localhost:8080", "127.0.0.1", 8080, True),
        ("http://localhost:8080", "1.1.1.1", 8080, False),
        ("http://localhost:8080", "10.9.8.7", 8080, False),
    ],
)
def test_a_map_entry_exempts_its_own_address_and_loopback_only(
    base: str, address: str, port: int, allowed: bool
) -> None:
    rule = mapped_route(MappedOrigin.parse(f"{ORIGIN}={base}")).rule
    assert (rule(address, port) is None) is allowed


def test_with_real_public_and_private_addresses(tmp_path: Path) -> None:
    """Run ``namespace.py`` in a network namespace of its own, where a public address and the name server are ours."""
    resolver = tmp_path / "resolv.conf"
    resolver.write_text(f"nameserver 127.0.0.1\nsearch .\noptions timeout:{LOOK_UP_SECONDS} attempts:1\n")
    set_up = " && ".join(
        [
            f"mount --bind {resolver} /etc/resolv.conf",
            "ip link set lo up",
            *(f"ip address add {address}/32 dev lo" for address in (PUBLIC, PRIVATE)),
        ]
    )
    inside = f"{sys.executable} -m pytest -q -p no:cacheprovider {Path(__file__).with_name('namespace.py')}"
    done = subprocess.run(
        ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c", f"{set_up} && exec {inside}"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
