"""Browser routes that are answered before the router: receipts, and messages that are fetched.

After a large broadcast hundreds of thousands of browsers come within minutes, each with one small request. What every
other request gets (an id, a line in the log, a count for its address, routing, a request object) would cost ten times
what is to be done. So these two read the raw request and answer it. They are protected by the token in the body, which
no page of a stranger has, and by limits on size and work; nothing about the caller is looked at, kept or logged.

A browser sends them without a preflight: the bodies are ``text/plain`` (Fetch standard, CORS-safelisted).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from pushkeep.web.asgi import ASGIApp, Receive, Scope, Send
from pushkeep.web.cors import CLIENT_PREFIX

BODY_BYTES_MAX = 1024
"""What is sent has 66 to 76 octets."""

Answer: TypeAlias = tuple[int, Sequence[tuple[bytes, bytes]], bytes]
"""Status, headers, body."""

Handler: TypeAlias = Callable[[str, bytes, Mapping[bytes, bytes]], Awaitable[Answer]]
"""Gets the publishable key of the path, the body and the headers; never raises what a browser could have caused."""

_PLACE = re.compile(r"/v1/client/([^/]{1,64})/([a-z]+)/?")
_NOT_ALLOWED: Answer = (405, ((b"allow", b"POST, OPTIONS"),), b"")
_TOO_LARGE: Answer = (413, ((b"connection", b"close"),), b"")
_TOO_SLOW: Answer = (408, ((b"connection", b"close"),), b"")


class Direct:
    """Answers its routes itself and leaves every other request to the application.

    Args:
        inner: the application.
        body_seconds_max: how long a client may take to send a body.

    Attributes:
        handlers: by the last part of the path; empty while the application does not run, which then says so itself.
    """

    def __init__(self, inner: ASGIApp, *, body_seconds_max: float) -> None:
        self.handlers: Mapping[str, Handler] = {}
        self._inner = inner
        self._body_seconds_max = body_seconds_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve (ASGI)."""
        found = self._find(scope) if scope["type"] == "http" else None
        if found is None:
            await self._inner(scope, receive, send)
            return
        handler, key = found
        status, headers, body = await self._answer(handler, key, scope, receive)
        length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
        await send({"type": "http.response.body", "body": body})

    def _find(self, scope: Scope) -> tuple[Handler, str] | None:
        """The handler of a path and the publishable key in it, found below the mount point."""
        path: str = scope["path"]
        if CLIENT_PREFIX not in path or scope["method"] == "OPTIONS":
            return None  # whoever asks first is answered as for the other browser routes
        root_path: str = scope.get("root_path", "")
        place = _PLACE.fullmatch(path.split(root_path, maxsplit=1)[-1] if root_path else path)
        handler = self.handlers.get(place[2]) if place else None
        return (handler, place[1]) if place and handler else None

    async def _answer(self, handler: Handler, key: str, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] != "POST":
            return _NOT_ALLOWED
        headers: dict[bytes, bytes] = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if len(length) > 4 or not length.isdigit() or int(length) > BODY_BYTES_MAX:
            return _TOO_LARGE
        try:
            async with asyncio.timeout(self._body_seconds_max):
                body = await _read(receive)
        except TimeoutError:
            return _TOO_SLOW
        if body is None:
            return _TOO_LARGE
        return await handler(key, body, headers)


async def _read(receive: Receive) -> bytes | None:
    """The body; None if it is too large or its sender has gone."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > BODY_BYTES_MAX:
            return None
        if not message.get("more_body", False):
            return body
