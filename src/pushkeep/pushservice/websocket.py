"""A WebSocket (RFC 6455) on the sans-I/O half of ``websockets``, over a connection of our own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as UpgradeRequest
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from pushkeep.pushservice.http.message import ByteStream, Request
from pushkeep.pushservice.limits import Limits

# The library logs every frame at DEBUG, and frames hold endpoints and payloads.
_NO_LOG = logging.Logger(__name__, level=logging.CRITICAL + 1)

_CLOSE_NOT_UTF8 = 1007
_CLOSE_POLICY = 1008
_CLOSE_SECONDS_MAX = 2.0  # for the peer's half of the closing handshake


class WebSocket:
    """One connection; text messages only, whole, each at most ``frame_bytes_max``."""

    def __init__(self, stream: ByteStream, limits: Limits, *, subprotocol: str) -> None:
        self._stream = stream
        self._limits = limits
        self._protocol = ServerProtocol(
            subprotocols=[Subprotocol(subprotocol)],
            # The browser offers it, but a client that does not is welcome too.
            select_subprotocol=lambda _protocol, offered: next((name for name in offered if name == subprotocol), None),
            max_size=limits.frame_bytes_max,
            logger=_NO_LOG,
        )
        self._fragments: list[bytes] = []
        self._idle_frames = 0
        self._messages: list[str] = []

    async def open(self, request: Request, trailing: bytes) -> bool:
        """Answer the upgrade; False if it is not one that can be accepted (the answer says so)."""
        headers = Headers()
        for name, value in request.headers:
            headers[name] = value
        self._protocol.receive_data(UpgradeRequest(request.target, headers).serialize())
        self._protocol.events_received()
        # Compression is not offered: it would let a small frame unpack into a large one.
        if _is_of_a_page(request.header("origin")):
            response = self._protocol.reject(HTTPStatus.FORBIDDEN, "Web pages have no business here.\n")
        else:
            response = self._protocol.accept(UpgradeRequest(request.target, headers))
        self._protocol.send_response(response)
        if trailing and response.status_code == 101:
            self._protocol.receive_data(trailing)
        await self._flush()
        return response.status_code == 101

    async def receive(self, *, seconds: float | None) -> str | None:
        """The next text message; None when the connection is over.

        Without ``seconds``, waits as long as the peer answers pings, sent every ``ping_interval_seconds``.

        Raises:
            TimeoutError: nothing within ``seconds``, or no pong in time.
        """
        while not self._messages:
            if not await self._fill(seconds):
                return None
        return self._messages.pop(0)

    async def _fill(self, seconds: float | None) -> bool:
        self._take_events()
        if self._messages:
            return True
        try:
            wait = self._limits.ping_interval_seconds if seconds is None else seconds
            data = await self._stream.receive(seconds=wait)
        except TimeoutError:
            if seconds is not None:
                raise
            self._protocol.send_ping(b"")
            await self._flush()
            data = await self._stream.receive(seconds=self._limits.pong_seconds_max)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._take_events()
        await self._flush()
        return bool(self._messages) or (bool(data) and self._protocol.state is State.OPEN)

    def _take_events(self) -> None:
        for event in self._protocol.events_received():
            self._idle_frames += 1
            if self._idle_frames > self._limits.idle_frames_max:
                self._fail(_CLOSE_POLICY)
                return
            if not isinstance(event, Frame) or event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                continue
            if event.data:  # fragments of nothing count towards no limit, and would gather here without end
                self._fragments.append(bytes(event.data))
            if event.fin:
                self._idle_frames = 0
                octets = b"".join(self._fragments)
                self._fragments.clear()
                try:
                    self._messages.append(octets.decode())
                except UnicodeDecodeError:
                    self._fail(_CLOSE_NOT_UTF8)  # RFC 6455 section 8.1
                    return

    def _fail(self, code: int) -> None:
        with contextlib.suppress(InvalidState):
            self._protocol.fail(code)

    async def send(self, text: str) -> None:
        """Send a text message and wait until the peer keeps up. Raises ConnectionError."""
        try:
            self._protocol.send_text(text.encode())
        except InvalidState:
            raise ConnectionResetError("the WebSocket is closed") from None
        await self._flush()

    async def close(self, code: int, reason: str = "") -> None:
        """Send a close frame, once; :meth:`wait_closed` completes the handshake."""
        if self._protocol.state is State.OPEN:
            with contextlib.suppress(InvalidState, ConnectionError):
                self._protocol.send_close(code, reason)
                await self._flush()

    async def wait_closed(self) -> None:
        """Give the peer a short time for its half of the closing handshake."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(_CLOSE_SECONDS_MAX):
                # Its close frame is enough: ending the connection after that is the server's part (RFC 6455 7.1.1).
                while self._protocol.state is State.CLOSING and self._protocol.close_rcvd is None:
                    data = await self._stream.receive(seconds=_CLOSE_SECONDS_MAX)
                    if not data:
                        return
                    self._protocol.receive_data(data)
                    self._protocol.events_received()

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                await self._stream.send(data)
            else:
                self._stream.half_close()  # the library's sign for "nothing follows"


def _is_of_a_page(origin: str | None) -> bool:
    """Whether a script of a page asks. Any page may open a WebSocket to this machine; a browser names it here.

    Firefox's own push client gives the address it connects to, with its ws scheme.
    """
    return origin is not None and (origin == "null" or origin.startswith(("http://", "https://")))
