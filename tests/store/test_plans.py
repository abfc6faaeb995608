"""The plans of the hot statements: every one finds its rows by an index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event, text

from pushkeep.adapters.store import SqliteStore, result_units, subscription_units
from pushkeep.domain.ids import AnyId
from pushkeep.domain.subscription import Event, State, StateReason
from pushkeep.ports import ResultUpdate
from tests.store.samples import NOW, new_project, registration, subscription


async def statements_of(store: SqliteStore, unit: Callable[[Connection], object]) -> list[tuple[str, list[str]]]:
    """Run a unit; every statement it sent, with the steps of its plan."""
    plans: list[tuple[str, list[str]]] = []

    def explained(connection: Connection) -> None:
        sent: list[tuple[str, Any]] = []

        def note(_conn: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
            sent.append((statement, parameters))

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
    first = (await store.list_subscriptions(project, state=None, limit=1, after=0))[0]
    named = AnyId(first.public_id, None)
    gone = StateReason(Event.SAID_GONE, NOW)
    new = registration(subscription("new"), owner="u1", replaces=first.public_id)
    again = registration(subscription("s7"), owner="u7", now=NOW + 10_000)
    units: dict[str, Callable[[Connection], object]] = {
        "register": lambda c: subscription_units.register(c, vault, project, new),
        "re-sync": lambda c: subscription_units.existing_registration(c, vault, project, again),
        "touch": lambda c: subscription_units.register(c, vault, project, again),
        "find": lambda c: subscription_units.find(c, project, AnyId(None, first.short_id)),
        "page": lambda c: subscription_units.page(c, project, state=None, limit=10, after=5),
        "page of a state": lambda c: subscription_units.page(c, project, state=State.GONE, limit=10, after=5),
        "recipient": lambda c: subscription_units.find_recipient(c, vault, project, named),
        "end": lambda c: subscription_units.end(c, project, AnyId(None, first.short_id), gone),
        "results": lambda c: result_units.apply_results(
            c,
            project,
            [
                ResultUpdate(9, 1, Event.ACCEPTED),
                ResultUpdate(8, 1, Event.FAILED),
                ResultUpdate(7, 1, Event.SAID_GONE, gone),
            ],
            now=NOW,
        ),
    }
    for name, unit in units.items():
        plans = await statements_of(store, unit)
        assert plans, name
        for statement, steps in plans:
            scans = [step for step in steps if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]
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
