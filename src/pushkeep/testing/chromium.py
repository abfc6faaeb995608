"""Stock Chromium through Playwright, wired to a local push service.

Always a *persistent* context: push does not exist in Playwright's ordinary, off-the-record ones. Made for and
tried with Chromium 156 of Debian.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import BrowserContext, CDPSession, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import Page as PlaywrightPage

from pushkeep.testing.browser import (
    ACTION_SECONDS_MAX,
    FINISH_ANIMATIONS,
    START_SECONDS_MAX,
    STOP_SECONDS_MAX,
    BrowserError,
    BrowserMissing,
    Json,
    LaunchOptions,
    PermissionState,
    as_async_json,
    check_launch,
    find_executable,
    poll,
    wait_until_truthy,
)
from pushkeep.testing.offline import only_loopback
from pushkeep.testing.process import ChildProcess
from pushkeep.testing.profile import ProfileDirectory

# Chromium gives up waiting for an idle page after a minute, and then counts as started too.
PUSH_CLIENT_SECONDS_MAX = 90.0
_STARTED_HISTOGRAM = "Startup.AfterStartupTaskDelayedUntilTime"

_SETTINGS_URL = "chrome://settings/content/notifications"
_SETTINGS_PROXY = (
    "import('chrome://settings/lazy_load.js').then(module => module.SiteSettingsBrowserProxyImpl.getInstance())"
)
_SETTING = {"granted": "allow", "denied": "block", "prompt": "ask"}


def switches(options: LaunchOptions) -> list[str]:
    """The command-line switches beyond Playwright's own."""
    service = options.push_service
    result = [
        # No look-up leaves this machine.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1",
        "--no-proxy-server",
        "--disable-background-networking",
        "--no-first-run",
        "--no-default-browser-check",
    ]
    if os.geteuid() == 0:
        result.append("--no-sandbox")  # Chromium refuses to start for root otherwise
    if service is not None:
        result += [
            f"--gcm-checkin-url={service.checkin_url}",
            f"--gcm-registration-url={service.registration_url}",
            f"--gcm-mcs-endpoint={service.mcs_url}",
        ]
    return result


async def trust(ca_file: Path, home: Path) -> None:
    """Put a certificate authority into the NSS database Chromium reads below its home.

    With an untrusted certificate subscribing still works and no message ever comes.

    Raises:
        BrowserMissing: ``certutil`` is not installed.
        BrowserError: it failed.
    """
    database = home / ".pki" / "nssdb"
    certutil = shutil.which("certutil")
    if certutil is None:
        raise BrowserMissing("certutil is not installed; install the Debian package libnss3-tools")
    if not (database / "cert9.db").exists():
        database.mkdir(parents=True, exist_ok=True)
        await _run(certutil, "-N", "-d", f"sql:{database}", "--empty-password")
    # A kept profile may hold an authority of an earlier service under this name.
    await _run(certutil, "-D", "-d", f"sql:{database}", "-n", "pushkeep", check=False)
    await _run(certutil, "-A", "-d", f"sql:{database}", "-n", "pushkeep", "-t", "C,,", "-i", str(ca_file))


async def _run(*command: str, check: bool = True) -> None:
    process = await ChildProcess.start(command, environment={"PATH": os.environ.get("PATH", "/usr/bin:/bin")})
    try:
        ended = await process.wait(timeout_seconds=ACTION_SECONDS_MAX)
    finally:
        await process.stop()
    if check and (not ended or process.status != 0):
        raise BrowserError(f"{' '.join(command[:2])} failed: {process.output[-500:]}")


