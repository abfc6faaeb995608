"""The chore that makes anew what retiring keys made: begun by anybody, gone on with by anybody, once at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pushkeep.app.chores import Chores, SweepPlan
from pushkeep.app.desk import LEASE_SECONDS, Shown
from pushkeep.app.duties import do_duty
from pushkeep.app.secrets import LOOK_AGAIN_SECONDS, RESEAL, Reseal, forget_tombstones, rotate_secret
from pushkeep.domain.consent import Basis, ConsentWord, Method
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Content
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.ports.consents import Speaker
from pushkeep.ports.secrets import SecretKind
from tests.app.conftest import World
from tests.store.nowhere import assert_unsealed_nowhere


async def result(world: World) -> dict[str, object] | None:
    chores = {chore.name: chore for chore in await world.store.chores(world.project)}
    kept = chores.get(RESEAL)
    if kept is None or kept.result is None:
        return None
    found: dict[str, object] = json.loads(kept.result)
    return found


async def filled(world: World) -> None:
    """Something sealed of every kind."""
    store, now = world.store, world.clock.now()
    await store.put_purpose(world.project, "news", description="News", basis=Basis.CONSENT, now=now)
    one = await world.register("one")
    word = ConsentWord("news", True, Method.SETTINGS)
    await store.say(world.project, Speaker(AnyId(one.public_id, None)), [word], sequence=None, now=now)
    await world.send(content=Content.of(title="Said before"))


async def test_every_kind_of_sealed_value_is_made_anew_and_nothing_of_the_old_key_stays(
    filed_world: World, tmp_path: Path
) -> None:
    world = filed_world
    await filled(world)
    old = next(key for key in (await world.store.secrets_status()).keys if key.kind is SecretKind.DATA)
    head = b"\x01" + bytes.fromhex(old.key_id)
    assert any(head in file.read_bytes() for file in tmp_path.iterdir())
    await rotate_secret(world.services, world.project, SecretKind.DATA)
    shown: list[tuple[str, int, int | None]] = []
    done = await do_duty(
        world.services, world.project, Reseal(), owner="one", early=True, show=lambda *step: shown.append(step)
    )
    assert done is not None
    assert (done["removed"], done["left"]) == ([old.key_id], 0)
    assert done["remade"] == 5, "subscription, project, signing key, notification, consent record"
    assert shown
    assert shown[-1][1] == shown[-1][2]
    assert await result(world) == done
    await assert_unsealed_nowhere(world.store, ["no such text"])  # which opens everything
    await world.store.aclose()
    for file in tmp_path.iterdir():
        assert head not in file.read_bytes(), file


async def test_it_goes_on_by_itself_soon_after_a_key_was_changed(world: World) -> None:
    await filled(world)
    chores = Chores(world.services, world.project, SweepPlan(), owner="one", duties=[Reseal()])
    await chores.look()
    assert await result(world) is None, "nothing is to be done"
    await rotate_secret(world.services, world.project, SecretKind.LOOKUP)
    await chores.look()
    done = await result(world)
    assert done is not None
    assert done["remade"] == 1
    assert not (await world.store.secrets_status()).retiring
    chores.close()


async def test_one_process_does_it_and_another_takes_over_when_that_died(world: World) -> None:
    await filled(world)
    await rotate_secret(world.services, world.project, SecretKind.DATA)
    taken = await world.store.take_chore(
        world.project, RESEAL, "dead", now=world.clock.now(), lease_seconds=LEASE_SECONDS
    )
    assert taken is not None
    assert await do_duty(world.services, world.project, Reseal(), owner="one") is None
    world.clock.time += LEASE_SECONDS + 1
    assert await do_duty(world.services, world.project, Reseal(), owner="one") is not None
    assert not (await world.store.secrets_status()).retiring


async def test_what_keeps_an_old_key_is_looked_at_again_every_day(world: World) -> None:
    one = await world.register("one")
    await world.store.end_subscription(
        world.project, AnyId(one.public_id, None), StateReason(Event.LEFT, world.clock.now())
    )
    await rotate_secret(world.services, world.project, SecretKind.LOOKUP)
    chores = Chores(world.services, world.project, SweepPlan(), owner="one", duties=[Reseal()])
    await chores.look()
    first = await result(world)
    assert first is not None
    assert first["left"] == 1
    assert await forget_tombstones(world.services, Shown()) == 1
    await chores.look()
    assert len((await world.store.secrets_status()).retiring) == 1, "not due"
    world.clock.time += LOOK_AGAIN_SECONDS + 1
    await chores.look()
    assert not (await world.store.secrets_status()).retiring
    chores.close()


@pytest.mark.parametrize("kind", [SecretKind.DATA, SecretKind.LOOKUP])
async def test_messages_go_out_while_a_key_changes(world: World, kind: SecretKind) -> None:
    for name in ("one", "two", "three"):
        await world.register(name)
    await rotate_secret(world.services, world.project, kind)
    await world.store.remake_page(limit=2)
    sent = await world.send(content=Content.of(title="Meanwhile"))
    assert sent.account.counts
    while (page := await world.store.remake_page(limit=2)).removed is None:
        assert page.kind is not None
    again = await world.send(content=Content.of(title="Later"))
    assert again.account.counts == sent.account.counts
