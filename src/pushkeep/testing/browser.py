"""What a driven browser can do, the same for every make of it.

A driver starts a *stock* browser of the distribution, wired to a local push service, and never lets it look
anything up outside this machine. Everything waits on conditions and has a time limit.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar

from pushkeep.errors import InvalidInput, PushkeepError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
PermissionState = Literal["granted", "denied", "prompt"]

# Generous on purpose: on a busy two-core machine a browser has been seen to need 6 s for what takes it 0.1 s
# when idle. A limit only decides how long a failure takes.
ACTION_SECONDS_MAX = 30.0
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 15.0
POLL_SECONDS = 0.05

_T = TypeVar("_T")


class BrowserError(PushkeepError):
    """The browser could not be started, or did not do what was asked within its time."""

    code = "browser"
    permanent = False


class BrowserMissing(BrowserError):
    """The browser, or something its driver needs, is not on this machine; the message names what to install."""

    code = "browser_missing"
    permanent = True


class PushServiceAddresses(Protocol):
    """Where a local push service listens; :class:`pushkeep.pushservice.PushService` fits."""

    @property
    def autopush_url(self) -> str:
        """``ws://`` or ``wss://`` address of Firefox's push socket."""
        ...

    @property
    def checkin_url(self) -> str:
        """Address of Chromium's check-in."""
        ...

    @property
    def registration_url(self) -> str:
        """Address of Chromium's registration."""
        ...

    @property
    def mcs_url(self) -> str:
        """``https://host:port`` of Chromium's message connection (always TLS)."""
        ...

    @property
    def ca_file(self) -> Path:
        """PEM file of the authority that signed the service's certificates."""
        ...


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """How to start a browser.

    Attributes:
        push_service: the local push service to wire it to; None leaves the vendor's addresses, which cannot be
            reached because look-ups outside are switched off.
        profile: directory to keep the profile in; None makes a temporary one that is removed on close.
        visible: open a window; needs a display.
        dbus_address: session bus for notifications; None with a visible browser means the user's own bus, and
            with a headless one no bus at all.
        executable: path of the browser; None looks for the distribution's package.
    """

    push_service: PushServiceAddresses | None = None
    profile: Path | None = None
    visible: bool = False
    dbus_address: str | None = None
    executable: Path | None = None


class Page(Protocol):
    """One open tab."""

    async def evaluate(self, javascript: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> Json:
        """Value of an expression, or what a function given as text returns; promises are awaited.

        Raises:
            BrowserError: the script threw, its value is not JSON, or it did not settle in ``timeout_seconds``.
        """
        ...

    async def click(self, css: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> None:
        """Wait until the first match is visible and enabled, then click it with a real pointer."""
        ...

    async def text(self, css: str) -> str:
        """Rendered text of the first match, stripped; raises BrowserError when nothing matches."""
        ...

    async def wait_for(self, javascript: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> Json:
        """Evaluate again and again until the value is truthy and return it; an exception counts as not yet."""
        ...

    async def goto(self, url: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> None:
        """Navigate and wait for the load event."""
        ...

    async def screenshot(
        self,
        path: Path,
        *,
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        full_page: bool = False,
    ) -> None:
        """Write a PNG of the page, at rest, in a viewport of that size in CSS pixels."""
        ...

    async def close(self) -> None:
        """Close the tab."""
        ...


class Browser(Protocol):
    """A running stock browser."""

    name: str

    async def open(self, url: str, *, timeout_seconds: float = ACTION_SECONDS_MAX) -> Page:
        """Open a new tab in front, navigate it and wait for the load event."""
        ...

    async def set_permission(self, origin: str, state: PermissionState) -> None:
        """Set whether ``origin`` may notify, stored in the profile as if the visitor had chosen it."""
        ...

    async def tabs(self) -> tuple[str, ...]:
        """Addresses of all open tabs."""
        ...

    async def close_tabs(self) -> None:
        """Close every tab and leave one blank."""
        ...

    async def stop(self) -> None:
        """Quit the browser and keep its profile. Stopping twice is allowed."""
        ...

    async def start(self) -> None:
        """Start it again on its profile; pages opened before are gone."""
        ...

    async def restart(self) -> None:
        """Stop, then start."""
        ...

    async def close(self) -> None:
        """Stop for good and remove a temporary profile. Closing twice is allowed."""
        ...


def check_launch(options: LaunchOptions) -> None:
    """Refuse options that cannot work before anything is started."""
    if options.profile is not None and options.profile.exists() and not options.profile.is_dir():
        raise InvalidInput(f"profile {options.profile} is not a directory; name another", field="profile")


def find_executable(given: Path | None, candidates: tuple[str, ...], *, package: str) -> Path:
    """The browser to run: ``given``, or the first of ``candidates`` on the search path.

    Raises:
        BrowserMissing: nothing is there; the message names the Debian package.
    """
    if given is not None:
        if not given.is_file():
            raise BrowserMissing(f"no browser at {given}; install the package {package} or name another path")
        return given
    for candidate in candidates:
        found = shutil.which(candidate)
        if found is not None:
            return Path(found)
    raise BrowserMissing(f"none of {', '.join(candidates)} is installed; install the Debian package {package}")


async def poll(
    attempt: Callable[[], Awaitable[_T]],
    *,
    timeout_seconds: float,
    waiting_for: str,
    accept: Callable[[_T], bool] = bool,
) -> _T:
    """Call ``attempt`` until ``accept`` likes its value; a BrowserError counts as not yet.

    Raises:
        BrowserError: ``timeout_seconds`` passed; says what was waited for and the last thing seen.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    while True:
        try:
            value = await attempt()
            if accept(value):
                return value
            seen = repr(value)
        except BrowserError as error:
            seen = error.message
        if loop.time() >= deadline:
            raise BrowserError(f"waited {timeout_seconds:g} s in vain for {waiting_for[:300]}; last seen: {seen[:500]}")
        await asyncio.sleep(POLL_SECONDS)


async def wait_until_truthy(page: Page, javascript: str, *, timeout_seconds: float) -> Json:
    """What :meth:`Page.wait_for` does, on any page; truth is JavaScript's, so an element or ``[]`` counts."""
    wrapped = (
        f"(async () => {{ let value = (\n{javascript}\n);"
        ' if (typeof value === "function") value = value();'
        " value = await value; return value ? {value} : null; })()"
    )
    found = await poll(lambda: page.evaluate(wrapped), timeout_seconds=timeout_seconds, waiting_for=javascript)
    return found.get("value") if isinstance(found, dict) else None


# Pictures are of the page at rest: what fades in is taken to its end, what moves for ever is left alone.
FINISH_ANIMATIONS = """document.getAnimations().forEach((animation) => {
  if (animation.effect?.getComputedTiming().endTime !== Infinity) animation.finish();
})"""


def as_async_json(javascript: str) -> str:
    """Source of a promise for the JSON text of an expression's value, or of what a function returns."""
    return (
        f"(async () => {{ let value = (\n{javascript}\n);"
        ' if (typeof value === "function") value = value();'
        " value = await value; return JSON.stringify(value === undefined ? null : value); })()"
    )
