"""``pushkeep notify``, ``notifications`` and ``contacts``: accepted here, delivered by whoever works beside."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from pushkeep.compose import work
from pushkeep.config import load_settings
from pushkeep.pushservice import PushService
from tests.cli.conftest import COMMAND_SECONDS_MAX, Cli, Stored, in_a_terminal

RECEIVE_SECONDS_MAX = 30
HELLO = ("--title", "Hello")


@asynccontextmanager
async def delivering(stored: Stored) -> AsyncIterator[None]:
    """A worker beside the commands, in this process."""
    settings = load_settings(overrides={"data_dir": stored.data_dir}, environ={})
    ready = asyncio.Event()
    task = asyncio.create_task(work(settings, handle_signals=False, on_ready=lambda _worker: ready.set()))
    try:
        await asyncio.wait_for(ready.wait(), COMMAND_SECONDS_MAX)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def accepted(cli: Cli, stored: Stored, *options: str) -> str:
    """The id of a notification that was accepted."""
    ran = await cli("notify", *stored.at, "--all", *HELLO, *options, "--json")
    assert ran.status == 0, ran.text
    found = json.loads(ran.out)["id"]
    assert isinstance(found, str)
    return found


async def test_it_is_accepted_without_anybody_there_to_deliver_it(cli: Cli, stored: Stored) -> None:
    ran = await cli("notify", *stored.at, "--all", *HELLO)
    assert ran.status == 0, ran.text
    assert ran.out.startswith("Accepted ")
    assert "Nobody delivers at the moment" in ran.err
    async with delivering(stored):
        assert json.loads((await stored.subscriber.receive(RECEIVE_SECONDS_MAX)).data or b"")["notification"]["title"]


async def test_waiting_for_it_says_what_became_of_it(cli: Cli, stored: Stored, service: PushService) -> None:
    async with delivering(stored):
        ran = await cli("notify", *stored.at, "--subscriber", stored.short_id, *HELLO, "--wait")
        assert (ran.status, ran.out.splitlines()[-1], ran.err) == (0, "Accepted 1 of 1.", "")
        await stored.subscriber.unsubscribe()
        ran = await cli("notify", *stored.at, "--all", *HELLO, "--wait", "--json")
        assert ran.status == 3, ran.text
        report = json.loads(ran.out)
        assert (report["status"], report["counts"]) == ("done", {"gone": 1})
        listed = await cli("notifications", "outcomes", *stored.at, report["id"])
        assert stored.short_id in listed.out
        assert "No such subscription" in listed.out


async def test_every_option_of_the_content_arrives(cli: Cli, stored: Stored) -> None:
    content = ("--body", "b", "--url", "/u", "--icon", "/i.png", "--image", "/m.png", "--data", '{"n": [1]}')
    flags = ("--action", "pay=Pay=/pay", "--app-badge", "3", "--replaces", "t", "--silent", "--no-receipts")
    async with delivering(stored):
        assert (await cli("notify", *stored.at, "--all", *HELLO, *content, *flags, "--ttl", "60")).status == 0
        message = await stored.subscriber.receive(RECEIVE_SECONDS_MAX)
    payload = json.loads(message.data or b"")
    notification = payload["notification"]
    assert (notification["body"], notification["tag"], notification["silent"]) == ("b", "t", True)
    assert notification["navigate"].endswith("/u")
    assert (notification["data"], payload["app_badge"]) == ({"n": [1]}, 3)
    assert 0 < message.ttl <= 60
    assert "token" not in payload["pushkeep"]


async def test_a_dry_run_says_whom_it_would_reach_and_stores_nothing(cli: Cli, stored: Stored) -> None:
    ran = await cli("notify", *stored.at, "--all", *HELLO, "--dry-run")
    assert (ran.status, "It would reach 1 recipient. Nothing was sent or stored." in ran.out) == (0, True)
    assert "mozilla" in ran.out
    report = json.loads((await cli("notify", *stored.at, "--all", *HELLO, "--dry-run", "--json")).out)
    assert (report["targeted"], [row["vendor"] for row in report["push_services"]]) == (1, ["mozilla"])
    assert "No notifications." in (await cli("notifications", "list", *stored.at)).out


async def test_the_same_key_sends_nothing_twice(cli: Cli, stored: Stored) -> None:
    first = await accepted(cli, stored, "--idempotency-key", "order-7")
    assert await accepted(cli, stored, "--idempotency-key", "order-7") == first
    again = await cli("notify", *stored.at, "--all", "--title", "Other", "--idempotency-key", "order-7")
    assert (again.status, "idempotency" in again.err.lower()) == (2, True), again.text


async def test_a_notification_is_held_let_go_and_cancelled(cli: Cli, stored: Stored) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    found = await accepted(cli, stored, "--send-at", soon, "--priority", "bulk")
    shown = json.loads((await cli("notifications", "show", *stored.at, found, "--json")).out)
    assert (shown["status"], shown["priority"], shown["to"]) == ("scheduled", "bulk", "all")
    assert "paused" in (await cli("notifications", "pause", *stored.at, found)).out
    assert "scheduled" in (await cli("notifications", "resume", *stored.at, found)).out
    assert found in (await cli("notifications", "list", *stored.at)).out
    assert (await cli("notifications", "cancel", *stored.at, found)).out.startswith(f"{found}: cancelled")
    late = await cli("notifications", "pause", *stored.at, found)
    assert (late.status, len(late.err.splitlines())) == (2, 1), late.text


async def test_those_it_did_not_reach_are_told_again(cli: Cli, stored: Stored, service: PushService) -> None:
    fault = service.faults.add("answer=too_large")
    async with delivering(stored):
        ran = await cli("notify", *stored.at, "--all", *HELLO, "--wait", "--json")
        assert ran.status == 6, ran.text
        service.faults.remove(fault)
        first = json.loads(ran.out)["id"]
        keyed = ("notifications", "retry-failed", *stored.at, first, "--idempotency-key", "again", "--json")
        ran = await cli(*keyed, "--wait")
        assert (ran.status, json.loads(ran.out)["retry_of"]) == (0, first), ran.text
        assert json.loads((await cli(*keyed)).out)["id"] == json.loads(ran.out)["id"]
        again = await cli("notifications", "retry-failed", *stored.at, json.loads(ran.out)["id"])
        assert again.status == 2, "there is nobody left to be told"


async def test_a_terminal_sees_how_far_it_is(stored: Stored, environment: dict[str, str]) -> None:
    async with delivering(stored):
        seen = await in_a_terminal(environment, "notify", *stored.at, "--all", *HELLO, "--wait")
    assert "━" in seen
    assert "Accepted 1 of 1." in seen


async def test_contacts_are_tagged_and_told_by_their_tag(cli: Cli, stored: Stored) -> None:
    made = await cli("contacts", "tag", *stored.at, "user-17", "news", "vip")
    assert made.out.splitlines() == ["user-17: 0 active subscriptions", "tags: news, vip"]
    changed = await cli("contacts", "tag", *stored.at, "user-17", "--add", "sale", "--remove", "vip", "--json")
    assert json.loads(changed.out)["tags"] == ["news", "sale"]
    assert json.loads((await cli("contacts", "show", *stored.at, "user-17", "--json")).out)["tags"] == ["news", "sale"]
    ran = await cli("notify", *stored.at, "--tag", "sale", *HELLO, "--dry-run", "--json")
    assert json.loads(ran.out)["targeted"] == 0
    assert "tags: none" in (await cli("contacts", "tag", *stored.at, "user-17", "--none")).out
    unknown = await cli("contacts", "show", *stored.at, "nobody")
    assert (unknown.status, len(unknown.err.splitlines())) == (2, 1), unknown.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("notify", "--title", "a"), "exactly one of --all"),
        (("notify", "--all", "--tag", "news", "--title", "a"), "exactly one of --all"),
        (("notify", "--tag", "No Tag", "--title", "a"), "tag must be"),
        (("notify", "--tag", "unknown", "--title", "a"), "tag"),
        (("notify", "--all", "--body", "a"), "--title"),
        (("notify", "--all", "--title", ""), "title must not be empty"),
        (("notify", "--all", "--title", "a", "--ttl", "-1"), "ttl"),
        (("notify", "--all", "--title", "a", "--urgency", "now"), "urgency"),
        (("notify", "--all", "--title", "a", "--priority", "high"), "priority must be one of"),
        (("notify", "--all", "--title", "a", "--send-at", "2020-01-01T00:00:00Z"), "in the past"),
        (("notify", "--all", "--title", "a", "--send-at", "tomorrow"), "send_at"),
        (("notify", "--all", "--title", "a", "--deadline", "2020-01-01T00:00:00Z"), "deadline"),
        (("notify", "--all", "--title", "a", "--idempotency-key", "\t"), "Idempotency-Key"),
        (("notify", "--all", "--title", "a", "--data", "{"), "--data must be JSON"),
        (("notify", "--all", "--title", "a", "--url", "javascript:1"), "url"),
        (("notify", "--all", "--payload", "x" * 4097), "too large"),
        (("notify", "--subscriber", "??", "--title", "a"), "subscriptions"),
        (("notifications", "show", "1"), "UUID"),
        (("notifications", "cancel", "0198c5d2-7c1a-7e2b-9c54-0a1b2c3d4e5f"), "no notification"),
        (("notifications", "outcomes", "0198c5d2-7c1a-7e2b-9c54-0a1b2c3d4e5f", "--kind", "lost"), "kind must be"),
        (("notifications", "list", "--before", "x"), "before"),
        (("contacts", "tag", "user-17"), "--none"),
        (("contacts", "tag", "user-17", "a", "--add", "b"), "--none"),
        (("contacts", "tag", "user-17", "A B"), "tags[0]"),
        (("contacts", "show", ""), "external_id"),
    ],
)
async def test_bad_input_is_2_and_one_sentence(cli: Cli, stored: Stored, arguments: tuple[str, ...], said: str) -> None:
    ran = await cli(*arguments, *stored.at)
    assert (ran.status, len(ran.err.strip().splitlines())) == (2, 1), ran.text
    assert said in ran.err


async def test_what_is_to_be_tried_later_is_left_to_the_server(cli: Cli, stored: Stored, service: PushService) -> None:
    service.faults.add("status=503")
    ran = await cli("send", *stored.at, stored.short_id, *HELLO)
    assert ran.status == 5, ran.text
    assert "status 503" in ran.err
    assert "It is tried again later: pushkeep notifications show" in ran.err
    assert "No server runs" in ran.err
    (found,) = json.loads((await cli("notifications", "list", *stored.at, "--json")).out)["items"]
    assert (found["status"], found["waiting"]) == ("sending", 1)
