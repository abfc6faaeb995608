"""Notifications over the API: accepted, delivered, looked at, held, ended and repeated."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pushkeep.adapters.clock import SystemClock, SystemEntropy
from pushkeep.app.projects import create_api_key, current_signing_key
from pushkeep.compose import ensure_project, open_services
from pushkeep.domain.moment import write_moment
from pushkeep.pushservice import PushService
from pushkeep.web.app import PushkeepApp, Running
from pushkeep.web.options import WebOptions
from tests.web.conftest import Site, client_for, settings_for
from tests.web.subscriptions import JsonObject, subscription_json

CONTENT = {"title": "Hello", "body": "World", "url": "/news"}


async def scheduled(site: Site, **more: object) -> str:
    """A notification whose time does not come while the test runs."""
    now = site.services.clock.now()
    answer = await site.notify(
        **{"to": {"all": True}, "content": CONTENT, "send_at": write_moment(now + 3600), "priority": "bulk", **more}
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def test_a_notification_arrives_and_its_outcome_is_told(sending_site: Site, push_service: PushService) -> None:
    site = sending_site
    subscriber = await push_service.subscribe()
    receipt = (await site.register(subscriber.subscription.to_dict())).json()
    answer = await site.notify(
        to={"subscriptions": [receipt["short_id"]]},
        content={**CONTENT, "data": {"n": 1}},
        options={"ttl": 60, "urgency": "high", "topic": "news", "tag": "t1"},
    )
    accepted = answer.json()
    assert (answer.status_code, accepted["targeted"], accepted["unknown"]) == (202, 1, [])
    assert answer.headers["location"] == f"http://localhost:8200/v1/notifications/{accepted['id']}"
    assert "idempotency-replayed" not in answer.headers

    report = await site.ended(accepted["id"])
    assert (report["status"], report["targeted"], report["counts"], report["waiting"]) == (
        "done",
        1,
        {"accepted": 1},
        0,
    )
    assert report["vendors"] == {"mozilla": {"targeted": 1, "counts": {"accepted": 1}, "waiting": 0}}
    assert report["options"] == {"ttl": 60, "urgency": "high", "topic": "news"}
    assert (report["to"], report["priority"], report["retry_of"]) == ("subscriptions", "normal", None)
    (outcome,) = await site.outcomes(report["id"])
    assert (outcome["id"], outcome["short_id"]) == (receipt["id"], receipt["short_id"])
    assert (outcome["kind"], outcome["status"], outcome["action"], outcome["attempts"]) == ("accepted", 201, "done", 1)

    message = await subscriber.receive(5)
    assert (message.urgency, message.topic) == ("high", "news")
    assert message.ttl is not None
    assert 50 <= message.ttl <= 60, "what is left until the deadline"
    assert message.data is not None
    payload = json.loads(message.data)
    assert payload["pushkeep"]["id"] == report["id"]
    assert payload["notification"]["title"] == "Hello"
    assert payload["notification"]["navigate"] == "http://localhost:8200/news"
    assert payload["notification"]["tag"] == "t1"
    assert payload["notification"]["data"] == {"n": 1}


async def test_actions_and_the_number_at_the_icon_arrive(sending_site: Site, push_service: PushService) -> None:
    receipt, subscriber = await sending_site.subscriber(push_service)
    actions = [{"action": "answer", "title": "Answer", "url": "/answer"}, {"action": "read", "title": "Read it"}]
    await sending_site.notified(
        to={"subscriptions": [receipt["id"]]}, content={**CONTENT, "actions": actions, "app_badge": 0}
    )
    payload = json.loads((await subscriber.receive(5)).data or b"")
    assert payload["notification"]["actions"] == [
        {"action": "answer", "title": "Answer", "navigate": "http://localhost:8200/answer"},
        {"action": "read", "title": "Read it", "navigate": "http://localhost:8200/news"},
    ]
    assert payload["app_badge"] == payload["notification"]["app_badge"] == 0


async def test_receipts_can_be_refused(sending_site: Site, push_service: PushService) -> None:
    receipt, subscriber = await sending_site.subscriber(push_service)
    for receipts in (True, False):
        await sending_site.notified(
            to={"subscriptions": [receipt["id"]]}, content=CONTENT, options={"receipts": receipts}
        )
        payload = json.loads((await subscriber.receive(5)).data or b"")
        assert ("token" in payload["pushkeep"]) is receipts


async def test_who_is_gone_is_dropped_with_the_services_words(sending_site: Site, push_service: PushService) -> None:
    site = sending_site
    staying, _ = await site.subscriber(push_service)
    leaving, subscriber = await site.subscriber(push_service, contact="user-17")
    await subscriber.unsubscribe()

    report = await site.notified(to={"all": True}, content=CONTENT)
    assert report["counts"] == {"accepted": 1, "gone": 1}
    (gone,) = await site.outcomes(report["id"], kind="gone")
    assert (gone["id"], gone["action"], gone["contact"], gone["status"]) == (leaving["id"], "dropped", "user-17", 410)
    assert gone["meaning"] == "the push service said that the subscription has ended"
    assert gone["explanation"]["text"]
    assert gone["explanation"]["errno"] == 106
    assert gone["explanation"]["more_info"].endswith("#error-codes")

    stored = (await site.client.get(f"/v1/subscriptions/{leaving['short_id']}", headers=site.auth)).json()
    assert stored["state"] == "gone"
    assert stored["ended"]["text"] == gone["explanation"]["text"]
    assert stored["ended"]["errno"] == 106
    again = await site.notify(to={"subscriptions": [leaving["id"], staying["id"]]}, content=CONTENT)
    assert (await site.ended(again.json()["id"]))["counts"]["accepted"] == 1


async def test_contacts_are_reached_on_all_their_browsers(sending_site: Site, push_service: PushService) -> None:
    site = sending_site
    subscribers = [(await site.subscriber(push_service, contact="user-17"))[1] for _ in range(2)]
    await site.subscriber(push_service, contact="user-18")
    answer = await site.notify(to={"contacts": ["user-17", "nobody"]}, content=CONTENT)
    assert answer.json()["unknown"] == ["nobody"]
    report = await site.ended(answer.json()["id"])
    assert report["counts"] == {"accepted": 2}
    assert {outcome["contact"] for outcome in await site.outcomes(report["id"])} == {"user-17"}
    for subscriber in subscribers:
        assert (await subscriber.receive(5)).data


async def test_a_tag_reaches_the_contacts_that_have_it(sending_site: Site, push_service: PushService) -> None:
    site = sending_site
    _, customer = await site.subscriber(push_service, contact="user-17")
    _, other = await site.subscriber(push_service, contact="user-18")
    stored = await site.client.put("/v1/contacts/user-17", json={"tags": ["customer"]}, headers=site.auth)
    assert stored.json()["tags"] == ["customer"]
    report = await site.notified(to={"tag": "customer"}, content=CONTENT)
    assert (report["to"], report["counts"]) == ("tag", {"accepted": 1})
    assert (await customer.receive(5)).data
    await site.notified(to={"contacts": ["user-18"]}, payload="after all")
    assert (await other.receive(5)).data == b"after all", "and the first it gets"


@pytest.mark.parametrize(
    ("given", "received"),
    [
        ({"payload": "héllo"}, "héllo".encode()),
        ({"payload_base64": "AP8="}, b"\x00\xff"),
        ({"payload": ""}, None),
        ({"payload_base64": ""}, None),
    ],
)
async def test_a_payload_of_ones_own_is_sent_as_it_is(
    sending_site: Site, push_service: PushService, given: JsonObject, received: bytes | None
) -> None:
    receipt, subscriber = await sending_site.subscriber(push_service)
    report = await sending_site.notified(to={"subscriptions": [receipt["id"]]}, **given)
    assert report["counts"] == {"accepted": 1}
    assert (await subscriber.receive(5)).data == received


async def test_curl_without_a_content_type_works(sending_site: Site, push_service: PushService) -> None:
    receipt, subscriber = await sending_site.subscriber(push_service)
    answer = await sending_site.client.post(
        "/v1/notifications",
        content=json.dumps({"to": {"subscriptions": [receipt["id"]]}, "content": {"title": "Hi"}}),
        headers={**sending_site.auth, "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 202
    assert (await subscriber.receive(5)).data


async def test_the_same_request_under_the_same_key_is_sent_once(sending_site: Site, push_service: PushService) -> None:
    site = sending_site
    receipt, subscriber = await site.subscriber(push_service)
    body = {"to": {"subscriptions": [receipt["id"]]}, "payload": "once"}
    headers = {**site.auth, "Idempotency-Key": "3f1c"}
    first = await site.client.post("/v1/notifications", json=body, headers=headers)
    await site.ended(first.json()["id"])
    reordered = json.dumps(dict(reversed(body.items())), indent=2)
    second = await site.client.post("/v1/notifications", content=reordered, headers=headers)
    assert (second.status_code, second.json()["id"], second.json()["status"]) == (202, first.json()["id"], "done")
    assert (second.headers["idempotency-replayed"], second.headers["location"]) == ("true", first.headers["location"])
    await site.notified(**{**body, "payload": "again"})
    assert [(await subscriber.receive(5)).data for _ in range(2)] == [b"once", b"again"]


async def test_a_dry_run_counts_and_changes_nothing(site: Site) -> None:
    kept = (await site.register(subscription_json())).json()
    await site.register(subscription_json(endpoint="https://fcm.googleapis.com/fcm/send/token"))
    ended = (await site.register(subscription_json())).json()
    await site.client.delete(f"/v1/subscriptions/{ended['id']}", headers=site.auth)
    before = site.rows()
    answer = await site.notify(to={"all": True}, content=CONTENT, dry_run=True)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["health"]["living"], told["health"]["likely_dead"]) == (2, 0)
    assert told == {
        "targeted": 2,
        "push_services": [
            {"push_service": "https://fcm.googleapis.com", "vendor": "fcm", "recipients": 1},
            {"push_service": "https://updates.push.services.mozilla.com", "vendor": "mozilla", "recipients": 1},
        ],
        "skipped": {},
        "unknown": [],
        "health": told["health"],
    }
    listed = await site.notify(
        to={"subscriptions": [kept["id"], ended["id"], "HMV192av"]}, content=CONTENT, dry_run=True
    )
    assert (listed.json()["targeted"], listed.json()["skipped"]) == (1, {"skipped_ended": 1})
    assert "HMV192av" in listed.json()["unknown"]
    assert site.rows() == before


async def test_a_scheduled_one_is_held_resumed_and_cancelled(site: Site) -> None:
    await site.register(subscription_json())
    notification_id = await scheduled(site)

    async def after(command: str) -> tuple[int, object, object]:
        answer = await site.client.post(f"/v1/notifications/{notification_id}/{command}", headers=site.auth)
        return answer.status_code, answer.json()["status"], answer.json().get("paused_at") is not None

    path = f"/v1/notifications/{notification_id}"
    assert (await site.client.get(path, headers=site.auth)).json()["status"] == "scheduled"
    assert await after("pause") == (200, "paused", True)
    assert await after("resume") == (200, "scheduled", False)
    assert await after("cancel") == (200, "cancelled", False)
    assert await after("cancel") == (200, "cancelled", False)
    assert await after("resume") == (409, 409, False)
    assert (await site.ended(notification_id))["finished_at"] is not None


async def test_who_was_not_reached_is_told_again(sending_site: Site, push_service: PushService) -> None:
    site = sending_site
    await site.subscriber(push_service)
    missed, unlucky = await site.subscriber(push_service)
    fault = push_service.faults.add(f"sub:{unlucky.subscription_id} status=400")
    first = await site.notified(to={"all": True}, content=CONTENT, options={"ttl": 0})
    assert first["counts"] == {"accepted": 1, "bad_request": 1}
    push_service.faults.remove(fault)
    answer = await site.client.post(f"/v1/notifications/{first['id']}/retry-failed", headers=site.auth)
    assert (answer.status_code, answer.json()["targeted"]) == (202, 1)
    assert answer.headers["location"].endswith(answer.json()["id"])
    second = await site.ended(answer.json()["id"])
    assert (second["counts"], second["retry_of"], second["to"]) == ({"accepted": 1}, first["id"], "retry")
    assert [outcome["id"] for outcome in await site.outcomes(second["id"])] == [missed["id"]]
    payload = json.loads((await unlucky.receive(5)).data or b"")
    assert (payload["pushkeep"]["id"], payload["notification"]["tag"]) == (second["id"], first["id"])


async def test_a_repeat_that_is_asked_for_again_under_its_key_is_the_same(
    sending_site: Site, push_service: PushService
) -> None:
    site = sending_site
    _, unlucky = await site.subscriber(push_service)
    push_service.faults.add(f"sub:{unlucky.subscription_id} status=400")
    first = await site.notified(to={"all": True}, content=CONTENT, options={"ttl": 0})
    keyed = {**site.auth, "Idempotency-Key": "again"}
    path = f"/v1/notifications/{first['id']}/retry-failed"
    one = await site.client.post(path, headers=keyed)
    assert (one.status_code, "idempotency-replayed" in one.headers) == (202, False)
    await site.ended(one.json()["id"])
    two = await site.client.post(path, headers=keyed)
    assert (two.status_code, two.headers["idempotency-replayed"]) == (202, "true")
    assert (two.json()["id"], two.headers["location"]) == (one.json()["id"], one.headers["location"])
    other = await site.client.post(f"/v1/notifications/{one.json()['id']}/retry-failed", headers=keyed)
    fresh = await site.client.post(
        "/v1/notifications", json={"to": {"all": True}, "content": CONTENT, "options": {"ttl": 0}}, headers=keyed
    )
    for refused in (other, fresh):
        assert (refused.status_code, refused.json()["field"]) == (409, "Idempotency-Key")
        assert refused.json()["id"] == one.json()["id"]
    bad = await site.client.post(path, headers={**site.auth, "Idempotency-Key": "a b"})
    assert (bad.status_code, bad.json()["field"]) == (422, "Idempotency-Key")


async def test_the_latest_are_listed_first(site: Site) -> None:
    sent = [await scheduled(site) for _ in range(5)]
    seen: list[str] = []
    before: str | None = None
    while True:
        query = {"limit": "2"} | ({"before": before} if before else {})
        page = (await site.client.get("/v1/notifications", params=query, headers=site.auth)).json()
        seen += [item["id"] for item in page["items"]]
        before = page["next"]
        if before is None:
            break
    assert seen == sent[::-1]


async def test_outcomes_are_paged_and_narrowed(sending_site: Site, push_service: PushService) -> None:
    site = sending_site
    ids = [(await site.subscriber(push_service))[0]["id"] for _ in range(3)]
    report = await site.notified(to={"all": True}, content=CONTENT)
    path = f"/v1/notifications/{report['id']}/outcomes"
    first = (await site.client.get(path, params={"limit": "2"}, headers=site.auth)).json()
    rest = (await site.client.get(path, params={"limit": "2", "after": first["next"]}, headers=site.auth)).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == ids
    assert rest["next"] is None
    assert await site.outcomes(report["id"], kind="gone,expired") == []
    assert len(await site.outcomes(report["id"], kind="gone,accepted", wait="5")) == 3


async def test_beyond_the_backlog_it_says_when_to_come_again(tmp_path: Path) -> None:
    """A server that accepts and does not deliver, with the smallest backlog there can be."""
    settings = settings_for(tmp_path)

    @asynccontextmanager
    async def opener() -> AsyncIterator[Running]:
        async with open_services(settings) as services:
            yield Running(services, await ensure_project(services, settings))

    options = WebOptions(public_url=settings.public_url, backlog_recipients_max=1)
    app = PushkeepApp(opener, options, clock=SystemClock(), entropy=SystemEntropy())
    async with app.lifespan() as running, client_for(app) as client:
        api_key = await create_api_key(running.services, running.project, "tests")
        server_key = (await current_signing_key(running.services, running.project)).public_b64
        site = Site(app, client, running.services, running.project, settings, api_key, server_key)
        for _ in range(2):
            await site.register(subscription_json())
        accepted = await site.notify(to={"all": True}, content=CONTENT)
        assert (accepted.status_code, accepted.json()["status"]) == (202, "sending")
        before = site.rows()
        refused = await site.notify(to={"all": True}, content=CONTENT)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) == refused.json()["retry_after"] >= 1
        assert site.rows() == before
        waited = await client.get(f"/v1/notifications/{accepted.json()['id']}?wait=1", headers=site.auth)
        assert (waited.status_code, waited.json()["waiting"]) == (200, 2), "time is over, and it is not"
