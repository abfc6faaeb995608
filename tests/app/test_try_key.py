import pytest

from pushkeep.app.try_key import try_key
from pushkeep.app.visitor import unregister
from pushkeep.domain.subscription import State
from pushkeep.errors import NotFound, PayloadTooLarge
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.vapid import parse_authorization
from pushkeep.protocol.verdict import Verdict
from tests.app.conftest import HELLO, OPTIONS, World, answer


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
