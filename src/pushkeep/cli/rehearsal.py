"""The round trip in a real browser: driven where nobody watches, in a window where somebody does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from rich.panel import Panel
from rich.text import Text

from pushkeep.cli.common import out, say
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.shard import KIND_WORDS, Kind
from pushkeep.errors import PushkeepError
from pushkeep.protocol.request import PushOptions
from pushkeep.testing.browser import BrowserError, LaunchOptions, Page
from pushkeep.testing.browsers import launch
from pushkeep.testing.notifications import notification_daemon

if TYPE_CHECKING:
    from pushkeep.compose import Serving
    from pushkeep.pushservice import PushService

SUBSCRIBE_SECONDS_MAX = 60.0
"""The page itself gives up after 20 s; on a busy machine it takes a while to say so."""

SETTLED = (
    "(({ state }) => state !== 'working' && state !== 'loading' && state)(document.querySelector('#status').dataset)"
)
"""What the page's state is once it is not busy."""

ARRIVE_SECONDS_MAX = 30.0


async def show_window(name: str, serving: Serving, service: PushService, server: asyncio.Task[None]) -> None:
    """Open the page in a window for the visitor, until the server stops."""
    say(f"Opening {name} with a profile of its own. Press Subscribe in it, then send to it from here.")
    async with launch(name, LaunchOptions(push_service=service, visible=True)) as browser:
        await browser.open(serving.settings.public_url.url)
        await asyncio.wait({server})


async def rehearse(name: str, serving: Serving, service: PushService, screenshot: Path) -> None:
    """Do what a visitor would, and say what happens.

    Raises:
        BrowserError: the browser is not installed or did not do its part in time.
        PushkeepError: the push service did not take the message.
    """
    url = serving.settings.public_url.url
    say(f"No display: {name} runs without a window and this program plays the visitor.")
    async with (
        notification_daemon() as desktop,
        launch(name, LaunchOptions(push_service=service, dbus_address=desktop.address)) as browser,
    ):
        _done(f"{name} started, wired to the local push service at {service.url}")
        await browser.set_permission(url, "granted")
        page = await browser.open(url)
        short_id = await press_subscribe(page)
        _done(f"pressed Subscribe: the server stored {short_id}")
        await _send(serving, short_id, name)
        shown = await desktop.next(ARRIVE_SECONDS_MAX)
        _done("the browser decrypted it and its desktop shows:")
        out.print(Panel(Text.assemble((shown.title, "bold"), "\n", shown.text), expand=False, padding=(0, 3)))
        await page.wait_for(
            "document.querySelectorAll('#messages li').length > 0"
            " && document.querySelector('#life-accepted').textContent !== 'not yet'"
            " && document.getAnimations().every((animation) => animation.playState === 'finished')",
            timeout_seconds=ARRIVE_SECONDS_MAX,
        )
        await page.screenshot(screenshot, width=1280, height=800, full_page=True)
        say(f"What the page looked like: {screenshot}")


async def press_subscribe(page: Page) -> str:
    """Press the demo page's button and return the short id it shows then.

    Raises:
        BrowserError: the page did not subscribe; with what it says about it.
    """
    await page.click("#subscribe")
    state = await page.wait_for(SETTLED, timeout_seconds=SUBSCRIBE_SECONDS_MAX)
    if state != "subscribed":
        raise BrowserError(f"the page did not subscribe: {await page.text('#error') or state}")
    return str(await page.wait_for("document.querySelector('#short-id').textContent.trim()"))


async def _send(serving: Serving, short_id: str, name: str) -> None:
    from pushkeep.app.accept import Asked, accept
    from pushkeep.app.progress import list_outcomes, wait_done

    content = Content.of(
        title="Hello from Pushkeep", body=f"Encrypted here, decrypted in {name}. No internet involved."
    )
    asked = Asked.of(Target.to_subscriptions([short_id]), content, PushOptions.of(ttl=60), priority="transactional")
    services, project = serving.services, serving.project
    accepted = await accept(services, project, asked, worker=serving.worker)
    public_id = accepted.record.public_id
    await wait_done(services, project, public_id, seconds_max=ARRIVE_SECONDS_MAX)
    (outcome,) = (await list_outcomes(services, project, public_id)).items or (None,)
    if outcome is None or outcome.kind is not Kind.ACCEPTED:
        said = "it does not answer" if outcome is None else KIND_WORDS[outcome.kind]
        raise PushkeepError(f"The push service did not take the message: {said}.")
    _done(f"sent: the push service answered {outcome.status} after {outcome.duration_ms or 0:.0f} ms")


def _done(text: str) -> None:
    say(f"  ✓ {text}", "green")
