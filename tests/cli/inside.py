"""The command line within this process: a process of its own costs each command half a second of imports."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
from pathlib import Path
from unittest import mock

from pushkeep.cli import main
from tests.cli.conftest import Cli, Ran


def run_inside(environment: dict[str, str], directory: Path, *arguments: str | Path, stdin: bytes = b"") -> Ran:
    """Run a command to its end as :func:`tests.cli.conftest.cli` does, from a test that has no event loop."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    status = 0
    with (
        contextlib.chdir(directory),
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(sys, "argv", ["pushkeep", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8")),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        said = []
        for stream in (out, err):
            stream.flush()
            assert isinstance(stream.buffer, io.BytesIO)
            said.append(stream.buffer.getvalue().decode())
    return Ran(status, *said)


def cli_inside(environment: dict[str, str], directory: Path) -> Cli:
    """:func:`tests.cli.conftest.cli`, in this process."""

    async def run(*arguments: str | Path, stdin: bytes = b"", **extra: str) -> Ran:
        return await asyncio.to_thread(run_inside, environment | extra, directory, *arguments, stdin=stdin)

    return run
