"""A notification's buttons: shown by the browser, offered on the desktop, and each opens its own page."""

from __future__ import annotations

import pytest

from pushkeep.domain.notification import ACTIONS_MAX
from pushkeep.testing.browser import poll

from .site import Visitor

pytestmark = pytest.mark.browser

ACTIONS = """navigator.serviceWorker.getRegistration("/pushkeep/a/")
  .then((registration) => registration.getNotifications())
  .then((shown) => shown.find(({title}) => title === "Your order")?.actions ?? [])
  .then((actions) => actions.map(({action, title}) => [action, title]))"""


async def test_a_button_is_shown_and_opens_its_own_page(visitor: Visitor) -> None:
    site, desktop = visitor.site, visitor.desk.notifications
    assert await visitor.page.evaluate("Notification.maxActions") == ACTIONS_MAX
    outcome = await site.notify_one(
        visitor.short_id,
        content={
            "title": "Your order",
            "url": "/demo/info?from=itself",
            "actions": [
                {"action": "pay", "title": "Pay now", "url": "/demo/info?from=pay"},
                {"action": "ask", "title": "Ask us"},
            ],
            "app_badge": 2,
        },
    )
    assert outcome["kind"] == "accepted"
    seen = await visitor.sees("Your order")
    await visitor.shown("Your order")
    assert await visitor.page.evaluate(ACTIONS) == [["pay", "Pay now"], ["ask", "Ask us"]]
    # Each browser has ids of its own for the buttons; what they say is ours.
    (button,) = [name for name, label in seen.actions.items() if label == "Pay now"]
    await desktop.click(seen, button)
    await poll(
        visitor.desk.browser.tabs,
        timeout_seconds=60,
        waiting_for="a tab with the button's page",
        accept=lambda tabs: f"{site.url}/demo/info?from=pay" in tabs,
    )
    assert f"{site.url}/demo/info?from=itself" not in await visitor.desk.browser.tabs()
    await desktop.wait_closed(seen)
