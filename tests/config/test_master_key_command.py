"""The master key from a program: its word, nothing of it shown, and no waiting for ever."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from pushkeep.adapters.master_key_command import OUTPUT_BYTES_MAX, run_master_key_command
from pushkeep.config import load_settings
from pushkeep.errors import ConfigurationError
from pushkeep.protocol.encoding import b64url_encode

KEY = bytes(range(32))


def python(code: str) -> str:
    return shlex.join([sys.executable, "-S", "-c", code])


def test_what_it_prints_is_the_key() -> None:
    assert run_master_key_command(f"printf '{b64url_encode(KEY)}\\n'") == KEY


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("/nowhere/at-all", "/nowhere/at-all cannot be started: No such file or directory"),
        ("false", "false ended with status 1"),
        ("true", "true: what it printed"),
        ("printf secret-but-no-key", "printf: what it printed"),
        ("sh -c 'echo secret-of-stderr >&2; exit 3'", "sh ended with status 3"),
        (f"head -c {OUTPUT_BYTES_MAX + 1} /dev/zero", f"printed over {OUTPUT_BYTES_MAX} octets"),
        ("cat /dev/zero", f"printed over {OUTPUT_BYTES_MAX} octets"),
    ],
)
def test_what_goes_wrong_is_one_sentence_without_its_words(command: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        run_master_key_command(command)
    assert sentence in caught.value.message
    assert "secret" not in caught.value.message
    assert caught.value.field == "master_key_command"


@pytest.mark.parametrize("command", ["sleep 60", "sh -c 'sleep 60 & wait'", "sh -c 'exec >&-; sleep 60'"])
def test_one_that_does_not_end_is_killed_with_all_it_started(command: str) -> None:
    with pytest.raises(ConfigurationError, match=r"did not answer within 0\.05 s"):
        run_master_key_command(command, seconds_max=0.05)


def test_there_is_no_shell_and_no_input(tmp_path: Path) -> None:
    made = tmp_path / "made"
    with pytest.raises(ConfigurationError):
        run_master_key_command(f"echo {b64url_encode(KEY)} ; touch {made}")
    assert not made.exists()
    assert run_master_key_command(f"sh -c 'read line; printf {b64url_encode(KEY)}'") == KEY


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("vault read -field=key 'secret/my app'", "vault read -field=key 'secret/my app'"),
        ("  spaced   out ", "spaced out"),
    ],
)
def test_it_is_a_line_in_the_environment(tmp_path: Path, text: str, read: str) -> None:
    environ = {"PUSHKEEP_DATA_DIR": str(tmp_path), "PUSHKEEP_MASTER_KEY_COMMAND": text}
    assert load_settings(environ=environ).master_key_command == read


def test_it_is_a_list_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "pushkeep.toml").write_text('master_key_command = ["pass", "show", "a key"]\n')
    assert load_settings(environ={"PUSHKEEP_DATA_DIR": str(tmp_path)}).master_key_command == "pass show 'a key'"


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("master_key_command = [1]", "must be a list of texts"),
        ("master_key_command = 7", "must be a line of up to"),
        ('master_key_command = "it\'s"', "cannot be read as a command"),
        ('master_key_command = "  "', "names no program"),
        ("master_key_command = []", "names no program"),
    ],
)
def test_what_is_no_command_is_refused(tmp_path: Path, toml: str, sentence: str) -> None:
    (tmp_path / "pushkeep.toml").write_text(toml)
    with pytest.raises(ConfigurationError, match=sentence):
        load_settings(environ={"PUSHKEEP_DATA_DIR": str(tmp_path)})


def test_all_three_at_once_are_too_many(tmp_path: Path) -> None:
    environ = {
        "PUSHKEEP_DATA_DIR": str(tmp_path),
        "PUSHKEEP_MASTER_KEY": b64url_encode(KEY),
        "PUSHKEEP_MASTER_KEY_FILE": "/run/key",
        "PUSHKEEP_MASTER_KEY_COMMAND": "true",
    }
    with pytest.raises(ConfigurationError, match="three times, as PUSHKEEP_MASTER_KEY and PUSHKEEP"):
        load_settings(environ=environ)
