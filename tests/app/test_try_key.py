import pytest

from pushkeep.app.try_key import try_key
from pushkeep.app.visitor import unregister
from pushkeep.domain.shard import Kind
from pushkeep.domain.subscription import State
from pushkeep.errors import Conflict, NotFound, PayloadTooLarge
from pushkeep.protocol.answer import TransportFailure
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.vapid import parse_authorization
from pushkeep.protocol.verdict import Verdict
from tests.app.conftest import HELLO, OPTIONS, World, answer
from tests.app.test_worker_keys import add_second_key, public_of


async def test_a_foreign_key_is_tried_at_nobodys_cost(world: World) -> None:
    foreign = SigningKey.generate()
    registered = await world.register()
    world.transport.script["one"] = [answer(401, b"VAPID public key mismatch"), answer(410)]
    tried = await try_key(world.services, world.project, registered.short_id, foreign, HELLO, OPTIONS)
    _, public = parse_authorization(dict(world.transport.sent[0].headers)["Authorization"])
    assert public == foreign.public_bytes
    assert tried.outcome is not None
    assert (tried.outcome.verdict, tried.ended) == (Verdict.KEY_MISMATCH, False)
    assert (await world.records())[0].consecutive_failures == 0
    tried = await try_key(world.services, world.project, registered.short_id, foreign, HELLO, OPTIONS)
    assert tried.ended, "gone is gone, whoever asks"
    assert (await world.records())[0].state is State.GONE


async def test_who_has_left_is_not_sent_to(world: World) -> None:
    registered = await world.register()
    await unregister(world.services, world.project, registered.sync_token)
    tried = await try_key(world.services, world.project, registered.short_id, SigningKey.generate(), None, OPTIONS)
    assert (tried.outcome, tried.record.state) == (None, State.UNSUBSCRIBED)
    assert world.transport.sent == []


async def test_nothing_is_sent_to_nobody_or_too_much(world: World) -> None:
    registered = await world.register()
    with pytest.raises(NotFound):
        await try_key(world.services, world.project, "ZZZZZZZZ", SigningKey.generate(), None, OPTIONS)
    with pytest.raises(PayloadTooLarge):
        await try_key(world.services, world.project, registered.short_id, SigningKey.generate(), b"x" * 3994, OPTIONS)
    assert world.transport.sent == []


async def test_a_key_of_the_project_that_is_taken_is_the_one_it_was_made_with(world: World) -> None:
    registered = await world.register()
    world.transport.script["one"] = [answer(401, b"VAPID public key mismatch"), answer(201)]
    await world.send()
    assert (await world.records())[0].state is State.NEEDS_RENEWAL
    second = await add_second_key(world)
    tried = await try_key(world.services, world.project, registered.short_id, second, HELLO, OPTIONS)
    assert tried.outcome is not None
    assert tried.outcome.verdict is Verdict.ACCEPTED
    world.transport.sent.clear()
    assert (await world.send()).only.kind is Kind.ACCEPTED
    assert [public_of(request) for request in world.transport.sent] == [second.public_bytes]
    assert (await world.records())[0].state is State.ACTIVE


async def test_what_must_not_be_dialled_is_not_dialled_by_hand_either(world: World) -> None:
    registered = await world.register()
    world.transport.script["one"] = [TransportFailure("refused_address", "private")]
    await world.send()
    world.transport.sent.clear()
    with pytest.raises(Conflict, match="pushkeep subscriptions release"):
        await try_key(world.services, world.project, registered.short_id, SigningKey.generate(), HELLO, OPTIONS)
    assert world.transport.sent == []
