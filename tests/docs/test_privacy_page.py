"""The page on privacy: its commands do what it says, and its table has everything that the database has."""

from __future__ import annotations

import json
import re
import stat
import tomllib
from pathlib import Path

from pushkeep.adapters.store.tables import metadata
from pushkeep.app.contacts import put_contact
from pushkeep.app.context import Services
from pushkeep.app.projects import create_api_key, current_signing_key
from pushkeep.app.retention import RETENTION
from pushkeep.app.subscribe import RegistrationRequest, register
from pushkeep.compose import open_project
from pushkeep.config import load_settings
from pushkeep.config.table import default_of
from pushkeep.domain.lifecycle import By
from pushkeep.domain.project import Project
from pushkeep.domain.sending import SMALL_RECIPIENTS_MAX
from pushkeep.pushservice import PushService
from pushkeep.web.openapi_privacy import PRIVACY_OPERATIONS
from tests.docs.running import examples_of, serving, shell
from tests.processes.helpers import new_visitor

PAGE = Path(__file__).parents[2] / "docs/privacy.md"
TEXT = PAGE.read_text()
EXAMPLES = examples_of(PAGE)
DAYS = ("notification_days", "outcome_days", "consent_days", "tombstone_days")
SERVE = "pushkeep serve --contact mailto:push@example.org --workers 0"


def test_every_example_is_run() -> None:
    assert sorted(EXAMPLES) == ["addresses", "erase", "erase-subscription", "export", "list", "settings"]


def test_the_page_names_every_table_of_the_database() -> None:
    named = set(re.findall(r"`([a-z_]+)`", TEXT))
    assert metadata.tables.keys() - named == set()


def test_the_page_has_the_routes_times_and_numbers_of_the_code() -> None:
    for operation in PRIVACY_OPERATIONS:
        path = operation.path.replace("{external_id}", "user-17")
        assert f"{operation.method} {path}" in TEXT or f"$PUSHKEEP_URL{path}" in TEXT
    for name in DAYS:
        assert f"`{name}` ({default_of(name)})" in TEXT
    assert f"more than {SMALL_RECIPIENTS_MAX:,} recipients" in TEXT
    assert f"by the name `{RETENTION}`" in TEXT


def test_the_settings_are_settings(tmp_path: Path) -> None:
    assert tomllib.loads(EXAMPLES["settings"]) == {name: default_of(name) for name in DAYS}
    (tmp_path / "pushkeep.toml").write_text(EXAMPLES["addresses"])
    assert load_settings(overrides={"data_dir": tmp_path}, environ={}).log_addresses == "truncated"


async def customer(services: Services, project: Project, service: PushService) -> RegistrationRequest:
    """The browser of the examples' contact."""
    key = await current_signing_key(services, project)
    subscriber = await service.subscribe(key.public_bytes)
    return RegistrationRequest(
        subscription=subscriber.subscription, application_server_key=key.public_b64, owner="user-17", by=By.OPERATOR
    )


async def test_somebody_is_given_what_is_kept_and_erased(
    service: PushService, tmp_path: Path, environment: dict[str, str]
) -> None:
    async with serving(SERVE, tmp_path, environment) as url:
        data_dir = tmp_path / ".local/share/pushkeep"
        settings = load_settings(
            overrides={"data_dir": data_dir, "origin_map": service.origin_map_entries()}, environ={}
        )
        async with open_project(settings) as (services, project):
            await register(services, project, await customer(services, project, service))
            _, unknown = await new_visitor(services, project, service)
            await put_contact(services, project, "user-17", ["customer"])
            key = await create_api_key(services, project, "docs")

        async def run(text: str, **more: str) -> str:
            status, out = await shell(f"set -e\n{text}", tmp_path, environment | more)
            assert status == 0, out
            return out

        await run(EXAMPLES["export"])
        file = tmp_path / "user-17.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        found = json.loads(file.read_text())
        assert found["contact"]["tags"] == ["customer"]
        assert len(found["subscriptions"]) == 1
        assert await run(EXAMPLES["erase"]) == "Erased: 1 contact, 1 subscription, 1 tag that nobody else had.\n"
        assert await run(EXAMPLES["erase"]) == "Nothing is stored under this id.\n"
        erased = await run(EXAMPLES["erase-subscription"].replace("HMV192av", f"-- {unknown}"))
        assert erased == "Erased: 1 subscription.\n"
        listed = json.loads(await run(EXAMPLES["list"], PUSHKEEP_URL=url, PUSHKEEP_API_KEY=key))
        example = re.search(r"```json\n(.*?)\n```", TEXT)
        assert example is not None
        assert listed.keys() == json.loads(example[1]).keys()
        assert (listed["entries_until"], listed["missing"]) == (3, 0)
        assert (data_dir / "erasures.jsonl").exists()
