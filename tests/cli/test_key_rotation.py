"""``pushkeep keys`` for the server's own keys: prepare, rotate, list, status, leaked, retire."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pushkeep.app.key_progress import KeyProgress, MovedDay
from pushkeep.cli.key_view import keys_table, status_view
from pushkeep.domain.key_forecast import Forecast
from pushkeep.domain.project import KeyState
from pushkeep.domain.signing_keys import KeyRecord, KeyUsage
from pushkeep.domain.situation import DAY_SECONDS
from pushkeep.protocol.signing_key import SigningKey
from tests.cli.conftest import Cli, Stored

NOW = 1_800_000_000.0
PAIR = SigningKey.generate()


async def keys(cli: Cli, stored: Stored) -> list[dict[str, Any]]:
    ran = await cli("keys", "list", "--json", *stored.at)
    assert ran.status == 0, ran.err
    items: list[dict[str, Any]] = json.loads(ran.out)["items"]
    return items


async def test_a_rotation_from_the_first_step_to_the_last(cli: Cli, stored: Stored) -> None:
    ((old,),) = [[item["key"]["id"] for item in await keys(cli, stored)]]
    ran = await cli("keys", "prepare", *stored.at)
    assert (ran.status, "is next" in ran.out) == (0, True)
    again = await cli("keys", "prepare", *stored.at)
    assert (again.status, "prepared already" in again.err) == (2, True)
    ran = await cli("keys", "rotate", *stored.at)
    assert ran.status == 0, ran.err
    first, second = await keys(cli, stored)
    assert (first["key"]["id"], first["key"]["state"], first["bound"]) == (old, "retiring", 1)
    assert (second["key"]["state"], second["bound"]) == ("active", 0)
    assert f"{second['key']['id']} is active" in ran.out
    shown = await cli("keys", "show", *stored.at)
    assert second["key"]["application_server_key"] in shown.out
    # Who was made with the old key is still reached, and keeps it from being retired.
    sent = await cli("send", stored.short_id, "--title", "Hello", *stored.at)
    assert sent.status == 0, sent.err
    refused = await cli("keys", "retire", *stored.at, "--", old)
    assert (refused.status, refused.out) == (2, "")
    assert "1 living subscription is" in refused.err
    assert f"pushkeep keys retire {old} --force" in refused.err
    forced = await cli("keys", "retire", "--force", *stored.at, "--", old)
    assert (forced.status, "1 subscription needs renewal" in forced.out) == (0, True)
    first, _ = await keys(cli, stored)
    assert (first["key"]["state"], first["bound"], first["needs_renewal"]) == ("retired", 0, 1)
    status = await cli("keys", "status", *stored.at)
    assert "1 living subscription waits for its browser" in status.out


async def test_a_leak_is_shown_and_a_retired_key_cannot_leak_any_more(cli: Cli, stored: Stored) -> None:
    (before,) = await keys(cli, stored)
    active = before["key"]["id"]
    refused = await cli("keys", "leaked", *stored.at, "--", active)
    assert (refused.status, "is the active one" in refused.err) == (2, True)
    ran = await cli("keys", "rotate", "--leaked", *stored.at)
    assert (ran.status, "send one to all of them soon" in ran.out) == (0, True)
    status = await cli("keys", "status", *stored.at)
    assert "It has leaked" in status.out
    assert (await keys(cli, stored))[0]["key"]["leaked_at"]
    await cli("keys", "rotate", *stored.at)
    second = (await keys(cli, stored))[1]["key"]["id"]
    ran = await cli("keys", "leaked", *stored.at, "--", second)
    assert (ran.status, "known to have leaked" in ran.out) == (0, True)
    assert (await cli("keys", "retire", *stored.at, "--", second)).status == 0
    again = await cli("keys", "leaked", "--json", *stored.at, "--", second)
    assert json.loads(again.out)["state"] == "retired"


async def test_a_key_is_brought_along_and_named_by_its_public_half(cli: Cli, stored: Stored, tmp_path: Path) -> None:
    brought = SigningKey.generate()
    file = tmp_path / "brought.pem"
    file.write_text(brought.to_pem())
    ran = await cli("keys", "prepare", "--key", file, "--json", *stored.at)
    assert json.loads(ran.out)["application_server_key"] == brought.public_b64
    retired = await cli("keys", "retire", "--json", *stored.at, "--", brought.public_b64)
    assert json.loads(retired.out) == {"key": json.loads(retired.out)["key"], "given_up": 0}
    again = await cli("keys", "prepare", "--key", "-", *stored.at, stdin=brought.to_raw().encode())
    assert (again.status, "already" in again.err) == (2, True)
    unknown = await cli("keys", "retire", "unknown-key1", *stored.at)
    assert (unknown.status, "pushkeep keys list" in unknown.err) == (2, True)


def text_of(view: object) -> str:
    shown = io.StringIO()
    Console(width=100, file=shown).print(view)
    return shown.getvalue()


def retiring(usage: KeyUsage, forecast: Forecast | None = None, days: tuple[MovedDay, ...] = ()) -> KeyProgress:
    key = KeyRecord(7, PAIR.key_id, PAIR.public_bytes, KeyState.RETIRING, NOW, NOW, NOW)
    return KeyProgress(key, usage, 300, 100, days, forecast)


@pytest.mark.parametrize(
    ("forecast", "words"),
    [
        (None, "too early"),
        (Forecast(0.0, 0, 400, NOW), "400 will not move by themselves"),
        (Forecast(12.5, 380, 20, NOW + 30 * DAY_SECONDS), "12.5 a day of late; 380 more will have left by"),
        (Forecast(12.5, 380, 20, NOW + DAY_SECONDS), "(1 day); 20 will not"),
        (Forecast(0.1, 400, 0, None), "in more than ten years"),
    ],
)
def test_what_is_to_be_expected_is_said_in_words(forecast: Forecast | None, words: str) -> None:
    days = tuple(MovedDay(day, day % 5, 1) for day in range(20))
    shown = text_of(status_view([retiring(KeyUsage(2, {7: 100, None: 300}), forecast, days)], now=NOW))
    assert words in " ".join(shown.split())
    assert "50.0%" in shown
    assert "moved 300, ended 100, left 400" in shown
    assert "100 in the last 7 days" in shown
    assert "2 living subscriptions wait for their browsers" in shown


def test_a_key_that_nobody_needs_is_offered_for_retirement() -> None:
    shown = text_of(status_view([retiring(KeyUsage())], now=NOW))
    assert "100%" in shown
    assert f"pushkeep keys retire {PAIR.key_id}" in shown


def test_the_day_of_the_rotation_has_its_count_once() -> None:
    shown = text_of(status_view([retiring(KeyUsage(), days=(MovedDay(0, 4, 1),))], now=NOW))
    assert "today: 5\n" in shown


def test_ids_are_whole_on_a_narrow_terminal() -> None:
    found = [retiring(KeyUsage(3, {7: 1_234_567}))]
    assert PAIR.key_id in text_of(keys_table(found))
    assert time.strftime("%Y-%m-%d", time.localtime(NOW)) in text_of(keys_table(found))
