"""A browser that is away gets its messages when it is back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from pushkeep.pushservice import PushService
from pushkeep.testing import browsers

from .desk import desk_for
from .site import Visitor, running_site, subscribe

pytestmark = pytest.mark.browser


@pytest_asyncio.fixture(loop_scope="session", params=browsers.NAMES)
async def own_visitor(
    request: pytest.FixtureRequest, push_service: PushService, tmp_path: Path
) -> AsyncIterator[Visitor]:
    """A subscribed visitor in a browser nobody else uses."""
    async with (
        desk_for(request.param, push_service, profile=tmp_path / "profile") as desk,
        running_site(tmp_path / "data", push_service, f"own-{request.param}") as site,
    ):
        yield await subscribe(desk, site)


async def test_a_message_waits_while_the_connection_is_refused(visitor: Visitor) -> None:
    site, service = visitor.site, visitor.desk.service
    mailbox = await visitor.mailbox()
    client = mailbox.client_id
    assert await service.drop_connection(client, refuse=True)
    before = service.last_event_serial
    outcome = await site.notify_one(visitor.short_id, content={"title": "While you were away"}, options={"ttl": 600})
    assert outcome["kind"] == "accepted"
    waiting = [message for message in service.messages() if message.subscription_id == mailbox.id]
    assert [message.state for message in waiting] == ["waiting"]
    assert "While you were away" not in {shown.title for shown in visitor.desk.notifications.shown}
    service.admit_client(client)
    await service.wait_for_client(90, client_id=client, after=before)
    await visitor.sees("While you were away")


async def test_a_message_waits_for_a_restart_with_no_page_open(own_visitor: Visitor) -> None:
    desk, site = own_visitor.desk, own_visitor.site
    await desk.browser.stop()
    for title, topic in (("Overtaken", "news"), ("After the restart", "news")):
        outcome = await site.notify_one(
            own_visitor.short_id, content={"title": title, "url": "/demo/info"}, options={"ttl": 600, "topic": topic}
        )
        assert outcome["kind"] == "accepted"
    await desk.browser.start()
    assert await desk.browser.tabs() == ("about:blank",)
    seen = await own_visitor.sees("After the restart")
    assert "Overtaken" not in {shown.title for shown in desk.notifications.shown}
    await desk.notifications.click(seen)
    page = await desk.browser.open(site.url)
    assert await page.wait_for("document.querySelector('#short-id').textContent.trim()") == own_visitor.short_id
