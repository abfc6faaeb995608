"""Purposes, wordings and consent over the API, and notifications for a purpose."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pushkeep.pushservice import PushService
from tests.web.conftest import Site

TEXT = "Once a week we tell you what is cheaper."


async def declare(site: Site, name: str = "offers", **body: object) -> dict[str, Any]:
    """A purpose and an English wording of it: the wording."""
    purpose = {"description": name.title(), **body}
    assert (await site.client.put(f"/v1/purposes/{name}", json=purpose, headers=site.auth)).status_code == 201
    answer = await word(site, name, locale="en", version="1", text=TEXT)
    assert answer.status_code == 201, answer.text
    declared: dict[str, Any] = answer.json()
    return declared


async def word(site: Site, purpose: str, **body: object) -> httpx.Response:
    return await site.client.post(f"/v1/purposes/{purpose}/wordings", json=body, headers=site.auth)


async def say(site: Site, **body: object) -> httpx.Response:
    return await site.client.post("/v1/consents", json=body, headers=site.auth)


async def get(site: Site, path: str, **query: str) -> Any:
    answer = await site.client.get(path, params=query, headers=site.auth)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_purposes_and_wordings_are_declared_and_listed(site: Site) -> None:
    wording = await declare(site)
    again = await site.client.put(
        "/v1/purposes/offers", json={"description": "Cheap", "basis": "contract"}, headers=site.auth
    )
    assert (again.status_code, again.json()["basis"]) == (200, "contract")
    assert [(one["name"], one["description"]) for one in (await get(site, "/v1/purposes"))["items"]] == [
        ("offers", "Cheap")
    ]
    assert len(wording["digest"]) == 64
    same = await word(site, "offers", locale="en", version="1", text=TEXT)
    assert (same.status_code, same.json()) == (200, wording)
    other = await word(site, "offers", locale="en", version="1", text="Twice a week.")
    assert (other.status_code, other.json()["field"]) == (409, "version")
    german = await word(site, "offers", locale="de-AT", version="1", text="Einmal die Woche.", policy_version="7")
    assert (await get(site, "/v1/purposes/offers/wordings"))["items"] == [wording, german.json()]


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PUT", "/v1/purposes/Offers", {"description": "x"}, "purpose"),
        ("PUT", "/v1/purposes/" + "x" * 41, {"description": "x"}, "purpose"),
        ("PUT", "/v1/purposes/offers", {"description": ""}, "description"),
        ("PUT", "/v1/purposes/offers", {"description": "x" * 301}, "description"),
        ("PUT", "/v1/purposes/offers", {"description": "two\nlines"}, "description"),
        ("PUT", "/v1/purposes/offers", {"description": "x", "basis": "because"}, "basis"),
        ("POST", "/v1/purposes/offers/wordings", {"locale": "english!", "version": "2", "text": "x"}, "locale"),
        ("POST", "/v1/purposes/offers/wordings", {"locale": "en", "version": "", "text": "x"}, "version"),
        ("POST", "/v1/purposes/offers/wordings", {"locale": "en", "version": "2", "text": " "}, "text"),
        ("POST", "/v1/purposes/offers/wordings", {"locale": "en", "version": "2", "text": "x" * 4001}, "text"),
        ("POST", "/v1/purposes/nothing/wordings", {"locale": "en", "version": "2", "text": "x"}, "purpose"),
        ("GET", "/v1/purposes/nothing/wordings", None, "purpose"),
        ("GET", "/v1/consents?purpose=nothing", None, "purpose"),
        ("GET", "/v1/consents?contact=a&subscription=abcdefgh", None, "contact"),
        ("GET", "/v1/consents?limit=1001", None, "limit"),
        ("POST", "/v1/consents", {"purpose": "offers", "given": True}, "contact"),
        ("POST", "/v1/consents", {"purpose": "nothing", "given": True, "contact": "a"}, "purpose"),
        ("POST", "/v1/consents", {"purpose": "offers", "given": True, "contact": "a", "wording": "ab"}, "wording"),
        ("POST", "/v1/consents", {"purpose": "offers", "given": True, "contact": "a", "wording": "0" * 64}, "wording"),
        ("POST", "/v1/consents", {"purpose": "offers", "given": True, "contact": "a", "page": "javascript:1"}, "page"),
        ("POST", "/v1/consents", {"purpose": "offers", "given": True, "contact": "a", "at": "yesterday"}, "at"),
        (
            "POST",
            "/v1/consents",
            {"purpose": "offers", "given": True, "contact": "a", "at": "2999-01-01T00:00:00Z"},
            "at",
        ),
        ("POST", "/v1/notifications", {"to": {"all": True}, "payload": "x", "purpose": "offer"}, "purpose"),
        ("POST", "/v1/notifications", {"to": {"all": True}, "payload": "x", "purpose": "No!"}, "purpose"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_stored(
    site: Site, method: str, path: str, body: object, field: str
) -> None:
    await declare(site)
    before = site.contents()
    answer = await site.client.request(method, path, json=body, headers=site.auth)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert {name: rows for name, rows in site.contents().items() if name != "workers"} == {
        name: rows for name, rows in before.items() if name != "workers"
    }


async def test_a_word_is_recorded_and_shown(site: Site) -> None:
    wording = await declare(site)
    said = {
        "contact": "user-17",
        "purpose": "offers",
        "wording": wording["digest"],
        "page": "https://example.com/call?agent=7#x",
        "at": "2026-11-02T09:40:00Z",
    }
    answer = await say(site, **said, given=True)
    assert (answer.status_code, answer.json()) == (200, {"consents": {"offers": True}})
    assert (await say(site, **said, given=True)).json() == {"consents": {"offers": True}}
    assert (await say(site, contact="user-17", purpose="offers", given=False)).json() == {"consents": {"offers": False}}
    first, second = (await get(site, "/v1/consents", contact="user-17"))["items"]
    assert first["content"] == {
        "subscription": None,
        "contact": "user-17",
        "purpose": "offers",
        "given": True,
        "method": "api",
        "wording": wording["digest"],
        "wording_version": "1",
        "locale": "en",
        "policy_version": "",
        "page": "https://example.com/call",
        "at": "2026-11-02T09:40:00Z",
    }
    assert (second["number"], second["content"]["given"]) == (2, False)
    page = await get(site, "/v1/consents", limit="1")
    assert (len(page["items"]), page["next"]) == (1, 1)
    assert (await get(site, "/v1/consents", after="1", limit="1"))["next"] is None


async def test_records_are_sealed_when_somebody_asks(site: Site) -> None:
    await declare(site)
    head = await get(site, "/v1/consents/head")
    assert head == {"records": 0, "waiting": 0, "seal": None, "anchor": None}
    await say(site, contact="user-17", purpose="offers", given=True)
    assert (await get(site, "/v1/consents/head"))["waiting"] == 1
    sealed = (await site.client.post("/v1/consents/seal", headers=site.auth)).json()
    assert (sealed["records"], sealed["waiting"]) == (1, 0)
    assert sealed["anchor"] == f"1:{sealed['seal']['head']}"
    assert await get(site, "/v1/consents/head") == sealed


async def test_a_notification_for_a_purpose_reaches_who_agreed(sending_site: Site, push_service: PushService) -> None:
    site = sending_site
    await declare(site)
    willing, _ = await site.subscriber(push_service)
    refusing, _ = await site.subscriber(push_service)
    await say(site, subscription=willing["id"], purpose="offers", given=True)
    await say(site, subscription=refusing["short_id"], purpose="offers", given=False)
    content = {"title": "Cheaper"}
    dry = (await site.notify(to={"all": True}, content=content, purpose="offers", dry_run=True)).json()
    assert (dry["targeted"], dry["skipped"]) == (1, {"skipped_consent": 1})
    done = await site.notified(to={"all": True}, content=content, purpose="offers")
    assert (done["purpose"], done["counts"]) == ("offers", {"accepted": 1, "skipped_consent": 1})
    (skipped,) = await site.outcomes(done["id"], kind="skipped_consent")
    assert (skipped["id"], skipped["attempts"], skipped["status"]) == (refusing["id"], 0, None)
    assert "consent" in skipped["meaning"]
    everybody = await site.notified(to={"all": True}, content=content)
    assert (everybody["purpose"], everybody["counts"]) == (None, {"accepted": 2})


async def test_the_same_request_for_another_purpose_is_another_request(site: Site) -> None:
    await declare(site)
    await declare(site, "news")
    headers = {**site.auth, "Idempotency-Key": "one"}
    body = {"to": {"all": True}, "content": {"title": "Hello"}, "purpose": "offers"}
    for purpose, status in (("offers", 202), ("offers", 202), ("news", 409), (None, 409)):
        answer = await site.client.post("/v1/notifications", json={**body, "purpose": purpose}, headers=headers)
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize("overrides", [{"require_purpose": True}])
async def test_an_operator_may_ask_every_notification_for_its_purpose(site: Site) -> None:
    await declare(site, "offers")
    body = {"to": {"all": True}, "content": {"title": "Hello"}}
    for more in ({}, {"dry_run": True}):
        answer = await site.notify(**body, **more)
        assert (answer.status_code, answer.json()["field"]) == (422, "purpose")
        assert "declared are offers" in answer.json()["detail"]
    assert (await site.notify(**body, purpose="offers")).status_code == 202
