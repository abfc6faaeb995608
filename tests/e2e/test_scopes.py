"""What the shipped worker reaches of the other scope with no page's help: all of it in Firefox, nothing in Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest

import pushkeep
from pushkeep.testing.static_site import Files, static_site

from .desk import Desk

pytestmark = pytest.mark.browser

BROWSER = Path(pushkeep.__file__).parent / "browser"

PAGE = '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>'

PAGE_SCRIPT = """
window.told = [];
navigator.serviceWorker.addEventListener("message", (event) => window.told.push(event.data));
navigator.serviceWorker.startMessages();
const { active, installing } = await navigator.serviceWorker.register("/pushkeep/worker.js", {scope: "/pushkeep/a/"});
(active ?? installing).postMessage("begin");
"""

WORKER_SCRIPT = """
importScripts("core.js", "keeper.js", "shipped.js");
addEventListener("message", (event) => event.data === "begin" && event.waitUntil((async () => {
  const other = await prepared("b");
  const begun = other ? {scope: new URL(other.scope).pathname, state: other.active.state} : "out of reach";
  event.source.postMessage({begun, again: (await prepared("b")) === other});
})()));
"""


def files() -> Files:
    shipped = {"core.js": "core.js", "keeper.js": "keeper.js", "shipped.js": "worker.js"}
    scripts = {f"/pushkeep/{path}": (BROWSER / name).read_text() for path, name in shipped.items()}
    scripts |= {"/page.js": PAGE_SCRIPT, "/pushkeep/worker.js": WORKER_SCRIPT}
    return {"/": ("text/html", PAGE), **{path: ("text/javascript", text) for path, text in scripts.items()}}


async def test_a_worker_begins_the_other_scope_where_the_browser_lets_it(desk: Desk) -> None:
    with static_site(files()) as port:
        page = await desk.browser.open(f"http://scopes-{desk.browser.name}.localhost:{port}")
        told = await page.wait_for("window.told.find((one) => one.begun)")
        begun = {"firefox": {"scope": "/pushkeep/b/", "state": "activated"}, "chromium": "out of reach"}
        assert told == {"begun": begun[desk.browser.name], "again": True}
        await page.close()
