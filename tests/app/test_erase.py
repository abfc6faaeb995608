"""Erasing people: nothing of them is left in any file, others notice nothing, and what was cut off is finished."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pushkeep.adapters.store import SqliteStore
from pushkeep.app import erase
from pushkeep.app.chores import Chores, SweepPlan
from pushkeep.app.consent_audit import verify
from pushkeep.app.consents import seal_waiting
from pushkeep.app.contacts import put_contact
from pushkeep.app.erase import (
    ERASURES,
    FINISH_SECONDS,
    FinishErasures,
    erase_contact,
    erase_subscription,
    erasure_standing,
    replay_erasures,
)
from pushkeep.app.subscribe import Registered
from pushkeep.domain.consent import Basis, ConsentWord, Method
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.receipt import Receipt, ReceiptKind
from pushkeep.domain.sending import NotificationState
from pushkeep.domain.shard import Kind
from pushkeep.errors import Conflict, Unavailable
from pushkeep.ports.consents import Speaker
from pushkeep.ports.privacy import ErasedCounts, ErasedPage
from pushkeep.protocol.request import PushRequest
from tests.app.conftest import World, opened_world
from tests.processes.helpers import until
from tests.store.nowhere import assert_nowhere, assert_unsealed_nowhere, places_of

ANNA, BERT = "anna-4711@example.org", "bert-0815@example.org"
SAID = Content.of(title="Anna, your parcel 77123456 is here", body="It waits at the counter.")


async def agree(
    world: World, id: str, *, given: bool = True, page: str = "https://shop.example.com/annas-page"
) -> None:
    word = ConsentWord("news", given, Method.SETTINGS, page=page)
    speaker = Speaker(AnyId(id, None))
    await world.store.say(world.project, speaker, [word], sequence=None, now=world.clock.now())


async def declare(world: World) -> None:
    await world.store.put_purpose(world.project, "news", description="News", basis=Basis.CONSENT, now=world.clock.now())


async def rows(world: World, query: str) -> list[Any]:
    return [tuple(row) for row in await world.store.writer.run(lambda c: c.execute(text(query)).all())]


async def test_nothing_of_an_erased_contact_is_in_any_file(filed_world: World, tmp_path: Path) -> None:
    world = filed_world
    await declare(world)
    first = await world.register("anna-on-her-phone", owner=ANNA)
    second = await world.register("anna-at-work", owner=ANNA)
    bert = await world.register("bert-at-home", owner=BERT)
    await agree(world, first.public_id)
    await agree(world, bert.public_id, page="https://shop.example.com/")
    await put_contact(world.services, world.project, ANNA, ["only-annas-tag", "everybodys-tag"])
    await put_contact(world.services, world.project, BERT, ["everybodys-tag"])
    alone = await world.send(target=Target.to_contacts([ANNA]), content=SAID, idempotency_key="annas-parcel-77123456")
    both = await world.send(target=Target.to_tag("everybodys-tag"))
    number = alone.outcomes[first.short_id].subscription_id
    receipt = Receipt(alone.public_id, number, ReceiptKind.CLICKED, world.clock.now())
    await world.store.add_receipts(world.project, [receipt])
    values = [
        ANNA,
        "anna-on-her-phone",
        "anna-at-work",
        "only-annas-tag",
        "77123456 is here",
        "annas-parcel-77123456",
        "/annas-page",
        first.public_id,
        second.public_id,
        first.short_id,
        second.short_id,
    ]
    assert list(places_of(tmp_path, [ANNA])), "it was there"

    counts = await erase_contact(world.services, world.project, ANNA)
    assert counts == ErasedCounts(
        contacts=1, subscriptions=2, consents=1, notifications=1, outcomes=4, receipts=1, tags=1
    )
    await assert_unsealed_nowhere(world.store, [*values, "It waits at the counter."])
    await world.store.aclose()
    assert_nowhere(tmp_path, values)
    assert list(places_of(tmp_path, [BERT]))
    async with opened_world(tmp_path / "pushkeep.db", world.clock) as later:
        assert [record.public_id for record in await later.records()] == [bert.public_id]
        kept = await later.store.find_notification(later.project, both.public_id)
        assert kept is not None
        outcomes = await later.store.outcomes(later.project, kept.id, kinds=None, limit=10, after=0)
        assert [outcome.kind for outcome in outcomes] == [Kind.ACCEPTED]
        for sent in (alone, both):
            standing = await later.store.standing(later.project, sent.public_id)
            assert standing is not None
            assert standing.account == sent.account, "figures stay"


async def test_the_wal_forgets_while_the_server_runs_on(filed_world: World, tmp_path: Path) -> None:
    world = filed_world
    await world.register("anna-on-her-phone", owner=ANNA)
    await erase_contact(world.services, world.project, ANNA)
    await until(lambda: not list(places_of(tmp_path, [ANNA])))  # the writer empties it once it was idle for a second


async def test_a_command_beside_a_server_that_reads_leaves_nothing_in_the_wal(
    filed_world: World, tmp_path: Path
) -> None:
    server = filed_world
    await server.register("anna-on-her-phone", owner=ANNA)
    reading = sqlite3.connect(tmp_path / "pushkeep.db", isolation_level=None)
    async with opened_world(tmp_path / "pushkeep.db", server.clock) as command:
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM contacts").fetchone()
        await erase_contact(command.services, command.project, ANNA)
        # A page of a long list, that ends while the command is about to.
        asyncio.get_running_loop().call_later(0.2, reading.close)
    assert_nowhere(tmp_path, [ANNA, "anna-on-her-phone"])


async def test_others_keep_what_they_had(world: World) -> None:
    await declare(world)
    anna, bert = await world.register("anna", owner=ANNA), await world.register("bert", owner=BERT)
    await agree(world, bert.public_id)
    to_both = await world.send(target=Target.to_contacts([ANNA, BERT]), content=SAID)
    to_all = await world.send(content=SAID)
    before = await rows(world, f"SELECT * FROM subscriptions WHERE short_id = '{bert.short_id}'")
    await erase_contact(world.services, world.project, ANNA)
    assert await rows(world, "SELECT * FROM subscriptions") == before
    assert await rows(world, "SELECT count(*) FROM consents WHERE content IS NOT NULL") == [(1,)]
    assert await rows(world, "SELECT count(*) FROM consent_states") == [(1,)]
    for sent in (to_both, to_all):
        assert await world.store.content_of(world.project, sent.public_id) is not None, "others were told it, too"
        assert [one.short_id for one in (await _outcomes(world, sent.public_id))] == [bert.short_id]
    assert (await world.send()).account.targeted == 1
    assert anna.short_id != bert.short_id


async def _outcomes(world: World, public_id: str) -> Any:
    record = await world.store.find_notification(world.project, public_id)
    assert record is not None
    return await world.store.outcomes(world.project, record.id, kinds=None, limit=10, after=0)


async def test_a_message_that_waits_is_cancelled_if_it_is_for_nobody_else(world: World) -> None:
    await world.register("anna", owner=ANNA)
    await world.register("bert", owner=BERT)
    later = world.clock.now() + 3600
    alone = await world.accept(target=Target.to_contacts([ANNA]), content=SAID, send_at=later)
    both = await world.accept(target=Target.to_contacts([ANNA, BERT]), content=SAID, send_at=later)
    counts = await erase_contact(world.services, world.project, ANNA)
    assert counts.notifications == 1
    world.clock.time += 3601
    assert (await world.finish(both)).account.counts == {Kind.ACCEPTED: 1, Kind.SKIPPED_ENDED: 1}
    assert world.transport.names() == ["bert"]
    record = await world.store.find_notification(world.project, alone.record.public_id)
    assert record is not None
    assert record.state is NotificationState.CANCELLED
    assert (await world.sent(alone)).account.counts == {Kind.CANCELLED: 1}


async def test_who_is_erased_while_their_message_is_in_the_air_leaves_a_count_and_nothing_else(world: World) -> None:
    await world.register("anna", owner=ANNA)
    await world.register("bert", owner=BERT)
    erased = asyncio.Event()

    async def meanwhile(request: PushRequest) -> None:
        if request.endpoint.url.endswith("/anna") and not erased.is_set():
            erased.set()
            await erase_contact(world.services, world.project, ANNA)

    world.transport.before_answer = meanwhile
    sent = await world.send(content=SAID)
    assert erased.is_set()
    assert sent.account.counts == {Kind.ACCEPTED: 2}, "the push service had it"
    assert len(sent.outcomes) == 1
    assert await rows(world, "SELECT count(*) FROM recipient_outcomes") == [(1,)]
    assert (await world.send(content=SAID)).account.targeted == 1


async def test_a_shard_on_loan_does_not_send_to_who_was_erased_since(world: World) -> None:
    await world.register("anna", owner=ANNA)
    await world.register("bert", owner=BERT)
    accepted = await world.accept(content=SAID)
    await erase_contact(world.services, world.project, ANNA)
    sent = await world.finish(accepted)
    assert sent.account.counts == {Kind.ACCEPTED: 1, Kind.SKIPPED_ENDED: 1}
    assert world.transport.names() == ["bert"]


async def test_a_browser_with_a_long_story_is_erased_with_what_it_replaced(world: World) -> None:
    first = await world.register("first")
    second = await world.register("second", replaces=first.sync_token)
    third = await world.register("third", owner=ANNA, replaces=second.sync_token)
    assert len(await world.records()) == 3
    counts = await erase_contact(world.services, world.project, ANNA)
    assert counts.subscriptions == 3, "what it replaced while it was nobody's, too"
    assert await world.records() == []
    assert await rows(world, "SELECT count(*) FROM lifecycle") == [(0,)]
    assert third.public_id


async def test_a_chain_is_joined_around_who_is_erased(filed_world: World, tmp_path: Path) -> None:
    """Bert, then Anna, then Bert again in one browser: Bert's rows stay and still lead to one another."""
    world = filed_world
    first = await world.register("first", owner=BERT)
    second = await world.register("second", owner=ANNA, replaces=first.sync_token)
    third = await world.register("third", owner=BERT, replaces=second.sync_token)
    await erase_contact(world.services, world.project, ANNA)
    left = {record.public_id: record for record in await world.records()}
    assert left.keys() == {first.public_id, third.public_id}
    assert left[first.public_id].superseded_by == left[third.public_id].id
    await world.store.aclose()
    assert_nowhere(tmp_path, [second.public_id, second.short_id, ANNA])


