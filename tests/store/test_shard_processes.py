"""Several workers on one file; and a disk that is full or cannot be written: nothing is lent twice, nothing lost."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore, open_store
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import NotificationRecord, NotificationState
from pushkeep.domain.shard import LEASE_SECONDS
from pushkeep.errors import Unavailable
from pushkeep.ports.shards import Checkpoint, LeaseLost
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.samples import new_notification
from tests.store.shard_contract import (
    BACKLOG_MAX,
    accepted,
    account_of,
    browsers,
    later,
    send_to,
    state_of,
    wanted,
)

SHARDS = 60


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqliteStore]:
    store = await opened(tmp_path / "pushkeep.db", clock)
    yield store
    await store.aclose()


async def opened(path: Path, clock: FakeClock, seed: int = 1) -> SqliteStore:
    return await open_store(path, MASTER_KEY, clock=clock, entropy=SeededEntropy(seed))


async def many_shards(store: SqliteStore, project: Project) -> None:
    (browser,) = await browsers(store, project, 1)
    await asyncio.gather(*(send_to(store, project, [browser]) for _ in range(SHARDS)))


async def test_workers_that_claim_at_once_never_get_the_same_shard(
    store: SqliteStore, project: Project, tmp_path: Path, clock: FakeClock
) -> None:
    """Four stores are four writer threads with a connection each, as processes have them."""
    await many_shards(store, project)
    others = [await opened(tmp_path / "pushkeep.db", clock, seed) for seed in (2, 3, 4)]
    got: list[tuple[int, str]] = []

    async def work(at: SqliteStore, owner: str) -> None:
        while claimed := await at.claim(wanted(owner=owner, limit=2)):
            for leased in claimed:
                got.append((leased.shard.lease.shard_id, owner))
                await at.checkpoint(Checkpoint(leased.shard.lease, accepted([0])))

    await asyncio.gather(*(work(at, f"w{number}") for number, at in enumerate((store, *others))))
    assert sorted(shard_id for shard_id, _ in got) == list(range(1, SHARDS + 1))
    assert len({owner for _, owner in got}) > 1
    for other in others:
        await other.aclose()


_WORKER = """
import asyncio, sys
from pathlib import Path
from pushkeep.adapters.store import open_store
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.shard_contract import wanted

async def main():
    store = await open_store(Path(sys.argv[1]), MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy(int(sys.argv[2])))
    while claimed := await store.claim(wanted(owner=sys.argv[2], limit=1)):
        print(claimed[0].shard.lease.shard_id)
    await store.aclose()

asyncio.run(main())
"""


async def test_processes_that_claim_at_once_never_get_the_same_shard(
    store: SqliteStore, project: Project, tmp_path: Path
) -> None:
    await many_shards(store, project)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", _WORKER, str(tmp_path / "pushkeep.db")]
    running = [
        await asyncio.create_subprocess_exec(*command, str(number), stdout=subprocess.PIPE, cwd=root)
        for number in (2, 3)
    ]
    async with asyncio.timeout(60):
        printed = [(await process.communicate())[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    ids = [int(line) for lines in printed for line in lines.split()]
    assert sorted(ids) == list(range(1, SHARDS + 1))


async def test_one_lost_lease_among_many_writes_undoes_itself_alone(
    store: SqliteStore, project: Project, clock: FakeClock
) -> None:
    """Checkpoints that wait for the disk share a commit."""
    await many_shards(store, project)
    mine = await store.claim(wanted(limit=SHARDS))
    clock.time += LEASE_SECONDS
    theirs = await store.claim(wanted(owner="other", limit=5))
    lost = {leased.shard.lease.shard_id for leased in theirs}
    before = store.writer.commits
    results = await asyncio.gather(
        *(store.checkpoint(Checkpoint(leased.shard.lease, accepted([0]))) for leased in mine), return_exceptions=True
    )
    assert store.writer.commits - before < SHARDS
    for leased, result in zip(mine, results, strict=True):
        assert isinstance(result, LeaseLost) == (leased.shard.lease.shard_id in lost)
    left = await store.claim(wanted(limit=SHARDS))
    assert left == ()
    for leased in theirs:
        await store.checkpoint(Checkpoint(leased.shard.lease, accepted([0])))


@contextmanager
def small_files(bytes_max: int) -> Iterator[None]:
    """No file of this process grows beyond that: what a full disk looks like to it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def fill_up(store: SqliteStore, project: Project) -> list[NotificationRecord]:
    """Accept until there is no room; what was accepted."""
    (browser,) = await browsers(store, project, 1, name="filler")
    kept: list[NotificationRecord] = []
    trouble: Unavailable | None = None
    while trouble is None:
        assert len(kept) < 1000, "the disk never was full"
        try:
            kept.append((await send_to(store, project, [browser], payload=bytes(3000)))[0])
        except Unavailable as error:
            trouble = error
    assert "disk" in trouble.message
    return kept


