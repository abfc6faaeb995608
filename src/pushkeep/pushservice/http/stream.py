"""One TCP or TLS connection with time limits on both directions."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import Callable

from pushkeep.pushservice.limits import Limits

READ_BYTES = 65_536
_CLOSE_SECONDS_MAX = 0.5
"""To flush on loopback, and for the peer's TLS goodbye, which idle clients do not send."""


class Stream:
    """Octets in and out; satisfies :class:`~pushkeep.pushservice.http.message.ByteStream`.

    Attributes:
        heard_at: when the peer last said something, by the event loop's clock.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits) -> None:
        self._reader = reader
        self._writer = writer
        self._write_seconds_max = limits.write_seconds_max
        self._loop = asyncio.get_running_loop()
        self.heard_at = self._loop.time()
        self._is_browser: Callable[[], bool] = lambda: False

    def settle_while(self, is_browser: Callable[[], bool]) -> None:
        """While this holds, the peer has proved to be a browser; asked when somebody has to make room."""
        self._is_browser = is_browser

    @property
    def is_settled(self) -> bool:
        """Whether the peer has proved to be a browser, which may be silent for as long as it likes."""
        return self._is_browser()

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self._writer.get_extra_info("ssl_object") is not None

    @property
    def alpn(self) -> str | None:
        """The application protocol agreed on in TLS, if any."""
        tls = self._writer.get_extra_info("ssl_object")
        return tls.selected_alpn_protocol() if isinstance(tls, ssl.SSLObject) else None

    async def receive(self, *, seconds: float) -> bytes:
        """Some octets; empty at the end, also after a reset. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            try:
                data = await self._reader.read(READ_BYTES)
            except (ConnectionError, ssl.SSLError):
                return b""
        self.heard_at = self._loop.time()
        return data

    async def receive_exactly(self, count: int, *, seconds: float) -> bytes:
        """Exactly ``count`` octets. Raises TimeoutError, or ConnectionResetError at the end."""
        async with asyncio.timeout(seconds):
            try:
                return await self._reader.readexactly(count)
            except (asyncio.IncompleteReadError, ssl.SSLError) as error:
                raise ConnectionResetError("the client closed the connection") from error

    async def send(self, data: bytes) -> None:
        """Write and wait until the peer keeps up.

        Raises:
            ConnectionError: the peer is gone, or did not read for ``write_seconds_max``.
        """
        if not data:
            return
        self._writer.write(data)
        try:
            async with asyncio.timeout(self._write_seconds_max):
                await self._writer.drain()
        except TimeoutError:
            self.abort()
            raise ConnectionAbortedError("the client does not read what is sent") from None
        except ssl.SSLError as error:
            raise ConnectionResetError("TLS failed while sending") from error

    def half_close(self) -> None:
        """Nothing more will be sent."""
        with contextlib.suppress(OSError, RuntimeError):
            if self._writer.can_write_eof():
                self._writer.write_eof()

    def abort(self) -> None:
        """Cut the connection without saying goodbye."""
        self._writer.transport.abort()

    def reset(self) -> None:
        """Cut the connection with a TCP RST: the peer reads "connection reset" and not an end."""
        connection = self._writer.get_extra_info("socket")
        if connection is not None:
            # A second descriptor of the same connection, because not every event loop's own takes options.
            with socket.socket(fileno=os.dup(connection.fileno())) as twin:
                twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def finish(self) -> None:
        """Send what is buffered, then close; :meth:`receive` comes to its end."""
        self._writer.close()

    async def close(self) -> None:
        """Flush, close, and wait a bounded time; cut what does not close."""
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS_MAX):
                await self._writer.wait_closed()
        except (OSError, TimeoutError, ssl.SSLError):
            self.abort()
