"""Runs the Node scripts beside this file: JSON in, JSON out, within a time limit."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = HERE / "node"
SECONDS_MAX = 60
"""A script takes a quarter of a second; the rest is for a machine that does something else."""

Result = dict[str, object]


def node() -> str:
    """The program; fails with what to do when it or the packages are missing."""
    found = shutil.which("node")
    assert found, "Node is missing. Run: make .stamps/peers"
    assert (HERE / "node_modules" / "web-push").is_dir(), "The Node peers are missing. Run: make .stamps/peers"
    return found


def _environment(ca_file: Path | None) -> dict[str, str]:
    """Nothing of ours but the path: no proxy and no options of Node."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | ({"NODE_EXTRA_CA_CERTS": str(ca_file)} if ca_file else {})


async def run(script: str, jobs: Sequence[Mapping[str, object]], *, ca_file: Path | None = None) -> list[Result]:
    """Give a script its jobs and return their results."""
    process = await asyncio.create_subprocess_exec(
        node(),
        SCRIPTS / script,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(ca_file),
    )
    try:
        async with asyncio.timeout(SECONDS_MAX):
            out, err = await process.communicate(json.dumps(jobs).encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, err.decode()
    results: list[Result] = json.loads(out)
    assert len(results) == len(jobs)
    return results


@asynccontextmanager
async def started_testing_server() -> AsyncIterator[str]:
    """npm web-push-testing's server; the base of its URLs."""
    process = await asyncio.create_subprocess_exec(
        node(),
        SCRIPTS / "testing_server.cjs",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(None),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while not (line := (await process.stdout.readline()).decode()).startswith("port="):
                assert line, "web-push-testing ended at its start"
        yield f"http://localhost:{line.removeprefix('port=').strip()}"
    finally:
        process.stdin.close()  # it ends when its input does
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
