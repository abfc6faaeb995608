"""Bad input: each is refused by a problem that names the field, and changes nothing."""

from __future__ import annotations

import pytest

from pushkeep.domain.moment import write_moment
from tests.web.conftest import Site
from tests.web.subscriptions import JsonObject, subscription_json

CONTENT = {"title": "Hello", "body": "World", "url": "/news"}
PAY = {"action": "pay", "title": "Pay"}
ALL = {"to": {"all": True}}
UNKNOWN_ID = "01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47"

BAD_TARGETS: list[tuple[object, str]] = [
    ({}, "to"),
    ({"all": False}, "to.all"),
    ({"all": True, "contacts": ["a"]}, "to"),
    ({"all": True, "tag": "customer"}, "to"),
    ({"contacts": []}, "contacts"),
    ({"contacts": "a"}, "to.contacts"),
    ({"contacts": [5]}, "to.contacts[0]"),
    ({"contacts": ["a\u0000b"]}, "contacts"),
    ({"contacts": [str(number) for number in range(10_001)]}, "contacts"),
    ({"subscriptions": ["nonsense"]}, "subscriptions"),
    ({"tag": "Not a tag"}, "tag"),
    ({"tag": "nobody-has-it"}, "tag"),
    ({"segment": "x"}, "to.segment"),
    ("all", "to"),
]
BAD_CONTENTS: list[tuple[JsonObject, str]] = [
    ({}, "content.title"),
    ({"title": ""}, "title"),
    ({"title": "x", "colour": "red"}, "content.colour"),
    ({"title": "x", "url": "javascript:alert(1)"}, "url"),
    ({"title": "x", "url": "http://intranet.example/"}, "url"),
    ({"title": "x", "actions": {}}, "content.actions"),
    ({"title": "x", "actions": [PAY, {"action": "b"}]}, "content.actions[1].title"),
    ({"title": "x", "actions": [PAY, PAY | {"id": 1}]}, "content.actions[1].id"),
    ({"title": "x", "actions": [PAY, PAY]}, "actions[1].action"),
    ({"title": "x", "actions": [PAY, PAY, PAY]}, "actions"),
    ({"title": "x", "actions": [PAY | {"title": "a\u0000b"}]}, "actions[0].title"),
    ({"title": "x", "actions": [PAY | {"url": "data:,x"}]}, "actions[0].url"),
    ({"title": "x", "app_badge": -1}, "app_badge"),
    ({"title": "x", "app_badge": 2**53}, "app_badge"),
    ({"title": "x", "app_badge": "3"}, "content.app_badge"),
    ({"title": "x", "data": [[]] * 150_000}, "data"),
]
BAD_OPTIONS: list[tuple[JsonObject, str]] = [
    ({"ttl": -1}, "ttl"),
    ({"ttl": 2**31 + 1}, "ttl"),
    ({"ttl": "60"}, "options.ttl"),
    ({"ttl": True}, "options.ttl"),
    ({"urgency": "now"}, "options.urgency"),
    ({"topic": "a b"}, "topic"),
    ({"renotify": True}, "renotify"),
    ({"receipts": "no"}, "options.receipts"),
    ({"colour": "red"}, "options.colour"),
]
BAD_BODIES: list[tuple[JsonObject, str]] = [
    ({"content": CONTENT}, "to"),
    (ALL, "content"),
    ({**ALL, "content": CONTENT, "payload": "x"}, "content"),
    ({**ALL, "payload_base64": "!"}, "payload_base64"),
    ({**ALL, "payload": "x", "options": {"tag": "t"}}, "options"),
    ({**ALL, "payload": "x", "options": {"compress": True}}, "options"),
    ({**ALL, "content": CONTENT, "colour": "red"}, "colour"),
    ({**ALL, "content": CONTENT, "dry_run": 1}, "dry_run"),
    ({**ALL, "content": CONTENT, "priority": "urgent"}, "priority"),
    ({**ALL, "content": CONTENT, "priority": 0}, "priority"),
    ({**ALL, "content": CONTENT, "send_at": "2020-01-01T00:00:00Z"}, "send_at"),
    ({**ALL, "content": CONTENT, "send_at": "2999-01-01T00:00:00Z"}, "send_at"),
    ({**ALL, "content": CONTENT, "send_at": "2999-01-01T00:00:00"}, "send_at"),
    ({**ALL, "content": CONTENT, "send_at": "tomorrow"}, "send_at"),
    ({**ALL, "content": CONTENT, "send_at": 1_900_000_000}, "send_at"),
    ({**ALL, "content": CONTENT, "deadline": "2020-01-01T00:00:00Z"}, "deadline"),
    ({**ALL, "content": CONTENT, "deadline": "2999-01-01T00:00:00Z"}, "deadline"),
    ({**ALL, "content": CONTENT, "deadline": "never"}, "deadline"),
    *(({"to": target, "content": CONTENT}, field) for target, field in BAD_TARGETS),
    *(({**ALL, "content": content}, field) for content, field in BAD_CONTENTS),
    *(({**ALL, "content": CONTENT, "options": options}, field) for options, field in BAD_OPTIONS),
]


