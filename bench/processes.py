"""What the kernel says of a process: whose it is, the time it has used, the memory it came to (proc(5))."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS = 0.02


def children_of(pid: int) -> Iterator[int]:
    """The processes that it started."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if int(_stat_of(folder)[1]) == pid:
                    yield int(folder.name)


def _stat_of(folder: Path) -> list[str]:
    """The fields of proc(5)'s stat from the third on; the name before them may hold spaces."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def process_seconds(pid: int) -> float:
    """User and system time of all threads of a process, those that have ended included."""
    # The clock of another process, as clock_getcpuclockid(3) makes it: to the nanosecond, where proc(5) has ticks.
    return time.clock_gettime((~pid << 3) | 2)


def first_thread_seconds(pid: int) -> float:
    """Of the thread that the process began with, which runs its event loop."""
    fields = _stat_of(Path(f"/proc/{pid}/task/{pid}"))
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def peak_mb(pid: int) -> float:
    """The largest resident set that it has had, in megabytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024  # in KiB


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended.

    Attributes:
        text: what it printed.
        seconds: by the clock, start of the process included.
        cpu_seconds: user and system time, all threads.
        peak_mb: the largest resident set.
    """

    text: str
    seconds: float
    cpu_seconds: float
    peak_mb: float


def run(command: Sequence[str], environment: Mapping[str, str]) -> Ran:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed.
    """
    began = time.monotonic()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        # wait4's largest memory is that of the process which began it, where that was larger: asked for while it runs.
        most = 0.0
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            with contextlib.suppress(OSError, IndexError):  # it has just ended
                most = max(most, peak_mb(process.pid))
            time.sleep(_LOOK_SECONDS)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(ended[1])
        text, used = process.stdout.read(), ended[2]
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Ran(text, seconds, used.ru_utime + used.ru_stime, most)
