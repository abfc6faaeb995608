"""What is over its time goes, figures and commitments stay, and what is young or under way is left alone."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import text

from pushkeep.app.chores import Chores, SweepPlan
from pushkeep.app.consent_audit import verify
from pushkeep.app.desk import Shown
from pushkeep.app.retention import PERIOD_SECONDS, RETENTION, Retention
from pushkeep.domain.consent import Basis, ConsentWord, Method
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Content
from pushkeep.domain.receipt import Receipt, ReceiptKind
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.ports.consents import Speaker
from pushkeep.ports.sweeps import PURGE_START
from tests.app.conftest import World
from tests.store.nowhere import assert_nowhere, assert_unsealed_nowhere

DAY = 86_400.0
ALL = Retention(notification_days=30, outcome_days=60, consent_days=90)


async def kept(world: World, retention: Retention = ALL) -> dict[str, object]:
    found = dict(await retention.do(world.services, world.project, Shown()))
    found.pop("seconds")
    return found


async def test_each_kind_goes_at_its_time(filed_world: World, tmp_path: Path) -> None:
    world = filed_world
    one = await world.register("one")
    sent = await world.send(content=Content.of(title="Said long ago"), idempotency_key="key-of-long-ago")
    number = sent.only.subscription_id
    receipt = Receipt(sent.public_id, number, ReceiptKind.DISPLAYED, world.clock.now())
    await world.store.add_receipts(world.project, [receipt])
    world.clock.time += 31 * DAY
    young = await world.send(content=Content.of(title="Said just now"))
    assert await kept(world) == {"notifications": 1, "outcomes": 0, "consents": 0}
    assert await world.store.content_of(world.project, sent.public_id) is None
    assert await world.store.content_of(world.project, young.public_id) is not None

    world.clock.time += 30 * DAY - 1
    assert await kept(world) == {"notifications": 0, "outcomes": 2, "consents": 0}, "outcome and receipt"
    record = await world.store.find_notification(world.project, sent.public_id)
    assert record is not None
    standing = await world.store.standing(world.project, sent.public_id)
    assert standing is not None
    assert standing.account.counts == sent.account.counts, "the figures stay"
    assert standing.receipts["displayed"] == 1
    await assert_unsealed_nowhere(world.store, ["Said long ago"])
    await world.store.aclose()
    assert_nowhere(tmp_path, ["key-of-long-ago"])
    assert one.public_id


async def test_a_scheduled_notification_is_never_old(world: World) -> None:
    await world.register("one")
    await world.accept(send_at=world.clock.now() + 200 * DAY)
    world.clock.time += 100 * DAY
    assert (await kept(world))["notifications"] == 0


async def test_zero_days_keep_for_ever(world: World) -> None:
    await world.register("one")
    await world.send()
    world.clock.time += 4000 * DAY
    assert await kept(world, Retention(0, 0, 0)) == {}


async def _say(world: World, public_id: str, given: bool) -> None:
    word = ConsentWord("news", given, Method.SETTINGS)
    await world.store.say(world.project, Speaker(AnyId(public_id, None)), [word], sequence=None, now=world.clock.now())


async def _contents(world: World) -> list[bool]:
    """Of each record, whether it still says something."""
    query = text("SELECT content IS NOT NULL FROM consents ORDER BY number")
    return [bool(row[0]) for row in await world.store.writer.run(lambda c: c.execute(query).all())]


async def test_a_consent_is_kept_while_something_rests_on_it_and_as_proof_for_a_while(world: World) -> None:
    await world.store.put_purpose(world.project, "news", description="News", basis=Basis.CONSENT, now=world.clock.now())
    one, other = await world.register("one"), await world.register("two")
    await _say(world, one.public_id, True)
    await _say(world, other.public_id, True)
    world.clock.time += 400 * DAY
    assert (await kept(world))["consents"] == 0, "both still hold"
    await _say(world, one.public_id, False)
    world.clock.time += 89 * DAY
    assert (await kept(world))["consents"] == 0
    world.clock.time += 2 * DAY
    assert (await kept(world))["consents"] == 2, "what was withdrawn, and the withdrawal"
    assert await _contents(world) == [False, True, False]


async def test_a_consent_is_over_with_its_subscription_once_that_is_forgotten(world: World) -> None:
    await world.store.put_purpose(world.project, "news", description="News", basis=Basis.CONSENT, now=world.clock.now())
    old = await world.register("old")
    await _say(world, old.public_id, True)
    world.clock.time += DAY
    new = await world.register("new", replaces=old.sync_token)
    await _forget(world)
    assert [record.public_id for record in await world.records()] == [new.public_id]
    world.clock.time += 4000 * DAY
    assert (await kept(world))["consents"] == 0, "it holds for the one that came after"
    reason = StateReason(Event.SAID_GONE, world.clock.now())
    await world.store.end_subscription(world.project, AnyId(new.public_id, None), reason)
    ended_at = world.clock.now()
    await _forget(world)
    assert await world.records() == []
    world.clock.time = ended_at + 90 * DAY
    assert (await kept(world))["consents"] == 0
    world.clock.time += 1
    assert (await kept(world))["consents"] == 1
    assert (await verify(world.store, world.project)).faults == ()


async def _forget(world: World) -> None:
    """Tombstones go, as in a sweep."""
    world.clock.time += DAY
    await world.store.purge_page(world.project, before=world.clock.now(), after=PURGE_START, limit=100)


async def test_it_is_a_chore_once_a_day(world: World) -> None:
    chores = Chores(world.services, world.project, SweepPlan(), owner="one", duties=[ALL])
    await world.register("one")
    await world.send()
    world.clock.time += 31 * DAY

    async def done() -> dict[str, object]:
        await chores.look()
        (chore,) = [chore for chore in await world.store.chores(world.project) if chore.name == RETENTION]
        assert chore.result is not None
        found: dict[str, object] = json.loads(chore.result)
        return found

    assert (await done())["notifications"] == 1
    await world.send()
    world.clock.time += PERIOD_SECONDS / 2
    assert (await done())["notifications"] == 1, "not due"
    world.clock.time += PERIOD_SECONDS / 2
    assert (await done())["notifications"] == 0
    chores.close()
