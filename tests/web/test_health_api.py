"""Health over the API: what it tells, what it releases, and that a sweep asked for does what its dry run said."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from pushkeep.app.chores import SWEEP
from tests.web.conftest import Site
from tests.web.subscriptions import subscription_json

PATHS = [
    ("GET", "/v1/subscriptions/HMV192av/lifecycle"),
    ("GET", "/v1/likely-dead"),
    ("POST", "/v1/subscriptions/HMV192av/release"),
    ("POST", "/v1/subscriptions/release"),
    ("GET", "/v1/sweeps"),
    ("POST", "/v1/sweeps"),
]


async def registered(site: Site, endpoint: str | None = None) -> str:
    """The id of a stored subscription, at Mozilla unless told otherwise."""
    answer = await site.register(subscription_json(endpoint))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def change(site: Site, statement: str) -> None:
    """Let something have happened to what is stored."""
    with closing(sqlite3.connect(site.settings.database)) as database, database:
        assert database.execute(statement).rowcount >= 1


async def get(site: Site, path: str, **query: str) -> Any:
    answer = await site.client.get(path, params=query, headers=site.auth)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_nobody_looks_without_a_key(site: Site, method: str, path: str) -> None:
    assert (await site.client.request(method, path, json={})).status_code == 401


async def test_a_story_is_told_in_sentences_and_as_data(site: Site) -> None:
    public_id = await registered(site)
    await site.client.put("/v1/contacts/alice", json={}, headers=site.auth)
    life = await get(site, f"/v1/subscriptions/{public_id}/lifecycle")
    assert life["subscription"]["id"] == public_id
    assert life["health"] == {
        "score": 100,
        "deductions": [],
        "likely_dead": False,
        "signs": [],
        "reasons": [],
    }
    (line,) = life["story"]
    assert line["words"].startswith("Registered by its browser at Mozilla (autopush)")
    (entry,) = life["entries"]
    assert (entry["event"], entry["before"], entry["after"], entry["evidence"]["by"]) == (
        "registered",
        None,
        "active",
        "browser",
    )
    assert life["standing"][0] == "It is active: messages are sent to it."
    answer = await site.client.get("/v1/subscriptions/HMV192av/lifecycle", headers=site.auth)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_likely_dead_come_by_page(site: Site) -> None:
    ids = [await registered(site) for _ in range(3)]
    assert await get(site, "/v1/likely-dead") == {"items": [], "next": None}
    change(site, "UPDATE subscriptions SET last_seen_at = 0")
    first = await get(site, "/v1/likely-dead", limit="2")
    assert [item["subscription"]["id"] for item in first["items"]] == ids[:2]
    assert first["items"][0]["health"]["signs"] == ["silent"]
    rest = await get(site, "/v1/likely-dead", limit="2", after=first["next"])
    assert [item["subscription"]["id"] for item in rest["items"]] == ids[2:]
    assert rest["next"] is None
    for query in ({"limit": "0"}, {"limit": "1001"}, {"after": "?"}, {"state": "gone"}):
        answer = await site.client.get("/v1/likely-dead", params=query, headers=site.auth)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input"), query


async def test_release_is_for_one_or_for_a_push_service(site: Site) -> None:
    public_id = await registered(site)
    await registered(site, "https://fcm.googleapis.com/fcm/send/token")
    change(site, "UPDATE subscriptions SET state = 'quarantined'")
    answer = await site.client.post(f"/v1/subscriptions/{public_id}/release", headers=site.auth)
    assert (answer.status_code, answer.json()["state"]) == (200, "active")
    left = await get(site, "/v1/subscriptions", state="quarantined")
    (item,) = left["items"]
    body = {"push_service": item["push_service"]}
    answer = await site.client.post("/v1/subscriptions/release", json=body, headers=site.auth)
    assert (answer.status_code, answer.json()) == (200, {"released": 1})
    for wrong in ({}, {"push_service": "here"}, {"push_service": 7}, {"origin": "https://x.example"}):
        answer = await site.client.post("/v1/subscriptions/release", json=wrong, headers=site.auth)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input"), wrong
        assert answer.json()["field"] in ("push_service", "origin"), wrong
        assert answer.json()["field"] in wrong or not wrong, "what was sent is named"


async def test_what_is_living_has_a_reason_and_no_end(site: Site) -> None:
    public_id = await registered(site)
    reason = '{"cause": "failed", "at": 1.0, "status": 500}'
    change(site, f"UPDATE subscriptions SET state = 'failing', state_reason = '{reason}'")
    life = await get(site, f"/v1/subscriptions/{public_id}/lifecycle")
    for shown in (await get(site, f"/v1/subscriptions/{public_id}"), life["subscription"]):
        assert (shown["state"], shown["reason"], shown["ended"]) == ("failing", "failed", None)


async def test_a_sweep_that_is_asked_for(site: Site) -> None:
    await registered(site)
    change(site, "UPDATE subscriptions SET state = 'failing', suspect_days = '1 2 3'")

    async def sweep(**body: object) -> Any:
        return await site.client.post("/v1/sweeps", json=body, headers=site.auth)

    promised = (await sweep(dry_run=True)).json()
    assert (promised["quarantined"], promised["dry_run"]) == (1, True)
    done = (await sweep()).json()
    assert {**done, "seconds": 0, "dry_run": True} == {**promised, "seconds": 0}
    chores = {item["name"]: item for item in (await get(site, "/v1/sweeps"))["items"]}
    assert chores[SWEEP]["result"]["quarantined"] == 1
    assert chores[SWEEP]["running"] is False
    assert chores[SWEEP]["due_at"] is not None
    services = site.services
    assert await services.store.take_chore(
        site.project, SWEEP, "another", now=services.clock.now(), lease_seconds=60.0, early=True
    )
    refused = await sweep()
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert (await sweep(scope="all")).status_code == 422


async def test_a_dry_run_says_what_is_known_of_the_audience(site: Site) -> None:
    for _ in range(3):
        await registered(site)
    change(site, "UPDATE subscriptions SET state = 'needs_renewal' WHERE id = 1")
    change(site, "UPDATE subscriptions SET state = 'quarantined', probe_at = 1 WHERE id = 2")
    answer = await site.notify(to={"all": True}, content={"title": "Hello"}, dry_run=True)
    found = answer.json()
    assert (found["targeted"], found["skipped"]) == (2, {"skipped_renewal": 1})
    health = found["health"]
    assert health.pop("note").startswith("Whether a browser is still there cannot be asked in silence")
    assert health == {
        "living": 3,
        "failing": 0,
        "quarantined": 1,
        "probes": 1,
        "needs_renewal": 1,
        "likely_dead": 1,
    }
