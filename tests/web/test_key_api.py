"""Signing keys over the API: a rotation from the first request to the last, and what pages are told meanwhile."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pushkeep.pushservice import PushService
from tests.web.conftest import Site


async def post(site: Site, path: str, body: object = None) -> httpx.Response:
    return await site.client.post(f"/v1/signing-keys{path}", json={} if body is None else body, headers=site.auth)


async def keys(site: Site) -> list[dict[str, Any]]:
    answer = await site.client.get("/v1/signing-keys", headers=site.auth)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def given_to_pages(site: Site) -> str:
    key: str = (await site.client.get(f"{site.base}/config")).json()["application_server_key"]
    return key


async def test_a_rotation_over_the_api(site: Site) -> None:
    prepared = (await post(site, "")).json()
    assert (prepared["state"], prepared["activated_at"]) == ("next", None)
    assert await given_to_pages(site) == site.server_key
    (old, _) = await keys(site)
    rotated = await post(site, "/rotate", {"active": old["key"]["id"]})
    assert rotated.status_code == 200
    assert rotated.json()["active"]["id"] == prepared["id"]
    assert rotated.json()["retiring"]["id"] == old["key"]["id"]
    assert await given_to_pages(site) == prepared["application_server_key"]
    again = await post(site, "/rotate", {"active": old["key"]["id"]})
    assert (again.status_code, again.json()["reason"]) == (409, "rotated")
    retired = await post(site, f"/{old['key']['id']}/retire")
    assert (retired.status_code, retired.json()["given_up"]) == (200, 0)
    assert [item["key"]["state"] for item in await keys(site)] == ["retired", "active"]
    assert [item["share"] for item in await keys(site)] == [1.0, None]


async def test_living_ones_keep_a_key_and_are_given_up_only_by_force(
    sending_site: Site, push_service: PushService
) -> None:
    site = sending_site
    _, subscriber = await site.subscriber(push_service)
    old = (await keys(site))[0]["key"]["id"]
    await post(site, "/rotate")
    refused = await post(site, f"/{old}/retire")
    assert (refused.status_code, refused.json()["reason"], refused.json()["living"]) == (409, "living", "1")
    sent = await site.notified(to={"all": True}, content={"title": "Hello"})
    assert sent["counts"] == {"accepted": 1}
    assert (await subscriber.receive(20)).data
    forced = await post(site, f"/{old}/retire", {"force": True})
    assert (forced.status_code, forced.json()["given_up"]) == (200, 1)
    assert (await keys(site))[0]["needs_renewal"] == 1


async def test_a_leak_is_noted(site: Site) -> None:
    active = (await keys(site))[0]["key"]["id"]
    assert (await post(site, f"/{active}/leaked")).status_code == 409
    rotated = (await post(site, "/rotate", {"leaked": True})).json()
    assert rotated["retiring"]["leaked_at"]
    await post(site, "/rotate")
    second = rotated["active"]["id"]
    assert (await post(site, f"/{second}/leaked")).json()["leaked_at"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/rotate", {"active": "unknown-key1"}, 404),
        ("/rotate", {"active": "x" * 88}, 422),
        ("/rotate", {"leaked": "yes"}, 422),
        ("/rotate", {"surprise": 1}, 422),
        ("/unknown-key1/retire", {}, 404),
        ("/unknown-key1/retire", {"force": 1}, 422),
        ("/unknown-key1/leaked", {}, 404),
        (f"/{'x' * 88}/retire", {}, 422),
        ("?x=1", {}, 422),
        ("/rotate?x=1", {}, 422),
    ],
)
async def test_a_wrong_wish_changes_nothing(site: Site, path: str, body: object, status: int) -> None:
    before = await keys(site)
    answer = await post(site, path, body)
    assert answer.status_code == status, answer.text
    if isinstance(body, dict) and "active" in body:
        assert answer.json()["field"] == "active"
    assert await keys(site) == before


@pytest.mark.parametrize("path", ["", "/rotate", "/abc/retire", "/abc/leaked"])
async def test_nobody_rotates_without_an_api_key(site: Site, path: str) -> None:
    before = await keys(site)
    assert (await site.client.post(f"/v1/signing-keys{path}", json={})).status_code == 401
    assert (await site.client.get("/v1/signing-keys")).status_code == 401
    assert await keys(site) == before


async def test_no_private_half_is_ever_shown(site: Site) -> None:
    (signing, *_) = await site.services.store.signing_keys(site.project)
    texts = [(await site.client.get("/v1/signing-keys", headers=site.auth)).text, (await post(site, "/rotate")).text]
    for text in texts:
        assert signing.key.to_raw() not in text
        assert "PRIVATE" not in text
