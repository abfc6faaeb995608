"""Accept connections, count them, and leave nothing behind when it is over."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable

from pushkeep.errors import ConfigurationError
from pushkeep.pushservice.http.stream import Stream
from pushkeep.pushservice.limits import Limits

Serve = Callable[[Stream], Awaitable[None]]

_log = logging.getLogger(__name__)


class Listener:
    """One listening port; ``serve`` runs once per connection and owns it until it returns."""

    def __init__(self, serve: Serve, *, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
        self._serve = serve
        self._limits = limits
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._streams: dict[asyncio.Task[None], Stream] = {}
        self._stopping = False
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one, then found in :attr:`port`.

        Raises:
            ConfigurationError: the address cannot be bound.
        """
        seconds = self._limits.handshake_seconds_max if self._tls else None
        try:
            self._server = await asyncio.start_server(
                self._connected, host, port, ssl=self._tls, ssl_handshake_timeout=seconds, backlog=512
            )
        except OSError as error:
            raise ConfigurationError(
                f"The push service cannot listen on {host} port {port} ({error.strerror or 'refused'}); "
                "choose another port, or 0 for any free one.",
                field="port",
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self, *, seconds: float = 5.0) -> None:
        """Stop accepting, cancel what is being served, and wait up to ``seconds`` for it to clean up."""
        self._stopping = True
        if self._server is None:
            return
        self._server.close()
        self._server = None
        streams = dict(self._streams)
        for task in streams:
            task.cancel()
        if streams:
            await asyncio.wait(streams, timeout=seconds)
        for stream in streams.values():
            stream.abort()  # does nothing to a closed one; a task cancelled before its first step closed nothing

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = Stream(reader, writer, self._limits)
        if self._stopping or len(self._streams) >= self._limits.connections_max:
            stream.abort()
            return
        task = asyncio.create_task(self._run(stream))
        self._streams[task] = stream
        task.add_done_callback(self._streams.pop)

    async def _run(self, stream: Stream) -> None:
        try:
            await self._serve(stream)
        except (ConnectionError, TimeoutError):
            pass
        except Exception as error:  # one hostile connection must not end the service
            # Only the type: a message or traceback could carry what the peer sent.
            _log.error("A connection handler failed with %s.", type(error).__name__)
        finally:
            await stream.close()