@pytest.mark.parametrize("how", ["pages", "files"])
async def test_a_full_disk_is_said_and_nothing_accepted_is_lost(
    store: SqliteStore, project: Project, tmp_path: Path, how: str
) -> None:
    records = await browsers(store, project, 3)
    record, _ = await send_to(store, project, records)
    (leased,) = await store.claim(wanted())
    written = Checkpoint(leased.shard.lease, accepted([0, 1]), [later(2, record.deadline - 1)])
    if how == "files":
        wal = (tmp_path / "pushkeep.db-wal").stat().st_size
        with small_files(max(wal, (tmp_path / "pushkeep.db").stat().st_size) + 400_000):
            kept = await fill_up(store, project)
            await still_readable(store, project, record, kept)
    else:
        await store.writer.run(lambda connection: limit_pages(connection, 20))
        kept = await fill_up(store, project)
        await still_readable(store, project, record, kept)
        await store.writer.run(lambda connection: limit_pages(connection, 1_000_000))
    await store.checkpoint(written)
    assert (await account_of(store, project, record)).undone == 1
    claimed = await store.claim(wanted(limit=1000))
    assert {one.job.id for one in claimed} == {one.id for one in kept}
    for one in claimed:
        assert one.job.payload == bytes(3000)
        await store.checkpoint(Checkpoint(one.shard.lease, accepted([0])))
    assert {await state_of(store, project, one) for one in kept} == {NotificationState.DONE}


async def still_readable(
    store: SqliteStore, project: Project, record: NotificationRecord, kept: list[NotificationRecord]
) -> None:
    assert (await account_of(store, project, record)).undone == 3
    for one in kept:
        assert (await account_of(store, project, one)).undone == 1


def limit_pages(connection: Connection, more: int) -> None:
    pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    connection.execute(text(f"PRAGMA max_page_count = {pages + more}"))


def make_writable(store: SqliteStore, writable: bool) -> None:
    """Between two transactions, as only there the writer's connection can be told."""
    raw = store._writing.raw_connection()
    raw.cursor().execute(f"PRAGMA query_only = {'OFF' if writable else 'ON'}")
    raw.close()


async def test_a_database_that_cannot_be_written_says_so_and_goes_on(store: SqliteStore, project: Project) -> None:
    records = await browsers(store, project, 2)
    record, _ = await send_to(store, project, records)
    (leased,) = await store.claim(wanted())
    make_writable(store, False)
    written = Checkpoint(leased.shard.lease, accepted([0, 1]))
    with pytest.raises(Unavailable, match="read-only; make the file"):
        await store.checkpoint(written)
    with pytest.raises(Unavailable, match="read-only"):
        await store.accept(project, new_notification(Target.everyone()), backlog_max=BACKLOG_MAX, lease_owner=None)
    assert await store.claim(wanted()) == (), "who finds nothing writes nothing"
    assert len((await store.load(leased, [0, 1])).members) == 2
    make_writable(store, True)
    await store.checkpoint(written)
    assert await state_of(store, project, record) is NotificationState.DONE
