"""A person is given all that is kept of them, and nothing that is kept of anybody else."""

from __future__ import annotations

import pytest

from pushkeep.app.consents import declare_purpose, declare_wording
from pushkeep.app.contacts import put_contact
from pushkeep.app.erase import erase_contact
from pushkeep.app.export_contact import export_contact
from pushkeep.domain.consent import ConsentWord, Method, commitment
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.receipt import Receipt, ReceiptKind
from pushkeep.domain.shard import Kind
from pushkeep.errors import NotFound
from pushkeep.ports.consents import Speaker
from tests.app.conftest import World

ANNA, BERT = "anna-4711@example.org", "bert-0815@example.org"


async def say(world: World, id: str, wording: bytes) -> None:
    word = ConsentWord("news", True, Method.PROMPT, wording)
    await world.store.say(world.project, Speaker(AnyId(id, None)), [word], sequence=None, now=world.clock.now())


async def test_all_of_a_contact_and_nothing_of_others(world: World) -> None:
    await declare_purpose(world.services, world.project, "news", description="What is new", basis="consent")
    wording, _ = await declare_wording(
        world.services, world.project, "news", locale="de", version="1", policy_version="2026", text="Neues erfahren?"
    )
    shared = await world.register("shared", owner=BERT)
    await say(world, shared.public_id, wording.digest)
    await world.register("shared", owner=ANNA)
    await say(world, shared.public_id, wording.digest)
    phone = await world.register("phone", owner=ANNA)
    await put_contact(world.services, world.project, ANNA, ["customer"])
    sent = await world.send(target=Target.to_contacts([ANNA]), content=Content.of(title="Your parcel is here"))
    number = sent.outcomes[phone.short_id].subscription_id
    receipt = Receipt(sent.public_id, number, ReceiptKind.CLICKED, world.clock.now())
    await world.store.add_receipts(world.project, [receipt])
    await world.register("bert", owner=BERT)
    await world.send(target=Target.to_contacts([BERT]), content=Content.of(title="For Bert alone"))

    export = await export_contact(world.services, world.project, ANNA)
    assert export.contact.tags == ("customer",)
    assert [record.public_id for record, _ in export.subscriptions] == [shared.public_id, phone.public_id]
    assert all(story for _, story in export.subscriptions)
    (consent,) = export.consents
    assert consent.content is not None
    assert consent.salt is not None
    assert consent.content.contact == ANNA
    assert commitment(consent.salt, consent.content.canonical()) == consent.commitment, "they can check it themselves"
    assert [one.text for one in export.wordings] == ["Neues erfahren?"]
    (message,) = export.messages
    assert message.content is not None
    assert b"Your parcel is here" in message.content
    assert [outcome.kind for outcome in message.outcomes] == [Kind.ACCEPTED, Kind.ACCEPTED]
    assert [list(outcome.receipts) for outcome in message.outcomes] == [[], ["clicked"]]
    assert BERT not in repr(export)


async def test_nothing_is_given_of_who_is_erased_or_unknown(world: World) -> None:
    await world.register("anna", owner=ANNA)
    await erase_contact(world.services, world.project, ANNA)
    with pytest.raises(NotFound, match="no contact of this external_id"):
        await export_contact(world.services, world.project, ANNA)
