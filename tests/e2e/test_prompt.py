"""The browser's own question: asked by the click, and answered as a visitor answers it."""

from __future__ import annotations

import pytest

from pushkeep.testing.firefox import Firefox

from .desk import Desk
from .site import SUBSCRIBE_SECONDS_MAX, SUBSCRIBED, Site, Visitor

pytestmark = pytest.mark.browser

only_firefox = pytest.mark.parametrize("session_desk", ["firefox"], indirect=True)
only_chromium = pytest.mark.parametrize("session_desk", ["chromium"], indirect=True)


@only_firefox
async def test_the_click_asks_and_allowing_subscribes(desk: Desk, site: Site) -> None:
    assert isinstance(desk.browser, Firefox)
    page = await desk.browser.open(site.url)
    await page.click("#subscribe")
    await desk.browser.answer_prompt(allow=True)
    short_id = await page.wait_for(SUBSCRIBED, timeout_seconds=SUBSCRIBE_SECONDS_MAX)
    visitor = Visitor(desk, site, page, str(short_id))
    assert (await site.notify_one(visitor.short_id, content={"title": "You said yes"}))["kind"] == "accepted"
    await visitor.sees("You said yes")


@only_firefox
async def test_the_click_asks_and_a_no_is_respected(desk: Desk, site: Site) -> None:
    assert isinstance(desk.browser, Firefox)
    page = await desk.browser.open(site.url)
    await page.click("#subscribe")
    await desk.browser.answer_prompt(allow=False)
    await page.wait_for("['denied', 'dismissed'].includes(document.querySelector('#error').dataset.code)")
    assert await site.subscriptions() == []


@only_chromium
async def test_a_chromium_that_cannot_ask_says_no_and_the_page_explains_it(desk: Desk, site: Site) -> None:
    """Without a window there is nobody to ask, so headless Chromium answers itself."""
    page = await desk.browser.open(site.url)
    await page.click("#subscribe")
    await page.wait_for("document.querySelector('#error').dataset.code === 'denied'")
    assert "blocked" in await page.text("#error")
    assert await site.subscriptions() == []