@pytest.mark.parametrize(("body", "field"), BAD_BODIES)
async def test_a_bad_notification_is_refused_naming_the_field(site: Site, body: JsonObject, field: str) -> None:
    before = site.rows()
    for answer in (await site.notify(**body), await site.notify(**{"dry_run": True, **body})):
        assert (answer.status_code, answer.json().get("field")) == (422, field), answer.text
        assert answer.json()["detail"].endswith(".")
    assert site.rows() == before


async def test_a_message_that_does_not_fit_says_by_how_much(site: Site) -> None:
    before = site.rows()
    answer = await site.notify(**ALL, payload="x" * 4000)
    assert (answer.status_code, answer.json()["code"], answer.json()["excess_bytes"]) == (413, "payload_too_large", 7)
    assert site.rows() == before


@pytest.mark.parametrize("key", ["", "a b", "é", "k" * 256])
async def test_a_bad_idempotency_key_is_refused(site: Site, key: str) -> None:
    before = site.rows()
    answer = await site.client.post(
        "/v1/notifications",
        json={**ALL, "content": CONTENT},
        headers=[(b"Authorization", f"Bearer {site.api_key}".encode()), (b"Idempotency-Key", key.encode())],
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")
    assert site.rows() == before


async def test_two_idempotency_keys_are_one_too_many(site: Site) -> None:
    headers = [*site.auth.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await site.client.post("/v1/notifications", json={**ALL, "content": CONTENT}, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")


async def test_a_key_that_was_used_for_another_request_is_refused(site: Site) -> None:
    headers = {**site.auth, "Idempotency-Key": "k"}
    first = await site.client.post("/v1/notifications", json={**ALL, "content": CONTENT}, headers=headers)
    assert first.status_code == 202
    before = site.rows()
    for body in (
        {**ALL, "content": {**CONTENT, "title": "Goodbye"}},
        {**ALL, "content": CONTENT, "options": {"ttl": 1}},
        {**ALL, "payload": "Hello"},
        {"to": {"contacts": ["user-17"]}, "content": CONTENT},
        {**ALL, "content": CONTENT, "priority": "bulk"},
    ):
        answer = await site.client.post("/v1/notifications", json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict"), answer.text
        assert (answer.json()["field"], answer.json()["id"]) == ("Idempotency-Key", first.json()["id"])
    assert site.rows() == before


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?limit=x", "limit"),
        ("?limit=٣", "limit"),
        ("?limit=1&limit=2", "query"),
        ("?before=x", "before"),
        ("?status=done", "query"),
        ("/x", "id"),
        ("/HMV192av", "id"),
        ("/x/outcomes", "id"),
        ("/x/progress", "id"),
        (f"/{UNKNOWN_ID}?wait=31", "wait"),
        (f"/{UNKNOWN_ID}?wait=-1", "wait"),
        (f"/{UNKNOWN_ID}?wait=1.5", "wait"),
        (f"/{UNKNOWN_ID}?wait=", "wait"),
        (f"/{UNKNOWN_ID}?limit=1", "query"),
        (f"/{UNKNOWN_ID}/outcomes?kind=dead", "kind"),
        (f"/{UNKNOWN_ID}/outcomes?kind=moved", "kind"),
        (f"/{UNKNOWN_ID}/outcomes?limit=1001", "limit"),
        (f"/{UNKNOWN_ID}/outcomes?wait=99", "wait"),
        (f"/{UNKNOWN_ID}/progress?wait=1", "query"),
    ],
)
async def test_a_bad_question_is_refused(site: Site, path: str, field: str) -> None:
    answer = await site.client.get(f"/v1/notifications{path}", headers=site.auth)
    assert (answer.status_code, answer.json().get("field")) == (422, field), answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "?wait=5"),
        ("GET", "/outcomes"),
        ("GET", "/outcomes?wait=5"),
        ("GET", "/progress"),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/cancel"),
        ("POST", "/retry-failed"),
    ],
)
async def test_an_unknown_notification_is_not_found(site: Site, method: str, path: str) -> None:
    answer = await site.client.request(method, f"/v1/notifications/{UNKNOWN_ID}{path}", headers=site.auth)
    assert (answer.status_code, answer.json()["field"]) == (404, "id")


async def test_pages_begin_where_something_is(site: Site) -> None:
    sent = (await site.notify(**ALL, content=CONTENT)).json()["id"]
    listed = await site.client.get(f"/v1/notifications?before={UNKNOWN_ID}", headers=site.auth)
    outcomes = await site.client.get(f"/v1/notifications/{sent}/outcomes?after={UNKNOWN_ID}", headers=site.auth)
    assert (listed.status_code, listed.json()["field"]) == (404, "before")
    assert (outcomes.status_code, outcomes.json()["field"]) == (404, "after")


async def test_a_repeat_of_what_has_not_ended_changes_nothing(site: Site) -> None:
    await site.register(subscription_json())
    tomorrow = write_moment(site.services.clock.now() + 86_400)
    sent = (await site.notify(**ALL, content=CONTENT, send_at=tomorrow)).json()["id"]
    before = site.rows()
    answer = await site.client.post(f"/v1/notifications/{sent}/retry-failed", headers=site.auth)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert site.rows() == before
