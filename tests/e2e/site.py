"""A running Pushkeep with its demo page, the command line beside it, and a visitor who subscribes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from pushkeep.app.projects import create_api_key, current_signing_key, identity_secret
from pushkeep.compose import Serving, serve
from pushkeep.config import load_settings
from pushkeep.domain.identity import sign_identity
from pushkeep.domain.subscription import ENDED
from pushkeep.pushservice import PushService, SubscriptionInfo
from pushkeep.testing.browser import Page, poll
from pushkeep.testing.notifications import Notification
from pushkeep.web.demo_page import DemoPage, declare_demo_purpose

from .desk import Desk
from .insides import SHOWN, Held, held

# A fraction of a second when the machine is idle; bounded for one that is not.
SUBSCRIBE_SECONDS_MAX = 60.0
COMMAND_SECONDS_MAX = 60.0
SERVER_SECONDS_MAX = 60.0

_used_ports: set[int] = set()

# Waited for; what the page complains about meanwhile is told when the wait is in vain.
SUBSCRIBED = """(() => {
  const [status, error] = [document.querySelector("#status"), document.querySelector("#error")];
  if (!error.hidden) throw new Error(`${status.dataset.state}: ${error.innerText}`);
  if (status.dataset.state !== "subscribed") throw new Error(status.dataset.state);
  return document.querySelector("#short-id").textContent.trim();
})()"""


def command_environment(home: Path) -> dict[str, str]:
    """A shell of somebody who has configured nothing, running the code under test."""
    passed_on = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**passed_on, "HOME": str(home), "COLUMNS": "200"}


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


@dataclass(slots=True)
class Site:
    """A Pushkeep with its demo page. It can go away and come back with what it had: same address, same data."""

    url: str
    data_dir: Path
    http: httpx.AsyncClient
    _running: tuple[Serving, asyncio.Task[None]] | None = None

    @property
    def serving(self) -> Serving:
        assert self._running is not None, "the server is away"
        return self._running[0]

    async def come(self) -> None:
        """Start the server."""
        port = self.http.base_url.port
        settings = load_settings(
            overrides={
                "data_dir": self.data_dir,
                "port": port,
                "public_url": self.url,
                "contact": "mailto:tests@example.org",
                "workers": 0,  # as the demo runs
            },
            environ={},
        )
        page = DemoPage(
            pushkeep_command="pushkeep",
            api_key_file=str(self.data_dir / "api-key"),
            data_dir_flag=f"--data-dir {self.data_dir}",
            offline=True,
        )
        ready: asyncio.Future[Serving] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(serve(settings, demo=page, on_ready=ready.set_result, handle_signals=False))
        await asyncio.wait({server, ready}, return_when=asyncio.FIRST_COMPLETED, timeout=SERVER_SECONDS_MAX)
        if not ready.done():
            server.cancel()
            await server
        self._running = (ready.result(), server)
        await declare_demo_purpose(self.serving.services, self.serving.project)

    async def leave(self) -> None:
        """Stop the server and wait until it has; whoever asks it then finds nobody. May be called twice."""
        if self._running is None:
            return
        (serving, server), self._running = self._running, None
        serving.stop()
        await asyncio.wait_for(server, SERVER_SECONDS_MAX)

    async def identity(self, external_id: str, *, age_seconds: float) -> str:
        """What the site's own server put into the page of somebody who was logged in so long ago."""
        services, project = self.serving.services, self.serving.project
        secret, issued_at = await identity_secret(services, project), services.clock.now() - age_seconds
        return sign_identity(secret, external_id=external_id, expires_at=issued_at + 3_600, issued_at=issued_at)

    async def pushkeep(self, *arguments: str) -> Ran:
        """Run the command line as an operator would, in a process of its own beside the server."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pushkeep",
            *arguments,
            "--data-dir",
            str(self.data_dir),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=command_environment(self.data_dir),
        )
        try:
            async with asyncio.timeout(COMMAND_SECONDS_MAX):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    async def accepted(self, **body: object) -> dict[str, Any]:
        """POST /v1/notifications, as a site's backend would: what is answered at once."""
        answer = await self.http.post("/v1/notifications", json=body)
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def notify_one(self, short_id: str, **body: object) -> dict[str, Any]:
        """The same to one subscription; returns what became of it, once it is known."""
        accepted = await self.accepted(to={"subscriptions": [short_id]}, **body)
        assert (accepted["targeted"], accepted["unknown"]) == (1, [])
        answer = await self.http.get(f"/v1/notifications/{accepted['id']}/outcomes", params={"wait": "30"})
        assert answer.status_code == 200, answer.text
        (one,) = answer.json()["items"]
        assert isinstance(one, dict)
        return one

    async def has_left(self, short_id: str) -> bool:
        """Whether a message to a subscription is for nobody."""
        accepted = await self.accepted(to={"subscriptions": [short_id]}, content={"title": "To nobody"})
        return (accepted["targeted"], accepted["unknown"], accepted["status"]) == (0, [short_id], "done")

    async def subscriptions(self, state: str | None = None) -> list[dict[str, Any]]:
        """GET /v1/subscriptions: what is stored."""
        answer = await self.http.get("/v1/subscriptions", params={"state": state} if state else None)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def living(self) -> list[dict[str, Any]]:
        """Those that have not ended."""
        return [one for one in await self.subscriptions() if one["state"] not in ENDED]

    async def the_other_one(self, short_id: str) -> str:
        """The one living subscription, once it is another one."""

        async def look() -> list[str]:
            return [str(one["short_id"]) for one in await self.living()]

        (found,) = await poll(
            look,
            timeout_seconds=SUBSCRIBE_SECONDS_MAX,
            waiting_for="exactly one other living subscription",
            accept=lambda names: len(names) == 1 and names != [short_id],
        )
        return found

    async def rotate(self, *flags: str) -> str:
        """Change the signing key by command; the new public key."""
        ran = await self.pushkeep("keys", "rotate", *flags)
        assert ran.status == 0, ran.err
        return await self.public_key()

    async def public_key(self) -> str:
        """What a page is told to subscribe with."""
        answer = await self.http.get(f"/v1/client/{self.serving.project.publishable_key}/config")
        return str(answer.json()["application_server_key"])

    async def subscription(self, short_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/v1/subscriptions/{short_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@contextlib.asynccontextmanager
async def running_site(data_dir: Path, service: PushService, label: str) -> AsyncIterator[Site]:
    """Serve the demo page at an origin no test had before."""
    data_dir.mkdir(parents=True, exist_ok=True)
    port = _fresh_port()
    entries = service.origin_map_entries()
    # The file is how the command line beside the server learns where the push services are.
    (data_dir / "pushkeep.toml").write_text(f"origin_map = {json.dumps(entries)}\n")
    # trust_env off: a proxy of the environment must not see these requests.
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as http:
        site = Site(f"http://{label}.localhost:{port}", data_dir, http)
        await site.come()
        try:
            api_key = await create_api_key(site.serving.services, site.serving.project, "tests")
            http.headers["Authorization"] = f"Bearer {api_key}"
            yield site
        finally:
            await site.leave()


def _fresh_port() -> int:
    """A free port that no earlier test used: an origin used before has state in the browser's profile."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        if port not in _used_ports:
            _used_ports.add(port)
            return port


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who has subscribed on the demo page."""

    desk: Desk
    site: Site
    page: Page
    short_id: str

    async def mailbox(self) -> SubscriptionInfo:
        """The living subscription at the push service; every site here has a key of its own."""
        key = await current_signing_key(self.site.serving.services, self.site.serving.project)
        (found,) = [one for one in self.desk.service.subscriptions() if one.application_server_key == key.public_b64]
        return found

    async def sees(self, title: str) -> Notification:
        """The notification of that title on the desktop."""
        return await self.desk.notifications.wait_for(
            lambda shown: shown.title == title, timeout_seconds=SUBSCRIBE_SECONDS_MAX
        )

    async def shown(self, title: str) -> dict[str, Any]:
        """The same as the browser keeps it, with the data the worker put there."""
        found = await poll(
            lambda: self._find(title), timeout_seconds=SUBSCRIBE_SECONDS_MAX, waiting_for=f"{title} among the shown"
        )
        assert isinstance(found, dict)
        return found

    async def _find(self, title: str) -> object:
        every = await self.page.evaluate(SHOWN)
        assert isinstance(every, list)
        return next((one for one in every if isinstance(one, dict) and one["title"] == title), None)

    async def leaves_unnoticed(self) -> None:
        """Press the page's button that ends it in the browser without a word to the server."""
        await self.page.click("#vanish")
        await self.page.wait_for("!document.querySelector('#note').hidden")
        assert await held(self.page) == []

    async def holds(self) -> Held:
        """The one subscription in the browser, which must live at the push service."""
        (found,) = await held(self.page)
        assert self.desk.service.subscription_for(found.endpoint) is not None
        return found

    async def again(self) -> Visitor:
        """The same visitor under the other name that the page shows before long."""
        other = f"(({{ textContent }}) => textContent && textContent !== '{self.short_id}' && textContent)"
        short_id = await self.page.wait_for(
            f"{other}(document.querySelector('#short-id'))", timeout_seconds=SUBSCRIBE_SECONDS_MAX
        )
        return replace(self, short_id=str(short_id))

    async def visits(self) -> Visitor:
        """Load the page anew and wait until it has agreed with the server."""
        await self.page.goto(self.site.url)
        return replace(self, short_id=str(await self.page.wait_for(SUBSCRIBED, timeout_seconds=SUBSCRIBE_SECONDS_MAX)))

    async def visits_until_moved(self) -> Visitor:
        """Load the page anew, and wait for the other subscription that it makes, at once or a little later."""
        visited = await self.visits()
        return visited if visited.short_id != self.short_id else await self.again()

    async def is_reached(self, title: str) -> None:
        """A message to it is taken by the push service and seen on the desktop."""
        outcome = await self.site.notify_one(self.short_id, content={"title": title})
        assert outcome["kind"] == "accepted", outcome
        await self.sees(title)

    async def living_in_browser(self) -> list[Held]:
        """What the browser holds and the push service still knows."""
        service = self.desk.service
        return [one for one in await held(self.page) if service.subscription_for(one.endpoint) is not None]

    async def succeeds(self) -> Visitor:
        """The same visitor under the name that the server gives it before long, whatever the page shows."""
        return replace(self, short_id=await self.site.the_other_one(self.short_id))

    async def is_the_only_one(self) -> None:
        """What the server takes for living is exactly this, and it is what the browser uses."""
        (living,) = await self.site.living()
        assert living["short_id"] == self.short_id


async def reload_at_once(*pages: Page) -> None:
    """Load all pages anew, at the same time."""
    for page in pages:
        await page.evaluate("() => { window.reloading = true; setTimeout(() => location.reload(), 0); }")
    for page in pages:
        # A browser lets the timers of a tab in the background wait.
        await page.wait_for("window.reloading === undefined && document.readyState === 'complete'")


async def arrive(desk: Desk, site: Site) -> Page:
    """Open the demo page as a visitor who will say yes when asked."""
    await desk.browser.set_permission(site.url, "granted")
    page = await desk.browser.open(site.url)
    await page.wait_for("!document.querySelector('#subscribe').disabled")
    return page


async def press_subscribe(page: Page) -> str:
    """Press the button once, which must do, and return the short id."""
    await page.click("#subscribe")
    short_id = await page.wait_for(SUBSCRIBED, timeout_seconds=SUBSCRIBE_SECONDS_MAX)
    assert isinstance(short_id, str)
    return short_id


async def subscribe(desk: Desk, site: Site) -> Visitor:
    """Open the demo page and press its button."""
    page = await arrive(desk, site)
    return Visitor(desk, site, page, await press_subscribe(page))
