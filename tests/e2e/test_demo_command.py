"""``pushkeep demo --offline --browser …`` as a newcomer runs it: one command, and a notification is seen."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushkeep.testing import browsers
from pushkeep.testing.process import ChildProcess

from .site import command_environment
from .test_drivers import read_png

pytestmark = pytest.mark.browser


@pytest.fixture
def directory() -> Iterator[Path]:
    """A short path: the socket of a D-Bus daemon below it may have 107 characters."""
    path = Path(tempfile.mkdtemp(prefix="pk"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.parametrize("name", browsers.NAMES)
async def test_one_command_shows_a_notification_and_leaves_nothing_behind(name: str, directory: Path) -> None:
    command = (sys.executable, "-m", "pushkeep", "demo", "--offline", "--port", "0", "--browser", name)
    environment = {**command_environment(directory), "TMPDIR": str(directory)}
    demo = await ChildProcess.start([*command, "--data-dir", str(directory / "data")], environment=environment)
    try:
        # The last line of the driven round trip; the server goes on after it.
        await demo.wait_for_line("What the page looked like", timeout_seconds=120)
        assert "the server stored" in demo.output
        assert "Hello from Pushkeep" in demo.output
        assert read_png(directory / "data" / f"demo-{name}.png")[0] == 1280
        assert demo.running
        os.kill(demo.pid, signal.SIGINT)
        assert await demo.wait(timeout_seconds=60), demo.output
        assert "Traceback" not in demo.output
    finally:
        await demo.stop()
    async with asyncio.timeout(20):
        while _running_below(directory):  # noqa: ASYNC110 - only the kernel knows
            await asyncio.sleep(0.05)
    assert [path.name for path in directory.iterdir() if path.name.startswith("pushkeep-")] == []


def _running_below(directory: Path) -> list[str]:
    """Command lines of processes that name the directory, as every browser started from there does."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in line:
            found.append(line[:200])
    return found
