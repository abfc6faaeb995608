"""The transport: posts push requests over HTTP/2 with libcurl, on the running event loop.

What it will not do, whatever a push service or an endpoint asks for: follow a redirect, speak another protocol
than https (http for a mapped loopback base), use an alternative service or HTTP/3, keep cookies, take a proxy,
password or certificate setting from the environment or a netrc file, skip certificate verification, read more
of an answer than its limits, or connect to an address that is not public (`http2_dial` has the rules).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Self

import pycurl

from pushkeep.adapters.http2_dial import (
    Gate,
    Refused,
    Resolver,
    Route,
    direct_route,
    mapped_route,
    proxied_route,
)
from pushkeep.adapters.http2_reply import Reply
from pushkeep.domain.origin_map import OriginMap
from pushkeep.protocol.answer import RESPONSE_BODY_BYTES_MAX, Answer, FailureKind, TransportFailure
from pushkeep.protocol.request import PushRequest


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """What one transport spends at most.

    Attributes:
        connect_seconds_max: for name, socket and TLS together. A push service that takes longer is down.
        total_seconds_max: for one request, the wait for a free connection included.
        response_body_bytes_max: more is not read; error texts in the field are under 1 KB.
        response_header_bytes_max: status lines and header fields together; push services send under 1 KB.
        response_header_lines_max: and under 20 of them.
        in_flight_max: requests at once; further ones wait their turn. Each holds a libcurl handle of some 20 KB.
        host_connections_max: connections to one server. HTTP/2 carries about 100 requests on each.
        connections_max: connections in all, so that many self-hosted services cannot use up file descriptors.
        connection_seconds_max: a connection older than this takes no new request, so that changed addresses and
            renewed certificates are noticed.
    """

    connect_seconds_max: float = 10.0
    total_seconds_max: float = 30.0
    response_body_bytes_max: int = RESPONSE_BODY_BYTES_MAX
    response_header_bytes_max: int = 16_384
    response_header_lines_max: int = 100
    in_flight_max: int = 256
    host_connections_max: int = 8
    connections_max: int = 256
    connection_seconds_max: int = 3600


@dataclass(slots=True)
class TransportStatistics:
    """What a transport has done so far.

    Attributes:
        requests: requests handed to libcurl.
        handles_created: libcurl handles made; re-used ones are not counted again.
        connections_opened: sockets opened.
        http_1_answers: answers over HTTP/1.1: a service that should not need it is worth a look.
    """

    requests: int = 0
    handles_created: int = 0
    connections_opened: int = 0
    http_1_answers: int = 0


class _Handle:
    """One libcurl handle with the objects its callbacks write to, and what is set in it."""

    __slots__ = ("curl", "gate", "headers", "origin", "reply")

    def __init__(self, route: Route, limits: TransportLimits) -> None:
        self.curl = pycurl.Curl()
        self.origin: str | None = None
        self.headers: tuple[tuple[str, str], ...] | None = None
        self.gate = Gate(route.rule)
        self.reply = Reply(
            body_bytes_max=limits.response_body_bytes_max,
            header_bytes_max=limits.response_header_bytes_max,
            header_lines_max=limits.response_header_lines_max,
        )
        _set_up(self.curl, route, limits)
        self.curl.setopt(pycurl.OPENSOCKETFUNCTION, self.gate.open_socket)
        self.curl.setopt(pycurl.SOCKOPTFUNCTION, self.gate.keep_from_children)
        self.curl.setopt(pycurl.HEADERFUNCTION, self.reply.on_header)
        self.curl.setopt(pycurl.WRITEFUNCTION, self.reply.on_body)


class _Pool:
    """The connections and idle handles of one route."""

    __slots__ = ("idle", "multi", "route")

    def __init__(self, route: Route, limits: TransportLimits) -> None:
        self.route = route
        self.idle: list[_Handle] = []
        self.multi = pycurl.AsyncCurlMulti()
        self.multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, limits.host_connections_max)
        self.multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, limits.connections_max)
        self.multi.setopt(pycurl.M_MAXCONNECTS, limits.connections_max)

    async def aclose(self) -> None:
        await self.multi.aclose()
        for handle in self.idle:
            handle.curl.close()
        self.idle.clear()


class CurlTransport:
    """Posts push requests; one instance belongs to one event loop and is an async context manager.

    Args:
        origin_map: origins dialled elsewhere, the only exemption from the address check.
        limits: time, size and number limits.
        proxy: ``http://`` or ``https://`` URL of a proxy for everything outside the origin map. Names are then
            resolved here, checked, and the proxy is asked for the checked address.
        ca_file: PEM file of trusted authorities instead of the system's, for everything outside the origin map.
        pinned_addresses: addresses by host name, used instead of resolving it, as in ``/etc/hosts``. They are
            checked like resolved ones. Read anew for each request.

    Raises:
        ConfigurationError: ``proxy`` is not such a URL.
    """

    def __init__(
        self,
        *,
        origin_map: OriginMap | None = None,
        limits: TransportLimits | None = None,
        proxy: str | None = None,
        ca_file: str | None = None,
        pinned_addresses: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self._origin_map = origin_map or OriginMap()
        self._limits = limits or TransportLimits()
        self._pinned = pinned_addresses
        self._resolver = Resolver(pinned_addresses)
        self._stranger_route = proxied_route(proxy, ca_file) if proxy is not None else direct_route(ca_file)
        self._pools: dict[str | None, _Pool] = {}
        self._turns = asyncio.Semaphore(self._limits.in_flight_max)
        self._close_lock = asyncio.Lock()
        self._closing = False
        self._closed = False
        self.statistics = TransportStatistics()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def post(self, request: PushRequest) -> Answer:
        """Post ``request`` once: the answer, or why there is none. Cancelling it ends the exchange.

        A connection that dies under a request not yet answered may make libcurl send it again on a new one.

        Raises:
            RuntimeError: the transport is closed, or used from another event loop.
        """
        if self.is_closing():
            raise RuntimeError("this transport is closed")
        async with self._turns:
            if self.is_closing():
                return TransportFailure("connect", "The transport was closed before the request's turn came.")
            pool = self._pool_for(request.endpoint.origin)
            connect_to: str | None = None
            if pool.route.proxy is not None:
                try:
                    connect_to = await self._resolver.checked(request.endpoint, self._limits.connect_seconds_max)
                except Refused as refused:
                    return _refused(str(refused))
                except OSError:
                    return TransportFailure("resolve", "The push service's name cannot be resolved.")
            return await self._exchange(pool, self._prepare(pool, request, connect_to), request)

    def is_closing(self) -> bool:
        """Whether :meth:`aclose` has been called."""
        return self._closing

    async def aclose(self) -> None:
        """Let requests in flight finish within their time limit, refuse new ones, then close every connection."""
        self._closing = True
        async with self._close_lock:
            if self._closed:
                return
            try:
                # Holding every turn means that no request is in flight.
                for _ in range(self._limits.in_flight_max):
                    await self._turns.acquire()
            finally:
                self._closed = True
                for pool in self._pools.values():
                    await pool.aclose()

    def _pool_for(self, origin: str) -> _Pool:
        entry = self._origin_map.get(origin) if self._origin_map else None
        key = None if entry is None else origin
        pool = self._pools.get(key)
        if pool is None:
            route = self._stranger_route if entry is None else mapped_route(entry)
            pool = self._pools[key] = _Pool(route, self._limits)
        return pool

    def _prepare(self, pool: _Pool, request: PushRequest, connect_to: str | None) -> _Handle:
        """An idle or new handle, loaded with the request."""
        if pool.idle:
            handle = pool.idle.pop()
            handle.reply.clear()
            handle.gate.clear()
        else:
            handle = _Handle(pool.route, self._limits)
            self.statistics.handles_created += 1
        curl, endpoint = handle.curl, request.endpoint
        # What a broadcast repeats from message to message stays set in the handle.
        if handle.origin != endpoint.origin:
            handle.origin = endpoint.origin
            curl.setopt(pycurl.URL, f"{pool.route.scheme}://{endpoint.origin.removeprefix('https://')}/")
        if handle.headers != request.headers:
            handle.headers = request.headers
            curl.setopt(pycurl.HTTPHEADER, _header_lines(request.headers))
        # libcurl rewrites a path's %2f to %2F; given apart from the URL, path and query go out byte for byte.
        curl.setopt(pycurl.REQUEST_TARGET, endpoint.target if endpoint.target[:1] == "/" else f"/{endpoint.target}")
        curl.setopt(pycurl.POSTFIELDS, request.body)
        if connect_to is not None:
            curl.setopt(pycurl.CONNECT_TO, [f"::{connect_to}"])
        if self._pinned:
            # Set even when empty: what a re-used handle still held would undo a later change of that name.
            addresses = ",".join(self._pinned.get(endpoint.host, ()))
            curl.setopt(pycurl.RESOLVE, [f"{endpoint.host}:{endpoint.port}:{addresses}"] if addresses else [])
        return handle

    async def _exchange(self, pool: _Pool, handle: _Handle, request: PushRequest) -> Answer:
        self.statistics.requests += 1
        reusable = False
        try:
            await pool.multi.perform(handle.curl)
            reusable = True
        except pycurl.error as error:
            reusable = True
            # A status that has arrived is an answer, whatever becomes of the body: cut by us (error 23), or by
            # the other end.
            if not handle.reply.answered:
                return _failure(error, handle, request)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and (task is None or not task.cancelling()):
                # Closing was itself cut short; this is its doing and not our caller's.
                return TransportFailure("reset", "The transport was closed.", request_sent=True)
            raise
        finally:
            self.statistics.connections_opened += handle.gate.opened
            if reusable and not self._closed:
                pool.idle.append(handle)
            else:
                handle.curl.close()
        response = handle.reply.response()
        if response.http_version != "2":
            self.statistics.http_1_answers += 1
        return response


def _header_lines(headers: tuple[tuple[str, str], ...]) -> list[str]:
    """Header lines for libcurl, without what it would add of its own: ``Accept``, ``Expect``, a form content type."""
    lines = ["Accept:", "Expect:"]
    if not any(name.lower() == "content-type" for name, _ in headers):
        lines.append("Content-Type:")
    lines.extend([f"{name}: {value}" for name, value in headers])
    return lines


_SUPPRESS_CONNECT_HEADERS = 265  # libcurl's number; pycurl has no name for it


def _set_up(curl: pycurl.Curl, route: Route, limits: TransportLimits) -> None:
    """Everything about a handle that stays the same from request to request."""
    trusted = ssl.get_default_verify_paths()
    ca_file = route.ca_file or trusted.cafile
    schemes = pycurl.PROTO_HTTPS if route.scheme == "https" else pycurl.PROTO_HTTP
    options: list[tuple[int, object]] = [
        (pycurl.POST, 1),
        (pycurl.PROTOCOLS, schemes),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.NETRC, pycurl.NETRC_IGNORED),
        (pycurl.NOSIGNAL, 1),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),  # never HTTP/3: the rules here are for TCP
        (pycurl.PIPEWAIT, 1),  # wait for a connection that may carry many requests instead of opening another
        (pycurl.TCP_KEEPALIVE, 1),
        (pycurl.MAXLIFETIME_CONN, limits.connection_seconds_max),
        (pycurl.CONNECTTIMEOUT_MS, int(limits.connect_seconds_max * 1000)),
        (pycurl.TIMEOUT_MS, int(limits.total_seconds_max * 1000)),
        (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
        (pycurl.SSL_VERIFYPEER, 1),
        (pycurl.SSL_VERIFYHOST, 2),
        (pycurl.PROXY, route.proxy or ""),  # "" and not unset: unset would read http_proxy and its like
        (pycurl.NOPROXY, ""),
        (_SUPPRESS_CONNECT_HEADERS, 1),  # or the proxy's "200 Connection established" would pass for an answer
        (pycurl.USERAGENT, "pushkeep"),
    ]
    if ca_file is not None:
        options.append((pycurl.CAINFO, ca_file))
    if route.ca_file is None and trusted.capath is not None:
        options.append((pycurl.CAPATH, trusted.capath))
    if route.connect_to is not None:
        options.append((pycurl.CONNECT_TO, [f"::{route.connect_to}"]))
    for option, value in options:
        curl.setopt(option, value)


_KINDS: Mapping[int, tuple[FailureKind, str]] = {
    pycurl.E_COULDNT_RESOLVE_HOST: ("resolve", "The push service's name cannot be resolved."),
    pycurl.E_COULDNT_RESOLVE_PROXY: ("resolve", "The proxy's name cannot be resolved."),
    pycurl.E_COULDNT_CONNECT: ("connect", "No connection to the push service could be made."),
    97: ("connect", "The proxy did not connect us."),  # CURLE_PROXY
    pycurl.E_OPERATION_TIMEDOUT: ("timeout", "The push service did not answer in time."),
    pycurl.E_GOT_NOTHING: ("reset", "The push service closed the connection without an answer."),
    pycurl.E_SEND_ERROR: ("reset", "The connection broke while the request was sent."),
    pycurl.E_RECV_ERROR: ("reset", "The connection broke before the answer came."),
    pycurl.E_PARTIAL_FILE: ("reset", "The connection broke within the answer."),
    92: ("reset", "The push service reset the HTTP/2 stream."),  # CURLE_HTTP2_STREAM
    pycurl.E_WRITE_ERROR: ("protocol", "The answer's header is larger than we read."),
}
_TLS_ERRORS = frozenset({35, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91, 98})


def _failure(error: pycurl.error, handle: _Handle, request: PushRequest) -> TransportFailure:
    """Put a libcurl error into our words; its own message may quote the host and is used for TLS only."""
    code = int(error.args[0])
    if handle.gate.refused is not None and not handle.gate.opened:
        return _refused(handle.gate.refused)
    sent = handle.reply.started or handle.curl.getinfo(pycurl.REQUEST_SIZE) > 0
    if code in _TLS_ERRORS:
        said = re.sub(re.escape(request.endpoint.host), "its host", str(error.args[1]), flags=re.IGNORECASE)
        return TransportFailure("tls", f"TLS with the push service failed: {said[:200]}", sent)
    kind, detail = _KINDS.get(code, ("protocol", f"The push service does not speak proper HTTP (libcurl {code})."))
    return TransportFailure(kind, detail, sent)


def _refused(reason: str) -> TransportFailure:
    return TransportFailure("refused_address", f"The endpoint leads to an address that is not public: {reason}.")
