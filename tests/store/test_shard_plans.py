"""The plans of what workers ask all the time: by an index, and for no more rows than concern the question."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, insert, text

from pushkeep.adapters.store import (
    SqliteStore,
    checkpoint_units,
    claim_units,
    load_units,
    plan_units,
)
from pushkeep.adapters.store.tables import shards
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.shard import LEASE_SECONDS, Kind, LeaseKey
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.ports import ResultUpdate
from pushkeep.ports.notifications import Leased
from pushkeep.ports.shards import Checkpoint, SettledMember
from tests.store.doubles import FakeClock
from tests.store.samples import NOW, new_notification
from tests.store.shard_contract import (
    BACKLOG_MAX,
    FCM,
    MOZILLA,
    accepted,
    browsers,
    later,
    replace,
    send_to,
    wanted,
)
from tests.store.test_plans import statements_of

SHARDS = 1000


@pytest.fixture
async def busy(store: SqliteStore, project: Project) -> Leased:
    """Eight notifications with many shards each, and one that is on loan."""
    records = await browsers(store, project, 5)
    await send_to(store, project, records)
    (leased,) = await store.claim(wanted())
    ids = [(await send_to(store, project, records, send_at=NOW + 5))[0].id for _ in range(8)]
    await store.writer.run(lambda connection: _fill(connection, ids))
    return leased


def _fill(connection: Connection, ids: list[int]) -> None:
    for number in range(SHARDS):
        row = {
            "project_id": 1,
            "notification_id": ids[number % len(ids)],
            "kind": "send",
            "priority": 1,
            "origin": (MOZILLA, FCM)[number % 2],
            "vendor": ("mozilla", "fcm")[number % 2],
            "page": number + 1,
            "count": 1,
            "state": "ready" if number % 4 else "closed",
            "not_before": NOW - 10 + number % 20,
            "members": bytes(8),
            "owners": b"",
            "done": b"\0",
        }
        connection.execute(insert(shards), row)
    connection.execute(text("ANALYZE shards"))


async def test_no_statement_of_a_worker_scans_a_table(store: SqliteStore, project: Project, busy: Leased) -> None:
    lease = busy.shard.lease
    gone = StateReason(Event.SAID_GONE, NOW)
    written = Checkpoint(
        lease,
        [*accepted([0]), SettledMember(1, Kind.GONE, "end", 410, attempts=1)],
        [later(2, NOW + 60), later(3, NOW + 60)],
        [
            ResultUpdate(1, 1, Event.ACCEPTED),
            ResultUpdate(2, 1, Event.SAID_GONE, gone),
            ResultUpdate(3, 1, Event.FAILED),
        ],
    )
    everybody = new_notification(Target.everyone(), send_at=NOW + 1)
    await store.accept(project, everybody, backlog_max=BACKLOG_MAX, lease_owner=None)
    vault = store._vault
    last = Checkpoint(lease, accepted([4]))
    units: dict[str, Callable[[Connection], object]] = {
        "load": lambda c: load_units.load(c, vault, store.recipient_cache, busy, range(5), NOW),
        "renew": lambda c: claim_units.renew(c, [lease, LeaseKey(99, 1)], NOW + LEASE_SECONDS),
        "checkpoint": lambda c: checkpoint_units.checkpoint(c, vault, written, NOW, LEASE_SECONDS),
        "last checkpoint": lambda c: checkpoint_units.checkpoint(c, vault, last, NOW, LEASE_SECONDS),
        "next due": lambda c: claim_units.next_due(c, NOW),
        "claim": lambda c: claim_units.claim(c, vault, wanted(), NOW, LEASE_SECONDS),
        "claim of many": lambda c: claim_units.claim(c, vault, wanted(), NOW + 10, LEASE_SECONDS),
        "sweep": lambda c: plan_units.sweep(c, NOW + 10_000, LEASE_SECONDS),
    }
    for name, unit in units.items():
        plans = await statements_of(store, unit)
        assert plans, name
        for statement, steps in plans:
            for step in steps:
                scan = step.startswith("SCAN") and not any(word in step for word in _NOT_TABLES)
                assert not scan, (name, steps, statement)


_NOT_TABLES = (
    "VIRTUAL TABLE",
    "first",
    "SCAN leads",
    "subquery",
    "SCAN origin_rests",
    "INDEX ix_shards_leased",
    "INDEX ix_notifications_unfinished",
)
"""What scans lists, results of searches, a table of a few rows, and indexes of only what is at work now."""


async def test_what_waits_for_its_time_is_not_looked_at_by_claims_and_sweeps(
    store: SqliteStore, project: Project, busy: Leased
) -> None:
    def claim(connection: Connection) -> object:
        return claim_units.claim(connection, store._vault, wanted(), NOW + 10, LEASE_SECONDS)

    def sweep(connection: Connection) -> object:
        return plan_units.sweep(connection, NOW, LEASE_SECONDS)

    turns = [steps for text, steps in await statements_of(store, claim) if "RECURSIVE" in text]
    begun = [steps for text, steps in await statements_of(store, sweep) if "state = 'sending'" in text]
    for steps in (*turns, *begun):
        assert any("ix_notifications_begun (send_at<?)" in step for step in steps), steps
    cancelled = [
        steps for text, steps in await statements_of(store, sweep) if "SELECT id" in text and "'cancelled'" in text
    ]
    assert all("COVERING INDEX ix_notifications_unfinished" in steps[0] for steps in cancelled)
    assert (len(turns), len(begun), len(cancelled)) == (1, 1, 1)


async def test_who_gets_the_message_in_anothers_place_is_found_by_index(
    store: SqliteStore, project: Project, busy: Leased
) -> None:
    records = await store.list_subscriptions(project, state=None, limit=2, after=0)
    await replace(store, project, "new", *records)
    plans = await statements_of(
        store, lambda c: load_units.load(c, store._vault, store.recipient_cache, busy, range(5), NOW)
    )
    steps = [step for _, steps in plans for step in steps]
    assert any("ix_subscriptions_successor (superseded_by=?)" in step for step in steps)
    assert any(
        "recipient_outcomes USING PRIMARY KEY (notification_id=? AND subscription_id=?)" in step for step in steps
    )
    assert not [step for step in steps if step.startswith("SCAN") and not any(word in step for word in _NOT_TABLES)]


async def test_a_plans_page_is_found_by_index(store: SqliteStore, project: Project) -> None:
    await browsers(store, project, 5)
    await store.accept(
        project, new_notification(Target.everyone(), send_at=NOW + 1), backlog_max=BACKLOG_MAX, lease_owner=None
    )
    assert isinstance(store._clock, FakeClock)
    store._clock.time += 1
    (plan,) = await store.claim(wanted())
    plans = await statements_of(
        store, lambda c: plan_units.plan_page(c, store._vault, plan.shard.lease, NOW + 1, LEASE_SECONDS)
    )
    assert not [step for _, steps in plans for step in steps if step.startswith("SCAN")]


async def test_the_end_of_a_notification_is_seen_without_reading_its_closed_shards(
    store: SqliteStore, busy: Leased
) -> None:
    written = Checkpoint(busy.shard.lease, accepted(range(5)))
    plans = await statements_of(
        store, lambda c: checkpoint_units.checkpoint(c, store._vault, written, NOW, LEASE_SECONDS)
    )
    ends = [steps for statement, steps in plans if "EXISTS" in statement]
    assert ends
    for steps in ends:
        assert any("ix_shards_live" in step for step in steps), steps
