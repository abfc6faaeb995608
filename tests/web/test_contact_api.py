"""Contacts and tags over the API."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from pushkeep.domain.tag import TAGS_PER_CONTACT_MAX
from tests.web.conftest import Site
from tests.web.subscriptions import subscription_json


async def put(site: Site, external_id: str, body: object) -> httpx.Response:
    return await site.client.put(f"/v1/contacts/{quote(external_id, safe='')}", json=body, headers=site.auth)


async def show(site: Site, external_id: str) -> httpx.Response:
    return await site.client.get(f"/v1/contacts/{quote(external_id, safe='')}", headers=site.auth)


async def test_a_contact_gets_exactly_the_tags_it_is_given(site: Site) -> None:
    stored = await put(site, "user-17", {"tags": ["customer", "city:graz", "customer"]})
    assert (stored.status_code, stored.json()["tags"]) == (200, ["city:graz", "customer"])
    assert (await put(site, "user-17", {})).json()["tags"] == ["city:graz", "customer"]
    assert (await put(site, "user-18", {"tags": ["customer"]})).json()["active_subscriptions"] == 0
    tags = await site.client.get("/v1/tags", headers=site.auth)
    assert tags.json() == {"items": [{"tag": "city:graz", "contacts": 1}, {"tag": "customer", "contacts": 2}]}
    assert (await put(site, "user-17", {"tags": []})).json()["tags"] == []
    assert (await show(site, "user-17")).json()["created_at"].endswith("Z")


async def test_a_contact_tells_on_how_many_browsers_it_is_reached(site: Site) -> None:
    body = {"subscription": subscription_json(), "application_server_key": site.server_key, "contact": "user-17"}
    await site.client.post("/v1/subscriptions", json=body, headers=site.auth)
    assert (await show(site, "user-17")).json()["active_subscriptions"] == 1


@pytest.mark.parametrize(
    "external_id", ["a/b", "a//b", "a/", "/a", "%2F", "50%", "a?b#c", "jörg@example.com", "日本", "a b", "'\"<>"]
)
async def test_an_id_may_have_any_character_when_it_is_encoded(site: Site, external_id: str) -> None:
    assert (await put(site, external_id, {"tags": ["x"]})).json()["external_id"] == external_id
    assert (await show(site, external_id)).json()["external_id"] == external_id


@pytest.mark.parametrize(
    ("path", "status"),
    [("user-99", 404), ("a/b", 404), ("", 404), ("%00", 422), ("%ff", 422), ("%20", 422), ("x" * 201, 422)],
)
async def test_an_id_that_leads_nowhere(site: Site, path: str, status: int) -> None:
    before = site.rows()
    answer = await site.client.get(f"/v1/contacts/{path}", headers=site.auth)
    assert answer.status_code == status, answer.text
    if status == 422:
        put = await site.client.put(f"/v1/contacts/{path}", json={}, headers=site.auth)
        assert (put.status_code, put.json()["field"]) == (422, "external_id")
    assert site.rows() == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tags": "customer"}, "tags"),
        ({"tags": [5]}, "tags[0]"),
        ({"tags": ["ok", "Not a tag"]}, "tags[1]"),
        ({"tags": [""]}, "tags[0]"),
        ({"tags": ["x" * 65]}, "tags[0]"),
        ({"tags": [f"tag-{number}" for number in range(TAGS_PER_CONTACT_MAX + 1)]}, "tags"),
        ({"tag": ["customer"]}, "tag"),
    ],
)
async def test_bad_tags_are_refused_and_change_nothing(site: Site, body: object, field: str) -> None:
    await put(site, "user-17", {"tags": ["customer"]})
    before = site.rows()
    answer = await put(site, "user-17", body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert (await show(site, "user-17")).json()["tags"] == ["customer"]
    assert site.rows() == before


async def test_a_contact_takes_no_query(site: Site) -> None:
    for path in ("/v1/contacts/user-17", "/v1/tags"):
        answer = await site.client.get(f"{path}?limit=1", headers=site.auth)
        assert (answer.status_code, answer.json()["field"]) == (422, "query")
