"""A subscription gets lost without anybody's wish, and comes back without a question: nobody is counted twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from pushkeep.pushservice import PushService

from .desk import Desk, desk_for
from .insides import LOSE
from .site import Visitor, reload_at_once, running_site, subscribe

pytestmark = pytest.mark.browser


async def test_what_the_browser_lost_it_makes_again_at_the_next_visit(visitor: Visitor) -> None:
    before = await visitor.holds()
    await visitor.page.evaluate(LOSE)
    back = await visitor.visits()
    assert back.short_id != visitor.short_id
    assert (await back.holds()).endpoint != before.endpoint
    await back.is_the_only_one()
    assert (await back.site.subscription(visitor.short_id))["state"] == "superseded"
    await back.is_reached("Found again")
    # Whoever only knows the old name reaches the same browser.
    await visitor.is_reached("By the old name")


async def test_what_the_push_service_dropped_moves_to_the_other_slot(visitor: Visitor) -> None:
    """The browser knows nothing of it: it still holds what opens no mailbox any more."""
    before = await visitor.holds()
    visitor.desk.service.expire((await visitor.mailbox()).id)
    outcome = await visitor.site.notify_one(visitor.short_id, content={"title": "To nobody"})
    assert outcome["kind"] == "gone"
    assert (await visitor.site.subscription(visitor.short_id))["state"] == "gone"
    # The page that is open asks how its subscription is, and hears it.
    back = await visitor.again()
    await back.is_the_only_one()
    await back.is_reached("In the other slot")
    assert before.endpoint not in {one.endpoint for one in await back.living_in_browser()}


async def test_a_forgotten_firefox_subscribes_again_by_itself(push_service: PushService, tmp_path: Path) -> None:
    """It hears of it at once, or at its next start. No page is open: the worker alone does it."""
    async with (
        desk_for("firefox", push_service, profile=tmp_path / "profile") as desk,
        running_site(tmp_path / "data", push_service, "forgotten") as site,
    ):
        visitor = await subscribe(desk, site)
        await desk.browser.close_tabs()
        await push_service.forget_client((await visitor.mailbox()).client_id)
        found = await visitor.succeeds()
        await found.is_reached("Found again")
        assert (await site.subscription(visitor.short_id))["state"] == "superseded"
        await visitor.is_reached("By the old name")

        client = (await visitor.mailbox()).client_id
        await desk.browser.stop()
        await push_service.forget_client(client)
        await desk.browser.start()
        await (await found.succeeds()).is_reached("After a long sleep")


async def test_two_tabs_mend_one_loss_once(desk: Desk, visitor: Visitor) -> None:
    other = await desk.browser.open(visitor.site.url)
    await other.wait_for(f"document.querySelector('#short-id').textContent === '{visitor.short_id}'")
    await visitor.page.evaluate(LOSE)
    await reload_at_once(visitor.page, other)
    back = await visitor.again()
    assert await other.wait_for(f"document.querySelector('#short-id').textContent === '{back.short_id}'")
    await back.is_the_only_one()
    await back.is_reached("To both tabs")
    for page in (visitor.page, other):
        assert await page.wait_for("document.querySelector('#messages li strong')?.textContent") == "To both tabs"
