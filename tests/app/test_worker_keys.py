"""Subscriptions that were made with another signing key than is believed, and such that no key of ours opens."""

from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import Connection, text

from pushkeep.domain.action import Action
from pushkeep.domain.ids import AnyId
from pushkeep.domain.shard import Kind
from pushkeep.domain.subscription import Event, State
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.request import PushRequest
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.vapid import parse_authorization
from tests.app.conftest import World, answer

MISMATCH = answer(401, b"VAPID public key mismatch")


def public_of(request: PushRequest) -> bytes:
    return parse_authorization(dict(request.headers)["Authorization"])[1]


async def add_second_key(world: World) -> SigningKey:
    """A retiring key beside the active one, as a rotation leaves it."""
    key = SigningKey.generate()
    vault, project = world.store._vault, world.project

    def add(connection: Connection) -> None:
        sealed = vault.seal_secret(project.public_id, f"signing key {key.key_id}", key.to_pem().encode())
        connection.execute(
            text(
                "INSERT INTO signing_keys (project_id, key_id, public_key, private_key, state, created_at) "
                "VALUES (:project_id, :key_id, :public_key, :private_key, 'retiring', 0)"
            ),
            {
                "project_id": project.id,
                "key_id": key.key_id,
                "public_key": key.public_bytes,
                "private_key": sealed,
            },
        )

    await world.store.writer.run(add)
    return key


async def test_a_key_mismatch_is_tried_once_with_the_other_recorded_key(world: World) -> None:
    second = await add_second_key(world)
    times: list[float] = []

    async def note(_: PushRequest) -> None:
        times.append(world.clock.time)

    world.transport.before_answer = note
    await world.register()
    world.transport.script["one"] = [MISMATCH, answer(201)]
    sent = await world.send()
    assert sent.only.kind is Kind.ACCEPTED
    publics = [public_of(request) for request in world.transport.sent]
    assert publics == [b64_decode(world.key, field="key"), second.public_bytes]
    assert times[0] == times[1]


async def test_the_key_that_was_taken_is_written_back_and_used_from_then_on(world: World) -> None:
    second = await add_second_key(world)
    await world.register()
    (before,) = await world.records()
    world.transport.script["one"] = [MISMATCH, answer(201)]
    await world.send()
    (record,) = await world.records()
    keys = {key.id: key.key for key in await world.store.signing_keys(world.project)}
    assert keys[record.signing_key_id].public_bytes == second.public_bytes
    assert (record.state, record.version) == (State.ACTIVE, before.version + 1)
    assert record.last_accepted_at == world.clock.time
    story = await world.store.lifecycle(world.project, record, limit=10)
    assert [entry.entry.event for entry in story] == [Event.REGISTERED, Event.KEY_FOUND]
    world.transport.sent.clear()
    assert (await world.send()).only.kind is Kind.ACCEPTED
    assert [public_of(request) for request in world.transport.sent] == [second.public_bytes], "at the first attempt"


@pytest.mark.parametrize("others", [0, 1])
async def test_what_no_key_of_ours_opens_needs_renewal_and_is_not_sent_to(world: World, others: int) -> None:
    for _ in range(others):
        await add_second_key(world)
    registered = await world.register()
    world.transport.script["one"] = [MISMATCH]
    sent = await world.send()
    assert (sent.only.kind, sent.only.action) == (Kind.KEY_MISMATCH, Action.NEEDS_RENEWAL)
    assert len(world.transport.sent) == 1 + others, "each key was tried once"
    found = await world.store.find_subscription(world.project, AnyId.parse(registered.public_id))
    assert found is not None
    assert found.living, "its browser has to come back"
    assert found.state_reason is not None
    assert (found.state, found.state_reason.cause, found.state_reason.status) == (
        State.NEEDS_RENEWAL,
        Event.KEY_REFUSED,
        401,
    )
    world.clock.time += 86_400
    assert (await world.send()).only.kind is Kind.SKIPPED_RENEWAL
    assert len(world.transport.sent) == 1 + others


async def test_a_mismatch_is_never_an_end_however_often_it_is_said(world: World) -> None:
    """Each time a page calls by, it could be renewed; what is not sent to cannot be found out to have ended."""
    await world.register()
    world.transport.script["one"] = [MISMATCH]
    for _ in range(10):
        await world.send()
        world.clock.time += 3 * 86_400
    (record,) = await world.records()
    assert (record.state, record.suspect_days) == (State.NEEDS_RENEWAL, frozenset())


async def test_a_browser_stored_under_both_keys_is_one_again_once_the_right_one_is_found(world: World) -> None:
    """As an old backup leaves it: restored with the wrong key, then registered by its browser with the right one."""
    right = await add_second_key(world)

    async def truth(request: PushRequest) -> None:
        taken = public_of(request) == right.public_bytes
        world.transport.script["one"] = [answer(201) if taken else MISMATCH]

    world.transport.before_answer = truth
    await world.register()
    await dataclasses.replace(world, key=right.public_b64).register()
    sent = await world.send()
    assert sent.kinds == [Kind.ACCEPTED, Kind.ACCEPTED]
    believed, known = await world.records()
    assert (believed.state, believed.superseded_by) == (State.SUPERSEDED, known.id)
    assert (known.state, known.consecutive_failures) == (State.ACTIVE, 0)
    assert len((await world.send()).outcomes) == 1


async def test_one_that_needs_renewal_is_not_sent_to_though_a_message_for_it_waits(world: World) -> None:
    """What was accepted before, and is tried again after, is decided anew when its turn comes."""
    await world.register()
    world.transport.script["one"] = [answer(503), MISMATCH]
    waiting = await world.accept()
    await world.work()
    await world.send()
    assert (await world.finish(waiting)).only.kind is Kind.SKIPPED_RENEWAL
