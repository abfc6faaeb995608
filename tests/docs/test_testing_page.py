"""The guide to the pytest plugin is run as it stands, each example as a file of its own.

The one with stock browsers is run by tests/testing/test_visitor.py.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
README = PAGE.parents[1] / "README.md"
EXAMPLES = dict(re.findall(r"<!-- tested: ([a-z-]+) -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
SECONDS_MAX = 170


def run(tmp_path: Path, **files: str) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        (tmp_path / f"test_{name}.py").write_text(text)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS_MAX)


def test_every_example_is_marked() -> None:
    assert PAGE.read_text().count("```python") == len(EXAMPLES)


def test_the_examples_without_a_browser(tmp_path: Path) -> None:
    files = {
        name.replace("-", "_"): text for name, text in EXAMPLES.items() if name not in ("browsers", "without-pytest")
    }
    done = run(tmp_path, **files)
    tests = sum(text.count("def test_") for text in files.values())
    assert done.returncode == 0, done.stdout
    assert f"{tests + 4} passed" in done.stdout, "one of them runs for five vendors"


def test_the_example_without_pytest(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(EXAMPLES["without-pytest"])
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS_MAX
    )
    assert (done.stdout, done.stderr) == ("Hello\n", "")


def test_the_readme_shows_the_same_ten_lines(tmp_path: Path) -> None:
    (shown,) = re.findall(r"<!-- tested: own-sender -->\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert shown == EXAMPLES["ten-lines"]
    assert len([line for line in shown.splitlines() if line]) <= 10


def test_every_fixture_option_and_variable_is_on_the_page() -> None:
    text = PAGE.read_text()
    plugin = (PAGE.parents[1] / "src/pushkeep/testing/plugin.py").read_text()
    live = (PAGE.parents[1] / "src/pushkeep/testing/live.py").read_text()
    fixtures = set(re.findall(r"@pytest\.fixture.*\ndef ([a-z]\w*)\(", plugin))
    assert {"push_service", "faults", "chromium_push"} <= fixtures
    options = set(re.findall(r'"(--push-[a-z-]+|pushkeep_[a-z_]+)"', plugin))
    variables = set(re.findall(r'"([A-Z_]{6,}|no_proxy)"', live))
    missing = [name for name in sorted(fixtures | options | variables) if name not in text]
    assert not missing
