"""The examples of the page about the doctor are run, and say what stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
EXAMPLE = re.compile(r"<!-- tested: ([a-z]+) -->\n```\n(.*?)```\n(.*?)```\n(.*?)```", re.DOTALL)
EXAMPLES = {name: (command, shown) for name, command, _, shown in EXAMPLE.findall(PAGE)}


@pytest.mark.parametrize(("name", "status"), [("doctor", 1), ("explain", 0)])
def test_an_example_says_what_stands_there(name: str, status: int, tmp_path: Path) -> None:
    command, shown = EXAMPLES[name]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": path, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == status, ran.stderr
    assert shown in ran.stdout


def test_every_check_stands_in_the_table() -> None:
    sources = (Path(__file__).parents[2] / "src" / "pushkeep").rglob("doctor*/*.py")
    texts = [path.read_text() for path in sources]
    texts.append((Path(__file__).parents[2] / "src" / "pushkeep" / "cli" / "doctor.py").read_text())
    checks = set(re.findall(r'\b(?:ok|warning|problem)\(\s*"([a-z_]+)"', "".join(texts)))
    checks |= {"site_origin"}
    documented = set(re.findall(r"`([a-z_]+)`", "".join(line for line in PAGE.splitlines() if line.startswith("| `"))))
    assert checks - documented == set()
    assert documented - checks == set()
