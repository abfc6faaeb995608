import dataclasses

import pytest

from pushkeep.app import health, visitor
from pushkeep.app.visitor import confirm, describe, unregister
from pushkeep.domain.registration import SEEN_WRITE_SECONDS
from pushkeep.domain.subscription import Event, State
from pushkeep.domain.sync_token import make_sync_token
from pushkeep.errors import Conflict, InvalidToken, NotFound
from tests.app.conftest import World

UNKNOWN_ID = "01939f6b-2f7c-7b6e-a2f3-5d1c8e0b9a47"


async def test_a_heartbeat_is_written_down_now_and_then(world: World) -> None:
    token = (await world.register()).sync_token
    (first,) = await world.records()
    world.clock.time += SEEN_WRITE_SECONDS - 1
    assert (await confirm(world.services, world.project, token)).record == first
    assert await world.records() == [first]
    world.clock.time += 1
    standing = await confirm(world.services, world.project, token)
    assert standing.record == dataclasses.replace(first, last_seen_at=world.clock.time)
    assert await world.records() == [standing.record]
    assert (standing.renew, standing.key.public_b64) == (False, world.key)


async def test_a_heartbeat_brings_back_nobody(world: World) -> None:
    token = (await world.register()).sync_token
    await unregister(world.services, world.project, token, event=Event.LOST)
    (ended,) = await world.records()
    world.clock.time += SEEN_WRITE_SECONDS
    standing = await confirm(world.services, world.project, token)
    assert (standing.record.state, standing.renew) == (State.GONE, True)
    assert await world.records() == [ended]


async def test_an_end_is_told_once_and_keeps_its_first_reason(world: World) -> None:
    token = (await world.register()).sync_token
    for event in (Event.LOST, Event.LEFT, Event.LOST):
        await unregister(world.services, world.project, token, event=event)
        world.clock.time += 1
    own = await describe(world.services, world.project, token)
    assert own.standing.record.state_reason is not None
    assert own.standing.record.state_reason.cause is Event.LOST
    assert len(own.story) == 2
    assert (own.health.score, own.health.likely_dead) == (0, False)


async def test_of_a_long_story_the_latest_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitor, "STORY_ENTRIES_MAX", 2)
    monkeypatch.setattr(health, "ENTRIES_TOLD_MAX", 2)
    registered = await world.register()
    for _ in range(3):
        await unregister(world.services, world.project, registered.sync_token)
        await world.register()
    await unregister(world.services, world.project, registered.sync_token)
    own = await describe(world.services, world.project, registered.sync_token)
    life = await health.life(world.services, world.project, registered.public_id)
    for story in (own.story, life.story):
        assert [told.words.split(";")[0] for told in story] == [
            "Registered. What happened until its log begins is not told.",
            "Its browser came back with it",
            "Its visitor unsubscribed.",
        ]


async def test_what_is_not_stored_can_be_ended_but_not_confirmed(world: World) -> None:
    secrets = await world.services.store.project_secrets(world.project)
    token = make_sync_token(secrets.sync, project_public_id=world.project.public_id, public_id=UNKNOWN_ID)
    await unregister(world.services, world.project, token)
    for ask in (confirm, describe):
        with pytest.raises(NotFound, match="register it again"):
            await ask(world.services, world.project, token)
    assert await world.records() == []


async def test_every_question_needs_the_token(world: World) -> None:
    token = (await world.register()).sync_token
    before = await world.records()
    world.clock.time += SEEN_WRITE_SECONDS
    for ask in (confirm, describe, unregister):
        with pytest.raises(InvalidToken) as caught:
            await ask(world.services, world.project, token[:-5] + "AAAAA")
        assert (caught.value.field, caught.value.reason) == ("sync_token", "bad_signature")
    assert await world.records() == before


async def test_older_words_change_nothing(world: World) -> None:
    token = (await world.register(sequence=7)).sync_token
    before = await world.records()
    for ask in (confirm, unregister):
        with pytest.raises(Conflict) as caught:
            await ask(world.services, world.project, token, sequence=6)
        assert (caught.value.reason, caught.value.details) == ("stale", {"sequence": 7})
    assert await world.records() == before
    assert (await confirm(world.services, world.project, token, sequence=8)).record.sync_sequence == 8


@pytest.mark.parametrize("event", [Event.LEFT, Event.LOST])
async def test_who_leaves_by_the_token_of_what_was_replaced_leaves_what_replaced_it(world: World, event: Event) -> None:
    """The answer to the last registration was lost, so the browser has only the token before it."""
    first = await world.register("first", sequence=5)
    second = await world.register("second", replaces=first.sync_token, sequence=6)
    await world.register("third", replaces=second.sync_token, sequence=8)
    before = await world.records()
    for late in (5, 7):
        with pytest.raises(Conflict) as caught:
            await unregister(world.services, world.project, first.sync_token, event=event, sequence=late)
        assert (caught.value.reason, caught.value.details) == ("stale", {"sequence": 8})
    await unregister(world.services, world.project, first.sync_token, event=event)
    assert await world.records() == before, "without a number it may be older than what came after it"
    for _ in range(2):
        await unregister(world.services, world.project, first.sync_token, event=event, sequence=9)
        assert [record.living for record in await world.records()] == [False, False, False]
    with pytest.raises(Conflict, match="nothing has changed"):
        await world.register("third", replaces=second.sync_token, sequence=8)
    assert (await world.register("fourth", replaces=first.sync_token, sequence=10)).standing.record.living
