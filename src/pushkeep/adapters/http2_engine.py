"""Posts requests through libcurl and calls back when each has ended; a reactor says when sockets are ready.

The one engine of the asynchronous and the blocking transport: routes, connections, handles and turns are the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from pushkeep.adapters.http2_dial import direct_route, is_known, mapped_route, proxied_route
from pushkeep.adapters.http2_fork import Sockets, generation
from pushkeep.adapters.http2_handle import Done, Handle
from pushkeep.adapters.http2_limits import TransportLimits, TransportStatistics
from pushkeep.adapters.http2_pool import Exchange, Pool
from pushkeep.adapters.http2_reactor import Reactor
from pushkeep.domain.origin_map import OriginMap
from pushkeep.protocol.answer import TransportFailure
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.request import PushRequest

CLOSED_BEFORE_TURN = TransportFailure("connect", "The transport was closed before the request's turn came.")
CLOSED = TransportFailure("reset", "The transport was closed.", request_sent=True)


class Engine:
    """Posts push requests.

    Args:
        reactor: says when sockets are ready.
        origin_map: origins dialled elsewhere, the only exemption from the address check.
        limits: time, size and number limits.
        proxy: ``http://`` or ``https://`` URL of a proxy for everything outside the origin map.
        ca_file: PEM file of trusted authorities instead of the system's, for everything outside the origin map.
        pinned_addresses: addresses by host name, used instead of resolving it. Read anew for each request.

    Raises:
        ConfigurationError: ``proxy`` is not such a URL.
    """

    def __init__(
        self,
        reactor: Reactor,
        *,
        origin_map: OriginMap | None = None,
        limits: TransportLimits | None = None,
        proxy: str | None = None,
        ca_file: str | None = None,
        pinned_addresses: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self.limits = limits or TransportLimits()
        self.statistics = TransportStatistics()
        self.pinned = pinned_addresses
        self.closing = False
        self.on_idle: list[Callable[[], None]] = []
        self._reactor = reactor
        self._origin_map = origin_map or OriginMap()
        self._open_route = proxied_route(proxy, ca_file) if proxy is not None else direct_route(ca_file)
        self._pools: dict[str | bool, Pool] = {}  # by mapped origin, else by whether the push service is known
        self._in_flight = 0
        self._waiting: deque[Exchange] = deque()
        self._closed = False
        self._generation = generation()
        self._sockets = Sockets()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self._in_flight == 0

    def check(self) -> None:
        """Raise what forbids to send.

        Raises:
            RuntimeError: it is closed, or this process is a fork of the one it was made in.
        """
        if self._generation != generation():
            raise RuntimeError(
                "This client was made before the process was forked, and its connections belong to the parent; make "
                "the client after the fork."
            )
        if self.closing:
            raise RuntimeError("This client is closed.")

    def asks_proxy(self, origin: str) -> bool:
        """Whether requests to this origin go through a proxy, so that their address must be resolved beforehand."""
        return self._open_route.proxy is not None and self._origin_map.get(origin) is None

    def start(self, request: PushRequest, done: Done, *, connect_to: str | None = None) -> Exchange:
        """Post ``request`` once, now or when its turn comes, and call ``done`` with what came of it.

        ``done`` is never called before this returns. A connection that dies under a request not yet answered may
        make libcurl send it again on a new one.

        Args:
            request: what to post.
            done: called once; must not raise.
            connect_to: the checked ``address:port``, where :meth:`asks_proxy`.

        Raises:
            RuntimeError: as :meth:`check` does.
        """
        self.check()
        exchange = Exchange(self.cancel, self._pool_for(request.endpoint), request, connect_to, done)
        if self._in_flight < self.limits.in_flight_max:
            self._begin(exchange)
        else:
            self._waiting.append(exchange)
        return exchange

    def fail(self, request: PushRequest, done: Done, failure: TransportFailure) -> Exchange:
        """As :meth:`start`, for a request that is known to fail before it can be posted."""
        exchange = Exchange(self.cancel, self._pool_for(request.endpoint), request, None, done)

        def tell() -> None:
            if exchange.request is not None:
                exchange.request = None
                done(failure)

        self._reactor.call_after(0, tell)
        return exchange

    def extend(self, seconds: float) -> None:
        """Give everything under way so much longer."""
        for pool in self._pools.values():
            if pool.active:
                pool.extend(seconds, self.limits.total_seconds_max)

    def cancel(self, exchange: Exchange) -> None:
        """See :meth:`Exchange.cancel`."""
        if exchange.request is None:
            return
        exchange.request = None
        if exchange.handle is None:
            if exchange in self._waiting:
                self._waiting.remove(exchange)
            return
        self.statistics.connections_opened += exchange.handle.gate.opened
        exchange.pool.remove(exchange.handle)
        self._left()

    def stop(self) -> None:
        """Take no new request, and give up those whose turn has not come."""
        self.closing = True
        waiting, self._waiting = self._waiting, deque()
        for exchange in waiting:
            exchange.request = None
            exchange.done(CLOSED_BEFORE_TURN)

    def close(self) -> None:
        """Close every connection; what is still under way ends as a reset."""
        self.stop()
        if self._closed:
            return
        self._closed = True
        cut = [exchange for pool in self._pools.values() for exchange in pool.close()]
        self._in_flight = 0
        for exchange in cut:
            exchange.request = None
            exchange.done(CLOSED)
        self._tell_idle()

    def _pool_for(self, endpoint: Endpoint) -> Pool:
        entry = self._origin_map.get(endpoint.origin) if self._origin_map else None
        key = is_known(endpoint.host) if entry is None else endpoint.origin
        pool = self._pools.get(key)
        if pool is None:
            route = self._open_route if entry is None else mapped_route(entry)
            pool = self._pools[key] = Pool(route, self.limits, self._reactor, self._ended)
        return pool

    def _begin(self, exchange: Exchange) -> None:
        pool, request = exchange.pool, exchange.request
        assert request is not None
        if pool.idle:
            handle = pool.idle.pop()
        else:
            handle = Handle(pool.route, self.limits, self._sockets)
            self.statistics.handles_created += 1
        pinned = self.pinned.get(request.endpoint.host, ()) if self.pinned else None
        handle.load(request, connect_to=exchange.connect_to, pinned=pinned)
        pool.add(exchange, handle)
        self._in_flight += 1
        self.statistics.requests += 1

    def _ended(self, pool: Pool, exchange: Exchange, error: tuple[int, str] | None) -> None:
        handle = exchange.handle
        assert handle is not None
        answer = handle.answer(error)
        exchange.request = None
        self.statistics.connections_opened += handle.gate.opened
        if not isinstance(answer, TransportFailure) and answer.http_version != "2":
            self.statistics.http_1_answers += 1
        pool.idle.append(handle)
        self._left()
        exchange.done(answer)

    def _left(self) -> None:
        """One exchange fewer is under way: the next one's turn."""
        self._in_flight -= 1
        if self._waiting:
            self._begin(self._waiting.popleft())
        elif self._in_flight == 0 and self.on_idle:
            self._tell_idle()

    def _tell_idle(self) -> None:
        told, self.on_idle = self.on_idle, []
        for tell in told:
            tell()
