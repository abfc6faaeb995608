"""HTTP/2 (RFC 9113) on h2: one task per stream, every window and queue bounded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from pushkeep.pushservice.http.http2_misconduct import goaway_frame, misbehave, settings_frame
from pushkeep.pushservice.http.message import Handler, Request, Response, answer
from pushkeep.pushservice.http.stream import Stream
from pushkeep.pushservice.limits import Limits

# It logs every header at DEBUG, and headers hold endpoints and tokens.
logging.getLogger("hpack").setLevel(logging.WARNING)

_BODILESS = frozenset({204, 304})
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME_HEAD_BYTES = 9
_HEADERS, _CONTINUATION = 1, 9
_FRAME_BYTES_MAX = 16_384  # RFC 9113 section 4.2: the smallest SETTINGS_MAX_FRAME_SIZE there is, and the default


@dataclass(slots=True)
class _Incoming:
    """A request that is being received."""

    headers: list[tuple[str, str]]
    started_at: float
    body: bytearray = field(default_factory=bytearray)
    count: int = 0


class FrameLengths:
    """Watches the lengths that frames announce, and counts frames.

    h2 refuses a frame over SETTINGS_MAX_FRAME_SIZE only when all of it has come, which would let a client make
    us hold 16 MiB for every connection; and it keeps up to 64 CONTINUATION frames, which are 1 MiB, before it decodes
    the first.

    Attributes:
        count: frames so far.
    """

    def __init__(self, frame_bytes_max: int, header_bytes_max: int) -> None:
        self.count = 0
        self._frame_bytes_max = frame_bytes_max
        self._header_bytes_max = header_bytes_max
        self._header_bytes = 0
        self._skip = len(_PREFACE)
        self._head = bytearray()

    def watch(self, data: bytes) -> None:
        """See the next octets received; raises FrameTooLargeError as soon as a length is over the limit."""
        position = 0
        while position < len(data):
            step = min(self._skip, len(data) - position)
            self._skip -= step
            position += step
            missing = _FRAME_HEAD_BYTES - len(self._head)
            self._head += data[position : position + missing]
            position += missing
            if len(self._head) == _FRAME_HEAD_BYTES:
                self._skip = int.from_bytes(self._head[:3])
                kind = self._head[3]
                before = self._header_bytes if kind == _CONTINUATION else 0
                self._header_bytes = before + self._skip if kind in (_HEADERS, _CONTINUATION) else 0
                self._head.clear()
                self.count += 1
                if self._skip > self._frame_bytes_max:
                    raise h2.exceptions.FrameTooLargeError("a frame is longer than we allow")
                if self._header_bytes > self._header_bytes_max:
                    raise h2.exceptions.DenialOfServiceError("a header block is longer than we allow")


class Http2Connection:
    """Serves one connection until it ends; streams are answered concurrently.

    Args:
        stream: the connection.
        handler: answers requests.
        limits: what is accepted.
        stream_limit: a lower limit on concurrent streams than that of ``limits``, or None; asked again whenever
            the client says something.
    """

    def __init__(
        self,
        stream: Stream,
        handler: Handler,
        *,
        limits: Limits,
        stream_limit: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.stream = stream
        self._handler = handler
        self._limits = limits
        # latin-1 takes every octet, so that a hostile header value cannot fail to decode.
        config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
        self._h2 = h2.connection.H2Connection(config=config)
        self._lengths = FrameLengths(_FRAME_BYTES_MAX, limits.request_line_and_header_bytes_max)
        self._incoming: dict[int, _Incoming] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._windows_opened = asyncio.Event()
        self._stream_limit = stream_limit
        self._streams_max = limits.streams_max
        self._last_stream_id = 0
        self._leaving_after: int | None = None
        self._streams_opened = 0
        self._streams_reset = 0
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Serve until the client closes, breaks the protocol, or idles too long; ends with GOAWAY."""
        setting = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                setting.MAX_CONCURRENT_STREAMS: self._limits.streams_max,
                setting.MAX_HEADER_LIST_SIZE: self._limits.request_line_and_header_bytes_max,
                setting.ENABLE_PUSH: 0,
            },
        )
        self._h2.decoder.max_header_list_size = self._limits.request_line_and_header_bytes_max
        self._h2.initiate_connection()
        try:
            await self.flush()
            await self._follow_stream_limit()
            while await self._receive():
                await self.flush()
        except h2.exceptions.ProtocolError as error:
            self.goaway(error.error_code)  # unless h2 has put one into its buffer already
        finally:
            await self._finish()

    async def _receive(self) -> bool:
        """Take in what the client sent; False when the connection is over."""
        waiting = bool(self._incoming)
        seconds = self._limits.request_seconds_max if waiting else self._limits.idle_seconds_max
        try:
            data = await self.stream.receive(seconds=seconds)
        except TimeoutError:
            # Nothing for so long: what is being answered may go on, what is half received may not.
            self._reset_overdue()
            return bool(self._tasks) or waiting
        if not data:
            return False
        self._lengths.watch(data)
        await self._follow_stream_limit()
        for event in self._h2.receive_data(data):
            if isinstance(event, h2.events.ConnectionTerminated):
                return False
            self._take(event)
        self._reset_overdue()
        if self._is_flooded():
            self.goaway(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            return False
        return True

    def _is_flooded(self) -> bool:
        """Whether the client resets streams, or sends frames that carry no request, beyond all measure."""
        frames_max = self._limits.frames_per_connection_max + self._limits.frames_per_stream_max * self._streams_opened
        resets_max = max(self._limits.resets_per_connection_max, self._streams_opened // 2)
        return self._lengths.count > frames_max or self._streams_reset > resets_max

    async def _follow_stream_limit(self) -> None:
        """Announce a lower limit, or that it is over.

        h2 is not told: it would end the connection for a stream too many, of which a client that has not read the
        announcement yet is not guilty. Such streams are refused instead (RFC 9113 section 5.1.2).
        """
        wanted = min(self._limits.streams_max, self._stream_limit() or self._limits.streams_max)
        if wanted != self._streams_max:
            self._streams_max = wanted
            await self.flush()
            await self.stream.send(settings_frame(h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS, wanted))

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=int(stream_id), headers=headers):
                self._streams_opened += 1
                self._last_stream_id = stream_id
                if self._leaving_after is not None:
                    return  # sent before our GOAWAY was read, which says that we do not look at it
                if len(self._incoming) + len(self._tasks) >= self._streams_max:
                    self.reset(stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
                    return
                fields = [(str(name), str(value)) for name, value in headers or ()]
                self._incoming[stream_id] = _Incoming(fields, self._loop.time())
            case h2.events.DataReceived(stream_id=int(stream_id), data=data):
                length = event.flow_controlled_length or 0
                # Given back at once: memory is bounded by what is kept, not by the window.
                self._h2.acknowledge_received_data(length, stream_id)
                self._take_data(stream_id, data or b"")
            case h2.events.StreamEnded(stream_id=int(stream_id)):
                self._dispatch(stream_id)
            case h2.events.StreamReset(stream_id=int(stream_id)):
                self._streams_reset += 1
                self._incoming.pop(stream_id, None)
                task = self._tasks.get(stream_id)
                if task is not None:
                    task.cancel()
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._windows_opened.set()
            case _:
                pass

    def _take_data(self, stream_id: int, data: bytes) -> None:
        incoming = self._incoming.get(stream_id)
        if incoming is None:
            return
        room = self._limits.request_body_bytes_max - len(incoming.body)
        incoming.body += data[:room] if room > 0 else b""
        incoming.count += len(data)
        if incoming.count > self._limits.request_discard_bytes_max:
            self._dispatch(stream_id)

    def _reset_overdue(self) -> None:
        earliest = self._loop.time() - self._limits.request_seconds_max
        for stream_id in [key for key, incoming in self._incoming.items() if incoming.started_at <= earliest]:
            del self._incoming[stream_id]
            self.reset(stream_id, h2.errors.ErrorCodes.CANCEL)

    def _dispatch(self, stream_id: int) -> None:
        incoming = self._incoming.pop(stream_id, None)
        if incoming is None:
            return
        task = asyncio.create_task(self._answer(stream_id, _to_request(incoming)))
        self._tasks[stream_id] = task
        task.add_done_callback(lambda _task: self._answered(stream_id))

    def _answered(self, stream_id: int) -> None:
        self._tasks.pop(stream_id, None)
        self._end_if_left()

    async def _answer(self, stream_id: int, request: Request) -> None:
        response = await answer(self._handler, request)
        # The client may have gone, or reset this stream, while the handler ran.
        with contextlib.suppress(h2.exceptions.ProtocolError, ConnectionError, TimeoutError):
            await misbehave(self, stream_id, response)
            if request.body_bytes > self._limits.request_discard_bytes_max:
                self.reset(stream_id, h2.errors.ErrorCodes.NO_ERROR)  # RFC 9113 section 8.1
                await self.flush()

    async def respond(self, stream_id: int, response: Response) -> None:
        """Give a whole answer. This and what follows raise ProtocolError when the client reset the stream."""
        body = b"" if response.status in _BODILESS else response.body
        length = None if response.status in _BODILESS else len(body)
        self._send_head(stream_id, response, length=length, end=not body)
        await self.send_body(stream_id, body, end=True)

    async def send_head(self, stream_id: int, response: Response, *, length: int | None) -> None:
        """Send status and header of an answer that has a body."""
        self._send_head(stream_id, response, length=length, end=False)
        await self.flush()

    def _send_head(self, stream_id: int, response: Response, *, length: int | None, end: bool) -> None:
        headers = [(":status", str(response.status)), *response.headers]
        if length is not None:
            headers.append(("content-length", str(length)))
        self._h2.send_headers(stream_id, headers, end_stream=end)

    async def send_body(self, stream_id: int, body: bytes, *, end: bool) -> None:
        """Send a piece of the body as the client's windows allow, the last one if ``end``."""
        while body:
            room = min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size)
            if room <= 0:
                self._windows_opened.clear()  # before flushing: the window may open meanwhile
                await self.flush()
                await self._window(stream_id)
                continue
            self._h2.send_data(stream_id, body[:room], end_stream=end and len(body) <= room)
            body = body[room:]
        await self.flush()

    async def leave(self) -> None:
        """Announce the end with a graceful GOAWAY: what is open is still answered, then the connection closes."""
        if self._leaving_after is None:
            self._leaving_after = self._last_stream_id
            await self.flush()
            await self.stream.send(goaway_frame(self._last_stream_id, h2.errors.ErrorCodes.NO_ERROR))

    def _end_if_left(self) -> None:
        if self._leaving_after is not None and not self._tasks and not self._incoming:
            self.stream.finish()

    async def _window(self, stream_id: int) -> None:
        """Wait until the client may be sent more. Raises TimeoutError, after resetting the stream."""
        try:
            async with asyncio.timeout(self._limits.write_seconds_max):
                await self._windows_opened.wait()
        except TimeoutError:
            self.reset(stream_id, h2.errors.ErrorCodes.CANCEL)
            await self.flush()
            raise

    def reset(self, stream_id: int, code: h2.errors.ErrorCodes) -> None:
        """Put a RST_STREAM into the buffer, if the stream is still open."""
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self._h2.reset_stream(stream_id, code)

    def goaway(self, code: h2.errors.ErrorCodes) -> None:
        """Put a GOAWAY into the buffer, unless there is or was one: the first says why."""
        if self._h2.state_machine.state is not h2.connection.ConnectionState.CLOSED:
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self._h2.close_connection(code)

    async def flush(self) -> None:
        """Send what the buffer holds and wait until the client keeps up."""
        await self.stream.send(self._h2.data_to_send())

    async def _finish(self) -> None:
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self.goaway(h2.errors.ErrorCodes.NO_ERROR)
        with contextlib.suppress(ConnectionError):
            await self.flush()


def _to_request(incoming: _Incoming) -> Request:
    pseudo = {name: value for name, value in incoming.headers if name.startswith(":")}
    headers = tuple((name, value) for name, value in incoming.headers if not name.startswith(":"))
    host = next((value for name, value in headers if name == "host"), "")
    return Request(
        method=pseudo.get(":method", ""),
        scheme="https",
        authority=pseudo.get(":authority", host),
        target=pseudo.get(":path", ""),
        headers=headers,
        body=bytes(incoming.body),
        body_bytes=incoming.count,
        version="2",
    )
