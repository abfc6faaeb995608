"""The page module: asks only on a click, one tab at a time, never waits without end, and agrees with the server."""

from __future__ import annotations

import asyncio
from typing import TypedDict, cast

import pytest
from playwright.async_api import Page

from .conftest import OpenPage, until
from .site import Answer, JsonObject, Site, Sites, made_up_key, registered

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]


class Status(TypedDict):
    state: str
    supported: bool
    secure: bool
    permission: str
    subscribed: bool
    id: str | None
    shortId: str | None
    reason: str | None
    error: str | None


INIT = """async (options) => {
  const { Pushkeep } = await import('/pushkeep/sdk.js');
  self.push = await Pushkeep.init({ projectKey: 'pk_test', ...options });
  self.changes = [];
  push.on('change', () => self.changes.push(push.status().state));
  return { ...push.status(), error: push.status().error?.code ?? null };
}"""

ACT = """async (method) => {
  try {
    const status = await push[method]();
    return { ...status, error: status.error?.code ?? null };
  } catch (error) {
    return { ...push.status(), error: error.code ?? String(error), message: error.message };
  }
}"""


async def init(page: Page, **options: object) -> Status:
    return cast(Status, await page.evaluate(INIT, options))


async def act(page: Page, method: str) -> Status:
    return cast(Status, await page.evaluate(ACT, method))


async def fake(page: Page, script: str) -> object:
    """Tell the page's PushManager what to do."""
    return await page.evaluate(f"() => {{ {script} }}")


async def subscribed_page(open_page: OpenPage) -> Page:
    page = await open_page()
    await init(page)
    assert (await act(page, "subscribe"))["subscribed"]
    return page


async def record(page: Page) -> JsonObject:
    """What the browser has noted."""
    return cast(JsonObject, await page.evaluate("() => PushkeepCore.keep()"))


async def age(page: Page) -> None:
    """The last agreement with the server was not lately."""
    await page.evaluate(
        "() => PushkeepCore.keep(({ a, b, ...rest }) => "
        "({ ...rest, a: a && { ...a, confirmed: 1 }, b: b && { ...b, confirmed: 1 } }))"
    )


async def forgotten(page: Page, site: Site) -> None:
    """The server knows nothing of the subscription any more; the next page start finds out."""
    site.on_heartbeat = lambda _: (404, {"detail": "not found", "field": "sync_token"})
    await age(page)


def endpoints(site: Site) -> list[str]:
    return [str(cast(JsonObject, body["subscription"])["endpoint"]) for body in site.bodies()]


# ---- the plain way


