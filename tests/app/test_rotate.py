"""A rotation as messages and operators meet it: nobody is lost, progress shows, a leak is told to the browsers."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from pushkeep.app.key_progress import KeyProgress, key_progress
from pushkeep.app.payloads import RENEW_MEMBER
from pushkeep.app.projects import current_signing_key
from pushkeep.app.rotate import (
    GIVE_UP_PAGE,
    Rotated,
    find_key,
    mark_leaked,
    only_key,
    prepare_key,
    retire_key,
    rotate_keys,
)
from pushkeep.app.worker import WorkerLimits
from pushkeep.domain import event as facts
from pushkeep.domain.ids import AnyId
from pushkeep.domain.key_forecast import FORECAST_DAYS_MIN
from pushkeep.domain.pacing import LaneLimits
from pushkeep.domain.project import KeyState
from pushkeep.domain.shard import CHECKPOINT_SECONDS, Kind
from pushkeep.domain.signing_keys import KeyEvent
from pushkeep.domain.situation import DAY_SECONDS
from pushkeep.domain.subscription import Event, State, StateReason, SubscriptionRecord
from pushkeep.errors import Conflict, InvalidInput, NotFound
from pushkeep.protocol.ece import open_sealed
from pushkeep.protocol.request import PushRequest
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.sizes import plaintext_bytes_max
from pushkeep.protocol.vendors import VENDORS
from tests.app.conftest import World
from tests.store.doubles import SeededEntropy
from tests.store.samples import registration, subscription

BROWSER = SeededEntropy(10).ephemeral_key()


def signed_with(request: PushRequest) -> str:
    """The public key in a request's token."""
    return (
        dict(request.headers)["Authorization"].partition(" k=")[2]
        or dict(request.headers)["Authorization"].split("k=")[-1].split(",")[0]
    )


def payload_of(request: PushRequest) -> bytes:
    return open_sealed(request.body, ua_private=BROWSER, auth=b"a" * 16)


async def came(world: World, name: str) -> SubscriptionRecord:
    """A browser comes for the first time and subscribes with the key it is given."""
    (active, *_) = await world.store.signing_keys(world.project)
    assert active.key.public_b64 == world.key
    made = registration(subscription(name), active.id, now=world.clock.now())
    return (await world.store.register(world.project, made)).record


async def rotated(world: World, *, leaked: bool = False) -> tuple[World, Rotated]:
    """A world whose pages subscribe with the new key."""
    done = await rotate_keys(world.services, world.project, leaked=leaked)
    return dataclasses.replace(world, key=done.active.public_b64), done


async def move(world: World, name: str, old_public_id: str, key: int) -> None:
    """A browser comes by, subscribes with the new key, and says what that replaces."""
    made = registration(subscription(name), key, replaces=old_public_id, now=world.clock.now())
    await world.store.register(world.project, made)


async def progress_of(world: World, state: KeyState) -> KeyProgress:
    found = await key_progress(world.store, world.project, now=world.clock.now())
    (one,) = [progress for progress in found if progress.key.state is state]
    return one


async def test_before_during_and_after_a_rotation_everybody_is_sent_to_with_the_key_they_know(world: World) -> None:
    old = world.key
    moving = await came(world, "moving")
    await came(world, "staying")
    assert (await world.send()).kinds == [Kind.ACCEPTED] * 2
    after, done = await rotated(world)
    await came(after, "new")
    world.transport.sent.clear()
    assert (await after.send()).kinds == [Kind.ACCEPTED] * 3
    assert {request.endpoint.url.rsplit("/", 1)[1]: signed_with(request) for request in world.transport.sent} == {
        "moving": old,
        "staying": old,
        "new": after.key,
    }
    await move(after, "moved", moving.public_id, done.active.id)
    world.transport.sent.clear()
    assert (await after.send()).kinds == [Kind.ACCEPTED] * 3
    assert {request.endpoint.url.rsplit("/", 1)[1]: signed_with(request) for request in world.transport.sent} == {
        "moved": after.key,
        "staying": old,
        "new": after.key,
    }


async def test_a_worker_that_knows_the_old_keys_sends_to_who_came_with_the_new_one(world: World) -> None:
    """The worker read the keys a moment ago; nothing is skipped as of a retired key because of that."""
    await came(world, "old")
    worker = world.worker()
    running = asyncio.create_task(worker.run())
    await world.accept()
    await worker.wait_idle()
    after, _ = await rotated(world)  # no time has passed on the worker's clock
    new = await came(after, "new")
    accepted = await after.accept(new.public_id, worker=worker)
    await worker.wait_idle()
    worker.stop()
    await running
    assert (await after.sent(accepted)).kinds == [Kind.ACCEPTED]


