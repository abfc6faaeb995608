"""The chore that seals consent records, and a verification while others write."""

from __future__ import annotations

import asyncio

import pytest

from pushkeep.app import consents
from pushkeep.app.consent_audit import export_lines, verify
from pushkeep.app.consents import (
    SEAL_SECONDS,
    SealConsents,
    anchor,
    declare_purpose,
    declare_wording,
    seal_waiting,
    speaker_of,
    what_to_ask,
)
from pushkeep.app.duties import do_duty
from pushkeep.app.remembered import REMEMBERED_SECONDS
from pushkeep.domain.consent_file import verify_file
from pushkeep.errors import InvalidInput
from pushkeep.ports.consents import Speaker
from tests.app.conftest import World
from tests.store.consent_contract import declare, no, yes
from tests.store.samples import registration, subscription


async def said(world: World, *contacts: str) -> None:
    now = world.clock.now()
    for contact in contacts:
        await world.store.say(world.project, Speaker(contact=contact), [yes()], sequence=None, now=now)


async def test_records_are_sealed_every_hour(world: World) -> None:
    await declare(world.store, world.project)
    duty = SealConsents()

    async def done() -> object:
        result = await do_duty(world.services, world.project, duty, owner="w")
        return None if result is None else (result["seals"], result["records"])

    assert await done() is None, "there is nothing to seal"
    await said(world, "ann")
    assert await done() == (1, 1)
    await said(world, "bob")
    assert await done() is None
    world.clock.time += SEAL_SECONDS
    assert await done() == (1, 2)
    (chore,) = await world.store.chores(world.project)
    standing = await world.store.chain_standing(world.project)
    assert standing.latest is not None
    assert anchor(standing.latest) in (chore.result or "")


async def test_a_whole_batch_is_sealed_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consents, "SEAL_RECORDS_MAX", 2)
    await declare(world.store, world.project)
    await said(world, "ann")
    assert await do_duty(world.services, world.project, SealConsents(), owner="w") is not None
    await said(world, "bob")
    assert await do_duty(world.services, world.project, SealConsents(), owner="w") is None
    await said(world, "cat")
    assert await do_duty(world.services, world.project, SealConsents(), owner="w") is not None


async def test_nothing_seems_wrong_while_others_write(world: World) -> None:
    await declare(world.store, world.project)

    async def write() -> None:
        now = world.clock.now()
        for number in range(40):
            asked = registration(subscription(f"s{number}"), owner=f"u{number % 7}", consents=(yes(),))
            stored = await world.store.register(world.project, asked)
            await world.store.say(world.project, Speaker(contact=f"u{number % 7}"), [no()], sequence=None, now=now)
            renewed = registration(subscription(f"r{number}"), replaces=stored.record.public_id)
            await world.store.register(world.project, renewed)
            if number % 10 == 0:
                await seal_waiting(world.services, world.project)

    writing = asyncio.create_task(write())
    while not writing.done():
        assert (await verify(world.store, world.project)).faults == ()
        lines = [line.encode() async for line in export_lines(world.store, world.project, now=world.clock.now())]
        assert verify_file(lines).faults == ()
    await writing
    assert (await verify(world.store, world.project)).records >= 40


def test_whose_word_it_is_must_be_said_once() -> None:
    assert speaker_of() is None
    assert speaker_of(contact="ann") == Speaker(contact="ann")
    with pytest.raises(InvalidInput, match="not both"):
        speaker_of(contact="ann", subscription="abcdefgh")
    with pytest.raises(ValueError, match="either a subscription's or a contact's"):
        Speaker()


async def test_what_pages_ask_with_is_read_once_in_a_while(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever knows the key in a page may ask as often as they like. What is declared here is shown at once."""
    reads = []
    wordings = world.store.wordings

    async def counted(*args: object) -> object:
        reads.append(args)
        return await wordings(*args)

    monkeypatch.setattr(world.store, "wordings", counted)
    asked = await asyncio.gather(*(what_to_ask(world.services, world.project, "en") for _ in range(20)))
    assert (asked, len(reads)) == ([()] * 20, 1)
    await declare_purpose(world.services, world.project, "news", description="News")
    ((one,),) = [await what_to_ask(world.services, world.project)]
    assert one.wording is None
    await declare_wording(world.services, world.project, "news", locale="en", version="1", text="Yes.")
    for locale in ("en", "de", None):
        ((one,),) = [await what_to_ask(world.services, world.project, locale)]
        assert one.wording is not None
        assert one.wording.text == "Yes."
    assert len(reads) == 3
    world.clock.time += REMEMBERED_SECONDS
    await what_to_ask(world.services, world.project)
    assert len(reads) == 4, "what another process has declared is seen a moment later"
