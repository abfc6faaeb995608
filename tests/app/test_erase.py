"""Erasing people: nothing of them is left in any file, others notice nothing, and what was cut off is finished."""

from __future__ import annotations

from pathlib import Path

from pushkeep.app.contacts import put_contact
from pushkeep.app.erase import erase_contact
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.shard import Kind
from pushkeep.ports.privacy import ErasedCounts
from tests.app.conftest import World, opened_world
from tests.store.nowhere import assert_nowhere, assert_unsealed_nowhere, places_of

ANNA, BERT = "anna-4711@example.org", "bert-0815@example.org"


async def test_nothing_of_an_erased_contact_is_in_any_file(filed_world: World, tmp_path: Path) -> None:
    world = filed_world
    first = await world.register("anna-on-her-phone", owner=ANNA)
    second = await world.register("anna-at-work", owner=ANNA)
    bert = await world.register("bert-at-home", owner=BERT)
    await put_contact(world.services, world.project, ANNA, ["only-annas-tag", "everybodys-tag"])
    await put_contact(world.services, world.project, BERT, ["everybodys-tag"])
    said = Content.of(title="Anna, your parcel 77123456 is here", body="It waits at the counter.")
    alone = await world.send(target=Target.to_contacts([ANNA]), content=said, idempotency_key="annas-parcel-77123456")
    both = await world.send(target=Target.to_tag("everybodys-tag"))
    values = [
        ANNA,
        "anna-on-her-phone",
        "anna-at-work",
        "only-annas-tag",
        "77123456 is here",
        "annas-parcel-77123456",
        first.public_id,
        second.public_id,
    ]
    assert list(places_of(tmp_path, [ANNA])), "it was there"

    counts = await erase_contact(world.services, world.project, ANNA)
    assert counts == ErasedCounts(contacts=1, subscriptions=2, notifications=1, outcomes=4, tags=1)
    await assert_unsealed_nowhere(world.store, [*values, "It waits at the counter."])
    await world.store.aclose()
    assert_nowhere(tmp_path, values)
    assert_nowhere(tmp_path, [first.short_id, second.short_id])
    assert list(places_of(tmp_path, [BERT]))
    async with opened_world(tmp_path / "pushkeep.db", world.clock) as later:
        assert [record.public_id for record in await later.records()] == [bert.public_id]
        kept = await later.store.find_notification(later.project, both.public_id)
        assert kept is not None
        outcomes = await later.store.outcomes(later.project, kept.id, kinds=None, limit=10, after=0)
        assert [outcome.kind for outcome in outcomes] == [Kind.ACCEPTED]
        assert alone.account.targeted == 2
