"""Every push is shown, also one that makes no sense: browsers punish a silent one."""

from __future__ import annotations

import base64

import pytest

from .insides import SHOWN
from .site import Visitor

pytestmark = pytest.mark.browser

BROKEN = {
    "no JSON": b"just words",
    "cut JSON": b'{"web_push": 8030, "notification": {"title": "cut',
    "no object": b'["a", "list"]',
    "wrong types": b'{"notification": {"title": 7, "body": [], "actions": {}, "navigate": "javascript:alert(1)"}}',
    "hostile icon": b'{"title": "hostile icon", "icon": "http://[", "image": "data:", "actions": [{"action": 1}]}',
    "no text": bytes(range(200, 256)),
}


async def test_a_malformed_push_is_still_shown_and_leads_nowhere(visitor: Visitor) -> None:
    for what, payload in BROKEN.items():
        outcome = await visitor.site.notify_one(visitor.short_id, payload_base64=base64.b64encode(payload).decode())
        assert outcome["kind"] == "accepted", what
        seen = await visitor.desk.notifications.next()
        assert seen.title, what
        # A click on it must not lead anywhere but to the site itself.
        await visitor.desk.notifications.click(seen)
        await visitor.desk.notifications.wait_closed(seen)
    assert all(tab.startswith((visitor.site.url, "about:blank")) for tab in await visitor.desk.browser.tabs())


async def test_an_empty_push_is_shown(visitor: Visitor) -> None:
    assert (await visitor.site.notify_one(visitor.short_id, payload=""))["kind"] == "accepted"
    assert (await visitor.desk.notifications.next()).title


async def test_a_repeat_replaces_the_copy_still_on_screen(visitor: Visitor) -> None:
    for title in ("First edition", "Second edition"):
        await visitor.site.notify_one(visitor.short_id, content={"title": title}, options={"tag": "edition"})
        await visitor.sees(title)
        # The browser's own list, not the desktop's: Chromium may ask the desktop for a second bubble when the
        # repeat comes within milliseconds, before the desktop's answer to the first.
        await visitor.shown(title)
    kept = await visitor.page.evaluate(SHOWN)
    assert isinstance(kept, list)
    assert [one["title"] for one in kept if isinstance(one, dict) and one["tag"] == "edition"] == ["Second edition"]
