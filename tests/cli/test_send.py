"""``pushkeep send``: what is printed, and the exit status for each kind of answer."""

import json
import os
from pathlib import Path

import pytest

from pushkeep.protocol.signing_key import SigningKey
from pushkeep.pushservice import PushService
from tests.cli.conftest import Cli, OnDisk, Stored

RECEIVE_SECONDS_MAX = 10


async def test_accepted_is_0_and_arrives(cli: Cli, on_disk: OnDisk) -> None:
    ran = await cli(
        "send", *on_disk.recipient, "--payload", "hällo", "--ttl", "60", "--urgency", "high", "--topic", "inbox1"
    )
    assert ran.status == 0, ran.text
    assert "Accepted for https://" in ran.out
    message = await on_disk.subscriber.receive(RECEIVE_SECONDS_MAX)
    assert message.data == "hällo".encode()
    assert (message.ttl, message.urgency, message.topic) == (60, "high", "inbox1")


async def test_a_title_makes_a_notification(cli: Cli, on_disk: OnDisk) -> None:
    ran = await cli("send", *on_disk.recipient, "--title", "Hello", "--body", "World", "--url", "/x")
    assert ran.status == 0, ran.text
    message = await on_disk.subscriber.receive(RECEIVE_SECONDS_MAX)
    assert json.loads(message.data or b"") == {"title": "Hello", "body": "World", "url": "/x"}


async def test_actions_and_the_number_at_the_icon(cli: Cli, on_disk: OnDisk) -> None:
    actions = ("--action", "pay=Pay=/pay?order=7&x=1", "--action", "later=Later")
    ran = await cli("send", *on_disk.recipient, "--title", "Hello", *actions, "--app-badge", "0")
    assert ran.status == 0, ran.text
    message = await on_disk.subscriber.receive(RECEIVE_SECONDS_MAX)
    assert json.loads(message.data or b"") == {
        "title": "Hello",
        "actions": [
            {"action": "pay", "title": "Pay", "url": "/pay?order=7&x=1"},
            {"action": "later", "title": "Later"},
        ],
        "app_badge": 0,
    }


async def test_a_payload_argument_need_not_be_text(cli: Cli, on_disk: OnDisk) -> None:
    ran = await cli("send", *on_disk.recipient, "--payload", os.fsdecode(b"\xff\xfe"))
    assert ran.status == 0, ran.text
    assert (await on_disk.subscriber.receive(RECEIVE_SECONDS_MAX)).data == b"\xff\xfe"
    ran = await cli("send", *on_disk.recipient, "--title", os.fsdecode(b"\xff\xfe"))
    assert (ran.status, "title" in ran.err) == (2, True), ran.text


@pytest.mark.parametrize("how", ["@file", "-"])
async def test_a_payload_from_a_file_or_standard_input(cli: Cli, on_disk: OnDisk, tmp_path: Path, how: str) -> None:
    (tmp_path / "payload").write_bytes(b"\x00\xff binary")
    argument = f"@{tmp_path / 'payload'}" if how == "@file" else "-"
    ran = await cli("send", *on_disk.recipient, "--payload", argument, stdin=b"\x00\xff binary")
    assert ran.status == 0, ran.text
    assert (await on_disk.subscriber.receive(RECEIVE_SECONDS_MAX)).data == b"\x00\xff binary"


async def test_json_is_one_document_without_secrets(cli: Cli, on_disk: OnDisk) -> None:
    ran = await cli("send", *on_disk.recipient, "--payload", "x", "--json")
    printed = json.loads(ran.out)
    assert (printed["verdict"], printed["status"]) == ("accepted", 201)
    assert on_disk.subscriber.subscription.endpoint.target not in ran.text


async def test_the_map_also_comes_from_the_environment(cli: Cli, on_disk: OnDisk) -> None:
    entries = " ".join(on_disk.mapping[1::2])
    recipient = [part for part in on_disk.recipient if part not in on_disk.mapping]
    ran = await cli("send", *recipient, "--payload", "x", PUSHKEEP_ORIGIN_MAP=entries)
    assert ran.status == 0, ran.text


async def test_gone_is_3(cli: Cli, on_disk: OnDisk) -> None:
    await on_disk.subscriber.unsubscribe()
    ran = await cli("send", *on_disk.recipient, "--payload", "x")
    assert ran.status == 3, ran.text
    assert ran.err.startswith("Failed to send to https://")
    assert "status 410" in ran.err


async def test_another_key_is_4(cli: Cli, on_disk: OnDisk) -> None:
    on_disk.key.write_text(SigningKey.generate().to_pem())
    ran = await cli("send", *on_disk.recipient, "--payload", "x", "--json")
    assert ran.status == 4, ran.text
    assert json.loads(ran.out)["verdict"] == "key_mismatch"


async def test_nobody_listening_is_5(cli: Cli, on_disk: OnDisk, service: PushService) -> None:
    await service.stop()
    ran = await cli("send", *on_disk.recipient, "--payload", "x")
    assert ran.status == 5, ran.text