async def test_subscribes_and_has_the_server_confirm(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    before = await init(page)
    assert (before["state"], before["subscribed"], before["id"], before["error"]) == ("unsubscribed", False, None, None)
    assert site.requests == [], "looking must not tell the server anything"
    after = await act(page, "subscribe")
    assert (after["state"], after["subscribed"], after["id"], after["shortId"]) == (
        "subscribed",
        True,
        "id-1",
        "S0000001",
    )
    (body,) = site.bodies()
    assert body == {
        "subscription": {
            "endpoint": "https://push.example/1",
            "expirationTime": None,
            "keys": {"p256dh": "p256dh", "auth": "auth"},
        },
        "application_server_key": site.key,
        "abilities": ["deflate"],
        "sequence": body["sequence"],
    }
    assert await page.evaluate("() => self.changes.at(-1)") == "subscribed"


async def test_a_page_start_asks_only_what_was_not_just_confirmed(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    asked = len(site.requests)
    await page.reload()
    status = await init(page)
    assert (status["state"], status["shortId"]) == ("subscribed", "S0000001")
    assert len(site.requests) == asked
    await age(page)
    await page.reload()
    assert (await init(page))["subscribed"]
    assert site.requests[asked:] == [("POST", "heartbeat", {}, "Bearer st_1")]


async def test_unsubscribes_here_and_at_the_server(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    status = await act(page, "unsubscribe")
    assert (status["state"], status["subscribed"], status["id"]) == ("unsubscribed", False, None)
    assert site.requests[-1][3] == "Bearer st_1"
    (ended,) = site.bodies("DELETE")
    assert ended["reason"] == "left"
    assert int(str(ended["sequence"])) > int(str(site.bodies()[-1]["sequence"]))
    assert await page.evaluate("() => fakePush.state().a") is None
    assert await page.evaluate("async () => Boolean(await navigator.serviceWorker.getRegistration('/pushkeep/a/'))")
    await page.reload()
    assert (await init(page))["state"] == "unsubscribed"
    assert len(site.bodies()) == 1, "whoever left is not registered again"
    await page.evaluate("() => fakePush.state()")
    assert (await act(page, "subscribe"))["subscribed"], "but may come back"


async def test_other_tabs_hear_of_it(open_page: OpenPage) -> None:
    first = await open_page()
    await init(first)
    second = await open_page()
    await init(second)
    await act(first, "subscribe")
    await until(second, "() => push.status().subscribed && push.status().shortId === 'S0000001'")
    await act(second, "unsubscribe")
    await until(first, "() => push.status().state === 'unsubscribed'")


# ---- asking


async def test_refuses_to_ask_without_a_click(open_page: OpenPage) -> None:
    page = await open_page(granted=False)
    await init(page)
    await page.evaluate("""() => {
      self.asked = 0;
      Notification.requestPermission = async () => { self.asked += 1; return 'granted'; };
      Object.defineProperty(navigator, 'userActivation', { value: { isActive: false } });
    }""")
    assert (await act(page, "subscribe"))["error"] == "gesture"
    assert await page.evaluate("() => self.asked") == 0


async def test_refuses_to_ask_without_a_click_where_the_browser_does_not_tell(open_page: OpenPage) -> None:
    page = await open_page(granted=False)
    await init(page)
    await page.evaluate("""() => {
      self.asked = 0;
      Notification.requestPermission = async () => { self.asked += 1; return 'default'; };
      Object.defineProperty(navigator, 'userActivation', { value: undefined });
      document.querySelector('button').onclick = () => push.subscribe().catch((error) => { self.code = error.code; });
    }""")
    assert (await act(page, "subscribe"))["error"] == "gesture"
    await page.click("button")
    await until(page, "() => self.code === 'dismissed'")
    assert await page.evaluate("() => self.asked") == 1


async def test_a_refusal_is_told_as_such(site: Site, open_page: OpenPage) -> None:
    page = await open_page(granted=False)
    await init(page)
    # Headless Chromium answers its own question with no.
    await page.evaluate("""() => {
      document.querySelector('button').onclick = () => push.subscribe().catch((error) => { self.code = error.code; });
    }""")
    await page.click("button")
    await until(page, "() => self.code === 'denied' && push.status().state === 'denied'")
    assert site.requests == []


async def test_an_insecure_page_says_so_and_does_nothing(sites: Sites, open_page: OpenPage) -> None:
    site = sites.new("insecure.test")
    page = await open_page(granted=False, base=site.base)
    status = await init(page)
    assert (status["state"], status["supported"], status["secure"]) == ("insecure", False, False)
    assert "https" in str(status["reason"])
    assert (await act(page, "subscribe"))["error"] == "insecure"
    assert site.requests == []


async def test_a_browser_without_push_says_so(open_page: OpenPage) -> None:
    page = await open_page(script="delete self.PushManager;")
    status = await init(page)
    assert (status["state"], status["supported"], status["secure"]) == ("unsupported", False, True)
    assert (await act(page, "subscribe"))["error"] == "unsupported"


async def test_an_iphone_is_told_about_the_home_screen(open_page: OpenPage) -> None:
    page = await open_page(
        script="delete self.PushManager; Object.defineProperty(navigator, 'userAgent', { value: 'x (iPhone; CPU) y' });"
    )
    assert "Home Screen" in str((await init(page))["reason"])


async def test_a_wrong_project_key_is_a_programming_error(open_page: OpenPage) -> None:
    page = await open_page()
    said = await page.evaluate("""async () => {
      const { Pushkeep } = await import('/pushkeep/sdk.js');
      return Pushkeep.init({ projectKey: 'sk_secret' }).catch((error) => `${error.name}: ${error.message}`);
    }""")
    assert said.startswith("TypeError: projectKey")
    assert "secret" not in said


# ---- two tabs, time limits


async def test_two_tabs_subscribing_at_once_get_one_endpoint(site: Site, open_page: OpenPage) -> None:
    pages = [await open_page(), await open_page()]
    for page in pages:
        await init(page)
        await fake(page, "fakePush.delay = 300;")
    results = await asyncio.gather(*(act(page, "subscribe") for page in pages))
    assert [result["id"] for result in results] == ["id-1", "id-1"]
    state = await pages[0].evaluate("() => fakePush.state()")
    assert (state["calls"], state["together"]) == (1, 1)
    assert set(endpoints(site)) == {"https://push.example/1"}


async def test_a_subscribe_that_never_settles_is_given_up(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page, timeoutMs=600)
    await fake(page, "fakePush.hang = true;")
    status = await act(page, "subscribe")
    assert (status["error"], status["state"]) == ("timeout", "unsubscribed")
    assert site.bodies() == []


async def test_a_stock_browser_out_of_reach_of_its_push_service_is_given_up_too(open_page: OpenPage) -> None:
    page = await open_page(fake=False)
    await init(page, timeoutMs=1500)
    # Chromium keeps trying for more than 100 s, or says at once that it has no push service.
    assert (await act(page, "subscribe"))["error"] in ("timeout", "push_service_unavailable")


async def test_a_second_try_joins_the_one_that_hangs(open_page: OpenPage) -> None:
    page = await open_page()
    await init(page, timeoutMs=600)
    await fake(page, "fakePush.hang = true;")
    assert (await act(page, "subscribe"))["error"] == "timeout"
    assert (await act(page, "subscribe"))["error"] == "timeout"
    assert (await page.evaluate("() => fakePush.state()"))["calls"] == 1


async def test_a_late_success_is_reported_to_the_server(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page, timeoutMs=600)
    await fake(page, "fakePush.hang = true;")
    assert (await act(page, "subscribe"))["error"] == "timeout"
    await fake(page, "fakePush.release();")
    await until(page, "() => push.status().subscribed")
    assert endpoints(site) == ["https://push.example/1"]


async def test_an_endpoint_replaced_behind_our_back_is_reported_at_the_next_start(
    site: Site, open_page: OpenPage
) -> None:
    page = await subscribed_page(open_page)
    # What an attempt abandoned in a closed tab does in Chromium half a minute later.
    await fake(page, f"fakePush.put(77, '{site.key}');")
    await page.reload()
    assert (await init(page))["id"] == "id-77"
    assert site.bodies()[-1]["replaces"] == ["st_1"]


async def test_a_tab_waits_for_the_lock_with_a_limit(open_page: OpenPage) -> None:
    holder = await open_page()
    await holder.evaluate("() => { navigator.locks.request('pushkeep', () => new Promise(() => {})); }")
    page = await open_page()
    status = await init(page, timeoutMs=400)
    assert status["error"] == "timeout"
    status = await act(page, "subscribe")
    assert (status["error"], status["state"]) == ("timeout", "unsubscribed")
    assert "tab" in str(cast(JsonObject, status)["message"])


async def test_storage_that_never_answers_is_given_up(site: Site, open_page: OpenPage) -> None:
    page = await open_page(script="IDBFactory.prototype.open = () => ({});")
    assert (await init(page))["error"] == "timeout"
    assert (await act(page, "subscribe"))["error"] == "timeout"
    assert site.bodies() == [], "who might have left is not registered"
    free = "async () => (await navigator.locks.query()).held.length === 0"
    await until(page, free)


async def test_what_another_tab_says_does_not_undo_what_this_one_does(open_page: OpenPage) -> None:
    first = await subscribed_page(open_page)
    await act(first, "unsubscribe")
    # The look asked for by the other tab takes longer than this tab's own subscribe().
    await fake(
        first,
        """
        const look = PushManager.prototype.getSubscription;
        let looks = 0;
        PushManager.prototype.getSubscription = async function getSubscription() {
          const found = await look.call(this);
          if ((looks += 1) === 1) await new Promise((go) => setTimeout(go, 600));
          return found;
        };
        """,
    )
    await first.evaluate(
        """() => navigator.serviceWorker.dispatchEvent(
          new MessageEvent('message', { data: { pushkeep: { type: 'changed' } } }))"""
    )
    assert (await act(first, "subscribe"))["subscribed"]
    await first.wait_for_timeout(900)  # past the slow look: nothing may change any more
    assert await first.evaluate("() => push.status().state") == "subscribed"


async def test_what_another_tab_says_does_not_hide_what_this_one_did(open_page: OpenPage) -> None:
    first = await open_page()
    await init(first)
    # Once registered, the keeper looks, and then the page: word of another tab comes during that, and the look it asks
    # for takes longer.
    await fake(
        first,
        """
        let looks = -1;
        const ask = self.fetch;
        self.fetch = (...given) => {
          if (given[1]?.method === 'POST') looks = 0;
          return ask(...given);
        };
        const look = PushManager.prototype.getSubscription;
        PushManager.prototype.getSubscription = async function getSubscription() {
          const found = await look.call(this);
          if (looks >= 0) looks += 1;
          if (looks === 2) {
            const word = new MessageEvent('message', { data: { pushkeep: { type: 'changed' } } });
            navigator.serviceWorker.dispatchEvent(word);
          }
          if (looks > 2) await new Promise((go) => setTimeout(go, 300));
          return found;
        };
        """,
    )
    status = await act(first, "subscribe")
    assert (status["state"], status["id"]) == ("subscribed", "id-1")


async def test_a_site_with_its_own_worker_is_not_mistaken_for_ours(open_page: OpenPage) -> None:
    page = await open_page()
    await page.evaluate("""async () => {
      const url = '/pushkeep/worker.js';
      const registration = await navigator.serviceWorker.register(url, { scope: '/pushkeep/' });
      registration.marked = true;
    }""")
    await init(page)
    await act(page, "subscribe")
    scopes = await page.evaluate("""async () => {
      const registrations = await navigator.serviceWorker.getRegistrations();
      return registrations.map((one) => new URL(one.scope).pathname).sort();
    }""")
    assert scopes == ["/pushkeep/", "/pushkeep/a/"]


# ---- errors of the browser and its push service


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        ("AbortError", "Registration failed - push service error", "push_service_unavailable"),
        ("AbortError", "Registration failed - permission denied", "unsupported"),
        ("NetworkError", "", "push_service_unavailable"),
        ("NotAllowedError", "", "denied"),
        ("InvalidStateError", "", "key_changed"),
        ("InvalidAccessError", "", "server"),
        ("NotSupportedError", "", "unsupported"),
    ],
)
async def test_each_refusal_of_the_browser_has_a_code(error: str, message: str, code: str, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page)
    await fake(page, f"fakePush.error = '{error}'; fakePush.message = '{message}';")
    status = cast(JsonObject, await act(page, "subscribe"))
    assert (status["error"], status["state"]) == (code, "unsubscribed")
    assert str(status["message"]).endswith((".", ")")), "a sentence"


async def test_a_worker_that_cannot_be_loaded_is_told(open_page: OpenPage) -> None:
    page = await open_page()
    await init(page, workerUrl="/pushkeep/missing.js")
    assert (await act(page, "subscribe"))["error"] == "server"


# ---- agreeing with the server


async def test_a_lost_subscription_is_made_anew_in_silence(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    await fake(page, "fakePush.lose();")
    await page.reload()
    assert (await init(page))["id"] == "id-2"
    assert site.bodies()[-1]["replaces"] == ["st_1"]


async def test_a_lost_subscription_that_cannot_be_made_anew_is_called_lost(open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    await fake(page, "fakePush.lose();")
    await page.add_init_script("fakePush.error = 'AbortError';")
    await page.reload()
    status = await init(page)
    assert (status["state"], status["subscribed"], status["error"]) == ("lost", False, "push_service_unavailable")


async def test_without_the_server_a_known_subscription_stays_one(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    await age(page)
    await page.route("**/v1/**", lambda route: route.abort())
    await page.reload()
    status = await init(page)
    assert (status["state"], status["subscribed"], status["error"]) == ("subscribed", True, "network")


async def test_a_registration_the_server_missed_is_made_up_for(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page)
    site.on_register = lambda _: (503, {"detail": "Busy."})
    status = cast(JsonObject, await act(page, "subscribe"))
    assert (status["error"], status["subscribed"]) == ("server", False)
    assert "503" in str(status["message"])
    assert "Busy." in str(status["message"])
    site.on_register = None
    await page.reload()
    await init(page)
    await until(page, "() => push.status().subscribed")
    assert (await page.evaluate("() => fakePush.state()"))["calls"] == 1


async def test_a_key_the_server_does_not_have_is_replaced(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    new_key = made_up_key(2)
    site.key = new_key
    await forgotten(page, site)

    def strict(body: JsonObject) -> tuple[int, JsonObject]:
        if body["application_server_key"] != new_key:
            return 409, {"detail": "other key", "reason": "foreign_key", "application_server_key": new_key}
        return registered(body)

    site.on_register = strict
    await page.reload()
    status = await init(page)
    assert (status["state"], status["id"]) == ("subscribed", "id-2")
    assert site.bodies()[-1]["replaces"] == ["st_1"]
    assert site.bodies()[-1]["application_server_key"] == new_key


async def test_an_older_key_the_server_still_has_is_left_alone(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    site.key = made_up_key(2)
    await page.reload()
    assert (await init(page))["id"] == "id-1"
    assert await page.evaluate("() => fakePush.unsubscribed") == 0


async def test_a_subscription_of_another_key_in_the_way_is_replaced(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page)
    # Not seen at first, for there is no worker yet.
    await page.evaluate("(key) => fakePush.put(50, key)", made_up_key(9))
    status = await act(page, "subscribe")
    assert status["subscribed"]
    assert site.bodies()[-1]["application_server_key"] == site.key


async def test_a_server_that_never_agrees_on_a_key_is_an_error(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page)
    other = {"detail": "other key", "reason": "foreign_key", "application_server_key": made_up_key(3)}
    site.on_register = lambda _: (409, other)
    assert (await act(page, "subscribe"))["error"] == "key_changed"
    assert len(site.bodies()) == 2


async def test_a_full_contact_is_not_a_reason_to_subscribe_anew(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page, identity="v1.ada")
    full: Answer = (409, {"detail": "Too many.", "reason": "owner_full"})
    site.on_register = lambda body: full if "identity" in body else registered(body)
    status = await act(page, "subscribe")
    assert (status["subscribed"], status["error"]) == (True, "identity"), "nobody's is better than none"
    assert await page.evaluate("() => fakePush.unsubscribed") == 0


async def test_a_token_the_server_no_longer_knows_does_not_lock_out(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)

    def fresh(body: JsonObject) -> tuple[int, JsonObject]:
        if body.get("replaces"):
            return 403, {"detail": "no such token", "field": "replaces"}
        return registered(body)

    site.on_register = fresh
    await forgotten(page, site)
    await page.reload()
    assert (await init(page))["subscribed"]
    assert "replaces" not in site.bodies()[-1]


async def test_a_refused_identity_is_an_error_and_changes_nothing(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    site.on_register = lambda _: (403, {"detail": "expired", "field": "identity"})
    await page.reload()
    status = await init(page, identity="v1.old")
    assert (status["state"], status["error"]) == ("subscribed", "identity")
    assert len(site.bodies()) == 2
    assert "owner" not in await record(page)


# ---- leaving, when things fail


async def test_leaving_works_without_the_server_and_is_made_up_for(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    site.on_delete = lambda *_: (503, {})
    status = await act(page, "unsubscribe")
    assert (status["state"], status["error"]) == ("unsubscribed", None)
    assert await page.evaluate("() => fakePush.state().a") is None
    site.on_delete = lambda *_: (204, {})
    await page.reload()
    await init(page)
    await until(page, "() => !push.status().pending")
    assert [verb for verb, *_ in site.requests].count("DELETE") == 2
    await page.reload()
    await init(page)
    assert [verb for verb, *_ in site.requests].count("DELETE") == 2, "once told is enough"


async def test_a_tab_closed_while_leaving_is_made_up_for(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    await page.evaluate("() => PushkeepCore.want(false)")
    await page.reload()
    assert (await init(page))["state"] == "unsubscribed"
    assert await page.evaluate("() => fakePush.state().a") is None
    assert site.requests[-1][0] == "DELETE"


async def test_firefox_rejecting_an_unsubscribe_it_did_is_no_error(open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    await fake(page, "fakePush.unsubscribeError = 'NetworkError';")
    status = await act(page, "unsubscribe")
    assert (status["state"], status["error"]) == ("unsubscribed", None)
