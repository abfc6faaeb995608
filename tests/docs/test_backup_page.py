"""Backup, restore and moving to another Pushkeep: the pages' commands run in their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from pushkeep.adapters.formats.portable_lines import KIND_NAMES
from pushkeep.compose import open_project
from pushkeep.config import load_settings
from pushkeep.domain.ids import AnyId
from pushkeep.pushservice import PushService
from tests.docs.running import examples_of, shell
from tests.processes.helpers import new_visitor

DOCS = Path(__file__).parents[2] / "docs"
OPERATING, MOVING = examples_of(DOCS / "operating.md"), examples_of(DOCS / "moving.md")


def test_every_example_of_the_operating_page_is_run() -> None:
    assert sorted(OPERATING) == ["backup", "restore", "verify"]


def test_the_page_has_every_kind_of_line() -> None:
    text = (DOCS / "moving.md").read_text()
    rows = text.partition("| `kind` |")[2].partition("\n\n")[0]
    for kind in (*KIND_NAMES, "end"):
        assert f"`{kind}`" in rows, kind


@pytest.fixture
async def home(tmp_path: Path, service: PushService, environment: dict[str, str]) -> Path:
    """A server's directory with a visitor."""
    data = tmp_path / "data"
    entries = ", ".join(f'"{entry}"' for entry in service.origin_map_entries())
    data.mkdir(mode=0o700)
    (data / "pushkeep.toml").write_text(f'contact = "mailto:push@example.org"\norigin_map = [{entries}]\n')
    environment["PUSHKEEP_DATA_DIR"] = str(data)
    return data


async def visit(data: Path, service: PushService) -> str:
    async with open_project(load_settings(overrides={"data_dir": data}, environ={})) as (services, project):
        return (await new_visitor(services, project, service))[1]


async def knows(data: Path, short_id: str) -> bool:
    async with open_project(load_settings(overrides={"data_dir": data}, environ={})) as (services, project):
        return await services.store.find_subscription(project, AnyId.parse(short_id)) is not None


async def test_backup_and_restore(
    home: Path, tmp_path: Path, service: PushService, environment: dict[str, str]
) -> None:
    before = await visit(home, service)
    for name in ("backup", "verify"):
        status, said = await shell(OPERATING[name], tmp_path, environment)
        assert (status, "1 opened and signed for" in said) == (0, True), said
    after = await visit(home, service)
    status, said = await shell(OPERATING["restore"], tmp_path, environment)
    assert (status, "Restored" in said) == (0, True), said
    assert (await knows(home, before), await knows(home, after)) == (True, False)


async def test_moving_to_another_pushkeep(
    home: Path, tmp_path: Path, service: PushService, environment: dict[str, str]
) -> None:
    visitor = await visit(home, service)
    status, said = await shell(MOVING["export"], tmp_path, environment)
    assert status == 0, said
    fresh = tmp_path / "new"
    text = MOVING["import-own"].replace("/var/lib/pushkeep-new", str(fresh))
    status, said = await shell(text, tmp_path, environment)
    assert status == 0, said
    assert not (tmp_path / "everything.jsonl").exists()
    assert await knows(fresh, visitor)
