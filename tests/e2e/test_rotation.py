"""The signing key changes under a living subscriber: it moves with no message lost, none twice, and no click."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from pushkeep.testing.browser import poll

from .desk import Desk
from .insides import held, let_time_pass
from .site import SUBSCRIBE_SECONDS_MAX, Visitor, reload_at_once

pytestmark = pytest.mark.browser

# Longer than what was confirmed counts as fresh, shorter than a grace period.
LATER_SECONDS = 600
# Longer than any grace period.
GRACE_SECONDS = 30 * 86_400
# Between two messages of somebody who sends all the time: many of them fall into each step of a move.
PAUSE_SECONDS = 0.05
MESSAGES_MAX = 400


class Correspondence:
    """Messages sent one after the other to one name of a subscription, and what became of them."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._shown_before = len(visitor.desk.notifications.shown)
        self.sent: list[str] = []

    async def run(self) -> None:
        """Send until cancelled."""
        while len(self.sent) < MESSAGES_MAX:
            title = f"Number {len(self.sent)}"
            await self._visitor.site.accepted(to={"subscriptions": [self._visitor.short_id]}, content={"title": title})
            self.sent.append(title)
            await asyncio.sleep(PAUSE_SECONDS)

    async def reaches(self, count: int) -> None:
        """Wait until so many more have been sent."""
        wanted = len(self.sent) + count
        while len(self.sent) < wanted:  # noqa: ASYNC110 - bounded by its callers' own limit
            await asyncio.sleep(PAUSE_SECONDS)

    async def all_shown_once(self) -> None:
        """Every one of them was seen on the desktop, and exactly once."""
        notifications = self._visitor.desk.notifications

        async def seen() -> Counter[str]:
            since = notifications.shown[self._shown_before :]
            return Counter(shown.title for shown in since if shown.title.startswith("Number "))

        counts = await poll(
            seen,
            timeout_seconds=SUBSCRIBE_SECONDS_MAX,
            waiting_for="every message on the desktop",
            accept=lambda found: set(found) >= set(self.sent),
        )
        assert counts == Counter(self.sent)


@contextlib.asynccontextmanager
async def writing_to(visitor: Visitor) -> AsyncIterator[Correspondence]:
    """Somebody who sends all the time."""
    letters = Correspondence(visitor)
    task = asyncio.create_task(letters.run())
    try:
        async with asyncio.timeout(SUBSCRIBE_SECONDS_MAX):
            yield letters
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_messages_before_during_and_after_a_move_are_all_shown_once(visitor: Visitor) -> None:
    site = visitor.site
    before = await visitor.holds()
    async with writing_to(visitor) as letters:
        await letters.reaches(5)
        key = await site.rotate()
        assert key != before.key
        await letters.reaches(5)
        moved = await visitor.visits_until_moved()
        await letters.reaches(5)
    await letters.all_shown_once()
    await moved.is_the_only_one()
    # The old one stays for what may be on its way to it, then it is given back.
    assert {(one.slot, one.key) for one in await held(moved.page)} == {("a", before.key), ("b", key)}
    await let_time_pass(moved.page, GRACE_SECONDS)
    moved = await moved.visits()
    assert [(one.slot, one.key) for one in await held(moved.page)] == [("b", key)]
    assert moved.desk.service.subscription_for(before.endpoint) is None
    await moved.is_reached("With the new key")


async def test_two_tabs_at_once_move_once_and_a_second_rotation_moves_back(desk: Desk, visitor: Visitor) -> None:
    site = visitor.site
    other = await desk.browser.open(site.url)
    await other.wait_for(f"document.querySelector('#short-id').textContent === '{visitor.short_id}'")
    await site.rotate()
    await let_time_pass(visitor.page, LATER_SECONDS)
    await reload_at_once(visitor.page, other)
    moved = await visitor.again()
    assert await other.wait_for(f"document.querySelector('#short-id').textContent === '{moved.short_id}'")
    await moved.is_the_only_one()
    assert sorted(one.slot for one in await moved.living_in_browser()) == ["a", "b"]
    await moved.is_reached("To both tabs")

    await let_time_pass(moved.page, GRACE_SECONDS)
    key = await site.rotate()
    back = await moved.again()
    await back.is_the_only_one()
    assert ("a", key) in {(one.slot, one.key) for one in await held(back.page)}
    await back.is_reached("Back in the first slot")


async def test_a_push_service_that_makes_no_subscriptions_costs_no_message(visitor: Visitor) -> None:
    """The move waits, the old subscription stays in use meanwhile."""
    site, service = visitor.site, visitor.desk.service
    before = await visitor.holds()
    service.close_registration()
    try:
        key = await site.rotate()
        await let_time_pass(visitor.page, LATER_SECONDS)
        await visitor.page.goto(site.url)
        await visitor.page.wait_for("document.querySelector('#error').dataset.code === 'push_service_unavailable'")
        assert (await visitor.holds()) == before
        await visitor.is_reached("With the old key")
    finally:
        service.open_registration()
    await let_time_pass(visitor.page, LATER_SECONDS)
    moved = await visitor.visits_until_moved()
    await moved.is_the_only_one()
    assert key in {one.key for one in await held(moved.page)}
    await moved.is_reached("With the new key")


async def test_a_leaked_key_is_left_with_no_page_open(visitor: Visitor) -> None:
    """The next message tells the worker, which makes a new subscription at once."""
    site, service = visitor.site, visitor.desk.service
    before = await visitor.holds()
    await visitor.desk.browser.close_tabs()
    key = await site.rotate("--leaked")
    await visitor.is_reached("Something happened")
    await (await visitor.succeeds()).is_reached("With the safe key")
    page = await visitor.desk.browser.open(site.url)
    after = {one.key for one in await held(page) if service.subscription_for(one.endpoint) is not None}
    assert key in after
    # Whoever stole the key can no longer send to it.
    assert before.key not in after


async def test_a_key_is_not_retired_under_a_living_subscriber(desk: Desk, visitor: Visitor) -> None:
    site = visitor.site
    # A page that is open would move it while the command runs.
    await desk.browser.close_tabs()
    await site.rotate()
    answer = await site.http.get("/v1/signing-keys")
    (old,) = [one["key"]["id"] for one in answer.json()["items"] if one["key"]["state"] == "retiring"]
    refused = await site.pushkeep("keys", "retire", old)
    assert refused.status != 0
    assert "1 living subscription" in refused.err
    page = await desk.browser.open(site.url)
    moved = await replace(visitor, page=page).visits_until_moved()
    retired = await site.pushkeep("keys", "retire", old)
    assert retired.status == 0, retired.err
    await moved.is_the_only_one()
    await moved.is_reached("After the old key")