async def test_what_somebody_else_said_in_the_same_browser_stays(world: World) -> None:
    await declare(world)
    browser = await world.register("shared", owner=BERT)
    await agree(world, browser.public_id)
    await world.register("shared", owner=ANNA)
    await agree(world, browser.public_id)
    counts = await erase_contact(world.services, world.project, ANNA)
    assert counts.consents == 1
    records = await world.store.list_consents(world.project, limit=10, after=0)
    assert [record.content is not None and record.content.contact for record in records] == [BERT, False]


async def no_fault(world: World) -> None:
    assert (await verify(world.store, world.project)).faults == ()


async def test_what_was_said_before_an_erased_contact_spoke_holds_again(world: World) -> None:
    await declare(world)
    browser = await world.register("shared", owner=BERT)
    await agree(world, browser.public_id)
    await world.register("shared", owner=ANNA)
    await agree(world, browser.public_id, given=False)
    await world.register("shared", owner=BERT)
    await no_fault(world)
    await erase_contact(world.services, world.project, ANNA)
    await no_fault(world)
    held = await world.store.held(world.project, Speaker(AnyId(browser.public_id, None)))
    assert [(word.given, word.number) for word in held] == [(True, 1)]
    assert await rows(world, "SELECT count(*) FROM consents WHERE over_at IS NOT NULL") == [(0,)]


