"""Examples of a page, and a shell and a server to run them in."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.cli.conftest import COMMAND_SECONDS_MAX

_MARKED = re.compile(r"<!-- tested: ([a-z-]+) -->\n```(?:[a-z]*)\n(.*?)```", re.DOTALL)


def examples_of(page: Path) -> dict[str, str]:
    """What is marked as run, by name."""
    return dict(_MARKED.findall(page.read_text()))


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """Wait for it; its status, and what it said."""
    try:
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode()


async def shell(text: str, cwd: Path, environment: dict[str, str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", text, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return await ended(process)


async def python(text: str, cwd: Path, environment: dict[str, str]) -> str:
    (cwd / "example.py").write_text(text)
    status, out = await shell(f"{sys.executable} example.py", cwd, environment)
    assert status == 0, out
    return out


@asynccontextmanager
async def serving(command: str, cwd: Path, environment: dict[str, str]) -> AsyncIterator[str]:
    """The server of an example, on a free port, and its URL."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"exec {command.strip()} --port 0",
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            line = (await process.stdout.readline()).decode()
        yield line.split()[-1]
    finally:
        process.terminate()
        async with asyncio.timeout(COMMAND_SECONDS_MAX):
            await process.wait()
