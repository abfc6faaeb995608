"""Trap 30: a worker that shows nothing costs the subscription on an iPhone, after three times."""

from __future__ import annotations

import pytest

from .conftest import OpenPage, StartWorker
from .site import Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]


@pytest.mark.parametrize("payload", ["", "not JSON", '{"title": 5}', "null", '{"title": "Cut'])
async def test_trap_30_a_push_is_shown_whatever_it_holds_also_while_the_page_is_in_front(
    site: Site, open_page: OpenPage, start_worker: StartWorker, payload: str
) -> None:
    page = await open_page()
    worker = await start_worker(page)
    await page.bring_to_front()
    await worker.push(payload)
    (shown,) = await worker.shown()
    assert shown["title"]


async def test_trap_30_nothing_is_waited_for_before_it_is_shown(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    """Reports go out without the push event waiting for an answer: here none ever comes."""
    worker = await start_worker(await open_page())
    await worker.evaluate("() => { self.fetch = () => new Promise(() => {}); }")
    await worker.push('{"title": "Hello", "pushkeep": {"id": "n-1"}}')
    (shown,) = await worker.shown()
    assert shown["title"] == "Hello"
