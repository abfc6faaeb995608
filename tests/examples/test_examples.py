"""Each example is run as its reader would: copied somewhere, by a pytest of its own.

The one with stock browsers is run by tests/testing/test_visitor.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
NODE_MODULES = ROOT / "tests" / "peers" / "node_modules"
SECONDS_MAX = 170


def run(example: str, tmp_path: Path, *command: str) -> str:
    """Run a command in a copy of the example; returns what it wrote."""
    project = tmp_path / example
    shutil.copytree(EXAMPLES / example, project)
    # Nothing above it is asked for settings, as nothing would be at its reader's.
    (project / "pytest.ini").write_text("[pytest]\n")
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path, "NODE_PATH": str(NODE_MODULES), "CI": "true"}
    done = subprocess.run(
        [sys.executable, *command], cwd=project, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_example_is_run_and_says_what_it_is() -> None:
    examples = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert examples == {"test-your-sender", "django", "any-language", "real-browsers", "without-pytest"}
    page = (EXAMPLES / "README.md").read_text()
    assert all(f"]({name})" in page and (EXAMPLES / name / "README.md").is_file() for name in examples)


def test_a_sender_and_its_tests(tmp_path: Path) -> None:
    assert "14 passed" in run("test-your-sender", tmp_path, "-m", "pytest")


def shop_with(contact: str, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of the shop with another contact, as the example's page invites its reader to try."""
    project = tmp_path / "test-your-sender"
    shutil.copytree(EXAMPLES / "test-your-sender", project)
    sender = project / "shop.py"
    sender.write_text(sender.read_text().replace('"mailto:you@your-domain.org"', f'"{contact}"'))
    (project / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", *options]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=SECONDS_MAX)


def test_a_mistake_in_the_sender_is_told_by_the_push_service(tmp_path: Path) -> None:
    done = shop_with("mailto:shop@localhost", tmp_path, "-k", "whatever_the_browser and apple")
    assert done.returncode == 1
    assert "403 from apple: BadJwtToken" in done.stdout
    assert "`sub` must be a mailto: or https: address" in done.stdout


def test_the_strict_service_has_one_thing_to_say_about_the_shop(tmp_path: Path) -> None:
    done = shop_with("mailto:you@your-domain.org", tmp_path / "as-it-is", "--push-strict")
    assert done.returncode == 1
    assert set(re.findall(r"strict: (\w+):", done.stdout)) == {"sub_placeholder"}
    assert "14 passed" in shop_with("mailto:shop@my-site.org", tmp_path / "mended", "--push-strict").stdout


def test_a_django_site(tmp_path: Path) -> None:
    assert "3 passed" in run("django", tmp_path, "-m", "pytest")


def test_a_sender_in_another_language(tmp_path: Path) -> None:
    assert "2 passed" in run("any-language", tmp_path, "-m", "pytest")


def test_without_pytest(tmp_path: Path) -> None:
    out = run("without-pytest", tmp_path, "check.py")
    shown = (EXAMPLES / "without-pytest" / "README.md").read_text().split("```\n")[3]
    assert [line.rstrip() for line in out.splitlines()] == [line.rstrip() for line in shown.splitlines()]
