"""What a browser says of its subscription in the course of its life, over the browser routes."""

from __future__ import annotations

from typing import Any

import pytest

from pushkeep.app.projects import signing_keys
from pushkeep.app.rotate import retire_key, rotate_keys
from pushkeep.app.subscribe import find_subscription
from pushkeep.domain.subscription import Event, State, StateReason, SubscriptionRecord
from pushkeep.domain.sync_token import make_sync_token
from pushkeep.ports import ResultUpdate
from pushkeep.protocol.verdict import Verdict
from tests.web.conftest import Site
from tests.web.subscriptions import JsonObject, subscription_json


async def record_of(site: Site, receipt: JsonObject) -> SubscriptionRecord:
    return await find_subscription(site.services, site.project, str(receipt["id"]))


async def registered(site: Site, subscription: JsonObject | None = None, **more: object) -> Any:
    answer = await site.register(subscription or subscription_json(), **more)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def beat(site: Site, receipt: JsonObject, **body: object) -> Any:
    answer = await site.ask("POST", "heartbeat", receipt["sync_token"], json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def quarantine(site: Site, receipt: JsonObject, verdict: Verdict) -> None:
    record = await record_of(site, receipt)
    now = site.services.clock.now()
    reason = StateReason(Event.QUARANTINED, now, verdict=verdict.value)
    update = ResultUpdate(record.id, record.version, Event.QUARANTINED, reason, verdict=verdict, probe_at=None)
    await site.services.store.apply_results(site.project, [update], now=now)


async def rotated(site: Site) -> str:
    """Rotate the signing keys; the active key from then on."""
    await rotate_keys(site.services, site.project)
    active, *_ = await signing_keys(site.services, site.project)
    return active.key.public_b64


async def test_a_heartbeat_says_what_a_registration_said(site: Site) -> None:
    receipt = await registered(site, sequence=5)
    assert await beat(site, receipt, sequence=6) == {
        **{name: value for name, value in receipt.items() if name != "sync_token"},
        "sequence": 6,
    }
    assert (await beat(site, receipt))["sequence"] == 6


async def test_a_heartbeat_of_what_is_not_stored_is_not_found(site: Site) -> None:
    secrets = await site.services.store.project_secrets(site.project)
    token = make_sync_token(
        secrets.sync, project_public_id=site.project.public_id, public_id="01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47"
    )
    for answer in (
        await site.ask("POST", "heartbeat", token, json={}),
        await site.ask("GET", "subscriptions", token),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.json()["field"] == "sync_token", "by which the page tells it from a proxy's 404"
        assert "register it again" in answer.json()["detail"]
    assert (await site.ask("DELETE", "subscriptions", token)).status_code == 204, "it is as it is to be"


@pytest.mark.parametrize(("reason", "state"), [("left", "unsubscribed"), ("lost", "gone")])
async def test_an_end_has_its_reason(site: Site, reason: str, state: str) -> None:
    receipt = await registered(site)
    for _ in range(2):
        answer = await site.ask("DELETE", f"subscriptions?reason={reason}&sequence=9", receipt["sync_token"])
        assert (answer.status_code, answer.content) == (204, b"")
    record = await record_of(site, receipt)
    assert record.state_reason is not None
    assert (record.state, record.state_reason.cause, record.sync_sequence) == (state, reason, 9)
    after = await beat(site, receipt)
    assert (after["state"], after["renew"]) == (state, state == "gone"), "an ended one stays ended, and says so"


async def test_who_left_comes_back_and_who_is_gone_needs_a_new_one(site: Site) -> None:
    left, gone = subscription_json(), subscription_json()
    for subscription, reason in ((left, "left"), (gone, "lost")):
        token = (await registered(site, subscription))["sync_token"]
        await site.ask("DELETE", f"subscriptions?reason={reason}", token)
    back = await registered(site, left)
    assert (back["state"], back["renew"]) == ("active", False)
    still = await registered(site, gone)
    assert (still["state"], still["renew"]) == ("gone", True)
    fresh = await registered(site, subscription_json(), replaces=[still["sync_token"]])
    assert (fresh["state"], fresh["renew"]) == ("active", False)
    assert (await record_of(site, still)).superseded_by == (await record_of(site, fresh)).id


async def test_several_predecessors_end_at_once(site: Site) -> None:
    old = [await registered(site) for _ in range(8)]
    new = await registered(site, replaces=[one["sync_token"] for one in old])
    assert {(await record_of(site, one)).state for one in old} == {State.SUPERSEDED}
    assert (await record_of(site, new)).state is State.ACTIVE
    again = await beat(site, old[0])
    assert (again["state"], again["renew"]) == ("superseded", False)


async def test_during_a_rotation_the_old_key_is_taken_and_asks_to_be_renewed(site: Site) -> None:
    before, old_key = await registered(site), site.server_key
    new_key = await rotated(site)
    standing = await beat(site, before)
    assert (standing["state"], standing["renew"], standing["application_server_key"]) == ("active", True, new_key)
    late = await registered(site, application_server_key=old_key)
    assert (late["state"], late["renew"], late["application_server_key"]) == ("active", True, new_key), "an old page"
    moved = await registered(site, application_server_key=new_key, replaces=[before["sync_token"]])
    assert (moved["state"], moved["renew"]) == ("active", False)
    assert (await record_of(site, before)).state is State.SUPERSEDED


async def test_after_a_retirement_the_old_key_is_only_known_from_before(site: Site) -> None:
    subscription = subscription_json()
    before = await registered(site, subscription)
    new_key = await rotated(site)
    old = next(key for key in await site.services.store.list_keys(site.project) if key.public_b64 == site.server_key)
    await retire_key(site.services, site.project, old.key_id, force=True)
    again = await registered(site, subscription)
    assert (again["id"], again["state"], again["renew"]) == (before["id"], "needs_renewal", True)
    refused = await site.register(subscription_json())
    assert (refused.status_code, refused.json()["reason"]) == (409, "foreign_key")
    assert refused.json()["application_server_key"] == new_key
    assert (await site.ask("DELETE", "subscriptions", before["sync_token"])).status_code == 204
    ended = await site.register(subscription)
    assert (ended.status_code, ended.json()["reason"]) == (409, "foreign_key"), "nothing new is begun with it"


@pytest.mark.parametrize(("verdict", "renew"), [(Verdict.SUSPECT, True), (Verdict.REFUSED_ENDPOINT, False)])
async def test_in_quarantine_a_new_one_is_asked_for_where_it_may_help(
    site: Site, verdict: Verdict, renew: bool
) -> None:
    subscription = subscription_json()
    receipt = await registered(site, subscription)
    await quarantine(site, receipt, verdict)
    for standing in (await beat(site, receipt), await registered(site, subscription)):
        assert (standing["state"], standing["renew"]) == ("quarantined", renew)


async def test_logging_in_moves_and_logging_out_detaches(site: Site) -> None:
    subscription = subscription_json()
    owned = [(await registered(site, subscription))["owned"]]
    for body in (
        {"identity": await site.identity("ann")},
        {},
        {"identity": await site.identity("bob")},
        {"detach": True},
        {"detach": True},
        {"identity": await site.identity("ann")},
    ):
        receipt = await registered(site, subscription, **body)
        owned.append(receipt["owned"])
    assert owned == [False, True, True, True, False, False, True]
    story = (await site.ask("GET", "subscriptions", receipt["sync_token"])).json()["story"]
    assert len(story) == 5, "what changed nothing is no part of it"
    assert not [line for line in story if "ann" in line["words"] or "bob" in line["words"]]


async def test_an_owner_is_inherited_by_a_replacement(site: Site) -> None:
    old = await registered(site, identity=await site.identity("ann"))
    new = await registered(site, replaces=old["sync_token"])
    assert new["owned"]
    assert (await record_of(site, new)).contact_external_id == "ann"
    out = await registered(site, replaces=new["sync_token"], detach=True)
    assert not out["owned"]
    assert (await record_of(site, out)).contact_external_id is None


async def test_a_visitor_reads_the_story_of_the_own_subscription(site: Site) -> None:
    old = await registered(site)
    receipt = await registered(site, replaces=old["sync_token"])
    await quarantine(site, receipt, Verdict.SUSPECT)
    answer = await site.ask("GET", "subscriptions", receipt["sync_token"])
    assert answer.headers["cache-control"] == "no-store"
    own = answer.json()
    assert set(own) == {
        "id",
        "short_id",
        "state",
        "reason",
        "created_at",
        "last_seen_at",
        "last_accepted_at",
        "last_displayed_at",
        "renew",
        "health",
        "consents",
        "story",
    }
    assert (own["id"], own["state"], own["reason"], own["renew"]) == (
        receipt["id"],
        "quarantined",
        "quarantined",
        True,
    )
    assert (own["health"]["score"] < 100, own["health"]["likely_dead"]) == (True, True)
    assert own["health"]["reasons"]
    assert len(own["story"]) == 2
    assert all(set(line) == {"at", "words"} for line in own["story"])


async def test_words_that_were_long_on_their_way_do_not_undo_later_ones(site: Site) -> None:
    subscription = subscription_json()
    receipt = await registered(site, subscription, sequence=10)
    await site.ask("DELETE", "subscriptions?sequence=20", receipt["sync_token"])
    late = await site.register(subscription, sequence=10)
    assert (late.status_code, late.json()["reason"], late.json()["sequence"]) == (409, "stale", 20)
    assert (await record_of(site, receipt)).state is State.UNSUBSCRIBED
    assert (await registered(site, subscription, sequence=21))["state"] == "active"
    late = await site.ask("DELETE", "subscriptions?sequence=20", receipt["sync_token"])
    assert (late.status_code, late.json()["reason"], late.json()["sequence"]) == (409, "stale", 21)
    assert (await record_of(site, receipt)).state is State.ACTIVE
