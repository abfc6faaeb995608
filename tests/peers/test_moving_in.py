"""Keys and subscriptions as npm web-push, py_vapid and pywebpush write them go in, and their browsers hear from us."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from py_vapid import Vapid02
from pywebpush import WebPusher

from pushkeep.adapters.formats.fields import Wishes
from pushkeep.app.moving.bring import ImportWishes
from pushkeep.app.send import Sender
from pushkeep.compose import open_project
from pushkeep.compose.moving import bring_in, opened_source, read_vapid
from pushkeep.config import load_settings
from pushkeep.domain.ids import AnyId
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.pushservice import PushService

from .conftest import CONTACT, SECONDS
from .node_driver import HERE, SECONDS_MAX, node

WEB_PUSH = HERE / "node_modules/web-push/src/cli.js"


async def printed(*arguments: str | Path) -> bytes:
    """What a program of Node prints."""
    process = await asyncio.create_subprocess_exec(node(), *arguments, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(SECONDS_MAX):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return out


async def of_web_push(directory: Path) -> bytes:
    return await printed(WEB_PUSH, "generate-vapid-keys")


async def of_web_push_json(directory: Path) -> bytes:
    return await printed(WEB_PUSH, "generate-vapid-keys", "--json")


async def of_py_vapid(directory: Path) -> bytes:
    vapid = Vapid02()
    vapid.generate_keys()
    vapid.save_key(str(directory / "private_key.pem"))
    return (directory / "private_key.pem").read_bytes()


async def stringified(subscription: dict[str, object], directory: Path) -> str:
    """As a Node server keeps what a browser has posted: parsed, and written again."""
    script = "console.log(JSON.stringify({subscription: JSON.parse(process.argv[1]), userId: 17}))"
    return (await printed("-e", script, json.dumps(subscription))).decode()


async def pythonic(subscription: dict[str, object], directory: Path) -> str:
    """As a Python server keeps it: what pywebpush takes, as JSON in a list."""
    WebPusher(subscription)  # which looks at it
    return json.dumps([{"subscription_info": subscription, "userId": 17}], indent=2)


@pytest.mark.parametrize(
    ("make_key", "keep"),
    [(of_web_push, stringified), (of_web_push_json, stringified), (of_py_vapid, pythonic)],
    ids=["web-push", "web-push --json", "pywebpush"],
)
async def test_what_they_wrote_goes_in_and_is_sent_to(
    service: PushService,
    tmp_path: Path,
    make_key: Callable[[Path], Awaitable[bytes]],
    keep: Callable[[dict[str, object], Path], Awaitable[str]],
) -> None:
    key: SigningKey = read_vapid(await make_key(tmp_path))
    subscriber = await service.subscribe(key.public_bytes)
    file = tmp_path / "subscriptions"
    file.write_text(await keep(subscriber.subscription.to_dict(), tmp_path))
    settings = load_settings(
        overrides={"data_dir": tmp_path / "data", "contact": CONTACT, "origin_map": service.origin_map_entries()},
        environ={},
    )
    with opened_source(file, None, Wishes(("userId",))) as source:
        async with open_project(settings) as (services, project):
            report = await bring_in(services, project, source, ImportWishes(key))
            assert report.counts == {"contacts": 1, "subscriptions": 1}
            (record,) = await services.store.list_subscriptions(project, state=None, limit=2, after=0)
            found = await services.store.find_recipient(project, AnyId(record.public_id, None))
            assert found is not None
            assert found.subscription is not None
            (signing,) = [one for one in await services.store.signing_keys(project) if one.id == record.signing_key_id]
            vendor = services.policy.vendor_for(found.subscription.endpoint)
            sender = Sender(signing.key, project.contact, services.tokens, services.clock, services.entropy)
            await services.transport.post(sender.build(found.subscription, b"Hello", PushOptions(), vendor))
    assert record.contact_external_id == "17"
    assert (await subscriber.receive(SECONDS)).data == b"Hello"
