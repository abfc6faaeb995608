"""Chores: one process at a time, taken over when it does not come back, and nothing is written for who lost it."""

from __future__ import annotations

import asyncio

from pushkeep.adapters.store import SqliteStore
from pushkeep.domain.project import Project
from tests.store.samples import NOW


async def test_a_chore_is_lent_once_and_again_when_it_is_due(store: SqliteStore, project: Project) -> None:
    taken = await asyncio.gather(
        *(store.take_chore(project, "sweep", f"process {n}", now=NOW, lease_seconds=60.0) for n in range(5))
    )
    (chore,) = [found for found in taken if found is not None]
    assert chore.lease_owner is not None
    assert chore.result is None
    assert await store.finish_chore(
        project, "sweep", chore.lease_owner, now=NOW + 5, due_at=NOW + 100, result='{"a": 1}'
    )
    assert await store.take_chore(project, "sweep", "other", now=NOW + 99, lease_seconds=60.0) is None
    again = await store.take_chore(project, "sweep", "other", now=NOW + 100, lease_seconds=60.0)
    assert again is not None
    assert (again.result, again.finished_at, again.started_at) == ('{"a": 1}', NOW + 5, NOW + 100)


async def test_one_that_does_not_come_back_loses_it_and_writes_nothing(store: SqliteStore, project: Project) -> None:
    assert await store.take_chore(project, "sweep", "lost", now=NOW, lease_seconds=60.0)
    assert await store.renew_chore(project, "sweep", "lost", expires_at=NOW + 90)
    assert await store.take_chore(project, "sweep", "next", now=NOW + 89, lease_seconds=60.0) is None
    assert await store.take_chore(project, "sweep", "next", now=NOW + 90, lease_seconds=60.0)
    assert not await store.renew_chore(project, "sweep", "lost", expires_at=NOW + 500)
    assert not await store.finish_chore(project, "sweep", "lost", now=NOW, due_at=NOW + 9, result="{}")
    (chore,) = await store.chores(project)
    assert (chore.lease_owner, chore.result) == ("next", None)


async def test_one_that_was_lent_while_the_clock_was_ahead_is_not_kept_until_then(
    store: SqliteStore, project: Project
) -> None:
    assert await store.take_chore(project, "sweep", "lost", now=NOW + 1e7, lease_seconds=60.0)
    assert await store.take_chore(project, "sweep", "next", now=NOW, lease_seconds=60.0, early=True)
    assert await store.take_chore(project, "sweep", "other", now=NOW - 0.5, lease_seconds=60.0, early=True) is None


async def test_planning_brings_a_chore_nearer_and_never_puts_it_off(store: SqliteStore, project: Project) -> None:
    await store.plan_chore(project, "sweep", NOW + 100)
    await store.plan_chore(project, "sweep", NOW + 50)
    await store.plan_chore(project, "sweep", NOW + 500)
    (chore,) = await store.chores(project)
    assert chore.due_at == NOW + 50
    assert await store.take_chore(project, "sweep", "me", now=NOW, lease_seconds=1.0) is None
    assert await store.take_chore(project, "sweep", "me", now=NOW, lease_seconds=1.0, early=True)


async def test_no_result_keeps_the_one_before(store: SqliteStore, project: Project) -> None:
    for result in ('{"a": 1}', None):
        assert await store.take_chore(project, "sweep", "me", now=NOW, lease_seconds=9.0, early=True)
        assert await store.finish_chore(project, "sweep", "me", now=NOW, due_at=NOW, result=result)
    (chore,) = await store.chores(project)
    assert chore.result == '{"a": 1}'