async def test_who_withdrew_in_a_browser_is_not_told_there_for_being_erased(world: World) -> None:
    await declare(world)
    browser = await world.register("annas-laptop")
    await agree(world, browser.public_id)
    await world.register("annas-laptop", owner=ANNA)
    await agree(world, browser.public_id, given=False)
    await world.register("annas-laptop", detach=True)
    await erase_contact(world.services, world.project, ANNA)
    await no_fault(world)
    held = await world.store.held(world.project, Speaker(AnyId(browser.public_id, None)))
    assert [word.given for word in held] == [False]
    assert await rows(world, "SELECT count(*) FROM consents WHERE content IS NOT NULL") == [(0,)]


@pytest.mark.parametrize("by_id", [True, False])
async def test_nobody_is_told_for_an_agreement_that_was_erased(world: World, by_id: bool) -> None:
    """What was agreed to while a browser was nobody's was handed on to the subscription that replaced its own."""
    await declare(world)
    first = await world.register("first")
    await agree(world, first.public_id)
    second = await world.register("second", owner=BERT if by_id else ANNA, replaces=first.sync_token)
    third = await world.register("third", owner=BERT, replaces=second.sync_token)
    if by_id:
        await erase_subscription(world.services, world.project, AnyId(first.public_id, None))
    else:
        await erase_contact(world.services, world.project, ANNA)
    await no_fault(world)
    assert await world.store.held(world.project, Speaker(AnyId(third.public_id, None))) == ()


