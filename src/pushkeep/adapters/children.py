"""Child processes that are kept running: started by exec, started anew when they die, and never left behind.

A child is told to stop by the end of its standard input, a pipe whose other end only this process holds. So it hears
the same when this process is killed, on any system and however it died. A signal would not do: systemd and ``docker
stop`` send one to every process of a group themselves, and a second one means "at once".
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass

from pushkeep.ports import Clock, Sleeper

RESTART_SECONDS_MIN = 0.5
"""Before the first restart, doubled with each further one in a row."""

RESTART_SECONDS_MAX = 30.0
"""A child that cannot run is tried twice a minute: its log lines stay few, and it is back soon after the cure."""

SETTLED_SECONDS = 60.0
"""A child that ran for so long was all right; what ends it then is no failure in a row."""

KILL_GRACE_SECONDS = 5.0
"""Beyond the child's own limit: for closing files, and for a machine that is busy."""


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """A child that ended without being asked.

    Attributes:
        number: which, from 0.
        pid: its process id; None if it could not be started.
        status: exit status, negative for a signal; None if it could not be started.
        restart_seconds: when it is started anew.
    """

    number: int
    pid: int | None
    status: int | None
    restart_seconds: float


def restart_seconds(failures: int) -> float:
    """How long to wait after so many failures in a row, from 1."""
    return min(RESTART_SECONDS_MIN * 2.0 ** (failures - 1), RESTART_SECONDS_MAX)


async def first_of(*works: Coroutine[object, object, object]) -> None:
    """Return when one of them has ended, and give the others up."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Children:
    """Runs the same program several times over and keeps it running.

    Args:
        commands: program and arguments of each child; nothing secret, every user of the machine can read them.
        environment: of every child.
        clock: measures how long one ran.
        sleeper: waits before a restart.
        stop_seconds_max: how long the children themselves take at most to stop; what is there later is killed.
        on_end: told about each that ended without being asked.
    """

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        *,
        environment: Mapping[str, str],
        clock: Clock,
        sleeper: Sleeper,
        stop_seconds_max: float,
        on_end: Callable[[ChildEnded], None],
    ) -> None:
        self._commands = commands
        self._environment = dict(environment)
        self._clock = clock
        self._sleeper = sleeper
        self._stop_seconds_max = stop_seconds_max
        self._on_end = on_end
        self._stopping = asyncio.Event()
        self._running: dict[int, Process] = {}

    @property
    def pids(self) -> Mapping[int, int]:
        """Process ids of the children that run, by their numbers."""
        return {number: process.pid for number, process in self._running.items()}

    async def run(self) -> None:
        """Keep them running until :meth:`stop`; returns when all have ended. Cancelled, it kills them."""
        async with asyncio.TaskGroup() as group:
            for number, command in enumerate(self._commands):
                group.create_task(self._keep(number, command), name=f"pushkeep child {number}")

    def stop(self) -> None:
        """Let them finish what is under way, and end."""
        self._stopping.set()

    def stop_at_once(self) -> None:
        """Do not wait for what is under way."""
        self.stop()
        for process in self._running.values():
            # Two different ones: a second signal of a kind that is still to be heard is none.
            for number in (signal.SIGTERM, signal.SIGINT):
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)

    async def _keep(self, number: int, command: Sequence[str]) -> None:
        failures = 0
        while not self._stopping.is_set():
            started = self._clock.monotonic()
            process = await self._start(command)
            if process is not None:
                self._running[number] = process
                try:
                    await self._watch(process)
                finally:
                    del self._running[number]
            if self._stopping.is_set():
                return
            failures = 1 if self._clock.monotonic() - started >= SETTLED_SECONDS else failures + 1
            wait = restart_seconds(failures)
            pid, status = (process.pid, process.returncode) if process is not None else (None, None)
            self._on_end(ChildEnded(number, pid, status, wait))
            await first_of(self._sleeper.sleep(wait), self._stopping.wait())

    async def _start(self, command: Sequence[str]) -> Process | None:
        """Exec, not fork: this process has threads, whose locks a forked copy would wait for in vain."""
        try:
            # A session of its own: Ctrl-C in a terminal is for this process, which tells its children.
            return await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, env=self._environment, start_new_session=True
            )
        except OSError:  # out of memory or processes; that passes
            return None

    async def _watch(self, process: Process) -> None:
        """Wait for its end; tell it to stop when that is asked for, and kill it if it does not."""
        try:
            await first_of(process.wait(), self._stopping.wait())
            if process.returncode is None and process.stdin is not None:
                process.stdin.close()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._stop_seconds_max + KILL_GRACE_SECONDS):
                        await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
