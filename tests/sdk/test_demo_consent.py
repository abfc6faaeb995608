"""The demo page asks what may be sent, in the declared words, and shows what the visitor has agreed to."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from .conftest import OpenPage, until
from .site import AGREED, OFFERS, JsonObject, Site
from .test_demo_life import LOOK, Told
from .test_demo_page import CONTRAST, PHONE, opened, subscribed

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

SWITCH = "#agreed-list input"
WORDING = OFFERS["wording"]


def held(*, given: bool, method: str = "prompt") -> tuple[int, JsonObject]:
    status, answer = Told().answer()
    word = {"purpose": "offers", "given": given, "at": "2026-11-20T18:00:00Z", "method": method}
    return status, answer | {"consents": [word | {"wording": WORDING if given else None}]}


async def agreed_page(site: Site, open_page: OpenPage) -> Page:
    site.description = held(given=True)
    page = await subscribed(open_page)
    await until(page, f"() => document.querySelector('{SWITCH}').checked")
    return page


async def test_it_asks_in_the_declared_words_and_ticks_nothing(site: Site, open_page: OpenPage) -> None:
    page = await opened(open_page)
    assert isinstance(WORDING, dict)
    assert await page.inner_text("#consents-list .wording") == WORDING["text"]
    assert await page.get_attribute("#consents-list .wording", "lang") == "en"
    assert await page.inner_text("#consents-list b") == OFFERS["description"]
    assert not await page.is_checked("#consents-list input")
    await page.click("#subscribe")
    await page.wait_for_selector("#after:not([hidden])")
    assert "consents" not in site.bodies()[0], "nobody has agreed who has not ticked"


async def test_a_tick_is_told_with_the_subscription(site: Site, open_page: OpenPage) -> None:
    page = await opened(open_page)
    await page.check("#consents-list input")
    await page.click("#subscribe")
    await page.wait_for_selector("#after:not([hidden])")
    said = {**AGREED, "given": True, "method": "prompt", "page": f"{site.base}/"}
    assert site.bodies()[0]["consents"] == [said]
    await page.click("#unsubscribe")
    await page.wait_for_selector("#before:not([hidden])")
    assert not await page.is_checked("#consents-list input"), "who comes back is asked anew"


async def test_what_holds_is_shown_and_can_be_taken_back(site: Site, open_page: OpenPage) -> None:
    page = await agreed_page(site, open_page)
    words = await page.inner_text("#agreed-list .when")
    assert words.startswith("Agreed on")
    assert words.endswith("before subscribing, in the words of version 2026-11 (en).")
    assert await page.inner_text("#code-purpose mark[data-purpose]") == "offers"
    site.description = held(given=False, method="settings")
    await page.focus(SWITCH)
    await page.keyboard.press("Space")
    await until(page, "() => document.querySelector('#agreed-list .when').textContent.startsWith('Taken back')")
    (body,) = site.bodies("POST", "consents")
    assert body["consents"] == [{"purpose": "offers", "given": False, "method": "settings", "page": f"{site.base}/"}]
    assert await page.inner_text("#status-text") == "Subscribed", "only this is over"
    async with page.expect_response("**/consents"):
        await page.click(SWITCH)
    said = {**AGREED, "given": True, "method": "settings", "page": f"{site.base}/"}
    assert site.bodies("POST", "consents")[1]["consents"] == [said]


async def test_what_cannot_be_told_is_said_to_be_noted(site: Site, open_page: OpenPage) -> None:
    page = await agreed_page(site, open_page)
    await page.route("**/consents", lambda route: route.abort())
    await page.click(SWITCH)
    await until(page, "() => document.querySelector('#agreed-list .when').textContent.startsWith('Noted')")
    await page.evaluate(LOOK)
    assert not await page.is_checked(SWITCH), "what the server still believes is not shown for what was said"


async def test_what_holds_is_shown_also_while_something_else_is_under_way(site: Site, open_page: OpenPage) -> None:
    page = await subscribed(open_page)
    await page.evaluate("() => PushkeepCore.keep((now) => ({ ...now, retry: { tries: 1, at: Date.now() + 60_000 } }))")
    await page.reload()
    site.description = held(given=True)
    await page.evaluate(LOOK)
    await until(page, f"() => document.querySelector('{SWITCH}')?.checked")


async def test_what_is_refused_is_explained_and_the_switch_goes_back(site: Site, open_page: OpenPage) -> None:
    page = await agreed_page(site, open_page)
    problem: JsonObject = {"detail": "There is no purpose offers.", "field": "consents.purpose"}
    site.on_consents = lambda *_: (422, problem)
    await page.click(SWITCH)
    await page.wait_for_selector("#error[data-code=consent]")
    assert "no purpose offers" in await page.inner_text("#error-text")
    assert await page.is_checked(SWITCH)


async def test_without_purposes_nothing_is_asked(site: Site, open_page: OpenPage) -> None:
    site.purposes = [OFFERS | {"wording": None}, OFFERS | {"name": "orders", "basis": "contract"}]
    page = await subscribed(open_page)
    assert await page.is_hidden("#consents")
    assert await page.is_hidden("#agreed")


async def test_it_is_readable_and_fits_a_phone(site: Site, open_page: OpenPage) -> None:
    page = await opened(open_page)
    await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    await page.check("#consents-list input")
    await readable(page)
    site.description = held(given=True)
    await page.click("#subscribe")
    await until(page, f"() => document.querySelector('{SWITCH}').checked")
    await readable(page)


async def readable(page: Page) -> None:
    await page.emulate_media(color_scheme="light")
    assert await page.evaluate(CONTRAST) == []
    await page.emulate_media(color_scheme="dark")
    assert await page.evaluate(CONTRAST) == []
    assert await page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
