"""``pushkeep secrets``: what an operator does with the keys."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from pushkeep.protocol.encoding import b64url_encode
from tests.cli.conftest import Cli, Stored
from tests.cli.inside import cli_inside


@pytest.fixture
def cli(tmp_path: Path, environment: dict[str, str]) -> Cli:
    """In this process: there are many of them."""
    return cli_inside(environment, tmp_path)


async def status(cli: Cli, stored: Stored, **extra: str) -> dict[str, Any]:
    ran = await cli("secrets", "status", "--json", *stored.at, **extra)
    assert ran.status == 0, ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


async def test_the_master_key_that_pushkeep_made_is_exchanged_by_one_command(cli: Cli, stored: Stored) -> None:
    directory = stored.data_dir
    file = directory / "master.key"
    old, before = file.read_text(), await status(cli, stored)
    assert before["master_key"]["source"] == "own_file"
    ran = await cli("secrets", "rotate-master", *stored.at)
    assert ran.status == 0, ran.err
    kept = directory / f"master.key.old-{before['master_key']['id']}"
    assert str(kept) in ran.out
    assert kept.read_text() == old
    assert (file.read_text() == old, stat.S_IMODE(file.stat().st_mode)) == (False, 0o600)
    assert not (directory / "master.key.next").exists()
    after = await status(cli, stored)
    assert after["master_key"]["id"] != before["master_key"]["id"]
    assert (after["master_key"]["next_id"], after["keys"]) == (None, before["keys"])
    assert old.strip() not in ran.text
    refused = await cli("secrets", "status", *stored.at, PUSHKEEP_MASTER_KEY=old.strip())
    assert (refused.status, "is not the one this database was made with" in refused.err) == (2, True)
    sent = await cli("send", stored.short_id, "--title", "Hello", *stored.at)
    assert sent.status == 0, sent.err


async def test_a_master_key_of_the_operator_is_changed_in_steps(cli: Cli, stored: Stored, tmp_path: Path) -> None:
    file = stored.data_dir / "master.key"
    old, following = {"PUSHKEEP_MASTER_KEY": file.read_text().strip()}, tmp_path / "next.key"
    refused = await cli("secrets", "rotate-master", *stored.at, **old)
    assert (refused.status, "--new-key-file FILE" in refused.err) == (2, True)
    ran = await cli("secrets", "rotate-master", "--new-key-file", following, *stored.at, **old)
    assert (ran.status, "--finish" in ran.out) == (0, True), ran.err
    assert following.read_text().strip() not in ran.text
    early = await cli("secrets", "rotate-master", "--finish", *stored.at, **old)
    assert (early.status, "old master key" in early.err) == (2, True)
    new = {"PUSHKEEP_MASTER_KEY_COMMAND": f"cat '{following}'"}
    assert (await status(cli, stored, **new))["master_key"]["source"] == "command"
    shown = await cli("secrets", "status", *stored.at, **new)
    assert "The old master key still opens the database" in shown.out
    done = await cli("secrets", "rotate-master", "--finish", *stored.at, **new)
    assert (done.status, "opens nothing any more" in done.out) == (0, True)
    assert (await cli("secrets", "status", *stored.at, **old)).status == 2


async def test_data_and_lookup_key_are_changed(cli: Cli, stored: Stored) -> None:
    before = {key["kind"]: key["key_id"] for key in (await status(cli, stored))["keys"]}
    ran = await cli("secrets", "rotate-data", *stored.at)
    assert (ran.status, f"Key {before['data']} is gone" in ran.out) == (0, True), ran.text
    ran = await cli("secrets", "rotate-lookup", "--background", *stored.at)
    assert (ran.status, "The server makes the rest anew" in ran.out) == (0, True), ran.text
    shown = await cli("secrets", "status", *stored.at)
    assert f"lookup key {before['lookup']}: 0 of 1 rows looked at" in shown.out
    again = await cli("secrets", "rotate-lookup", *stored.at)
    assert (again.status, "still on its way out" in again.err) == (2, True)
    ran = await cli("secrets", "reseal", "--json", *stored.at)
    assert json.loads(ran.out)["removed"] == [before["lookup"]]
    sent = await cli("send", stored.short_id, "--title", "Hello", *stored.at)
    assert sent.status == 0, sent.err


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        ({"PUSHKEEP_MASTER_KEY": "short"}, "PUSHKEEP_MASTER_KEY has an impossible"),
        ({"PUSHKEEP_MASTER_KEY": b64url_encode(bytes(32))}, "is not the one this database was made with"),
        ({"PUSHKEEP_MASTER_KEY": b64url_encode(bytes(32)), "PUSHKEEP_MASTER_KEY_COMMAND": "true"}, "given twice"),
        ({"PUSHKEEP_MASTER_KEY_COMMAND": "false"}, "ended with status 1"),
    ],
)
async def test_a_wrong_master_key_is_one_sentence_and_changes_nothing(
    cli: Cli, stored: Stored, extra: dict[str, str], sentence: str
) -> None:
    before = (stored.data_dir / "master.key").read_bytes()
    ran = await cli("secrets", "rotate-data", *stored.at, **extra)
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1), ran.text
    assert sentence in ran.err
    assert (stored.data_dir / "master.key").read_bytes() == before
    assert not [key for key in (await status(cli, stored))["keys"] if key["retiring_at"]]
