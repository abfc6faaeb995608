"""What a page asks its visitors, and what they say: with their registration, later, and as they are shown it."""

from __future__ import annotations

from typing import Any

from pushkeep.app.consents import declare_purpose, declare_wording, list_consents
from pushkeep.domain.consent import ConsentContent
from pushkeep.domain.moment import write_moment
from tests.web.conftest import Site
from tests.web.subscriptions import JsonObject, subscription_json

TEXT = "Once a week, on Friday, we tell you what is cheaper."


async def offers(site: Site, name: str = "offers", *, basis: str = "consent") -> str:
    """A purpose with a wording; its digest."""
    await declare_purpose(site.services, site.project, name, description="Offers of the week", basis=basis)
    wording, _ = await declare_wording(
        site.services, site.project, name, locale="en", version="1", text=TEXT, policy_version="7"
    )
    return wording.digest.hex()


def agreed(digest: str, purpose: str = "offers", **more: object) -> JsonObject:
    return {"purpose": purpose, "given": True, "method": "prompt", "wording": digest, **more}


def taken_back(purpose: str = "offers") -> JsonObject:
    return {"purpose": purpose, "given": False, "method": "settings"}


async def records(site: Site) -> list[ConsentContent]:
    found = await list_consents(site.services, site.project)
    return [one.content for one in found.items if one.content is not None]


async def say(site: Site, token: object, *words: JsonObject, **more: object) -> Any:
    return await site.ask("POST", "consents", token, json={"consents": list(words), **more})


# ---- what is asked


async def test_a_page_is_shown_every_purpose_in_the_language_that_fits(site: Site) -> None:
    digest = await offers(site)
    german, _ = await declare_wording(
        site.services, site.project, "offers", locale="de", version="1", text="Jeden Freitag, was billiger ist."
    )
    await declare_purpose(site.services, site.project, "orders", description="Where it is", basis="contract")
    answer = await site.client.get(f"{site.base}/purposes", params={"locale": "fr-CA"})
    assert answer.status_code == 200
    assert answer.json() == {
        "purposes": [
            {
                "name": "offers",
                "description": "Offers of the week",
                "basis": "consent",
                "wording": {
                    "digest": digest,
                    "locale": "en",
                    "version": "1",
                    "policy_version": "7",
                    "text": TEXT,
                },
            },
            {"name": "orders", "description": "Where it is", "basis": "contract", "wording": None},
        ]
    }
    for locale in ("de", "de-AT"):
        answer = await site.client.get(f"{site.base}/purposes", params={"locale": locale})
        assert answer.json()["purposes"][0]["wording"]["digest"] == german.digest.hex()
    assert (await site.client.get(f"{site.base}/purposes")).json()["purposes"][0]["wording"]["locale"] == "en"


