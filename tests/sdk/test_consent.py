"""What a visitor agrees to: told with the subscription or not at all, kept until it is told, and never said twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

import pytest
from playwright.async_api import Page

from pushkeep.protocol.encoding import b64url_encode

from .conftest import OpenPage
from .ledger import Ledger
from .site import AGREED, OFFERS, WITHDRAWN, Answer, JsonObject, Site, made_up_key
from .test_keeper import visit
from .test_page import Status, fake, init, record

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

FIRST, SECOND = "https://push.example/1", "https://push.example/2"

CALL = """async ([method, given]) => {
  try {
    const status = await push[method](given);
    return { ...status, error: status.error?.code ?? null };
  } catch (error) {
    return { ...push.status(), error: error.code ?? error.name, message: error.message };
  }
}"""


async def call(page: Page, method: str, given: object) -> Status:
    return cast(Status, await page.evaluate(CALL, [method, given]))


async def agreed_page(open_page: OpenPage) -> Page:
    """Of a visitor who has agreed in the page's question."""
    page = await open_page("/blank/basket?item=7#top")
    await init(page)
    assert (await call(page, "subscribe", {"consents": [AGREED]}))["subscribed"]
    return page


async def words(page: Page) -> list[JsonObject]:
    return cast(list[JsonObject], (await record(page))["words"])


async def test_a_page_is_given_the_purposes_with_what_to_ask(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page)
    assert await page.evaluate("() => push.purposes('de-AT')") == [OFFERS]
    assert site.bodies("GET", "purposes") == [{"locale": "de-AT"}]
    await page.evaluate("() => push.purposes()")
    assert site.bodies("GET", "purposes")[-1] == {"locale": await page.evaluate("() => navigator.language")}
    await call(page, "subscribe", {})
    assert "consents" not in site.bodies()[0], "nothing is said that nobody has said"
    await page.evaluate(
        """async () => {
          const [{ name, wording }] = await push.purposes();
          await push.consent({ purpose: name, wording });
        }"""
    )
    (word,) = cast(list[JsonObject], site.bodies("POST", "consents")[0]["consents"])
    assert word["wording"] == AGREED["wording"], "the wording may be given as it came"


