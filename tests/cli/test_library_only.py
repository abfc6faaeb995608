"""Without the extras: what belongs to the library works, everything else says what to install."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pushkeep.cli.common import EXTRAS

ROOT = Path(__file__).parents[2]
IMPORTED_AS = {"pyjwt": "jwt"}
"""Packages whose import has another name."""


def without_extras(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """The command line in an interpreter that has none of the extras' packages."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({sorted(EXTRAS)!r})); "
        f"sys.argv = {['pushkeep', *arguments]!r}; from pushkeep.cli import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=home,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("serve", "--contact", "mailto:a@example.com"), "server"),
        (("demo",), "server"),
        (("demo", "--offline"), "testing"),
        (("pushservice",), "testing"),
        (("subscriptions", "list"), "server"),
        (("send", "HMV192av"), "server"),
        (("keys", "show"), "server"),
        (("identity", "secret"), "server"),
        (("api-keys", "create", "x"), "server"),
    ],
)
def test_a_command_says_which_extra_it_needs(arguments: tuple[str, ...], extra: str, tmp_path: Path) -> None:
    (tmp_path / ".local/share/pushkeep").mkdir(parents=True)
    (tmp_path / ".local/share/pushkeep/pushkeep.db").touch()
    ran = without_extras(*arguments, home=tmp_path)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (2, 1), ran.stderr
    assert f"pip install 'pushkeep[{extra}]'" in ran.stderr


def test_keys_and_sending_to_a_file_need_nothing_more(tmp_path: Path) -> None:
    assert without_extras("keys", "generate", "--out", "k.pem", home=tmp_path).returncode == 0
    key = json.loads(without_extras("keys", "show", "k.pem", "--json", home=tmp_path).stdout)["application_server_key"]
    subscription = {"endpoint": "https://127.0.0.1:9/x", "keys": {"p256dh": key, "auth": "A" * 22}}
    (tmp_path / "s.json").write_text(json.dumps(subscription))
    sent = without_extras(
        "send", "--subscription", "s.json", "--key", "k.pem", "--contact", "mailto:a@example.com", home=tmp_path
    )
    assert sent.returncode == 6, sent.stderr


def test_the_doctor_looks_at_what_the_library_has(tmp_path: Path) -> None:
    data_dir = tmp_path / ".local/share/pushkeep"
    data_dir.mkdir(parents=True)
    (data_dir / "pushkeep.db").touch(mode=0o600)
    assert without_extras("keys", "generate", "--out", "k.pem", home=tmp_path).returncode == 0
    ran = without_extras(
        "doctor", "--offline", "--key", "k.pem", "--contact", "mailto:a@b.dev", "--json", home=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    found = {item["check"]: item for item in json.loads(ran.stdout)["findings"]}
    assert (found["database"]["level"], found["key_pair"]["level"]) == ("warning", "ok")
    assert "pip install 'pushkeep[server]'" in found["database"]["remedy"]
    assert without_extras("doctor", "explain", "--status", "410", home=tmp_path).returncode == 0


def test_the_table_of_extras_is_the_projects() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in ("server", "testing"):
        packages = {line.partition(">")[0].partition("[")[0].replace("-", "_") for line in extras[extra]}
        named = {IMPORTED_AS.get(package, package) for package in packages}
        assert named == {package for package, where in EXTRAS.items() if where == extra}
