"""``pushkeep import``: a site moves in with its subscribers, and nothing changes where a file is wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pushkeep.cli import main
from pushkeep.protocol.signing_key import SigningKey
from tests.cli.conftest import PUSHKEEP, Cli, Stored
from tests.formats.samples import as_csv, as_lines, laravel_row
from tests.processes.helpers import stopped, until

KILLED_ROWS = 1500
KILLS = int(os.environ.get("PUSHKEEP_IMPORT_KILLS", "1"))
"""How often an import is killed; a series of hundreds is run by hand."""


def env_of(key: SigningKey) -> str:
    return f"APP_NAME=Shop\nVAPID_PUBLIC_KEY={key.public_b64}\nVAPID_PRIVATE_KEY={key.to_raw()}\n"


def contents(directory: Path) -> dict[str, str]:
    """Every row of the database and every other file."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.name.startswith("pushkeep.db"):
            found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    with sqlite3.connect(f"file:{directory / 'pushkeep.db'}?mode=ro", uri=True) as database:
        found["pushkeep.db"] = hashlib.sha256("".join(database.iterdump()).encode()).hexdigest()
    database.close()
    return found


GOOD = as_csv([laravel_row()])
OTHER = SigningKey.generate()
WRONG: dict[str, tuple[Sequence[str], str]] = {
    "no file": (["nothing.csv"], "cannot read nothing.csv: No such file or directory."),
    "a directory": (["."], ". is no regular file; it is read twice."),
    "input": (["-"], "the file is read twice, so it cannot come from standard input; name a file."),
    "no key": (["good.csv"], "vapid is missing: give the file with the private VAPID key"),
    "no such key": (["good.csv", "--vapid", "nothing"], "vapid: cannot read nothing: No such file or directory."),
    "no key in it": (["good.csv", "--vapid", "good.csv"], "vapid: key is none of PEM, DER, JWK and base64url"),
    "a public key": (["good.csv", "--vapid", "public"], "vapid: key is a public key"),
    "a pair that is none": (["good.csv", "--vapid", "mixed"], "vapid: key's private and public halves"),
    "another format": (["good.csv", "--format", "pywebpush", "--vapid", ".env"], "does not look like pywebpush"),
    "not ours": (["good.csv", "--format", "pushkeep"], "line 1: "),
    "a zip": (["good.zip", "--vapid", ".env"], "the file is a zip archive; unpack it first."),
    "a wrong row": (["wrong.csv", "--vapid", ".env"], "line 3: auth_token has a character that is not base64."),
    "no such column": (["good.csv", "--vapid", ".env", "--owner-column", "user"], "no record has the column user;"),
    "no column": (["good.csv", "--vapid", ".env", "--owner-column", ","], "owner-column must be 1 to 4 names"),
    "no condition": (["good.csv", "--vapid", ".env", "--where", "id"], "where must be COLUMN=VALUE."),
    "no purpose": (["good.csv", "--vapid", ".env", "--wording", "0" * 64], "wording needs a purpose"),
    "an unknown purpose": (["good.csv", "--vapid", ".env", "--purpose", "news"], "There is no purpose news;"),
    "no digest": (["good.csv", "--vapid", ".env", "--purpose", "a", "--wording", "1"], "wording must be the 64"),
}


def test_each_wrong_file_and_wish_gets_its_sentence_and_nothing_changes(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.csv").write_text(GOOD)
    (tmp_path / "good.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    (tmp_path / "wrong.csv").write_text(as_csv([laravel_row(), laravel_row("two", auth_token="?")]))
    (tmp_path / ".env").write_text(env_of(OTHER))
    (tmp_path / "public").write_text(OTHER.public_b64)
    (tmp_path / "mixed").write_text(env_of(OTHER).replace(OTHER.public_b64, SigningKey.generate().public_b64))
    monkeypatch.chdir(tmp_path)
    before = contents(stored.data_dir)
    for name, (arguments, words) in WRONG.items():
        monkeypatch.setattr(sys, "argv", ["pushkeep", "import", *arguments, *map(str, stored.at)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert (ended.value.code, said.out) == (2, ""), (name, said)
        assert words in said.err, (name, said.err)
        assert OTHER.to_raw() not in said.err
    assert contents(stored.data_dir) == before


def test_errors_and_figures_for_programs(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ran(*more: str) -> tuple[object, dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["pushkeep", *asked, *more])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, json.loads(capsys.readouterr().out)

    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(env_of(OTHER))
    (tmp_path / "lines").write_text(as_lines([laravel_row(), laravel_row("two", public_key=None, extra=1)]))
    asked = ("import", "lines", "--vapid", ".env", "--json", *map(str, stored.at))
    status, said = ran()
    assert (status, said["imported"], said["errors_count"]) == (2, False, 1)
    (error,) = said["errors"]
    assert error == {
        "line": 2,
        "record": 2,
        "field": "public_key",
        "message": "public_key is empty; what has no public_key cannot be sent to.",
    }
    status, rest = ran("--skip-bad")
    assert status == 0
    assert (rest["imported"], rest["counts"], rest["left_out"]) == (
        True,
        {"contacts": 1, "subscriptions": 1},
        {"wrong": 1},
    )
    assert rest["unused_columns"] == ["extra"]


def position(database: Path) -> int:
    """How far the latest import is."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        row = connection.execute("SELECT position FROM imports ORDER BY id DESC LIMIT 1").fetchone()
    connection.close()
    return 0 if row is None else int(row[0])


def behind(database: Path, wanted: int, process: asyncio.subprocess.Process) -> bool:
    """Whether it has come so far, or has ended."""
    return position(database) > wanted or process.returncode is not None


async def test_killed_at_random_points_it_comes_to_its_end(
    stored: Stored, tmp_path: Path, cli: Cli, environment: dict[str, str]
) -> None:
    (tmp_path / ".env").write_text(env_of(OTHER))
    (tmp_path / "table.csv").write_text(
        as_csv([laravel_row(f"s{number}", subscribable_id=number // 2) for number in range(KILLED_ROWS)])
    )
    asked = ("import", "table.csv", "--vapid", ".env", *map(str, stored.at))
    database, drawn = stored.data_dir / "pushkeep.db", random.SystemRandom()
    for _ in range(KILLS):
        process = await asyncio.create_subprocess_exec(
            PUSHKEEP, *asked, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL
        )
        at = position(database)
        wanted = at + drawn.randrange(max(1, (KILLED_ROWS - at) // 2))
        try:
            await until(partial(behind, database, wanted, process))
        finally:
            await stopped(process)
    last = await cli(*asked, "--json")
    assert last.status == 0, last.text
    said = json.loads(last.out)
    assert said["counts"] == {"contacts": KILLED_ROWS // 2, "subscriptions": KILLED_ROWS}
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        (count, distinct, lives) = connection.execute(
            "SELECT count(*), count(DISTINCT endpoint_hash), (SELECT count(*) FROM lifecycle) FROM subscriptions"
        ).fetchone()
    connection.close()
    assert (count, distinct, lives) == (KILLED_ROWS + 1, KILLED_ROWS + 1, KILLED_ROWS + 1)
