"""What happens while the server or the push service is away is made up for when it is back."""

from __future__ import annotations

import pytest

from pushkeep.testing.browser import poll

from .desk import Desk
from .insides import LOSE, held, let_time_pass
from .site import SUBSCRIBE_SECONDS_MAX, SUBSCRIBED, Site, Visitor, arrive

pytestmark = pytest.mark.browser

# What a page start does, where the page itself cannot be loaded: its server is away.
SYNC = """import("/pushkeep/sdk.js")
  .then(({Pushkeep}) => Pushkeep.init({projectKey: document.body.dataset.projectKey}))
  .then((push) => push.status().state)"""

# Longer than what was confirmed counts as fresh, and than the pause after a failure.
LATER_SECONDS = 600
PATIENCE_MS = 1_500
# A visitor whose page gives up early.
IMPATIENT = f"""import("/pushkeep/sdk.js")
  .then(({{Pushkeep}}) => Pushkeep.init({{projectKey: document.body.dataset.projectKey, timeoutMs: {PATIENCE_MS}}}))
  .then((push) => push.subscribe())
  .then(() => "subscribed", (error) => error.code)"""


async def test_a_subscription_renewed_while_the_server_is_away_is_told_later(visitor: Visitor) -> None:
    site, desk = visitor.site, visitor.desk
    before = await visitor.holds()
    await site.leave()
    await desk.browser.set_permission(site.url, "denied")
    await desk.browser.set_permission(site.url, "granted")
    assert before.endpoint not in {one.endpoint for one in await held(visitor.page)}
    await visitor.page.evaluate(SYNC)
    await site.come()
    assert [one["short_id"] for one in await site.living()] == [visitor.short_id]
    await let_time_pass(visitor.page, LATER_SECONDS)
    back = await visitor.visits()
    await back.is_the_only_one()
    await back.is_reached("As if nothing had happened")


async def test_who_leaves_while_the_server_is_away_has_left(visitor: Visitor) -> None:
    site = visitor.site
    mailbox = await visitor.mailbox()
    await site.leave()
    await visitor.page.click("#unsubscribe")
    await visitor.page.wait_for("document.querySelector('#status').dataset.state === 'unsubscribed'")
    await visitor.desk.service.wait_for_unsubscription(mailbox.id, 30)
    await site.come()
    await let_time_pass(visitor.page, LATER_SECONDS)
    await visitor.page.goto(site.url)

    async def state() -> str:
        return str((await site.subscription(visitor.short_id))["state"])

    await poll(
        state,
        timeout_seconds=SUBSCRIBE_SECONDS_MAX,
        waiting_for="the server to hear of it",
        accept=lambda found: found == "unsubscribed",
    )
    await visitor.page.wait_for("document.querySelector('#status-text').textContent === 'Not subscribed'")
    assert await held(visitor.page) == []


async def test_an_open_page_makes_up_for_it_without_being_loaded_anew(visitor: Visitor) -> None:
    site = visitor.site
    await site.leave()
    await visitor.page.evaluate(LOSE)
    await visitor.page.evaluate(SYNC)
    await site.come()
    await let_time_pass(visitor.page, LATER_SECONDS)
    await visitor.page.evaluate(SYNC)
    await (await visitor.succeeds()).is_reached("Back")


async def test_an_attempt_that_was_given_up_and_succeeds_late_is_no_second_subscription(desk: Desk, site: Site) -> None:
    """A subscribe() cannot be called back: the browser may come with a subscription when nobody waits any more."""
    page = await arrive(desk, site)
    desk.service.close_registration(hold=True)
    try:
        assert await page.evaluate(IMPATIENT) == "timeout"
        assert await site.living() == []
    finally:
        desk.service.open_registration()
    await let_time_pass(page, LATER_SECONDS)
    await page.goto(site.url)
    short_id = await page.wait_for(SUBSCRIBED, timeout_seconds=SUBSCRIBE_SECONDS_MAX)
    visitor = Visitor(desk, site, page, str(short_id))
    await visitor.holds()
    await visitor.is_the_only_one()
    await visitor.is_reached("Better late")
