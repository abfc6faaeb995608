"""Exporting and erasing people over the API, and by a visitor's own word."""

from __future__ import annotations

from pathlib import Path

import pytest

from pushkeep.pushservice import PushService
from tests.store.nowhere import assert_unsealed_nowhere
from tests.web.conftest import Site
from tests.web.subscriptions import subscription_json

NOTHING = {
    "contacts": 0,
    "subscriptions": 0,
    "consents": 0,
    "notifications": 0,
    "outcomes": 0,
    "receipts": 0,
    "tags": 0,
}


async def told(site: Site, service: PushService, name: str = "user-17") -> str:
    """A contact with a browser that was told something; the id of that browser's subscription."""
    stored, _ = await site.subscriber(service, contact=name)
    await site.notified(to={"contacts": [name]}, content={"title": "Your parcel is here"})
    return str(stored["id"])


async def test_an_export_has_all_of_a_contact_and_nothing_that_could_send(
    sending_site: Site, push_service: PushService
) -> None:
    site = sending_site
    id = await told(site, push_service)
    await site.client.put("/v1/contacts/user-17", json={"tags": ["customer"]}, headers=site.auth)
    await site.client.put(
        "/v1/purposes/parcels", json={"description": "Your parcels", "basis": "contract"}, headers=site.auth
    )
    answer = await site.client.get("/v1/contacts/user-17/export", headers=site.auth)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["contact"]["external_id"], found["contact"]["tags"]) == ("user-17", ["customer"])
    (browser,) = found["subscriptions"]
    assert browser["subscription"]["id"] == id
    assert browser["story"][0]["words"]
    (message,) = found["messages"]
    assert message["content"]["title"] == "Your parcel is here"
    assert [(one["subscription"], one["kind"]) for one in message["outcomes"]] == [(id, "accepted")]
    assert "/push/" not in answer.text.replace(browser["subscription"]["push_service"], "")
    for secret in ("p256dh", "auth", "endpoint"):
        assert f'"{secret}"' not in answer.text


async def test_an_erased_contact_is_gone_and_erasing_again_is_no_error(
    sending_site: Site, push_service: PushService
) -> None:
    site = sending_site
    id = await told(site, push_service)
    other = await told(site, push_service, "user-18")
    answer = await site.client.delete("/v1/contacts/user-17", headers=site.auth)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {**NOTHING, "contacts": 1, "subscriptions": 1, "notifications": 1, "outcomes": 1}
    again = await site.client.delete("/v1/contacts/user-17", headers=site.auth)
    assert (again.status_code, again.json()) == (200, NOTHING)
    for path in ("contacts/user-17", "contacts/user-17/export", f"subscriptions/{id}"):
        assert (await site.client.get(f"/v1/{path}", headers=site.auth)).status_code == 404
    assert (await site.client.get(f"/v1/subscriptions/{other}", headers=site.auth)).status_code == 200
    listed = (await site.client.get("/v1/erasures", headers=site.auth)).json()
    assert (listed["entries_until"], listed["applied_until"], listed["missing"]) == (2, 2, 0)
    assert "user-17" not in site.settings.erasure_list.read_text()


async def test_a_notification_whose_text_is_erased_is_shown_but_cannot_be_told_again(
    sending_site: Site, push_service: PushService
) -> None:
    site = sending_site
    stored, _ = await site.subscriber(push_service, contact="user-17")
    ended = await site.notified(to={"contacts": ["user-17"]}, content={"title": "Hello"})
    await site.client.delete("/v1/contacts/user-17", headers=site.auth)
    path = f"/v1/notifications/{ended['id']}"
    assert (await site.client.get(path, headers=site.auth)).json()["status"] == "done"
    retried = await site.client.post(f"{path}/retry-failed", headers=site.auth)
    assert (retried.status_code, retried.json()["detail"]) == (
        409,
        "What the notification said has been erased; send a new one.",
    )
    assert stored["id"]


async def test_a_visitor_erases_what_is_kept_of_their_browser(site: Site) -> None:
    answer = await site.register(subscription_json())
    token, id = answer.json()["sync_token"], answer.json()["id"]
    left = await site.ask("DELETE", "subscriptions?reason=left&erase=true&sequence=3", token)
    assert left.status_code == 204
    assert (await site.client.get(f"/v1/subscriptions/{id}", headers=site.auth)).status_code == 404
    assert (await site.ask("GET", "subscriptions", token)).status_code == 404
    again = await site.ask("DELETE", "subscriptions?reason=left&erase=true&sequence=3", token)
    assert again.status_code == 204
    assert site.rows()["subscriptions"] == site.rows()["lifecycle"] == 0


async def test_an_older_word_of_a_browser_erases_nothing(site: Site) -> None:
    answer = await site.register(subscription_json(), sequence=5)
    token = answer.json()["sync_token"]
    stale = await site.ask("DELETE", "subscriptions?erase=true&sequence=4", token)
    assert stale.status_code == 409
    assert site.rows()["subscriptions"] == 1


async def test_the_operator_erases_a_subscription_by_id(site: Site) -> None:
    id = (await site.register(subscription_json())).json()["short_id"]
    answer = await site.client.delete(f"/v1/subscriptions/{id}?erase=true", headers=site.auth)
    assert (answer.status_code, answer.json()) == (200, {**NOTHING, "subscriptions": 1})
    again = await site.client.delete(f"/v1/subscriptions/{id}?erase=true", headers=site.auth)
    assert (again.status_code, again.json()) == (200, NOTHING)
    await assert_unsealed_nowhere(site.services.store, [id])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("contacts/%20", 422, "external_id"),
        ("contacts/a/b", 404, None),
        ("contacts/a?erase=true", 422, "query"),
        ("subscriptions/HMV192av?erase=yes", 422, "erase"),
        ("subscriptions/x?erase=true", 422, "id"),
    ],
)
async def test_what_is_no_request_to_erase_changes_nothing(
    site: Site, path: str, status: int, field: str | None
) -> None:
    before = site.rows()
    answer = await site.client.delete(f"/v1/{path}", headers=site.auth)
    assert (answer.status_code, answer.json().get("field")) == (status, field), answer.text
    assert site.rows() == before
    assert not site.settings.erasure_list.exists()


async def test_nobody_is_erased_where_the_list_cannot_be_written(site: Site, tmp_path: Path) -> None:
    await site.client.put("/v1/contacts/user-17", json={}, headers=site.auth)
    site.settings.erasure_list.mkdir()
    before = site.contents()
    answer = await site.client.delete("/v1/contacts/user-17", headers=site.auth)
    assert answer.status_code == 503
    assert "nothing was erased" in answer.json()["detail"]
    assert site.contents() == before