async def test_a_wrong_question_about_purposes_is_refused(site: Site) -> None:
    for query in ({"locale": "no tag"}, {"locale": "x" * 36}, {"language": "de"}):
        answer = await site.client.get(f"{site.base}/purposes", params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


# ---- with a registration


async def test_what_is_said_with_a_registration_is_stored_with_it(site: Site) -> None:
    digest = await offers(site)
    word = agreed(digest, page="https://shop.example/basket?item=7#top")
    subscription = subscription_json()
    answer = await site.register(subscription, consents=[word], sequence=5)
    assert answer.status_code == 201
    assert answer.json()["consents"] == {"offers": True}
    (content,) = await records(site)
    assert answer.json()["since"] == {"offers": write_moment(content.at, precision="milliseconds")}
    assert content == ConsentContent(
        subscription=answer.json()["id"],
        contact=None,
        purpose="offers",
        given=True,
        method="prompt",
        wording=digest,
        wording_version="1",
        locale="en",
        policy_version="7",
        page="https://shop.example/basket",
        at=content.at,
    )
    again = await site.register(subscription, consents=[word], sequence=5)
    assert (again.status_code, again.json()["consents"]) == (200, {"offers": True})
    assert len(await records(site)) == 1


async def test_who_asks_for_nothing_is_told_nothing_of_it(site: Site) -> None:
    digest = await offers(site)
    first = await site.register(subscription_json(), consents=[agreed(digest)])
    assert "consents" not in (await site.register(subscription_json())).json()
    asked = await site.register(subscription_json(), consents=[], replaces=first.json()["sync_token"])
    assert asked.json()["consents"] == {"offers": True}


WRONG: dict[str, tuple[JsonObject, str]] = {
    "unknown purpose": ({"purpose": "news"}, "consents.purpose"),
    "unknown wording": ({"wording": "00" * 32}, "consents.wording"),
    "no wording": ({"wording": None}, "consents[0].wording"),
    "no digest": ({"wording": "offers"}, "consents[0].wording"),
    "no purpose's name": ({"purpose": "A b"}, "consents[0].purpose"),
    "a method of others": ({"method": "api"}, "consents[0].method"),
    "no flag": ({"given": "yes"}, "consents[0].given"),
    "no address": ({"page": "javascript:alert(1)"}, "consents[0].page"),
    "a long address": ({"page": "https://shop.example/" + "x" * 500}, "consents[0].page"),
    "something else": ({"at": 1}, "consents[0].at"),
}


async def test_what_is_wrong_is_said_and_nothing_is_stored(site: Site) -> None:
    digest = await offers(site)
    token = (await site.register(subscription_json())).json()["sync_token"]
    before = site.contents()
    for change, field in WRONG.values():
        word = {name: value for name, value in (agreed(digest) | change).items() if value is not None}
        for answer in (await site.register(subscription_json(), consents=[word]), await say(site, token, word)):
            assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert site.contents() == before


async def test_too_much_said_at_once_is_refused(site: Site) -> None:
    digest = await offers(site)
    for count in (2, 21):
        answer = await site.register(subscription_json(), consents=[agreed(digest)] * count)
        assert (answer.status_code, answer.json()["field"]) == (422, "consents")
    assert site.rows()["subscriptions"] == 0


async def test_twenty_long_words_with_everything_else_fit_into_a_body(site: Site) -> None:
    words = []
    for number in range(20):
        name = f"purpose-{number:032}"
        words.append(agreed(await offers(site, name), name, page="https://shop.example/" + "x" * 479))
    answer = await site.register(subscription_json(), consents=words, identity=await site.identity("a" * 200))
    assert (answer.status_code, len(answer.json()["consents"])) == (201, 20), answer.text


# ---- later


async def test_taking_it_back_and_agreeing_again(site: Site) -> None:
    digest = await offers(site)
    await offers(site, "orders", basis="contract")
    token = (await site.register(subscription_json(), consents=[agreed(digest)], sequence=1)).json()["sync_token"]
    answer = await say(site, token, taken_back(), sequence=2)
    assert (answer.status_code, answer.json()["consents"]) == (200, {"offers": False})
    later = answer.json()["since"]
    answer = await say(site, token, agreed(digest), taken_back("orders"), sequence=3)
    assert answer.json()["consents"] == {"offers": True, "orders": False}
    assert {name: since >= later["offers"] for name, since in answer.json()["since"].items()} == {
        "offers": True,
        "orders": True,
    }
    assert [(one.purpose, one.given, one.method) for one in await records(site)] == [
        ("offers", True, "prompt"),
        ("offers", False, "settings"),
        ("offers", True, "prompt"),
        ("orders", False, "settings"),
    ]
    await say(site, token, agreed(digest), sequence=4)
    assert len(await records(site)) == 4, "the same again while it holds"


async def test_an_older_word_that_comes_late_changes_nothing(site: Site) -> None:
    word, subscription = agreed(await offers(site)), subscription_json()
    token = (await site.register(subscription, consents=[word], sequence=1)).json()["sync_token"]
    await say(site, token, taken_back(), sequence=3)
    answer = await say(site, token, word, sequence=2)
    assert (answer.status_code, answer.json()["reason"], answer.json()["sequence"]) == (409, "stale", 3)
    answer = await site.register(subscription, consents=[word], sequence=2)
    assert (answer.status_code, answer.json()["reason"]) == (409, "stale")
    answer = await site.register(subscription, consents=[word], sequence=3)
    assert answer.json()["consents"] == {"offers": False}, "what was heard before is not heard again"
    assert [one.given for one in await records(site)] == [True, False]


async def test_a_word_by_an_old_token_counts_for_what_has_replaced_it_unless_it_is_late(site: Site) -> None:
    digest = await offers(site)
    old = (await site.register(subscription_json(), consents=[agreed(digest)], sequence=1)).json()["sync_token"]
    new = (await site.register(subscription_json(), replaces=old, sequence=3)).json()["sync_token"]
    answer = await say(site, old, agreed(digest), sequence=2)
    assert (answer.status_code, answer.json()["reason"]) == (409, "stale")
    assert (await say(site, new, taken_back(), sequence=5)).status_code == 200
    answer = await say(site, old, agreed(digest), sequence=4)
    assert (answer.status_code, answer.json()["reason"]) == (409, "stale"), "it was on its way for long"
    assert (await say(site, old, agreed(digest), sequence=6)).json()["consents"] == {"offers": True}
    assert (await say(site, old, taken_back(), sequence=7)).json()["consents"] == {"offers": False}
    own = (await site.ask("GET", "subscriptions", new)).json()["consents"]
    assert [one["given"] for one in own] == [False]


async def test_a_subscription_that_has_ended_hears_nothing(site: Site) -> None:
    digest = await offers(site)
    token = (await site.register(subscription_json(), consents=[agreed(digest)])).json()["sync_token"]
    assert (await site.ask("DELETE", "subscriptions", token)).status_code == 204
    assert [one.method for one in await records(site)] == ["prompt", "unsubscribed"]
    answer = await say(site, token, agreed(digest))
    assert (answer.status_code, answer.json()["reason"]) == (409, "ended")
    assert len(await records(site)) == 2


async def test_whoever_has_left_agrees_to_nothing_by_the_token_of_one_that_was_replaced(site: Site) -> None:
    digest = await offers(site)
    old = (await site.register(subscription_json(), consents=[agreed(digest)], sequence=5)).json()["sync_token"]
    new = (await site.register(subscription_json(), sequence=7, replaces=old)).json()["sync_token"]
    assert (await site.ask("DELETE", "subscriptions?sequence=9", new)).status_code == 204
    answer = await say(site, old, agreed(digest), sequence=10)
    assert (answer.status_code, answer.json()["reason"]) == (409, "ended")
    back = await site.register(subscription_json(), sequence=12, replaces=[new, old], consents=[])
    assert back.json()["consents"] == {"offers": False}, "who comes back has not agreed"


async def test_only_the_browser_speaks_for_itself(site: Site) -> None:
    digest = await offers(site)
    await site.register(subscription_json())
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer st_nonsense"}, site.auth):
        body = {"consents": [agreed(digest)]}
        answer = await site.client.post(f"{site.base}/consents", json=body, headers=headers)
        assert answer.status_code in (401, 403)
    assert await records(site) == []


# ---- who it counts for


async def test_what_one_said_in_a_shared_browser_is_not_the_next_ones_word(site: Site) -> None:
    digest = await offers(site)
    subscription = subscription_json()
    first = await site.register(
        subscription, consents=[agreed(digest)], identity=await site.identity("ann", issued_ago=20), sequence=1
    )
    assert first.json()["consents"] == {"offers": True}
    bob = await site.register(subscription, consents=[], identity=await site.identity("bob"), sequence=2)
    assert bob.json()["consents"] == {}
    (content,) = await records(site)
    assert content.contact == "ann"


# ---- what visitors are shown


async def test_visitors_are_shown_what_they_agreed_to_word_for_word(site: Site) -> None:
    digest = await offers(site)
    token = (await site.register(subscription_json(), consents=[agreed(digest)])).json()["sync_token"]
    (own,) = (await site.ask("GET", "subscriptions", token)).json()["consents"]
    (content,) = await records(site)
    assert own == {
        "purpose": "offers",
        "given": True,
        "at": own["at"],
        "method": "prompt",
        "wording": {"digest": digest, "locale": "en", "version": "1", "policy_version": "7", "text": TEXT},
    }
    assert own["at"].endswith("Z")
    await say(site, token, taken_back())
    (own,) = (await site.ask("GET", "subscriptions", token)).json()["consents"]
    assert (own["given"], own["method"], own["wording"]) == (False, "settings", None)
    assert content.page is None
