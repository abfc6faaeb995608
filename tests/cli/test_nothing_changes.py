"""Each wrong file, key, id and password of every command that can change secrets, consent, people or whole databases:
one sentence, the exit status, and nothing changed, in the data directory or beside it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pushkeep.compose import open_project
from pushkeep.config import load_settings
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.signing_key import SigningKey
from tests.cli.inside import run_inside
from tests.cli.standing import standing
from tests.processes.helpers import clean_environment
from tests.store.samples import subscription

CONTACT = "mailto:push@example.com"
USAGE, FAILED = 2, 1
NO_FILES_OF_OURS = ("no-such", "empty", "noise", "text", "a-list.json", "deep.json")


@dataclass(frozen=True)
class House:
    """An installation in ``home / data`` and files beside it."""

    home: Path
    environment: dict[str, str]

    @property
    def data(self) -> Path:
        return self.home / "data"

    def __truediv__(self, name: str) -> Path:
        return self.home / name

    def run(self, *arguments: str | Path, **extra: str) -> tuple[int, str, str]:
        ran = run_inside(self.environment | extra, self.home, *arguments)
        return ran.status, ran.out, ran.err


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    home = tmp_path_factory.mktemp("house")
    data = home / "data"
    data.mkdir(mode=0o700)
    (data / "pushkeep.toml").write_text(f'contact = "{CONTACT}"\n')
    house = House(home, clean_environment(home) | {"PUSHKEEP_DATA_DIR": str(data)})
    asyncio.run(_as_a_first_start_does(data))
    key = SigningKey.generate()
    (home / "vapid.pem").write_text(key.to_pem())
    (home / "other.pem").write_text(SigningKey.generate().to_pem())
    shutil.copyfile(home / "vapid.pem", home / "public.pem")
    (home / "public.pem").write_text(key.public_b64)
    lines = [{**subscription(f"s{number}").to_dict(), "user_id": f"user-{number}"} for number in range(3)]
    (home / "good.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for command in (
        ("purposes", "set", "offers", "--description", "Offers"),
        ("purposes", "word", "offers", "--locale", "en", "--version", "1", "--text", "May we?"),
        ("import", home / "good.jsonl", "--vapid", home / "vapid.pem", "--owner-column", "user_id"),
        ("consents", "say", "offers", "--contact", "user-1"),
        ("consents", "seal"),
        ("consents", "export", home / "consents.jsonl"),
        ("backup", home / "backup.db"),
        ("export", home / "everything.jsonl"),
    ):
        status, _, err = house.run(*command)
        assert status == 0, (command, err)
    _make_wrong_files(house)
    return house


async def _as_a_first_start_does(data: Path) -> None:
    async with open_project(load_settings(overrides={"data_dir": data}, environ={})):
        pass


def _make_wrong_files(house: House) -> None:
    (house / "empty").write_bytes(b"")
    (house / "noise").write_bytes(bytes(range(256)) * 40)
    (house / "text").write_text("hello\n")
    (house / "a-list.json").write_text("[1, 2, 3]")
    (house / "deep.json").write_text("[" * 100_000)
    (house / "wide.csv").write_text("endpoint,endpoint,p256dh,auth\na,b,c,d\n")
    (house / "short.key").write_text(b64url_encode(bytes(16)))
    (house / "wrong.key").write_text(b64url_encode(bytes(32)))
    for name in ("short.key", "wrong.key", "text", "noise"):
        (house / name).chmod(0o600)
    (house / "open.key").write_text("22" * 32)
    (house / "open.key").chmod(0o644)
    (house / "cut.jsonl").write_bytes((house / "everything.jsonl").read_bytes()[:-80])
    _changed(house / "everything.jsonl", house / "changed.jsonl", "user-1", "user-9")
    _changed(house / "consents.jsonl", house / "changed-consents.jsonl", '"given":true', '"given":false')
    (house / "cut-consents.jsonl").write_bytes((house / "consents.jsonl").read_bytes()[:-40])
    good = (house / "good.jsonl").read_text().splitlines()
    (house / "second-bad.jsonl").write_text("\n".join([good[0], good[1].replace("https://", "http://"), good[2]]))
    backup = (house / "backup.db").read_bytes()
    (house / "cut.db").write_bytes(backup[: len(backup) // 2])
    shutil.copyfile(house / "backup.db", house / "spoiled.db")
    with closing(sqlite3.connect(house / "spoiled.db", isolation_level=None)) as connection:
        connection.execute("UPDATE subscriptions SET sealed = zeroblob(length(sealed)) WHERE id = 1")
    with closing(sqlite3.connect(house / "strange.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")


def _changed(source: Path, target: Path, old: str, new: str) -> None:
    text = source.read_text()
    assert old in text or old.replace(":", ": ") in text, f"{source.name} has no {old}"
    target.write_text(text.replace(old, new).replace(old.replace(":", ": "), new.replace(":", ": ")))


@dataclass(frozen=True)
class Wrong:
    """A command that is refused.

    Attributes:
        arguments: ``@name`` is a file of the house.
        says: part of the one sentence.
        status: exit status.
        environment: settings.
    """

    arguments: str
    says: str
    status: int = USAGE
    environment: dict[str, str] = field(default_factory=dict)


HEAD = "0" * 64
KEY, FILE = "PUSHKEEP_MASTER_KEY", "PUSHKEEP_MASTER_KEY_FILE"
WRONG_KEY = {FILE: "@wrong.key"}
IMPORT = "import {} --vapid @vapid.pem"
CASES = [
    # Master keys: every command that opens the database says the same.
    *(
        Wrong(f"{command}", "The master key (id ", environment=WRONG_KEY)
        for command in (
            "secrets status",
            "secrets rotate-data",
            "secrets rotate-lookup",
            "secrets reseal",
            "purposes list",
            "consents list",
            "consents seal",
            "consents verify",
            "contacts export user-1",
            "contacts erase user-1",
            "backup @new.db",
            "backup verify @backup.db",
            "restore @backup.db",
            "export @new.jsonl",
            IMPORT.format("@good.jsonl"),
        )
    ),
    Wrong("secrets status", "no-such.key does not exist", environment={FILE: "@no-such.key"}),
    Wrong("secrets status", "other users can read or change it", environment={FILE: "@open.key"}),
    Wrong("secrets status", "32 octets", environment={FILE: "@short.key"}),
    Wrong("secrets status", "not base64", environment={FILE: "@noise"}),
    Wrong("secrets status", "PUSHKEEP_MASTER_KEY_FILE", environment={**WRONG_KEY, KEY: b64url_encode(bytes(32))}),
    Wrong("secrets status", "PUSHKEEP_MASTER_KEY must be 32 octets", environment={KEY: "secret"}),
    Wrong("secrets rotate-master --cancel", "not being changed"),
    Wrong("secrets rotate-master --finish --cancel", "--cancel"),
    # Purposes and wordings.
    Wrong("purposes set Offers! --description x", "purpose must be 1 to 40 characters"),
    Wrong("purposes set offers --description x --basis hope", "basis must be one of consent, contract"),
    Wrong("purposes word offers --locale en --version 1 --text Other", "another text"),
    Wrong("purposes word nothing --locale en --version 1 --text x", "offers"),
    Wrong("purposes word offers --locale e --version 2 --text x", "language tag"),
    Wrong("purposes word offers --locale en --version 2 --text @@no-such", "text: cannot read"),
    Wrong("purposes wordings nothing", "offers"),
    # Words.
    Wrong("consents say nothing --contact user-1", "offers"),
    Wrong("consents say offers", "--contact"),
    Wrong("consents say offers --contact user-1 --subscriber ABCDEFGH", "not both"),
    Wrong("consents say offers --subscriber ABCDEFGH", "ubscription"),
    Wrong(f"consents say offers --contact user-1 --wording {HEAD}", "wording"),
    Wrong("consents say offers --contact user-1 --wording xyz", "64 hexadecimal digits"),
    Wrong("consents say offers --contact user-1 --at tomorrow", "RFC 3339"),
    Wrong("consents verify --head 12", "head"),
    Wrong(f"consents verify --head 1:{HEAD}", "seal 1", FAILED),
    Wrong(f"consents verify --head 99:{HEAD}", "99", FAILED),
    *(
        Wrong(f"consents verify @{name}", "")
        for name in ("no-such", "empty", "noise", "text", "a-list.json", "deep.json")
    ),
    Wrong("consents verify @changed-consents.jsonl", "Record 1", FAILED),
    Wrong("consents verify @cut-consents.jsonl", "Line 5 is no JSON object"),
    Wrong("consents export @backup.db", "backup.db"),
    Wrong("consents export @no/such/directory.jsonl", "directory"),
    Wrong("notify --all --title x --purpose nothing", "offers"),
    # People.
    Wrong("contacts export nobody", "no contact of this external_id"),
    Wrong("contacts erase " + "x" * 201, "200 characters"),
    Wrong("subscriptions erase no-id", "id"),
    # Moving in and out.
    *(
        Wrong(IMPORT.format(f"@{name}"), "")
        for name in ("no-such", "empty", "noise", "text", "a-list.json", "deep.json")
    ),
    Wrong(IMPORT.format("@wide.csv"), "endpoint"),
    Wrong(IMPORT.format("@second-bad.jsonl"), "line 2"),
    Wrong("import @good.jsonl", "vapid is missing"),
    Wrong("import @good.jsonl --vapid @no-such.pem", "no-such.pem"),
    Wrong("import @good.jsonl --vapid @text", "PEM"),
    Wrong("import @good.jsonl --vapid @public.pem", "private"),
    Wrong("import @good.jsonl --vapid @vapid.pem --owner-column nothing", "nothing"),
    Wrong("import @good.jsonl --vapid @vapid.pem --format strange", "strange"),
    Wrong("import @good.jsonl --vapid @vapid.pem --purpose nothing", "offers"),
    Wrong(f"import @good.jsonl --vapid @vapid.pem --purpose offers --wording {HEAD}", "wording"),
    Wrong("import @everything.jsonl --dry-run --data-dir @no-such", "without --dry-run the import makes a new"),
    Wrong("doctor --offline --backups @no-such", "does not exist"),
    Wrong("import @cut.jsonl", ""),
    Wrong("import @changed.jsonl", ""),
    Wrong("import @backup.db --vapid @vapid.pem", ""),
    Wrong("import @data --vapid @vapid.pem", ""),
    Wrong("export @good.jsonl", "good.jsonl"),
    Wrong("export @no/such/directory.jsonl", "directory"),
    # Backups.
    Wrong("backup @good.jsonl", "good.jsonl"),
    Wrong("backup @data/pushkeep.db", "pushkeep.db"),
    Wrong("backup @no/such/directory.db", "directory"),
    *(
        Wrong(f"{command} @{name}", f"{name} ")
        for command in ("backup verify", "restore")
        for name in ("no-such", "empty", "noise", "text", "cut.db", "spoiled.db", "strange.db", "data")
    ),
]


@pytest.mark.parametrize("wrong", CASES, ids=lambda wrong: " ".join([wrong.arguments[:70], *wrong.environment]))
def test_it_is_refused_in_one_sentence_and_nothing_changes(house: House, wrong: Wrong) -> None:
    before = standing(house.home)
    status, out, err = house.run(
        *(_named(house, word) for word in wrong.arguments.split()),
        **{name: _named(house, value) for name, value in wrong.environment.items()},
    )
    said = f"{out}{err}".strip()
    assert status == wrong.status, said
    assert wrong.says in said
    assert "Traceback" not in said
    assert len(err.strip().splitlines()) <= 6, err  # the parser of arguments draws a box around its sentence
    after = standing(house.home)
    assert after.keys() == before.keys(), "a file was made or removed"
    assert [name for name in before if after[name] != before[name]] == []


def _named(house: House, word: str) -> str:
    if word.startswith("@@"):
        return f"@{house / word[2:]}"
    return str(house / word[1:]) if word.startswith("@") else word


def test_a_good_one_of_each_is_not_refused(house: House, tmp_path: Path) -> None:
    """Or the table would prove nothing."""
    for command in (
        ("secrets", "status"),
        ("consents", "verify"),
        ("consents", "verify", house / "consents.jsonl"),
        ("backup", "verify", house / "backup.db"),
        ("contacts", "export", "user-1"),
        ("import", house / "good.jsonl", "--vapid", house / "vapid.pem", "--owner-column", "user_id", "--dry-run"),
        ("import", house / "everything.jsonl", "--dry-run"),
        ("export", tmp_path / "new.jsonl"),
    ):
        status, out, err = house.run(*command)
        assert status == 0, (command, out, err)
