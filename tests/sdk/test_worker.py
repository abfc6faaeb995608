"""The worker shows every push, whatever it contains, and opens what was clicked."""

from __future__ import annotations

import json
from typing import cast

import pytest

from .conftest import OpenPage, StartWorker, WorkerHandle, until
from .site import Site, made_up_key

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

DECLARATIVE = {
    "web_push": 8030,
    "notification": {
        "title": "Hello",
        "body": "It works",
        "navigate": "https://shop.example/orders/7",
        "tag": "order-7",
        "lang": "en",
        "dir": "rtl",
        "requireInteraction": True,
        "data": {"order": 7},
        "actions": [{"action": "pay", "title": "Pay", "navigate": "/pay"}],
        "mutable": True,
    },
    "mutable": True,
    "pushkeep": {"id": "n-1"},
}


async def test_shows_a_declarative_payload_as_it_says(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page())
    await worker.push(json.dumps(DECLARATIVE))
    (shown,) = await worker.shown()
    assert shown["title"] == "Hello"
    assert shown["body"] == "It works"
    assert shown["tag"] == "order-7"
    assert shown["dir"] == "rtl"
    assert shown["lang"] == "en"
    assert shown["requireInteraction"] is True
    assert shown["renotify"] is False
    assert shown["silent"] is False
    assert shown["actions"] == [{"action": "pay", "title": "Pay"}] or shown["actions"][0]["title"] == "Pay"  # type: ignore[index]
    assert shown["data"] == {
        "order": 7,
        "pushkeep": {"id": "n-1", "url": "https://shop.example/orders/7", "actions": {"pay": f"{site.base}/pay"}},
    }


PAYLOADS: dict[str, tuple[str, str, str]] = {
    "plain object": ('{"title": "Plain", "body": "Object"}', "Plain", "Object"),
    "text": ("Just words", "HOST", "Just words"),
    "no data": ("", "HOST", "You have a new message."),
    "blank": ("   ", "HOST", "You have a new message."),
    "cut JSON": ('{"title": "Cut', "HOST", '{"title": "Cut'),
    "a number": ("42", "HOST", "42"),
    "null": ("null", "HOST", "null"),
    "a list": ('["a"]', "HOST", '["a"]'),
    "empty object": ("{}", "HOST", "You have a new message."),
    "wrong types": (
        '{"web_push": 8030, "notification": {"title": 5, "body": [], "tag": {}, "dir": "up", "lang": 7, "icon": 3,'
        ' "actions": "x", "silent": "yes", "renotify": 1, "data": 9, "navigate": "javascript:alert(1)"}}',
        "HOST",
        "You have a new message.",
    ),
    "notification is a string": ('{"notification": "x"}', "HOST", "You have a new message."),
    "renotify without tag": ('{"title": "R", "renotify": true}', "R", ""),
    "broken actions": ('{"title": "A", "actions": [null, 1, {}, {"action": "x"}, {"action": 1, "title": 2}]}', "A", ""),
    "broken pictures": ('{"title": "P", "icon": "http://[", "image": "data:,x", "badge": ""}', "P", ""),
    "half a surrogate pair": ('{"title": "\\ud800", "body": "b"}', "\ufffd", "b"),
    "only a body": ('{"body": "b"}', "HOST", "b"),
}


@pytest.mark.parametrize("name", PAYLOADS)
async def test_always_shows_something(name: str, site: Site, open_page: OpenPage, start_worker: StartWorker) -> None:
    data, title, body = PAYLOADS[name]
    worker = await start_worker(await open_page())
    await worker.push(data)
    (shown,) = await worker.shown()
    assert shown["title"] == title.replace("HOST", site.base.removeprefix("http://"))
    assert shown["body"] == body


async def test_understands_a_notification_the_browser_has_parsed_itself(
    open_page: OpenPage, start_worker: StartWorker
) -> None:
    # Safari: PushEvent.notification, and no data.
    worker = await start_worker(await open_page())
    read = await worker.evaluate(
        """() => read({
          data: null,
          notification: { title: 'Declared', body: 'B', navigate: 'https://shop.example/', data: null },
        })"""
    )
    assert read["title"] == "Declared"  # type: ignore[index]
    assert read["options"]["data"]["pushkeep"]["url"] == "https://shop.example/"  # type: ignore[index]


