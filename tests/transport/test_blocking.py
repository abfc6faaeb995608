"""The blocking transport follows every rule of the asynchronous one: they share route, gate, handle and engine."""

from __future__ import annotations

import time
from collections.abc import Callable

import pycurl
import pytest

from pushkeep.adapters.http2_blocking import BlockingTransport
from pushkeep.adapters.http2_limits import TransportLimits
from pushkeep.domain.origin_map import OriginMap
from pushkeep.errors import ConfigurationError, InvalidInput
from pushkeep.protocol.answer import Answer, PushResponse, TransportFailure

from .requests import BODY, request
from .servers import HOST, ORIGIN, Authority, Serving, answer, answer2, http1, http2
from .test_guard import NAME, aimed_at
from .test_proxy import PUBLIC, proxying


def blocking(*entries: str, **options: object) -> BlockingTransport:
    return BlockingTransport(time.monotonic, origin_map=OriginMap.parse(entries), **options)  # type: ignore[arg-type]


def serving(authority: Authority, *names: str) -> Serving:
    return Serving(lambda: http2(answer2(), authority.server_context(*names, alpn=("h2",))))


async def hang(*_: object) -> None:
    """Behave: no answer ever."""


def test_the_request_arrives_byte_for_byte_and_connections_are_used_again(authority: Authority) -> None:
    target = "/wpush/./v2/../a%2fb%2Bc/?token=%2b%2F&x=.."
    with serving(authority) as server:
        transport = blocking(server.entry(authority.file))
        for _ in range(3):
            assert transport.post(request(ORIGIN + target)) == PushResponse(201, {}, b"", "2")
        assert transport.statistics.handles_created == transport.statistics.connections_opened == 1
        transport.close()
    assert [(seen.method, seen.target, seen.body) for seen in server.requests] == [("POST", target, BODY)] * 3
    assert {seen.header("user-agent") for seen in server.requests} == {"pushkeep"}
    assert server.server_names == [HOST]


def test_many_at_a_time_keep_to_their_turns(authority: Authority) -> None:
    answers: list[Answer] = []
    with serving(authority) as server:
        transport = blocking(server.entry(authority.file), limits=TransportLimits(in_flight_max=10))
        for _ in range(100):
            transport.start(request(), answers.append)
        given_up = transport.start(request(), answers.append)
        given_up.cancel()
        while len(answers) < 100:
            transport.run_once(None)
        assert transport.statistics.handles_created == 10
        transport.close()
    assert answers == [PushResponse(201, {}, b"", "2")] * 100
    assert len(server.requests) == 100


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254"])
def test_a_private_address_is_refused(authority: Authority, host: str) -> None:
    with serving(authority, "127.0.0.1", "localhost") as server:
        transport = blocking(ca_file=str(authority.file))
        got = transport.post(aimed_at(host, server.port))
        assert isinstance(got, TransportFailure)
        assert got.kind == "refused_address"
        assert transport.statistics.connections_opened == server.connections == 0
        transport.close()


def test_a_name_that_leads_to_a_private_address_is_refused(authority: Authority) -> None:
    with serving(authority, NAME) as server:
        transport = blocking(ca_file=str(authority.file), pinned_addresses={NAME: ["127.0.0.1"]})
        got = transport.post(request(f"https://{NAME}:{server.port}/x"))
        assert isinstance(got, TransportFailure)
        assert got.kind == "refused_address"
        assert server.connections == 0
        transport.close()


def test_the_proxy_is_asked_for_the_checked_address_and_tls_is_with_the_name(authority: Authority) -> None:
    with serving(authority) as server, Serving(lambda: proxying(server.port)) as proxy:  # type: ignore[arg-type, return-value]
        transport = blocking(
            proxy=proxy.url,  # type: ignore[attr-defined]
            ca_file=str(authority.file),
            pinned_addresses={HOST: ["10.0.0.1", PUBLIC]},
        )
        for _ in range(3):
            assert transport.post(request()) == PushResponse(201, {}, b"", "2")
        transport.close()
        assert proxy.targets == [f"{PUBLIC}:443"]  # type: ignore[attr-defined]
    assert server.server_names == [HOST]


