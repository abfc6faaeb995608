"""An import: checked as a whole, written by page, gone on with where it was cut off, and never done twice."""

from __future__ import annotations

import asyncio
import io
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from pushkeep.adapters.formats.octets import Octets
from pushkeep.adapters.formats.portable_file import PortableFile, PortableWriter
from pushkeep.adapters.formats.scratch import Scratch
from pushkeep.app.contacts import find_contact, put_contact
from pushkeep.app.erase import erase_contact
from pushkeep.app.moving.bring import ImportReport, ImportWishes, import_file
from pushkeep.app.rotate import prepare_key, retire_key, rotate_keys
from pushkeep.app.subscribe import remove_subscription
from pushkeep.domain.consent import Basis, ConsentWord, Method, Wording
from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import By
from pushkeep.domain.moving import BrokenFile, ConsentBrought, Fault
from pushkeep.domain.project import KeyState
from pushkeep.domain.shard import Kind
from pushkeep.domain.subscription import Event, State
from pushkeep.domain.tag import TAGS_PER_CONTACT_MAX
from pushkeep.errors import Conflict, InvalidInput
from pushkeep.ports.consents import Speaker
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.signing_key import SigningKey
from tests.app.conftest import World, opened_world
from tests.formats.samples import as_csv, laravel_row, opened
from tests.store.samples import OTHER_BROWSER_KEY, registration, subscription

KEY = SigningKey.generate()
PAGE = 5
OTHER_AUTH = b64url_encode(b"b" * 16)


def row(name: str, owner: str = "17", **changes: object) -> dict[str, object]:
    return laravel_row(name, subscribable_id=owner, **changes)


async def bring(
    world: World,
    rows: Sequence[dict[str, object]],
    file: Path,
    *,
    key: SigningKey | None = KEY,
    consent: ConsentBrought | None = None,
    skip: bool = False,
    dry: bool = False,
    cut_at: int | None = None,
) -> ImportReport:
    """Import a table of Laravel's; it can be cut off behind a page."""
    written = 0

    def told(phase: str, octets: int) -> None:
        nonlocal written
        written += phase == "write"
        if cut_at is not None and written == cut_at:
            raise InterruptedError

    seen = Scratch(bytes(32))
    try:
        with opened(file, as_csv(rows)) as source:
            wishes = ImportWishes(key, consent, skip_wrong=skip, only_check=dry)
            return await import_file(world.services, world.project, source, seen, wishes, told=told, page_records=PAGE)
    finally:
        seen.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


async def states_of_keys(world: World) -> dict[str, KeyState]:
    return {key.key_id: key.state for key in await world.store.list_keys(world.project)}


async def everything(world: World) -> object:
    """All that an import can have done, without ids that were drawn and times."""
    records = await world.records()
    found = []
    for record in records:
        recipient = await world.store.find_recipient(world.project, AnyId(record.public_id, None))
        assert recipient is not None
        entries = await world.store.lifecycle(world.project, record, limit=10)
        log = [(item.entry.event, item.entry.after, item.entry.evidence.by) for item in entries]
        sent_to = recipient.subscription
        secret = None if sent_to is None else sent_to.to_json()
        found.append((secret, record.contact_external_id, record.state, record.created_at, record.signing_key_id, log))
    owners = {record.contact_external_id for record in records}
    contacts = [await find_contact(world.services, world.project, owner) for owner in sorted(o for o in owners if o)]
    days = await world.store.lifecycle_by_day(world.project, first_day=0)
    return found, contacts, days, await states_of_keys(world), await world.store.tags(world.project)


