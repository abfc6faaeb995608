"""A restore that is killed at any step: the database is that before or that after, whole, and a second try ends it.

A child process counts what it does to the file system, and is gone at a step that the test names. All of them together:

    PUSHKEEP_KILLS=1000 pytest tests/cli/test_restore_kills.py --timeout 0
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pushkeep.compose import open_project
from pushkeep.compose.backup import make_backup
from pushkeep.config import load_settings
from pushkeep.domain.ids import AnyId
from pushkeep.pushservice import PushService
from tests.cli.conftest import COMMAND_SECONDS_MAX, Stored
from tests.processes.helpers import new_visitor

KILLS = int(os.environ.get("PUSHKEEP_KILLS", "5"))

# One interpreter for all: each try is a fork of it, which imports nothing anew.
CHILD = """
import asyncio, json, os, sys
from pathlib import Path
from pushkeep.compose.backup import restore_backup
from pushkeep.config import load_settings

STEPS = {"os.link", "os.rename", "os.remove", "os.chmod", "sqlite3.connect", "open", "os.truncate", "fcntl.lockf"}

def attempt(step, home, backup):
    left = [step]
    def count(event, arguments):
        if event in STEPS and str(home) in repr(arguments[:1]) or event == "fcntl.lockf":
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)
    sys.addaudithook(count)
    settings = load_settings(overrides={"data_dir": home}, environ={})
    asyncio.run(restore_backup(settings, backup, lambda *_: None))
    os._exit(0)

for line in sys.stdin:
    step, home, backup = json.loads(line)
    pid = os.fork()
    if pid == 0:
        try:
            attempt(step, Path(home), Path(backup))
        finally:
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Restorer:
    """Restores in a child, up to a step."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def restore(self, step: int, home: Path, backup: Path) -> int:
        """The status of the child: 9 where it was killed, 0 where it came to the end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([step, str(home), str(backup)]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate(timeout=COMMAND_SECONDS_MAX)


def known(home: Path, *short_ids: str) -> list[bool]:
    async def look() -> list[bool]:
        async with open_project(load_settings(overrides={"data_dir": home}, environ={})) as (services, project):
            found = [await services.store.find_subscription(project, AnyId.parse(one)) for one in short_ids]
        return [record is not None for record in found]

    return asyncio.run(look())


@pytest.fixture
async def both(stored: Stored, service: PushService, tmp_path: Path) -> tuple[Path, Path, str, str]:
    """A directory, a backup, who is in both, and who came after the backup."""
    settings = load_settings(overrides={"data_dir": stored.data_dir}, environ={})
    backup = tmp_path / "backup.db"
    await make_backup(settings, backup, lambda phase, done, total: None)
    async with open_project(settings) as (services, project):
        later = (await new_visitor(services, project, service))[1]
    return stored.data_dir, backup, stored.short_id, later


def test_wherever_it_is_killed(both: tuple[Path, Path, str, str], tmp_path: Path) -> None:
    made, backup, always, later = both
    restorer = Restorer()
    try:
        steps = 1
        while restorer.restore(steps, _copy(made, tmp_path / "counted"), backup) == 9:
            steps = steps * 2 if steps < 64 else steps + 32
        seen = set()
        for step in sorted({1 + kill * steps // KILLS for kill in range(KILLS)}):
            home = _copy(made, tmp_path / "home")
            status = restorer.restore(step, home, backup)
            assert status in (0, 9), step
            there, after = known(home, always, later)
            assert there, step
            seen.add((status, after))
            assert restorer.restore(1_000_000, home, backup) == 0, step
            assert known(home, always, later) == [True, False], step
            assert not [path.name for path in home.iterdir() if path.name.startswith(".")], "nothing is left over"
        assert (9, True) in seen
    finally:
        restorer.close()


def _copy(made: Path, home: Path) -> Path:
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(made, home)
    return home
