"""What `make audit` makes of the registry's answers, which are played, and of a network that is not there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools import audit

PLAYED = """
import pathlib, sys
pathlib.Path(sys.argv[sys.argv.index("--output") + 1]).write_text({answer!r})
raise SystemExit({status})
"""
UNREACHED = 'raise SystemExit("requests.exceptions.ConnectionError: no route to https://registry.example")'

CLEAN = {"name": "rich", "version": "15.0.0", "vulns": []}
WEAK = {
    "name": "jinja2",
    "version": "3.1.6",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1.7"], "description": "A template\nleaves its sandbox."}],
}
UNKNOWN = {"name": "ours", "skip_reason": "not found"}


@pytest.fixture
def audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "constraints.txt").write_text("rich==15.0.0\n")

    def run(program: str) -> int:
        (tmp_path / "pip_audit.py").write_text(program)
        return audit.main(tmp_path / "constraints.txt", tmp_path / "stamps" / "audit")

    return run


def played(*packages: object, status: int = 0) -> str:
    return PLAYED.format(answer=json.dumps({"dependencies": packages}), status=status)


def test_a_clean_answer_holds_for_the_day_and_for_these_versions(audited, tmp_path, capsys) -> None:
    assert audited(played(CLEAN)) == 0
    assert "nothing is known about 1 pinned package" in capsys.readouterr().out
    assert audited(UNREACHED) == 0
    assert "nothing was known today" in capsys.readouterr().out
    (tmp_path / "constraints.txt").write_text("rich==15.0.1\n")
    assert audited(played(WEAK, status=1)) == 1


def test_a_weakness_is_named_with_what_to_update_to(audited, capsys) -> None:
    assert audited(played(CLEAN, WEAK, status=1)) == 1
    said = capsys.readouterr().err
    assert said == "audit: jinja2 3.1.6: PYSEC-1, mended in 3.1.7. A template leaves its sandbox.\n"


def test_a_package_the_registry_does_not_know_is_said(audited, capsys) -> None:
    assert audited(played(CLEAN, UNKNOWN)) == 0
    assert "does not know ours" in capsys.readouterr().out
    assert audited(played(CLEAN, WEAK, status=1)) == 1, "it asks again: not all was known"


def test_a_registry_that_knows_nothing_has_not_answered(audited, capsys, monkeypatch) -> None:
    assert audited(played(UNKNOWN)) == 0
    assert "could not be asked (the registry that was asked knows none of the packages)" in capsys.readouterr().err
    monkeypatch.setenv("CI", "true")
    assert audited(played(UNKNOWN)) == 1, "nothing clean was remembered"


@pytest.mark.parametrize(("ci", "status", "consequence"), [("", 0, "run `make audit` again"), ("true", 1, "fails")])
def test_without_a_network_one_sentence_says_so(audited, capsys, monkeypatch, ci, status, consequence) -> None:
    monkeypatch.setenv("CI", ci)
    assert audited(UNREACHED) == status
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "could not be asked (requests.exceptions.ConnectionError)" in said
    assert consequence in said


def test_the_real_tool_is_understood_where_there_is_no_network() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pushkeep.testing.offline", "--", sys.executable, "-m", "tools.audit"],
        cwd=audit.ROOT,
        env={**os.environ, "CI": "true"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1)  # 0 where somebody has asked today
    assert "Traceback" not in done.stderr
    assert "could not be asked" in done.stderr or "nothing was known today" in done.stdout


def test_every_accepted_weakness_has_a_reason() -> None:
    assert all(len(reason) > 20 for reason in audit.ACCEPTED.values())
