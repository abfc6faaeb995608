"""The state machine that keeps browser and server in agreement: in Chromium, with its IndexedDB and its locks."""

from __future__ import annotations

from typing import cast

import pytest
from playwright.async_api import Page

from .conftest import OpenPage, until
from .ledger import Ledger
from .site import AGREED, Answer, JsonObject, Site, made_up_key
from .test_page import act, age, fake, init, record, subscribed_page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

OLD, NEW = made_up_key(1), made_up_key(2)


async def held(page: Page) -> list[str]:
    """The endpoints the browser holds, with their slots."""
    return cast(
        list[str],
        await page.evaluate(
            "() => Object.entries(fakePush.state()).filter(([slot, one]) => 'ab'.includes(slot) && one)"
            ".map(([slot, one]) => `${slot}:${one.number}`)"
        ),
    )


async def visit(page: Page, **options: object) -> None:
    """The next page start, long after the last and after any back-off."""
    await page.evaluate("() => import('/pushkeep/sdk.js')")
    await age(page)
    await page.evaluate("() => PushkeepCore.keep(({ retry, ...rest }) => rest)")
    await page.reload()
    await init(page, **options)


# ---- a new key


async def test_a_new_key_moves_the_subscription_without_a_gap(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    site.key = NEW
    await visit(page)
    status = await page.evaluate("() => push.status()")
    assert (status["subscribed"], status["slot"], status["key"], status["id"]) == (True, "b", NEW, "id-2")
    assert ledger.living == {"https://push.example/2"}
    assert await held(page) == ["a:1", "b:2"], "messages queued for the old one still come"
    assert await page.evaluate("() => fakePush.unsubscribed") == 0
    await page.evaluate("() => PushkeepCore.keep((now) => ({ ...now, drop: { ...now.drop, at: Date.now() } }))")
    await visit(page)
    assert await held(page) == ["b:2"]
    assert await page.evaluate("async () => Boolean(await navigator.serviceWorker.getRegistration('/pushkeep/a/'))"), (
        "unregister() would take its notifications off the screen"
    )
    assert ledger.living == {"https://push.example/2"}
    site.key = made_up_key(3)
    await visit(page)
    assert (await page.evaluate("() => push.status()"))["slot"] == "a", "and back, at the next change"
    assert len(ledger.living) == 1


async def test_a_second_key_within_the_grace_period_waits_for_the_free_slot(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    site.key = NEW
    await visit(page)
    site.key = made_up_key(3)
    await visit(page)
    assert await held(page) == ["a:1", "b:2"]
    assert (await page.evaluate("() => push.status()"))["pending"]
    await page.evaluate("() => PushkeepCore.keep((now) => ({ ...now, drop: { ...now.drop, at: 0 } }))")
    await visit(page)
    assert await held(page) == ["a:3", "b:2"]
    assert ledger.living == {"https://push.example/3"}


async def test_one_that_gets_nothing_any_more_does_not_wait(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    site.key = NEW
    await visit(page)
    ledger.states["https://push.example/2"] = "gone"
    await visit(page)
    assert await held(page) == ["a:3", "b:2"]
    assert ledger.living == {"https://push.example/3"}


async def test_a_move_that_fails_leaves_the_old_one_in_use(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    site.key = NEW
    await page.add_init_script("fakePush.error = 'AbortError';")
    await visit(page)
    status = await page.evaluate("() => ({ ...push.status(), error: push.status().error?.code })")
    assert (status["subscribed"], status["slot"], status["error"]) == (True, "a", "push_service_unavailable")
    assert ledger.living == {"https://push.example/1"}
    assert await held(page) == ["a:1"]


# ---- cut off anywhere

CUT = """
// The tab dies at the n-th time it has something asked or is answered.
(() => {
  const n = Number(sessionStorage.getItem('cut') ?? 0);
  let times = 0;
  const never = new Promise(() => {});
  const step = () => {
    times += 1;
    if (n && times === n) self.died = true;
    return self.died ? never : undefined;
  };
  self.steps = () => times;
  const wrapped = (holder, name) => {
    const real = holder[name];
    holder[name] = async function (...given) {
      await step();
      const value = await real.apply(this, given);
      await step();
      return value;
    };
  };
  wrapped(self, 'fetch');
  wrapped(PushManager.prototype, 'subscribe');
  const look = PushManager.prototype.getSubscription;
  PushManager.prototype.getSubscription = async function () {
    const found = await look.call(this);
    if (found) wrapped(found, 'unsubscribe');
    return found;
  };
  const open = IDBFactory.prototype.open;
  IDBFactory.prototype.open = function (...given) {
    return step() ? {} : open.apply(this, given);
  };
})();
"""

JOURNEYS = {
    "first": "subscribe",
    "move": "",
    "in place": "",
    "leave": "unsubscribe",
}


@pytest.mark.parametrize("journey", JOURNEYS)
async def test_wherever_it_is_cut_off_the_next_visit_mends_it(journey: str, site: Site, open_page: OpenPage) -> None:
    """And no moment in between is without a living subscription where there was one."""
    ledger = Ledger(site)
    page = await open_page()
    await page.add_init_script(CUT)
    for cut in range(1, 200):
        await start_over(page, site, ledger, journey)
        await page.evaluate("(n) => sessionStorage.setItem('cut', n)", cut)
        await page.reload()
        method = JOURNEYS[journey]
        await page.evaluate(
            """([method, said]) => {
              self.over = import('/pushkeep/sdk.js').then(({ Pushkeep }) => Pushkeep.init({ projectKey: 'pk_test' }))
                .then((push) => method && push[method](said)).catch(() => {}).then(() => { self.ended = true; });
            }""",
            [method, {"consents": [AGREED]}],
        )
        await until(page, "() => self.died || self.ended")
        finished = await page.evaluate("() => !self.died")
        if journey == "move":
            current = await held(page)
            endpoints = {f"https://push.example/{one.split(':')[1]}" for one in current}
            assert ledger.living <= endpoints, f"cut {cut}: {ledger.living} of {current}"
        await page.evaluate("() => sessionStorage.removeItem('cut')")
        await page.reload()
        await visit(page)
        wanted = (await record(page)).get("wanted")
        living = {f"https://push.example/{one.split(':')[1]}" for one in await held(page) if one[0] == await slot(page)}
        assert ledger.living == (living if wanted else set()), f"cut {cut}"
        assert len(living) == (1 if wanted else 0), f"cut {cut}"
        agreed = {endpoint for endpoint, held in ledger.consents.items() if held["offers"]}
        assert agreed >= ledger.living, f"cut {cut}: subscribed without the word that was given with it"
        if wanted and journey != "first":
            assert (await page.evaluate("() => push.status()"))["key"] == site.key, f"cut {cut}"
        if finished:
            assert cut > 5
            return
    raise AssertionError("never came to its end")


async def slot(page: Page) -> str:
    return str((await record(page))["current"])


async def start_over(page: Page, site: Site, ledger: Ledger, journey: str) -> None:
    """As it is before the journey: nothing, or subscribed and, for two of them, a new key waiting."""
    await page.evaluate("() => { fakePush.lose('a'); fakePush.lose('b'); indexedDB.deleteDatabase('pushkeep'); }")
    await page.reload()
    ledger.states.clear()
    ledger.consents.clear()
    site.key = OLD
    await init(page)
    if journey == "first":
        return
    await page.evaluate("(said) => push.subscribe(said)", {"consents": [AGREED]})
    await age(page)
    if journey in ("move", "in place"):
        site.key = NEW
    if journey == "in place":
        await page.evaluate("() => PushkeepCore.keep((now) => ({ ...now, renew: 'leaked' }))")


async def test_a_registration_that_was_never_answered_is_settled(site: Site, open_page: OpenPage) -> None:
    """It arrived, the answer did not, and the browser lost the subscription meanwhile."""
    ledger = Ledger(site)
    page = await open_page()
    await init(page)

    await fake(
        page,
        "const real = fetch; self.fetch = async (url, init) => {"
        "  const response = await real(url, init); if (init.method === 'POST') throw new TypeError('cut off');"
        "  return response; };",
    )
    assert (await act(page, "subscribe"))["error"] == "network"
    assert ledger.living == {"https://push.example/1"}
    await fake(page, "fakePush.lose();")
    await visit(page)
    assert ledger.living == {"https://push.example/2"}
    assert ledger.states["https://push.example/1"] == "unsubscribed"
    assert (await record(page))["doubts"] == []


async def test_one_that_a_server_set_up_anew_never_heard_of_is_settled_too(site: Site, open_page: OpenPage) -> None:
    """It does not take the tokens of before; what is sent without them arrives, its answer does not."""
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    ledger.states.clear()
    store, answered = site.on_register, 0

    def anew(body: JsonObject) -> Answer:
        nonlocal answered
        answered += 1
        if "replaces" in body:
            return 403, {"detail": "bad", "field": "replaces", "reason": "bad_signature"}
        assert store is not None
        answer = store(body)
        return (503, {}) if answered == 2 else answer

    site.on_register = anew
    await page.evaluate("(token) => push.login(token).catch(() => {})", TOKENS["ada"])
    assert (answered, ledger.living) == (2, {"https://push.example/1"})
    await fake(page, "fakePush.lose();")
    await visit(page)
    assert ledger.living == {"https://push.example/2"}
    assert (await record(page))["doubts"] == []


# ---- what the server answers


async def test_a_server_from_an_older_backup_is_told_again(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    backup = ledger.copy()
    site.key = NEW
    await visit(page)
    ledger.restore(backup)
    assert ledger.living == {"https://push.example/1"}
    await visit(page)
    assert ledger.living == {"https://push.example/2"}
    assert site.bodies()[-1]["replaces"] == ["st_2", "st_1"]


async def test_a_log_out_that_a_backup_has_forgotten_is_told_again(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await open_page()
    await init(page, identity="v1.eyJzdWIiOiJhZGEifQ.x")
    await act(page, "subscribe")
    backup = ledger.copy()
    await page.evaluate("() => push.logout()")
    assert ledger.owners == {"https://push.example/1": None}
    ledger.restore(backup)
    await visit(page)
    assert ledger.owners == {"https://push.example/1": None}


async def test_a_number_that_was_lost_is_gone_on_from(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    ahead = 2**50
    ledger.sequences["https://push.example/1"] = ahead
    await fake(page, "fakePush.lose();")
    await visit(page)
    assert ledger.living == {"https://push.example/2"}
    assert int(str((await record(page))["sequence"])) > ahead
    ledger.sequences["https://push.example/2"] = 2 * ahead
    assert (await act(page, "unsubscribe"))["state"] == "unsubscribed"
    assert ledger.living == set()


async def test_one_that_was_replaced_gives_way_to_its_successor(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    site.key = NEW
    await visit(page)
    # The record was lost, the subscriptions were not.
    await page.evaluate("() => { indexedDB.deleteDatabase('pushkeep'); }")
    await page.reload()
    await init(page)
    assert (await page.evaluate("() => push.status()"))["slot"] == "b"
    assert ledger.living == {"https://push.example/2"}
    assert await held(page) == ["a:1", "b:2"]
    assert cast(JsonObject, (await record(page))["drop"])["slot"] == "a"


async def test_one_that_was_replaced_elsewhere_is_made_anew(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    ledger.states["https://push.example/1"] = "superseded"
    ledger.states["https://push.example/elsewhere"] = "active"
    ledger.successors["https://push.example/1"] = "https://push.example/elsewhere"
    await visit(page)
    assert ledger.living == {"https://push.example/2", "https://push.example/elsewhere"}
    assert (await page.evaluate("() => push.status()"))["subscribed"]


@pytest.mark.parametrize("state", ["unsubscribed", "unknown"])
async def test_one_the_server_has_ended_or_forgotten_is_registered_again(
    state: str, site: Site, open_page: OpenPage
) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    if state == "unknown":
        ledger.states.clear()
    else:
        ledger.states["https://push.example/1"] = state
    await visit(page)
    assert ledger.living == {"https://push.example/1"}
    assert (await page.evaluate("() => fakePush.state()"))["calls"] == 1


async def test_a_server_that_always_wants_another_one_is_given_up(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page)

    def never(body: JsonObject) -> Answer:
        return 409, {"detail": "no", "reason": "replaced"}

    site.on_register = never
    assert (await act(page, "subscribe"))["error"] == "server"
    assert len(site.requests) < 60


# ---- who is logged in


TOKENS = {"ada": "v1.eyJzdWIiOiJhZGEifQ.x", "bob": "e30.eyJzdWIiOiJib2IifQ.x"}


async def test_log_in_and_log_out_are_told_once(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    endpoint = "https://push.example/1"
    await page.evaluate("(token) => push.login(token)", TOKENS["ada"])
    assert ledger.owners[endpoint] == TOKENS["ada"]
    assert "identity" not in cast(JsonObject, (await record(page))["owner"]), "once told, it is not kept"
    asked = len(site.requests)
    await page.reload()
    await init(page, identity=TOKENS["ada"])
    assert len(site.requests) == asked
    await page.reload()
    await init(page, identity=TOKENS["bob"])
    assert ledger.owners[endpoint] == TOKENS["bob"]
    await page.reload()
    await init(page)
    assert ledger.owners[endpoint] == TOKENS["bob"], "a page that does not say leaves it as it is"
    await page.reload()
    await init(page, identity=None)
    assert ledger.owners[endpoint] is None
    assert site.bodies()[-1]["detach"] is True
    asked = len(site.requests)
    await page.reload()
    await init(page, identity=None)
    assert len(site.requests) == asked


async def test_a_log_out_while_the_server_is_away_is_told_later(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    await page.evaluate("(token) => push.login(token)", TOKENS["ada"])
    await page.route("**/v1/**", lambda route: route.abort())
    said = await page.evaluate("() => push.logout().catch((error) => error.code)")
    assert said == "network"
    assert (await page.evaluate("() => push.status()"))["pending"]
    await page.unroute("**/v1/**")
    await visit(page)
    assert ledger.owners["https://push.example/1"] is None


async def test_a_refused_log_in_rejects_and_the_subscription_stays(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    ledger.refused = TOKENS["bob"]
    said = await page.evaluate("(token) => push.login(token).catch((error) => error.code)", TOKENS["bob"])
    assert said == "identity"
    assert ledger.owners["https://push.example/1"] is None
    assert (await page.evaluate("() => push.status()"))["subscribed"]


async def test_an_older_tab_does_not_bring_back_who_was_logged_in(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    first = await open_page()
    await init(first, identity=TOKENS["ada"])
    await act(first, "subscribe")
    second = await open_page()
    await init(second, identity=TOKENS["bob"])
    await age(second)
    await first.evaluate("() => push.sync()")
    await first.evaluate("() => dispatchEvent(new Event('online'))")
    assert ledger.owners["https://push.example/1"] == TOKENS["bob"]


async def test_whoever_subscribes_after_another_has_left_is_not_the_other(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    await page.evaluate("(token) => push.login(token)", TOKENS["ada"])
    await act(page, "unsubscribe")
    await page.reload()
    await init(page)
    await act(page, "subscribe")
    assert ledger.owners["https://push.example/2"] is None


async def test_nothing_is_noted_of_a_visitor_who_never_subscribed(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page, identity=TOKENS["ada"])
    await page.evaluate("(token) => push.login(token)", TOKENS["bob"])
    await page.evaluate("() => push.sync()")
    assert "owner" not in await record(page)
    assert site.requests == []


# ---- permission, time and network


async def test_a_permission_that_is_taken_away_and_given_back(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    await fake(page, "fakePush.lose();")
    await page.add_init_script(
        "Object.defineProperty(Notification, 'permission', { get: () => localStorage.getItem('may') ?? 'denied' });"
    )
    await visit(page)
    status = await page.evaluate("() => push.status()")
    assert (status["state"], ledger.living) == ("denied", set())
    assert site.bodies("DELETE")[-1]["reason"] == "lost"
    asked = len(site.requests)
    await visit(page)
    assert len(site.requests) == asked, "once told is enough"
    await page.evaluate("() => localStorage.setItem('may', 'granted')")
    await visit(page)
    assert ledger.living == {"https://push.example/2"}


async def test_after_a_failure_page_starts_wait(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    site.on_heartbeat = lambda _: (503, {})
    waits = []
    for _ in range(3):
        await age(page)
        await page.reload()
        await init(page)
        retry = cast(dict[str, float], (await record(page))["retry"])
        waits.append(retry["at"] - await page.evaluate("() => Date.now()"))
        asked = len(site.requests)
        await page.reload()
        assert (await init(page))["error"] is None
        assert len(site.requests) == asked
        assert (await page.evaluate("() => push.status()"))["pending"]
        await page.evaluate(
            "() => PushkeepCore.keep((now) => ({ ...now, retry: { ...now.retry, at: Date.now() - 1 } }))"
        )
    assert 2_000 < waits[0] <= 5_000 < waits[1] <= 10_000 < waits[2] <= 20_000
    site.on_heartbeat = lambda _: (200, {"state": "active"})
    await age(page)
    await page.reload()
    await init(page)
    assert "retry" not in await record(page)


async def test_the_network_that_is_back_is_used_at_once(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await open_page()
    await init(page)
    await page.route("**/v1/client/*/subscriptions", lambda route: route.abort())
    assert (await act(page, "subscribe"))["error"] == "network"
    await page.unroute("**/v1/client/*/subscriptions")
    await page.evaluate("() => dispatchEvent(new Event('online'))")
    await until(page, "() => push.status().subscribed")
    assert ledger.living == {"https://push.example/1"}


async def test_the_worker_is_asked_to_come_back_to_it(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await fake(
        page,
        """
        self.tags = [];
        const manager = (name) => ({ register: async (tag) => { self.tags.push(`${name} ${tag}`); } });
        Object.defineProperty(ServiceWorkerRegistration.prototype, 'sync', { get: () => manager('once') });
        Object.defineProperty(ServiceWorkerRegistration.prototype, 'periodicSync', { get: () => manager('daily') });
        """,
    )
    await init(page)
    site.on_register = lambda _: (503, {})
    await act(page, "subscribe")
    await until(page, "() => self.tags.join() === 'once pushkeep'")
    site.on_register = None
    await act(page, "subscribe")
    await until(page, "() => self.tags.join() === 'once pushkeep,daily pushkeep'")


async def test_looking_at_the_page_again_is_a_visit(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    await age(page)
    await page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    await until(page, "async () => (await PushkeepCore.keep()).a.confirmed > 1")
    assert site.bodies(path="heartbeat") == [{}]


async def test_two_tabs_that_start_at_once_move_once(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    first = await subscribed_page(open_page)
    second = await open_page()
    await age(first)
    site.key = NEW
    start = """() => import('/pushkeep/sdk.js').then(({ Pushkeep }) => Pushkeep.init({ projectKey: 'pk_test' }))
      .then((push) => { self.push = push; })"""
    await first.reload()
    await first.evaluate(f"() => {{ self.begun = ({start})(); }}")
    await second.evaluate(start)
    await first.evaluate("() => self.begun")
    assert (await first.evaluate("() => fakePush.state()"))["calls"] == 2
    assert ledger.living == {"https://push.example/2"}
    for page in (first, second):
        await until(page, "() => push.status().slot === 'b'")


async def test_another_project_starts_afresh(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    await page.reload()
    await init(page, projectKey="pk_other")
    assert "replaces" not in site.bodies()[-1]
    assert len(site.bodies()) == 2


async def test_what_the_server_knows_is_told(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page)
    assert await page.evaluate("() => push.describe()") is None
    await act(page, "subscribe")
    site.description = (200, {"state": "active", "story": []})
    assert await page.evaluate("() => push.describe()") == {"state": "active", "story": []}
    assert site.requests[-1] == ("GET", "subscriptions", {}, "Bearer st_1")
    site.description = (404, {})
    assert await page.evaluate("() => push.describe()") is None
    site.description = (503, {})
    assert await page.evaluate("() => push.describe().catch((error) => error.code)") == "server"
