"""Whatever is sent, the answer is a proper refusal and the server goes on."""

from __future__ import annotations

import json
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from tests.web.conftest import Site
from tests.web.subscriptions import subscription_json

SLOW = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
TEXT = st.text(max_size=40) | st.sampled_from(["\x00", "\u202e", "\ud7ff", "𝕏" * 10, "../..", "%00", "{{7*7}}"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
VALID = subscription_json()
WORDS = ["v1", "client", "pk_x", "config", "subscriptions", "notifications", "contacts", "pushkeep", "demo"]
UNKNOWN_ID = "01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47"


@pytest.fixture
def overrides() -> dict[str, object]:
    return {"client_requests_burst": 100_000, "failed_keys_per_minute": 100_000}


def mutated(base: dict[str, object], names: list[str]) -> st.SearchStrategy[dict[str, object]]:
    """The base with one or two members replaced by anything, or taken out."""
    change = st.tuples(st.sampled_from(names), JSON | st.just("(left out)"))

    def apply(changes: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(base)
        for name, value in changes:
            result.pop(name, None)
            if value != "(left out)":
                result[name] = value
        return result

    return st.lists(change, min_size=1, max_size=2).map(apply)


def check(status: int, content_type: str, text: str) -> None:
    assert status < 500, text
    if status >= 400:
        assert content_type == "application/problem+json"
        assert json.loads(text)["detail"]


@SLOW
@given(
    body=JSON
    | mutated(
        {"subscription": VALID, "application_server_key": "AAAA", "replaces": "st_x", "identity": "v1.x.y"},
        ["subscription", "application_server_key", "replaces", "identity", "extra"],
    )
)
async def test_any_registration(site: Site, body: object) -> None:
    answer = await site.client.post(f"{site.base}/subscriptions", json=body)
    assert answer.status_code >= 400
    check(answer.status_code, answer.headers["content-type"], answer.text)


@SLOW
@given(
    subscription=mutated(VALID, ["endpoint", "keys", "expirationTime", "encodings", "extra"]),
    keys=st.none() | mutated({"p256dh": "AAAA", "auth": "AAAA"}, ["p256dh", "auth", "x"]),
)
async def test_any_subscription(site: Site, subscription: dict[str, object], keys: object) -> None:
    answer = await site.register(subscription if keys is None else {**subscription, "keys": keys})
    check(answer.status_code, answer.headers["content-type"], answer.text)


@SLOW
@given(
    body=JSON
    | mutated(
        {"to": {"all": True}, "content": {"title": "x"}, "options": {"ttl": 1}},
        [
            "to",
            "content",
            "options",
            "payload",
            "payload_base64",
            "priority",
            "send_at",
            "deadline",
            "dry_run",
            "extra",
        ],
    )
    | st.builds(
        lambda to, content, options: {"to": to, "content": content, "options": options},
        mutated({"all": True}, ["all", "tag", "contacts", "subscriptions"]),
        mutated({"title": "x"}, ["title", "body", "url", "icon", "image", "badge", "data", "lang", "dir"]),
        mutated(
            {"ttl": 1},
            [
                "ttl",
                "urgency",
                "topic",
                "tag",
                "renotify",
                "silent",
                "require_interaction",
                "receipts",
                "compress",
                "fetch",
            ],
        ),
    )
)
async def test_any_notification(site: Site, body: object) -> None:
    answer = await site.client.post("/v1/notifications", json=body, headers=site.auth)
    check(answer.status_code, answer.headers["content-type"], answer.text)


@SLOW
@given(
    external_id=TEXT.map(lambda text: quote(text.encode(errors="replace"), safe="")) | st.text("/%.aé0", max_size=9),
    body=JSON | mutated({"tags": ["a"]}, ["tags", "extra"]),
)
async def test_any_contact(site: Site, external_id: str, body: object) -> None:
    for method in ("PUT", "GET"):
        answer = await site.client.request(
            method, f"/v1/contacts/{external_id}", json=body if method == "PUT" else None, headers=site.auth
        )
        check(answer.status_code, answer.headers["content-type"], answer.text)


@SLOW
@given(query=st.dictionaries(st.sampled_from(["wait", "kind", "limit", "after", "before", "x"]), TEXT, max_size=2))
async def test_any_question(site: Site, query: dict[str, str]) -> None:
    for path in ("", f"/{UNKNOWN_ID}", f"/{UNKNOWN_ID}/outcomes", f"/{UNKNOWN_ID}/progress"):
        answer = await site.client.get(f"/v1/notifications{path}", params=query, headers=site.auth)
        check(answer.status_code, answer.headers["content-type"], answer.text)


@SLOW
@given(body=st.binary(max_size=200))
async def test_any_octets(site: Site, body: bytes) -> None:
    for path, headers in ((f"{site.base}/subscriptions", {}), ("/v1/notifications", site.auth)):
        answer = await site.client.post(path, content=body, headers={**headers, "Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500
        check(answer.status_code, answer.headers["content-type"], answer.text)


@SLOW
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"]),
    parts=st.lists(
        st.sampled_from([*WORDS, "..", "%2e%2e", "%2f", "%00"]) | st.text(alphabet="abc%:@!$&'()*+,;=-._~", max_size=8),
        max_size=6,
    ),
    bearer=st.none() | st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=60),
)
async def test_any_address(site: Site, method: str, parts: list[str], bearer: str | None) -> None:
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    try:
        url = httpx.URL("http://localhost:8200/" + "/".join(parts))
    except httpx.InvalidURL:
        reject()  # the client library would not send it
    answer = await site.client.request(method, url, headers=headers)
    assert answer.status_code < 500
    assert answer.headers["x-content-type-options"] == "nosniff"
