"""Stock Chromium, one for all tests here; a fresh origin for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, CDPSession, Page, async_playwright

from .site import Site, Sites

FAKE_PUSH = Path(__file__).with_name("fake_push.js")

# Chromium asks Google's servers for a subscription. These tests are about the SDK, so the page's PushManager is a
# scripted one; subscriptions at a push service are proven end to end elsewhere. Nothing may leave the machine.
ARGUMENTS = [
    "--no-sandbox",
    "--host-resolver-rules=MAP insecure.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, "
    "EXCLUDE 127.0.0.1",
]


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def sites() -> AsyncIterator[Sites]:
    sites = Sites()
    await sites.start()
    yield sites
    await sites.stop()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def chromium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BrowserContext]:
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("chromium")),
            executable_path="/usr/bin/chromium",
            headless=True,
            args=ARGUMENTS,
            viewport={"width": 1280, "height": 900},
        )
        context.set_default_timeout(15_000)
        yield context
        await context.close()


@pytest.fixture
def site(sites: Sites) -> Site:
    return sites.new()


OpenPage = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="package")
async def open_page(chromium: BrowserContext, site: Site) -> AsyncIterator[OpenPage]:
    """Opens pages of the test's origin, with permission unless told otherwise, and fails on any script error."""
    pages: list[Page] = []
    errors: list[str] = []

    async def opener(
        path: str = "/blank", *, granted: bool = True, base: str | None = None, script: str = "", fake: bool = True
    ) -> Page:
        if granted:
            await chromium.grant_permissions(["notifications"], origin=base or site.base)
        page = await chromium.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
        if fake:
            await page.add_init_script(path=FAKE_PUSH)
        if script:
            await page.add_init_script(script)
        pages.append(page)
        await page.goto(f"{base or site.base}{path}")
        return page

    yield opener
    for page in pages:
        await page.close()
    assert errors == []


async def until(page: Page, condition: str, argument: object = None, *, seconds_max: float = 10) -> None:
    """Wait until an (async) JavaScript function returns something true in the page."""
    held = await page.evaluate(
        f"""async ([argument, milliseconds]) => {{
          const condition = {condition};
          for (const end = Date.now() + milliseconds; Date.now() < end; ) {{
            if (await condition(argument)) return true;
            await new Promise((again) => setTimeout(again, 20));
          }}
          return false;
        }}""",
        [argument, seconds_max * 1000],
    )
    assert held, f"did not become true within {seconds_max} s: {condition}"


class WorkerHandle:
    """A running worker, driven through the DevTools protocol."""

    def __init__(self, page: Page, session: CDPSession, registration: str, context: BrowserContext) -> None:
        self.page = page
        self._session = session
        self._registration = registration
        self._context = context
        parts = urlsplit(page.url)
        self._origin = f"{parts.scheme}://{parts.netloc}"

    async def push(self, data: str) -> None:
        """Fire a push event with this plaintext; an empty string is a push without data."""
        await self._session.send(
            "ServiceWorker.deliverPushMessage",
            {"origin": self._origin, "registrationId": self._registration, "data": data},
        )

    async def count_shown(self) -> None:
        """Have the worker count what it has shown.

        Asking getNotifications() again and again instead would make the answer wrong: while a notification is being
        put up, Chromium takes it for one that was dismissed and forgets it (seen in 205 of 400 tries).
        """
        await self.evaluate(
            """() => {
              self.shownCount = 0;
              const show = registration.showNotification.bind(registration);
              registration.showNotification = async (...given) => {
                await show(...given);
                self.shownCount += 1;
              };
            }"""
        )

    async def shown(self, count: int = 1) -> list[dict[str, object]]:
        """The notifications on screen, once ``count`` have been shown."""
        await self.evaluate(
            """async (count) => {
              for (const end = Date.now() + 10_000; self.shownCount < count; ) {
                if (Date.now() > end) throw new Error(`only ${self.shownCount} of ${count} shown`);
                await new Promise((again) => setTimeout(again, 20));
              }
            }""",
            count,
        )
        shown: list[dict[str, object]] = await self.page.evaluate(
            """async () => {
              const registration = await navigator.serviceWorker.getRegistration('/pushkeep/a/');
              return (await registration.getNotifications()).map(
                ({ title, body, tag, data, silent, renotify, dir, lang, icon, requireInteraction, actions }) =>
                  ({ title, body, tag, data, silent, renotify, dir, lang, icon, requireInteraction, actions }));
            }"""
        )
        return shown

    async def evaluate(self, script: str, argument: object = None) -> object:
        """Run a function in the worker."""
        worker = next(w for w in self._context.service_workers if w.url.startswith(self._origin))
        return await worker.evaluate(script, argument)


StartWorker = Callable[[Page], Awaitable[WorkerHandle]]


@pytest_asyncio.fixture(loop_scope="package")
async def start_worker(chromium: BrowserContext) -> StartWorker:
    """Registers the worker from a page and waits until it is active."""

    async def start(page: Page) -> WorkerHandle:
        session = await chromium.new_cdp_session(page)
        registrations: list[str] = []

        def note(event: dict[str, list[dict[str, object]]]) -> None:
            registrations.extend(
                str(one["registrationId"])
                for one in event["registrations"]
                if str(one["scopeURL"]).startswith("/".join(page.url.split("/")[:3]))
            )

        session.on("ServiceWorker.workerRegistrationUpdated", note)
        await session.send("ServiceWorker.enable")
        await page.evaluate(
            """async () => {
              const registration = await navigator.serviceWorker.register('/pushkeep/worker.js?project=pk_test',
                { scope: '/pushkeep/a/' });
              const worker = registration.installing ?? registration.waiting ?? registration.active;
              while (worker.state !== 'activated') {
                await new Promise((done) => worker.addEventListener('statechange', done, { once: true }));
              }
            }"""
        )
        for _ in range(100):
            if registrations:
                break
            await page.wait_for_timeout(50)  # the DevTools event comes on its own time
        worker = WorkerHandle(page, session, registrations[-1], chromium)
        await worker.count_shown()
        return worker

    return start
