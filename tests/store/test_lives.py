"""The contract of subscriptions' lives on SQLite, and a signing key that turns out to be another one."""

from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import Connection, insert, select

from pushkeep.adapters.store import SqliteStore
from pushkeep.adapters.store.tables import signing_keys, subscriptions
from pushkeep.domain.consent import Basis, ConsentWord, Method
from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import By, Evidence
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, State
from pushkeep.ports.consents import Speaker
from pushkeep.protocol.verdict import Verdict
from tests.store.life_contract import (
    LifeContract,
    came_to,
    end,
    now_of,
    registered,
    told,
)
from tests.store.samples import NOW, new_project, subscription


@pytest.mark.parametrize("store", ["file", "memory", "inline"], indirect=True)
class TestLives(LifeContract):
    pass


def _second_key(connection: Connection) -> int:
    (first,) = connection.execute(select(signing_keys)).mappings().all()
    values = {name: value for name, value in first.items() if name != "id"} | {"key_id": "second", "state": "retiring"}
    return int(connection.execute(insert(signing_keys).returning(signing_keys.c.id), values).scalar_one())


@pytest.fixture
async def project(store: SqliteStore) -> Project:
    return await store.ensure_project(new_project())


@pytest.fixture
async def second(store: SqliteStore, project: Project) -> int:
    """Number of a second signing key of the project."""
    return await store.writer.run(_second_key)


@pytest.mark.parametrize("refused", [False, True])
async def test_a_key_that_is_found_is_written_back(
    store: SqliteStore, project: Project, second: int, refused: bool
) -> None:
    row = await registered(store, project, subscription())
    if refused:
        row = await came_to(store, project, row, Event.KEY_REFUSED)
    found = await came_to(
        store, project, row, Event.KEY_FOUND, now=NOW + 1, signing_key_id=second, verdict=Verdict.ACCEPTED
    )
    assert (found.state, found.signing_key_id, found.version) == (State.ACTIVE, second, row.version + 1)
    assert (found.last_accepted_at, found.last_verdict, found.state_reason) == (NOW + 1, "accepted", None)
    assert await store.living_by_signing_key(project) == {second: 1}
    last = (await store.lifecycle(project, row, limit=9))[-1].entry
    assert (last.event, last.before, last.after) == (Event.KEY_FOUND, row.state, State.ACTIVE)
    assert last.evidence == Evidence(By.PUSH_SERVICE, key="second", key_before=last.evidence.key_before)
    assert last.evidence.key_before not in (None, "second")
    again = await registered(store, project, subscription(), signing_key_id=second)
    assert again.id == row.id, "its browser finds it by the right key now"


async def test_a_key_that_is_the_one_believed_is_an_acceptance(store: SqliteStore, project: Project) -> None:
    row = await registered(store, project, subscription())
    found = await came_to(store, project, row, Event.KEY_FOUND, signing_key_id=row.signing_key_id)
    assert (found.version, found.last_accepted_at) == (row.version, NOW)


async def test_a_living_twin_with_the_right_key_takes_its_place(
    store: SqliteStore, project: Project, second: int
) -> None:
    wrong = await registered(store, project, subscription())
    right = await registered(store, project, subscription(), signing_key_id=second)
    ended = await came_to(store, project, wrong, Event.KEY_FOUND, signing_key_id=second)
    assert (ended.state, ended.superseded_by, ended.signing_key_id) == (
        State.SUPERSEDED,
        right.id,
        wrong.signing_key_id,
    )
    assert await now_of(store, project, right) == right
    last = (await store.lifecycle(project, wrong, limit=9))[-1].entry
    assert last.evidence == Evidence(By.PUSH_SERVICE, successor=right.public_id)


@pytest.mark.parametrize("forged", [False, True])
async def test_what_was_said_last_holds_for_the_twin(
    store: SqliteStore, project: Project, second: int, forged: bool
) -> None:
    """A browser agreed, withdrew under the wrong key's row, and would be told again when the rows become one."""
    await store.put_purpose(project, "news", description="", basis=Basis.CONSENT, now=NOW)
    own = subscription()
    wrong = await registered(store, project, dataclasses.replace(own, auth=bytes(16)) if forged else own)
    right = await registered(store, project, subscription(), signing_key_id=second)
    for row, given in ((right, True), (wrong, False)):
        words = [ConsentWord("news", given, Method.SETTINGS)]
        await store.say(project, Speaker(AnyId.parse(row.public_id)), words, sequence=None, now=NOW)
    await came_to(store, project, wrong, Event.KEY_FOUND, signing_key_id=second)
    (held,) = await store.held(project, Speaker(AnyId.parse(right.public_id)))
    assert held.given == forged


async def test_who_only_knows_an_endpoint_is_not_taken_for_its_browser(
    store: SqliteStore, project: Project, second: int
) -> None:
    known = dataclasses.replace(subscription(), auth=bytes(16))
    forged = await registered(store, project, known)
    right = await registered(store, project, subscription(), signing_key_id=second)
    ended = await came_to(store, project, forged, Event.KEY_FOUND, signing_key_id=second)
    assert (ended.state, ended.superseded_by) == (State.SUPERSEDED, None)
    assert await now_of(store, project, right) == right
    last = (await store.lifecycle(project, forged, limit=9))[-1].entry
    assert last.evidence == Evidence(By.PUSH_SERVICE)


async def test_a_dead_twin_with_the_right_key_gives_it_up(store: SqliteStore, project: Project, second: int) -> None:
    living = await registered(store, project, subscription())
    dead = await registered(store, project, subscription(), signing_key_id=second)
    dead = await end(store, project, dead, Event.LEFT)
    found = await came_to(store, project, living, Event.KEY_FOUND, signing_key_id=second)
    assert (found.state, found.signing_key_id) == (State.ACTIVE, second)
    other = await now_of(store, project, dead)
    assert (other.state, other.signing_key_id) == (State.UNSUBSCRIBED, living.signing_key_id)
    assert [event for event, _ in await told(store, project, other)] == [Event.REGISTERED, Event.LEFT]
    hashes = await store.writer.run(
        lambda connection: connection.execute(select(subscriptions.c.endpoint_hash)).scalars().all()
    )
    assert len(set(hashes)) == 1, "both are still found by their endpoint"
    assert (await registered(store, project, subscription(), signing_key_id=second)).id == living.id