async def test_shows_a_plainer_one_when_the_browser_refuses_the_options(
    open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page())
    await worker.evaluate(
        """() => {
          const real = registration.showNotification.bind(registration);
          registration.showNotification = (title, options) =>
            options?.tag !== undefined ? Promise.reject(new TypeError('refused')) : real(title, options);
        }"""
    )
    await worker.push('{"title": "T", "body": "B", "tag": "t"}')
    (shown,) = await worker.shown()
    assert (shown["title"], shown["body"]) == ("T", "B")


async def test_a_repeat_is_shown_silently_and_replaces_its_copy(open_page: OpenPage, start_worker: StartWorker) -> None:
    worker = await start_worker(await open_page())
    payload = {"notification": {"title": "Once", "tag": "n-5"}, "pushkeep": {"id": "n-5"}}
    await worker.push(json.dumps(payload))
    assert (await worker.shown())[0]["silent"] is False
    await worker.push(json.dumps(payload))
    (shown,) = await worker.shown(2)
    assert shown["silent"] is True


async def test_remembers_the_last_hundred_ids(open_page: OpenPage, start_worker: StartWorker) -> None:
    worker = await start_worker(await open_page())
    known = await worker.evaluate(
        """async () => {
          for (let n = 0; n < 101; n++) await PushkeepCore.seen(`n-${n}`);
          return [await PushkeepCore.seen('n-1'), await PushkeepCore.seen('n-0')];
        }"""
    )
    assert known == [True, False]


async def test_shows_although_storage_hangs_or_fails(open_page: OpenPage, start_worker: StartWorker) -> None:
    worker = await start_worker(await open_page())
    for number, broken in enumerate(("() => ({})", "() => { throw new DOMException('no', 'SecurityError'); }")):
        await worker.evaluate(f"() => {{ IDBFactory.prototype.open = {broken}; }}")
        await worker.push(json.dumps({"title": "Still", "pushkeep": {"id": f"s-{number}"}}))
        assert len(await worker.shown(number + 1)) == number + 1


async def test_tells_open_pages_what_was_shown(open_page: OpenPage, start_worker: StartWorker) -> None:
    page = await open_page()
    worker = await start_worker(page)
    await page.evaluate(
        """() => {
          self.heard = [];
          navigator.serviceWorker.addEventListener('message', (event) => self.heard.push(event.data.pushkeep));
          navigator.serviceWorker.startMessages();
        }"""
    )
    await worker.push('{"title": "T", "body": "B", "url": "/inbox"}')
    await until(page, "() => self.heard.length === 1")
    heard = await page.evaluate("() => self.heard[0]")
    assert (heard["type"], heard["title"], heard["body"], heard["repeat"]) == ("received", "T", "B", False)
    assert heard["url"].endswith("/inbox")


CLICK = """async ({ data, action }) => {
  // A made-up click opens no window, so what would be done is noted instead.
  self.done = [];
  self.clients.openWindow = async (url) => { self.done.push(['open', url]); return null; };
  WindowClient.prototype.focus = async function () { self.done.push(['focus', this.url]); return this; };
  await registration.showNotification('Clicked', { data });
  const [notification] = await registration.getNotifications();
  await clicked({ notification, action });
  return { done: self.done, left: (await registration.getNotifications()).length };
}"""


async def test_click_focuses_the_page_that_shows_the_address(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page("/blank/inbox"))
    url = f"{site.base}/blank/inbox"
    result = await worker.evaluate(CLICK, {"data": {"pushkeep": {"url": url}}, "action": ""})
    assert result == {"done": [["focus", url]], "left": 0}


async def test_click_opens_a_window_when_no_page_shows_the_address(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page("/blank/form"))
    url = f"{site.base}/blank/inbox"
    result = await worker.evaluate(CLICK, {"data": {"pushkeep": {"url": url}}, "action": ""})
    assert result == {"done": [["open", url]], "left": 0}


