"""The layers hold, and the contract that says so bites."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    # The copy's own package must win over the installed one.
    return subprocess.run(
        [LINT, "--config", str(root / "pyproject.toml"), "--no-cache"],
        cwd=root,
        env={"PYTHONPATH": str(root / "src"), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_layers_hold(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "planted", "contract"),
    [
        ("protocol/ece.py", "import pushkeep.domain.origin_map", "Imports go downwards only"),
        ("web/problems.py", "import pushkeep.adapters.clock", "The web layer knows no technology"),
        ("pushservice/core.py", "import pushkeep.domain.origin_map", "The local push service stands on"),
        ("adapters/http2.py", "import pushkeep.adapters.store", "Adapters are strangers"),
        ("domain/origin_map.py", "import socket", "Protocol and domain do no I/O"),
        ("client/__init__.py", "import msgspec", "The library does not need the server"),
        ("client/__init__.py", "import pushkeep.domain.identity_jwt", "The library does not need JSON Web Tokens"),
    ],
)
def test_a_planted_violation_is_found(copy: Path, module: str, planted: str, contract: str) -> None:
    path = copy / "src" / "pushkeep" / module
    path.write_text(
        path.read_text().replace(
            "from __future__ import annotations\n", f"from __future__ import annotations\n\n{planted}\n", 1
        )
    )
    result = lint(copy)
    assert result.returncode == 1
    assert any(line.startswith(contract) and "BROKEN" in line for line in result.stdout.splitlines()), result.stdout


def test_an_unplaced_module_is_found(copy: Path) -> None:
    (copy / "src" / "pushkeep" / "stray.py").write_text('"""Stray."""\n')
    assert lint(copy).returncode == 1
