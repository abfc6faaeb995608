"""The page on security: its commands run in its order, and its tables are the code's."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pushkeep.compose import open_project
from pushkeep.config import SETTINGS, load_settings
from pushkeep.domain.doctor.secrets import KEY_DAYS_MAX, SIGNING_KEY_DAYS_MAX
from pushkeep.domain.site_url import SiteUrl
from pushkeep.ports.secrets import SecretKind
from pushkeep.web.security_headers import HSTS_SECONDS, common_headers
from tests.docs.running import examples_of, shell
from tests.redaction.allowed import ALLOWED

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/security.md"
TEXT = PAGE.read_text()
EXAMPLES = examples_of(PAGE)
AT = {"PUSHKEEP_CONTACT": "mailto:push@your-shop.dev"}


async def test_the_commands_in_their_order(tmp_path: Path, environment: dict[str, str]) -> None:
    assert sorted(EXAMPLES) == ["begin", "data", "doctor", "finish", "own"]
    data_dir = tmp_path / ".local/share/pushkeep"
    data_dir.mkdir(parents=True, mode=0o700)
    async with open_project(load_settings(overrides={"data_dir": data_dir}, environ=AT)):
        pass
    environment |= AT

    async def run(*names: str, status: int = 0) -> str:
        got, said = await shell("set -e\n" + "\n".join(EXAMPLES[name] for name in names), tmp_path, environment)
        assert got == status, said
        return said

    (tmp_path / "backups").mkdir(mode=0o700)
    (tmp_path / "backups/monday").write_bytes((data_dir / "pushkeep.db").read_bytes())
    (tmp_path / "backups/monday").chmod(0o644)
    assert f"Run: chmod 600 {tmp_path}/backups/monday" in await run("doctor", status=1)
    (tmp_path / "backups/monday").chmod(0o600)

    before = (data_dir / "master.key").read_text()
    said = await run("doctor", "own", "begin")
    assert "0 problems, 0 warnings" in said
    assert before != (data_dir / "master.key").read_text()
    assert (tmp_path / "next.key").stat().st_mode & 0o777 == 0o600
    said = await run("finish", "data")
    assert "The old master key opens nothing any more." in said
    assert said.count("is gone: nothing is made with it any more.") == 2
    environment["PUSHKEEP_MASTER_KEY_COMMAND"] = "cat next.key"
    _, said = await shell("pushkeep secrets status --json", tmp_path, environment)
    assert [key for key in json.loads(said)["keys"] if key.get("retiring_at")] == []


def test_the_page_has_the_kinds_numbers_and_settings_of_the_code() -> None:
    for kind in SecretKind:
        assert f"| {kind.value} key |" in TEXT
    assert (KEY_DAYS_MAX, SIGNING_KEY_DAYS_MAX) == (2 * 365, 3 * 365)
    assert "two years for master, data and lookup key, three for a signing key" in TEXT
    named = {name.lower() for name in re.findall(r"`PUSHKEEP_([A-Z_]+)`", TEXT)}
    named |= set(re.findall(r"`(master_key\w*|tombstone_days|log_addresses|identity_keys_file)`", TEXT))
    assert {"master_key", "master_key_file", "master_key_command", "log_addresses"} <= named
    assert named <= set(SETTINGS)


def test_every_command_that_is_named_is_there() -> None:
    reference = (ROOT / "docs/cli.md").read_text()
    named = set(re.findall(r"`pushkeep ([a-z-]+(?: [a-z][a-z-]+)?)", TEXT))
    assert len(named) >= 10
    assert [name for name in named if f"pushkeep {name}" not in reference] == []


def test_every_header_has_its_row() -> None:
    headers = common_headers(SiteUrl.parse("https://push.your-domain.org", field="public_url"))
    for name, value in headers.items():
        assert f"`{name}`" in TEXT, name
        assert value.partition(";")[0].partition(" '")[0] in TEXT or name == "Strict-Transport-Security", value
    assert HSTS_SECONDS == 365 * 86_400


def test_commands_that_show_a_secret_are_named() -> None:
    for row in ALLOWED:
        if ".py" not in row.command:
            assert f"`{row.command}`" in TEXT, row.command


def test_every_proof_of_the_threat_model_is_there() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", (ROOT / "SECURITY.md").read_text())
    assert len(named) > 15
    assert [name for name in named if not (ROOT / name).exists()] == []
