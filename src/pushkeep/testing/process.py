"""Child processes that are always reaped, with everything they started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from pushkeep.errors import Unavailable

# What a failing program says at its end is what explains the failure.
LOG_LINES_MAX = 200
LOG_LINE_BYTES_MAX = 64 * 1024

_POLL_SECONDS = 0.02
# A killed process is gone at once, unless the kernel is stuck in a device; then waiting longer does not help.
_KILL_SECONDS_MAX = 5.0

# Nothing of the caller's environment reaches a child by accident: no proxy, no session bus, no API key.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")
_DISPLAY = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


def child_environment(
    home: Path, *, visible: bool, dbus_address: str | None, scratch: Path | None = None
) -> dict[str, str]:
    """A small environment with a home of its own, and the display only when a window is wanted.

    ``scratch`` is for temporary files: a browser that is killed leaves some.
    """
    names = _PASSED_ON + (_DISPLAY if visible else ())
    environment = {name: os.environ[name] for name in names if name in os.environ}
    environment.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
    environment.setdefault("LANG", "C.UTF-8")
    environment["HOME"] = str(home)
    if scratch is not None:
        environment["TMPDIR"] = str(scratch)
    if dbus_address is not None:
        environment["DBUS_SESSION_BUS_ADDRESS"] = dbus_address
    elif not visible:
        # An unusable address stops the client libraries from starting a bus of their own.
        environment["DBUS_SESSION_BUS_ADDRESS"] = "disabled:"
    return environment


class ChildProcess:
    """A program running in a process group of its own; its output is read so that it never blocks."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self._lines: deque[str] = deque(maxlen=LOG_LINES_MAX)
        self._news = asyncio.Condition()
        self._ended = False
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, command: Sequence[str], *, environment: Mapping[str, str], cwd: Path | None = None
    ) -> ChildProcess:
        """Start ``command`` with standard output and error merged.

        Raises:
            Unavailable: the program cannot be run.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
                limit=LOG_LINE_BYTES_MAX,
            )
        except OSError as error:
            raise Unavailable(f"cannot start {command[0]}: {error.strerror}") from error
        return cls(Path(command[0]).name, process)

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the leader of the group is still there."""
        return self._process.returncode is None

    @property
    def status(self) -> int | None:
        """Exit status of the leader, negative for a signal, None while it runs."""
        return self._process.returncode

    @property
    def output(self) -> str:
        """The last lines it wrote."""
        return "\n".join(self._lines)

    async def _read(self) -> None:
        stream = self._process.stdout
        if stream is None:  # pragma: no cover - always a pipe, see start()
            return
        try:
            while True:
                try:
                    line = await stream.readline()
                except ValueError:
                    continue  # one over-long line; readline() has dropped it
                if not line:
                    break
                async with self._news:
                    self._lines.append(line.decode(errors="replace").rstrip())
                    self._news.notify_all()
        finally:
            self._ended = True
            async with self._news:
                self._news.notify_all()

    async def wait_for_line(self, text: str, *, timeout_seconds: float) -> str:
        """The first line that contains ``text``, among the last ones written or those to come.

        Raises:
            Unavailable: the program ended or ``timeout_seconds`` passed without it.
        """

        def match() -> str | None:
            return next((line for line in self._lines if text in line), None)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds), self._news:
                await self._news.wait_for(lambda: match() is not None or self._ended)
        found = match()
        if found is None:
            how = "ended" if self._ended else f"ran {timeout_seconds:g} s"
            raise Unavailable(f"{self.name} {how} without writing {text!r}; it wrote: {self.output[-2000:]}")
        return found

    async def wait(self, *, timeout_seconds: float) -> bool:
        """Wait until it ended by itself; False when ``timeout_seconds`` passed first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                # Not Process.wait(): that also waits for helpers which still hold the output open.
                while self.running:  # noqa: ASYNC110 - asyncio offers no event for the leader alone
                    await asyncio.sleep(_POLL_SECONDS)
        return not self.running

    async def stop(self, *, grace_seconds: float = 10.0) -> None:
        """Ask it to end, kill the whole group after ``grace_seconds``, and reap it."""
        try:
            if self.running:
                self._signal(signal.SIGTERM)
                await self.wait(timeout_seconds=grace_seconds)
        finally:
            # Also when the leader has ended by itself, for a helper it left behind, and when the caller gives up.
            self._signal(signal.SIGKILL)
        await self.wait(timeout_seconds=_KILL_SECONDS_MAX)
        # The end of the output is the end of everything that had it open.
        await asyncio.wait({self._reader}, timeout=_KILL_SECONDS_MAX)
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
