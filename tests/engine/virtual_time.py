"""An event loop whose time costs nothing, and processes in it that can be killed or stopped at any instant.

The loop never waits: when nothing is ready, its time jumps to the next timer. Everything runs in one thread in an
order that depends on nothing but the program, so a run can be repeated exactly.

A process is whatever was spawned in it, with every task, callback and timer that came of that. It is what an
operating system takes it for: killed, none of its code ever runs again, no ``finally`` and no last words; stopped,
none runs until it is continued, and then it goes on where it was, knowing nothing of the time between.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import selectors
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = 1_800_000_000.0
"""What the clock on the wall says when a loop's time is 0."""

_current: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


class Stuck(AssertionError):
    """Nothing is ready and nothing ever will be: somebody waits for what cannot come, or for another thread."""


class Process:
    """A process in a virtual loop. One made is running.

    Args:
        name: for people.
        loop: where it runs.

    Attributes:
        name, loop: as given.
        context: in which what arrives from outside is to be called.
        alive: until it is killed.
        stopped: as by SIGSTOP.
        troubles: the times at which it was killed, stopped or continued.
    """

    def __init__(self, name: str, loop: VirtualLoop) -> None:
        self.name = name
        self.alive = True
        self.stopped = False
        self.troubles: list[float] = []
        self._buried = False
        self.loop = loop
        self._held: list[asyncio.Handle] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self.context = contextvars.copy_context()
        self.context.run(_current.set, self)
        loop.processes.append(self)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a task of this process."""
        return self.loop.create_task(work, context=self.context.copy())

    def call_soon(self, callback: Callable[..., object], *args: object) -> asyncio.Handle:
        """Let something arrive in this process, as from a socket."""
        return self.loop.call_soon(callback, *args, context=self.context)

    def kill(self) -> None:
        """End it at once."""
        self.alive = False
        self.troubles.append(self.loop.time())

    def stop(self) -> None:
        """Let nothing of it run."""
        if self.alive and not self.stopped:
            self.stopped = True
            self.troubles.append(self.loop.time())

    def go_on(self) -> None:
        """Let it run again. What became due meanwhile runs first, in its order."""
        if self.alive and self.stopped:
            self.stopped = False
            self.troubles.append(self.loop.time())
            held, self._held = self._held, []
            for handle in held:
                self.loop.take_up(handle)

    def disturbed_between(self, begin: float, end: float) -> bool:
        """Whether it was killed, stopped, or continued from then to then."""
        return any(begin <= at <= end for at in self.troubles)

    def admits(self, handle: asyncio.Handle) -> bool:
        """Whether a callback may run now; one of a stopped process is kept until it goes on, or until the burial."""
        if self._buried or (self.alive and not self.stopped):
            return True
        self._held.append(handle)
        return False

    def remember(self, task: asyncio.Task[Any]) -> None:
        self._tasks = [known for known in self._tasks if not known.done()]
        self._tasks.append(task)

    @property
    def buried(self) -> bool:
        """Whether its tasks are being cleared away, at the end of the world; nothing of that may have an effect."""
        return self._buried

    def bury(self) -> list[asyncio.Task[Any]]:
        """Let its tasks end for good, so that Python has nothing to complain about."""
        self.alive = False
        self._buried = True
        for handle in self._held:
            self.loop.take_up(handle)
        left = [task for task in self._tasks if not task.done()]
        for task in left:
            task.cancel()
        return left


class _Handle(asyncio.Handle):
    """A callback that runs if its process does."""

    __slots__ = ()

    def _run(self) -> None:
        if _runs(self):
            super()._run()


class _TimerHandle(asyncio.TimerHandle):
    """The same, later."""

    __slots__ = ()

    def _run(self) -> None:
        if _runs(self):
            super()._run()


def _runs(handle: asyncio.Handle) -> bool:
    process = handle._context.get(_current)
    return process is None or process.admits(handle)


class _Jump(selectors.SelectSelector):
    """Waits for nothing: tells the loop how far to jump."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("nothing is ready, and no timer will make it so")
        if timeout > 0:
            self.loop.jump()
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time is its own, from 0."""

    def __init__(self) -> None:
        self._now = 0.0
        self.processes: list[Process] = []
        self.errors: list[dict[str, Any]] = []
        """What nobody caught, as the loop's exception handler was told."""
        selector = _Jump()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-9  # not 0: a timer must be due when its time has come
        self.set_task_factory(_remembering)
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        return self._now

    def jump(self) -> None:
        """Go to the next timer, exactly."""
        self._now = max(self._now, self._scheduled[0]._when)

    def take_up(self, handle: asyncio.Handle) -> None:
        """Make a callback ready that was kept."""
        if not handle.cancelled():
            self._ready.append(handle)

    def _call_soon(self, callback: Any, args: Any, context: Any) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        self._check_closed()
        timer = _TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run until something of no process has ended."""
        return self.run_until_complete(work)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.run(asyncio.sleep(seconds))

    def leap(self, seconds: float) -> None:
        """Let time pass in which nobody does anything: what becomes due meanwhile is done at its end."""
        self._now += seconds

    def bury(self) -> None:
        """End every process for good."""
        left = [task for process in self.processes for task in process.bury()]
        if left:
            self.run(asyncio.wait_for(asyncio.gather(*left, return_exceptions=True), 3600))

    def end(self) -> None:
        """End every process, and the loop."""
        try:
            self.bury()
        finally:
            self.close()


def _remembering(loop: asyncio.AbstractEventLoop, work: Any, **given: Any) -> asyncio.Task[Any]:
    context = given.get("context")
    process = _current.get() if context is None else context.get(_current)
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **given)
    if process is not None:
        process.remember(task)
    return task


@contextlib.contextmanager
def virtual_loop() -> Iterator[VirtualLoop]:
    """A loop for a ``with``."""
    loop = VirtualLoop()
    try:
        yield loop
    finally:
        loop.end()


class VirtualClock:
    """The clock port on a loop's time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return EPOCH + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()


class VirtualSleeper:
    """The sleeper port on a loop's time."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))
