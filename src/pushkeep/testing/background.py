"""An event loop in a thread of its own, with a synchronous face: every call and every wait has a time limit."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import ParamSpec, TypeVar

from pushkeep.errors import Unavailable

START_SECONDS_MAX = 10.0
# What a call of the loop may take that waits for nothing. Milliseconds as a rule; a busy machine has been seen to
# stand still for seconds.
CALL_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0

P = ParamSpec("P")
T = TypeVar("T")


class BackgroundLoop:
    """Runs coroutines and plain functions in another thread's event loop.

    The thread is a daemon, so that nothing it hangs in can keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; raises Unavailable if its loop does not run in time."""
        if self._thread is not None:
            return
        running: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._main, args=(running,), name=self._name, daemon=True)
        self._thread.start()
        try:
            self._loop = running.result(START_SECONDS_MAX)
        except concurrent.futures.TimeoutError:
            self._thread = None
            raise Unavailable(f"the thread {self._name} did not start within {START_SECONDS_MAX:g} s") from None

    def _main(self, running: concurrent.futures.Future[asyncio.AbstractEventLoop]) -> None:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            loop.call_soon(running.set_result, loop)
            loop.run_forever()

    def stop(self) -> None:
        """Cancel what still runs and end the thread, waiting a bounded time. May be called twice."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        with contextlib.suppress(RuntimeError):  # closed already
            loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_SECONDS_MAX)

    def submit(self, work: Coroutine[object, object, T]) -> concurrent.futures.Future[T]:
        """Start a coroutine there and return at once.

        Raises:
            Unavailable: the thread is not running.
        """
        loop = self._loop
        if loop is None:
            work.close()
            raise Unavailable(f"the thread {self._name} is not running; start it first")
        return asyncio.run_coroutine_threadsafe(work, loop)

    def run(self, work: Coroutine[object, object, T], *, seconds: float = CALL_SECONDS_MAX) -> T:
        """Run a coroutine there, wait for its value and raise what it raises.

        Raises:
            TimeoutError: it took longer than ``seconds``, and is cancelled.
            RuntimeError: called in that loop's own thread, which would wait for itself.
        """
        __tracebackhide__ = True
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError(f"{self._name}: this call waits, and must not be made in the loop it waits for")
        future = self.submit(work)
        try:
            return future.result(seconds)
        except concurrent.futures.TimeoutError:
            if future.done():
                raise  # the coroutine's own
            future.cancel()
            raise TimeoutError(f"{self._name}: no result within {seconds:g} s") from None
        except BaseException:
            # An interrupt of the caller must not leave the work behind.
            future.cancel()
            raise

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a plain function there and return its value."""

        async def called() -> T:
            return function(*args, **kwargs)

        return self.run(called())
