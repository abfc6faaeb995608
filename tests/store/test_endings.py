"""The end of a notification is told once, to who closed its last shard, whatever ended it."""

from __future__ import annotations

from sqlalchemy import text

from pushkeep.adapters.store import SqliteStore
from pushkeep.domain.project import Project
from pushkeep.domain.sending import NotificationState
from pushkeep.domain.shard import LEASE_SECONDS, TAKEOVERS_MAX, Kind
from pushkeep.ports.notifications import Command
from pushkeep.ports.shards import Checkpoint, Ended, Ending
from tests.store.doubles import FakeClock
from tests.store.shard_contract import accepted, browsers, send_to, wanted


async def at_two_services(store: SqliteStore, project: Project) -> list[object]:
    fcm = await browsers(store, project, 2, host="fcm.googleapis.com", vendor="fcm")
    return [*await browsers(store, project, 2), *fcm]


async def test_the_last_checkpoint_of_several_shards_tells(
    store: SqliteStore, project: Project, clock: FakeClock
) -> None:
    record, _ = await send_to(store, project, await at_two_services(store, project))  # type: ignore[arg-type]
    one, other = await store.claim(wanted())
    clock.time += 7
    assert await store.checkpoint(Checkpoint(one.shard.lease, accepted([0, 1]))) is None
    assert await store.checkpoint(Checkpoint(other.shard.lease, accepted([0]))) is None
    ended = await store.checkpoint(Checkpoint(other.shard.lease, accepted([1])))
    assert ended == Ended(record.public_id, NotificationState.DONE, 7.0, {}), "a small one is not summed up"


async def test_a_large_one_is_told_with_its_counts(store: SqliteStore, project: Project) -> None:
    await send_to(store, project, await at_two_services(store, project))  # type: ignore[arg-type]
    await store.writer.run(lambda c: c.execute(text("UPDATE notifications SET keeps_outcomes = 0")) and None)
    one, other = await store.claim(wanted())
    await store.checkpoint(Checkpoint(one.shard.lease, accepted([0, 1])))
    ended = await store.checkpoint(Checkpoint(other.shard.lease, accepted([0]), ending=Ending.EXPIRE))
    assert ended is not None
    assert ended.counts == {Kind.ACCEPTED: 3, Kind.EXPIRED: 1}


async def test_a_cancelled_one_is_told_by_the_last_of_its_workers(store: SqliteStore, project: Project) -> None:
    record, _ = await send_to(store, project, await at_two_services(store, project))  # type: ignore[arg-type]
    one, other = await store.claim(wanted())
    await store.control(project, record.public_id, Command.CANCEL)
    assert await store.checkpoint(Checkpoint(one.shard.lease, ending=Ending.CANCEL)) is None
    ended = await store.checkpoint(Checkpoint(other.shard.lease, accepted([0]), ending=Ending.CANCEL))
    assert ended is not None
    assert (ended.public_id, ended.state) == (record.public_id, NotificationState.CANCELLED)


async def test_what_a_dead_worker_held_of_a_cancelled_one_is_told_by_the_sweep(
    store: SqliteStore, project: Project, clock: FakeClock
) -> None:
    record, _ = await send_to(store, project, await at_two_services(store, project))  # type: ignore[arg-type]
    await store.claim(wanted())
    await store.control(project, record.public_id, Command.CANCEL)
    clock.time += LEASE_SECONDS
    (ended,) = (await store.sweep()).ended
    assert (ended.public_id, ended.state) == (record.public_id, NotificationState.CANCELLED)
    assert (await store.sweep()).ended == ()


async def test_what_the_deadline_ended_is_told_by_the_sweep(
    store: SqliteStore, project: Project, clock: FakeClock
) -> None:
    record, _ = await send_to(store, project, await browsers(store, project, 2))
    clock.time = record.deadline + 5
    (ended,) = (await store.sweep()).ended
    assert (ended.public_id, ended.state, ended.seconds) == (record.public_id, NotificationState.DONE, 3605.0)
    assert (await store.sweep()).ended == ()


async def test_what_a_claim_set_aside_is_told_by_the_next_sweep(
    store: SqliteStore, project: Project, clock: FakeClock
) -> None:
    await send_to(store, project, await browsers(store, project, 2), deadline=clock.now() + 86_400)
    for _ in range(TAKEOVERS_MAX):
        assert len(await store.claim(wanted())) == 1
        assert (await store.sweep()).set_aside == 0
        clock.time += LEASE_SECONDS
    assert await store.claim(wanted()) == ()
    assert (await store.sweep()).set_aside == 1
    assert (await store.sweep()).set_aside == 0
