"""The plans of erasures and retention: nobody's rows are looked for in a whole table, however many others it has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore, erase_message_units, erase_units, retention_units, subject_units
from pushkeep.domain.consent import Basis, ConsentWord, Method
from pushkeep.domain.ids import AnyId
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.ports.consents import Speaker
from pushkeep.ports.privacy import ErasedKind, Kept
from tests.store.notification_contract import accept, subscribe
from tests.store.samples import NOW
from tests.store.test_plans import statements_of
from tests.store.test_sweeps import some_rows, store_rows

SMALL = ("VIRTUAL TABLE", "anon_", "theirs", "later", "spoke", "CONSTANT ROW", "installation", "SCAN tags")
"""Lists of one person's rows, the one row of the installation, and tags, of which a project has a limited number."""


@pytest.mark.parametrize("analyzed", [True, False], ids=["with statistics", "without"])
async def test_no_page_of_an_erasure_scans_a_table(store: SqliteStore, project: Project, analyzed: bool) -> None:
    await store.put_purpose(project, "news", description="News", basis=Basis.CONSENT, now=NOW)
    await store_rows(store, some_rows(project, 1000, seed=1))
    others = await subscribe(store, project, 100)
    for number in range(50):
        await store.put_contact(project, f"somebody-{number}", ["customer"])
    (anna, *_) = await subscribe(store, project, 3, owner="anna", name="anna")
    word = ConsentWord("news", True, Method.SETTINGS)
    for one in (anna, *others):
        await store.say(project, Speaker(AnyId(one.public_id, None)), [word], sequence=None, now=NOW)
    for _ in range(20):
        await accept(store, project, Target.to_contacts(["anna"]))
    if analyzed:
        await store.writer.run(lambda connection: connection.execute(text("ANALYZE")) and None)
    subject = await store.find_subject(project, contact="anna")
    assert subject is not None
    vault = store._vault

    def old(kept: Kept) -> Callable[[Connection], object]:
        return lambda c: retention_units.erase_old(c, project, kept, before=NOW + 1, after=0, limit=10, now=NOW)

    units: dict[str, Callable[[Connection], object]] = {
        "contact": lambda c: erase_units.find_subject(c, vault, project, contact="anna", subscription=None),
        "browser": lambda c: erase_units.find_subject(
            c, vault, project, contact=None, subscription=AnyId(anna.public_id, None)
        ),
        "records": lambda c: subject_units.records(c, project, subject),
        "consents": lambda c: subject_units.consents_of(c, vault, project, subject),
        "told": lambda c: subject_units.messages(c, vault, project, subject, after=0, limit=10),
        "match": lambda c: erase_units.match(c, vault, project, ErasedKind.CONTACT, {}, after=0, limit=10),
        "match a browser": lambda c: erase_units.match(
            c, vault, project, ErasedKind.SUBSCRIPTION, {}, after=0, limit=10
        ),
        "stop": lambda c: erase_units.stop(c, project, subject, now=NOW),
        "messages": lambda c: erase_message_units.erase_messages(c, project, subject, after=0, limit=10, now=NOW),
        "rows": lambda c: erase_units.erase_rows(c, subject, limit=10, now=NOW),
        "subject": lambda c: erase_units.erase_subject(c, subject, numbers=(1, 1), now=NOW),
        **{f"old {kept.value}": old(kept) for kept in Kept},
    }
    for name, unit in units.items():
        plans = await statements_of(store, unit)
        assert plans, name
        for statement, steps in plans:
            scans = [step for step in steps if step.startswith("SCAN") and not any(word in step for word in SMALL)]
            assert not scans, (name, statement, steps)