@pytest.mark.parametrize("url", [f"{ORIGIN}/x", "https://localhost/x", "https://127.0.0.1/x", "https://[::1]/x"])
def test_the_proxy_never_hears_of_a_private_target(authority: Authority, url: str) -> None:
    """Addresses as they are pinned, and as this machine's own resolver finds them."""
    with Serving(lambda: proxying(0)) as proxy:  # type: ignore[arg-type, return-value]
        transport = blocking(proxy=proxy.url, pinned_addresses={HOST: ["10.0.0.1", "::1"]})  # type: ignore[attr-defined]
        got = transport.post(request(url))
        assert isinstance(got, TransportFailure)
        assert got.kind == "refused_address"
        transport.close()
        assert proxy.targets == []  # type: ignore[attr-defined]


def test_a_name_that_cannot_be_resolved_for_the_proxy_is_said_so() -> None:
    transport = blocking(proxy="http://127.0.0.1:9")
    got = transport.post(aimed_at("a" * 64 + ".example", 443))  # longer than any name server takes
    assert isinstance(got, TransportFailure)
    assert (got.kind, got.request_sent) == ("resolve", False)
    transport.close()


@pytest.mark.parametrize("proxy", ["proxy.example:3128", "socks5://proxy:1080", "http://proxy"])
def test_a_proxy_must_be_named_in_full(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy must be"):
        blocking(proxy=proxy)


def test_silence_is_a_timeout_and_the_transport_goes_on(authority: Authority) -> None:
    with Serving(lambda: http1(hang, authority.server_context())) as server:
        transport = blocking(server.entry(authority.file), limits=TransportLimits(total_seconds_max=0.3))
        for _ in range(2):
            got = transport.post(request())
            assert isinstance(got, TransportFailure)
            assert (got.kind, got.request_sent) == ("timeout", True)
        transport.close()


def test_closing_ends_what_is_in_flight_with_a_value(authority: Authority) -> None:
    answers: list[Answer] = []
    with Serving(lambda: http1(hang, authority.server_context())) as server:
        transport = blocking(server.entry(authority.file), limits=TransportLimits(in_flight_max=1))
        transport.start(request(), answers.append)
        transport.start(request(), answers.append)
        while not server.requests:
            transport.run_once(0.1)
        transport.close()
        transport.close()
        with pytest.raises(RuntimeError, match="closed"):
            transport.post(request())
    assert sorted(got.kind for got in answers if isinstance(got, TransportFailure)) == ["connect", "reset"]


def test_an_interrupted_post_leaves_the_transport_usable(authority: Authority) -> None:
    class Interrupted(BaseException):
        """What Ctrl-C raises, more or less."""

    def interrupt(_seconds: float | None) -> None:
        raise Interrupted

    with Serving(lambda: http1(answer(), authority.server_context())) as server:
        transport = blocking(server.entry(authority.file))
        going_on: Callable[[float | None], None] = transport.run_once
        transport.run_once = interrupt  # type: ignore[method-assign]
        with pytest.raises(Interrupted):
            transport.post(request())
        transport.run_once = going_on  # type: ignore[method-assign]
        assert isinstance(transport.post(request()), PushResponse)
        transport.close()


@pytest.mark.parametrize(
    "limits",
    [
        {"total_seconds_max": 0},
        {"total_seconds_max": -1.0},
        {"connect_seconds_max": float("nan")},
        {"connect_seconds_max": 1e9},
        {"in_flight_max": 0},
        {"in_flight_max": 1.5},
        {"host_connections_max": True},
    ],
)
def test_limits_are_numbers_above_nothing(limits: dict[str, float]) -> None:
    with pytest.raises(InvalidInput) as caught:
        TransportLimits(**limits)  # type: ignore[arg-type]
    assert caught.value.field == next(iter(limits))


def test_libcurl_knows_how_to_speak_http_2() -> None:
    assert pycurl.version_info()[4] & pycurl.VERSION_HTTP2
