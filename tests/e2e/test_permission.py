"""Notifications blocked in the browser's settings, and allowed again: the server hears of both."""

from __future__ import annotations

import pytest

from pushkeep.testing.browser import poll

from .site import Site, Visitor

pytestmark = pytest.mark.browser

DENIED = "document.querySelector('#status').dataset.state === 'denied'"


async def test_revoked_before_an_open_page_is_told_at_once_and_granted_again_comes_back(visitor: Visitor) -> None:
    desk, site = visitor.desk, visitor.site
    await desk.browser.set_permission(site.url, "denied")
    await visitor.page.wait_for(DENIED)
    stored = await _ends(site, visitor.short_id)
    assert (stored["state"], await site.living()) == ("gone", [])
    assert await site.has_left(visitor.short_id)
    await desk.browser.set_permission(site.url, "granted")
    back = await visitor.again()
    await back.is_the_only_one()
    await back.is_reached("Allowed again")


async def test_revoked_and_granted_with_no_page_open_is_mended_by_the_worker(visitor: Visitor) -> None:
    """Both browsers drop the subscription with the permission, and fire the event when it comes back: Firefox with
    the old subscription, Chromium with nothing.
    """
    desk, site = visitor.desk, visitor.site
    await desk.browser.close_tabs()
    before = desk.service.last_event_serial
    await desk.browser.set_permission(site.url, "denied")
    await desk.browser.set_permission(site.url, "granted")
    await desk.service.wait_for_subscription(60, after=before)
    await (await visitor.succeeds()).is_reached("By the worker alone")


async def test_revoked_unseen_is_told_at_the_next_visit(visitor: Visitor) -> None:
    desk, site = visitor.desk, visitor.site
    await desk.browser.close_tabs()
    await desk.browser.set_permission(site.url, "denied")
    page = await desk.browser.open(site.url)
    await page.wait_for(DENIED)
    assert (await _ends(site, visitor.short_id))["state"] == "gone"
    assert await site.living() == []


async def _ends(site: Site, short_id: str) -> dict[str, object]:
    async def look() -> dict[str, object]:
        return await site.subscription(short_id)

    return await poll(
        look, timeout_seconds=60, waiting_for="its end at the server", accept=lambda one: one["state"] == "gone"
    )