@pytest.mark.parametrize("seed", range(int(os.environ.get("PUSHKEEP_ERASURES", "1"))))
async def test_the_chain_holds_whoever_is_erased(world: World, seed: int) -> None:
    """Browsers that change hands, are replaced, and agree and withdraw; then everybody is erased in turn."""
    chance = random.Random(seed)
    await declare(world)
    people = [ANNA, BERT, "carl-2342@example.org"]
    latest: dict[int, Registered] = {}
    names: dict[int, str] = {}
    for step in range(24):
        number = chance.randrange(4)
        before = latest.get(number)
        replaces = before.sync_token if before is not None and chance.random() < 0.5 else ()
        if before is None or replaces:
            names[number] = f"browser-{number}-{step}"
        owner = chance.choice([*people, None])
        latest[number] = await world.register(names[number], owner=owner, replaces=replaces)
        world.clock.time += 1
        if chance.random() < 0.7:
            await agree(world, latest[number].public_id, given=chance.random() < 0.6)
        if chance.random() < 0.2:
            await seal_waiting(world.services, world.project)
        if step % 6 == 5:
            await no_fault(world)
    await seal_waiting(world.services, world.project)
    chance.shuffle(people)
    for person in people:
        await erase_contact(world.services, world.project, person)
        await no_fault(world)
    assert await rows(world, "SELECT count(*) FROM consents WHERE contact_id IS NOT NULL") == [(0,)]
    for record in await world.records():
        await erase_subscription(world.services, world.project, AnyId(record.public_id, None))
        await no_fault(world)
    assert await rows(world, "SELECT count(*) FROM consents WHERE content IS NOT NULL") == [(0,)]
    assert await rows(world, "SELECT count(*) FROM consent_states") == [(0,)]


async def test_a_visitor_whom_nobody_knows_is_erased_by_their_browser(filed_world: World, tmp_path: Path) -> None:
    world = filed_world
    old = await world.register("on-my-old-laptop")
    new = await world.register("on-my-new-laptop", replaces=old.sync_token)
    counts = await erase_subscription(world.services, world.project, AnyId(new.public_id, None))
    assert counts.subscriptions == 2
    assert await erase_subscription(world.services, world.project, AnyId(new.public_id, None)) == ErasedCounts()
    await world.store.aclose()
    assert_nowhere(tmp_path, [old.public_id, new.public_id, new.short_id])


async def test_an_unknown_contact_is_nothing_and_leaves_no_entry(filed_world: World) -> None:
    assert await erase_contact(filed_world.services, filed_world.project, "nobody@example.org") == ErasedCounts()
    standing, applied = await erasure_standing(filed_world.services)
    assert (standing.last, applied) == (0, 0)


class Killed(BaseException):
    """The process ends here."""


STEPS = ("stop_subject", "erase_messages", "erase_subscriptions", "erase_subject")


