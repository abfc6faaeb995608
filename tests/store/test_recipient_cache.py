"""What was opened is kept for the next message, and never outlives a change, whoever makes it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pushkeep.adapters.store import SqliteStore, open_store, open_store_inline
from pushkeep.adapters.store.recipient_cache import RecipientCache
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.shard import SUB_BATCH_MEMBERS_MAX, Kind
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.ports.notifications import Leased
from pushkeep.protocol.subscription import Subscription
from tests.store.doubles import MASTER_KEY, FakeClock, SeededEntropy
from tests.store.samples import NOW, new_project, registration, subscription
from tests.store.shard_contract import browsers, send_to, wanted


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[tuple[SqliteStore, SqliteStore]]:
    """Two processes on one file."""
    path = tmp_path / "pushkeep.db"
    clock = FakeClock()
    one = await open_store(path, MASTER_KEY, clock=clock, entropy=SeededEntropy())
    other = await open_store(path, MASTER_KEY, clock=clock, entropy=SeededEntropy(2))
    yield one, other
    await one.aclose()
    await other.aclose()


async def subscriptions_of(store: SqliteStore, leased: Leased) -> list[Subscription | Kind | None]:
    loaded = await store.load(leased, range(leased.shard.done.count))
    return [member.skip if member.recipient is None else member.recipient.subscription for member in loaded.members]


async def test_what_another_process_changed_is_seen_at_once(stores: tuple[SqliteStore, SqliteStore]) -> None:
    here, there = stores
    project = await here.ensure_project(new_project())
    changes, leaves, stays = await browsers(here, project, 3)
    await send_to(here, project, [changes, leaves, stays])
    (leased,) = await here.claim(wanted())
    given = [subscription(f"b{number}") for number in range(3)]
    for _ in range(2):
        assert await subscriptions_of(here, leased) == given
    assert (here.recipient_cache.hits, here.recipient_cache.misses, len(here.recipient_cache)) == (3, 3, 3)
    changed = subscription("b0", auth=b"z" * 16)
    await there.register(project, registration(changed, replaces=changes.public_id))
    await there.end_subscription(project, AnyId(leaves.public_id, None), StateReason(Event.LEFT, NOW))
    assert await subscriptions_of(here, leased) == [changed, Kind.SKIPPED_ENDED, given[2]]
    assert len(here.recipient_cache) == 2, "what is erased in the database is not kept here"
    assert (here.recipient_cache.hits, here.recipient_cache.misses) == (4, 4)


async def test_a_large_shard_does_not_drive_out_the_active_ones() -> None:
    store = open_store_inline(None, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    project = await store.ensure_project(new_project())
    await send_to(store, project, await browsers(store, project, SUB_BATCH_MEMBERS_MAX + 1))
    (leased,) = await store.claim(wanted())
    assert len((await store.load(leased, range(10))).members) == 10
    assert len(store.recipient_cache) == 0
    assert (store.recipient_cache.hits, store.recipient_cache.misses) == (0, 0)
    await store.aclose()


async def test_most_look_ups_of_a_days_messages_hit() -> None:
    """1,000 active people; how often each is written to falls off as in Zipf's law; 1 in 200 changes its keys."""
    store = open_store_inline(None, MASTER_KEY, clock=FakeClock(), entropy=SeededEntropy())
    project = await store.ensure_project(new_project())
    records = await browsers(store, project, 1000)
    chance = random.Random(7)  # a seed, so that the rate is the same every time
    weights = [1 / rank for rank in range(1, len(records) + 1)]
    sent = 0
    for _ in range(600):
        some = chance.choices(range(len(records)), weights, k=10)
        named = [records[number] for number in dict.fromkeys(some)]
        _, (leased,) = await send_to(store, project, named, lease_owner="web")
        loaded = await store.load(leased, range(leased.shard.done.count))
        for member in loaded.members:
            assert member.recipient is not None
        sent += len(named)
        if chance.random() < 10 / 200:
            await renew_keys(store, project, chance.choice(some))
    assert store.recipient_cache.hits + store.recipient_cache.misses == sent
    assert store.recipient_cache.hits > 0.8 * sent
    await store.aclose()


async def renew_keys(store: SqliteStore, project: Project, number: int) -> None:
    given = subscription(f"b{number}", auth=number.to_bytes(16, "big"))
    mine = (await store.list_subscriptions(project, state=None, limit=1, after=number))[0]
    await store.register(project, registration(given, replaces=mine.public_id))


def test_the_one_unused_for_longest_goes_first() -> None:
    cache = RecipientCache(recipients_max=2)
    cache.keep(1, 1, subscription("one"))
    cache.keep(2, 1, subscription("two"))
    assert cache.find(1, 1) == subscription("one")
    cache.keep(3, 1, subscription("three"))
    assert cache.find(2, 1) is None
    assert cache.find(1, 1) is not None
    assert cache.find(3, 2) is None, "another version is another subscription"
    assert len(cache) == 1
    cache.forget(1)
    cache.forget(1)
    assert len(cache) == 0
    assert (cache.hits, cache.misses) == (2, 2)
