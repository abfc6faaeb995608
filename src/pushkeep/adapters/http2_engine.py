"""Posts requests through libcurl and calls back when each has ended; a reactor says when sockets are ready.

The one engine of the asynchronous and the blocking transport: routes, connections, handles and turns are the same.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

import pycurl

from pushkeep.adapters.http2_dial import Route, direct_route, mapped_route, proxied_route
from pushkeep.adapters.http2_fork import Sockets, generation
from pushkeep.adapters.http2_handle import Done, Handle
from pushkeep.adapters.http2_limits import TransportLimits, TransportStatistics
from pushkeep.adapters.http2_reactor import Reactor
from pushkeep.domain.origin_map import OriginMap
from pushkeep.protocol.answer import TransportFailure
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.request import PushRequest
from pushkeep.protocol.vendors import vendor_for

CLOSED_BEFORE_TURN = TransportFailure("connect", "The transport was closed before the request's turn came.")
CLOSED = TransportFailure("reset", "The transport was closed.", request_sent=True)

_LATE_SECONDS = 0.05
"""How long after a time limit we look for what has passed it: libcurl counts in whole milliseconds."""

_CLOSE_SECONDS_MAX = 0.5
"""How long closing waits for what should take none."""


class Exchange:
    """A request handed to the engine, waiting for its turn or under way."""

    __slots__ = ("_engine", "connect_to", "done", "handle", "pool", "request")

    def __init__(self, engine: Engine, pool: _Pool, request: PushRequest, connect_to: str | None, done: Done) -> None:
        self._engine = engine
        self.pool = pool
        self.request: PushRequest | None = request
        self.connect_to = connect_to
        self.done = done
        self.handle: Handle | None = None

    def cancel(self) -> None:
        """End it without calling back; nothing happens if it has ended."""
        self._engine.cancel(self)


@lru_cache(maxsize=1024)
def _known(host: str) -> bool:
    """Whether everybody knows the push service. Strangers have a pool of their own: libcurl looks names up in 20
    threads for each pool, and ten names whose servers never answer keep all of them busy."""
    return vendor_for(host).known


class _Pool:
    """The connections and handles of one route."""

    __slots__ = (
        "_at_once",
        "_cancel_timer",
        "_on_end",
        "_reactor",
        "_watched",
        "active",
        "closed",
        "idle",
        "multi",
        "route",
    )

    def __init__(
        self,
        route: Route,
        limits: TransportLimits,
        reactor: Reactor,
        on_end: Callable[[_Pool, Exchange, tuple[int, str] | None], None],
    ) -> None:
        self.route = route
        self.idle: list[Handle] = []
        self.active: dict[pycurl.Curl, Exchange] = {}
        self.closed = False
        self._reactor = reactor
        self._on_end = on_end
        self._cancel_timer: Callable[[], None] | None = None
        self._at_once = False
        self._watched: set[int] = set()
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, limits.host_connections_max)
        self.multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, limits.connections_max)
        self.multi.setopt(pycurl.M_MAXCONNECTS, limits.connections_max)
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)

    def add(self, exchange: Exchange, handle: Handle) -> None:
        exchange.handle = handle
        self.active[handle.curl] = exchange
        try:
            self.multi.add_handle(handle.curl)
        except BaseException:
            del self.active[handle.curl]
            raise

    def remove(self, handle: Handle) -> None:
        """Take a handle out in mid-exchange. It is not used again: what libcurl left in it is nobody's guess."""
        self.active.pop(handle.curl, None)
        self.multi.remove_handle(handle.curl)
        handle.curl.close()

    def extend(self, seconds: float, total_seconds_max: float) -> None:
        """Give everything under way so much longer; none of it then has more than ``total_seconds_max`` left."""
        for exchange in self.active.values():
            if exchange.handle is not None:
                exchange.handle.extend(seconds)
        # libcurl's own timer still goes off at the old time, finds that there is more, and is not set again.
        self._reactor.call_after(total_seconds_max + _LATE_SECONDS, self._look_at_all)

    def close(self) -> list[Exchange]:
        """Close every connection; the exchanges that were under way."""
        cut = list(self.active.values())
        for exchange in cut:
            if exchange.handle is not None:
                self.remove(exchange.handle)
        self.closed = True
        if self._cancel_timer is not None:
            self._cancel_timer()
        for descriptor in self._watched:
            self._reactor.forget(descriptor)
        self._watched.clear()
        self._close_connections()
        for handle in self.idle:
            handle.curl.close()
        self.idle.clear()
        return cut

    def _close_connections(self) -> None:
        # libcurl waits here for the end of every look-up, of which the system's resolver takes up to half a minute for
        # a name whose servers are silent. Nothing calls us back any more, so another thread may do that.
        closing = threading.Thread(target=self.multi.close, name="pushkeep-closing", daemon=True)
        try:
            closing.start()
        except RuntimeError:  # the interpreter is ending and starts no thread
            self.multi.close()
        else:
            closing.join(_CLOSE_SECONDS_MAX)

    def _on_socket(self, what: int, descriptor: int, _multi: pycurl.CurlMulti, _data: object) -> None:
        if self.closed:
            return
        if what == pycurl.POLL_REMOVE:
            self._watched.discard(descriptor)
            self._reactor.forget(descriptor)
        else:
            self._watched.add(descriptor)
            self._reactor.watch(
                descriptor, read=bool(what & pycurl.POLL_IN), write=bool(what & pycurl.POLL_OUT), ready=self._ready
            )

    def _on_timer(self, milliseconds: int) -> None:
        if self._at_once and milliseconds == 0:
            return  # as every request of a burst asks
        self._at_once = False
        if self._cancel_timer is not None:
            self._cancel_timer()
            self._cancel_timer = None
        if milliseconds >= 0 and not self.closed:
            self._at_once = milliseconds == 0
            self._cancel_timer = self._reactor.call_after(milliseconds / 1000, self._time_out)

    def _ready(self, descriptor: int, read: bool, write: bool) -> None:
        self._act(descriptor, (pycurl.CSELECT_IN if read else 0) | (pycurl.CSELECT_OUT if write else 0))

    def _time_out(self) -> None:
        self._at_once = False
        self._cancel_timer = None
        self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _look_at_all(self) -> None:
        if not self.closed:
            self.multi.perform()
            self._collect()

    def _act(self, descriptor: int, mask: int) -> None:
        if self.closed:
            return
        try:
            self.multi.socket_action(descriptor, mask)
        except pycurl.error as error:  # libcurl has lost its way with all of them, and will not say so of each
            for curl in list(self.active):
                self._end(curl, (int(error.args[0]), str(error.args[1])))
            return
        self._collect()

    def _collect(self) -> None:
        """Find what has ended."""
        _, fine, failed = self.multi.info_read()
        for curl in fine:
            self._end(curl, None)
        for curl, code, said in failed:
            self._end(curl, (code, said))

    def _end(self, curl: pycurl.Curl, error: tuple[int, str] | None) -> None:
        exchange = self.active.pop(curl, None)
        if exchange is not None:  # an earlier one's callback may have cancelled it
            self.multi.remove_handle(curl)
            self._on_end(self, exchange, error)


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
        self._pools: dict[str | bool, _Pool] = {}  # by mapped origin, else by whether the push service is known
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
        exchange = Exchange(self, self._pool_for(request.endpoint), request, connect_to, done)
        if self._in_flight < self.limits.in_flight_max:
            self._begin(exchange)
        else:
            self._waiting.append(exchange)
        return exchange

    def fail(self, request: PushRequest, done: Done, failure: TransportFailure) -> Exchange:
        """As :meth:`start`, for a request that is known to fail before it can be posted."""
        exchange = Exchange(self, self._pool_for(request.endpoint), request, None, done)

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

    def _pool_for(self, endpoint: Endpoint) -> _Pool:
        entry = self._origin_map.get(endpoint.origin) if self._origin_map else None
        key = _known(endpoint.host) if entry is None else endpoint.origin
        pool = self._pools.get(key)
        if pool is None:
            route = self._open_route if entry is None else mapped_route(entry)
            pool = self._pools[key] = _Pool(route, self.limits, self._reactor, self._ended)
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

    def _ended(self, pool: _Pool, exchange: Exchange, error: tuple[int, str] | None) -> None:
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