async def test_a_private_address_is_6(cli: Cli, on_disk: OnDisk, tmp_path: Path) -> None:
    value = json.loads(on_disk.subscription.read_text()) | {"endpoint": "https://127.0.0.1:9/x"}
    on_disk.subscription.write_text(json.dumps(value))
    ran = await cli("send", *on_disk.recipient, "--payload", "x", "--json")
    assert ran.status == 6, ran.text
    assert json.loads(ran.out)["verdict"] == "refused_endpoint"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("--payload", "x" * 3994), "1 octets too large"),
        (("--ttl", "-1"), "ttl"),
        (("--urgency", "now"), "urgency"),
        (("--topic", "a b"), "topic"),
        (("--body", "no title"), "--title"),
        (("--title", "a", "--payload", "b"), "either"),
        (("--action", "pay=Pay"), "--title"),
        (("--app-badge", "0"), "--title"),
        (("--app-badge", "0", "--payload", "b", "--title", "a"), "either"),
        (("--title", "a", "--action", "pay"), "NAME=TITLE=URL"),
        (("--title", "a", "--action", "pay="), "actions[0].title"),
        (("--title", "a", "--action", "=Pay"), "actions[0].action"),
        (("--title", "a", "--action", "a=A", "--action", "a=B"), "actions[1].action"),
        (("--title", "a", "--action", "a=A", "--action", "b=B", "--action", "c=C"), "browsers show 2"),
        (("--title", "a", "--action", "a=A="), "actions[0].url"),
        (("--title", "a", "--app-badge", "-1"), "app_badge"),
        (("--title", "a", "--app-badge", str(2**53)), "app_badge"),
        (("--payload", "@/nonexistent"), "cannot read"),
        (("--contact", "me@example.com"), "mailto:"),
        (("--map-origin", "x"), "ORIGIN=BASE"),
        (("HMV192av",), "one recipient"),
        (("--key", "/nonexistent"), "cannot read"),
    ],
)
async def test_a_wrong_option_is_2_and_one_sentence(
    cli: Cli, on_disk: OnDisk, changes: tuple[str, ...], said: str
) -> None:
    ran = await cli("send", *on_disk.recipient, *changes)
    assert ran.status == 2, ran.text
    assert said in ran.err
    assert len(ran.err.strip().splitlines()) == 1, ran.err


@pytest.mark.parametrize("content", ["", "{", "[]", '{"endpoint": "https://push.example.net/x"}', "\x00" * 100_000])
async def test_a_file_that_is_no_subscription_is_2(cli: Cli, on_disk: OnDisk, content: str) -> None:
    on_disk.subscription.write_text(content)
    ran = await cli("send", *on_disk.recipient, "--payload", "x")
    assert ran.status == 2, ran.text
    assert len(ran.err.strip().splitlines()) == 1, ran.err


async def test_a_file_needs_key_and_contact(cli: Cli, on_disk: OnDisk) -> None:
    ran = await cli("send", "--subscription", on_disk.subscription)
    assert (ran.status, "--key and --contact" in ran.err) == (2, True)


async def test_a_stored_subscriber_gets_a_notification(cli: Cli, stored: Stored) -> None:
    ran = await cli("send", *stored.at, stored.short_id, "--title", "Hello", "--body", "World")
    assert ran.status == 0, ran.text
    assert f"Accepted for {stored.short_id}" in ran.out
    payload = json.loads((await stored.subscriber.receive(RECEIVE_SECONDS_MAX)).data or b"")
    assert (payload["notification"]["title"], payload["notification"]["body"]) == ("Hello", "World")


async def test_actions_of_a_stored_subscription_lead_to_its_site(cli: Cli, stored: Stored) -> None:
    ran = await cli(
        "send", *stored.at, stored.short_id, "--title", "Hello", "--action", "pay=Pay=/pay", "--app-badge", "3"
    )
    assert ran.status == 0, ran.text
    payload = json.loads((await stored.subscriber.receive(RECEIVE_SECONDS_MAX)).data or b"")
    (action,) = payload["notification"]["actions"]
    assert (action["action"], action["navigate"].endswith("/pay"), payload["app_badge"]) == ("pay", True, 3)


async def test_a_visitor_who_left_is_dropped_with_the_services_words(cli: Cli, stored: Stored) -> None:
    await stored.subscriber.unsubscribe()
    ran = await cli("send", *stored.at, stored.short_id, "--title", "Hello")
    assert ran.status == 3, ran.text
    lines = ran.err.splitlines()
    assert lines[0] == f"Failed to send to {stored.short_id}: No such subscription"
    assert "code 410" in lines[1]
    assert "errno 106" in lines[1]
    assert lines[2].startswith("  more info: http")
    assert lines[3] == f"Dropping no longer valid user: {stored.short_id}"

    again = await cli("send", *stored.at, stored.short_id, "--title", "Hello")
    assert again.status == 3
    assert f"Nothing sent to {stored.short_id}: no longer subscribed (gone)" in again.err
    listed = json.loads((await cli("subscriptions", "list", *stored.at, "--json")).out)["items"]
    assert [(row["state"], row["ended"]["text"]) for row in listed] == [("gone", "No such subscription")]


async def test_a_wrong_key_keeps_the_record(cli: Cli, stored: Stored, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_text(SigningKey.generate().to_pem())
    ran = await cli("send", *stored.at, stored.short_id, "--title", "Hello", "--key", tmp_path / "other.pem", "--json")
    assert ran.status == 4, ran.text
    assert json.loads(ran.out)["verdict"] == "key_mismatch"
    assert (await cli("send", *stored.at, stored.short_id, "--title", "Hello")).status == 0


async def test_an_unknown_id_is_2(cli: Cli, stored: Stored) -> None:
    ran = await cli("send", *stored.at, "HMV192av", "--title", "Hello")
    assert (ran.status, "no such subscription" in ran.err) == (2, True), ran.text


async def test_a_directory_without_a_server_is_2_and_stays_empty(cli: Cli, tmp_path: Path) -> None:
    ran = await cli("send", "--data-dir", tmp_path / "nothing", "HMV192av", "--title", "Hello")
    assert (ran.status, "pushkeep serve" in ran.err) == (2, True), ran.text
    assert not (tmp_path / "nothing").exists()
