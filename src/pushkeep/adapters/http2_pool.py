"""The connections to the servers of one route, and libcurl's callbacks: which socket to watch, when to be woken.

An interrupt (Ctrl-C) that arrives while libcurl works is raised in whichever callback comes next. pycurl raises it
again from the call that we made, but for the two cases that are seen to here. What libcurl was doing is then in the
midst of something, so whoever is interrupted closes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import pycurl

from pushkeep.adapters.http2_dial import Route
from pushkeep.adapters.http2_handle import Done, Handle
from pushkeep.adapters.http2_limits import TransportLimits
from pushkeep.adapters.http2_reactor import Reactor
from pushkeep.protocol.request import PushRequest

_LATE_SECONDS = 0.05
"""How long after a time limit we look for what has passed it: libcurl counts in whole milliseconds."""

_CLOSE_SECONDS_MAX = 0.5
"""How long closing waits for what should take none."""


class Exchange:
    """A request handed to the engine, waiting for its turn or under way."""

    __slots__ = ("_cancel", "connect_to", "done", "handle", "pool", "request")

    def __init__(
        self,
        cancel: Callable[[Exchange], None],
        pool: Pool,
        request: PushRequest,
        connect_to: str | None,
        done: Done,
    ) -> None:
        self._cancel = cancel
        self.pool = pool
        self.request: PushRequest | None = request
        self.connect_to = connect_to
        self.done = done
        self.handle: Handle | None = None

    def cancel(self) -> None:
        """End it without calling back; nothing happens if it has ended."""
        self._cancel(self)


class Pool:
    """The connections and handles of one route.

    Args:
        route: how to reach servers.
        limits: size and number limits.
        reactor: says when sockets are ready.
        on_end: told what has ended, with libcurl's error if there was one; must not raise.

    Attributes:
        route: as given.
        idle: handles that carry nothing.
        active: what is under way, by libcurl's handle.
        closed: nothing is done any more.
    """

    __slots__ = (
        "_asked",
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
        on_end: Callable[[Pool, Exchange, tuple[int, str] | None], None],
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
        # libcurl says here when it wants to be woken. This is no function of ours, because an interrupt that fell
        # into one would be lost: add_handle and remove_handle report "internal errors" in its stead.
        self._asked: deque[int] = deque(maxlen=1)
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, limits.host_connections_max)
        self.multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, limits.connections_max)
        self.multi.setopt(pycurl.M_MAXCONNECTS, limits.connections_max)
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self._asked.append)

    def add(self, exchange: Exchange, handle: Handle) -> None:
        """Begin an exchange."""
        exchange.handle = handle
        self.active[handle.curl] = exchange
        try:
            self.multi.add_handle(handle.curl)
        except BaseException:
            del self.active[handle.curl]
            raise
        self._set_timer()

    def remove(self, handle: Handle) -> None:
        """Take a handle out in mid-exchange. It is not used again: what libcurl left in it is nobody's guess."""
        if self.active.pop(handle.curl, None) is not None:  # an interrupt may have come between this and the next
            self._take_out(handle.curl)
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

    def _set_timer(self) -> None:
        """Do what libcurl last asked for: to be woken after so long, or not at all."""
        if not self._asked:
            return
        milliseconds = self._asked.pop()
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
            self._set_timer()
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
        finally:
            self._set_timer()
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
            self._take_out(curl)
            self._on_end(self, exchange, error)

    def _take_out(self, curl: pycurl.Curl) -> None:
        try:
            self.multi.remove_handle(curl)
        except SystemError as error:  # it is out, but an interrupt came in our callback, which pycurl does not expect
            if error.__cause__ is None:
                raise
            raise error.__cause__ from None
        finally:
            self._set_timer()
