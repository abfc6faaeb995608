"""The site's own server: sending with an API key, and looking at what is stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pushkeep.pushservice import PushService
from tests.web.conftest import Site, client_for, running_site, settings_for
from tests.web.subscriptions import JsonObject, subscription_json

CONTENT = {"title": "Hello", "body": "World", "url": "/news"}
PAY = {"action": "pay", "title": "Pay"}


async def subscribe(site: Site, service: PushService, **more: object) -> tuple[JsonObject, object]:
    """A subscriber at the local push service, registered by API key."""
    subscriber = await service.subscribe()
    body = {"subscription": subscriber.subscription.to_dict(), "application_server_key": site.server_key, **more}
    answer = await site.client.post("/v1/subscriptions", json=body, headers=site.auth)
    assert answer.status_code == 201, answer.text
    return answer.json(), subscriber


async def test_a_notification_arrives_and_is_reported(sending_site: Site, push_service: PushService) -> None:
    site = sending_site
    subscriber = await push_service.subscribe()
    receipt = (await site.register(subscriber.subscription.to_dict())).json()
    answer = await site.notify(
        to={"subscriptions": [receipt["short_id"]]},
        content={**CONTENT, "data": {"n": 1}},
        options={"ttl": 60, "urgency": "high", "topic": "news", "tag": "t1"},
    )
    assert answer.status_code == 200
    report = answer.json()
    assert (report["status"], report["targeted"], report["counts"], report["skipped"]) == (
        "sent",
        1,
        {"accepted": 1},
        {},
    )
    (result,) = report["results"]
    assert (result["id"], result["short_id"]) == (receipt["id"], receipt["short_id"])
    assert (result["verdict"], result["status"], result["action"]) == ("accepted", 201, "done")

    message = await subscriber.receive(5)
    assert (message.ttl, message.urgency, message.topic) == (60, "high", "news")
    assert message.data is not None
    payload = json.loads(message.data)
    assert payload["pushkeep"] == {"id": report["id"]}
    assert payload["notification"]["title"] == "Hello"
    assert payload["notification"]["navigate"] == "http://localhost:8200/news"
    assert payload["notification"]["tag"] == "t1"
    assert payload["notification"]["data"] == {"n": 1}


async def test_actions_and_the_number_at_the_icon_arrive(sending_site: Site, push_service: PushService) -> None:
    receipt, subscriber = await subscribe(sending_site, push_service)
    actions = [{"action": "answer", "title": "Answer", "url": "/answer"}, {"action": "read", "title": "Read it"}]
    answer = await sending_site.notify(
        to={"subscriptions": [receipt["id"]]}, content={**CONTENT, "actions": actions, "app_badge": 0}
    )
    assert answer.status_code == 200, answer.text
    payload = json.loads((await subscriber.receive(5)).data or b"")
    assert payload["notification"]["actions"] == [
        {"action": "answer", "title": "Answer", "navigate": "http://localhost:8200/answer"},
        {"action": "read", "title": "Read it", "navigate": "http://localhost:8200/news"},
    ]
    assert payload["app_badge"] == payload["notification"]["app_badge"] == 0


async def test_who_is_gone_is_dropped_with_the_services_words(sending_site: Site, push_service: PushService) -> None:
    site = sending_site
    staying, _ = await subscribe(site, push_service)
    leaving, subscriber = await subscribe(site, push_service, contact="user-17")
    await subscriber.unsubscribe()  # type: ignore[attr-defined]

    report = (await site.notify(to={"all": True}, content=CONTENT)).json()
    assert report["counts"] == {"accepted": 1, "gone": 1}
    by_id = {result["id"]: result for result in report["results"]}
    gone = by_id[leaving["id"]]
    assert (gone["verdict"], gone["action"], gone["contact"], gone["status"]) == ("gone", "dropped", "user-17", 410)
    assert gone["explanation"]["text"]
    assert gone["explanation"]["errno"] == 106
    assert gone["explanation"]["more_info"].endswith("#error-codes")

    stored = (await site.client.get(f"/v1/subscriptions/{leaving['short_id']}", headers=site.auth)).json()
    assert stored["state"] == "gone"
    assert stored["ended"]["text"] == gone["explanation"]["text"]
    assert stored["ended"]["errno"] == 106
    again = (await site.notify(to={"subscriptions": [leaving["id"], staying["id"]]}, content=CONTENT)).json()
    assert again["counts"] == {"accepted": 1}
    assert sum(again["skipped"].values()) == 1


async def test_contacts_are_reached_on_all_their_browsers(sending_site: Site, push_service: PushService) -> None:
    site = sending_site
    subscribers = [(await subscribe(site, push_service, contact="user-17"))[1] for _ in range(2)]
    await subscribe(site, push_service, contact="user-18")
    report = (await site.notify(to={"contacts": ["user-17", "nobody"]}, content=CONTENT)).json()
    assert report["counts"] == {"accepted": 2}
    assert [result["contact"] for result in report["results"] if result["skipped"]] == ["nobody"]
    for subscriber in subscribers:
        assert (await subscriber.receive(5)).data  # type: ignore[attr-defined]


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
    receipt, subscriber = await subscribe(sending_site, push_service)
    report = (await sending_site.notify(to={"subscriptions": [receipt["id"]]}, **given)).json()
    assert report["counts"] == {"accepted": 1}
    assert (await subscriber.receive(5)).data == received  # type: ignore[attr-defined]


async def test_curl_without_a_content_type_works(sending_site: Site, push_service: PushService) -> None:
    receipt, _ = await subscribe(sending_site, push_service)
    answer = await sending_site.client.post(
        "/v1/notifications",
        content=json.dumps({"to": {"subscriptions": [receipt["id"]]}, "content": {"title": "Hi"}}),
        headers={**sending_site.auth, "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.json()["counts"] == {"accepted": 1}


BAD_NOTIFICATIONS: list[tuple[JsonObject, str]] = [
    ({"content": CONTENT}, "to"),
    ({"to": {}, "content": CONTENT}, "to"),
    ({"to": {"all": False}, "content": CONTENT}, "to.all"),
    ({"to": {"all": True, "contacts": ["a"]}, "content": CONTENT}, "to"),
    ({"to": {"contacts": []}, "content": CONTENT}, "contacts"),
    ({"to": {"contacts": "a"}, "content": CONTENT}, "to.contacts"),
    ({"to": {"contacts": [5]}, "content": CONTENT}, "to.contacts[0]"),
    ({"to": {"contacts": ["a\u0000b"]}, "content": CONTENT}, "contacts"),
    ({"to": {"subscriptions": ["nonsense"]}, "content": CONTENT}, "subscriptions"),
    ({"to": {"segment": "x"}, "content": CONTENT}, "to.segment"),
    ({"to": {"all": True}}, "content"),
    ({"to": {"all": True}, "content": CONTENT, "payload": "x"}, "content"),
    ({"to": {"all": True}, "payload_base64": "!"}, "payload_base64"),
    ({"to": {"all": True}, "content": {}}, "content.title"),
    ({"to": {"all": True}, "content": {"title": ""}}, "title"),
    ({"to": {"all": True}, "content": {"title": "x", "colour": "red"}}, "content.colour"),
    ({"to": {"all": True}, "content": {"title": "x", "url": "javascript:alert(1)"}}, "url"),
    ({"to": {"all": True}, "content": {"title": "x", "url": "http://intranet.example/"}}, "url"),
    ({"to": {"all": True}, "content": {"title": "x", "actions": {}}}, "content.actions"),
    ({"to": {"all": True}, "content": {"title": "x", "actions": [PAY, {"action": "b"}]}}, "content.actions[1].title"),
    ({"to": {"all": True}, "content": {"title": "x", "actions": [PAY, PAY | {"id": 1}]}}, "content.actions[1].id"),
    ({"to": {"all": True}, "content": {"title": "x", "actions": [PAY, PAY]}}, "actions[1].action"),
    ({"to": {"all": True}, "content": {"title": "x", "actions": [PAY, PAY, PAY]}}, "actions"),
    ({"to": {"all": True}, "content": {"title": "x", "actions": [PAY | {"title": "a\u0000b"}]}}, "actions[0].title"),
    ({"to": {"all": True}, "content": {"title": "x", "actions": [PAY | {"url": "data:,x"}]}}, "actions[0].url"),
    ({"to": {"all": True}, "content": {"title": "x", "app_badge": -1}}, "app_badge"),
    ({"to": {"all": True}, "content": {"title": "x", "app_badge": 2**53}}, "app_badge"),
    ({"to": {"all": True}, "content": {"title": "x", "app_badge": "3"}}, "content.app_badge"),
    ({"to": {"all": True}, "content": CONTENT, "options": {"ttl": -1}}, "ttl"),
    ({"to": {"all": True}, "content": CONTENT, "options": {"ttl": "60"}}, "options.ttl"),
    ({"to": {"all": True}, "content": CONTENT, "options": {"ttl": True}}, "options.ttl"),
    ({"to": {"all": True}, "content": CONTENT, "options": {"urgency": "now"}}, "options.urgency"),
    ({"to": {"all": True}, "content": CONTENT, "options": {"topic": "a b"}}, "topic"),
    ({"to": {"all": True}, "content": CONTENT, "options": {"renotify": True}}, "renotify"),
    ({"to": {"all": True}, "payload": "x", "options": {"tag": "t"}}, "options"),
]


@pytest.mark.parametrize(("body", "field"), BAD_NOTIFICATIONS)
async def test_a_bad_notification_is_refused_naming_the_field(site: Site, body: JsonObject, field: str) -> None:
    answer = await site.notify(**body)
    assert (answer.status_code, answer.json().get("field")) == (422, field), answer.text


async def test_a_message_that_does_not_fit_says_by_how_much(site: Site) -> None:
    answer = await site.notify(to={"all": True}, payload="x" * 4000)
    assert (answer.status_code, answer.json()["code"], answer.json()["excess_bytes"]) == (413, "payload_too_large", 7)


@pytest.mark.parametrize("overrides", [{"recipients_max": 2}])
async def test_more_recipients_than_allowed_are_refused_before_anything_is_sent(site: Site) -> None:
    for _ in range(3):
        await site.register(subscription_json())
    answer = await site.notify(to={"all": True}, content=CONTENT)
    assert answer.status_code == 422
    assert "2" in answer.json()["detail"]


KEY_ROUTES = [
    ("POST", "/v1/notifications"),
    ("GET", "/v1/subscriptions"),
    ("POST", "/v1/subscriptions"),
    ("GET", "/v1/subscriptions/HMV192av"),
    ("DELETE", "/v1/subscriptions/HMV192av"),
]


@pytest.mark.parametrize(("method", "path"), KEY_ROUTES)
@pytest.mark.parametrize(
    "authorization", [None, "Bearer ", "Basic eDp5", "Bearer sk_" + "A" * 55, "Bearer pk_x", "Bearer é"]
)
async def test_nothing_opens_without_a_key(site: Site, method: str, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("utf-8")}
    answer = await site.client.request(method, path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert "www-authenticate" in answer.headers


async def test_two_authorization_headers_are_one_too_many(site: Site) -> None:
    headers = [("Authorization", f"Bearer {site.api_key}"), ("Authorization", "Bearer x")]
    assert (await site.client.get("/v1/subscriptions", headers=headers)).status_code == 401


async def test_a_key_in_the_query_is_no_key(site: Site) -> None:
    answer = await site.client.get(f"/v1/subscriptions?api_key={site.api_key}")
    assert answer.status_code == 401
    with_key = await site.client.get(f"/v1/subscriptions?api_key={site.api_key}", headers=site.auth)
    assert (with_key.status_code, with_key.json()["field"]) == (422, "query")
    posted = await site.client.post(f"/v1/notifications?key={site.api_key}", headers=site.auth, json={})
    assert (posted.status_code, posted.json()["field"]) == (422, "query")
    assert site.api_key not in with_key.text + posted.text


async def test_another_installations_key_opens_nothing(site: Site, tmp_path: Path) -> None:
    async with running_site(settings_for(tmp_path / "other")) as other:
        answer = await site.client.get("/v1/subscriptions", headers=other.auth)
    assert answer.status_code == 401


@pytest.mark.parametrize("overrides", [{"failed_keys_per_minute": 1}])
async def test_wrong_keys_are_limited_but_never_lock_a_good_one_out(site: Site) -> None:
    wrong = {"Authorization": "Bearer sk_" + "A" * 55}
    statuses = [(await site.client.get("/v1/subscriptions", headers=wrong)).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    limited = await site.client.get("/v1/subscriptions", headers=wrong)
    assert int(limited.headers["retry-after"]) == limited.json()["retry_after"] <= 60
    assert (await site.client.get("/v1/subscriptions", headers=site.auth)).status_code == 200
    async with client_for(site.app, address="198.51.100.1") as other:
        assert (await other.get("/v1/subscriptions", headers=wrong)).status_code == 401


async def test_listing_pages_through_everything_once(site: Site) -> None:
    stored = [(await site.register(subscription_json())).json()["id"] for _ in range(5)]
    seen: list[str] = []
    after: str | None = None
    while True:
        query = {"limit": "2"} | ({"after": after} if after else {})
        page = (await site.client.get("/v1/subscriptions", params=query, headers=site.auth)).json()
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert seen == stored


async def test_listing_shows_no_secret_and_can_be_narrowed(site: Site) -> None:
    subscription = subscription_json()
    kept = (await site.register(subscription)).json()
    dropped = (await site.register(subscription_json())).json()
    assert (await site.client.delete(f"/v1/subscriptions/{dropped['short_id']}", headers=site.auth)).status_code == 204
    active = await site.client.get("/v1/subscriptions?state=active", headers=site.auth)
    (item,) = active.json()["items"]
    assert item["id"] == kept["id"]
    assert item["push_service"] == "https://updates.push.services.mozilla.com"
    assert item["created_at"].endswith("Z")
    ended = (await site.client.get("/v1/subscriptions?state=unsubscribed", headers=site.auth)).json()["items"]
    assert [(one["id"], one["ended"]["cause"]) for one in ended] == [(dropped["id"], "removed")]
    everything = (await site.client.get("/v1/subscriptions", headers=site.auth)).text
    keys = subscription["keys"]
    assert isinstance(keys, dict)
    for secret in (str(subscription["endpoint"]), *map(str, keys.values()), kept["sync_token"]):
        assert secret not in everything


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("limit=0", 422, "limit"),
        ("limit=1001", 422, "limit"),
        ("limit=-1", 422, "limit"),
        ("limit=x", 422, "limit"),
        ("limit=99999999999999999999", 422, "limit"),
        ("limit=٣", 422, "limit"),
        ("limit=1&limit=2", 422, "query"),
        ("state=dead", 422, "state"),
        ("after=nonsense", 422, "after"),
        ("after=01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47", 404, "id"),
        ("colour=red", 422, "query"),
    ],
)
async def test_a_bad_query_is_refused(site: Site, query: str, status: int, field: str) -> None:
    answer = await site.client.get(f"/v1/subscriptions?{query}", headers=site.auth)
    assert (answer.status_code, answer.json()["field"]) == (status, field)


@pytest.mark.parametrize(
    ("subscription_id", "status"),
    [("HMV192av", 404), ("01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47", 404), ("x", 422), ("%2e%2e", 422), ("%00", 422)],
)
async def test_an_id_that_leads_nowhere(site: Site, subscription_id: str, status: int) -> None:
    for method in ("GET", "DELETE"):
        answer = await site.client.request(method, f"/v1/subscriptions/{subscription_id}", headers=site.auth)
        assert (answer.status_code, answer.json()["field"]) == (status, "id")
