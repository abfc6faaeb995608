"""Traps 27 to 29 and 31: Python, command lines, vectors and topics. Number 30, the worker's, is with the worker."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from pushkeep import InvalidInput, Message, PushClient, SigningKey, derive_topic
from pushkeep.protocol.aesgcm import crypto_key_header, encryption_header, open_legacy
from pushkeep.protocol.ece import open_sealed
from pushkeep.pushservice import PushService
from tests.cli.conftest import Cli
from tests.protocol.vectors import AUTH, BODY, PLAINTEXT, UA_PRIVATE, Legacy
from tests.transport.servers import Authority, Server, answer2, http2

from .conftest import CONTACT, MOZILLA, UA, header, led_to


async def test_trap_27_many_messages_share_a_connection_and_a_token_and_leave_the_loop_to_others(
    key: SigningKey, tmp_path: Path
) -> None:
    authority, turns, done = Authority(tmp_path), 0, asyncio.Event()

    async def others() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    context = authority.server_context("updates.push.services.mozilla.com", alpn=("h2",))
    async with (
        http2(answer2(), context) as server,
        PushClient(key=key, contact=CONTACT, origin_map=[server.entry(authority.file, origin=MOZILLA)]) as client,
    ):
        task = asyncio.create_task(others())
        messages = (Message(UA.to_dict(f"{MOZILLA}/{number}"), "x") for number in range(300))
        accepted = [result.accepted async for result in client.send_many(messages)]
        done.set()
        await task
    assert accepted == [True] * 300
    # A hundred requests at once go over one connection; more are opened when all of it is taken.
    assert server.connections <= 8
    assert len({header(seen, "authorization") for seen in server.requests}) == 1
    assert turns >= 300 // 16  # after each few messages others had their turn


async def test_trap_28_no_failure_exits_with_0_or_a_traceback(
    cli: Cli, service: PushService, key: SigningKey, tmp_path: Path
) -> None:
    subscriber = await service.subscribe(key.public_bytes)
    good = subscriber.subscription.to_json()
    await subscriber.unsubscribe()
    (tmp_path / "vapid.pem").write_text(key.to_pem())
    mapping = [part for entry in service.origin_map_entries() for part in ("--map-origin", entry)]
    files = {"good": good, "empty": "", "cut": good[:-5], "list": "[]", "number": "5", "no keys": "{}"}
    for name, content in files.items():
        (tmp_path / "subscription.json").write_text(content)
        ran = await cli(  # it fails by itself on a traceback
            *("send", "--subscription", "subscription.json", "--key", "vapid.pem", "--contact", CONTACT),
            *(*mapping, "--payload", "x"),
        )
        assert ran.status == (3 if name == "good" else 2), ran.text
        assert ran.err.strip(), name


async def test_trap_28_head_is_not_needed(cli: Cli, service: PushService, key: SigningKey, tmp_path: Path) -> None:
    subscriber = await service.subscribe(key.public_bytes)
    (tmp_path / "subscription.json").write_text(subscriber.subscription.to_json())
    (tmp_path / "vapid.pem").write_text(key.to_pem())
    mapping = [part for entry in service.origin_map_entries() for part in ("--map-origin", entry)]
    ran = await cli(
        *("send", "--subscription", "subscription.json", "--key", "vapid.pem", "--contact", CONTACT, *mapping)
    )
    assert ran.status == 0, ran.text


def test_trap_29_the_published_vectors_are_opened() -> None:
    assert open_sealed(BODY, ua_private=UA_PRIVATE, auth=AUTH) == PLAINTEXT
    opened = open_legacy(
        Legacy.BODY,
        encryption=encryption_header(Legacy.SALT),
        crypto_key=crypto_key_header(Legacy.AS_PUBLIC),
        ua_private=Legacy.UA_PRIVATE,
        auth=Legacy.AUTH,
    )
    assert opened == Legacy.PLAINTEXT


SKIPPING = re.compile(r"pytest\.(skip|importorskip|mark\.(skip|xfail))|unittest\.skip")


def test_trap_29_and_no_test_is_ever_skipped() -> None:
    tests = Path(__file__).parents[1]
    found = [str(path.relative_to(tests)) for path in tests.glob("*/*.py") if SKIPPING.search(path.read_text())]
    assert not found


@pytest.mark.parametrize("name", ["a", "orders/7", "Grüße", "x" * 1000, ""])
async def test_trap_31_a_topic_of_any_name_is_32_characters_that_every_service_takes(
    wire: Server, key: SigningKey, name: str
) -> None:
    topic = derive_topic(name)
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", topic)
    assert topic == derive_topic(name)
    async with PushClient(key=key, contact=CONTACT, origin_map=led_to(wire)) as client:
        await client.send(UA.to_dict(f"{MOZILLA}/x"), "x", topic=topic)
    assert header(wire.requests[-1], "topic") == topic


@pytest.mark.parametrize("topic", ["bmV3cw==", "a+b", "a/b", "x" * 33, "", "ü", "a b", "a\n"])
async def test_trap_31_padding_and_strange_characters_are_refused(wire: Server, key: SigningKey, topic: str) -> None:
    async with PushClient(key=key, contact=CONTACT, origin_map=led_to(wire)) as client:
        with pytest.raises(InvalidInput, match="topic"):
            await client.send(UA.to_dict(f"{MOZILLA}/x"), "x", topic=topic)
    assert wire.requests == []
