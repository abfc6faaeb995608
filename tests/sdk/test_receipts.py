"""The worker tells the server what became of a notification, and nothing of it can keep the notification waiting."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib

import pytest
from aiohttp import web

from .conftest import OpenPage, StartWorker, WorkerHandle, until
from .site import Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

TOKEN = "T" * 27
LINE = f"n-1 {TOKEN}"


def payload(**known: object) -> str:
    return json.dumps({"notification": {"title": "Hi", "body": "There"}, "pushkeep": {"id": "n-1", **known}})


async def come(site: Site, *lines: str) -> None:
    """Wait until the server has got these receipts."""
    async with asyncio.timeout(10):
        while site.receipts != list(lines):  # noqa: ASYNC110 - the browser's request comes on its own time
            await asyncio.sleep(0.02)


async def nothing_more(worker: WorkerHandle, site: Site) -> None:
    """Have the worker send something of its own: what it sent before has come by then."""
    await worker.evaluate("() => PushkeepCore.report(site(), 'the end')")
    await come(site, "the end")


async def test_says_that_it_was_displayed(site: Site, open_page: OpenPage, start_worker: StartWorker) -> None:
    worker = await start_worker(await open_page())
    await worker.push(payload(token=TOKEN))
    (shown,) = await worker.shown()
    await come(site, f"displayed {LINE}")
    assert shown["data"]["pushkeep"]["token"] == TOKEN  # type: ignore[index]


async def test_says_that_it_was_clicked_or_closed(site: Site, open_page: OpenPage, start_worker: StartWorker) -> None:
    worker = await start_worker(await open_page())
    data = {"pushkeep": {"id": "n-1", "token": TOKEN}}
    await worker.evaluate(
        """async (data) => {
          self.clients.openWindow = async () => null;
          WindowClient.prototype.focus = async function () { return this; };
          await registration.showNotification('Hi', { data });
          const [notification] = await registration.getNotifications();
          await clicked({ notification, action: '' });
        }""",
        data,
    )
    await come(site, f"clicked {LINE}")
    close = """(data) => new Promise((done) => {
      const event = new ExtendableEvent('notificationclose');
      Object.assign(event, { notification: { data } });
      Object.defineProperty(event, 'waitUntil', { value: (work) => work.then(done) });
      self.dispatchEvent(event);
    })"""
    await worker.evaluate(close, data)  # as Firefox does after a click: no dismissal
    await worker.evaluate(close, {"pushkeep": {"id": "n-2", "token": TOKEN}})
    await come(site, f"clicked {LINE}", f"closed n-2 {TOKEN}")


async def test_without_a_token_nothing_is_said(site: Site, open_page: OpenPage, start_worker: StartWorker) -> None:
    worker = await start_worker(await open_page())
    await worker.push(payload())
    await worker.push(payload(token=7))
    await worker.push(payload(token=TOKEN, receipts=False))
    for shown in await worker.shown(3):
        assert "token" not in shown["data"]["pushkeep"]  # type: ignore[index]
    await nothing_more(worker, site)


async def test_the_visitors_word_counts_at_once_and_after_a_reload(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    page = await open_page()
    worker = await start_worker(page)
    say = """async (on) => {
      const { Pushkeep } = await import('/pushkeep/sdk.js');
      const push = await Pushkeep.init({ projectKey: 'pk_test' });
      await push.setReceipts(on);
      return push.receipts();
    }"""
    assert await page.evaluate(say, False) is False
    await page.reload()
    await worker.push(payload(token=TOKEN))
    await worker.shown()
    await nothing_more(worker, site)
    site.receipts.clear()
    assert await page.evaluate(say, True) is True
    await worker.push(payload(token=TOKEN))
    await come(site, f"displayed {LINE}")


async def test_a_server_that_does_not_answer_keeps_nobody_waiting(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page())
    hold = asyncio.Event()

    async def hang() -> web.StreamResponse:
        await hold.wait()
        return web.Response(status=204)

    site.on_receipt = hang
    # The event itself ends, too, although the receipt is still under way.
    await worker.evaluate(
        """async (text) => {
          const event = new PushEvent('push', { data: text });
          await received(event);
        }""",
        payload(token=TOKEN),
    )
    assert len(await worker.shown()) == 1
    await come(site, f"displayed {LINE}")
    hold.set()


async def test_a_server_that_is_away_is_tried_once_more_and_no_oftener(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page())
    tries = await worker.evaluate(
        """async () => {
          let tries = 0;
          self.fetch = async () => { tries += 1; throw new TypeError('Failed to fetch'); };
          const wait = self.setTimeout;
          self.setTimeout = (work, ms) => wait(work, ms / 1000);
          await PushkeepCore.report(site(), 'x');
          return tries;
        }"""
    )
    assert tries == 2


async def test_a_receipt_says_nothing_else(site: Site, open_page: OpenPage, start_worker: StartWorker) -> None:
    worker = await start_worker(await open_page())
    asked = await worker.evaluate(
        """async () => {
          let asked;
          self.fetch = async (...given) => { asked = given; return new Response(); };
          await PushkeepCore.report(site(), 'displayed x y');
          const { signal, ...rest } = asked[1];
          return [asked[0], rest];
        }"""
    )
    assert asked == [
        f"{site.base}/v1/client/pk_test/receipts",
        {
            "method": "POST",
            "body": "displayed x y",
            "mode": "no-cors",
            "cache": "no-store",
            "credentials": "omit",
            "referrerPolicy": "no-referrer",
            "keepalive": True,
        },
    ]


def compressed(text: str, token: str = "") -> str:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(text.encode()) + packer.flush()
    return f"\x01{token}.{base64.urlsafe_b64encode(packed).decode().rstrip('=')}"


async def test_reads_a_compressed_payload(site: Site, open_page: OpenPage, start_worker: StartWorker) -> None:
    worker = await start_worker(await open_page())
    text = {"notification": {"title": "Grüße", "body": "wort " * 300}, "pushkeep": {"id": "n-1"}}
    await worker.push(compressed(json.dumps(text), TOKEN))
    (shown,) = await worker.shown()
    assert (shown["title"], shown["body"]) == ("Grüße", "wort " * 300)
    await come(site, f"displayed {LINE}")


@pytest.mark.parametrize(
    "text",
    ["\x01", "\x01.", "\x01.____", "\x01.%", compressed("x" * 500)[:-4]],
    ids=["bare", "empty", "broken", "no base64", "cut"],
)
async def test_shows_something_where_it_cannot_be_read(
    text: str, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page())
    await worker.push(text)
    (shown,) = await worker.shown()
    assert shown["body"] == "You have a new message."


async def test_a_browser_without_decompression_shows_something(open_page: OpenPage, start_worker: StartWorker) -> None:
    worker = await start_worker(await open_page())
    await worker.evaluate("() => { delete self.DecompressionStream; }")
    await worker.push(compressed('{"title": "Hi"}'))
    (shown,) = await worker.shown()
    assert shown["body"] == "You have a new message."


async def test_the_page_says_what_the_active_worker_can_do(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await page.evaluate(
        """async () => {
          const { Pushkeep } = await import('/pushkeep/sdk.js');
          self.push = await Pushkeep.init({ projectKey: 'pk_test' });
          await push.subscribe();
        }"""
    )
    assert site.bodies()[-1]["abilities"] == ["deflate"]
    # A worker of before says nothing, and then the page does not either.
    await page.evaluate(
        """async () => {
          const base = await new Promise((done) => {
            const opening = indexedDB.open('pushkeep', 1);
            opening.onsuccess = () => done(opening.result);
          });
          await new Promise((done) => {
            const transaction = base.transaction('state', 'readwrite');
            transaction.objectStore('state').delete('abilities');
            transaction.oncomplete = done;
          });
          base.close();
          await push.sync();
        }"""
    )
    assert "abilities" not in site.bodies()[-1]


async def test_a_worker_in_a_browser_that_cannot_decompress_says_so(
    open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page())
    noted = "async () => { await able(); return PushkeepCore.abilities(); }"
    assert await worker.evaluate(noted) == ["deflate"]
    await worker.evaluate("() => { delete self.DecompressionStream; }")
    assert await worker.evaluate(noted) == []


FETCHED = {
    "notification": {"title": "Hi", "body": "All of it", "data": {"order": 7}, "navigate": "https://shop.example/7"},
    "pushkeep": {"id": "n-1"},
}


async def test_fetches_the_rest_with_its_token(site: Site, open_page: OpenPage, start_worker: StartWorker) -> None:
    asked: list[str] = []

    async def give(line: str) -> web.StreamResponse:
        asked.append(line)
        return web.json_response(FETCHED)

    site.on_fetch = give
    worker = await start_worker(await open_page())
    await worker.push(payload(fetch=True, token=TOKEN))
    (shown,) = await worker.shown()
    assert (shown["title"], shown["body"]) == ("Hi", "All of it")
    assert shown["data"]["order"] == 7  # type: ignore[index]
    assert asked == [LINE]
    await come(site, f"displayed {LINE}")


async def test_what_is_fetched_is_not_a_receipt(site: Site, open_page: OpenPage, start_worker: StartWorker) -> None:
    async def give(line: str) -> web.StreamResponse:
        return web.json_response(FETCHED)

    site.on_fetch = give
    worker = await start_worker(await open_page())
    await worker.push(payload(fetch=True, token=TOKEN, receipts=False))
    (shown,) = await worker.shown()
    assert shown["body"] == "All of it"
    assert "token" not in shown["data"]["pushkeep"]  # type: ignore[index]
    await nothing_more(worker, site)


@pytest.mark.parametrize(("status", "text"), [(404, "no"), (500, "no"), (200, "<h1>Log in</h1>"), (200, "[1]")])
async def test_shows_the_beginning_where_the_rest_is_not_to_be_had(
    status: int, text: str, site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    async def refuse(line: str) -> web.StreamResponse:
        return web.Response(status=status, text=text)

    site.on_fetch = refuse
    worker = await start_worker(await open_page())
    await worker.push(payload(fetch=True, token=TOKEN))
    (shown,) = await worker.shown()
    assert (shown["title"], shown["body"]) == ("Hi", "There")
    await come(site, f"displayed {LINE}")


async def test_shows_the_beginning_where_the_rest_takes_too_long(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    hold = asyncio.Event()

    async def hang(line: str) -> web.StreamResponse:
        await hold.wait()
        return web.json_response(FETCHED)

    site.on_fetch = hang
    page = await open_page()
    worker = await start_worker(page)
    await worker.push(payload(fetch=True, token=TOKEN))
    (shown,) = await worker.shown()
    hold.set()
    assert (shown["title"], shown["body"]) == ("Hi", "There")
    await until(page, "async () => true")
