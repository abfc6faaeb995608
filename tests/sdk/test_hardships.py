"""What the keeper does when a server, a disk or a clock is wrong: nothing living is ended, and no word is forgotten."""

from __future__ import annotations

from typing import cast

import pytest
from playwright.async_api import Route

from .conftest import OpenPage
from .ledger import Ledger
from .site import Answer, JsonObject, Site, made_up_key, registered
from .test_keeper import NEW, TOKENS, held, visit
from .test_page import act, age, fake, init, record, subscribed_page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

FIRST, SECOND, OTHER = (f"https://push.example/{number}" for number in (1, 2, 7))


# ---- nothing living is ended before its successor is confirmed


async def test_what_was_replaced_is_ended_by_word_of_a_server_that_knows_its_successor(
    site: Site, open_page: OpenPage
) -> None:
    """A server set up again from an older backup sends to the one whose grace period is over here."""
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    backup = ledger.copy()
    site.key = NEW
    await visit(page)
    ledger.restore(backup)
    await page.evaluate("() => PushkeepCore.keep((now) => ({ ...now, drop: { ...now.drop, at: Date.now() } }))")
    await page.route("**/v1/**", lambda route: route.abort())
    await visit(page)
    assert await held(page) == ["a:1", "b:2"]
    await page.unroute("**/v1/**")
    await visit(page)
    assert (await held(page), ledger.living) == (["b:2"], {SECOND})


async def test_a_move_that_is_to_be_followed_by_another_keeps_its_grace_period(site: Site, open_page: OpenPage) -> None:
    """The key changed once more between the question for it and the registration."""
    page = await subscribed_page(open_page)
    site.key = NEW
    site.on_heartbeat = lambda _: (200, {"state": "active", "renew": True})

    def renewed_again(body: JsonObject) -> Answer:
        status, answer = registered(body)
        return status, answer | {"renew": True}

    site.on_register = renewed_again
    await visit(page)
    assert await held(page) == ["a:1", "b:2"]
    assert cast(JsonObject, (await record(page))["drop"])["slot"] == "a"
    assert await page.evaluate("() => fakePush.unsubscribed") == 0


async def test_a_dead_one_in_the_idle_slot_does_not_take_the_place_of_the_living(
    site: Site, open_page: OpenPage
) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    site.key = NEW
    await fake(page, f"fakePush.put(7, '{NEW}', 'b')")
    ledger.states[OTHER] = "gone"
    await visit(page)
    assert (await held(page), ledger.living) == (["a:1", "b:2"], {SECOND})
    assert await page.evaluate("() => fakePush.unsubscribed") == 1, "the dead one, and nothing else"


async def test_one_whose_registration_was_not_answered_is_asked_about_whatever_its_key(
    site: Site, open_page: OpenPage
) -> None:
    """It is the living one, and its key has changed again."""
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    await fake(page, f"fakePush.put(7, '{NEW}', 'b')")
    ledger.states |= {FIRST: "superseded", OTHER: "active"}
    ledger.successors[FIRST], ledger.keys[OTHER] = OTHER, NEW
    await page.evaluate("() => PushkeepCore.keep((now) => ({ ...now, renew: 'asked' }))")
    site.key = made_up_key(3)
    await visit(page)
    assert (await held(page), ledger.living) == (["a:1", "b:7"], {OTHER})


@pytest.mark.parametrize(
    "answer", [(409, {}), (409, {"reason": "of next year"}), (404, {}), (200, {}), (400, {})], ids=str
)
async def test_a_refusal_that_gives_no_reason_ends_nothing(answer: Answer, site: Site, open_page: OpenPage) -> None:
    """A proxy's own page, or a server that knows more reasons than this SDK."""
    page = await subscribed_page(open_page)
    await page.evaluate("() => PushkeepCore.keep((now) => ({ ...now, a: { ...now.a, abilities: 'none' } }))")
    site.on_register = lambda _: answer
    await visit(page)
    assert await held(page) == ["a:1"]
    assert "retry" in await record(page)


@pytest.mark.parametrize("answer", [(200, {}), (404, {}), (403, {"field": "Origin"})], ids=str)
async def test_a_heartbeat_that_somebody_else_answers_says_nothing(
    answer: Answer, site: Site, open_page: OpenPage
) -> None:
    page = await subscribed_page(open_page)
    site.on_heartbeat = lambda _: answer
    await visit(page)
    status = await page.evaluate("() => ({ ...push.status(), error: push.status().error?.code })")
    assert (status["subscribed"], status["error"], status["pending"]) == (True, "server", True)
    assert len(site.bodies()) == 1


async def test_both_replaced_by_one_that_is_not_here_make_room_for_a_third(site: Site, open_page: OpenPage) -> None:
    """A browser's data was copied to another computer, and that one moved on."""
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    site.key = NEW
    await visit(page)
    elsewhere = "https://push.example/elsewhere"
    ledger.states |= {FIRST: "superseded", SECOND: "superseded", elsewhere: "active"}
    ledger.successors |= {FIRST: SECOND, SECOND: elsewhere}
    await visit(page)
    assert (await page.evaluate("() => push.status()"))["subscribed"]
    assert ledger.living == {elsewhere, "https://push.example/3"}