async def test_a_key_that_is_asked_for_is_the_new_one_at_once(world: World) -> None:
    assert (await current_signing_key(world.services, world.project)).public_b64 == world.key
    after, _ = await rotated(world)
    assert (await current_signing_key(world.services, world.project)).public_b64 == after.key != world.key


async def test_who_names_the_active_key_rotates_once_however_often(world: World) -> None:
    active = await find_key(world.services, world.project, world.key)
    await rotate_keys(world.services, world.project, active=active.key_id)
    with pytest.raises(Conflict) as caught:
        await rotate_keys(world.services, world.project, active=active.key_id)
    assert caught.value.reason == "rotated"
    with pytest.raises(NotFound):
        await rotate_keys(world.services, world.project, active="unknown-key1")


async def test_a_key_of_another_server_can_be_brought_along(world: World) -> None:
    """Who moves here with its subscribers has a key already."""
    brought = SigningKey.generate()
    prepared = await prepare_key(world.services, world.project, brought)
    assert prepared.public_bytes == brought.public_bytes
    after, _ = await rotated(world)
    assert after.key == brought.public_b64


@pytest.mark.parametrize("name", ["", "x" * 88, None, 7])
async def test_what_is_no_name_of_a_key_is_refused(world: World, name: object) -> None:
    with pytest.raises(InvalidInput):
        await find_key(world.services, world.project, name)


async def test_the_one_key_of_a_state_is_found_or_one_is_to_be_named(world: World) -> None:
    with pytest.raises(NotFound, match="No signing key is retiring"):
        await only_key(world.services, world.project, KeyState.RETIRING)
    after, done = await rotated(world)
    assert (await only_key(world.services, world.project, KeyState.RETIRING)).id == done.retiring.id
    _, second = await rotated(after)
    with pytest.raises(Conflict, match=second.retiring.key_id):
        await only_key(world.services, world.project, KeyState.RETIRING)


async def test_browsers_of_a_leaked_key_are_told_to_renew_and_others_are_not(world: World) -> None:
    await came(world, "leaked")
    after, done = await rotated(world, leaked=True)
    await came(after, "safe")
    await after.send()
    hints = {
        request.endpoint.url.rsplit("/", 1)[1]: json.loads(payload_of(request))["pushkeep"].get("renew")
        for request in world.transport.sent
    }
    assert hints == {"leaked": True, "safe": None}
    assert done.retiring.leaked_at == world.clock.now()


async def test_a_leak_found_out_after_the_rotation_is_told_as_well(world: World) -> None:
    await came(world, "one")
    after, done = await rotated(world)
    await after.send()
    assert (await mark_leaked(world.services, world.project, done.retiring.key_id)).leaked_at is not None
    world.clock.time += 10
    await after.send()
    before, later = (RENEW_MEMBER in payload_of(request) for request in world.transport.sent)
    assert (before, later) == (False, True)


async def test_a_message_that_has_no_room_for_the_hint_goes_without_it(world: World) -> None:
    await came(world, "one")
    after, _ = await rotated(world, leaked=True)
    whole = plaintext_bytes_max(VENDORS["mozilla"])
    raw = b"x" * whole
    assert (await after.send(content=raw)).kinds == [Kind.ACCEPTED]
    assert payload_of(world.transport.sent[-1]) == raw


async def test_nobody_is_lost_unless_forced_and_who_is_given_up_is_skipped_until_renewed(world: World) -> None:
    one = await came(world, "one")
    after, done = await rotated(world)
    with pytest.raises(Conflict, match="1 living"):
        await retire_key(world.services, world.project, done.retiring.key_id)
    assert (await after.send()).kinds == [Kind.ACCEPTED]
    told: list[int] = []
    retired = await retire_key(world.services, world.project, done.retiring.public_b64, force=True, told=told.append)
    assert (retired.key.state, retired.given_up, told) == (KeyState.RETIRED, 1, [1])
    world.clock.time += 10
    sent = await after.send()
    assert (sent.account.counts, len(world.transport.sent)) == ({Kind.SKIPPED_RENEWAL: 1}, 1)
    await move(after, "renewed", one.public_id, done.active.id)
    assert (await after.send()).kinds == [Kind.ACCEPTED]


