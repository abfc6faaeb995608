"""Workers: inside a process that does other things too, in a process of their own, and kept running by the server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import BinaryIO

from pushkeep.adapters.children import ChildEnded, Children, first_of
from pushkeep.adapters.clock import SystemClock, SystemSleeper
from pushkeep.app.context import Services
from pushkeep.app.worker import LAST_CHECKPOINT_SECONDS_MAX, Place, Worker, WorkerLimits
from pushkeep.compose.chores import chores_done
from pushkeep.compose.observing import metrics_served, observe
from pushkeep.compose.services import open_services
from pushkeep.config import Settings, settings_environment
from pushkeep.domain.pacing import LaneLimits, Rates
from pushkeep.domain.sending import Priority
from pushkeep.ports import Entropy
from pushkeep.web.logs import configure_logging, get_logger

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = get_logger("pushkeep.worker")


class Stopping:
    """Asked once, finish what is under way; asked again, do not wait for it.

    Attributes:
        asked: set by the first.
        at_once: set by the second.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    def ask(self) -> None:
        """Ask."""
        (self.at_once if self.asked.is_set() else self.asked).set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask, in the main thread."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self.ask)
        try:
            yield
        finally:
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)


def new_owner(entropy: Entropy) -> str:
    """A name for leases that no other worker has, and by which people find the process."""
    return f"{socket.gethostname()}:{os.getpid()}:{entropy.token_bytes(3).hex()}"


@asynccontextmanager
async def open_worker(
    settings: Settings,
    services: Services,
    *,
    owner: str | None = None,
    kind: str = "worker",
    priorities: frozenset[Priority] = frozenset(Priority),
    plans: bool = True,
    notification_id: int | None = None,
    stopping: Stopping | None = None,
    on_failure: Callable[[], None] | None = None,
) -> AsyncIterator[Worker]:
    """A worker that runs in this event loop until the context is left, and then finishes what is under way.

    Args:
        settings: limits and rates.
        services: the ports.
        owner: its name in leases; a new one by default.
        kind: ``worker``, ``web`` or ``command``, for people.
        priorities: which notifications it claims.
        plans: whether it turns audiences into shards.
        notification_id: claim shards of this one only.
        stopping: when asked at once, it does not wait for what is under way.
        on_failure: called if the worker ends by itself, which it never should; leaving the context raises why.
    """
    worker = Worker(
        services,
        owner=owner or new_owner(services.entropy),
        wakeups=services.store.wakeups(),
        kind=kind,
        priorities=priorities,
        plans=plans,
        notification_id=notification_id,
        limits=WorkerLimits(LaneLimits(in_flight_max=settings.in_flight_max), settings.stop_seconds_max),
        rates=Rates(
            origin_per_second_max=settings.origin_messages_per_second or None,
            project_per_second_max=settings.project_messages_per_second or None,
        ),
        place=Place(socket.gethostname(), os.getpid()),
    )
    stopping = stopping or Stopping()
    task = asyncio.create_task(worker.run(), name=f"pushkeep {kind}")
    task.add_done_callback(lambda ended: _look_at(ended, on_failure))
    try:
        yield worker
    finally:
        await _finish(worker, task, stopping)


def _look_at(task: asyncio.Task[None], on_failure: Callable[[], None] | None) -> None:
    if task.cancelled() or task.exception() is None:
        return
    _log.critical("worker_failed", exc_info=task.exception())
    if on_failure is not None:
        on_failure()


async def _finish(worker: Worker, task: asyncio.Task[None], stopping: Stopping) -> None:
    """Let it finish, within its own limit, or not if that is asked for; raises what it ended with."""
    worker.stop()
    hurry = asyncio.create_task(stopping.at_once.wait())
    try:
        await asyncio.wait({task, hurry}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hurry.cancel()
        if not task.done():
            # What it holds is done again by whoever leases it next, as after a kill.
            _log.warning("stopped_at_once", **worker.figures())
            task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def work(
    settings: Settings,
    *,
    handle_signals: bool = True,
    until_closed: BinaryIO | None = None,
    on_ready: Callable[[Worker], None] | None = None,
) -> None:
    """Be a worker in the running event loop until SIGINT or SIGTERM, or until a pipe is closed.

    It returns normally once what was under way is finished and written down, or ``stop_seconds_max`` later, or at once
    after a second signal.

    Args:
        settings: where everything is.
        handle_signals: only possible in the main thread.
        until_closed: a pipe that the process that started this one holds open for as long as it lives.
        on_ready: called once it works.

    Raises:
        ConfigurationError: as for :func:`open_services`, or the port for metrics cannot be had.
    """
    stopping = Stopping()
    with stopping.on_signals() if handle_signals else contextlib.nullcontext():
        async with open_services(settings) as services:
            failed, metrics = asyncio.Event(), observe(services, shared=False)
            async with (
                metrics_served(metrics, settings.worker_metrics_port),
                open_worker(settings, services, stopping=stopping, on_failure=failed.set) as worker,
                chores_done(settings, services, await services.store.default_project(), owner=worker.owner),
            ):
                metrics.watch_lanes(worker.lane_figures)
                _log.info("working", owner=worker.owner)
                if on_ready is not None:
                    on_ready(worker)
                closed = [] if until_closed is None else [_closed(until_closed)]
                await first_of(stopping.asked.wait(), failed.wait(), *closed)
    _log.info("stopped")


def run_worker(
    settings: Settings, *, until_closed: BinaryIO | None = None, on_ready: Callable[[Worker], None] | None = None
) -> None:
    """Be a worker: :func:`work` in an event loop of its own, with the log set up. Blocks until stopped.

    Raises:
        ConfigurationError: as for :func:`work`.
    """
    import uvloop  # here, so that the rest of the module can be imported where there is no uvloop

    configure_logging(settings.log_format, settings.log_level)
    uvloop.run(work(settings, until_closed=until_closed, on_ready=on_ready))


def worker_children(settings: Settings) -> Children:
    """As many worker processes as the settings want, not yet started.

    They get the settings by their environment, which only this user can read: what stands in a command line everybody
    sees.
    """
    # -P: not from the working directory, where somebody else may have put a module of our name.
    command = (sys.executable, "-P", "-m", "pushkeep", "worker", "--until-stdin-closes")
    first = settings.worker_metrics_port
    return Children(
        [
            command if first is None else (*command, "--metrics-port", str(first + number))
            for number in range(settings.workers)
        ],
        environment=settings_environment(settings),
        clock=SystemClock(),
        sleeper=SystemSleeper(),
        stop_seconds_max=settings.stop_seconds_max + 2 * LAST_CHECKPOINT_SECONDS_MAX,
        on_end=_tell_of,
    )


@asynccontextmanager
async def kept_running(children: Children) -> AsyncIterator[None]:
    """The children run until the context is left, and then finish what they have under way."""
    task = asyncio.create_task(children.run(), name="pushkeep children")
    try:
        yield
    finally:
        children.stop()
        await task


def _tell_of(ended: ChildEnded) -> None:
    _log.error(
        "worker_ended",
        number=ended.number,
        pid=ended.pid,
        status=ended.status,
        restart_seconds=ended.restart_seconds,
    )


async def _closed(pipe: BinaryIO) -> None:
    """Return when the other end of a pipe is closed, by whoever holds it or by that one's death."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        while await reader.read(4096):
            pass
    finally:
        transport.close()
