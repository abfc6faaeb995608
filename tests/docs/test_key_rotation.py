"""The page on key rotation: its commands run in its order, on browsers that move and on one that does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pushkeep.app.payloads import RENEW_MEMBER
from pushkeep.app.rotate import GIVE_UP_PAGE
from pushkeep.compose import open_project
from pushkeep.config import load_settings
from pushkeep.domain.key_forecast import FORECAST_DAYS_MIN, FORECAST_WINDOW_DAYS, SETTLED_SHARE, SILENT_DAYS
from pushkeep.domain.project import KeyState
from pushkeep.domain.signing_keys import KEYS_MAX
from pushkeep.pushservice import LocalSubscriber, PushService
from pushkeep.web.openapi_keys import KEY_OPERATIONS
from tests.docs.running import examples_of, serving, shell
from tests.processes.helpers import new_visitor

PAGE = Path(__file__).parents[2] / "docs/key-rotation.md"
TEXT = PAGE.read_text()
EXAMPLES = examples_of(PAGE)
SHOWN_ID = "Y1hQZ0b2Qdef"
RECEIVE_SECONDS = 20
SERVE = "pushkeep serve --contact mailto:push@example.org --workers 1"


def test_every_example_is_run() -> None:
    assert sorted(EXAMPLES) == ["force", "hurry", "leaked", "prepare", "retire", "rotate", "status"]


def test_the_page_has_the_states_routes_and_numbers_of_the_code() -> None:
    drawn = (PAGE.parent / "images/signing-key-states-light.svg").read_text()
    for state in KeyState:
        assert f"| `{state}` |" in TEXT
        assert f">{state.value}</text>" in drawn
    for operation in KEY_OPERATIONS:
        assert f"{operation.method} {operation.path.replace('{key_id}', '{id}')}" in TEXT
    words = " ".join(TEXT.split())
    for number in (
        f"the last {FORECAST_WINDOW_DAYS} full days",
        f"seen within {SILENT_DAYS} days",
        f"{SETTLED_SHARE:.0%}".replace("%", " %"),
        f"at most {KEYS_MAX:,} keys",
        f"its {len(RENEW_MEMBER)} octets",
    ):
        assert number in words, number
    assert FORECAST_DAYS_MIN == 4
    assert "It takes four full days" in words
    assert GIVE_UP_PAGE == 500
    assert "some hundred at a time" in words


class Stage:
    """A server's directory, and what the examples do to it."""

    def __init__(self, service: PushService, home: Path, environment: dict[str, str]) -> None:
        self._service, self._home, self._environment = service, home, environment
        self._settings = load_settings(
            overrides={"data_dir": home / ".local/share/pushkeep", "origin_map": service.origin_map_entries()},
            environ={},
        )

    async def run(self, name: str, id: str = SHOWN_ID) -> str:
        status, out = await self.tried(EXAMPLES[name].replace(SHOWN_ID, id))
        assert status == 0, out
        return out

    async def tried(self, text: str) -> tuple[int, str]:
        return await shell(f"set -e\n{text}", self._home, self._environment)

    async def visitor(self) -> tuple[LocalSubscriber, str]:
        async with open_project(self._settings) as (services, project):
            return await new_visitor(services, project, self._service)

    async def gone(self, short_id: str) -> None:
        """The visitor unsubscribes."""
        status, out = await self.tried(f"pushkeep subscriptions remove {short_id}")
        assert status == 0, out

    async def keys(self) -> dict[str, dict[str, Any]]:
        """By state."""
        _, out = await self.tried("pushkeep keys list --json")
        return {item["key"]["state"]: item for item in json.loads(out)["items"]}


async def test_a_rotation_from_its_preparation_to_the_end_of_the_old_key(
    service: PushService, tmp_path: Path, environment: dict[str, str]
) -> None:
    stage = Stage(service, tmp_path, environment)
    async with serving(SERVE, tmp_path, environment):
        staying, first = await stage.visitor()
        _, second = await stage.visitor()
        assert "is next" in await stage.run("prepare")
        prepared = (await stage.keys())["next"]["key"]["id"]
        old = (await stage.keys())["active"]["key"]["id"]
        assert f"{prepared} is active" in await stage.run("rotate")
        await stage.visitor()
        await stage.run("hurry")
        assert (await staying.receive(RECEIVE_SECONDS)).data
        assert "left 2" in await stage.run("status")
        await stage.gone(second)
        status, out = await stage.tried(EXAMPLES["retire"].replace(SHOWN_ID, f"-- {old}"))
        assert (status, "1 living subscription is" in out) == (2, True)
        await stage.gone(first)
        assert "moved 0, ended 2, left 0" in await stage.run("status")
        assert "is retired" in await stage.run("retire", f"-- {old}")
        assert {state: item["bound"] for state, item in (await stage.keys()).items()} == {"active": 1, "retired": 0}


async def test_an_emergency_tells_the_browsers_and_ends_with_force(
    service: PushService, tmp_path: Path, environment: dict[str, str]
) -> None:
    stage = Stage(service, tmp_path, environment)
    async with serving(SERVE, tmp_path, environment):
        before, _ = await stage.visitor()
        out = await stage.run("leaked")
        assert "tells its browser to renew at once" in out
        after, _ = await stage.visitor()
        await stage.run("hurry")
        told = [json.loads((await one.receive(RECEIVE_SECONDS)).data or b"{}") for one in (before, after)]
        assert [message["pushkeep"].get("renew") for message in told] == [True, None]
        assert "It has leaked" in await stage.run("status")
        old = (await stage.keys())["retiring"]["key"]["id"]
        forced = EXAMPLES["force"].replace(f"{SHOWN_ID} --force", f"--force -- {old}")
        status, out = await stage.tried(forced)
        assert (status, "1 subscription needs renewal" in out) == (0, True)
