"""The demo page shows what happens to its subscription; pictures of it for people: ``test-output/demo-page/``."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pushkeep.protocol.encoding import b64_decode, b64url_encode
from pushkeep.testing.browser import Page

from .desk import Desk
from .insides import held
from .site import Site, Visitor, press_subscribe
from .test_drivers import read_png

pytestmark = pytest.mark.browser

PICTURES = Path(__file__).parents[2] / "test-output" / "demo-page"
SLOTS = "['a', 'b'].map((slot) => document.querySelector(`#slot-${slot}`).dataset.state)"
VIEWPORTS = {"wide": (1280, 800), "phone": (390, 844)}


async def test_pictures_before_and_after_wide_and_phone(desk: Desk, site: Site) -> None:
    page = await desk.browser.open(site.url)
    await page.wait_for("!document.querySelector('#subscribe').disabled")
    await _pictures(desk, page, "before")
    await desk.browser.set_permission(site.url, "granted")
    visitor = Visitor(desk, site, page, await press_subscribe(page))
    await _lives(visitor)
    await _pictures(desk, page, "after")


async def _lives(visitor: Visitor) -> None:
    """What the page shows of a subscription's life while it happens, without being loaded anew."""
    page, site = visitor.page, visitor.site
    before = await visitor.holds()
    assert await page.wait_for("document.querySelector('#story .words')?.textContent.startsWith('Registered')")
    assert await page.evaluate(SLOTS) == ["used", "empty"]
    await page.click("input[name=person][value=ada]")
    await page.wait_for("document.querySelector('#story .words').textContent.includes('log')")
    await site.rotate()
    moved = await visitor.again()
    await page.wait_for(f"({SLOTS}).join() === 'kept,used'")
    await page.wait_for("document.querySelector('#story').textContent.includes('in place of')")
    key = next(one.key for one in await held(page) if one.slot == "b")
    shown = await page.evaluate("['a', 'b'].map((slot) => document.querySelector(`#slot-${slot}-key`).textContent)")
    assert shown == [_name(before.key), _name(key)]
    await site.notify_one(moved.short_id, content={"title": "Hello", "body": "Sent from my terminal"})
    await moved.sees("Hello")
    await page.wait_for("document.querySelector('#messages li strong')")
    await page.wait_for("document.querySelector('#life-accepted').textContent !== 'not yet'")
    assert await page.text("#life-state") == "Active"
    assert await page.text("#life-owner") == "ada"


def _name(key: str) -> str:
    """What the lists of the command line call a public key."""
    return b64url_encode(hashlib.sha256(b64_decode(key, field="key")).digest()[:9])


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