async def test_click_lets_a_page_of_the_same_path_move_itself(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    page = await open_page("/blank/inbox?message=1")
    worker = await start_worker(page)
    await page.evaluate("async () => (await import('/pushkeep/sdk.js')).Pushkeep.init({ projectKey: 'pk_test' })")
    url = f"{site.base}/blank/inbox?message=2"
    result = await worker.evaluate(CLICK, {"data": {"pushkeep": {"url": url}}, "action": ""})
    assert result == {"done": [["focus", f"{site.base}/blank/inbox?message=1"]], "left": 0}
    await page.wait_for_url(url)


async def test_click_opens_a_window_when_the_page_of_the_same_path_does_not_listen(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page("/blank/inbox?message=1"))
    url = f"{site.base}/blank/inbox?message=2"
    result = await worker.evaluate(CLICK, {"data": {"pushkeep": {"url": url}}, "action": ""})
    assert result == {"done": [["open", url]], "left": 0}


async def test_click_on_an_action_opens_its_own_address(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page())
    data = {"pushkeep": {"url": "https://shop.example/", "actions": {"pay": "https://shop.example/pay"}}}
    result = await worker.evaluate(CLICK, {"data": data, "action": "pay"})
    assert result == {"done": [["open", "https://shop.example/pay"]], "left": 0}
    result = await worker.evaluate(CLICK, {"data": data, "action": "other"})
    assert result == {"done": [["open", "https://shop.example/"]], "left": 0}


async def test_shows_the_buttons_and_knows_where_each_leads(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page())
    actions = [
        {"action": "pay", "title": "Pay", "navigate": "/pay", "icon": "/pay.png"},
        {"action": "ask", "title": "Ask", "url": "javascript:alert(1)"},
    ]
    await worker.push(json.dumps({"title": "T", "url": "/order", "actions": actions}))
    (shown,) = await worker.shown()
    assert [(one["action"], one["title"]) for one in shown["actions"]] == [("pay", "Pay"), ("ask", "Ask")]  # type: ignore[attr-defined]
    data = shown["data"]
    assert data["pushkeep"]["actions"] == {"pay": f"{site.base}/pay", "ask": None}  # type: ignore[index]
    result = await worker.evaluate(CLICK, {"data": data, "action": "pay"})
    assert result["done"] == [["open", f"{site.base}/pay"]]  # type: ignore[index]
    for action in ("ask", "constructor", "__proto__", ""):
        result = await worker.evaluate(CLICK, {"data": data, "action": action})
        assert result["done"] == [["open", f"{site.base}/order"]]  # type: ignore[index]


NOTE_BADGES = """() => {
  self.badges = [];
  navigator.setAppBadge = async (number) => { self.badges.push(number); };
  navigator.clearAppBadge = async () => { self.badges.push('clear'); };
}"""

BADGES: dict[str, tuple[dict[str, object], list[object]]] = {
    "none": ({}, []),
    "in the payload": ({"app_badge": 3}, [3]),
    "in the notification": ({"notification": {"title": "T", "app_badge": 4}}, [4]),
    "in both": ({"notification": {"title": "T", "app_badge": 4}, "app_badge": 5}, [5]),
    "nothing left": ({"app_badge": 0}, ["clear"]),
    "digits, as Safari takes them": ({"app_badge": "12"}, [12]),
    "digits of nothing": ({"app_badge": "0"}, ["clear"]),
    "the largest": ({"app_badge": 2**53 - 1}, [2**53 - 1]),
    "too large": ({"app_badge": 2**53}, []),
    "negative": ({"app_badge": -1}, []),
    "a fraction": ({"app_badge": 1.5}, []),
    "a flag": ({"app_badge": True}, []),
    "words": ({"app_badge": "many"}, []),
    "null": ({"app_badge": None}, []),
}


@pytest.mark.parametrize("name", BADGES)
async def test_puts_the_number_at_the_icon(name: str, open_page: OpenPage, start_worker: StartWorker) -> None:
    payload, badges = BADGES[name]
    worker = await start_worker(await open_page())
    await worker.evaluate(NOTE_BADGES)
    await worker.push(json.dumps({"title": "T", **payload}))
    assert len(await worker.shown()) == 1
    assert await worker.evaluate("() => self.badges") == badges


async def test_a_repeat_leaves_the_number_alone(open_page: OpenPage, start_worker: StartWorker) -> None:
    worker = await start_worker(await open_page())
    await worker.evaluate(NOTE_BADGES)
    for count in (1, 2):
        await worker.push(json.dumps({"title": "T", "tag": "t", "app_badge": 3, "pushkeep": {"id": "b-1"}}))
        await worker.shown(count)
    assert await worker.evaluate("() => self.badges") == [3]


async def test_a_number_a_browser_has_parsed_itself(open_page: OpenPage, start_worker: StartWorker) -> None:
    # Safari: PushEvent.appBadge beside PushEvent.notification.
    worker = await start_worker(await open_page())
    read = await worker.evaluate("() => read({ data: null, notification: { title: 'D' }, appBadge: 6 })")
    assert read["appBadge"] == 6  # type: ignore[index]


BROKEN_BADGES = {
    "missing": "delete WorkerNavigator.prototype.setAppBadge; delete WorkerNavigator.prototype.clearAppBadge;",
    "refusing": "navigator.setAppBadge = () => Promise.reject(new DOMException('no', 'NotAllowedError'));",
    "throwing": "navigator.setAppBadge = () => { throw new TypeError('no'); };",
    "hanging": "navigator.setAppBadge = () => new Promise(() => {});",
    "answering with nothing": "navigator.setAppBadge = () => undefined;",
}


@pytest.mark.parametrize("how", BROKEN_BADGES)
async def test_shows_and_ends_although_the_icon_takes_no_number(
    how: str, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page())
    await worker.evaluate(f"() => {{ {BROKEN_BADGES[how]} }}")
    # Resolves only if the event would end; the bound on the system's answer is the worker's own.
    await worker.evaluate(
        "() => received(new PushEvent('push', { data: JSON.stringify({ title: 'T', body: 'B', app_badge: 3 }) }))"
    )
    (shown,) = await worker.shown()
    assert (shown["title"], shown["body"]) == ("T", "B")


HOSTILE = [
    "javascript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "http://elsewhere.example/",
    "https://user:secret@shop.example/",
    "blob:https://shop.example/1",
    "blob:{base}/1",
    "https://",
]


@pytest.mark.parametrize("url", HOSTILE)
async def test_click_never_opens_another_kind_of_address(
    url: str, site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    page = await open_page()
    worker = await start_worker(page)
    url = url.replace("{base}", site.base)
    await worker.push(json.dumps({"title": "T", "url": url}))
    (shown,) = await worker.shown()
    assert shown["data"]["pushkeep"]["url"] is None  # type: ignore[index]
    result = await worker.evaluate(CLICK, {"data": {"pushkeep": {"url": url}}, "action": ""})
    assert result["done"] == [["open", f"{site.base}/"]]  # type: ignore[index]


CHANGE = """async ({ state, current, given }) => {
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (letter) => letter.charCodeAt(0));
  const base64url = (octets) =>
    btoa(String.fromCharCode(...octets)).replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=/g, '');
  await PushkeepCore.keep((before) => ({ ...before, ...state }));
  const make = (number, key) => ({
    endpoint: `https://push.example/${number}`,
    options: { applicationServerKey: bytes(key).buffer },
    toJSON: () => ({ endpoint: `https://push.example/${number}`, keys: { p256dh: 'p', auth: 'a' } }),
    unsubscribe: async () => true,
  });
  self.calls = [];
  let held = null;
  PushManager.prototype.getSubscription = async () => held;
  PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
    const key = base64url(applicationServerKey);
    self.calls.push(key);
    return (held = make('renewed', key));
  };
  await changed({ oldSubscription: null, newSubscription: given ? make('given', current) : null });
  return { calls: self.calls, state: await PushkeepCore.keep() };
}"""


def stored(site: Site, **change: object) -> dict[str, object]:
    box = {"endpoint": "https://push.example/old", "key": site.key, "token": "st_old", "state": "active"}
    return {"wanted": True, "site": {"project": "pk_test", "server": site.base}, "a": box} | change


async def test_a_lost_subscription_is_made_anew_and_reported_as_a_replacement(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page())
    result = await worker.evaluate(CHANGE, {"state": stored(site), "current": site.key, "given": False})
    assert result["calls"] == [site.key]  # type: ignore[index]
    (body,) = site.bodies()
    assert body["replaces"] == ["st_old"]
    assert body["application_server_key"] == site.key
    assert result["state"]["a"]["endpoint"] == "https://push.example/renewed"  # type: ignore[index]
    assert result["state"]["a"]["token"] == "st_renewed"  # type: ignore[index]


async def test_a_subscription_the_browser_hands_over_is_reported(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page())
    result = await worker.evaluate(CHANGE, {"state": stored(site), "current": site.key, "given": True})
    assert result["calls"] == []  # type: ignore[index]
    assert result["state"]["a"]["endpoint"] == "https://push.example/given"  # type: ignore[index]


@pytest.mark.parametrize("state", [None, {"wanted": False}], ids=["nothing known", "left"])
async def test_nobody_is_subscribed_again_against_their_will(
    state: dict[str, object] | None, site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page())
    result = await worker.evaluate(CHANGE, {"state": state, "current": site.key, "given": False})
    assert result["calls"] == []  # type: ignore[index]
    assert site.requests == []


async def test_without_permission_the_server_is_told_and_nothing_is_attempted(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await start_worker(await open_page(granted=False))
    result = await worker.evaluate(CHANGE, {"state": stored(site), "current": site.key, "given": False})
    assert result["calls"] == []  # type: ignore[index]
    ((verb, _, query, token),) = site.requests
    assert (verb, query["reason"], token) == ("DELETE", "lost", "Bearer st_old")
    assert result["state"]["wanted"] is True  # type: ignore[index]


WORKER_PUSH = """(subscriptions) => {
  const bytes = (text) => PushkeepCore.bytes(text).buffer;
  const base64url = (octets) =>
    btoa(String.fromCharCode(...octets)).replace(/\\+/g, '-').replace(/\\//g, '_').replace(/=/g, '');
  self.held = null;
  self.calls = [];
  const make = (number, key) => ({
    endpoint: `https://push.example/${number}`,
    options: { applicationServerKey: bytes(key) },
    toJSON: () => ({ endpoint: `https://push.example/${number}`, keys: { p256dh: 'p', auth: 'a' } }),
    unsubscribe: async () => { self.calls.push('unsubscribe'); self.held = null; return true; },
  });
  PushManager.prototype.getSubscription = async () => self.held;
  PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
    self.calls.push('subscribe');
    return (self.held = make('renewed', base64url(applicationServerKey)));
  };
  self.hold = (number, key) => { self.held = make(number, key); };
}"""

FIRE = """async ([name, tag]) => {
  const event = new ExtendableEvent(name);
  event.tag = tag;
  let work = null;
  Object.defineProperty(event, 'waitUntil', { value: (given) => { work = given; } });
  self.dispatchEvent(event);
  return work && work.then(() => 'done', (error) => error.code);
}"""


async def holding_worker(
    site: Site, open_page: OpenPage, start_worker: StartWorker, *, slot: str = "a", **change: object
) -> WorkerHandle:
    """A worker of slot a that holds, and has noted in a slot, a subscription confirmed long ago."""
    worker = await start_worker(await open_page())
    await worker.evaluate(WORKER_PUSH)
    await worker.evaluate("(key) => self.hold('old', key)", site.key)
    state = stored(site, current=slot) | change
    state[slot] = cast(dict[str, object], state.pop("a")) | {"confirmed": 1, "abilities": "deflate"}
    await worker.evaluate("(state) => PushkeepCore.keep((before) => ({ ...before, ...state }))", state)
    return worker


async def test_what_a_page_could_not_do_is_done_when_the_network_is_back(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await holding_worker(site, open_page, start_worker)
    site.on_heartbeat = lambda _: (503, {})
    assert await worker.evaluate(FIRE, ["sync", "pushkeep"]) == "server", "the browser tries again by itself"
    site.on_heartbeat = lambda _: (200, {"state": "active"})
    assert await worker.evaluate(FIRE, ["sync", "pushkeep"]) == "done"
    assert await worker.evaluate(FIRE, ["sync", "something else"]) is None
    assert len(site.bodies(path="heartbeat")) == 2
    await worker.evaluate("() => PushkeepCore.keep((now) => ({ ...now, a: { ...now.a, confirmed: 1 } }))")
    assert await worker.evaluate(FIRE, ["periodicsync", "pushkeep"]) == "done"
    assert len(site.bodies(path="heartbeat")) == 3


async def test_a_loss_that_concerns_the_other_slot_is_left_to_it(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await holding_worker(site, open_page, start_worker, slot="b")
    assert await worker.evaluate(FIRE, ["pushsubscriptionchange", None]) == "done"
    assert (site.requests, await worker.evaluate("() => self.calls")) == ([], [])


async def test_a_loss_without_network_is_noted_for_later(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await holding_worker(site, open_page, start_worker)
    await worker.evaluate(
        """() => {
          self.held = null;
          self.tags = [];
          const sync = { register: async (tag) => { self.tags.push(tag); } };
          Object.defineProperty(ServiceWorkerRegistration.prototype, 'sync', { get: () => sync });
        }"""
    )
    site.on_register = lambda _: (503, {})
    assert await worker.evaluate(FIRE, ["pushsubscriptionchange", None]) == "server"
    assert await worker.evaluate("() => self.tags") == ["pushkeep"]
    site.on_register = None
    assert await worker.evaluate(FIRE, ["sync", "pushkeep"]) == "done"
    assert await worker.evaluate("() => self.calls") == ["subscribe"], "once is enough"


async def test_a_worker_leaves_a_move_to_an_open_page(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await holding_worker(site, open_page, start_worker)
    await worker.page.evaluate(
        """() => {
          self.heard = [];
          navigator.serviceWorker.addEventListener('message', (event) => self.heard.push(event.data.pushkeep.type));
          navigator.serviceWorker.startMessages();
        }"""
    )
    site.on_heartbeat = lambda _: (200, {"state": "active", "renew": True})
    assert await worker.evaluate(FIRE, ["periodicsync", "pushkeep"]) == "done"
    await until(worker.page, "() => self.heard.includes('sync')")
    assert await worker.evaluate("() => self.calls") == []
    # Without a page it can only move in place, as Chromium's worker reaches no slot but its own: what messages come by
    # is not ended for that.
    await worker.evaluate("() => { self.clients.matchAll = async () => []; }")
    site.key = made_up_key(2)
    assert await worker.evaluate(FIRE, ["periodicsync", "pushkeep"]) == "done"
    assert await worker.evaluate("() => self.calls") == []
    site.on_heartbeat = lambda _: (200, {"state": "needs_renewal", "renew": True})
    await worker.evaluate(
        "() => PushkeepCore.keep((now) => ({ ...now, renew: undefined, a: { ...now.a, confirmed: 1 } }))"
    )
    assert await worker.evaluate(FIRE, ["periodicsync", "pushkeep"]) == "done"
    assert await worker.evaluate("() => self.calls") == ["unsubscribe", "subscribe"]
    assert site.bodies()[-1]["replaces"] == ["st_old"]


LEAKED = json.dumps({"title": "T", "pushkeep": {"id": "n-9", "renew": True}})


async def test_a_stolen_key_is_left_at_once_after_the_message_is_shown(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await holding_worker(site, open_page, start_worker)
    site.key = made_up_key(2)
    await worker.push(LEAKED)
    assert len(await worker.shown()) == 1
    await until(
        worker.page, "async () => (await (await import('/pushkeep/sdk.js'), PushkeepCore.keep())).a.confirmed > 1"
    )
    assert await worker.evaluate("() => self.calls") == ["unsubscribe", "subscribe"]
    (body,) = site.bodies()
    assert (body["application_server_key"], body["replaces"]) == (site.key, ["st_old"])
    assert await worker.evaluate("async () => (await PushkeepCore.keep()).renew ?? null") is None


async def test_a_call_to_leave_a_key_that_is_the_right_one_changes_nothing(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    worker = await holding_worker(site, open_page, start_worker)
    await worker.evaluate("(data) => received(new PushEvent('push', { data }))", LEAKED)
    assert await worker.evaluate("() => self.calls") == []


async def test_a_call_to_leave_that_comes_to_the_replaced_one_ends_that(
    site: Site, open_page: OpenPage, start_worker: StartWorker
) -> None:
    drop = {"slot": "a", "at": 2**52}
    worker = await holding_worker(site, open_page, start_worker, slot="b", drop=drop)
    await worker.evaluate("(data) => received(new PushEvent('push', { data }))", LEAKED)
    assert await worker.evaluate("() => self.calls") == ["unsubscribe"]
    record = await worker.evaluate("() => PushkeepCore.keep()")
    assert "drop" not in record  # type: ignore[operator]