# ---- who is logged in


async def test_a_log_out_is_not_forgotten_over_a_log_in_that_is_refused(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    await page.evaluate("(token) => push.login(token)", TOKENS["ada"])
    await page.route("**/v1/**", lambda route: route.abort())
    assert await page.evaluate("() => push.logout().catch((error) => error.code)") == "network"
    await page.unroute("**/v1/**")
    ledger.refused = TOKENS["bob"]
    assert await page.evaluate("(token) => push.login(token).catch((error) => error.code)", TOKENS["bob"]) == "identity"
    assert ledger.owners[FIRST] is None


async def test_who_left_is_not_who_subscribes_next_with_a_token_that_is_refused(
    site: Site, open_page: OpenPage
) -> None:
    ledger = Ledger(site)
    page = await open_page()
    await init(page, identity=TOKENS["ada"])
    await act(page, "subscribe")
    await act(page, "unsubscribe")
    ledger.refused = TOKENS["bob"]
    await page.reload()
    await init(page, identity=TOKENS["bob"])
    assert (await act(page, "subscribe"))["subscribed"]
    assert (ledger.living, ledger.owners[SECOND]) == ({SECOND}, None)


async def test_a_log_out_while_a_log_in_is_being_refused_counts(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    await page.evaluate("(token) => push.login(token)", TOKENS["ada"])
    ledger.refused = TOKENS["bob"]

    async def meanwhile(route: Route) -> None:
        if "identity" in str(route.request.post_data):
            await page.evaluate("() => PushkeepCore.own(null)")
        await route.continue_()

    await page.route("**/v1/**", meanwhile)
    assert await page.evaluate("(token) => push.login(token).catch((error) => error.code)", TOKENS["bob"]) == "identity"
    assert ledger.owners[FIRST] is None


async def test_who_is_logged_in_is_told_although_the_record_was_lost(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await open_page()
    await init(page, identity=TOKENS["ada"])
    await act(page, "subscribe")
    await page.evaluate("() => { indexedDB.deleteDatabase('pushkeep'); }")
    await page.reload()
    await init(page, identity=None)
    assert ledger.owners == {FIRST: None}


# ---- storage, workers, clocks


async def test_a_visitor_can_leave_although_nothing_can_be_written_down(site: Site, open_page: OpenPage) -> None:
    """The disk is full: what is there can be read."""
    ledger = Ledger(site)
    page = await subscribed_page(open_page)
    await fake(page, "IDBObjectStore.prototype.put = function () { this.transaction.abort(); };")
    assert (await act(page, "unsubscribe"))["state"] == "unsubscribed"
    assert (await held(page), ledger.living) == ([], set())
    status = await act(page, "subscribe")
    assert (status["subscribed"], status["error"], ledger.living) == (True, None, {SECOND})
    assert site.bodies()[-1]["replaces"] == ["st_1"], "what was noted before is known"


async def test_a_browser_that_refuses_workers_does_not_stop_the_page(open_page: OpenPage) -> None:
    page = await open_page(
        script="""navigator.serviceWorker.getRegistration = async () => {
          throw new DOMException('no', 'SecurityError');
        };"""
    )
    assert (await init(page))["error"] == "unsupported"
    assert (await act(page, "unsubscribe"))["error"] == "unsupported"


async def test_what_is_over_but_failed_is_not_looked_at_every_second(site: Site, open_page: OpenPage) -> None:
    page = await subscribed_page(open_page)
    site.key = NEW
    site.on_heartbeat = lambda _: (200, {"state": "active", "renew": True})
    await visit(page)
    await page.evaluate("() => PushkeepCore.keep((now) => ({ ...now, drop: { ...now.drop, at: Date.now() } }))")
    await age(page)
    site.on_heartbeat = lambda _: (503, {})
    waits = await page.evaluate(
        """async () => {
          const waits = [];
          const real = setTimeout;
          self.setTimeout = (work, ms) => { waits.push(ms); return real(work, ms); };
          await push.sync();
          await new Promise((done) => real(done, 0));
          return waits;
        }"""
    )
    assert 1_000 not in waits
    assert any(1_000 < wait < 5_000 for wait in waits), "but when it is tried again"


async def test_the_server_is_not_told_which_page_the_visitor_is_on(site: Site, open_page: OpenPage) -> None:
    page = await open_page("/blank?secret")
    headers: list[dict[str, str]] = []

    async def note(route: Route) -> None:
        headers.append(await route.request.all_headers())
        await route.continue_()

    await page.route("**/v1/**", note)
    await init(page)
    assert (await act(page, "subscribe"))["subscribed"]
    assert len(headers) == 2
    assert all("referer" not in one for one in headers)
    assert headers[-1]["origin"] == site.base, "by this the server knows its own pages"
