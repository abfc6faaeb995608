"""The LaneStore contract on SQLite, in a file and in memory; and what two processes with one file see."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from pushkeep.adapters.store import SqliteStore, lane_units, open_store
from pushkeep.adapters.store.tables import notifications, shards
from pushkeep.domain.project import Project
from pushkeep.domain.sending import Priority
from pushkeep.domain.shard import ShardKind, ShardState
from pushkeep.ports.lanes import Backlog
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.lane_contract import FCM, REPORT, WNS, LaneContract, key_id, opened
from tests.store.samples import NOW, new_project
from tests.store.test_plans import statements_of

__all__ = ["key_id"]


@pytest.mark.parametrize("store", ["file", "memory"], indirect=True)
class TestLanes(LaneContract):
    pass


async def test_of_several_processes_that_ask_at_once_exactly_one_may_probe(tmp_path: Path, clock: FakeClock) -> None:
    async with AsyncExitStack() as stack:
        stores: list[SqliteStore] = []
        for _ in range(3):
            opened_store = await open_store(tmp_path / "pushkeep.db", MASTER_KEY, clock=clock, entropy=SeededEntropy())
            stack.push_async_callback(opened_store.aclose)
            stores.append(opened_store)
        project = await stores[0].ensure_project(new_project())
        (key,) = await stores[0].signing_keys(project)
        await stores[0].keep_circuit(key.id, WNS, opened(clock.now()))
        answers = await asyncio.gather(*(one.take_probe(key.id, WNS) for one in stores for _ in range(5)))
        assert answers.count(True) == 1


def _notification(connection: Connection, project: Project, *, paused_at: float | None = None) -> int:
    number: int = connection.execute(
        insert(notifications)
        .values(
            project_id=project.id,
            public_id=uuid.uuid4(),
            content=b"",
            compress=False,
            ttl=60,
            priority=1,
            target_kind="all",
            state="sending",
            paused_at=paused_at,
            accepted_at=NOW,
            send_at=NOW,
            deadline=NOW + 60,
            high_water=9,
            keeps_outcomes=False,
            request_hash=b"",
        )
        .returning(notifications.c.id)
    ).scalar_one()
    return number


def _shard(connection: Connection, project: Project, notification: int, chunk: int, **values: object) -> None:
    row: Mapping[str, object] = {
        "project_id": project.id,
        "notification_id": notification,
        "kind": ShardKind.SEND.value,
        "priority": Priority.NORMAL.value,
        "origin": WNS,
        "vendor": "wns",
        "page": 0,
        "chunk": chunk,
        "members": b"",
        "owners": b"",
        "done": b"",
        "count": 10,
        "state": ShardState.READY.value,
        "not_before": NOW,
    } | values
    connection.execute(insert(shards).values(**row))


async def test_the_backlog_counts_what_is_undone_and_how_long_it_has_been_due(
    store: SqliteStore, clock: FakeClock
) -> None:
    project = await store.ensure_project(new_project())

    def fill(connection: Connection) -> None:
        sending, paused = _notification(connection, project), _notification(connection, project, paused_at=NOW)
        _shard(connection, project, sending, 1, settled=4)
        _shard(connection, project, sending, 2, not_before=NOW + 500)
        _shard(connection, project, sending, 3, state=ShardState.LEASED.value, settled=9)
        _shard(connection, project, sending, 8, state=ShardState.SET_ASIDE.value, settled=3)
        _shard(connection, project, sending, 4, state=ShardState.CLOSED.value, settled=10)
        _shard(connection, project, sending, 5, kind=ShardKind.PLAN.value, priority=Priority.BULK.value, count=0)
        _shard(connection, project, paused, 6, not_before=NOW - 500)
        _shard(connection, project, paused, 7, priority=Priority.TRANSACTIONAL.value, not_before=NOW - 500)

    await store.writer.run(fill)
    clock.time = NOW + 20
    assert await store.backlog() == {
        Priority.TRANSACTIONAL: Backlog(recipients=10, shards=1),
        Priority.NORMAL: Backlog(recipients=6 + 10 + 1 + 10, shards=4, leased=1, set_aside=7, oldest_seconds=20.0),
        Priority.BULK: Backlog(plans=1, oldest_seconds=20.0),
    }


async def test_without_shards_the_backlog_is_empty(store: SqliteStore) -> None:
    assert await store.backlog() == dict.fromkeys(Priority, Backlog())


async def test_what_is_asked_every_second_finds_its_rows_by_an_index(store: SqliteStore) -> None:
    """Rests, circuits and workers are a handful of rows each, and read as a whole; shards are not."""
    await store.ensure_project(new_project())
    await store.rest_origin(FCM, NOW + 60)
    await store.report_worker(REPORT)
    plans = await statements_of(store, lambda connection: lane_units.backlog(connection, now=NOW))
    assert len(plans) == 3
    for statement, steps in plans:
        assert any("USING INDEX ix_shards_" in step for step in steps), (statement, steps)
        assert not any(step == "SCAN shards" for step in steps), (statement, steps)
