"""What the store does for an import: by index, by whichever lookup key, and all of a page or nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore, import_units
from pushkeep.adapters.store.foreign_units import Page
from pushkeep.domain.moving import ForeignSubscription, Format, ImportAsked, NewNames, Numbered
from pushkeep.domain.project import Project
from pushkeep.errors import Conflict, Unavailable
from pushkeep.ports.moving import ImportJournal
from pushkeep.ports.secrets import SecretKind
from pushkeep.protocol.signing_key import SigningKey
from tests.store.doubles import FakeClock, SeededEntropy
from tests.store.samples import registration, subscription
from tests.store.test_plans import statements_of

KEY = SigningKey(SeededEntropy(30).ephemeral_key())
ASKED = ImportAsked(b"d" * 32, Format.LARAVEL)


def numbered(names: Sequence[str], **given: object) -> list[Numbered]:
    return [
        Numbered(number, number, ForeignSubscription(subscription(name), vendor="mozilla", **given))  # type: ignore[arg-type]
        for number, name in enumerate(names, start=1)
    ]


def drawn(count: int, *, first: int = 1) -> list[NewNames]:
    return [
        NewNames(f"01900000-0000-7000-8000-{number:012x}", (f"Z{number:07d}".replace("0", "z"),))
        for number in range(first, first + count)
    ]


async def write(
    store: SqliteStore, project: Project, journal: ImportJournal, records: Sequence[Numbered], names: Sequence[NewNames]
) -> ImportJournal:
    return await store.import_records(
        project, ASKED, journal, records, names, key=KEY, position=len(records), left_out={}, now=1.0
    )


async def test_a_row_is_known_by_whichever_lookup_key_it_was_hashed_with(
    store: SqliteStore, project: Project, clock: FakeClock
) -> None:
    await store.register(project, registration(subscription("old"), now=clock.now()))
    await store.rotate_secret(SecretKind.LOOKUP, now=clock.now())
    await store.register(project, registration(subscription("new"), now=clock.now()))
    standing = await store.check_records(project, ASKED, numbered(["old", "new", "third"]))
    assert standing.counts == {"known": 2, "subscriptions": 1}
    journal = await store.begin_import(project, ASKED, KEY, now=1.0)
    journal = await write(store, project, journal, numbered(["old", "new", "third"]), drawn(3))
    assert journal.counts == {"known": 2, "subscriptions": 1}
    again = await store.register(project, registration(subscription("third"), 2, now=clock.now()))
    assert not again.created


async def test_a_page_is_written_as_a_whole_or_not_at_all(store: SqliteStore, project: Project) -> None:
    journal = await store.begin_import(project, ASKED, KEY, now=1.0)
    taken = await store.register(project, registration(subscription("mine"), owner="5"))
    records = [*numbered(["a", "b"]), Numbered(3, 9, numbered(["mine"], owner="6")[0].record)]
    with pytest.raises(Conflict, match=r"line 9: the subscription at .* is another contact's here"):
        await write(store, project, journal, records, drawn(3))
    with pytest.raises(Unavailable, match="No free short id"):
        await write(store, project, journal, numbered(["a", "b"]), [drawn(1)[0], drawn(1)[0]])
    found = await store.list_subscriptions(project, state=None, limit=10, after=0)
    assert [record.id for record in found] == [taken.record.id]
    assert await store.find_import(project, ASKED.digest) == journal


async def test_a_key_that_is_retired_meanwhile_ends_the_import(store: SqliteStore, project: Project) -> None:
    await store.register(project, registration(subscription("own")))
    journal = await store.begin_import(project, ASKED, KEY, now=1.0)
    found = await store.find_key(project, KEY.public_bytes)
    assert found is not None
    await store.retire_key(project, found.id, force=True, now=2.0)
    with pytest.raises(Conflict, match="does not sign any more"):
        await write(store, project, journal, numbered(["a"]), drawn(1))


async def test_a_journal_tells_another_import_from_this_one(store: SqliteStore, project: Project) -> None:
    journal = await store.begin_import(project, ASKED, KEY, now=1.0)
    assert await store.begin_import(project, ASKED, KEY, now=2.0) == journal
    assert await store.find_import(project, b"e" * 32) is None
    done = await store.finish_import(project, journal, now=3.0)
    assert done.finished_at == 3.0
    assert (await store.finish_import(project, journal, now=4.0)).finished_at == 3.0


async def test_nothing_of_a_page_scans_a_table(store: SqliteStore, project: Project) -> None:
    journal = await store.begin_import(project, ASKED, KEY, now=1.0)
    records = [
        dataclasses.replace(numbered([f"s{number}"], owner=f"u{number}", tags=(f"t{number}",))[0], number=number)
        for number in range(1, 301)
    ]
    await write(store, project, journal, records, drawn(300))
    await store.writer.run(lambda connection: connection.execute(text("ANALYZE")) and None)
    key = await store.find_key(project, KEY.public_bytes)
    assert key is not None
    fresh = numbered(["new", "s1", "new2"], owner="u1", tags=("a", "b"))
    page = Page(ASKED, fresh, drawn(3, first=400), KEY, key.id, 1.0)
    units: dict[str, Callable[[Connection], object]] = {
        "check": lambda c: import_units.check(c, store._vault, project, ASKED, fresh),
        "write": lambda c: import_units.units_of(fresh[0].record).write(c, store._vault, project, page),
        "journal": lambda c: import_units.find(c, project, ASKED.digest),
    }
    for name, unit in units.items():
        for statement, steps in await statements_of(store, unit):
            # There are few tags; and lists that are bound as one parameter are tables of their own.
            few = ("SCAN CONSTANT ROW", "SCAN tags", "VIRTUAL TABLE")
            scans = [step for step in steps if step.startswith("SCAN") and not any(word in step for word in few)]
            assert not scans, (name, statement, steps)
