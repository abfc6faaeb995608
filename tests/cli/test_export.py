"""``pushkeep export`` and its way back: whole installations move, and nothing half moves."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pushkeep.compose import open_project
from pushkeep.config import load_settings
from pushkeep.protocol.encoding import b64url_encode
from tests.cli.conftest import Cli, Stored
from tests.cli.inside import cli_inside
from tests.cli.standing import standing
from tests.store.nowhere import assert_nowhere


@pytest.fixture
def cli(tmp_path: Path, environment: dict[str, str]) -> Cli:
    """In this process: there are many of them."""
    return cli_inside(environment, tmp_path)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_an_installation_moves_and_goes_on_as_if_nothing_had_happened(
    cli: Cli, stored: Stored, tmp_path: Path
) -> None:
    file, fresh = tmp_path / "export.jsonl", tmp_path / "fresh"
    await cli("contacts", "tag", "ann", "vip", *stored.at)
    assert (await cli("api-keys", "create", "shop", *stored.at)).status == 0
    done = await cli("export", file, *stored.at, "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["records"] == {
        "projects": 1,
        "api_keys": 1,
        "signing_keys": 1,
        "contacts": 1,
        "subscriptions": 1,
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".export*"))
    moved = await cli("import", file, "--data-dir", fresh)
    assert moved.status == 0, moved.err
    (fresh / "pushkeep.toml").write_text((stored.data_dir / "pushkeep.toml").read_text())
    sent = await cli("send", stored.short_id, "--title", "Hello", "--data-dir", fresh)
    assert sent.status == 0, sent.err
    again = await cli("import", file, "--data-dir", fresh)
    assert (again.status, "is not done again" in again.out) == (0, True)
    other = tmp_path / "again.jsonl"
    assert (await cli("export", other, "--data-dir", fresh)).status == 0
    first, second = lines(file), lines(other)
    # The push service has taken a message since.
    touched = ("last_accepted_at", "last_verdict", "last_verdict_at")
    before = [{name: value for name, value in line.items() if name not in touched} for line in first[1:-1]]
    after = [{name: value for name, value in line.items() if name not in touched} for line in second[1:-1]]
    assert before == after


async def test_an_export_without_secrets_has_none(cli: Cli, stored: Stored, tmp_path: Path) -> None:
    file = tmp_path / "out" / "export.jsonl"
    file.parent.mkdir()
    settings = load_settings(overrides={"data_dir": stored.data_dir}, environ={})
    async with open_project(settings) as (services, project):
        key = (await services.store.signing_keys(project))[0].key
        held = await services.store.project_secrets(project)
    done = await cli("export", file, "--without-secrets", *stored.at)
    assert (done.status, done.err) == (0, "")
    given = stored.subscriber.subscription
    secrets: list[str | bytes] = [
        key.to_raw(),
        held.identity,
        held.sync,
        given.auth,
        given.p256dh,
        given.endpoint.url,
        given.endpoint.target.rsplit("/", 1)[1],
    ]
    assert_nowhere(file.parent, secrets)
    assert stored.short_id in file.read_text()
    refused = await cli("import", file, "--data-dir", tmp_path / "fresh")
    assert (refused.status, "--without-secrets" in refused.err) == (2, True)
    assert not (tmp_path / "fresh").exists()


def _changed_line(number: int, change: Callable[[dict[str, object]], None]) -> Callable[[str], str]:
    def changed(text: str) -> str:
        split = text.splitlines()
        fields = json.loads(split[number])
        change(fields)
        split[number] = json.dumps(fields)
        return "\n".join(split) + "\n"

    return changed


def _named(name: str, value: object) -> Callable[[dict[str, object]], None]:
    def change(fields: dict[str, object]) -> None:
        fields[name] = value

    return change


WRONG: dict[str, tuple[Callable[[str], str], str]] = {
    "cut off": (lambda text: text[: len(text) // 2], "cut off"),
    "last line gone": (lambda text: "\n".join(text.splitlines()[:-1]) + "\n", "cut off"),
    "a line gone": (
        lambda text: "\n".join(text.splitlines()[:2] + text.splitlines()[3:]),
        "line 3: signing_key is none",
    ),
    "more behind it": (lambda text: text + "{}\n", "something stands behind the last line"),
    "changed": (lambda text: text.replace('"active"', '"failing"'), "signing_key|is not as it was written"),
    "spaces": (
        lambda text: text.replace('"kind":"subscription"', '"kind": "subscription"'),
        "is not as it was written",
    ),
    "another version": (_changed_line(0, _named("version", 2)), "reads version 1"),
    "another format": (_changed_line(0, _named("format", "ntfy")), "format"),
    "another member": (_changed_line(3, _named("colour", "red")), "line 4: colour is not known"),
    "another kind": (_changed_line(3, _named("kind", "mailbox")), "line 4: kind is none"),
    "a wrong id": (_changed_line(3, _named("short_id", "1")), "line 4: short_id must be"),
    "no time": (_changed_line(3, _named("created_at", "today")), "line 4: created_at must be seconds"),
    "no key": (_changed_line(3, _named("subscription", {"endpoint": "https://x.example/1"})), "line 4: keys must be"),
    "another origin": (_changed_line(3, _named("origin", "https://x.example")), "line 4: origin is not"),
    "no private key": (_changed_line(2, _named("private_key", None)), "line 3: private_key must be there"),
    "another private key": (
        _changed_line(2, _named("private_key", b64url_encode(b"\1" * 32))),
        "does not fit public_key",
    ),
    "deep": (lambda text: text + "[" * 100_000, "behind the last line"),
    "long": (lambda text: text.replace("Default", "D" * 2_000_000), "longer than|is longer"),
    "two projects": (lambda text: text.replace(text.splitlines()[2], text.splitlines()[1]), "the project must stand"),
}


@pytest.fixture
async def file(cli: Cli, stored: Stored, tmp_path: Path) -> Path:
    made = tmp_path / "export.jsonl"
    assert (await cli("export", made, *stored.at)).status == 0
    return made


async def test_a_wrong_file_is_a_sentence_for_each_fault_and_changes_nothing(
    cli: Cli, stored: Stored, tmp_path: Path, file: Path
) -> None:
    text = file.read_text()
    secret = json.loads(text.splitlines()[2])["private_key"]
    before = standing(stored.data_dir)
    for index, (name, (change, says)) in enumerate(WRONG.items()):
        wrong = tmp_path / "wrong.jsonl"
        wrong.write_text(change(text))
        for place in (tmp_path / "fresh",) if index % 5 else (tmp_path / "fresh", stored.data_dir):
            ran = await cli("import", wrong, "--data-dir", place)
            assert ran.status == 2, (name, ran.text)
            assert any(said in ran.err for said in says.split("|")), (name, ran.err)
            assert secret not in ran.err
        assert not (tmp_path / "fresh").exists(), name
    assert standing(stored.data_dir) == before


async def test_what_is_stored_is_not_contradicted(cli: Cli, stored: Stored, tmp_path: Path, file: Path) -> None:
    """An installation that has somebody already takes no other project; its own export is known."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "pushkeep.toml").write_text('contact = "mailto:o@example.com"\n')
    async with open_project(load_settings(overrides={"data_dir": other}, environ={})):
        pass
    assert (await cli("contacts", "tag", "bob", "x", "--data-dir", other)).status == 0
    before = standing(other)
    refused = await cli("import", file, "--data-dir", other)
    assert (refused.status, "has a project of its own already" in refused.err) == (2, True)
    assert standing(other) == before
    known = await cli("import", file, *stored.at)
    assert (known.status, "known here already" in known.out) == (0, True)


async def test_nothing_is_overwritten_by_an_export(cli: Cli, stored: Stored, tmp_path: Path, file: Path) -> None:
    for target, says in ((file, "nothing is overwritten"), (tmp_path / "no" / "x.jsonl", "cannot be written")):
        ran = await cli("export", target, *stored.at)
        assert (ran.status, says in ran.err) == (2, True), ran.err
