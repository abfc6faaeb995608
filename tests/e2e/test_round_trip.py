"""From the click on the page's button to the address a click on the notification opens."""

from __future__ import annotations

import pytest

from pushkeep.testing.browser import poll

from .desk import Desk
from .site import Site, Visitor, arrive, subscribe

pytestmark = pytest.mark.browser

VENDORS = {"firefox": "mozilla", "chromium": "fcm"}


async def test_nothing_is_asked_or_stored_before_the_click(desk: Desk, site: Site) -> None:
    page = await desk.browser.open(site.url)
    await page.wait_for("!document.querySelector('#subscribe').disabled")
    assert await page.evaluate("Notification.permission") == "default"
    assert await page.text("#status-text") == "Not subscribed"
    assert await site.subscriptions() == []


async def test_a_click_subscribes_and_the_server_stores_it(desk: Desk, site: Site) -> None:
    visitor = await subscribe(desk, site)
    (stored,) = await site.subscriptions()
    assert stored["short_id"] == visitor.short_id
    assert stored["state"] == "active"
    assert stored["vendor"] == VENDORS[desk.browser.name]


async def test_sent_by_command_shown_clicked_and_opened(visitor: Visitor) -> None:
    site = visitor.site
    sent = await site.pushkeep(
        "send", visitor.short_id, "--title", "Sent by hand", "--body", "Grüße, 世界", "--url", "/demo/info?from=cli"
    )
    assert sent.status == 0, sent.err
    assert f"Accepted for {visitor.short_id}" in sent.out
    seen = await visitor.sees("Sent by hand")
    assert seen.text == "Grüße, 世界"
    kept = await visitor.shown("Sent by hand")
    assert kept["data"]["pushkeep"]["url"] == f"{site.url}/demo/info?from=cli"
    assert await visitor.page.wait_for("document.querySelector('#messages li strong')?.textContent") == "Sent by hand"
    await visitor.desk.notifications.click(seen)
    await _opened(visitor, f"{site.url}/demo/info?from=cli")
    await visitor.desk.notifications.wait_closed(seen)


async def test_sent_by_api_to_a_closed_tab_shown_clicked_and_opened(visitor: Visitor) -> None:
    site = visitor.site
    await visitor.desk.browser.close_tabs()
    outcome = await site.notify_one(
        visitor.short_id,
        content={
            "title": "Sent by API",
            "body": "No tab is open",
            "url": "/demo/info?from=api",
            "data": {"order": 7, "nested": {"deep": ["ü"]}},
        },
        options={"ttl": 60, "urgency": "high", "topic": "inbox", "tag": "order-7"},
    )
    assert (outcome["kind"], outcome["status"], outcome["action"]) == ("accepted", 201, "done")
    seen = await visitor.sees("Sent by API")
    assert seen.text == "No tab is open"
    page = await visitor.desk.browser.open(f"{site.url}/demo/icon.svg")
    again = Visitor(visitor.desk, site, page, visitor.short_id)
    kept = await again.shown("Sent by API")
    assert kept["tag"] == "order-7"
    assert kept["data"]["order"] == 7
    assert kept["data"]["nested"] == {"deep": ["ü"]}
    await visitor.desk.notifications.click(seen)
    await _opened(visitor, f"{site.url}/demo/info?from=api")
    (stored,) = await site.subscriptions("active")
    assert stored["last_accepted_at"] is not None


async def test_a_denied_visitor_is_told_and_nothing_is_stored(desk: Desk, site: Site) -> None:
    await desk.browser.set_permission(site.url, "denied")
    page = await desk.browser.open(site.url)
    await page.wait_for("document.querySelector('#error').dataset.code === 'denied'")
    assert "blocked" in await page.text("#error")
    assert await site.subscriptions() == []


async def test_a_reload_keeps_the_one_subscription(visitor: Visitor) -> None:
    await visitor.page.goto(visitor.site.url)
    assert await visitor.page.wait_for("document.querySelector('#short-id').textContent.trim()") == visitor.short_id
    (stored,) = await visitor.site.subscriptions()
    assert stored["state"] == "active"


async def test_two_tabs_at_once_end_with_one_subscription(desk: Desk, site: Site) -> None:
    """Both browsers would make two, one of them dead, without the lock."""
    first, second = await arrive(desk, site), await arrive(desk, site)
    # Clicked by script so that both really run at once; permission is there, so no gesture is needed.
    for page in (first, second):
        await page.evaluate("void setTimeout(() => document.querySelector('#subscribe').click(), 0)")
    ids = [
        await page.wait_for("document.querySelector('#short-id').textContent.trim()", timeout_seconds=60)
        for page in (first, second)
    ]
    assert ids[0] == ids[1]
    (stored,) = await site.subscriptions()
    assert (stored["short_id"], stored["state"]) == (ids[0], "active")
    visitor = Visitor(desk, site, first, str(ids[0]))
    assert (await site.notify_one(visitor.short_id, content={"title": "To both tabs"}))["kind"] == "accepted"
    await visitor.sees("To both tabs")
    for page in (first, second):
        assert await page.wait_for("document.querySelector('#messages li strong')?.textContent") == "To both tabs"


async def _opened(visitor: Visitor, url: str) -> None:
    await poll(
        visitor.desk.browser.tabs, timeout_seconds=60, waiting_for=f"a tab at {url}", accept=lambda tabs: url in tabs
    )