async def test_a_table_becomes_subscriptions_that_are_sent_to_with_their_own_key(world: World, file: Path) -> None:
    rows = [row(f"s{number}", str(number // 2)) for number in range(12)]
    report = await bring(world, rows, file)
    assert (report.records, report.counts, report.faults_count) == (12, {"subscriptions": 12, "contacts": 6}, 0)
    assert report.written
    records = await world.records()
    assert {record.state for record in records} == {State.ACTIVE}
    assert records[3].contact_external_id == "1"
    assert records[3].created_at == 1714557600.0
    assert records[3].last_seen_at == world.clock.now()
    (first,) = await world.store.lifecycle(world.project, records[3], limit=10)
    assert (first.entry.event, first.entry.evidence.by, first.entry.evidence.key) == (
        Event.REGISTERED,
        By.OPERATOR,
        KEY.key_id,
    )
    sent = await world.send()
    assert sent.account.counts == {Kind.ACCEPTED: 12}
    assert all(f"k={KEY.public_b64}" in str(request.headers) for request in world.transport.sent)


async def test_its_key_is_the_active_one_where_nobody_has_subscribed_yet(world: World, file: Path) -> None:
    (own,) = await states_of_keys(world)
    report = await bring(world, [row("one")], file)
    assert report.key is not None
    assert (report.key.known, report.key.becomes) == (False, KeyState.ACTIVE)
    assert await states_of_keys(world) == {own: KeyState.RETIRING, KEY.key_id: KeyState.ACTIVE}


async def test_else_it_retires_from_the_start_and_its_browsers_move(world: World, file: Path) -> None:
    await world.register("own")
    (own,) = await states_of_keys(world)
    await bring(world, [row("one")], file)
    assert await states_of_keys(world) == {own: KeyState.ACTIVE, KEY.key_id: KeyState.RETIRING}
    moved = (await world.store.key_usage(world.project, now=world.clock.now()))[2]
    assert moved.bound == 1
    assert (await world.send()).account.counts == {Kind.ACCEPTED: 2}
    returning = await world.store.register(world.project, registration(subscription("one"), 2, now=world.clock.now()))
    assert not returning.created


async def test_a_key_that_is_here_already_stays_as_it_is(world: World, file: Path) -> None:
    key = (await world.store.signing_keys(world.project))[0].key
    report = await bring(world, [row("one")], file, key=key)
    assert report.key is not None
    assert report.key.known
    assert await states_of_keys(world) == {key.key_id: KeyState.ACTIVE}


@pytest.mark.parametrize("state", [KeyState.NEXT, KeyState.RETIRED])
async def test_a_key_that_does_not_sign_here_is_refused(world: World, file: Path, state: KeyState) -> None:
    await prepare_key(world.services, world.project, KEY)
    if state is KeyState.RETIRED:
        await rotate_keys(world.services, world.project)
        await rotate_keys(world.services, world.project)
        await retire_key(world.services, world.project, KEY.key_id)
    with pytest.raises(Conflict, match=f"{KEY.key_id} is {state.value} in this project"):
        await bring(world, [row("one")], file)
    assert not await world.records()


async def test_without_a_key_nothing_can_be_sent_to_them(world: World, file: Path) -> None:
    with pytest.raises(InvalidInput, match="give the file with the private VAPID key"):
        await bring(world, [row("one")], file, key=None)


async def test_one_wrong_record_and_nothing_is_written(world: World, file: Path) -> None:
    rows = [row(f"s{number}") for number in range(20)]
    rows[7]["public_key"] = "NULL"
    rows[19]["endpoint"] = "https://push.example.net/x"
    before = await everything(world)
    report = await bring(world, rows, file)
    assert [str(fault).partition(":")[0] for fault in report.faults] == ["line 9", "line 21"]
    assert "push.example.net, which is not a known push service" in report.faults[1].message
    assert (report.faults_count, report.written) == (2, False)
    assert await everything(world) == before


async def test_the_rest_is_brought_in_where_that_is_wanted(world: World, file: Path) -> None:
    rows = [row(f"s{number}") for number in range(20)]
    for number in (0, 7, 8, 19):
        rows[number]["auth_token"] = "?"
    report = await bring(world, rows, file, skip=True)
    assert (report.counts, report.left_out) == ({"subscriptions": 16, "contacts": 1}, {"wrong": 4})
    assert len(await world.records()) == 16


async def test_a_dry_run_says_what_would_be_and_writes_nothing(world: World, file: Path) -> None:
    before = await everything(world)
    report = await bring(world, [row(f"s{number}") for number in range(7)], file, dry=True)
    assert (report.counts, report.written) == ({"subscriptions": 7}, False)
    assert report.key is not None
    assert report.key.becomes == KeyState.ACTIVE
    assert await everything(world) == before


async def test_what_is_known_stays_as_it_is_and_what_has_ended_is_not_brought_back(world: World, file: Path) -> None:
    await bring(world, [row("known"), row("left")], file)
    known, left = await world.records()
    await remove_subscription(world.services, world.project, left.public_id)
    world.clock.time += 100
    report = await bring(world, [row("known"), row("left"), row("new")], file)
    assert report.counts == {"known": 1, "ended": 1, "subscriptions": 1}
    after = await world.records()
    assert after[0] == known
    assert [record.state for record in after] == [State.ACTIVE, State.UNSUBSCRIBED, State.ACTIVE]


async def test_the_same_import_is_never_done_again(world: World, file: Path) -> None:
    rows = [row(f"s{number}") for number in range(7)]
    await bring(world, rows, file)
    done_at = world.clock.now()
    for record in await world.records():
        await remove_subscription(world.services, world.project, record.public_id)
    world.clock.time += 3600
    before = await everything(world)
    report = await bring(world, rows, file)
    assert (report.done_at, report.records) == (done_at, 7)
    assert await everything(world) == before


async def test_nobody_s_subscription_gets_the_owner_of_the_file(world: World, file: Path) -> None:
    key = (await world.store.signing_keys(world.project))[0].key
    await world.register("one")
    report = await bring(world, [row("one", "17")], file, key=key)
    assert report.counts == {"owned": 1, "contacts": 1}
    (record,) = await world.records()
    assert (record.contact_external_id, record.version) == ("17", 2)
    entries = await world.store.lifecycle(world.project, record, limit=10)
    assert [item.entry.event for item in entries] == [Event.REGISTERED, Event.OWNER_MOVED]


async def test_who_has_logged_out_since_is_not_logged_in_by_a_file(world: World, file: Path) -> None:
    await world.register("one", owner="17")
    await world.register("one", detach=True)
    report = await bring(world, [row("one", "17")], file)
    assert report.counts == {"known": 1}
    assert (await world.records())[0].contact_external_id is None


async def test_what_contradicts_the_store_is_said_by_line(world: World, file: Path) -> None:
    await world.register("mine", owner="5")
    await world.register("keys")
    rows = [row("new"), row("mine", "6"), row("keys", auth_token=OTHER_AUTH)]
    before = await everything(world)
    report = await bring(world, rows, file)
    assert [(fault.line, fault.field) for fault in report.faults] == [(3, "owner"), (4, "keys")]
    assert await everything(world) == before
    assert (await bring(world, rows, file, skip=True)).counts == {"subscriptions": 1, "contacts": 1}


async def test_a_record_that_stands_there_twice_counts_once(world: World, file: Path) -> None:
    report = await bring(world, [row("one"), row("two"), row("one", id=9, updated_at="2026-01-01 00:00:00")], file)
    assert (report.counts, report.left_out) == ({"subscriptions": 2, "contacts": 1}, {"repeated": 1})


@pytest.mark.parametrize(
    "changes",
    [{"auth_token": OTHER_AUTH}, {"public_key": b64url_encode(OTHER_BROWSER_KEY)}, {"subscribable_id": "18"}],
)
async def test_two_records_that_contradict_each_other(world: World, file: Path, changes: dict[str, object]) -> None:
    report = await bring(world, [row("one"), row("two"), {**row("one"), **changes}], file)
    assert [fault.line for fault in report.faults] == [4]
    assert "stands in line 2 with other" in report.faults[0].message


async def test_a_contact_has_room_for_so_many(world: World, file: Path) -> None:
    most = world.services.contact_subscriptions_max
    await world.register("own", owner="17")
    rows = [row(f"s{number}") for number in range(most)] + [row("other", "18")]
    report = await bring(world, rows, file)
    assert [fault.line for fault in report.faults] == [most + 1]
    counts = (await bring(world, rows, file, skip=True)).counts
    assert counts == {"subscriptions": most, "contacts": 1}


async def test_many_faults_are_counted_and_the_first_shown(world: World, file: Path) -> None:
    report = await bring(world, [row(f"s{number}", auth_token="?") for number in range(1500)], file)
    assert (report.faults_count, len(report.faults)) == (1500, 100)
    assert [fault.line for fault in report.faults] == list(range(2, 102))


async def test_interrupted_at_any_page_it_comes_to_the_same_end(file: Path) -> None:
    """Cut off behind a random page, again and again; with wrong, repeated, known and ended records among them."""
    seed = random.SystemRandom().randrange(2**32)
    drawn = random.Random(seed)
    rows = [row(f"s{drawn.randrange(60)}", "7", subscribable_type="U") for _ in range(70)]
    for wrong in drawn.sample(rows, 9):
        wrong["auth_token"] = "?"
    ends = []
    for cuts in (0, 1, 6):
        async with opened_world() as world:
            await bring(world, [row("s3", "7"), row("s4", "7")], file)
            await remove_subscription(world.services, world.project, (await world.records())[1].public_id)
            for _ in range(cuts):
                with pytest.raises(InterruptedError):
                    await bring(world, rows, file, skip=True, cut_at=drawn.randint(1, 2))
            report = await bring(world, rows, file, skip=True)
            assert bool(report.went_on_from) == (cuts > 0), seed
            ends.append((await everything(world), report.counts, report.left_out))
            journal = await bring(world, rows, file, skip=True)
            assert journal.done_at is not None
    assert ends[0] == ends[1] == ends[2], seed


async def test_an_interrupted_import_does_not_look_again_at_what_it_has_done(world: World, file: Path) -> None:
    rows = [row(f"s{number}") for number in range(12)]
    with pytest.raises(InterruptedError):
        await bring(world, rows, file, cut_at=1)
    first = (await world.records())[0]
    await remove_subscription(world.services, world.project, first.public_id)
    await world.register("s1", owner="elsewhere", by=By.OPERATOR)
    report = await bring(world, rows, file)
    assert (report.went_on_from, report.faults_count) == (PAGE, 0)
    assert report.counts == {"subscriptions": 12, "contacts": 1}
    assert (await world.records())[0].state is State.UNSUBSCRIBED


async def test_two_at_once_bring_it_in_once(world: World, file: Path) -> None:
    rows = [row(f"s{number}") for number in range(12)]
    runs = (bring(world, rows, file.with_name(name)) for name in ("one.csv", "two.csv"))
    done, overtaken = sorted(await asyncio.gather(*runs, return_exceptions=True), key=lambda end: type(end).__name__)[
        ::-1
    ]
    assert isinstance(done, ImportReport)
    assert isinstance(overtaken, Conflict)
    assert overtaken.reason == "elsewhere"
    assert len(await world.records()) == 12


async def test_what_is_stored_meanwhile_is_not_overwritten(world: World, file: Path) -> None:
    rows = [row(f"s{number}") for number in range(12)]
    key = (await world.store.signing_keys(world.project))[0].key
    with pytest.raises(InterruptedError):
        await bring(world, rows, file, key=key, cut_at=1)
    await world.register("s9", owner="somebody")
    report = await bring(world, rows, file, key=key)
    assert [fault.line for fault in report.faults] == [11]
    report = await bring(world, rows, file, key=key, skip=True)
    assert (report.counts, report.left_out) == ({"subscriptions": 11, "contacts": 1}, {"wrong": 1})
    assert Counter(record.contact_external_id for record in await world.records()) == {"17": 11, "somebody": 1}


async def test_a_file_that_changes_between_its_readings_is_not_gone_on_with(world: World, file: Path) -> None:
    seen = Scratch(bytes(32))
    with opened(file, as_csv([row(f"s{number}") for number in range(12)])) as source:

        def told(phase: str, octets: int) -> None:
            if phase == "check":
                file.write_text(as_csv([row(f"t{number}") for number in range(12)]))

        with pytest.raises(BrokenFile, match="has changed while it was read"):
            await import_file(world.services, world.project, source, seen, ImportWishes(KEY), told=told)
    assert not await world.records()


WORDING = Wording("news", "en", "1", "", "May we write to you?", 0.0)


async def with_purpose(world: World) -> None:
    await world.store.put_purpose(world.project, "news", description="News", basis=Basis.CONSENT, now=1.0)
    await world.store.add_wording(world.project, WORDING)


async def test_that_they_agreed_elsewhere_is_recorded_with_when(world: World, file: Path) -> None:
    await with_purpose(world)
    consent = ConsentBrought("news", WORDING.digest)
    report = await bring(world, [row("one"), row("two", "")], file, consent=consent)
    assert report.counts["consents"] == 2
    for record in await world.records():
        (word,) = await world.store.held(world.project, Speaker(subscription=AnyId(record.public_id, None)))
        assert word.given
        assert word.content is not None
        assert (word.content.method, word.content.at) == ("import", 1714557600.0)
        assert word.content.wording == WORDING.digest.hex()
    assert (await world.send(purpose="news")).account.counts == {Kind.ACCEPTED: 2}


async def test_who_has_taken_it_back_here_is_not_made_to_agree_by_a_file(world: World, file: Path) -> None:
    await with_purpose(world)
    await put_contact(world.services, world.project, "17")
    no = ConsentWord("news", False, Method.API)
    await world.store.say(world.project, Speaker(contact="17"), [no], sequence=None, now=world.clock.now())
    report = await bring(world, [row("one"), row("two", "18")], file, consent=ConsentBrought("news"))
    assert report.counts == {"subscriptions": 2, "contacts": 1, "consents": 1}
    assert (await world.send(purpose="news")).account.counts == {Kind.ACCEPTED: 1, Kind.SKIPPED_CONSENT: 1}


@pytest.mark.parametrize("consent", [ConsentBrought("other"), ConsentBrought("news", b"x" * 32)])
async def test_only_what_is_declared_can_have_been_agreed_to(world: World, file: Path, consent: ConsentBrought) -> None:
    await with_purpose(world)
    with pytest.raises(InvalidInput, match="There is no"):
        await bring(world, [row("one")], file, consent=consent)
    assert not await world.records()


async def test_who_was_erased_is_not_brought_back_by_a_file_from_before(filed_world: World, file: Path) -> None:
    world = filed_world
    await bring(world, [row("one"), row("two", "18")], file)
    await erase_contact(world.services, world.project, "17")
    rows = [row("one"), row("again"), row("since", created_at=str(int(world.clock.now()) + 5))]
    world.clock.time += 10
    report = await bring(world, rows, file)
    assert report.counts == {"erased": 2, "subscriptions": 1, "contacts": 1}


async def test_faults_say_where_and_what_and_no_secret(world: World, file: Path) -> None:
    report = await bring(world, [row("one", auth_token="?")], file)
    (fault,) = report.faults
    assert fault == Fault(1, 2, "auth_token has a character that is not base64.", "auth_token")
    assert str(fault) == "line 2: auth_token has a character that is not base64."


async def test_an_older_export_of_our_own_does_not_bring_back_who_was_erased(filed_world: World, file: Path) -> None:
    world = filed_world
    await bring(world, [row("one"), row("two", "18"), row("three", "19")], file)
    written = io.BytesIO()
    writer = PortableWriter(written)
    writer.begin(world.project.public_id, made_by="1", now=world.clock.now(), secrets=True)
    await world.store.export_records(world.project, writer.write, secrets=True)
    writer.end()
    world.clock.time += 10
    await erase_contact(world.services, world.project, "17")
    file.write_bytes(written.getvalue())
    octets, seen = Octets(file), Scratch(bytes(32))
    report = await import_file(world.services, world.project, PortableFile(octets), seen, ImportWishes())
    octets.close()
    assert report.written
    assert await world.store.find_contact(world.project, "17") is None
    assert {record.contact_external_id for record in await world.records()} == {"18", "19"}


async def test_a_key_that_nobody_comes_with_is_not_brought_in(world: World, file: Path) -> None:
    before = await states_of_keys(world)
    with pytest.raises(InvalidInput, match=r"none of the 1 records can be taken \(line 2: auth_token .*; nothing was"):
        await bring(world, [row("one", auth_token="?")], file, skip=True)
    assert await states_of_keys(world) == before


async def test_a_contact_has_no_more_tags_than_it_may_from_all_its_rows_together(world: World, file: Path) -> None:
    def member(name: str, groups: Sequence[str]) -> dict[str, object]:
        sample = laravel_row(name)
        keys = {"p256dh": sample["public_key"], "auth": sample["auth_token"]}
        return {"endpoint": sample["endpoint"], **keys, "browser": "", "user_id": "17", "groups": ",".join(groups)}

    many = [f"g{number}" for number in range(TAGS_PER_CONTACT_MAX)]
    rows = [member("one", many), member("two", many[:1]), member("three", ["more"]), member("four", ["more"])]
    report = await bring(world, rows, file, dry=True)
    words = f"with it its contact would have {TAGS_PER_CONTACT_MAX + 1} tags; the limit is {TAGS_PER_CONTACT_MAX}."
    assert [(fault.line, fault.message) for fault in report.faults] == [(4, words), (5, words)]
