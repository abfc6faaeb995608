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
        self._tasks: set[asyncio.Task[None]] = set()
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
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=seconds)
        self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = Stream(reader, writer, self._limits)
        if self._stopping or len(self._tasks) >= self._limits.connections_max:
            stream.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(stream)
        except asyncio.CancelledError:
            # Only stop() cancels; the stream protocol would log a cancelled handler as an error.
            if not self._stopping:
                raise
        except (ConnectionError, TimeoutError):
            pass
        except Exception as error:  # one hostile connection must not end the service
            # Only the type: a message or traceback could carry what the peer sent.
            _log.error("A connection handler failed with %s.", type(error).__name__)
        finally:
            self._tasks.discard(task)
            await stream.close()
