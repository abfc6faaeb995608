"""The plans of the hot statements: every one finds its rows by an index."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event, text

from pushkeep.adapters.store import (
    SqliteStore,
    key_units,
    lifecycle_units,
    move_units,
    registration_units,
    result_units,
    subscription_units,
)
from pushkeep.adapters.store.tables import subscriptions
from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import By
from pushkeep.domain.subscription import Event, State, StateReason
from pushkeep.ports import ResultUpdate
from tests.store.samples import NOW, new_project, registration, subscription


async def statements_of(store: SqliteStore, unit: Callable[[Connection], object]) -> list[tuple[str, list[str]]]:
    """Run a unit; every statement it sent, with the steps of its plan."""
    plans: list[tuple[str, list[str]]] = []

    def explained(connection: Connection) -> None:
        sent: list[tuple[str, Any]] = []

        def note(_conn: object, _cursor: object, statement: str, parameters: Any, _context: object, many: bool) -> None:
            sent.append((statement, parameters[0] if many else parameters))

        engine = connection.engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            unit(connection)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        for statement, parameters in sent:
            if statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
                plans.append((statement, [row[3] for row in rows]))

    await store.writer.run(explained)
    return plans


async def test_no_hot_statement_scans_a_table(store: SqliteStore) -> None:
    project = await store.ensure_project(new_project())
    for number in range(300):
        await store.register(project, registration(subscription(f"s{number}"), owner=f"u{number % 50}"))
    await store.writer.run(lambda connection: connection.execute(text("ANALYZE")) and None)
    vault = store._vault
    first, second, third = await store.list_subscriptions(project, state=None, limit=3, after=0)
    named = AnyId(first.public_id, None)
    gone, left = StateReason(Event.SAID_GONE, NOW), StateReason(Event.LEFT, NOW)
    quarantined, released = StateReason(Event.QUARANTINED, NOW), StateReason(Event.RELEASED, NOW)
    new = registration(subscription("new"), owner="u1", replaces=(first.public_id, second.public_id))
    again = registration(subscription("s7"), owner="u7", now=NOW + 10_000)
    moved = registration(subscription("s8"), owner="u9", now=NOW + 10_000)
    back = registration(subscription("s0"), replaces=new.public_id, now=NOW + 10_000)
    units: dict[str, Callable[[Connection], object]] = {
        "register": lambda c: registration_units.register(c, vault, project, new),
        "re-sync": lambda c: registration_units.existing_registration(c, vault, project, again),
        "touch": lambda c: registration_units.register(c, vault, project, again),
        "to another owner": lambda c: registration_units.register(c, vault, project, moved),
        "back in its successor's place": lambda c: registration_units.register(c, vault, project, back),
        "heartbeat": lambda c: subscription_units.heartbeat(c, project, third.public_id, 9, NOW + 10_000),
        "end of a browser": lambda c: subscription_units.end(c, vault, project, AnyId(third.public_id, None), left, 10),
        "quarantine": lambda c: move_units.move_all(
            c, project.id, range(20, 60), Event.QUARANTINED, quarantined, By.SWEEP
        ),
        "release": lambda c: subscription_units.release(c, project, named, released),
        "found of an origin": lambda c: subscription_units.quarantined_at(c, project, first.origin, limit=10),
        "released of it": lambda c: subscription_units.release_rows(c, project, [first.id], released),
        "log": lambda c: lifecycle_units.history(c, project, first.id, limit=10, before=5),
        "log by day": lambda c: lifecycle_units.by_day(c, project, first_day=7),
        "find": lambda c: subscription_units.find(c, project, AnyId(None, first.short_id)),
        "page": lambda c: subscription_units.page(c, project, state=None, limit=10, after=5),
        "page of a state": lambda c: subscription_units.page(c, project, state=State.GONE, limit=10, after=5),
        "recipient": lambda c: subscription_units.find_recipient(c, vault, project, named),
        "end": lambda c: subscription_units.end(c, vault, project, AnyId(None, first.short_id), gone),
        "results": lambda c: result_units.apply_results(
            c,
            vault,
            project,
            [
                ResultUpdate(9, 1, Event.ACCEPTED),
                ResultUpdate(8, 1, Event.FAILED),
                ResultUpdate(7, 1, Event.SAID_GONE, gone),
                ResultUpdate(30, 1, Event.ACCEPTED),
                ResultUpdate(11, 1, Event.KEY_REFUSED),
                ResultUpdate(12, 1, Event.KEY_FOUND, signing_key_id=second.signing_key_id),
            ],
            now=NOW,
        ),
    }
    for name, unit in units.items():
        plans = await statements_of(store, unit)
        assert plans, name
        for statement, steps in plans:
            # Who replaced whom is followed from row to row, in memory.
            harmless = ("SCAN chain", "SCAN CONSTANT ROW")
            scans = [
                step
                for step in steps
                if step.startswith("SCAN") and "VIRTUAL TABLE" not in step and step not in harmless
            ]
            assert not scans, (name, statement, steps)
            assert not any("TEMP B-TREE FOR ORDER BY" in step for step in steps), (
                name,
                statement,
                steps,
            )


async def test_a_planted_scan_is_seen(store: SqliteStore) -> None:
    await store.ensure_project(new_project())
    plans = await statements_of(
        store, lambda connection: connection.execute(text("SELECT id FROM subscriptions WHERE origin = 'x'"))
    )
    assert any(step.startswith("SCAN") for _, steps in plans for step in steps)


async def test_what_a_plain_acceptance_writes_is_in_no_index(store: SqliteStore) -> None:
    project = await store.ensure_project(new_project())
    row = (await store.register(project, registration(subscription()))).record
    accepted = [ResultUpdate(row.id, 1, Event.ACCEPTED)]
    sent = [
        statement
        for statement, _ in await statements_of(
            store, lambda connection: result_units.apply_results(connection, store._vault, project, accepted, now=NOW)
        )
    ]
    (update,) = sent
    written = re.search(r" SET (.*?) WHERE", update)
    assert written is not None
    columns = {item.partition("=")[0].strip() for item in written[1].split(",")}
    indexed = {column.name for index in subscriptions.indexes for column in index.columns} | {"ended_at"}
    assert columns == {"last_accepted_at", "last_verdict", "last_verdict_at"}
    assert columns.isdisjoint(indexed), "or SQLite would write the index for each recipient, too"


async def test_what_is_bound_to_a_key_is_found_in_the_index_alone(store: SqliteStore) -> None:
    project = await store.ensure_project(new_project())
    row = (await store.register(project, registration(subscription()))).record
    key = row.signing_key_id
    await store.end_subscription(project, AnyId(row.public_id, None), StateReason(Event.LEFT, NOW))
    retiring = text("UPDATE signing_keys SET state = 'retiring'")
    await store.writer.run(lambda connection: connection.execute(retiring) and None)
    units: dict[str, Callable[[Connection], object]] = {
        "counted by key": lambda c: subscription_units.living_by_signing_key(c, project),
        "may it be retired": lambda c: key_units.retire(c, project, key, False, NOW),
        "given up": lambda c: key_units.give_up_bound(c, project, key, 10, NOW),
    }
    for name, unit in units.items():
        plans = await statements_of(store, unit)
        of_subscriptions = [step for _, steps in plans for step in steps if "subscriptions" in step]
        by_key = [step for step in of_subscriptions if "signing_key_id" in step or "ix_subscriptions_key" in step]
        assert by_key, plans
        for step in by_key:
            assert "USING COVERING INDEX ix_subscriptions_key" in step, (name, step)
        assert not any("TEMP B-TREE" in step for _, steps in plans for step in steps), (name, plans)