@pytest.mark.parametrize(("step", "before"), [*((step, True) for step in STEPS), (STEPS[-1], False)])
async def test_an_erasure_that_was_cut_off_is_finished_at_the_next_start(
    tmp_path: Path, step: str, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "pushkeep.db"
    async with opened_world(database) as world:
        await world.register("anna-on-her-phone", owner=ANNA)
        await world.register("bert", owner=BERT)
        await world.send(target=Target.to_contacts([ANNA]), content=SAID)
        real = getattr(world.store, step)

        async def cut(*args: Any, **given: Any) -> None:
            if not before:
                await real(*args, **given)
            raise Killed

        monkeypatch.setattr(world.store, step, cut)
        with pytest.raises(Killed):
            await erase_contact(world.services, world.project, ANNA)
        clock = world.clock
    async with opened_world(database, clock) as world:
        replayed = await replay_erasures(world.services, world.project)
        done = step == "erase_subject" and not before
        assert replayed.entries == (0 if done else 2)
        assert len(await world.records()) == 1
        assert (await replay_erasures(world.services, world.project)).entries == 0
        await assert_unsealed_nowhere(world.store, ["77123456 is here"])
    assert_nowhere(tmp_path, [ANNA, "anna-on-her-phone"])


async def test_a_backup_brings_nobody_back(tmp_path: Path) -> None:
    database, backup = tmp_path / "live" / "pushkeep.db", tmp_path / "backup.db"
    database.parent.mkdir()
    async with opened_world(database) as world:
        await world.register("anna-on-her-phone", owner=ANNA)
        await world.register("visitor-nobody-knows")
        await world.register("bert", owner=BERT)
        clock = world.clock
    shutil.copy(database, backup)
    async with opened_world(database, clock) as world:
        clock.time += 60
        await erase_contact(world.services, world.project, ANNA)
        (visitor,) = [record for record in await world.records() if record.contact_external_id is None]
        await erase_subscription(world.services, world.project, AnyId(visitor.public_id, None))
        clock.time += 60
        again = await world.register("anna-is-back", owner=ANNA)
    shutil.copy(backup, database)
    async with opened_world(database, clock) as world:
        assert len(await world.records()) == 3
        replayed = await replay_erasures(world.services, world.project)
        assert (replayed.entries, replayed.erased.contacts, replayed.erased.subscriptions) == (3, 1, 2)
        assert [record.contact_external_id for record in await world.records()] == [BERT]
        assert again.public_id
    assert_nowhere(database.parent, [ANNA, "anna-on-her-phone", "visitor-nobody-knows"])


async def test_who_came_back_after_they_were_erased_stays(filed_world: World) -> None:
    world = filed_world
    await world.register("anna", owner=ANNA)
    await erase_contact(world.services, world.project, ANNA)
    world.clock.time += 1
    await world.register("anna-is-back", owner=ANNA)
    await world.store.writer.run(lambda c: c.execute(text("UPDATE installation SET erasures_applied = 0")) and None)
    assert (await replay_erasures(world.services, world.project)).erased == ErasedCounts()
    assert len(await world.records()) == 1


async def test_a_browser_that_is_replaced_while_it_is_erased_goes_with_what_replaced_it(
    filed_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = filed_world
    first = await world.register("first")
    append = world.services.erasures.append if world.services.erasures else None
    assert append is not None
    replaced: list[Registered] = []

    async def late(*given: Any, **named: Any) -> tuple[int, int]:
        if not replaced:  # between the look and the mark
            replaced.append(await world.register("second", replaces=first.sync_token))
        return await append(*given, **named)

    monkeypatch.setattr(world.services.erasures, "append", late)
    await erase_subscription(world.services, world.project, AnyId(first.public_id, None))
    assert await world.records() == []
    assert await rows(world, "SELECT count(*) FROM subscriptions") == [(0,)]


async def test_a_lost_list_goes_on_behind_what_was_applied(filed_world: World, tmp_path: Path) -> None:
    world = filed_world
    await world.register("anna", owner=ANNA)
    await erase_contact(world.services, world.project, ANNA)
    (tmp_path / "erasures.jsonl").unlink()
    await world.register("bert", owner=BERT)
    await erase_contact(world.services, world.project, BERT)
    standing, applied = await erasure_standing(world.services)
    assert (standing.last, standing.missing, applied) == (4, 2, 4)


async def test_an_erasure_that_is_not_finished_is_not_called_applied(filed_world: World) -> None:
    """Two at once: what the second one notes must not hide that the first one was killed."""
    world = filed_world
    await world.register("anna", owner=ANNA)
    await world.register("bert", owner=BERT)
    subject = await world.store.find_subject(world.project, contact=ANNA)
    assert subject is not None
    assert world.services.erasures is not None
    await world.services.erasures.append(world.project, subject.names, at=world.clock.now(), after=0)
    await erase_contact(world.services, world.project, BERT)
    assert await world.store.erasures_applied() == 0
    assert (await replay_erasures(world.services, world.project)).erased.contacts == 1
    assert await world.store.erasures_applied() == 4


async def test_a_contact_that_keeps_coming_back_is_given_up_with_a_sentence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.register("anna", owner=ANNA)
    real, count = world.store.erase_subscriptions, iter(range(100))

    async def returning(*args: Any, **given: Any) -> Any:
        page = await real(*args, **given)
        await world.register(f"anna-{next(count)}", owner=ANNA)
        return page

    monkeypatch.setattr(world.store, "erase_subscriptions", returning)
    with pytest.raises(Conflict, match="no longer knows them"):
        await erase_contact(world.services, world.project, ANNA)


async def test_two_who_erase_the_same_contact_do_it_once(filed_world: World) -> None:
    world = filed_world
    await world.register("anna", owner=ANNA)
    both = await asyncio.gather(*(erase_contact(world.services, world.project, ANNA) for _ in range(2)))
    assert both[0] + both[1] == ErasedCounts(contacts=1, subscriptions=1)
    # Which of them ends first is chance. If it is the one that began later, it is not noted, since one before it is not
    # done; the next look goes through its entries once more.
    assert (await replay_erasures(world.services, world.project)).erased == ErasedCounts()
    standing, applied = await erasure_standing(world.services)
    assert (standing.last, applied) == (4, 4)


async def test_what_was_cut_off_is_finished_within_the_hour_by_whoever_runs(filed_world: World) -> None:
    """Whoever ran the command was killed; the server goes on for months, and nobody asks again."""
    world = filed_world
    chores = Chores(world.services, world.project, SweepPlan(), owner="server", duties=[FinishErasures()])
    await chores.look()
    await world.register("anna", owner=ANNA)
    subject = await world.store.find_subject(world.project, contact=ANNA)
    assert subject is not None
    assert world.services.erasures is not None
    await world.services.erasures.append(world.project, subject.names, at=world.clock.now(), after=0)
    world.clock.time += FINISH_SECONDS / 2
    await chores.look()
    assert len(await world.records()) == 1, "not due"
    world.clock.time += FINISH_SECONDS / 2
    await chores.look()
    assert await world.records() == []
    (chore,) = [chore for chore in await world.store.chores(world.project) if chore.name == ERASURES]
    assert chore.result is not None
    assert {name: count for name, count in json.loads(chore.result).items() if count} == {
        "entries": 2,
        "contacts": 1,
        "subscriptions": 1,
    }
    standing, applied = await erasure_standing(world.services)
    assert standing.last == applied
    chores.close()


async def test_without_a_list_there_is_nothing_to_be_finished(world: World) -> None:
    assert world.services.erasures is None
    assert not await FinishErasures().wanted(world.services, world.project, world.clock.now())


async def test_many_pages_are_one_erasure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many browsers somebody had, no page looks for more than its share: others wait while it is written."""
    looked_at: list[int] = []
    page_of = SqliteStore.erase_messages

    async def watched(store: SqliteStore, *given: Any, limit: int, **more: Any) -> ErasedPage:
        looked_at.append(limit)
        return await page_of(store, *given, limit=limit, **more)

    monkeypatch.setattr(SqliteStore, "erase_messages", watched)
    monkeypatch.setattr(erase, "LOOKUPS_MAX", 10)
    monkeypatch.setattr(erase, "ROWS_PAGE", 2)
    for number in range(5):
        await world.register(f"anna-{number}", owner=ANNA)
    for _ in range(5):
        await world.send(target=Target.to_contacts([ANNA]), content=SAID)
    counts = await erase_contact(world.services, world.project, ANNA)
    assert (counts.subscriptions, counts.notifications, counts.outcomes) == (5, 5, 25)
    assert looked_at == [2, 2, 2]


async def test_nothing_is_erased_where_the_list_cannot_be_written(filed_world: World, tmp_path: Path) -> None:
    world = filed_world
    await world.register("anna", owner=ANNA)
    (tmp_path / "erasures.jsonl").mkdir()
    with pytest.raises(Unavailable, match="nothing was erased"):
        await erase_contact(world.services, world.project, ANNA)
    assert [record.living for record in await world.records()] == [True]
    without = dataclasses.replace(world.services, erasures=None)
    assert (await erase_contact(without, world.project, ANNA)).contacts == 1
