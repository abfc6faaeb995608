"""A visitor with a stock browser whose page is subscribed already: for tests of a sender against the real thing."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

from pushkeep.protocol.subscription import Subscription
from pushkeep.pushservice.personalities.routes import own_endpoint, token_of
from pushkeep.testing import browsers
from pushkeep.testing.browser import (
    ACTION_SECONDS_MAX,
    START_SECONDS_MAX,
    STOP_SECONDS_MAX,
    Browser,
    BrowserError,
    Json,
    LaunchOptions,
    Page,
    poll,
)
from pushkeep.testing.live import LivePushService
from pushkeep.testing.messages import BrowserMessage
from pushkeep.testing.static_site import push_page, static_site
from pushkeep.testing.subscriptions import SubscriptionData, unless_failed

T = TypeVar("T")

RECEIVE_SECONDS = 20.0
"""A tenth of a second as a rule; a browser on a busy machine has been seen to need 6 s."""

VENDORS = {"firefox": "mozilla", "chromium": "fcm"}
"""Whose push service a browser subscribes to."""

# Chromium waits for its own idle moment before its first subscription, 90 s at most.
_LAUNCH_SECONDS_MAX = 2 * START_SECONDS_MAX + 90.0
_PAGE_READY = "window.pushPage !== undefined"


@dataclass(frozen=True, slots=True)
class ShownNotification:
    """A notification that the page's registration shows; ``data`` as the worker put it there."""

    title: str
    body: str
    tag: str
    data: Json = field(repr=False)


class BrowserPush:
    """A page in a stock browser, subscribed. Every call has a time limit.

    Attributes:
        subscription: for the sender; its endpoint is of the local service, so that any sender reaches it.
        real_subscription: exactly what the page got; Chromium's has an endpoint on a host of Google's. A sender must
            know ``PUSHKEEP_ORIGIN_MAP`` for it, as Pushkeep itself does.
    """

    def __init__(self, live: LivePushService, browser: Browser, page: Page, given: Json) -> None:
        self._live, self._browser, self._page = live, browser, page
        self._taken = 0
        found = Subscription.from_dict(given)
        vendor = VENDORS[browser.name]
        token = token_of(found.endpoint.url)
        endpoint = own_endpoint(vendor, token, restricted=True, own_origin=live.url)
        local = Subscription.from_dict({**found.to_dict(), "endpoint": endpoint})
        self.real_subscription = SubscriptionData(found, vendor)
        self.subscription = SubscriptionData(local, vendor)
        known = live.loop.call(live.service.subscription_for, found.endpoint.url)
        if known is not None:
            live.record.know(known.id, vendor, None)

    def __repr__(self) -> str:
        return f"<BrowserPush {self._browser.name}>"

    def receive(self, timeout: float = RECEIVE_SECONDS) -> BrowserMessage:
        """The next push that the page's service worker got, decrypted by the browser.

        Raises:
            AssertionError: none within ``timeout`` seconds, with what the push service saw meanwhile; or the worker
                could not show it.
        """
        __tracebackhide__ = True
        return unless_failed(self._live.loop.run(self._received(timeout), seconds=timeout + ACTION_SECONDS_MAX))

    async def areceive(self, timeout: float = RECEIVE_SECONDS) -> BrowserMessage:  # noqa: ASYNC109 - as receive()
        """The same for a test whose sender runs in the test's own event loop."""
        __tracebackhide__ = True
        return unless_failed(await asyncio.wrap_future(self._live.loop.submit(self._received(timeout))))

    async def _received(self, seconds: float) -> BrowserMessage | AssertionError:
        try:
            came = await self._page.wait_for(f"pushPage.received[{self._taken}]", timeout_seconds=seconds)
        except BrowserError:
            return AssertionError(
                f"{self._browser.name} got no push within {seconds:g} s. {self._live.record.describe()}\n"
                "A message that was accepted and does not arrive cannot be decrypted, or is of more than one record:"
                " browsers drop it without a word."
            )
        self._taken += 1
        if not isinstance(came, dict):
            return AssertionError("the page was told something that is no push")
        if came.get("problem") is not None:
            return AssertionError(f"the worker could not show the push: {came['problem']}")
        data = came.get("data")
        return BrowserMessage(base64.b64decode(data) if isinstance(data, str) else None)

    def notifications(self) -> list[ShownNotification]:
        """What the browser shows for this page now, oldest first."""
        shown = self._run(self._page.evaluate("pushPage.shown()"))
        return [
            ShownNotification(str(one["title"]), str(one["body"]), str(one["tag"]), one["data"])
            for one in (shown if isinstance(shown, list) else [])
            if isinstance(one, dict)
        ]

    def unsubscribe(self) -> None:
        """The visitor leaves: the page unsubscribes, and the push service answers 410 from now on.

        Raises:
            AssertionError: the browser says that there was no subscription.
        """
        if self._run(self._unsubscribed()) is not True:
            raise AssertionError("the page has no subscription to end")

    async def _unsubscribed(self) -> Json:
        done = await self._page.evaluate("pushPage.unsubscribe()")
        service, endpoint = self._live.service, self.real_subscription.endpoint

        async def gone() -> bool:
            return service.subscription_for(endpoint) is None

        await poll(gone, timeout_seconds=ACTION_SECONDS_MAX, waiting_for="the push service to know of it")
        return done

    def _run(self, work: Coroutine[object, object, T]) -> T:
        return self._live.loop.run(work, seconds=2 * ACTION_SECONDS_MAX)

    def close(self) -> None:
        """Close the page."""
        self._run(self._page.close())


class BrowserHost:
    """One running browser, in the push service's thread, and the site its pages are from."""

    def __init__(self, live: LivePushService, name: str) -> None:
        self._live, self._name = live, name
        self._stack = contextlib.AsyncExitStack()
        self._site = contextlib.ExitStack()
        self._browser: Browser | None = None
        self._port = 0
        self._numbers = itertools.count(1)

    def start(self) -> None:
        """Start the browser.

        Raises:
            BrowserMissing: it, or what driving it needs, is not on this machine.
            BrowserError: it does not start.
        """
        options = LaunchOptions(push_service=self._live.service)
        self._browser = self._live.loop.run(
            self._stack.enter_async_context(browsers.launch(self._name, options)), seconds=_LAUNCH_SECONDS_MAX
        )
        self._port = self._site.enter_context(static_site(push_page()))

    def stop(self) -> None:
        """Quit it and remove its profile."""
        try:
            self._live.loop.run(self._stack.aclose(), seconds=3 * STOP_SECONDS_MAX)
        finally:
            self._site.close()

    def visit(self, key: str) -> BrowserPush:
        """A visitor at an origin no test had before, subscribed with the application server key ``key``."""
        page, given = self._live.loop.run(self._subscribed(key), seconds=3 * ACTION_SECONDS_MAX)
        if self._browser is None:
            raise BrowserError(f"{self._name} is not running; start() it first")
        return BrowserPush(self._live, self._browser, page, given)

    async def _subscribed(self, key: str) -> tuple[Page, Json]:
        if self._browser is None:
            raise BrowserError(f"{self._name} is not running; start() it first")
        # An origin used before would have state in the profile. All names below localhost are this machine.
        origin = f"http://visitor-{next(self._numbers)}.localhost:{self._port}"
        await self._browser.set_permission(origin, "granted")
        page = await self._browser.open(origin)
        await page.wait_for(_PAGE_READY)
        return page, await page.evaluate(f"pushPage.subscribe({json.dumps(key)})")
