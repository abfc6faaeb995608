"""Pictures of the demo page, for people to look at: ``test-output/demo-page/``."""

from __future__ import annotations

from pathlib import Path

import pytest

from pushkeep.testing.browser import Page

from .desk import Desk
from .site import Site, Visitor, press_subscribe
from .test_drivers import read_png

pytestmark = pytest.mark.browser

PICTURES = Path(__file__).parents[2] / "test-output" / "demo-page"
VIEWPORTS = {"wide": (1280, 800), "phone": (390, 844)}


async def test_pictures_before_and_after_wide_and_phone(desk: Desk, site: Site) -> None:
    page = await desk.browser.open(site.url)
    await page.wait_for("!document.querySelector('#subscribe').disabled")
    await _pictures(desk, page, "before")
    await desk.browser.set_permission(site.url, "granted")
    visitor = Visitor(desk, site, page, await press_subscribe(page))
    await site.notify_one(visitor.short_id, content={"title": "Hello", "body": "Sent from my terminal"})
    await visitor.sees("Hello")
    await page.wait_for("document.querySelector('#messages li strong')")
    await _pictures(desk, page, "after")


async def _pictures(desk: Desk, page: Page, when: str) -> None:
    for size, (width, height) in VIEWPORTS.items():
        for dark in (False, True):
            scheme = "dark" if dark else "light"
            path = PICTURES / f"{desk.browser.name}-{when}-{size}-{scheme}.png"
            await page.screenshot(path, width=width, height=height, dark=dark, full_page=True)
            seen_width, seen_height, _ = read_png(path)
            # A page wider than its window would have to be pushed sideways.
            assert seen_width == width
            assert seen_height >= height
