"""Small push services that can misbehave in any way, over real TLS sockets on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import trustme

HOST = "push.example"
ORIGIN = f"https://{HOST}"


class Authority:
    """A certificate authority of our own, with its root in a file."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self.file = directory / f"ca-{id(self):x}.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def server_context(self, *names: str, alpn: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*(names or (HOST,))).configure_cert(context)
        context.set_alpn_protocols(list(alpn))
        return context

    def expired_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
        self._ca.issue_cert(HOST, not_after=yesterday).configure_cert(context)
        return context


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass
class Server:
    """A listening server and what reached it."""

    port: int = 0
    connections: int = 0
    open_connections: int = 0
    requests: list[Seen] = field(default_factory=list)
    server_names: list[str | None] = field(default_factory=list)
    written: int = 0

    def entry(self, ca_file: Path, *, origin: str = ORIGIN, host: str = "127.0.0.1") -> str:
        return f"{origin}=https://{host}:{self.port},ca={ca_file}"


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Behaviour = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]
Behaviour2 = Callable[[Seen, h2.connection.H2Connection, int, asyncio.StreamWriter], Awaitable[None]]


def answer(status: str = "201 Created", body: bytes = b"", *fields: str) -> Behaviour:
    """Behave: a plain HTTP/1.1 answer."""

    async def behave(_seen: Seen, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
        writer.write("\r\n".join(lines).encode() + body)

    return behave


def answer2(status: int = 201, body: bytes = b"", *fields: tuple[str, str]) -> Behaviour2:
    """Behave: a plain HTTP/2 answer."""

    async def behave(
        _seen: Seen, connection: h2.connection.H2Connection, stream: int, _writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(h2.exceptions.StreamClosedError):  # the other end has lost interest
            connection.send_headers(stream, [(":status", str(status)), *fields], end_stream=not body)
            if body:
                connection.send_data(stream, body, end_stream=True)

    return behave


async def read_request(reader: asyncio.StreamReader, connection: int) -> Seen | None:
    """One HTTP/1.1 request with Content-Length; None at the end of the connection."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, target, _ = head[0].split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    return Seen(method, target, headers, await reader.readexactly(length), connection)


@contextlib.asynccontextmanager
async def listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter, Server], Awaitable[None]],
    context: ssl.SSLContext | None,
    host: str = "127.0.0.1",
) -> AsyncIterator[Server]:
    """Serve ``handle`` on a free loopback port; on leaving, every connection is cut."""
    state = Server()
    tasks: set[asyncio.Task[None]] = set()
    if context is not None:
        context.sni_callback = lambda _socket, name, _context: state.server_names.append(name)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        state.open_connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError
            ):
                await handle(reader, writer, state)
        finally:
            tasks.discard(task)
            state.open_connections -= 1
            writer.transport.abort()

    listener = await asyncio.start_server(accept, host, 0, ssl=context)
    state.port = listener.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        listener.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def http1(behave: Behaviour, context: ssl.SSLContext | None, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    """An HTTP/1.1 server that keeps connections open and does as told with each request."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: Server) -> None:
        number = state.connections
        while (seen := await read_request(reader, number)) is not None:
            state.requests.append(seen)
            await behave(seen, writer)
            await writer.drain()

    async with listening(handle, context, host) as state:
        yield state


@contextlib.asynccontextmanager
async def http2(behave: Behaviour2, context: ssl.SSLContext, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    """An HTTP/2 server that does as told with each request."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: Server) -> None:
        number = state.connections
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        open_streams: dict[int, tuple[list[tuple[str, str]], bytearray]] = {}
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    open_streams[event.stream_id] = ([(str(k), str(v)) for k, v in event.headers], bytearray())
                elif isinstance(event, h2.events.DataReceived):
                    open_streams[event.stream_id][1].extend(event.data)
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    headers, body = open_streams.pop(event.stream_id)
                    pseudo = dict(headers)
                    seen = Seen(pseudo[":method"], pseudo[":path"], headers, bytes(body), number)
                    state.requests.append(seen)
                    await behave(seen, connection, event.stream_id, writer)
            writer.write(connection.data_to_send())
            await writer.drain()

    async with listening(handle, context, host) as state:
        yield state


READY_SECONDS_MAX = 10


class Serving:
    """A server in a thread with a loop of its own, for callers that block."""

    def __init__(self, make: Callable[[], contextlib.AbstractAsyncContextManager[Server]]) -> None:
        self._make = make
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)

    async def _serve(self) -> None:
        async with self._make() as self._server:
            self._ready.set()
            await self._end.wait()

    def call_soon(self, action: Callable[[], object]) -> None:
        """Do something in the server's loop."""
        self._loop.call_soon_threadsafe(action)

    def __enter__(self) -> Server:
        self._thread.start()
        assert self._ready.wait(READY_SECONDS_MAX)
        return self._server

    def __exit__(self, *_: object) -> None:
        self.call_soon(self._end.set)
        self._thread.join(READY_SECONDS_MAX)
        self._loop.close()