async def test_what_happens_to_a_key_is_announced_once(world: World) -> None:
    heard: list[facts.Event] = []
    world.services.announcer.listen(heard.append)
    await came(world, "old")
    old = (await find_key(world.services, world.project, world.key)).key_id
    after, done = await rotated(world)
    for _ in range(2):
        await mark_leaked(after.services, after.project, old)
    with pytest.raises(Conflict, match="1 living"):
        await retire_key(after.services, after.project, old)
    for _ in range(2):
        await retire_key(after.services, after.project, old, force=True)
    assert [one for one in heard if isinstance(one, facts.SigningKeyMoved)] == [
        facts.SigningKeyMoved(old, KeyEvent.REPLACED),
        facts.SigningKeyMoved(done.active.key_id, KeyEvent.ACTIVATED),
        facts.SigningKeyMoved(old, KeyEvent.LEAKED),
        facts.SigningKeyMoved(old, KeyEvent.RETIRED, 1),
    ]


async def test_a_retirement_cut_short_sends_nothing_with_the_key_and_can_be_asked_for_again(world: World) -> None:
    await came(world, "one")
    after, done = await rotated(world)

    class Cut(Exception):
        pass

    def cut(_: int) -> None:
        raise Cut

    for number in range(GIVE_UP_PAGE):
        await world.store.register(
            world.project, registration(subscription(f"more-{number}"), done.retiring.id, now=world.clock.now())
        )
    with pytest.raises(Cut):
        await retire_key(world.services, world.project, done.retiring.key_id, force=True, told=cut)
    left = [record for record in await world.records() if record.state is State.ACTIVE]
    assert len(left) == 1
    world.clock.time += 10
    assert (await after.send(left[0].public_id)).kinds == [Kind.SKIPPED_KEY]
    retired = await retire_key(world.services, world.project, done.retiring.key_id)
    assert retired.given_up == 1
    assert {record.state for record in await world.records()} == {State.NEEDS_RENEWAL}


async def test_a_key_retired_while_messages_wait_for_it_costs_only_these(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Members are loaded and not started yet when their key is retired, and the next load reads the keys again."""
    for number in range(250):
        await came(world, f"one-{number}")
    after, done = await rotated(world)
    await came(after, "safe")

    async def retire(_: PushRequest) -> None:
        world.transport.before_answer = None
        await world.store.retire_key(world.project, done.retiring.id, force=True, now=world.clock.now())
        world.clock.time += CHECKPOINT_SECONDS * 0.6  # the keys are read again; what is loaded still may start

    world.transport.before_answer = retire
    few = LaneLimits(window_start=4, window_max=4)  # so that most of what is loaded waits
    sent = await after.send(limits=WorkerLimits(lanes=few))
    assert set(sent.account.counts) == {Kind.ACCEPTED, Kind.SKIPPED_KEY}
    assert sent.account.counts[Kind.ACCEPTED] == len(world.transport.sent)
    assert "safe" in world.transport.names()
    assert not [record for record in caplog.records if record.levelname == "ERROR"], "it is nobody's fault"


async def test_progress_counts_who_moved_who_ended_and_who_is_left_day_by_day(world: World) -> None:
    stored = [await came(world, f"old-{number}") for number in range(40)]
    before = await progress_of(world, KeyState.ACTIVE)
    assert (before.usage.bound, before.moved, before.days, before.forecast) == (40, 0, (), None)
    world.clock.time += DAY_SECONDS / 2
    after, done = await rotated(world)
    first = await progress_of(world, KeyState.RETIRING)
    assert (first.share, first.forecast) == (0.0, None)
    leaving = iter(stored)
    for count in (3, 8, 6, 4, 3, 2):
        for _ in range(count):
            one = next(leaving)
            await move(after, f"new-{one.short_id}", one.public_id, done.active.id)
        world.clock.time += DAY_SECONDS
    one = next(leaving)
    left = StateReason(Event.LEFT, world.clock.now())
    await world.store.end_subscription(world.project, AnyId(one.public_id, None), left)
    found = await progress_of(world, KeyState.RETIRING)
    assert (found.moved, found.ended, found.usage.bound) == (26, 1, 13)
    assert found.share == pytest.approx(27 / 40)
    assert [(day.moved, day.ended) for day in found.days] == [(3, 0), (8, 0), (6, 0), (4, 0), (3, 0), (2, 0), (0, 1)]
    assert found.forecast is not None
    assert len(found.days) - 2 >= FORECAST_DAYS_MIN
    assert found.forecast.expected + found.forecast.left_over == 13
    assert found.forecast.settled_at is not None
    assert found.forecast.settled_at > world.clock.now()
    others = await progress_of(world, KeyState.ACTIVE)
    assert (others.usage.bound, others.share) == (26, None)
