"""The browser routes, as a page and a hostile stranger call them."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from pushkeep.app.projects import identity_secret
from pushkeep.app.subscribe import find_subscription
from pushkeep.domain.identity import sign_identity
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.signing_key import SigningKey
from tests.web.conftest import Site, client_for, running_site, settings_for
from tests.web.subscriptions import JsonObject, subscription_json, with_keys


async def test_config_gives_the_key_and_is_never_cached(site: Site) -> None:
    answer = await site.client.get(f"{site.base}/config")
    assert answer.status_code == 200
    assert answer.json() == {
        "application_server_key": site.server_key,
        "site_url": "http://localhost:8200",
        "secure": True,
        "explanation": None,
    }
    assert answer.headers["cache-control"] == "no-store"


async def test_config_says_so_where_browsers_offer_no_push(site: Site) -> None:
    answer = await site.client.get(f"{site.base}/config", headers={"Host": "192.168.1.5:8200"})
    assert answer.json()["secure"] is False
    assert "http://localhost:8200" in answer.json()["explanation"]


@pytest.mark.parametrize("key", ["pk_" + "A" * 24, "pk_x", "sk_live", "%00", "pk_" + "A" * 5000, "é"])
async def test_an_unknown_project_is_not_found(site: Site, key: str) -> None:
    answer = await site.client.get(f"/v1/client/{key}/config")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


async def test_registering_is_idempotent(site: Site) -> None:
    subscription = subscription_json()
    first = await site.register(subscription)
    again = await site.register(subscription)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json() == {
        "id": first.json()["id"],
        "short_id": first.json()["short_id"],
        "sync_token": first.json()["sync_token"],
        "state": "active",
        "renew": False,
        "application_server_key": site.server_key,
        "grace_seconds": 3600,
        "owned": False,
        "sequence": 0,
    }
    assert len(first.json()["short_id"]) == 8


async def test_fields_a_future_browser_adds_are_tolerated(site: Site) -> None:
    subscription = subscription_json(expirationTime=1.9e12, options={"userVisibleOnly": True}, novelty=[1, {"x": None}])
    assert (await site.register(with_keys(subscription, pqc="abc"))).status_code == 201


async def test_another_key_is_refused_with_the_current_one(site: Site) -> None:
    answer = await site.register(subscription_json(), application_server_key=SigningKey.generate().public_b64)
    assert answer.status_code == 409
    problem = answer.json()
    assert problem["code"] == "conflict"
    assert problem["field"] == "application_server_key"
    assert problem["application_server_key"] == site.server_key
    assert problem["reason"] == "foreign_key"


async def test_unsubscribing_needs_the_token_and_may_be_repeated(site: Site) -> None:
    receipt = (await site.register(subscription_json())).json()
    headers = {"Authorization": f"Bearer {receipt['sync_token']}"}
    for _ in range(2):
        answer = await site.client.delete(f"{site.base}/subscriptions", headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
    record = await find_subscription(site.services, site.project, receipt["id"])
    assert record.state == "unsubscribed"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic c3Q6eA==",
        "Bearer st_rubbish",
        "Bearer " + "x" * 5000,
        "Bearer st_01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47." + "A" * 43,
    ],
)
async def test_a_wrong_sync_token_ends_nothing(site: Site, header: str | None) -> None:
    receipt = (await site.register(subscription_json())).json()
    headers = {} if header is None else {"Authorization": header}
    answer = await site.client.delete(f"{site.base}/subscriptions", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] in ("unauthorized", "invalid_token")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert (await find_subscription(site.services, site.project, receipt["id"])).state == "active"


async def test_a_token_of_another_project_opens_nothing_here(site: Site, tmp_path: Path) -> None:
    async with running_site(settings_for(tmp_path / "other")) as other:
        foreign = (await other.register(subscription_json())).json()["sync_token"]
    answer = await site.client.delete(f"{site.base}/subscriptions", headers={"Authorization": f"Bearer {foreign}"})
    assert (answer.status_code, answer.json()["reason"]) == (401, "bad_signature")
    replaced = await site.register(subscription_json(), replaces=foreign)
    assert (replaced.status_code, replaced.json()["field"]) == (403, "replaces")


async def test_a_replacement_supersedes_the_old_one(site: Site) -> None:
    old = (await site.register(subscription_json())).json()
    new = (await site.register(subscription_json(), replaces=old["sync_token"])).json()
    assert new["id"] != old["id"]
    assert (await find_subscription(site.services, site.project, old["id"])).state == "superseded"
    assert (await find_subscription(site.services, site.project, new["id"])).state == "active"


async def test_a_known_endpoint_with_other_keys_is_a_conflict(site: Site) -> None:
    subscription = subscription_json()
    await site.register(subscription)
    answer = await site.register(with_keys(subscription, auth=b64url_encode(bytes(16))))
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_an_identity_token_gives_an_owner_and_nothing_else_does(site: Site) -> None:
    secret = await identity_secret(site.services, site.project)
    token = sign_identity(secret, external_id="user-17", expires_at=site.services.clock.now() + 3600)
    receipt = (await site.register(subscription_json(), identity=token)).json()
    assert (await find_subscription(site.services, site.project, receipt["id"])).contact_external_id == "user-17"

    forged = sign_identity(bytes(32), external_id="user-17", expires_at=site.services.clock.now() + 3600)
    refused = await site.register(subscription_json(), identity=forged)
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (403, "invalid_token", "identity")
    claimed = await site.register(subscription_json(), contact="user-17")
    assert (claimed.status_code, claimed.json()["field"]) == (422, "contact")


OFF_CURVE = b64url_encode(b"\x04" + b"\x01" * 64)
COMPRESSED = b64url_encode(b"\x02" + b"\x01" * 32)

HOSTILE: list[tuple[str, JsonObject, str]] = [
    ("no endpoint", {"keys": {}}, "endpoint"),
    ("number as endpoint", subscription_json(endpoint="https://x") | {"endpoint": 5}, "endpoint"),
    ("plain http", subscription_json("http://updates.push.services.mozilla.com/x"), "endpoint"),
    ("user information", subscription_json("https://u:p@updates.push.services.mozilla.com/x"), "endpoint"),
    ("fragment", subscription_json("https://updates.push.services.mozilla.com/x#y"), "endpoint"),
    ("too long", subscription_json("https://updates.push.services.mozilla.com/" + "a" * 2048), "endpoint"),
    ("line break", subscription_json("https://updates.push.services.mozilla.com/a\r\nX: y"), "endpoint"),
    ("no keys", {"endpoint": "https://updates.push.services.mozilla.com/x"}, "keys"),
    ("keys as list", subscription_json(keys=[1, 2]), "keys"),
    ("p256dh not a string", with_keys(subscription_json(), p256dh=5), "keys.p256dh"),
    ("p256dh too short", with_keys(subscription_json(), p256dh="AAAA"), "keys.p256dh"),
    ("p256dh compressed", with_keys(subscription_json(), p256dh=COMPRESSED), "keys.p256dh"),
    ("p256dh off the curve", with_keys(subscription_json(), p256dh=OFF_CURVE), "keys.p256dh"),
    ("auth too long", with_keys(subscription_json(), auth=b64url_encode(bytes(17))), "keys.auth"),
    ("auth not base64", with_keys(subscription_json(), auth="!!!"), "keys.auth"),
]


@pytest.mark.parametrize(("subscription", "field"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
async def test_a_bad_subscription_is_refused_naming_the_field(site: Site, subscription: JsonObject, field: str) -> None:
    answer = await site.register(subscription)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    endpoint = subscription.get("endpoint")
    assert not isinstance(endpoint, str) or endpoint not in answer.text


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://10.0.0.1:8443/x",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/x",
        "https://push.example.net/x",
        "https://mozilla.com.example.net/x",
        "https://updates.push.services.mozilla.com.example.net/x",
    ],
)
async def test_what_is_not_a_known_push_service_is_refused(site: Site, endpoint: str) -> None:
    answer = await site.register(subscription_json(endpoint))
    assert answer.status_code == 403
    assert answer.json()["field"] == "endpoint"
    assert "allowed_origins" in answer.json()["detail"]


@pytest.mark.parametrize("overrides", [{"allowed_origins": "https://push.example.net"}])
async def test_an_operator_can_allow_a_push_service(site: Site) -> None:
    assert (await site.register(subscription_json("https://push.example.net/x"))).status_code == 201


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_request"),
        (b"{", 400, "malformed_request"),
        (b"\xff\xfe", 400, "malformed_request"),
        (b'{"subscription": {"endpoint": "\xff"}}', 400, "malformed_request"),
        (b"NaN", 400, "malformed_request"),
        (b'{"subscription":' + b'{"a":' * 1500 + b"1" + b"}" * 1500 + b"}", 400, "malformed_request"),
        (b"[" * 16_000, 422, "invalid_input"),
        (b"[]", 422, "invalid_input"),
        (b"null", 422, "invalid_input"),
        (b"{}", 422, "invalid_input"),
        (b'{"subscription": [], "application_server_key": "x"}', 422, "invalid_input"),
        (b'{"subscription": {}, "application_server_key": 7}', 422, "invalid_input"),
        (b'{"subscription": {}, "application_server_key": "x", "surprise": 1}', 422, "invalid_input"),
        (b'{"subscription": {}, "application_server_key": "\\ud800"}', 400, "malformed_request"),
        (b'"' + b"x" * 33_000 + b'"', 413, "request_too_large"),
    ],
)
async def test_a_body_that_is_no_registration(site: Site, body: bytes, status: int, code: str) -> None:
    answer = await site.client.post(
        f"{site.base}/subscriptions", content=body, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_without_a_length_is_bounded_too(site: Site) -> None:
    sent = 0

    async def endless() -> object:
        nonlocal sent
        while sent < 50_000_000:
            sent += 4096
            yield b" " * 4096

    answer = await site.client.post(
        f"{site.base}/subscriptions", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413
    assert sent < 100_000


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/json2"])
async def test_a_foreign_page_cannot_send_without_a_preflight(site: Site, media_type: str) -> None:
    body = json.dumps({"subscription": subscription_json(), "application_server_key": site.server_key})
    answer = await site.client.post(
        f"{site.base}/subscriptions", content=body, headers={"Content-Type": media_type} if media_type else {}
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("overrides", [{"client_requests_burst": 3, "client_requests_per_minute": 1}])
async def test_one_address_is_limited_and_others_are_not(site: Site) -> None:
    path = f"{site.base}/config"
    answers = [await site.client.get(path) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    problem = answers[-1].json()
    assert problem["code"] == "rate_limited"
    assert 0 < problem["retry_after"] <= 60
    assert answers[-1].headers["retry-after"] == str(problem["retry_after"])
    async with client_for(site.app, address="198.51.100.1") as other:
        assert (await other.get(path)).status_code == 200
    # A different spelling of the path is the same bucket, and other routes have none.
    assert (await site.client.get(path.replace("/v1/", "/v1//"))).status_code == 429
    assert (await site.client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "overrides",
    [{"client_requests_burst": 1, "client_requests_per_minute": 1, "trusted_proxies": "203.0.113.7"}],
)
async def test_behind_a_trusted_proxy_each_visitor_has_a_bucket(site: Site) -> None:
    for visitor in ("198.51.100.1", "198.51.100.2"):
        answer = await site.client.get(f"{site.base}/config", headers={"X-Forwarded-For": f"10.0.0.1, {visitor}"})
        assert answer.status_code == 200
    answer = await site.client.get(f"{site.base}/config", headers={"X-Forwarded-For": "9.9.9.9, 198.51.100.2"})
    assert answer.status_code == 429


@pytest.mark.parametrize("overrides", [{"contact_requests_per_minute": 2}])
async def test_registrations_that_name_one_contact_are_limited_wherever_they_come_from(site: Site) -> None:
    async def register(name: str | None, address: str) -> httpx.Response:
        body: JsonObject = {"subscription": subscription_json(), "application_server_key": site.server_key}
        if name is not None:
            body["identity"] = await site.identity(name)
        async with client_for(site.app, address=address) as client:
            return await client.post(f"{site.base}/subscriptions", json=body)

    answers = [await register("ann", f"198.51.100.{number}") for number in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert "that name this contact" in answers[-1].json()["detail"]
    assert "ann" not in answers[-1].text.replace("cannot", "")
    assert int(answers[-1].headers["retry-after"]) <= 30
    assert (await register("ann" * 60, "198.51.100.9")).status_code == 201, "another one"
    assert (await register("ann" * 60 + "e", "198.51.100.9")).status_code == 201, "and yet another"
    assert (await register(None, "198.51.100.9")).status_code == 201
    forged = sign_identity(bytes(32), external_id="bob", expires_at=site.services.clock.now() + 60)
    for _ in range(3):
        assert (await site.register(subscription_json(), identity=forged)).status_code == 403
    assert (await register("bob", "198.51.100.9")).status_code == 201, "whoever cannot prove it uses up nothing"


async def test_a_page_says_what_its_worker_can_do(site: Site) -> None:
    subscription = subscription_json()
    receipt = (await site.register(subscription)).json()
    answer = await site.register(subscription, abilities=["deflate", "something-newer"])
    assert answer.json() == receipt
    record = await find_subscription(site.services, site.project, receipt["id"])
    assert record.abilities == {"deflate"}


@pytest.mark.parametrize("abilities", [["a"] * 17, ["a" * 33], [7], "deflate"], ids=["many", "long", "number", "text"])
async def test_abilities_are_a_few_short_names(site: Site, abilities: object) -> None:
    answer = await site.register(subscription_json(), abilities=abilities)
    assert answer.status_code == 422
    assert answer.json()["field"].startswith("abilities")
