"""Child processes: started anew when they die, told to stop by the end of their input, killed only after the limit."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pushkeep.adapters import children as module
from pushkeep.adapters.children import ChildEnded, Children, restart_seconds
from pushkeep.adapters.clock import SystemClock, SystemSleeper
from tests.processes.helpers import alive, until

WAIT_SECONDS_MAX = 30.0
UNTIL_END_OF_INPUT = ("cat",)
"""Reads its input to the end, as a worker does, and ends with 0."""


@asynccontextmanager
async def kept(
    *commands: Sequence[str], stop_seconds_max: float = WAIT_SECONDS_MAX
) -> AsyncIterator[tuple[Children, list[ChildEnded], asyncio.Task[None]]]:
    ended: list[ChildEnded] = []
    children = Children(
        commands,
        environment=dict(os.environ),
        clock=SystemClock(),
        sleeper=SystemSleeper(),
        stop_seconds_max=stop_seconds_max,
        on_end=ended.append,
    )
    task = asyncio.create_task(children.run())
    try:
        yield children, ended, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_child_that_is_killed_is_started_anew() -> None:
    async with kept(UNTIL_END_OF_INPUT, UNTIL_END_OF_INPUT) as (children, ended, _):
        await until(lambda: len(children.pids) == 2)
        before = dict(children.pids)
        os.kill(before[1], signal.SIGKILL)
        await until(lambda: children.pids.get(1, before[1]) != before[1])
        assert children.pids[0] == before[0]
        assert ended == [ChildEnded(1, before[1], -signal.SIGKILL, module.RESTART_SECONDS_MIN)]


async def test_children_that_stop_in_time_are_not_killed() -> None:
    async with kept(UNTIL_END_OF_INPUT, UNTIL_END_OF_INPUT) as (children, ended, task):
        await until(lambda: len(children.pids) == 2)
        pids = list(children.pids.values())
        children.stop()
        await asyncio.wait_for(task, WAIT_SECONDS_MAX)
        assert not ended, "who was asked to end is not told of as a loss"
        assert not any(map(alive, pids))


async def test_a_child_that_does_not_stop_is_killed_after_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KILL_GRACE_SECONDS", 0.0)
    async with kept(("sleep", "600"), stop_seconds_max=0.1) as (children, _, task):
        await until(lambda: children.pids)
        pids = list(children.pids.values())
        children.stop()
        await asyncio.wait_for(task, WAIT_SECONDS_MAX)
        assert not any(map(alive, pids))


async def test_at_once_means_two_signals(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    program = textwrap.dedent(
        f"""
        import pathlib, signal, sys
        heard = []
        def note(number, frame):
            heard.append(number)
            if len(heard) == 2:
                pathlib.Path({str(heard)!r}).write_text(" ".join(sorted(map(str, map(int, heard)))))
                sys.exit(0)
        signal.signal(signal.SIGTERM, note)
        signal.signal(signal.SIGINT, note)
        pathlib.Path({str(tmp_path / "ready")!r}).touch()
        while True:
            signal.pause()
        """
    )
    async with kept((sys.executable, "-c", program)) as (children, _, task):
        await until((tmp_path / "ready").exists)
        children.stop_at_once()
        await asyncio.wait_for(task, WAIT_SECONDS_MAX)
    assert {int(text) for text in heard.read_text().split()} == {signal.SIGINT, signal.SIGTERM}


async def test_a_program_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTART_SECONDS_MIN", 0.001)
    async with kept(("/nonexistent/program",)) as (children, ended, task):
        await until(lambda: len(ended) >= 3)
        children.stop()
        await asyncio.wait_for(task, WAIT_SECONDS_MAX)
    assert [(one.pid, one.status, one.restart_seconds) for one in ended[:3]] == [
        (None, None, 0.001),
        (None, None, 0.002),
        (None, None, 0.004),
    ]


def test_the_wait_before_a_restart_doubles_up_to_a_limit() -> None:
    waits = [restart_seconds(failures) for failures in range(1, 100)]
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert set(waits[6:]) == {module.RESTART_SECONDS_MAX}


async def test_children_of_a_killed_process_end_by_themselves(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import asyncio, os
        from pushkeep.adapters.children import Children
        from pushkeep.adapters.clock import SystemClock, SystemSleeper

        async def main():
            children = Children(
                [["cat"], ["cat"]], environment=dict(os.environ), clock=SystemClock(), sleeper=SystemSleeper(),
                stop_seconds_max=10, on_end=print,
            )
            running = asyncio.create_task(children.run())
            while len(children.pids) < 2:
                await asyncio.sleep(0.01)
            print(*children.pids.values(), flush=True)
            await running

        asyncio.run(main())
        """
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        pids = [int(text) for text in (await parent.stdout.readline()).split()]
    assert len(pids) == 2
    assert all(map(alive, pids))
    parent.kill()
    await parent.wait()
    await until(lambda: not any(map(alive, pids)))
