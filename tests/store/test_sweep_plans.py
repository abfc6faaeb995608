"""The plans of a sweep's statements: pages are found by an index, whatever the size of the table."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore, audience_count_units, chore_units, purge_units, sweep_units
from pushkeep.domain.health import DAY_SECONDS
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event
from pushkeep.domain.sweep import Scope, SweepRules
from pushkeep.ports.sweeps import PURGE_START
from tests.store.samples import NOW
from tests.store.test_plans import statements_of
from tests.store.test_sweeps import some_rows, store_rows, tombstone

RULES = SweepRules(now=NOW, expire_seconds=400 * DAY_SECONDS)
AFTER_SEND = SweepRules(now=NOW, scope=Scope.TROUBLED)


async def test_no_page_of_a_sweep_scans_the_table(store: SqliteStore, project: Project) -> None:
    await store_rows(store, some_rows(project, 600, seed=1))
    await store_rows(
        store,
        [tombstone(number, project, 91, number + 1 if number % 3 == 0 else None) for number in range(998, 700, -1)],
    )
    await store.writer.run(lambda connection: connection.execute(text("ANALYZE")) and None)
    quarantine, expire = Event.QUARANTINED, Event.EXPIRED
    units: dict[str, Callable[[Connection], object]] = {
        "survey": lambda c: sweep_units.survey_page(c, project, RULES, after=5, limit=100),
        "survey after a send": lambda c: sweep_units.survey_page(c, project, AFTER_SEND, after=5, limit=100),
        "by origin": lambda c: sweep_units.living_by_origin(c, project, after=5, limit=100),
        "likely dead": lambda c: sweep_units.likely_dead_page(c, project, now=NOW, after=5, scan=100),
        "quarantine": lambda c: sweep_units.sweep_page(
            c, project, RULES, quarantine, spare=(), after=5, limit=10, scan=100
        ),
        "expire": lambda c: sweep_units.sweep_page(c, project, RULES, expire, spare=(), after=5, limit=10, scan=100),
        "purge": lambda c: purge_units.purge_page(c, project, before=NOW, after=PURGE_START, limit=10),
        "needed": lambda c: purge_units.purge_before(c, project, RULES),
        "tombstones": lambda c: purge_units.count_tombstones(c, project, before=NOW),
        "audience": lambda c: audience_count_units.audience_health(c, project, Target.everyone(), now=NOW),
        "chores": lambda c: chore_units.take(c, project, "sweep", "me", now=NOW, lease_seconds=1.0, early=True),
    }
    for name, unit in units.items():
        plans = await statements_of(store, unit)
        assert plans, name
        for statement, steps in plans:
            # A page that was found by the index is a small table of its own; so are pinned tombstones, and shards
            # that are not closed.
            scans = [
                step
                for step in steps
                if step.startswith("SCAN")
                and not any(word in step for word in ("VIRTUAL TABLE", "anon_", "pinned", "ix_shards_live"))
            ]
            scans = [step for step in scans if step != "SCAN CONSTANT ROW"]
            assert not scans, (name, statement, steps)
