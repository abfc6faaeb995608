"""The two routes that browsers come to after a broadcast, by the thousand: receipts, and messages that are fetched."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
from typing import Any

import httpx
import pytest

from pushkeep.app.accept import Asked, accept
from pushkeep.app.receipts import BUFFER_RECEIPTS_MAX
from pushkeep.domain.event import ReceiptsDropped
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.receipt import ReceiptTokens, receipt_key
from pushkeep.protocol.request import PushOptions
from pushkeep.web.direct import BODY_BYTES_MAX
from tests.store.samples import registration, subscription
from tests.web.conftest import Site, running_site, settings_for

ORIGIN = "http://localhost:8200"
LONG = {"title": "Hi", "body": "word " * 200, "data": {"order": "x" * 9000}, "fetch": True}


class Told:
    """A notification that was accepted, and tokens of it."""

    def __init__(self, site: Site, public_id: str, number: int, key: bytes) -> None:
        self.site = site
        self.id = public_id
        self.number = number
        self._tokens = ReceiptTokens(key, public_id)

    def token(self, subscription_id: int = 1) -> str:
        return self._tokens.make(subscription_id).decode()

    async def report(self, kind: str = "displayed", subscription_id: int = 1, **given: Any) -> httpx.Response:
        body = f"{kind} {self.id} {self.token(subscription_id)}"
        return await post(self.site, "receipts", body, **given)

    async def counts(self) -> dict[str, int]:
        return dict(await self.site.services.store.receipt_counts(self.site.project, self.number))


async def tell(site: Site, **content: Any) -> Told:
    asked = Asked.of(Target.everyone(), Content.of(**{"title": "Hi", **content}), PushOptions(ttl=60))
    accepted = await accept(site.services, site.project, asked, worker=None)
    await browsers(site, 2)  # after it, so that nothing is sent to them
    key = receipt_key((await site.services.store.project_secrets(site.project)).sync)
    return Told(site, accepted.record.public_id, accepted.record.id, key)


async def browsers(site: Site, count: int) -> None:
    """As many subscriptions, numbered from 1: of others nothing is counted."""
    given = [registration(subscription(f"browser-{number}")) for number in range(count)]
    await asyncio.gather(*(site.services.store.register(site.project, one) for one in given))


async def post(site: Site, route: str, body: str | bytes, *, key: str | None = None, **headers: str) -> httpx.Response:
    base = site.base if key is None else f"/v1/client/{key}"
    given = {"content-type": "text/plain;charset=UTF-8", **headers}
    return await site.client.post(f"{base}/{route}", content=body, headers=given)


async def stopped(site: Site) -> None:
    """As a stop does: what waits is written down."""
    beacon: Any = site.app.direct.handlers["receipts"]
    await beacon._buffer.aclose()


async def test_what_browsers_did_is_counted(site: Site) -> None:
    told = await tell(site)
    for kind, subscription_id in (("displayed", 1), ("displayed", 2), ("clicked", 1), ("closed", 2), ("displayed", 1)):
        answer = await told.report(kind, subscription_id)
        assert (answer.status_code, answer.content) == (204, b"")
    await stopped(site)
    assert await told.counts() == {"displayed": 2, "clicked": 1, "closed": 1}


async def test_what_waits_is_written_when_the_application_ends(tmp_path: Any) -> None:
    settings = settings_for(tmp_path)
    async with running_site(settings) as site:
        told = await tell(site)
        await told.report()
    async with running_site(settings) as again:
        told.site = again
        assert await told.counts() == {"displayed": 1, "clicked": 0, "closed": 0}


async def test_figures_are_there_within_seconds(site: Site) -> None:
    told = await tell(site)
    await told.report()
    async with asyncio.timeout(10):
        while (await told.counts())["displayed"] == 0:  # noqa: ASYNC110 - a store announces nothing
            await asyncio.sleep(0.05)  # the flush is a second away


async def test_a_forger_is_answered_alike_and_counts_nothing(site: Site) -> None:
    told, other = await tell(site), await tell(site)
    heard: list[Any] = []
    site.services.announcer.listen(heard.append)
    token = told.token()
    forged: list[str | bytes] = [
        f"displayed {told.id} {other.token()}",
        f"displayed {told.id} {'A' * 27}",
        f"displayed 01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47 {token}",
        f"opened {told.id} {token}",
        f"displayed {told.id} {token} ",
        f"displayed  {told.id} {token}",
        f"displayed {told.id.upper()} {token}",
        "",
        "{}",
        b"\xff\x00",
        f"displayed {told.id} {'.' * 27}",
    ]
    for body in forged:
        answer = await post(site, "receipts", body)
        assert (answer.status_code, answer.content) == (204, b"")
    body = f"displayed {told.id} {token}"
    for key in ("pk_" + "A" * 24, "pk_x", "%00", "é"):
        assert (await post(site, "receipts", body, key=key)).status_code == 204
    await stopped(site)
    assert await told.counts() == {"displayed": 0, "clicked": 0, "closed": 0}
    assert sum(event.count for event in heard if isinstance(event, ReceiptsDropped)) == len(forged) + 4


@pytest.mark.parametrize("route", ["receipts", "messages"])
async def test_bodies_are_small(site: Site, route: str) -> None:
    assert (await post(site, route, b"x" * BODY_BYTES_MAX)).status_code in (204, 404)
    assert (await post(site, route, b"x" * (BODY_BYTES_MAX + 1))).status_code == 413

    async def endless() -> Any:
        for _ in range(100):
            yield b"x" * 100

    answer = await site.client.post(f"{site.base}/{route}", content=endless())
    assert answer.status_code == 413


@pytest.mark.parametrize("route", ["receipts", "messages"])
async def test_only_post_is_answered(site: Site, route: str) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = await site.client.request(method, f"{site.base}/{route}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    answer = await site.client.options(f"{site.base}/{route}", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN


async def test_nothing_of_the_caller_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = await tell(site, **LONG)
    before = len(caplog.records)
    await told.report()
    await post(site, "messages", f"{told.id} {told.token()}")
    assert [record for record in caplog.records[before:] if record.name.startswith("pushkeep")] == []


async def test_no_address_is_limited_however_many_come_from_it(site: Site) -> None:
    told = await tell(site)
    await browsers(site, 300)
    answers = [await told.report(subscription_id=number) for number in range(1, 301)]
    assert {answer.status_code for answer in answers} == {204}
    await stopped(site)
    assert (await told.counts())["displayed"] == 300 < BUFFER_RECEIPTS_MAX


async def test_the_whole_message_is_for_the_holder_of_a_token(site: Site) -> None:
    told = await tell(site, **LONG)
    for _ in range(2):
        answer = await post(site, "messages", f"{told.id} {told.token()}", origin=ORIGIN)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        shown = answer.json()
        assert shown["notification"]["body"] == "word " * 200
        assert shown["notification"]["data"] == {"order": "x" * 9000}
        assert shown["pushkeep"] == {"id": told.id}


async def test_other_sites_cannot_read_it(site: Site) -> None:
    told = await tell(site, **LONG)
    answer = await post(site, "messages", f"{told.id} {told.token()}", origin="https://evil.example")
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "Origin"


async def test_nobody_else_gets_anything(site: Site) -> None:
    told, other = await tell(site, **LONG), await tell(site)
    bodies = [
        f"{told.id} {other.token()}",
        f"{told.id} {'A' * 27}",
        f"01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47 {told.token()}",
        told.id,
        json.dumps({"id": told.id, "token": told.token()}),
        "",
    ]
    for body in bodies:
        answer = await post(site, "messages", body)
        assert (answer.status_code, answer.content) == (404, b"")
    answer = await post(site, "messages", f"{told.id} {told.token()}", key="pk_" + "A" * 24)
    assert answer.status_code == 404


async def test_a_payload_of_the_sites_own_making_is_not_fetched(site: Site) -> None:
    asked = Asked.of(Target.everyone(), b"own", PushOptions(ttl=60))
    accepted = await accept(site.services, site.project, asked, worker=None)
    key = receipt_key((await site.services.store.project_secrets(site.project)).sync)
    told = Told(site, accepted.record.public_id, accepted.record.id, key)
    assert (await post(site, "messages", f"{told.id} {told.token()}")).status_code == 404


@pytest.mark.parametrize(
    "damage", ["UPDATE notifications SET content = x'00'", "UPDATE projects SET sync_secret = x'00'"]
)
async def test_what_is_damaged_is_answered_like_what_is_away(site: Site, damage: str) -> None:
    told = await tell(site, **LONG)
    with contextlib.closing(sqlite3.connect(site.settings.database)) as database, database:
        database.execute(damage)
    assert (await post(site, "messages", f"{told.id} {told.token()}")).status_code == 503
    assert (await told.report()).status_code == 204


async def test_before_the_lifespan_the_routes_say_so(tmp_path: Any) -> None:
    from pushkeep.compose import create_app
    from tests.web.conftest import client_for

    app = create_app(settings_for(tmp_path))
    async with client_for(app) as client:
        answer = await client.post(f"/v1/client/pk_{'A' * 24}/receipts", content="x")
    assert answer.status_code == 503
