"""The page on secrets at rest: its commands run in its order, on a server that goes on meanwhile."""

from __future__ import annotations

import asyncio
import io
import re
import shlex
from pathlib import Path

from rich.console import Console

from pushkeep.adapters.master_key_command import COMMAND_SECONDS_MAX
from pushkeep.app.secrets import PAGE_ROWS
from pushkeep.cli.secrets_view import secrets_table
from pushkeep.compose import open_project
from pushkeep.config import load_settings
from pushkeep.config.table import SETTINGS
from pushkeep.domain.ids import AnyId
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.ports.secrets import Remaking, SealingKey, SecretKind, SecretsStatus
from pushkeep.pushservice import PushService
from tests.cli.inside import run_inside
from tests.docs.running import examples_of, serving
from tests.processes.helpers import new_visitor
from tests.store.samples import NOW

PAGE = Path(__file__).parents[2] / "docs/secrets.md"
TEXT = PAGE.read_text()
EXAMPLES = examples_of(PAGE)
SERVE = "pushkeep serve --contact mailto:push@example.org --workers 1"
DAY = 86_400.0


def test_every_example_is_run() -> None:
    assert sorted(EXAMPLES) == ["begin", "data", "finish", "forget", "lookup", "master", "status"]


def test_the_page_has_the_keys_settings_and_numbers_of_the_code() -> None:
    for kind in SecretKind:
        assert f"| `{kind.value}` |" in TEXT
    for name in SETTINGS:
        if name.startswith("master_key"):
            assert f"| `PUSHKEEP_{name.upper()}` |" in TEXT
    assert f"at most {COMMAND_SECONDS_MAX:.0f} seconds" in TEXT
    assert f"{PAGE_ROWS} rows at a time" in TEXT


def test_the_status_shown_is_what_the_command_shows() -> None:
    keys = (
        SealingKey(SecretKind.DATA, "8a9b0c1d", NOW),
        SealingKey(SecretKind.ERASURE, "0badcafe", NOW - 265 * DAY),
        SealingKey(SecretKind.LOOKUP, "4e5f6071", NOW - 265 * DAY),
        SealingKey(SecretKind.DATA, "19f2a4c6", NOW - 265 * DAY, NOW, Remaking(612_500, 1_000_004, over=False)),
    )
    status = SecretsStatus("5f1c2d3e", NOW - 265 * DAY, None, keys)
    example = re.search(r"```\n( key .*?)\n```", TEXT, re.DOTALL)
    assert example is not None
    undated = re.compile(r"\d{4}-\d\d-\d\d")
    drawn = io.StringIO()
    Console(file=drawn, width=120).print(secrets_table("own_file", status, now=NOW))
    said, expected = (
        [undated.sub("DATE", line).split() for line in text.splitlines()] for text in (drawn.getvalue(), example[1])
    )
    assert said == expected


async def test_keys_are_changed_while_a_server_runs(
    service: PushService, tmp_path: Path, environment: dict[str, str]
) -> None:
    async with serving(SERVE, tmp_path, environment):
        data_dir = tmp_path / ".local/share/pushkeep"
        origin_map = service.origin_map_entries()
        settings = load_settings(overrides={"data_dir": data_dir, "origin_map": origin_map}, environ={})
        async with open_project(settings) as (services, project):
            await new_visitor(services, project, service)
            _, ended = await new_visitor(services, project, service)
            await services.store.end_subscription(
                project, AnyId.parse(ended), StateReason(Event.LEFT, services.clock.now())
            )

        async def run(name: str, **extra: str) -> str:
            """Within this process: each is one command."""
            command, *arguments = shlex.split(EXAMPLES[name])
            assert command == "pushkeep"
            ran = await asyncio.to_thread(run_inside, environment | extra, tmp_path, *arguments)
            assert ran.status == 0, ran.text
            return ran.text

        assert "retiring" not in await run("status")
        assert "is gone: nothing is made with it any more" in await run("data")
        assert "1 row still keeps the old key" in await run("lookup")
        out = await run("forget")
        assert "Ended subscriptions that are no longer recognised: 1." in out
        assert "is gone: nothing is made with it any more" in out
        assert "The master key is" in await run("master")
        assert len(list(data_dir.glob("master.key.old-*"))) == 1
        own = {"PUSHKEEP_MASTER_KEY": (data_dir / "master.key").read_text().strip()}
        assert "opens the database as well" in await run("begin", **own)
        new = {"PUSHKEEP_MASTER_KEY_FILE": str(tmp_path / "next.key")}
        assert "opens nothing any more" in await run("finish", **new)
        assert "retiring" not in await run("status", **new)