class ChromiumPage:
    """One tab; implements :class:`pushkeep.testing.browser.Page`."""

    def __init__(self, page: PlaywrightPage, session: CDPSession) -> None:
        self._page = page
        self._session = session

    @classmethod
    async def attach(cls, page: PlaywrightPage) -> ChromiumPage:
        """Take over a tab Playwright opened."""
        return cls(page, await page.context.new_cdp_session(page))

    async def evaluate(self, javascript: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> Json:
        """See :meth:`Page.evaluate`."""
        # Straight to the protocol: Playwright's own evaluate() goes through eval(), which a page with a strict
        # content security policy forbids.
        try:
            async with asyncio.timeout(timeout_seconds):
                answer: dict[str, Json] = await self._session.send(
                    "Runtime.evaluate",
                    {"expression": as_async_json(javascript), "awaitPromise": True, "returnByValue": True},
                )
        except TimeoutError as error:
            raise BrowserError(f"the script did not settle within {timeout_seconds:g} s: {javascript[:200]}") from error
        except PlaywrightError as error:
            raise _wrapped("evaluate", error) from error
        thrown = answer.get("exceptionDetails")
        if isinstance(thrown, dict):
            exception = thrown.get("exception")
            what = exception.get("description") if isinstance(exception, dict) else thrown.get("text")
            raise BrowserError(f"the script threw: {str(what)[:500]}")
        result = answer.get("result")
        text = result.get("value") if isinstance(result, dict) else None
        if not isinstance(text, str):
            raise BrowserError("the script's value has no JSON form")
        value: Json = json.loads(text)
        return value

    async def wait_for(self, javascript: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> Json:
        """See :meth:`Page.wait_for`."""
        return await wait_until_truthy(self, javascript, timeout_seconds=timeout_seconds)

    async def text(self, css: str) -> str:
        """See :meth:`Page.text`."""
        return str(await self.evaluate(f"document.querySelector({json.dumps(css)}).innerText.trim()"))

    async def goto(self, url: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> None:
        """See :meth:`Page.goto`."""
        try:
            await self._page.goto(url, wait_until="load", timeout=timeout_seconds * 1000)
        except PlaywrightError as error:
            raise _wrapped(f"open {url}", error) from error

    async def click(self, css: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> None:
        """See :meth:`Page.click`."""
        try:
            await self._page.bring_to_front()
            await self._page.locator(css).first.click(timeout=timeout_seconds * 1000)
        except PlaywrightError as error:
            raise _wrapped(f"click {css}", error) from error

    async def screenshot(
        self,
        path: Path,
        *,
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        full_page: bool = False,
    ) -> None:
        """See :meth:`Page.screenshot`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        before = self._page.viewport_size
        try:
            await self._page.bring_to_front()
            await self._page.emulate_media(color_scheme="dark" if dark else "light")
            await self._page.set_viewport_size({"width": width, "height": height})
            await self.evaluate(FINISH_ANIMATIONS)
            await self._page.screenshot(path=path, full_page=full_page, timeout=ACTION_SECONDS_MAX * 1000)
            await self._page.emulate_media(color_scheme="null")
            if before is not None:
                await self._page.set_viewport_size(before)
        except PlaywrightError as error:
            raise _wrapped("screenshot", error) from error

    async def close(self) -> None:
        """See :meth:`Page.close`."""
        with contextlib.suppress(PlaywrightError):
            await self._page.close()


class Chromium:
    """A running Chromium; implements :class:`pushkeep.testing.browser.Browser`."""

    name = "chromium"

    def __init__(self, options: LaunchOptions) -> None:
        check_launch(options)
        self._options = options
        self._executable = find_executable(options.executable, ("chromium", "chromium-browser"), package="chromium")
        self._files = ProfileDirectory("chromium", options)
        self._playwright: Playwright | None = None
        self._context: BrowserContext | None = None

    async def start(self) -> None:
        """See :meth:`Browser.start`."""
        if self._context is not None:
            return
        options = self._options
        if options.push_service is not None and only_loopback():
            raise BrowserMissing(
                "Chromium believes itself offline while loopback is the only network interface, and gets no push;"
                " run this below `python -m pushkeep.testing.offline --`, or give the machine another interface"
            )
        environment = self._files.prepare()
        try:
            if options.push_service is not None:
                await trust(options.push_service.ca_file, self._files.home)
            self._playwright = await async_playwright().start()
            self._context = await self._playwright.chromium.launch_persistent_context(
                self._files.profile,
                executable_path=self._executable,
                headless=not options.visible,
                no_viewport=options.visible,
                args=switches(options),
                env={**environment},
                chromium_sandbox=os.geteuid() != 0,
                handle_sigint=False,  # Ctrl-C is the caller's to handle; it closes the browser in order
                timeout=START_SECONDS_MAX * 1000,
            )
            if options.push_service is not None:
                await self._wait_for_push_client(self._context)
        except PlaywrightError as error:
            await self.stop()
            raise BrowserError(f"Chromium did not start: {error.message[:1000]}") from error
        except BaseException:
            await self.stop()
            raise

    async def _wait_for_push_client(self, context: BrowserContext) -> None:
        """Wait until Chromium counts its own start as complete; its push client does nothing before.

        That happens when a page becomes idle while it is in front. If another tab is opened in front of every page
        before that, it takes three minutes, and subscribing hangs meanwhile (``after_startup_task_utils.cc``).
        So the blank first tab is left in front, for about three seconds, until the moment shows in a histogram.
        """
        session = await context.new_cdp_session(context.pages[0])

        async def counted() -> bool:
            try:
                answer = await session.send("Browser.getHistograms", {"query": _STARTED_HISTOGRAM})
            except PlaywrightError as error:
                raise _wrapped("Browser.getHistograms", error) from error
            return bool(answer.get("histograms"))

        await poll(counted, timeout_seconds=PUSH_CLIENT_SECONDS_MAX, waiting_for="Chromium to complete its start")
        await session.detach()

    async def stop(self) -> None:
        """See :meth:`Browser.stop`."""
        context, playwright = self._context, self._playwright
        self._context = self._playwright = None
        leader = self._leader()
        try:
            if context is not None:
                with contextlib.suppress(PlaywrightError, TimeoutError):
                    async with asyncio.timeout(STOP_SECONDS_MAX):
                        await context.close()
        finally:
            if leader is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(leader, signal.SIGKILL)
            try:
                if playwright is not None:
                    with contextlib.suppress(PlaywrightError, TimeoutError):
                        async with asyncio.timeout(STOP_SECONDS_MAX):
                            await playwright.stop()
            finally:
                self._files.end_run()

    def _leader(self) -> int | None:
        """Process group of the running browser, from the lock in its profile (``host-pid``)."""
        if not self._files.made:
            return None
        try:
            pid = int((self._files.profile / "SingletonLock").readlink().name.rpartition("-")[2])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            group = os.getpgid(pid)
        except (OSError, ValueError):
            return None
        # A kept profile may have the lock of a run that was killed, and its number belong to somebody else by now.
        is_ours = os.fsencode(self._files.profile) in command
        return group if is_ours and group != os.getpgrp() else None

    async def restart(self) -> None:
        """See :meth:`Browser.restart`."""
        await self.stop()
        await self.start()

    async def close(self) -> None:
        """See :meth:`Browser.close`."""
        try:
            await self.stop()
        finally:
            self._files.remove()

    async def open(self, url: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> ChromiumPage:
        """See :meth:`Browser.open`."""
        try:
            page = await ChromiumPage.attach(await self._running().new_page())
        except PlaywrightError as error:
            raise _wrapped("open a tab", error) from error
        await page.goto(url, timeout_seconds=timeout_seconds)
        return page

    async def set_permission(self, origin: str, state: PermissionState) -> None:
        """See :meth:`Browser.set_permission`.

        Goes through the settings page, because Playwright's and the protocol's own grants are overrides: they
        are not stored, and taking one away does not end a subscription.
        """
        page = await self._settings_page()
        await page.evaluate(
            f"{_SETTINGS_PROXY}.then(proxy => proxy.setOriginPermissions("
            f"{json.dumps(origin)}, 'notifications', {json.dumps(_SETTING[state])}))"
        )
        await poll(
            lambda: page.evaluate(
                f"{_SETTINGS_PROXY}.then(proxy => proxy.getOriginPermissions("
                f"{json.dumps(origin)}, ['notifications'])).then(([permission]) => permission.setting)"
            ),
            timeout_seconds=ACTION_SECONDS_MAX,
            waiting_for=f"the permission of {origin} to be {state}",
            accept=lambda seen: seen == _SETTING[state],
        )

    async def _settings_page(self) -> ChromiumPage:
        """The settings tab, kept open behind the others: it takes almost two seconds to load."""
        for page in self._running().pages:
            if page.url.startswith(_SETTINGS_URL):
                return await ChromiumPage.attach(page)
        return await self.open(_SETTINGS_URL)

    def _visitor_pages(self) -> list[PlaywrightPage]:
        return [page for page in self._running().pages if not page.url.startswith(_SETTINGS_URL)]

    async def tabs(self) -> tuple[str, ...]:
        """See :meth:`Browser.tabs`."""
        return tuple(page.url for page in self._visitor_pages())

    async def close_tabs(self) -> None:
        """See :meth:`Browser.close_tabs`."""
        context = self._running()
        before = self._visitor_pages()
        try:
            await context.new_page()
            for page in before:
                await page.close()
        except PlaywrightError as error:
            raise _wrapped("close the tabs", error) from error

    def _running(self) -> BrowserContext:
        if self._context is None:
            raise BrowserError("Chromium is not running; start() it first")
        return self._context


def _wrapped(what: str, error: PlaywrightError) -> BrowserError:
    return BrowserError(f"{what}: {error.message[:1000]}")


@contextlib.asynccontextmanager
async def launch(options: LaunchOptions | None = None) -> AsyncIterator[Chromium]:
    """Start Chromium, hand it over, and close it whatever happens.

    Raises:
        BrowserMissing: Chromium or certutil is not installed, or the machine has no network interface but loopback.
        BrowserError: Chromium does not start.
    """
    browser = Chromium(options or LaunchOptions())
    try:
        await browser.start()
        yield browser
    finally:
        await browser.close()
