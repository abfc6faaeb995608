"""The plans of the statements about notifications and audiences: small work stays small in a project of any size.

A database has no statistics until somebody runs ANALYZE, which Pushkeep never does; where they would mislead, a plan
is looked at both ways.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, text

from pushkeep.adapters.store import (
    SqliteStore,
    accept_units,
    audience_count_units,
    audience_units,
    contact_units,
    notification_units,
    outcome_units,
)
from pushkeep.adapters.store.audience_units import Audience
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import NewNotification
from pushkeep.domain.shard import LEASE_SECONDS
from pushkeep.ports.notifications import Command
from tests.store.samples import NOW, new_notification, new_project, registration, subscription
from tests.store.test_plans import statements_of

Unit = Callable[[Connection], Any]


@pytest.fixture
async def project(store: SqliteStore) -> Project:
    project = await store.ensure_project(new_project())
    given = [registration(subscription(f"s{number}"), owner=f"u{number % 30}") for number in range(90)]
    await asyncio.gather(*(store.register(project, one) for one in given))
    await asyncio.gather(*(store.put_contact(project, f"u{number}", ["many"]) for number in range(30)))
    for _ in range(3):
        await store.accept(project, new_notification(Target.everyone()), backlog_max=10**9, lease_owner=None)
    return project


# What an audience has picked out by an index already is passed on from memory; a project has a handful of keys.
HARMLESS_SCANS = frozenset({"SCAN anon_1", "SCAN tagged", "SCAN signing_keys", "SCAN CONSTANT ROW"})


async def steps_of(store: SqliteStore, unit: Unit, *, groups: bool = False) -> list[str]:
    """The steps that look for rows. None reads a table from end to end or sorts what an index has in order."""
    found = []
    for statement, steps in await statements_of(store, unit):
        for step in steps:
            scans = step.startswith("SCAN") and "VIRTUAL TABLE" not in step
            assert not scans or step in HARMLESS_SCANS, (statement, steps)
            assert "TEMP B-TREE FOR ORDER BY" not in step, (statement, steps)
            assert groups or "TEMP B-TREE FOR GROUP BY" not in step, (statement, steps)
        found += [step for step in steps if step.startswith("SEARCH")]
    assert found
    return found


def accepting(store: SqliteStore, project: Project, new: NewNotification) -> Unit:
    def accept(connection: Connection) -> object:
        return accept_units.accept(
            connection,
            store._vault,
            project,
            new,
            backlog_max=10**9,
            lease_owner="w",
            lease_seconds=LEASE_SECONDS,
            now=NOW,
        )

    return accept


async def test_ids_are_looked_up_one_by_one(store: SqliteStore, project: Project) -> None:
    (record, other) = await store.list_subscriptions(project, state=None, limit=2, after=0)
    target = Target.to_subscriptions([record.public_id, other.short_id])
    new = new_notification(target, idempotency_key="k")
    steps = await steps_of(store, accepting(store, project, new))
    assert {step.partition("(")[2] for step in steps} == {
        "project_id=? AND idempotency_key=?)",
        "rowid=?) LEFT-JOIN",
        "",  # the highest id there is
        "priority=? AND not_before<?)",
        "public_id=?)",
        "project_id=? AND short_id=?)",
    }
    (backlog,) = (step for step in steps if "shards" in step)
    assert "COVERING INDEX ix_shards_ready" in backlog


async def test_contacts_are_looked_up_one_by_one(store: SqliteStore, project: Project) -> None:
    steps = await steps_of(
        store, lambda connection: audience_units.listed(connection, project, Target.to_contacts(["u1", "u2"]))
    )
    assert [step.partition("(")[2] for step in steps] == [
        "project_id=? AND external_id=?)",
        "contact_id=? AND ended_at=?)",
    ]


@pytest.mark.parametrize("statistics", [False, True])
async def test_an_audience_by_tag_starts_from_the_tag(store: SqliteStore, project: Project, statistics: bool) -> None:
    if statistics:
        await store.writer.run(lambda connection: connection.execute(text("ANALYZE")) and None)
    tag_id = await store.writer.run(lambda connection: audience_units.tag_id_of(connection, project, "many"))
    audience = Audience(project.id, "tag", high_water=1000, tag_id=tag_id)
    page = await steps_of(
        store, lambda connection: audience_units.audience_page(connection, audience, after=0, limit=10)
    )
    count = await steps_of(
        store,
        lambda connection: audience_count_units.count(connection, project, Target.to_tag("many"), now=NOW),
        groups=True,
    )
    for steps in (page, count):
        tagged = [step for step in steps if "tag_id=?" in step]
        joined = [step for step in steps if step.startswith("SEARCH s USING")]
        assert all("COVERING INDEX ix_contact_tags_tag" in step for step in tagged)
        assert all("contact_id=?" in step for step in joined), steps
        assert steps.index(tagged[-1]) < steps.index(joined[0])


@pytest.mark.parametrize("statistics", [False, True])
@pytest.mark.parametrize("kind", ["all", "retry"])
async def test_pages_of_an_audience_are_ranges_of_an_index(
    store: SqliteStore, project: Project, kind: str, statistics: bool
) -> None:
    if statistics:
        await store.writer.run(lambda connection: connection.execute(text("ANALYZE")) and None)
    audience = Audience(project.id, kind, high_water=1000, retry_of=1)
    steps = await steps_of(
        store, lambda connection: audience_units.audience_page(connection, audience, after=7, limit=10)
    )
    expected = {
        "all": ["project_id=? AND id>? AND id<?)", "project_id=? AND state=? AND id>? AND id<?)"],
        "retry": ["notification_id=? AND subscription_id>?)", "notification_id=?)", "rowid=?)"],
    }
    assert [step.partition("(")[2] for step in steps] == expected[kind]
    assert kind != "all" or "ix_subscriptions_living" in steps[0], "tombstones are not read"


async def test_nothing_that_is_asked_or_ordered_reads_a_table(store: SqliteStore, project: Project) -> None:
    first = (await store.list_notifications(project, limit=1, before=None))[0]
    unknown = str(uuid.UUID(int=0))
    units: dict[str, Unit] = {
        "find": lambda c: notification_units.find(c, project, first.public_id),
        "list": lambda c: notification_units.page(c, project, limit=10, before=unknown),
        "content": lambda c: notification_units.content_of(c, store._vault, project, first.public_id),
        "accounts": lambda c: notification_units.accounts(c, project, [1, 2, 3]),
        "pause": lambda c: notification_units.control(c, project, first.public_id, Command.PAUSE, now=NOW),
        "resume": lambda c: notification_units.control(c, project, first.public_id, Command.RESUME, now=NOW),
        "cancel": lambda c: notification_units.control(c, project, first.public_id, Command.CANCEL, now=NOW),
        "outcomes": lambda c: outcome_units.outcomes(c, project, first.id, kinds=None, limit=10, after=5),
        "put contact": lambda c: contact_units.put(c, project, "u1", ["few", "new"], now=NOW),
        "put tags away": lambda c: contact_units.put(c, project, "u1", [], now=NOW),
        "find contact": lambda c: contact_units.find(c, project, "u1"),
    }
    for unit in units.values():
        await steps_of(store, unit)
    grouped: dict[str, Unit] = {
        "count": lambda c: audience_count_units.count(c, project, Target.everyone(), now=NOW),
        "vendors": lambda c: notification_units.accounts_by_vendor(c, project, first.id),
        "tags": lambda c: contact_units.counted_tags(c, project),
    }
    for unit in grouped.values():
        await steps_of(store, unit, groups=True)


async def test_a_retry_finds_the_last_one_by_an_index(store: SqliteStore, project: Project) -> None:
    (record,) = await store.list_subscriptions(project, state=None, limit=1, after=0)
    first = new_notification(Target.to_subscriptions([record.public_id]))
    await store.accept(project, first, backlog_max=10**9, lease_owner=None)
    await store.control(project, first.public_id, Command.CANCEL)
    new = new_notification(Target.to_failed(), retry_of=first.public_id, send_at=NOW + 60)
    steps = await steps_of(store, accepting(store, project, new))
    assert any("ix_notifications_retry (retry_of=?)" in step for step in steps)
    assert any("ix_shards_live (notification_id=?)" in step for step in steps)
