"""Stock browsers as the plugin offers them: the example, the guide and the corner cases.

All in one run of pytest, because each start of both browsers takes half a minute; they end with it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 170


@pytest.mark.browser
def test_stock_browsers_at_the_other_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    shutil.copy(ROOT / "examples/real-browsers/test_browsers.py", tmp_path)
    shutil.copy(ROOT / "tests/testing/visitors.py", tmp_path / "test_visitors.py")
    guide = (ROOT / "docs/testing.md").read_text()
    (shown,) = re.findall(r"<!-- tested: browsers -->\n```python\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "test_guide.py").write_text(shown)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "14 passed" in done.stdout
