"""Stock Firefox over WebDriver BiDi, wired to a local push service.

Every preference is there because something fails without it; what was tried is in the comments. Made for and
tried with Firefox ESR 153 of Debian.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from pushkeep.errors import Unavailable
from pushkeep.testing.bidi import BidiConnection, as_list, as_object, as_text
from pushkeep.testing.browser import (
    ACTION_SECONDS_MAX,
    FINISH_ANIMATIONS,
    START_SECONDS_MAX,
    STOP_SECONDS_MAX,
    BrowserError,
    Json,
    LaunchOptions,
    PermissionState,
    as_async_json,
    check_launch,
    find_executable,
    poll,
    wait_until_truthy,
)
from pushkeep.testing.process import ChildProcess
from pushkeep.testing.profile import ProfileDirectory

_LISTENING = "WebDriver BiDi listening on "

# A click must land on the element itself: this is true once it is laid out, enabled and not covered.
_CLICKABLE = """
(element) => {
  if (element.matches(":disabled")) return false;
  element.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
  const box = element.getBoundingClientRect();
  if (box.width === 0 || box.height === 0) return false;
  const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return hit !== null && (hit === element || element.contains(hit));
}
"""


def preferences(options: LaunchOptions) -> dict[str, bool | int | str]:
    """The preferences written into the profile before the start."""
    service = options.push_service
    prefs: dict[str, bool | int | str] = {
        # The remote agent's "recommended" preferences switch the push connection off; an explicit value wins.
        "dom.push.connection.enabled": True,
        "dom.push.retryBaseInterval": 200,  # ms; the default of 5000 doubles with every failed attempt
        # Without a bus the system backend refuses every notification; the built-in one works headless.
        "alerts.useSystemBackend": options.dbus_address is not None or options.visible,
        # A prompt takes no answer for half a second, against clicks by mistake; a driver makes none.
        "security.notification_enable_delay": 0,
        # The built-in backend holds back the fourth requireInteraction notification for ever.
        "dom.webnotifications.requireinteraction.count": 1000,
        # No look-up leaves this machine; localhost and *.localhost need none.
        "network.dns.disabled": True,
        "network.proxy.type": 0,
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
        "app.update.disabledForTesting": True,
        "app.normandy.enabled": False,
        "browser.aboutwelcome.enabled": False,
        "browser.shell.checkDefaultBrowser": False,
        "browser.startup.page": 0,
        "browser.tabs.closeWindowWithLastTab": False,
        "datareporting.policy.dataSubmissionEnabled": False,
        "extensions.getAddons.cache.enabled": False,
        "services.settings.server": "data:,",
        "toolkit.telemetry.reportingpolicy.firstRun": False,
    }
    if service is not None:
        prefs["dom.push.serverURL"] = service.autopush_url
        # A plain ws:// address is refused otherwise, at once and without a word.
        prefs["dom.push.testing.allowInsecureServerURL"] = True
    return prefs


def write_preferences(profile: Path, prefs: Mapping[str, bool | int | str]) -> None:
    """Write ``user.js``, which Firefox reads at every start."""
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in prefs.items())
    (profile / "user.js").write_text("".join(lines), encoding="utf-8")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


class FirefoxPage:
    """One tab; implements :class:`pushkeep.testing.browser.Page`."""

    def __init__(self, browser: Firefox, context: str) -> None:
        self._browser = browser
        self._context = context

    async def evaluate(self, javascript: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> Json:
        """See :meth:`Page.evaluate`."""
        return await self._browser.evaluate_in(self._context, javascript, timeout_seconds=timeout_seconds)

    async def wait_for(self, javascript: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> Json:
        """See :meth:`Page.wait_for`."""
        return await wait_until_truthy(self, javascript, timeout_seconds=timeout_seconds)

    async def text(self, css: str) -> str:
        """See :meth:`Page.text`."""
        return as_text(await self.evaluate(f"document.querySelector({json.dumps(css)}).innerText.trim()"), css)

    async def goto(self, url: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> None:
        """See :meth:`Page.goto`."""
        await self._command(
            "browsingContext.navigate",
            {"context": self._context, "url": url, "wait": "complete"},
            timeout_seconds=timeout_seconds,
        )

    async def click(self, css: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> None:
        """See :meth:`Page.click`."""
        await self._command("browsingContext.activate", {"context": self._context})
        element = await poll(
            lambda: self._clickable(css), timeout_seconds=timeout_seconds, waiting_for=f"{css} to be clickable"
        )
        await self._command(
            "input.performActions",
            {
                "context": self._context,
                "actions": [
                    {
                        "type": "pointer",
                        "id": "mouse",
                        "parameters": {"pointerType": "mouse"},
                        "actions": [
                            {"type": "pointerMove", "x": 0, "y": 0, "origin": {"type": "element", "element": element}},
                            {"type": "pointerDown", "button": 0},
                            {"type": "pointerUp", "button": 0},
                        ],
                    }
                ],
            },
        )

    async def _clickable(self, css: str) -> dict[str, Json] | None:
        located = await self._command(
            "browsingContext.locateNodes",
            {"context": self._context, "locator": {"type": "css", "value": css}, "maxNodeCount": 1},
        )
        nodes = as_list(located.get("nodes"), "locateNodes")
        if not nodes:
            return None
        element: dict[str, Json] = {"sharedId": as_object(nodes[0], "locateNodes").get("sharedId")}
        answer = await self._command(
            "script.callFunction",
            {
                "functionDeclaration": _CLICKABLE,
                "arguments": [element],
                "target": {"context": self._context},
                "awaitPromise": False,
            },
        )
        result = as_object(answer.get("result", {}), "callFunction")
        return element if result.get("value") is True else None

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
        await self._command("browsingContext.activate", {"context": self._context})
        await self._browser.prefer_dark(dark)
        await self._resize(width, height)
        await self.wait_for(f"matchMedia('(prefers-color-scheme: dark)').matches === {json.dumps(dark)}")
        if full_page:
            # A window as high as the page, not BiDi's picture of the document: that leaves out the scrollbar's width.
            whole = await self.evaluate("document.documentElement.scrollHeight")
            await self._resize(width, max(height, int(str(whole))))
        await self.evaluate(FINISH_ANIMATIONS)
        shot = await self._command("browsingContext.captureScreenshot", {"context": self._context})
        _write(path, base64.b64decode(as_text(shot.get("data"), "captureScreenshot")))
        await self._command("browsingContext.setViewport", {"context": self._context, "viewport": None})
        await self._browser.prefer_dark(None)

    async def _resize(self, width: int, height: int) -> None:
        viewport: dict[str, Json] = {"width": width, "height": height}
        await self._command("browsingContext.setViewport", {"context": self._context, "viewport": viewport})
        await self.wait_for(f"innerWidth === {width} && innerHeight === {height}")

    async def close(self) -> None:
        """See :meth:`Page.close`."""
        await self._command("browsingContext.close", {"context": self._context})

    async def _command(
        self, method: str, params: dict[str, Json], *, timeout_seconds: float = ACTION_SECONDS_MAX
    ) -> dict[str, Json]:
        return await self._browser.command(method, params, timeout_seconds=timeout_seconds)


class Firefox:
    """A running Firefox; implements :class:`pushkeep.testing.browser.Browser`."""

    name = "firefox"

    def __init__(self, options: LaunchOptions) -> None:
        check_launch(options)
        self._options = options
        self._executable = find_executable(options.executable, ("firefox-esr", "firefox"), package="firefox-esr")
        self._files = ProfileDirectory("firefox", options)
        self._process: ChildProcess | None = None
        self._bidi: BidiConnection | None = None

    async def start(self) -> None:
        """See :meth:`Browser.start`."""
        if self._process is not None:
            return
        environment = self._files.prepare()
        environment["MOZ_CRASHREPORTER_DISABLE"] = "1"
        write_preferences(self._files.profile, preferences(self._options))
        command = [str(self._executable), "--no-remote", "--profile", str(self._files.profile)]
        # System access is for what BiDi cannot in this version: setting a colour scheme, answering a prompt.
        command += ["--remote-debugging-port=0", "--remote-allow-system-access"]
        command += [] if self._options.visible else ["--headless"]
        self._process = await ChildProcess.start([*command, "about:blank"], environment=environment)
        try:
            line = await self._process.wait_for_line(_LISTENING, timeout_seconds=START_SECONDS_MAX)
            address = line.partition(_LISTENING)[2].strip()
            self._bidi = await BidiConnection.connect(f"{address}/session")
            await self.command("session.new", {"capabilities": {}}, timeout_seconds=START_SECONDS_MAX)
            # The session exists before the first window does.
            await poll(self._contexts, timeout_seconds=START_SECONDS_MAX, waiting_for="the first Firefox window")
        except Unavailable as error:
            await self.stop()
            raise BrowserError(f"Firefox did not start: {error.message}") from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """See :meth:`Browser.stop`."""
        process, bidi = self._process, self._bidi
        self._process = self._bidi = None
        try:
            if bidi is not None:
                # An orderly quit, so that subscriptions and permissions are on disk for the next start.
                with contextlib.suppress(BrowserError):
                    await bidi.command("browser.close", {}, timeout_seconds=STOP_SECONDS_MAX)
                if process is not None:
                    await process.wait(timeout_seconds=STOP_SECONDS_MAX)
                await bidi.close()
        finally:
            try:
                if process is not None:
                    await process.stop()
            finally:
                self._files.end_run()

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

    async def open(self, url: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> FirefoxPage:
        """See :meth:`Browser.open`."""
        created = await self.command("browsingContext.create", {"type": "tab"})
        page = FirefoxPage(self, as_text(created.get("context"), "browsingContext.create"))
        await page.goto(url, timeout_seconds=timeout_seconds)
        return page

    async def set_permission(self, origin: str, state: PermissionState) -> None:
        """See :meth:`Browser.set_permission`."""
        await self.command(
            "permissions.setPermission",
            {"descriptor": {"name": "notifications"}, "state": state, "origin": origin},
        )

    async def tabs(self) -> tuple[str, ...]:
        """See :meth:`Browser.tabs`."""
        return tuple(as_text(context.get("url"), "getTree") for context in await self._contexts())

    async def close_tabs(self) -> None:
        """See :meth:`Browser.close_tabs`."""
        before = await self._contexts()
        await self.command("browsingContext.create", {"type": "tab"})
        for context in before:
            await self.command("browsingContext.close", {"context": context.get("context")})

    async def answer_prompt(self, *, allow: bool) -> None:
        """Wait for the permission question and press its button, as the visitor would.

        Raises:
            BrowserError: no question came up in time.
        """
        button = "button" if allow else "secondaryButton"
        await poll(
            lambda: self._in_window(
                "(() => { const question = PopupNotifications.panel.firstElementChild;"
                " if (PopupNotifications.panel.state !== 'open' || !question) return false;"
                f" question.{button}.click(); return true; }})()"
            ),
            timeout_seconds=ACTION_SECONDS_MAX,
            waiting_for="Firefox to ask for a permission",
        )

    async def prefer_dark(self, dark: bool | None) -> None:
        """Override the colour scheme of every tab; None takes the override away."""
        scheme = {True: "dark", False: "light", None: "none"}[dark]
        await self._in_window(
            "gBrowser.browsers.forEach(each => {"
            f" each.browsingContext.prefersColorSchemeOverride = {json.dumps(scheme)}; }})"
        )

    async def _in_window(self, javascript: str) -> Json:
        """Evaluate in Firefox's own window, around the pages. Its markup is internal: keep this to a minimum."""
        tree = await self.command("browsingContext.getTree", {"moz:scope": "chrome", "maxDepth": 0})
        for entry in as_list(tree.get("contexts"), "getTree"):
            window = as_object(entry, "getTree")
            if str(window.get("url")).endswith("/browser.xhtml"):
                return await self.evaluate_in(as_text(window.get("context"), "getTree"), javascript)
        raise BrowserError("Firefox has no window")

    async def evaluate_in(self, context: str, javascript: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> Json:
        """Value of a script in one browsing context; see :meth:`Page.evaluate`."""
        answer = await self.command(
            "script.evaluate",
            {
                "expression": as_async_json(javascript),
                "target": {"context": context},
                "awaitPromise": True,
                "resultOwnership": "none",
            },
            timeout_seconds=timeout_seconds,
        )
        if answer.get("type") == "exception":
            details = as_object(answer.get("exceptionDetails"), "exceptionDetails")
            raise BrowserError(f"the script threw: {str(details.get('text'))[:500]}")
        result = as_object(answer.get("result"), "script.evaluate")
        value: Json = json.loads(as_text(result.get("value"), "script.evaluate"))
        return value

    async def _contexts(self) -> list[dict[str, Json]]:
        tree = await self.command("browsingContext.getTree", {"maxDepth": 0})
        return [as_object(entry, "getTree") for entry in as_list(tree.get("contexts"), "getTree")]

    async def command(
        self, method: str, params: dict[str, Json], *, timeout_seconds: float = ACTION_SECONDS_MAX
    ) -> dict[str, Json]:
        """Run a BiDi command; raises BrowserError, also when Firefox is not running."""
        if self._bidi is None:
            raise BrowserError(f"{method}: Firefox is not running; start() it first")
        return await self._bidi.command(method, params, timeout_seconds=timeout_seconds)


@contextlib.asynccontextmanager
async def launch(options: LaunchOptions | None = None) -> AsyncIterator[Firefox]:
    """Start Firefox, hand it over, and close it whatever happens.

    Raises:
        BrowserMissing: Firefox is not installed.
        BrowserError: Firefox does not start; the message has its last words.
    """
    browser = Firefox(options or LaunchOptions())
    try:
        await browser.start()
        yield browser
    finally:
        await browser.close()
