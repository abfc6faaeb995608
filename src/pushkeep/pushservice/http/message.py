"""A request and a response as the resources see them, whatever the HTTP version."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qsl

from pushkeep.errors import InvalidInput

_log = logging.getLogger(__name__)

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A complete request.

    Attributes:
        scheme: "https" or "http", as the connection was, not as the client says.
        authority: host and port as the client wrote them.
        target: path and query as the client wrote them.
        headers: lower-case names; no pseudo-headers.
        body: up to ``request_body_bytes_max`` octets.
        body_bytes: how long the body was; more than ``len(body)`` means that the rest was thrown away.
        version: "2" or "1.1".
    """

    method: str
    scheme: str
    authority: str
    target: str
    headers: Headers
    body: bytes
    body_bytes: int
    version: str

    @property
    def path(self) -> str:
        """The target without its query, not decoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The query's fields, the last of each name; raises InvalidInput over 50 of them."""
        try:
            return dict(parse_qsl(self.target.partition("?")[2], max_num_fields=50))
        except ValueError:
            raise InvalidInput("The query has more than 50 fields.", field="query") from None

    def header(self, name: str) -> str | None:
        """The first field of this name (lower case), or None."""
        return next((value for key, value in self.headers if key == name), None)

    def __repr__(self) -> str:
        return f"<Request {self.method} HTTP/{self.version} {self.body_bytes} octets>"


class Manner(StrEnum):
    """A way to give an answer badly, on purpose. Where HTTP/1.1 has no such thing, the connection is closed."""

    DRIP = "drip"
    HANG = "hang"
    RESET = "reset"
    RESET_MIDDLE = "reset_middle"
    RESET_STREAM = "reset_stream"
    REFUSE_STREAM = "refuse_stream"
    CLOSE = "close"
    GOAWAY = "goaway"
    GOAWAY_ABRUPT = "goaway_abrupt"
    GOAWAY_TAKEN = "goaway_taken"
    ENDLESS_BODY = "endless_body"
    HUGE_HEADERS = "huge_headers"
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response; ``content-length`` is added when it is sent.

    Attributes:
        manner: how it is given; None: well.
        seconds: how long DRIP and HANG take.
    """

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)
    manner: Manner | None = None
    seconds: float = 0.0


Handler = Callable[[Request], Awaitable[Response]]


async def answer(handler: Handler, request: Request) -> Response:
    """Call the handler; a bug in it becomes a 500 for this request and nothing worse."""
    try:
        return await handler(request)
    except Exception as error:
        # Only the type: the message could carry what the peer sent.
        _log.error("A request handler failed with %s.", type(error).__name__)
        return text_response(500, "The push service failed on this request.\n")


class ByteStream(Protocol):
    """A connection's octets, for a protocol that takes over after an upgrade."""

    async def receive(self, *, seconds: float) -> bytes:
        """Some octets; empty at the end. Raises TimeoutError."""

    async def send(self, data: bytes) -> None:
        """Write and wait until the peer keeps up. Raises ConnectionError."""

    def settle_while(self, is_browser: Callable[[], bool]) -> None:
        """While this holds, the peer has proved to be a browser, which may be silent for as long as it likes."""

    def half_close(self) -> None:
        """Nothing more will be sent. Does nothing under TLS, which has no half-closed state."""


Upgrade = Callable[[Request, ByteStream, bytes], Awaitable[None]]
"""Takes over a connection whose request asks for ``Upgrade: websocket``: the request, the connection, and the
octets already read after the request."""


def reason_phrase(status: int) -> str:
    """The standard phrase of a status, or "Status"."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"


def json_response(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return Response(status, (("content-type", "application/json"), *(headers or {}).items()), body)


def text_response(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """A plain-text answer."""
    kind = ("content-type", "text/plain; charset=utf-8")
    return Response(status, (kind, *(headers or {}).items()), text.encode())
