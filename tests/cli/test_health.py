"""Health on the command line: a subscription's whole story, the likely dead, release, sweeps."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from pushkeep.cli.notification_view import EXIT_BY_KIND
from pushkeep.domain.shard import FINAL_KINDS
from tests.cli.conftest import Cli, Stored


def change(stored: Stored, statement: str, *values: object) -> None:
    """Let something have happened to what is stored."""
    with closing(sqlite3.connect(stored.data_dir / "pushkeep.db")) as database, database:
        assert database.execute(statement, values).rowcount == 1


async def test_a_subscription_s_whole_story_in_plain_words(cli: Cli, stored: Stored) -> None:
    await cli("subscriptions", "remove", stored.short_id, *stored.at)
    shown = await cli("subscriptions", "show", stored.short_id, *stored.at)
    assert shown.status == 0
    assert f"Subscription {stored.short_id} (" in shown.out
    assert "Registered by its browser at Mozilla (autopush)" in shown.out
    assert "Removed by the operator" in shown.out
    assert "It is unsubscribed." in shown.out
    assert stored.subscriber.subscription.endpoint.target not in shown.text
    report = json.loads((await cli("subscriptions", "show", stored.short_id, *stored.at, "--json")).out)
    assert [entry["event"] for entry in report["entries"]] == ["registered", "removed"]
    assert [line["words"] for line in report["story"]][1].startswith("Removed by the operator")
    unknown = await cli("subscriptions", "show", "HMV192av", *stored.at)
    assert (unknown.status, "no subscription HMV192av" in unknown.err) == (2, True)


async def test_the_likely_dead_are_listed_with_reasons(cli: Cli, stored: Stored) -> None:
    assert "None shows a sign of death" in (await cli("subscriptions", "likely-dead", *stored.at)).out
    change(stored, "UPDATE subscriptions SET last_seen_at = 0, created_at = 0")
    listed = await cli("subscriptions", "likely-dead", *stored.at)
    assert stored.short_id in listed.out
    assert "Mozilla drops a browser not online for 60 days" in listed.out
    (item,) = json.loads((await cli("subscriptions", "likely-dead", *stored.at, "--json")).out)["items"]
    assert item["health"]["signs"] == ["silent"]


async def test_a_quarantine_is_lifted_for_one_and_for_a_push_service(cli: Cli, stored: Stored) -> None:
    quarantine = "UPDATE subscriptions SET state = 'quarantined', suspect_days = '1 2 3'"
    change(stored, quarantine)
    shown = await cli("subscriptions", "show", stored.short_id, *stored.at)
    assert "in quarantine and never dialled" in shown.out
    released = await cli("subscriptions", "release", stored.short_id, *stored.at)
    assert released.out == f"{stored.short_id} is active.\n"
    change(stored, quarantine)
    origin = stored.subscriber.subscription.endpoint.origin
    assert (await cli("subscriptions", "release", "--origin", origin, *stored.at)).out == "Released 1.\n"
    assert (await cli("subscriptions", "release", "--origin", origin, *stored.at, "--json")).out == '{"released": 0}\n'
    neither = await cli("subscriptions", "release", *stored.at)
    assert (neither.status, "Name one subscription" in neither.err) == (2, True)
    story = (await cli("subscriptions", "show", stored.short_id, *stored.at)).out
    assert story.count("Released from quarantine by the operator") == 2
    assert "on the command line" in story


async def test_a_sweep_says_what_it_would_do_and_does_it(cli: Cli, stored: Stored) -> None:
    change(stored, "UPDATE subscriptions SET state = 'failing', suspect_days = '1 2 3'")
    planned = await cli("sweep", "--dry-run", *stored.at)
    assert "Would be put into quarantine: 1." in planned.out
    assert planned.out.endswith("Nothing was changed.\n")
    done = json.loads((await cli("sweep", *stored.at, "--json")).out)
    assert (done["quarantined"], done["dry_run"], done["held"]) == (1, False, [])
    assert done["by_state"] == {"failing": 1}
    again = await cli("sweep", *stored.at)
    assert "Were put into quarantine: 0." in again.out
    assert "1 refused); `pushkeep subscriptions likely-dead`" in again.out


async def test_a_preview_says_what_is_known_and_why_no_more(cli: Cli, stored: Stored) -> None:
    change(stored, "UPDATE subscriptions SET state = 'quarantined', suspect_days = '1 2 3', probe_at = 9e9")
    shown = await cli("notify", "--all", "--title", "Hello", "--dry-run", *stored.at)
    assert "It would reach 0" in shown.out
    assert "Left out: 1 (refused for days" in shown.out
    assert "Known: 1 in quarantine, not sent to." in shown.out
    assert "browsers want every push to show something" in shown.out.replace("\n", " ")


def test_every_final_state_has_an_exit_status() -> None:
    assert set(EXIT_BY_KIND) == set(FINAL_KINDS)


@pytest.mark.parametrize(("state", "status"), [("quarantined", 6), ("needs_renewal", 4)])
async def test_a_message_to_who_is_not_sent_to_says_why(cli: Cli, stored: Stored, state: str, status: int) -> None:
    change(stored, "UPDATE subscriptions SET state = ?, probe_at = 9e9", state)
    ran = await cli("send", stored.short_id, "--title", "Hello", *stored.at)
    assert (ran.status, ran.err.startswith(f"Nothing sent to {stored.short_id}: ")) == (status, True), ran.text
