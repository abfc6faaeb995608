"""The tasks of one worker: none of them ends unseen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from pushkeep.errors import Unavailable

_log = logging.getLogger("pushkeep.app")

Work = Coroutine[object, object, None]


class Tasks:
    """Those that last as long as their worker, and those that do one thing and end.

    Args:
        trouble: told when the store does not answer a chore.
    """

    def __init__(self, trouble: Callable[[Unavailable], None]) -> None:
        self._trouble = trouble
        self._lasting: list[asyncio.Task[None]] = []
        self._passing: set[asyncio.Task[None]] = set()

    def last(self, work: Work) -> asyncio.Task[None]:
        """Begin what goes on until the worker stops."""
        task = asyncio.ensure_future(work)
        self._lasting.append(task)
        return task

    def every(self, seconds: float, chore: Callable[[], Work]) -> None:
        """Do something again and again, with so many seconds in between; it may fail and is tried again."""
        self.last(self._every(seconds, chore))

    def spawn(self, work: Work) -> None:
        """Begin what ends by itself; a failure is told by its type."""
        task = asyncio.ensure_future(work)
        self._passing.add(task)
        task.add_done_callback(self._done)

    async def until(self, event: asyncio.Event) -> None:
        """Wait for an event.

        Raises:
            Exception: what a lasting task ended with before.
        """
        told = asyncio.ensure_future(event.wait())
        try:
            ended, _ = await asyncio.wait((told, *self._lasting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
        if not event.is_set():
            for task in ended:
                task.result()

    async def cancel(self) -> None:
        """End all of them at once."""
        tasks = (*self._lasting, *self._passing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _every(self, seconds: float, chore: Callable[[], Work]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await chore()
            except Unavailable as error:
                self._trouble(error)
            except Exception as error:
                _log.error("A chore of the worker failed with an internal error (%s).", type(error).__name__)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._passing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("A task of the worker failed with an internal error (%s).", type(error).__name__)
