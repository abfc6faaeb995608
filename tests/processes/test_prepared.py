"""A prepared ``pushkeep`` is the one that users start: what it says, where, and how it ends."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.processes.helpers import clean_environment
from tests.processes.prepared import PUSHKEEP, prepared

SECONDS_MAX = 60


def ran(program: str | Path, directory: Path, *words: str) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [program, *words],
        cwd=directory,
        env=clean_environment(directory) | {"PUSHKEEP_LOG_LEVEL": "nonsense"},
        input=b"no key",
        capture_output=True,
        timeout=SECONDS_MAX,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, ("secrets", "--help")),
        (2, ("keys", "convert", "-", "--to", "jwk", "--out", "made")),
        (2, ("status", "--json", "--data-dir", "none")),
        (2, (os.fsdecode(b"\xff\xfe"),)),
    ],
)
def test_it_does_as_the_started_one_does(tmp_path: Path, status: int, words: tuple[str, ...]) -> None:
    found = ran(prepared() / "pushkeep", tmp_path, *words)
    assert found == ran(PUSHKEEP, tmp_path, *words)
    assert found[0] == status
