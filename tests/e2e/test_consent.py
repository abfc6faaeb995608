"""What a visitor agrees to by a click in the page: its record, what it opens, and what taking it back closes."""

from __future__ import annotations

import pytest

from pushkeep.web.demo_page import PURPOSE, WORDING_TEXT, WORDING_VERSION

from .desk import Desk
from .site import Site, Visitor, arrive, press_subscribe
from .test_people import sign

pytestmark = pytest.mark.browser

SWITCH = "#agreed-list input"
SAID = "document.querySelector('#agreed-list .when').textContent.startsWith('%s')"


async def sent_for_it(visitor: Visitor, title: str) -> str:
    """What becomes of a message that names the purpose."""
    outcome = await visitor.site.notify_one(visitor.short_id, content={"title": title}, purpose=PURPOSE)
    return str(outcome["kind"])


async def records(site: Site) -> list[dict[str, object]]:
    """What has been said, the oldest first."""
    answer = await site.http.get("/v1/consents")
    assert answer.status_code == 200, answer.text
    return [record["content"] for record in answer.json()["items"]]


async def switch(visitor: Visitor, becomes: str) -> None:
    await visitor.page.click(SWITCH)
    await visitor.page.wait_for(SAID % becomes)


async def test_a_tick_makes_a_record_and_taking_it_back_stops_what_is_sent_for_it(desk: Desk, site: Site) -> None:
    page = await arrive(desk, site)
    assert await page.text("#consents-list .wording") == WORDING_TEXT
    await page.click("#consents-list input")
    visitor = Visitor(desk, site, page, await press_subscribe(page))
    (first,) = await records(site)
    shown = ("purpose", "given", "method", "wording_version", "locale", "contact", "page")
    assert {name: first[name] for name in shown} == {
        "purpose": PURPOSE,
        "given": True,
        "method": "prompt",
        "wording_version": WORDING_VERSION,
        "locale": "en",
        "contact": None,
        "page": f"{site.url}/",
    }
    await page.wait_for(SAID % "Agreed")
    assert await sent_for_it(visitor, "You have agreed") == "accepted"
    await visitor.sees("You have agreed")

    await switch(visitor, "Taken back")
    assert await sent_for_it(visitor, "You have not") == "skipped_consent"
    await visitor.is_reached("For no purpose")
    assert "You have not" not in [shown.title for shown in desk.notifications.shown]

    await site.rotate()
    moved = await visitor.again()
    assert await sent_for_it(moved, "Nor in another slot") == "skipped_consent"
    await switch(moved, "Agreed")
    assert await sent_for_it(moved, "Once more") == "accepted"
    await moved.sees("Once more")
    said = await records(site)
    assert [one["given"] for one in said] == [True, False, True]
    assert len({one["subscription"] for one in said}) == 2


async def test_who_ticks_nothing_has_not_agreed_and_in_a_shared_browser_each_speaks_for_themselves(
    visitor: Visitor,
) -> None:
    assert await records(visitor.site) == []
    assert await sent_for_it(visitor, "To nobody") == "skipped_consent"
    await sign(visitor, "ada")
    await switch(visitor, "Agreed")
    assert await sent_for_it(visitor, "To Ada") == "accepted"
    await visitor.sees("To Ada")
    await sign(visitor, "bert")
    await visitor.page.wait_for(SAID % "You have not")
    assert await sent_for_it(visitor, "To Bert") == "skipped_consent"
    await sign(visitor, "ada")
    await visitor.page.wait_for(SAID % "Agreed")
    assert await sent_for_it(visitor, "To Ada again") == "accepted"
    await visitor.sees("To Ada again")
