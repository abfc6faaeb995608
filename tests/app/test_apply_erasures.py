"""What a start does with the erasure list: it finishes, erases again, and says where the list is not what it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pushkeep.app.erase import erase_contact
from pushkeep.compose.chores import apply_erasures
from pushkeep.errors import Unavailable
from tests.app.conftest import World

ANNA = "anna-4711@example.org"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.msg for record in caplog.records if record.name == "pushkeep.chores"]


async def test_a_list_that_is_applied_is_not_worth_a_word(filed_world: World, caplog: pytest.LogCaptureFixture) -> None:
    world = filed_world
    await world.register("anna", owner=ANNA)
    await erase_contact(world.services, world.project, ANNA)
    with caplog.at_level("INFO"):
        await apply_erasures(world.services, world.project)
    assert lines(caplog) == []


async def test_what_was_begun_is_finished_and_told_in_figures(
    filed_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world = filed_world
    await world.register("anna", owner=ANNA)
    subject = await world.store.find_subject(world.project, contact=ANNA)
    assert subject is not None
    assert world.services.erasures is not None
    await world.services.erasures.append(world.project, subject.names, at=world.clock.now(), after=0)
    with caplog.at_level("INFO"):
        await apply_erasures(world.services, world.project)
    assert lines(caplog) == ["erasures_applied"]
    assert vars(caplog.records[-1])["subscriptions"] == 1
    assert ANNA not in caplog.text
    assert await world.records() == []


async def test_a_missing_list_and_a_damaged_one_are_said(
    filed_world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, path = filed_world, tmp_path / "erasures.jsonl"
    await world.register("anna", owner=ANNA)
    await erase_contact(world.services, world.project, ANNA)
    whole = path.read_bytes()
    path.unlink()
    await apply_erasures(world.services, world.project)
    path.write_bytes(b"nonsense\n" + whole)
    await apply_erasures(world.services, world.project)
    assert lines(caplog) == ["erasure_list_short", "erasure_list_damaged"]


async def test_nothing_starts_where_the_list_cannot_be_read(filed_world: World, tmp_path: Path) -> None:
    (tmp_path / "erasures.jsonl").mkdir()
    with pytest.raises(Unavailable, match="cannot be read"):
        await apply_erasures(filed_world.services, filed_world.project)
    await apply_erasures(dataclasses.replace(filed_world.services, erasures=None), filed_world.project)
