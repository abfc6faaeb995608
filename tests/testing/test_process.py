"""Child processes: read, waited for, and never left behind."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from pushkeep.errors import Unavailable
from pushkeep.testing.process import ChildProcess, child_environment

ENVIRONMENT = {"PATH": os.environ["PATH"]}


async def start(script: str) -> ChildProcess:
    return await ChildProcess.start(["sh", "-c", script], environment=ENVIRONMENT)


async def test_a_line_is_found_whether_written_before_or_after_asking() -> None:
    child = await start("echo one; echo two >&2; read never")
    try:
        assert await child.wait_for_line("two", timeout_seconds=20) == "two"
        assert await child.wait_for_line("one", timeout_seconds=20) == "one"
    finally:
        await child.stop()


async def test_a_program_that_ends_without_the_line_is_quoted() -> None:
    child = await start("echo went wrong; exit 3")
    with pytest.raises(Unavailable, match="ended without writing 'ready'; it wrote: went wrong"):
        await child.wait_for_line("ready", timeout_seconds=20)
    await child.stop()
    assert child.status == 3


async def test_waiting_for_a_line_is_bounded() -> None:
    child = await start("while :; do sleep 1; done")
    try:
        with pytest.raises(Unavailable, match="without writing"):
            await child.wait_for_line("ready", timeout_seconds=0.05)
        assert not await child.wait(timeout_seconds=0.05)
    finally:
        await child.stop()


async def test_a_program_that_does_not_exist_is_named() -> None:
    with pytest.raises(Unavailable, match="cannot start /nonexistent/program: No such file"):
        await ChildProcess.start(["/nonexistent/program"], environment=ENVIRONMENT)


async def test_stopping_ends_helpers_too_even_deaf_ones(tmp_path: Path) -> None:
    child = await start(
        f"sh -c 'trap \"\" TERM; echo $$ > {tmp_path}/helper; echo up; while :; do sleep 1; done' & wait"
    )
    await child.wait_for_line("up", timeout_seconds=20)
    helper = int((tmp_path / "helper").read_text())
    await child.stop(grace_seconds=5)
    assert not child.running
    assert _gone_or_zombie(helper)
    await child.stop()


async def test_a_caller_that_gives_up_while_stopping_leaves_nothing_either() -> None:
    child = await start("trap '' TERM; echo up; while :; do sleep 1; done")
    await child.wait_for_line("up", timeout_seconds=20)
    stopping = asyncio.create_task(child.stop(grace_seconds=60))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert await child.wait(timeout_seconds=20)
    await child.stop()


async def test_a_flood_of_output_neither_blocks_nor_fills_the_memory() -> None:
    script = "import sys\nfor n in range(20000): print('x' * 100)\nprint('y' * 200000)\nprint('done')"
    child = await ChildProcess.start([sys.executable, "-c", script], environment=ENVIRONMENT)
    await child.wait_for_line("done", timeout_seconds=60)
    assert await child.wait(timeout_seconds=20)
    await child.stop()
    assert child.status == 0
    assert len(child.output) < 100_000


def test_a_child_inherits_nothing_by_accident(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid")
    monkeypatch.setenv("DISPLAY", ":7")
    headless = child_environment(tmp_path, visible=False, dbus_address=None)
    assert headless["HOME"] == str(tmp_path)
    assert headless["DBUS_SESSION_BUS_ADDRESS"] == "disabled:"
    assert not {"HTTPS_PROXY", "DISPLAY"} & set(headless)
    visible = child_environment(tmp_path, visible=True, dbus_address="unix:path=/x")
    assert visible["DISPLAY"] == ":7"
    assert visible["DBUS_SESSION_BUS_ADDRESS"] == "unix:path=/x"


def _gone_or_zombie(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"
