"""Answers that last: streams of server-sent events and requests that wait. Bounded in number, and cut when we stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

from pushkeep.errors import Unavailable

STREAMS_MAX = 64
"""Each looks at the database once a second. A dashboard needs one for each notification that somebody looks at."""

WAITING_MAX = 256
"""Requests that may wait at a time; who comes on top of these is answered at once. Each looks at the database twice a
second, and all of them take a fifth of a core."""

RETRY_SECONDS = 10
"""After which a refused stream may be asked for again: a small notification has ended by then."""

HEARTBEAT_SECONDS = 15.0
"""Proxies cut a connection on which nothing moves, commonly after 30 to 60 seconds."""

STREAM_SECONDS_MAX = 300.0
"""Then a stream ends and may be asked for again: a host application that does not tell us when it stops would else wait
for a broadcast's end."""

T = TypeVar("T")


class Streams:
    """The streams and waiting requests of one application."""

    def __init__(self, *, streams_max: int = STREAMS_MAX, waiting_max: int = WAITING_MAX) -> None:
        self._streams_max = streams_max
        self._waiting_max = waiting_max
        self._streams = 0
        self._waiting = 0
        self._stopping = asyncio.Event()

    def open(self) -> None:
        """Take streams (again): the application has been opened."""
        self._stopping.clear()

    def close(self) -> None:
        """End every stream and every wait now, and begin none: the server is stopping."""
        self._stopping.set()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Count one stream while it lasts.

        Raises:
            Unavailable: there are too many, or the server is stopping.
        """
        if self._stopping.is_set():
            raise Unavailable("The server is stopping.", retry_after_seconds=RETRY_SECONDS)
        if self._streams >= self._streams_max:
            raise Unavailable(
                f"{self._streams_max} progress streams are open, the most there may be; close one, or ask for the "
                "notification with ?wait= instead.",
                retry_after_seconds=RETRY_SECONDS,
            )
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def wait(
        self, work: Coroutine[object, object, T], *, until: Coroutine[object, object, None] | None = None
    ) -> T | None:
        """The result of ``work``; None if ``until`` or the server ends first, or if too many are waiting already."""
        if self._stopping.is_set() or self._waiting >= self._waiting_max:
            for coroutine in filter(None, (work, until)):
                coroutine.close()
            return None
        self._waiting += 1
        task = asyncio.ensure_future(work)
        over = [] if until is None else [asyncio.ensure_future(until)]
        try:
            return task.result() if await self._first(task, None, *over) else None
        finally:
            self._waiting -= 1
            await _cancelled(task, *over)

    async def events(self, source: AsyncIterator[T]) -> AsyncGenerator[T | None, None]:
        """What ``source`` gives, until it, the server or the stream's time ends; None is a sign of life between."""
        loop = asyncio.get_running_loop()
        over = loop.time() + STREAM_SECONDS_MAX
        while loop.time() < over:
            task = asyncio.ensure_future(anext(source, None))
            try:
                while not task.done():
                    if not await self._first(task, HEARTBEAT_SECONDS):
                        if self._stopping.is_set() or loop.time() >= over:
                            return
                        yield None
            finally:
                await _cancelled(task)
            item = task.result()
            if item is None:
                return
            yield item

    async def _first(self, task: asyncio.Future[T], seconds_max: float | None, *others: asyncio.Future[None]) -> bool:
        """Whether the task is done before the server stops, one of the others is done, or time is up."""
        stop = asyncio.ensure_future(self._stopping.wait())
        any_of: set[asyncio.Future[T] | asyncio.Future[Literal[True]] | asyncio.Future[None]] = {task, stop, *others}
        try:
            await asyncio.wait(any_of, timeout=seconds_max, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        return task.done()


async def _cancelled(*tasks: asyncio.Future[T] | asyncio.Future[None]) -> None:
    """Cancel what is still running, and wait for it to let go; nobody wants its result any more."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)
