"""The site's own server: sending with an API key, and looking at what is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from pushkeep.pushservice import PushService
from pushkeep.web.openapi_operations import OPERATIONS
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


UNKNOWN_ID = "01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47"
PLACES = {
    "subscription_id": "HMV192av",
    "notification_id": UNKNOWN_ID,
    "external_id": "user-17",
    "key_id": "A" * 12,
    "name": "news",
}
KEY_ROUTES = [
    (operation.method, operation.path.format_map(PLACES)) for operation in OPERATIONS if operation.security == "api_key"
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
    assert [(one["id"], one["reason"], one["ended"]["cause"]) for one in ended] == [
        (dropped["id"], "removed", "removed")
    ]
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
        ("after=01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47", 404, "after"),
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
