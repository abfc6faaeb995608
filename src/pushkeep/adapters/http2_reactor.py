"""Who tells libcurl that a socket is ready or that time has passed: an event loop, or the calling thread itself."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Protocol

Ready = Callable[[int, bool, bool], None]
"""Takes a socket's descriptor, and whether it can be read and written."""


class Reactor(Protocol):
    """Watches sockets and timers for libcurl. Every callback comes from the thread that owns the reactor."""

    def watch(self, descriptor: int, *, read: bool, write: bool, ready: Ready) -> None:
        """Call ``ready`` whenever the socket can be read or written; replaces what was asked before."""
        ...

    def forget(self, descriptor: int) -> None:
        """Watch this socket no longer."""
        ...

    def call_after(self, seconds: float, wake: Callable[[], None]) -> Callable[[], None]:
        """Call ``wake`` once, never before this returns; the result takes it back."""
        ...


class LoopReactor:
    """The running asyncio loop of the first use.

    Raises:
        RuntimeError: from every method: it is used from another loop, or from no loop at all.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._interest: dict[int, tuple[bool, bool]] = {}

    def bind(self) -> asyncio.AbstractEventLoop:
        """The loop this belongs to from now on.

        Raises:
            RuntimeError: another loop is running, or none.
        """
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError(
                "This client belongs to another event loop, in which it was used first; make one for each loop."
            )
        return loop

    @property
    def foreign(self) -> bool:
        """Whether it belongs to a loop that is not the running one."""
        return self._loop is not None and self._loop is not asyncio.get_running_loop()

    def watch(self, descriptor: int, *, read: bool, write: bool, ready: Ready) -> None:
        """See :class:`Reactor`."""
        loop = self._loop or self.bind()
        if loop.is_closed():
            return  # a client that nobody closed says good-bye to its connections when it is collected
        reads, writes = self._interest.get(descriptor, (False, False))
        if read and not reads:
            loop.add_reader(descriptor, ready, descriptor, True, False)
        elif reads and not read:
            loop.remove_reader(descriptor)
        if write and not writes:
            loop.add_writer(descriptor, ready, descriptor, False, True)
        elif writes and not write:
            loop.remove_writer(descriptor)
        self._interest[descriptor] = (read, write)

    def forget(self, descriptor: int) -> None:
        """See :class:`Reactor`."""
        reads, writes = self._interest.pop(descriptor, (False, False))
        if self._loop is None or self._loop.is_closed():
            return  # a closed loop watches nothing any more
        if reads:
            self._loop.remove_reader(descriptor)
        if writes:
            self._loop.remove_writer(descriptor)

    def call_after(self, seconds: float, wake: Callable[[], None]) -> Callable[[], None]:
        """See :class:`Reactor`."""
        loop = self._loop or self.bind()
        if loop.is_closed():
            return lambda: None
        return (loop.call_later(seconds, wake) if seconds > 0 else loop.call_soon(wake)).cancel


class SelectReactor:
    """The thread that calls :meth:`run_once`; whether an event loop runs in it does not matter.

    Args:
        monotonic: seconds that never step back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._selector = selectors.DefaultSelector()
        self._timers: dict[object, tuple[float, Callable[[], None]]] = {}

    def watch(self, descriptor: int, *, read: bool, write: bool, ready: Ready) -> None:
        """See :class:`Reactor`."""
        events = (selectors.EVENT_READ if read else 0) | (selectors.EVENT_WRITE if write else 0)
        self.forget(descriptor)
        if events:
            self._selector.register(descriptor, events, ready)

    def forget(self, descriptor: int) -> None:
        """See :class:`Reactor`."""
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)

    def call_after(self, seconds: float, wake: Callable[[], None]) -> Callable[[], None]:
        """See :class:`Reactor`."""
        token = object()
        self._timers[token] = (self._monotonic() + seconds, wake)
        return lambda: self._drop(token)

    def run_once(self, seconds_max: float | None) -> None:
        """Wait until something is ready or due, at most ``seconds_max`` (None: no limit), and call what is."""
        wait = seconds_max
        if self._timers:
            due = max(min(when for when, _ in self._timers.values()) - self._monotonic(), 0.0)
            wait = due if wait is None else min(due, wait)
        if wait is None and not self._selector.get_map():
            return  # nothing could ever end this wait
        for key, events in self._selector.select(wait):
            ready: Ready = key.data
            ready(key.fd, bool(events & selectors.EVENT_READ), bool(events & selectors.EVENT_WRITE))
        now = self._monotonic()
        for token in [token for token, (when, _) in self._timers.items() if when <= now]:
            timer = self._timers.pop(token, None)  # an earlier one may have taken it back
            if timer is not None:
                timer[1]()

    def close(self) -> None:
        """Watch nothing any more."""
        self._timers.clear()
        self._selector.close()

    def _drop(self, token: object) -> None:
        self._timers.pop(token, None)
