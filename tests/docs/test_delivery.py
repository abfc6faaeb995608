"""The page about delivery: its examples run as they stand, its figures are drawn from the code and named in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pushkeep.compose import open_project
from pushkeep.config import load_settings
from pushkeep.domain.sending import SMALL_RECIPIENTS_MAX, NotificationState
from pushkeep.domain.shard import (
    CHECKPOINT_SECONDS,
    LEASE_SECONDS,
    SHARD_MEMBERS_MAX,
    SUB_BATCH_MEMBERS_MAX,
    ShardState,
)
from pushkeep.pushservice import PushService
from tests.docs.running import examples_of, serving, shell
from tests.processes.helpers import new_visitor

PAGE = Path(__file__).parents[2] / "docs/delivery.md"
EXAMPLES = examples_of(PAGE)
SHOWN_ID = "01939f6b-4a10-7c02-9f11-0a6d5b7c2e13"


def test_every_example_is_run() -> None:
    assert sorted(EXAMPLES) == ["broadcast", "cancelled", "scheduled", "serve"]


def test_the_page_has_the_numbers_of_the_code() -> None:
    page = PAGE.read_text()
    for words in (
        f"leased for {LEASE_SECONDS:.0f} s",
        f"lists at most {SHARD_MEMBERS_MAX:,} recipients",
        f"audience of up to {SMALL_RECIPIENTS_MAX:,}",
        f"{SUB_BATCH_MEMBERS_MAX} at a time",
    ):
        assert words in page, words
    assert CHECKPOINT_SECONDS == 1.0
    assert "checkpoint, once a second" in page


def test_the_diagrams_have_every_state() -> None:
    for name, states in (("shard", ShardState), ("notification", NotificationState)):
        drawn = (PAGE.parent / f"images/{name}-states-light.svg").read_text()
        for state in states:
            assert f">{state.value.replace('_', ' ')}</text>" in drawn


async def test_a_broadcast_a_schedule_and_its_end(
    service: PushService, tmp_path: Path, environment: dict[str, str]
) -> None:
    async def run(name: str, id: str = "") -> str:
        status, out = await shell(f"set -e\n{EXAMPLES[name].replace(SHOWN_ID, id)}", tmp_path, environment)
        assert status == 0, out
        return out

    async with serving(EXAMPLES["serve"], tmp_path, environment):
        data_dir = tmp_path / ".local/share/pushkeep"
        overrides = {"data_dir": data_dir, "origin_map": service.origin_map_entries()}
        async with open_project(load_settings(overrides=overrides, environ={})) as (services, project):
            subscriber, _ = await new_visitor(services, project, service)
        assert "Accepted 1 of 1." in await run("broadcast")
        message = await subscriber.receive(10)
        assert b"The new catalogue is here" in (message.data or b"")
        out = await run("scheduled")
        assert "It would reach 1 recipient" in out
        (first, again) = re.findall(r"([0-9a-f-]{36})", out)[:2]
        assert first == again, "accepted once"
        assert json.loads(message.data or b"{}")["pushkeep"]["id"] != first
        await run("cancelled", first)
