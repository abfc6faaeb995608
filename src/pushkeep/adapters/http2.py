"""The transport: posts push requests over HTTP/2 with libcurl, on the running event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Self

from pushkeep.adapters.http2_dial import CheckedAddresses, Refused
from pushkeep.adapters.http2_engine import CLOSED_BEFORE_TURN, Engine
from pushkeep.adapters.http2_handle import UNRESOLVED, Done, refused
from pushkeep.adapters.http2_limits import TransportLimits, TransportStatistics
from pushkeep.adapters.http2_reactor import LoopReactor
from pushkeep.adapters.http2_resolver import Resolvers
from pushkeep.domain.origin_map import OriginMap
from pushkeep.ports import Cancellable
from pushkeep.protocol.answer import Answer, TransportFailure
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.request import PushRequest

__all__ = ["CurlTransport", "TransportLimits", "TransportStatistics"]


class CurlTransport:
    """Posts push requests; one instance belongs to one event loop and is an async context manager.

    Args:
        origin_map: origins dialled elsewhere, the only exemption from the address check.
        limits: time, size and number limits.
        proxy: ``http://`` or ``https://`` URL of a proxy for everything outside the origin map. Names are then
            resolved here, checked, and the proxy is asked for the checked address.
        ca_file: PEM file of trusted authorities instead of the system's, for everything outside the origin map.
        pinned_addresses: addresses by host name, used instead of resolving it, as in ``/etc/hosts``. They are
            checked like resolved ones. Read anew for each request.

    Raises:
        ConfigurationError: ``proxy`` is not such a URL.
    """

    def __init__(
        self,
        *,
        origin_map: OriginMap | None = None,
        limits: TransportLimits | None = None,
        proxy: str | None = None,
        ca_file: str | None = None,
        pinned_addresses: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self._reactor = LoopReactor()
        self._engine = Engine(
            self._reactor,
            origin_map=origin_map,
            limits=limits,
            proxy=proxy,
            ca_file=ca_file,
            pinned_addresses=pinned_addresses,
        )
        self._addresses = CheckedAddresses(pinned_addresses)
        self._resolvers = Resolvers()
        self._looked_up: dict[tuple[str, int], asyncio.Future[list[str] | None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def statistics(self) -> TransportStatistics:
        """What this transport has done so far."""
        return self._engine.statistics

    async def post(self, request: PushRequest) -> Answer:
        """Post ``request`` once: the answer, or why there is none. Cancelling it ends the exchange.

        A connection that dies under a request not yet answered may make libcurl send it again on a new one.

        Raises:
            RuntimeError: the transport is closed, was made before a fork, or is used from another event loop.
        """
        self._engine.check()
        loop = self._reactor.bind()
        connect_to: str | None = None
        if self._engine.asks_proxy(request.endpoint.origin):
            found = await self._address(request.endpoint)
            if isinstance(found, TransportFailure):
                return found
            if self._engine.closing:
                return CLOSED_BEFORE_TURN
            connect_to = found
        ended: asyncio.Future[Answer] = loop.create_future()
        exchange = self._engine.start(
            request, lambda answer: None if ended.done() else ended.set_result(answer), connect_to=connect_to
        )
        try:
            return await ended
        except asyncio.CancelledError:
            exchange.cancel()
            raise

    def start(self, request: PushRequest, done: Done) -> Cancellable:
        """Post ``request`` once and call ``done`` with what came of it, without a task: for many at a time.

        ``done`` is called from the event loop, never before this returns, and not if the result is cancelled.

        Raises:
            RuntimeError: as :meth:`post` does.
        """
        self._engine.check()
        loop = self._reactor.bind()
        if not self._engine.asks_proxy(request.endpoint.origin):
            return self._engine.start(request, done)

        def tell(task: asyncio.Task[Answer]) -> None:
            if not task.cancelled():  # it raises only when the transport was closed before its first step
                done(task.result() if task.exception() is None else CLOSED_BEFORE_TURN)

        task = loop.create_task(self.post(request))
        task.add_done_callback(tell)
        return task

    def check(self) -> None:
        """Raise what forbids to send.

        Raises:
            RuntimeError: as :meth:`post` does.
        """
        self._engine.check()
        self._reactor.bind()

    def is_closing(self) -> bool:
        """Whether :meth:`aclose` has been called."""
        return self._engine.closing

    async def aclose(self) -> None:
        """Let requests in flight finish within their time limit, refuse new ones, then close every connection.

        From another event loop than its own, which can let nothing finish, it closes at once.
        """
        self._engine.stop()
        try:
            if not self._engine.idle and not self._reactor.foreign:
                idle = asyncio.get_running_loop().create_future()
                self._engine.on_idle.append(lambda: None if idle.done() else idle.set_result(None))
                await idle
        finally:
            self._engine.close()
            self._resolvers.close()

    async def _address(self, endpoint: Endpoint) -> str | TransportFailure:
        """What the proxy is asked for."""
        loop = asyncio.get_running_loop()
        try:
            known = self._addresses.known(endpoint, loop.time())
            if known is not None:
                return known
            async with asyncio.timeout(self._engine.limits.connect_seconds_max):
                found = await asyncio.shield(self._look_up(endpoint))
            return UNRESOLVED if found is None else self._addresses.learn(endpoint, found, loop.time())
        except Refused as reason:
            return refused(str(reason))
        except OSError:
            return UNRESOLVED

    def _look_up(self, endpoint: Endpoint) -> asyncio.Future[list[str] | None]:
        """The addresses of a name, which is looked up once for all who ask meanwhile.

        Raises:
            OSError: it cannot be looked up.
        """
        name = endpoint.host, endpoint.port
        running = self._looked_up.get(name)
        if running is not None:
            return running
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[str] | None] = loop.create_future()

        def end(found: list[str] | None) -> None:
            self._looked_up.pop(name, None)
            if not future.done():
                future.set_result(found)

        def tell(found: list[str] | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(end, found)

        self._resolvers.look_up(endpoint, tell)
        self._looked_up[name] = future
        return future
