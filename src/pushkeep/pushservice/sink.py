"""The sink: takes every request, answers 201, counts, and keeps nothing. For benchmarks of senders.

It looks at the framing and at nothing inside it: no header block is decoded (``SETTINGS_HEADER_TABLE_SIZE`` 0 tells
clients that none may refer to an earlier one), no token verified, no body kept. A connection has no memory of its
streams, so that there is nothing to exhaust either.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import cast

from pushkeep.errors import ConfigurationError
from pushkeep.pushservice.limits import Limits

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD_BYTES = 9
_FRAME_BYTES_MAX = 16_384  # RFC 9113 section 4.2: what a client may send without being asked
_DATA, _HEADERS, _SETTINGS, _PING, _GOAWAY = 0, 1, 4, 6, 7
_END_STREAM = _ACK = 1
_WINDOW_BYTES = 1 << 20


def _frame(kind: int, flags: int, stream_id: int, content: bytes) -> bytes:
    return len(content).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + content


def _setting(name: int, value: int) -> bytes:
    return name.to_bytes(2) + value.to_bytes(4)


_HELLO = (
    # HEADER_TABLE_SIZE 0, MAX_CONCURRENT_STREAMS 1,000, INITIAL_WINDOW_SIZE
    _frame(_SETTINGS, 0, 0, _setting(1, 0) + _setting(3, 1_000) + _setting(4, _WINDOW_BYTES))
    + _frame(8, 0, 0, _WINDOW_BYTES.to_bytes(4))
)
# HEADERS with END_STREAM and END_HEADERS; HPACK: a literal for static entry 8, ":status", that is not indexed.
_CREATED_HEAD, _CREATED_BLOCK = b"\x00\x00\x05\x01\x05", b"\x08\x03201"
_CREATED_1 = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n"
_REFUSED_1 = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,12})[ \t]*\r\n", re.IGNORECASE)


class Sink:
    """A listener that swallows requests.

    Attributes:
        port: where it listens, once it does.
        requests: how many were answered.
        body_bytes: of their bodies, as they came.
    """

    def __init__(self, *, limits: Limits, tls: ssl.SSLContext) -> None:
        self.port = 0
        self.requests = 0
        self.body_bytes = 0
        self.limits = limits
        self.connections: set[_Connection] = set()
        self._tls = tls
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises ConfigurationError: the address cannot be bound."""
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: _Connection(self),
                host,
                port,
                ssl=self._tls,
                ssl_handshake_timeout=self.limits.handshake_seconds_max,
                backlog=512,
            )
        except OSError as error:
            raise ConfigurationError(
                f"The push service cannot listen on {host} port {port} ({error.strerror or 'refused'}); "
                "choose another port, or 0 for any free one.",
                field="port",
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every connection and the port."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in tuple(self.connections):
            connection.abort()

    def sweep(self) -> None:
        """Cut connections on which nothing happened for ``idle_seconds_max``."""
        earliest = asyncio.get_running_loop().time() - self.limits.idle_seconds_max
        for connection in tuple(self.connections):
            if connection.heard_at < earliest:
                connection.abort()


class _Connection(asyncio.Protocol):
    """One connection, of either HTTP version."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._owed_bytes = 0
        self._is_http2: bool | None = None
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.heard_at = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none of asyncio's classes
        if len(self._sink.connections) >= self._sink.limits.connections_max:
            self._transport.abort()
            return
        self._sink.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._sink.connections.discard(self)

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def unwritten_bytes(self) -> int:
        """What waits for the client to read."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    # A client that does not read its answers is not read either.

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.heard_at = self._loop.time()
        self._buffer += data
        if self._is_http2 is None and not self._begin():
            return
        assert self._transport is not None
        answer, goes_on = self._http2() if self._is_http2 else self._http1()
        if answer:
            self._transport.write(answer)
        if not goes_on:
            self._transport.close()

    def _begin(self) -> bool:
        """Tell the version from the first octets; False while there are too few."""
        start = bytes(self._buffer[: len(_PREFACE)])
        if start != _PREFACE[: len(start)]:
            self._is_http2 = False
        elif len(start) == len(_PREFACE):
            self._is_http2 = True
            del self._buffer[: len(_PREFACE)]
            assert self._transport is not None
            self._transport.write(_HELLO)
        return self._is_http2 is not None

    def _http2(self) -> tuple[bytes, bool]:
        buffer, position, end = self._buffer, 0, len(self._buffer)
        out: list[bytes] = []
        answered = 0
        while end - position >= _HEAD_BYTES:
            head = int.from_bytes(buffer[position : position + _HEAD_BYTES])
            length, kind, flags = head >> 48, head >> 40 & 0xFF, head >> 32 & 0xFF
            if length > _FRAME_BYTES_MAX:
                out.append(_frame(_GOAWAY, 0, 0, bytes(4) + (6).to_bytes(4)))  # FRAME_SIZE_ERROR
                return b"".join(out), False
            next_position = position + _HEAD_BYTES + length
            if next_position > end:
                break
            if kind == _DATA:
                self._owed_bytes += length
            if kind in (_DATA, _HEADERS):
                if flags & _END_STREAM:
                    answered += 1
                    out += (_CREATED_HEAD, (head & 0x7FFFFFFF).to_bytes(4), _CREATED_BLOCK)
            elif kind == _SETTINGS and not flags & _ACK:
                out.append(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                out.append(_frame(_PING, _ACK, 0, bytes(buffer[position + _HEAD_BYTES : next_position])))
            elif kind == _GOAWAY:
                return b"".join(out), False
            position = next_position
        del buffer[:position]
        self._sink.requests += answered
        if self._owed_bytes > _WINDOW_BYTES // 4:
            self._sink.body_bytes += self._owed_bytes
            out.append(_frame(8, 0, 0, self._owed_bytes.to_bytes(4)))
            self._owed_bytes = 0
        return b"".join(out), True

    def _http1(self) -> tuple[bytes, bool]:
        answered = 0
        while True:
            end = self._buffer.find(b"\r\n\r\n", 0, self._sink.limits.request_line_and_header_bytes_max)
            if end < 0:
                too_long = len(self._buffer) >= self._sink.limits.request_line_and_header_bytes_max
                return _CREATED_1 * answered + (_REFUSED_1 if too_long else b""), not too_long
            length = _LENGTH.search(self._buffer, 0, end + 2)
            size = int(length[1]) if length else 0
            if not self._buffer.startswith(b"POST ") or size > self._sink.limits.request_body_bytes_max:
                return _CREATED_1 * answered + _REFUSED_1, False
            if len(self._buffer) < end + 4 + size:
                return _CREATED_1 * answered, True
            del self._buffer[: end + 4 + size]
            answered += 1
            self._sink.requests += 1
            self._sink.body_bytes += size
