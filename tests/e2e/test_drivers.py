"""The drivers themselves, on a static page: real clicks, permissions, notifications, restarts, pictures."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushkeep.testing.browser import BrowserError, poll
from pushkeep.testing.static_site import static_site

from .desk import Desk
from .static_site import FILES

pytestmark = pytest.mark.browser


@pytest.fixture
def origin(desk: Desk) -> Iterator[str]:
    with static_site(FILES) as port:
        yield f"http://static-{desk.browser.name}.localhost:{port}"


async def test_scripts_texts_and_clicks(desk: Desk, origin: str) -> None:
    page = await desk.browser.open(origin)
    assert await page.wait_for("window.ready") is True
    assert await page.evaluate("1 + 1") == 2
    assert await page.evaluate("undefined") is None
    assert await page.evaluate("async () => ({title: document.title, list: [1, null]})") == {
        "title": "Static",
        "list": [1, None],
    }
    assert await page.text("#heading") == "Static site"
    assert await page.wait_for("() => document.querySelectorAll('h1').length") == 1
    assert await page.wait_for("document.querySelector('h1')") == {}
    await desk.browser.set_permission(origin, "granted")
    await page.click("#show")
    assert await page.wait_for("window.clicks[0]") == {"trusted": True, "active": True}
    await page.close()


async def test_what_cannot_be_done_is_an_error_in_time(desk: Desk, origin: str) -> None:
    page = await desk.browser.open(origin)
    with pytest.raises(BrowserError, match=r"the script threw: .*no such thing"):
        await page.evaluate("(() => { throw new Error('no such thing') })()")
    with pytest.raises(BrowserError, match=r"within 0\.2 s"):
        await page.evaluate("new Promise(() => {})", timeout_seconds=0.2)
    with pytest.raises(BrowserError, match=r"in vain for window\.never"):
        await page.wait_for("window.never", timeout_seconds=0.2)
    with pytest.raises(BrowserError, match="#off"):
        await page.click("#off", timeout_seconds=0.5)
    with pytest.raises(BrowserError, match="#nowhere"):
        await page.click("#nowhere", timeout_seconds=0.5)
    with pytest.raises(BrowserError):
        await page.text("#nowhere")
    with pytest.raises(BrowserError):
        await page.goto("http://127.0.0.1:9/")
    await page.close()


async def test_no_name_outside_is_looked_up(desk: Desk, origin: str) -> None:
    page = await desk.browser.open(origin)
    with pytest.raises(BrowserError):
        await page.goto("https://example.com/", timeout_seconds=20)
    await page.close()


@pytest.mark.parametrize("state", ["granted", "denied", "prompt"])
async def test_permissions_are_the_visitors(desk: Desk, origin: str, state: str) -> None:
    page = await desk.browser.open(origin)
    await desk.browser.set_permission(origin, state)
    expected = {"prompt": "default"}.get(state, state)
    assert await page.evaluate("Notification.permission") == expected
    await page.close()


async def test_a_real_click_on_a_notification_may_open_a_window(desk: Desk, origin: str) -> None:
    await desk.browser.set_permission(origin, "granted")
    page = await desk.browser.open(origin)
    await page.wait_for("window.ready")
    await page.click("#show")
    shown = await desk.notifications.next()
    assert (shown.title, shown.text) == ("Static title", "Static body")
    assert "default" in shown.actions
    assert "Later" in shown.actions.values()
    await desk.notifications.click(shown)
    await poll(desk.browser.tabs, timeout_seconds=30, waiting_for="a tab", accept=lambda t: f"{origin}/opened" in t)
    await desk.notifications.wait_closed(shown)


async def test_actions_and_dismissal_reach_the_worker(desk: Desk, origin: str) -> None:
    await desk.browser.set_permission(origin, "granted")
    page = await desk.browser.open(origin)
    await page.wait_for("window.ready")
    await page.click("#show")
    shown = await desk.notifications.next()
    later = next(action for action, label in shown.actions.items() if label == "Later")
    await desk.notifications.click(shown, later)
    acted = await page.wait_for("window.told.find(each => each.action)")
    assert acted == {"action": "later", "data": {"url": "/opened"}}
    # Firefox also reports a notification the worker itself closes as closed; only what follows counts here.
    await desk.notifications.wait_closed(shown)
    await page.click("#show")
    second = await desk.notifications.next()
    await page.evaluate("window.told.length = 0")
    await desk.notifications.dismiss(second)
    assert await page.wait_for("window.told.find(each => each.closed)") == {"closed": "Static title"}


async def test_tabs_are_listed_and_closed(desk: Desk, origin: str) -> None:
    await desk.browser.open(origin)
    await desk.browser.open(f"{origin}/opened")
    assert {f"{origin}/", f"{origin}/opened"} <= set(await desk.browser.tabs())
    await desk.browser.close_tabs()
    assert await desk.browser.tabs() == ("about:blank",)


async def test_pictures_have_the_size_and_scheme_asked_for(desk: Desk, origin: str, tmp_path: Path) -> None:
    page = await desk.browser.open(origin)
    for dark, corner in ((False, 255), (True, 0)):
        path = tmp_path / "pictures" / f"{dark}.png"
        await page.screenshot(path, width=390, height=640, dark=dark)
        width, height, value = read_png(path)
        assert (width, height, value) == (390, 640, corner)
    await page.close()


def read_png(path: Path) -> tuple[int, int, int]:
    """Width, height and the red value of the first pixel of an 8-bit RGB or RGBA picture."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    compressed, at = b"", 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == b"IDAT":
            compressed += data[at + 8 : at + 8 + length]
        at += 12 + length
    # One filter byte leads each row; for the first pixel of the first row every filter is the identity.
    return width, height, zlib.decompress(compressed)[1]
