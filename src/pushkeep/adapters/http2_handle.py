"""One libcurl handle: set up once for its route, loaded with one request after the other, read after each.

What it will not do, whatever a push service or an endpoint asks for: follow a redirect, speak another protocol
than https (http for a mapped loopback base), use an alternative service or HTTP/3, keep cookies, take a proxy,
password or certificate setting from the environment or a netrc file, skip certificate verification, read more
of an answer than its limits, or connect to an address that is not public (`http2_dial` has the rules).
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping, Sequence

import pycurl

from pushkeep.adapters.http2_dial import Gate, Route
from pushkeep.adapters.http2_fork import Sockets
from pushkeep.adapters.http2_limits import TransportLimits
from pushkeep.adapters.http2_reply import Reply
from pushkeep.protocol.answer import Answer, FailureKind, TransportFailure
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.request import PushRequest

Done = Callable[[Answer], None]
"""Called once with what became of a request."""


class Handle:
    """One libcurl handle with the objects its callbacks write to, and what is set in it.

    Attributes:
        curl: libcurl's own.
        gate: opens its sockets.
        reply: collects the answer.
    """

    __slots__ = (
        "_connect_to",
        "_endpoint",
        "_extended_ms",
        "_headers",
        "_limits_ms",
        "_origin",
        "_route",
        "curl",
        "gate",
        "reply",
    )

    def __init__(self, route: Route, limits: TransportLimits, sockets: Sockets) -> None:
        self._route = route
        self._origin: str | None = None
        self._headers: tuple[tuple[str, str], ...] | None = None
        self._connect_to: str | None = None
        self._limits_ms = (milliseconds(limits.connect_seconds_max), milliseconds(limits.total_seconds_max))
        self._extended_ms = 0
        self._endpoint: Endpoint | None = None
        self.curl = pycurl.Curl()
        self.gate = Gate(route.rule, sockets)
        self.reply = Reply(
            body_bytes_max=limits.response_body_bytes_max,
            header_bytes_max=limits.response_header_bytes_max,
            header_lines_max=limits.response_header_lines_max,
        )
        _set_up(self.curl, route, limits)
        self.curl.setopt(pycurl.OPENSOCKETFUNCTION, self.gate.open_socket)
        self.curl.setopt(pycurl.SOCKOPTFUNCTION, self.gate.on_socket)
        self.curl.setopt(pycurl.HEADERFUNCTION, self.reply.on_header)
        self.curl.setopt(pycurl.WRITEFUNCTION, self.reply.on_body)

    def load(self, request: PushRequest, *, connect_to: str | None, pinned: Sequence[str] | None) -> None:
        """Make ready to post ``request``. What a broadcast repeats from message to message stays set in the handle.

        Args:
            request: what to post.
            connect_to: ``address:port`` that the proxy is asked for; None without a proxy.
            pinned: addresses of the endpoint's host, none of them to have it resolved; None where nothing is pinned.
        """
        self.reply.clear()
        self.gate.clear()
        curl, endpoint = self.curl, request.endpoint
        if self._extended_ms:
            self._extended_ms = 0
            self._limit_time()
        self._endpoint = endpoint
        if self._origin != endpoint.origin:
            self._origin = endpoint.origin
            curl.setopt(pycurl.URL, f"{self._route.scheme}://{endpoint.origin.removeprefix('https://')}/")
        if self._headers != request.headers:
            self._headers = request.headers
            curl.setopt(pycurl.HTTPHEADER, _header_lines(request.headers))
        # libcurl rewrites a path's %2f to %2F; given apart from the URL, path and query go out byte for byte.
        curl.setopt(pycurl.REQUEST_TARGET, endpoint.target if endpoint.target[:1] == "/" else f"/{endpoint.target}")
        curl.setopt(pycurl.POSTFIELDS, request.body)
        if connect_to is not None and connect_to != self._connect_to:
            self._connect_to = connect_to
            curl.setopt(pycurl.CONNECT_TO, [f"::{connect_to}"])
        if pinned is not None:
            # Set even when empty: what a re-used handle still held would undo a later change of that name.
            curl.setopt(pycurl.RESOLVE, [f"{endpoint.host}:{endpoint.port}:{','.join(pinned)}"] if pinned else [])

    def extend(self, seconds: float) -> None:
        """Give the exchange under way so much longer."""
        self._extended_ms += milliseconds(seconds)
        self._limit_time()

    def answer(self, error: tuple[int, str] | None) -> Answer:
        """What came of the exchange, with libcurl's error if there was one.

        A status that has arrived is an answer, whatever becomes of the body: cut by us (error 23), or by the
        other end.
        """
        if error is None or self.reply.answered:
            return self.reply.response()
        return self._failure(*error)

    def _limit_time(self) -> None:
        connect_ms, total_ms = self._limits_ms
        self.curl.setopt(pycurl.CONNECTTIMEOUT_MS, connect_ms + self._extended_ms)
        self.curl.setopt(pycurl.TIMEOUT_MS, total_ms + self._extended_ms)

    def _failure(self, code: int, said: str) -> TransportFailure:
        """Put a libcurl error into our words; its own message may quote the host and is used for TLS only."""
        if self.gate.refused is not None and not self.gate.opened:
            return refused(self.gate.refused)
        sent = self.reply.started or self.curl.getinfo(pycurl.REQUEST_SIZE) > 0
        if code in _TLS_ERRORS and self._endpoint is not None:
            cleaned = re.sub(re.escape(self._endpoint.host), "its host", said, flags=re.IGNORECASE)
            return TransportFailure("tls", f"TLS with the push service failed: {cleaned[:200]}", sent)
        kind, detail = _KINDS.get(code, ("protocol", f"The push service does not speak proper HTTP (libcurl {code})."))
        return TransportFailure(kind, detail, sent)


UNRESOLVED = TransportFailure("resolve", "The push service's name cannot be resolved.")


def refused(reason: str) -> TransportFailure:
    """The address check did not let us connect."""
    return TransportFailure("refused_address", f"The endpoint leads to an address that is not public: {reason}.")


def milliseconds(seconds: float) -> int:
    """A time limit for libcurl, to which 0 would mean its default or no limit at all."""
    return max(1, int(seconds * 1000))


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
        (pycurl.CONNECTTIMEOUT_MS, milliseconds(limits.connect_seconds_max)),
        (pycurl.TIMEOUT_MS, milliseconds(limits.total_seconds_max)),
        (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
        (pycurl.SSL_VERIFYPEER, 1),
        (pycurl.SSL_VERIFYHOST, 2),
        (pycurl.PROXY_SSLVERSION, pycurl.SSLVERSION_TLSv1_2),
        (pycurl.PROXY, route.proxy or ""),  # "" and not unset: unset would read http_proxy and its like
        (pycurl.NOPROXY, ""),
        (_SUPPRESS_CONNECT_HEADERS, 1),  # or the proxy's "200 Connection established" would pass for an answer
        (pycurl.USERAGENT, "pushkeep"),
    ]
    if ca_file is not None:
        options += [(pycurl.CAINFO, ca_file), (pycurl.PROXY_CAINFO, ca_file)]
    if route.ca_file is None and trusted.capath is not None:
        options += [(pycurl.CAPATH, trusted.capath), (pycurl.PROXY_CAPATH, trusted.capath)]
    if route.connect_to is not None:
        options.append((pycurl.CONNECT_TO, [f"::{route.connect_to}"]))
    for option, value in options:
        curl.setopt(option, value)


_KINDS: Mapping[int, tuple[FailureKind, str]] = {
    pycurl.E_COULDNT_RESOLVE_HOST: (UNRESOLVED.kind, UNRESOLVED.detail),
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
