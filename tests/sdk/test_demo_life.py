"""The demo page shows the subscription's life while it happens: what the server tells, what the browser holds."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Page, Route

from pushkeep.protocol.signing_key import SigningKey

from .conftest import OpenPage, until
from .site import JsonObject, Site
from .test_demo_page import CONTRAST, subscribed

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

# As if somebody had come back to the tab: it asks at once, and not only some seconds later.
LOOK = "() => document.dispatchEvent(new Event('visibilitychange'))"


@dataclass
class Told:
    """What the server tells of a subscription."""

    state: str = "active"
    score: int = 100
    reasons: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=lambda: ["Registered by its browser at Mozilla."])
    renew: bool = False

    def answer(self) -> tuple[int, JsonObject]:
        now = time.time()
        return 200, {
            "id": "id-1",
            "short_id": "S0000001",
            "state": self.state,
            "created_at": "2026-11-20T08:00:00Z",
            "last_seen_at": "2026-11-21T08:00:00Z",
            "last_accepted_at": None,
            "last_displayed_at": None,
            "renew": self.renew,
            "health": {"score": self.score, "likely_dead": bool(self.reasons), "reasons": self.reasons},
            "story": [{"at": now - 60 * (len(self.story) - at), "words": words} for at, words in enumerate(self.story)],
        }


async def told(site: Site, open_page: OpenPage, what: Told) -> Page:
    site.description = what.answer()
    page = await subscribed(open_page)
    await until(page, "() => document.querySelector('#life-asked').textContent !== ''")
    return page


async def test_state_health_and_story_are_what_the_server_tells(site: Site, open_page: OpenPage) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    what = Told("quarantined", 35, ["Its push service refused it on 3 different days."], ["Registered.", hostile])
    page = await told(site, open_page, what)
    assert await page.inner_text("#life-state") == "In quarantine"
    assert await page.inner_text("#score") == "35"
    assert await page.get_attribute("#gauge", "width") == "35"
    assert await page.inner_text("#health-words") == "Likely dead"
    assert await page.locator("#health-reasons li").all_inner_texts() == what.reasons
    # The newest first.
    assert await page.locator("#story .words").all_inner_texts() == [hostile, "Registered."]
    assert await page.locator("#story .when").all_inner_texts() == ["1 minute ago", "2 minutes ago"]
    assert await page.inner_text("#life-accepted") == "not yet"


async def test_it_follows_what_happens(site: Site, open_page: OpenPage) -> None:
    page = await told(site, open_page, Told())
    assert await page.inner_text("#life-state") == "Active"
    site.description = Told("failing", 85, story=["Registered.", "A message failed."]).answer()
    await page.evaluate(LOOK)
    await until(page, "() => document.querySelector('#life-state').textContent === 'Failing'")
    assert await page.inner_text("#story .words") == "A message failed."


async def test_a_server_that_does_not_answer_is_said_so_and_what_was_known_stays(
    site: Site, open_page: OpenPage
) -> None:
    page = await told(site, open_page, Told())
    await page.route("**/v1/**", lambda route: route.abort())
    await page.evaluate(LOOK)
    await until(page, "() => document.querySelector('#life').dataset.stale === 'true'")
    assert "not reached" in await page.inner_text("#life-asked")
    assert await page.locator("#story li").count() == 1
    await page.unroute_all()
    await page.evaluate(LOOK)
    await until(page, "() => document.querySelector('#life').dataset.stale === 'false'")


async def test_a_new_key_moves_it_before_the_visitors_eyes(site: Site, open_page: OpenPage) -> None:
    """The slots show what the browser holds, under the names the keys have in the server's lists."""
    first, second = SigningKey.generate(), SigningKey.generate()
    site.key = first.public_b64
    page = await told(site, open_page, Told())
    assert await page.get_attribute("#slot-a", "data-state") == "used"
    assert await page.inner_text("#slot-a-key") == first.key_id
    assert await page.get_attribute("#slot-b", "data-state") == "empty"
    site.key = second.public_b64
    site.description = Told(renew=True).answer()
    await page.evaluate(LOOK)
    await until(page, "() => document.querySelector('#slot-b').dataset.state === 'used'")
    site.description = Told().answer()
    assert await page.inner_text("#slot-b-key") == second.key_id
    assert await page.get_attribute("#slot-a", "data-state") == "kept"


async def test_people_sign_in_and_out(site: Site, open_page: OpenPage) -> None:
    page = await told(site, open_page, Told())

    async def sign(route: Route) -> None:
        await route.fulfill(json={"identity": f"v1.{route.request.url.rpartition('/')[2]}.tag"})

    await page.route("**/demo/identity/*", sign)
    await page.check("input[value=ada]")
    await until(page, "() => document.querySelector('#life-owner').textContent === 'ada'")
    assert site.bodies()[-1]["identity"] == "v1.ada.tag"
    await page.reload()
    await until(page, "() => document.querySelector('input[value=ada]').checked")
    await page.check("input[value='']")
    await until(page, "() => document.querySelector('#life-owner').textContent === 'nobody'")
    assert site.bodies()[-1]["detach"] is True


@pytest.mark.parametrize("state", ["active", "failing", "quarantined", "needs_renewal", "gone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_state_is_readable(state: str, scheme: str, site: Site, open_page: OpenPage) -> None:
    score = {"active": 100, "failing": 70}.get(state, 20)
    page = await told(site, open_page, Told(state, score, ["A reason."] if score < 50 else []))
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    assert await page.evaluate(CONTRAST) == []
