"""Files with secrets: they show up complete and for one user alone, or not at all."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from pushkeep.adapters.new_file import written
from pushkeep.errors import InvalidInput, Unavailable
from tests.store.nowhere import assert_nowhere

SECRET = "a private key in the clear"


@pytest.fixture(params=["nameless", "hidden"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """As Linux can, and as other systems and some file systems do."""
    if request.param == "hidden":
        real = os.open

        def refusing(path: str | Path, flags: int, mode: int = 0o777) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(95, "Operation not supported")
            return real(path, flags, mode)

        monkeypatch.setattr(os, "open", refusing)
    return str(request.param)


def test_it_has_its_name_once_it_is_complete(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "export.jsonl"
    with written(target, "unique") as file:
        file.write(SECRET.encode())
        assert not target.exists()
        assert len(list(tmp_path.iterdir())) == (kind == "hidden")
    assert list(tmp_path.iterdir()) == [target]
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode), target.stat().st_nlink) == (SECRET, 0o600, 1)


def test_nothing_is_there_when_it_fails(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in the middle"), written(tmp_path / "export.jsonl", "unique"):
        raise ValueError("in the middle")
    with pytest.raises(Unavailable, match="is the disk full"), written(tmp_path / "export.jsonl", "unique"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_else_put_there_meanwhile_stays(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "export.jsonl"
    with pytest.raises(InvalidInput, match="nothing is overwritten"), written(target, "unique"):
        target.write_text("theirs")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"export.jsonl": "theirs"}
    with pytest.raises(InvalidInput, match="nothing is overwritten"), written(target, "unique"):
        raise AssertionError("not reached")


def test_a_place_that_is_not_there_is_refused(kind: str, tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidInput, match=r"cannot be written \(No such file"),
        written(tmp_path / "no" / "export", "unique"),
    ):
        raise AssertionError("not reached")


def test_nothing_stays_of_a_process_that_is_killed(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with written(tmp_path / "export.jsonl", "unique") as file:
            file.write(SECRET.encode())
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
    assert_nowhere(tmp_path, [SECRET])