async def test_the_first_registration_has_the_word_in_it(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await agreed_page(open_page)
    (body,) = site.bodies()
    assert body["consents"] == [
        {
            "purpose": "offers",
            "given": True,
            "wording": AGREED["wording"],
            "method": "prompt",
            "page": f"{site.base}/blank/basket",
        }
    ]
    assert ledger.consents == {FIRST: {"offers": True}}
    await visit(page)
    assert site.bodies("POST", "consents") == []
    assert len(site.bodies()) == 1, "what is told is not told again"
    assert not (await page.evaluate("() => push.status()"))["pending"]


async def test_a_page_that_gives_nonsense_is_told_so_before_anything_is_begun(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page)
    for wrong in ({"purpose": "offers"}, {"wording": "0f"}, {"purpose": "a", "given": 1}):
        assert (await call(page, "subscribe", {"consents": [wrong]}))["error"] == "TypeError"
    assert (await record(page)).get("wanted") is None
    assert site.bodies() == []


async def test_what_the_server_does_not_know_begins_nothing(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await open_page()
    await init(page)
    status = await call(page, "subscribe", {"consents": [{**AGREED, "wording": "00" * 32}]})
    assert (status["error"], status["subscribed"], status["state"]) == ("consent", False, "unsubscribed")
    assert ledger.states == {}
    assert await page.evaluate("() => fakePush.state().a") is None
    assert await words(page) == []
    await visit(page)
    assert len(site.bodies()) == 1, "it is not tried again by itself"
    assert (await call(page, "subscribe", {"consents": [AGREED]}))["subscribed"]
    assert ledger.consents == {"https://push.example/2": {"offers": True}}


async def test_what_the_server_does_not_know_leaves_a_subscription_as_it_was(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await agreed_page(open_page)
    status = await call(page, "consent", {**AGREED, "wording": "00" * 32})
    assert (status["error"], status["subscribed"]) == ("consent", True)
    assert ledger.consents == {FIRST: {"offers": True}}
    status = await call(page, "subscribe", {"consents": [{**AGREED, "wording": "00" * 32}]})
    assert (status["error"], status["subscribed"]) == ("consent", True)
    await visit(page)
    assert ledger.living == {FIRST}


# ---- taking it back


async def test_taking_it_back_and_agreeing_again(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await agreed_page(open_page)
    status = await call(page, "consent", WITHDRAWN)
    assert (status["subscribed"], status["error"]) == (True, None), "only that purpose is over"
    assert ledger.consents == {FIRST: {"offers": False}}
    (body,) = site.bodies("POST", "consents")
    assert body["consents"] == [
        {"purpose": "offers", "given": False, "method": "settings", "page": f"{site.base}/blank/basket"}
    ]
    await call(page, "consent", [AGREED])
    assert ledger.told == [(FIRST, "offers", True), (FIRST, "offers", False), (FIRST, "offers", True)]
    assert cast(int, site.bodies("POST", "consents")[1]["sequence"]) > cast(int, body["sequence"])


async def test_nobody_can_agree_without_a_subscription(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page)
    assert (await call(page, "consent", AGREED))["error"] == "consent"
    assert await words(page) == []
    assert await page.evaluate("() => push.consents()") == {}


async def test_leaving_takes_back_everything(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await agreed_page(open_page)
    await call(page, "unsubscribe", None)
    assert ledger.consents == {FIRST: {"offers": False}}
    assert await words(page) == []
    await call(page, "subscribe", {})
    assert ledger.living == {SECOND}
    assert not ledger.consents[SECOND]["offers"], "who comes back has not agreed"


async def test_who_leaves_may_be_forgotten(site: Site, open_page: OpenPage) -> None:
    page = await agreed_page(open_page)
    await page.route("**/subscriptions?*", lambda route: route.abort())
    await call(page, "unsubscribe", {"erase": True})
    await page.unroute("**/subscriptions?*")
    await visit(page)
    (query,) = site.bodies("DELETE")
    assert (query["reason"], query["erase"]) == ("left", "true"), "also if it could not be told at once"
    await call(page, "subscribe", {})
    await call(page, "unsubscribe", None)
    assert "erase" not in site.bodies("DELETE")[-1]


async def test_taking_it_back_does_not_wait_for_a_new_subscription(site: Site, open_page: OpenPage) -> None:
    """The key has changed, and the push service gives nothing: the old subscription gets messages meanwhile."""
    ledger = Ledger(site)
    page = await agreed_page(open_page)
    site.key = made_up_key(2)
    await page.evaluate("() => PushkeepCore.keep((now) => ({ ...now, renew: 'asked' }))")
    await fake(page, "fakePush.error = 'AbortError';")
    assert (await call(page, "consent", WITHDRAWN))["error"] == "push_service_unavailable"
    assert ledger.living == {FIRST}
    assert ledger.consents == {FIRST: {"offers": False}}


# ---- told later


async def test_what_cannot_be_told_is_kept_and_told_later(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await agreed_page(open_page)
    await page.route("**/consents", lambda route: route.abort())
    status = await page.evaluate("async () => push.consent({ purpose: 'offers', given: false })")
    assert status["pending"], "it resolves: what was said is noted"
    assert ledger.consents == {FIRST: {"offers": True}}
    held = await page.evaluate("() => push.consents()")
    assert (held["offers"]["given"], held["offers"]["told"]) == (False, False)
    await page.unroute("**/consents")
    await visit(page)
    assert ledger.consents == {FIRST: {"offers": False}}
    assert not (await page.evaluate("() => push.status()"))["pending"]


async def test_a_first_registration_that_waits_has_its_word_when_it_comes(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await open_page()
    await init(page)
    await fake(page, "fakePush.error = 'AbortError';")
    assert (await call(page, "subscribe", {"consents": [AGREED]}))["error"] == "push_service_unavailable"
    assert site.bodies() == []
    await visit(page)
    assert ledger.consents == {ledger.living.pop(): {"offers": True}}
    assert len(site.bodies()) == 1


async def test_an_answer_that_is_lost_makes_no_second_word(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await open_page()
    await init(page)
    stored = site.on_register
    assert stored is not None
    lost: Iterator[Answer] = iter([(502, {})])
    site.on_register = lambda body: next(lost, stored(body))
    assert (await call(page, "subscribe", {"consents": [AGREED]}))["error"] == "server"
    await visit(page)
    assert (await page.evaluate("() => push.status()"))["subscribed"]
    assert ledger.told == [(FIRST, "offers", True)]


async def test_a_new_key_takes_the_word_along(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await agreed_page(open_page)
    site.key = made_up_key(2)
    await visit(page)
    assert ledger.living == {SECOND}
    assert ledger.consents[SECOND] == {"offers": True}
    assert len(ledger.told) == 1


# ---- a server that knows less, or more


async def test_a_server_from_an_older_backup_is_told_again(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    empty = ledger.copy()
    page = await agreed_page(open_page)
    ledger.restore(empty)
    await visit(page)
    assert ledger.consents == {FIRST: {"offers": True}}


async def test_a_withdrawal_is_said_again_to_a_server_from_an_older_backup(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await agreed_page(open_page)
    before = ledger.copy()
    await call(page, "consent", WITHDRAWN)
    ledger.restore(before)
    assert ledger.consents == {FIRST: {"offers": True}}
    await visit(page)
    assert ledger.consents == {FIRST: {"offers": False}}


async def test_a_withdrawal_is_said_again_also_where_nothing_but_its_time_tells(
    site: Site, open_page: OpenPage
) -> None:
    """The endpoint has changed behind our back, so nothing is asked of the server but to store another one."""
    ledger = Ledger(site)
    page = await agreed_page(open_page)
    before = ledger.copy()
    await call(page, "consent", WITHDRAWN)
    ledger.restore(before)
    await fake(page, f"fakePush.put(7, '{site.key}');")
    await visit(page)
    assert ledger.living == {"https://push.example/7"}
    assert ledger.consents["https://push.example/7"] == {"offers": False}


async def test_what_the_site_has_since_taken_back_is_not_said_again(site: Site, open_page: OpenPage) -> None:
    ledger = Ledger(site)
    page = await agreed_page(open_page)
    ledger.consents[FIRST]["offers"] = False
    ledger.since["offers"] = "2026-11-22T13:00:00Z"
    site.key = made_up_key(2)
    await visit(page)
    assert ledger.consents[SECOND] == {"offers": False}
    assert await words(page) == [], "the later word is the site's"
    ledger.states.clear()
    ledger.consents.clear()
    await visit(page)
    assert [one for one in ledger.told if one[2]] == [(FIRST, "offers", True)]


# ---- a browser that people share


async def login(page: Page, name: str | None) -> None:
    who = None if name is None else f"x.{b64url_encode(json.dumps({'sub': name}).encode())}.y"
    await page.evaluate("(who) => (who ? push.login(who) : push.logout()).then(() => {}, () => {})", who)


async def test_what_one_has_said_is_not_told_for_another(site: Site, open_page: OpenPage) -> None:
    page = await open_page()
    await init(page)
    await call(page, "subscribe", {})
    await login(page, "ann")
    await page.route("**/consents", lambda route: route.abort())
    await call(page, "consent", AGREED)
    await page.unroute("**/consents")
    await page.evaluate("() => PushkeepCore.keep(({ retry, ...rest }) => rest)")
    await login(page, "bob")
    said = [body for body in [*site.bodies(), *site.bodies("POST", "consents")] if body.get("consents")]
    assert said == []
    assert await page.evaluate("() => push.consents()") == {}
    await page.route("**/subscriptions", lambda route: route.abort())
    assert await page.evaluate("() => push.consents()") == {}, "nor shown to another where the server is away"
    await page.unroute("**/subscriptions")
    await login(page, "ann")
    said = [body for body in [*site.bodies(), *site.bodies("POST", "consents")] if body.get("consents")]
    assert len(said) == 1
    await login(page, "bob")
    assert await words(page) == [], "what is told is forgotten with who said it"


# ---- what holds


async def test_what_holds_is_what_the_server_says_and_what_it_is_yet_to_be_told(
    site: Site, open_page: OpenPage
) -> None:
    page = await agreed_page(open_page)
    known = {"purpose": "news", "given": True, "at": "2026-11-20T18:00:00Z", "wording": {"digest": "ab" * 32}}
    site.description = (200, {"state": "active", "renew": False, "consents": [known]})
    assert await page.evaluate("() => push.consents()") == {
        "news": {"given": True, "at": "2026-11-20T18:00:00Z", "told": True, "wording": "ab" * 32}
    }
    await page.route("**/subscriptions", lambda route: route.abort())
    held = await page.evaluate("() => push.consents()")
    assert (held["offers"]["given"], held["offers"]["told"]) == (True, True), "as this browser knows it"
