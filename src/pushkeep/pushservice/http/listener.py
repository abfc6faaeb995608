"""Accept connections, count them, and leave nothing behind when it is over."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable

from pushkeep.errors import ConfigurationError
from pushkeep.pushservice.http.stream import READ_BYTES, Stream
from pushkeep.pushservice.limits import Limits

Serve = Callable[[Stream], Awaitable[None]]

_BACKLOG = 512
_ACCEPT_PAUSE_SECONDS = 0.1
"""After a failure to accept, which is for want of file descriptors: until some connection has ended."""

_log = logging.getLogger(__name__)


class Listener:
    """One listening port; ``serve`` runs once per connection and owns it until it returns.

    A connection counts from the moment it is accepted, not from the end of its TLS handshake. Where there are
    ``connections_max``, a new one takes the place of the one that was silent for longest, of those that have not
    proved to be a browser's: so that connections which are opened and left alone keep nobody out.
    """

    def __init__(self, serve: Serve, *, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
        self._serve = serve
        self._limits = limits
        self._tls = tls
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one, then found in :attr:`port`.

        Raises:
            ConfigurationError: the address cannot be bound.
        """
        try:
            await self._bind(host, port)
        except OSError as error:
            await self.stop()
            raise ConfigurationError(
                f"The push service cannot listen on {host} port {port} ({error.strerror or 'refused'}); "
                "choose another port, or 0 for any free one.",
                field="port",
            ) from None
        # Accepted by hand: asyncio's servers tell of a connection only after its TLS handshake.
        self._accepting = [asyncio.create_task(self._accept(listening)) for listening in self._sockets]

    async def _bind(self, host: str, port: int) -> None:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, _, _, _, address in dict.fromkeys(found):
            listening = socket.socket(family, socket.SOCK_STREAM)
            self._sockets.append(listening)
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # A name with several addresses has the same free port on each.
            listening.bind((address[0], self.port or port, *address[2:]))
            listening.listen(_BACKLOG)
            self.port = listening.getsockname()[1]

    async def stop(self, *, seconds: float = 5.0) -> None:
        """Stop accepting, cancel what is being served, and wait up to ``seconds`` for it to clean up."""
        for accepting in self._accepting:
            accepting.cancel()
        if self._accepting:
            await asyncio.wait(self._accepting)
        for listening in self._sockets:
            listening.close()
        self._accepting, self._sockets = [], []
        connections = dict(self._connections)
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(connections, timeout=seconds)
        for connection in connections.values():
            connection.abort()  # does nothing to a closed one; a task cancelled before its first step closed nothing

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError:
                await asyncio.sleep(_ACCEPT_PAUSE_SECONDS)
                continue
            if not self._has_room():
                accepted.close()
                continue
            connection = _Connection(accepted, loop.time())
            task = asyncio.create_task(self._run(connection))
            self._connections[task] = connection
            task.add_done_callback(lambda done: self._connections.pop(done, None))

    def _has_room(self) -> bool:
        """Whether one more connection may be; makes room for it if need be."""
        if len(self._connections) < self._limits.connections_max:
            return True
        idle = [
            (connection.heard_at, number, task)
            for number, (task, connection) in enumerate(self._connections.items())
            if not connection.is_settled
        ]
        if not idle:
            return False
        _, _, task = min(idle)
        self._connections.pop(task).abort()
        task.cancel()
        return True

    async def _run(self, connection: _Connection) -> None:
        try:
            stream = await connection.open(self._tls, self._limits)
            try:
                await self._serve(stream)
            finally:
                await stream.close()
        except (OSError, TimeoutError, ssl.SSLError):
            pass
        except Exception as error:  # one hostile connection must not end the service
            # Only the type: a message or traceback could carry what the peer sent.
            _log.error("A connection handler failed with %s.", type(error).__name__)
        finally:
            connection.abort()


class _Connection:
    """One that was accepted: a socket, and a stream as soon as its TLS handshake is over."""

    def __init__(self, accepted: socket.socket, now: float) -> None:
        self._socket: socket.socket | None = accepted
        self._stream: Stream | None = None
        self._accepted_at = now

    @property
    def heard_at(self) -> float:
        """When the peer last said something, by the event loop's clock."""
        return self._stream.heard_at if self._stream is not None else self._accepted_at

    @property
    def is_settled(self) -> bool:
        """See :class:`Stream`."""
        return self._stream is not None and self._stream.is_settled

    async def open(self, tls: ssl.SSLContext | None, limits: Limits) -> Stream:
        """Begin, with TLS if there is a context. Raises OSError or SSLError, also when the handshake takes too long."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READ_BYTES, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        assert self._socket is not None
        accepted, self._socket = self._socket, None  # from here on the event loop closes it
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            accepted,
            ssl=tls,
            ssl_handshake_timeout=limits.handshake_seconds_max if tls is not None else None,
        )
        self._stream = Stream(reader, asyncio.StreamWriter(transport, protocol, reader, loop), limits)
        return self._stream

    def abort(self) -> None:
        """Cut the connection; one in its TLS handshake ends when its task is cancelled."""
        if self._stream is not None:
            self._stream.abort()
        elif self._socket is not None:
            self._socket.close()
