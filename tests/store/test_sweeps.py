"""Sweeps in the store: SQL judges as the domain does, pages lose nobody, and what is needed is not forgotten."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select

from pushkeep.adapters.store import SqliteStore
from pushkeep.adapters.store.sweep_units import sweep_page
from pushkeep.adapters.store.tables import lifecycle, subscriptions
from pushkeep.domain.health import DAY_SECONDS, Sign, assess
from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import By
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import LIVING, Event, State, StateReason, SubscriptionRecord
from pushkeep.domain.sweep import OriginCount, Scope, Survey, SweepRules
from pushkeep.ports.sweeps import PURGE_START, MovedPage
from pushkeep.protocol.vendors import VENDORS
from tests.store.samples import NOW, foreign, new_notification, registration, subscription

_DAYS = (0, 1, 10, 31, 59.999, 60, 60.001, 90, 179, 181, 269, 271, 400, 600)
_RULES = SweepRules(now=NOW)


def row(number: int, project: Project, **changes: Any) -> dict[str, Any]:
    """A stored subscription, active and seen today, without a mailbox that anything could be sent to."""
    return {
        "id": number,
        "project_id": project.id,
        "public_id": uuid.UUID(int=number),
        "short_id": f"{number:08d}",
        "contact_id": None,
        "signing_key_id": 1,
        "origin": "https://one.example",
        "vendor": "fcm",
        "endpoint_hash": number.to_bytes(16, "big"),
        "keys_hash": bytes(16),
        "sealed": b"sealed",
        "state": "active",
        "state_reason": None,
        "superseded_by": None,
        "created_at": NOW - 700 * DAY_SECONDS,
        "last_seen_at": NOW,
        "last_accepted_at": NOW,
        "consecutive_failures": 0,
        "suspect_days": "",
        "ended_at": None,
        "last_displayed_at": None,
        "probe_at": None,
        **changes,
    }


async def store_rows(store: SqliteStore, rows: list[dict[str, Any]]) -> None:
    await store.writer.run(lambda connection: connection.execute(insert(subscriptions), rows) and None)


async def survey(store: SqliteStore, project: Project, rules: SweepRules = _RULES, *, limit: int = 7) -> Survey:
    """The whole survey, page by page."""
    found, after = Survey(), 0
    while True:
        page = await store.survey_page(project, rules, after=after, limit=limit)
        for one in page.rows:
            found.add(one.origin, one.state, one.count, one.signs, one.likely_dead)
        if page.last is None:
            return found
        assert page.last > after
        after = page.last


async def records_of(store: SqliteStore, project: Project) -> tuple[SubscriptionRecord, ...]:
    return await store.list_subscriptions(project, state=None, limit=100_000, after=0)


def some_rows(project: Project, count: int, seed: int) -> list[dict[str, Any]]:
    """Living subscriptions with every mixture of ages, states and vendors, many on the very edge of a rule."""
    chance = random.Random(seed)

    def ago(*, never: bool = True) -> float | None:
        return None if never and chance.random() < 0.2 else NOW - chance.choice(_DAYS) * DAY_SECONDS

    rows = []
    for number in range(1, count + 1):
        state = chance.choice(sorted(LIVING))
        verdict = chance.choice(["suspect", "refused_endpoint", None])
        reason = {"cause": "quarantined", "at": NOW} | ({"verdict": verdict} if verdict else {})
        rows.append(
            row(
                number,
                project,
                vendor=chance.choice([*sorted(VENDORS), "no such row"]),
                origin=chance.choice(["https://one.example", "https://two.example"]),
                state=state.value,
                state_reason=None if state is State.ACTIVE or chance.random() < 0.1 else json.dumps(reason),
                last_seen_at=ago(never=False),
                last_accepted_at=ago(),
                last_displayed_at=ago(),
                suspect_days=" ".join(map(str, range(20_000, 20_000 + chance.randrange(4)))),
            )
        )
    return rows


async def test_the_signs_in_sql_are_those_of_the_domain(store: SqliteStore, project: Project) -> None:
    await store_rows(store, some_rows(project, 4000, seed=5))
    judged = {record.id: assess(record, NOW) for record in await records_of(store, project)}
    found = await survey(store, project, limit=333)
    assert found.living == 4000
    assert found.signs == Counter(sign for health in judged.values() for sign in health.signs)
    assert set(found.signs) == set(Sign)
    assert found.likely_dead == sum(health.likely_dead for health in judged.values())
    listed: list[int] = []
    after: int | None = 0
    while after is not None:
        page = await store.likely_dead_page(project, now=NOW, after=after, scan=700)
        listed += [record.id for record in page.records]
        after = page.last
    assert listed == [number for number, health in judged.items() if health.likely_dead]


async def test_a_survey_counts_each_living_one_once_by_origin_and_state(store: SqliteStore, project: Project) -> None:
    rows = some_rows(project, 500, seed=6)
    ended = [row(number, project, state="gone", ended_at=NOW, sealed=None) for number in range(501, 520)]
    await store_rows(store, rows + ended)
    found = await survey(store, project)
    assert {origin: count.living for origin, count in found.by_origin.items()} == Counter(one["origin"] for one in rows)
    assert found.by_state == Counter(State(one["state"]) for one in rows)
    assert sum(count.quarantine for count in found.by_origin.values()) == sum(
        one["state"] == "failing" and len(one["suspect_days"].split()) == 3 for one in rows
    )


async def test_after_a_send_only_the_troubled_are_looked_at(store: SqliteStore, project: Project) -> None:
    rows = some_rows(project, 500, seed=7)
    await store_rows(store, rows)
    found = await survey(store, project, SweepRules(now=NOW, scope=Scope.TROUBLED, expire_seconds=1.0))
    troubled = [one for one in rows if one["state"] in ("failing", "quarantined")]
    assert found.living == len(troubled)
    assert set(found.by_state) == {State.FAILING, State.QUARANTINED}
    assert not sum(count.expire for count in found.by_origin.values())


async def test_what_was_refused_on_three_days_goes_into_quarantine_and_nothing_else(
    store: SqliteStore, project: Project
) -> None:
    days = "20000 20001 20002"
    await store_rows(
        store,
        [
            row(1, project, state="failing", suspect_days=days, consecutive_failures=3),
            row(2, project, state="failing", suspect_days="20000 20001", consecutive_failures=9),
            row(3, project, suspect_days=days),
            row(4, project, state="failing", suspect_days=days, origin="https://two.example"),
            row(5, project, state="failing", suspect_days=days),
        ],
    )
    spare = {"https://two.example"}
    first = await store.sweep_page(project, _RULES, Event.QUARANTINED, spare=spare, after=0, limit=1)
    assert (first.moved, first.last) == (1, 1)
    rest = await store.sweep_page(project, _RULES, Event.QUARANTINED, spare=spare, after=1, limit=10)
    assert rest.moved == 1
    assert (await store.sweep_page(project, _RULES, Event.QUARANTINED, spare=spare, after=rest.last or 0, limit=9)) == (
        MovedPage(0, None)
    )
    states = {record.id: record for record in await records_of(store, project)}
    assert [number for number, record in states.items() if record.state is State.QUARANTINED] == [1, 5]
    moved = states[1]
    assert moved.probe_at == NOW + DAY_SECONDS
    assert moved.state_reason is not None
    assert moved.state_reason.cause is Event.QUARANTINED
    assert moved.consecutive_failures == 3
    (entry,) = await store.lifecycle(project, moved, limit=10)
    assert (entry.entry.evidence.by, entry.entry.evidence.days) == (By.SWEEP, 3)


@pytest.mark.parametrize("event", [Event.QUARANTINED, Event.EXPIRED])
async def test_a_page_that_writes_looks_at_few_rows_however_few_of_them_deserve_it(
    store: SqliteStore, project: Project, event: Event
) -> None:
    """Others wait meanwhile: after an outage all are failing, and one has been refused for days."""
    failing = {"state": "failing", "suspect_days": "1 2"}
    rows = [row(number, project, **failing) for number in range(1, 10)]
    old = NOW - 400 * DAY_SECONDS
    await store_rows(store, [*rows, row(10, project, state="failing", suspect_days="1 2 3", last_seen_at=old)])
    rules = SweepRules(now=NOW, expire_seconds=365 * DAY_SECONDS)
    pages: list[MovedPage] = []
    after = 0
    while len(pages) < 9:
        unit = partial(sweep_page, project=project, rules=rules, event=event, spare=(), after=after, limit=5, scan=4)
        pages.append(await store.writer.run(unit))
        if pages[-1].last is None:
            break
        after = pages[-1].last
    assert [(page.moved, page.last) for page in pages] == [(0, 4), (0, 8), (1, 10), (0, None)]


async def test_what_nobody_heard_of_is_ended_once_the_operator_wants_that(store: SqliteStore, project: Project) -> None:
    old = NOW - 400 * DAY_SECONDS
    await store_rows(
        store,
        [
            row(1, project, last_seen_at=old),
            row(2, project, last_seen_at=old, last_displayed_at=NOW - DAY_SECONDS),
            row(3, project),
            row(4, project, last_seen_at=old, state="needs_renewal"),
        ],
    )
    rules = SweepRules(now=NOW, expire_seconds=365 * DAY_SECONDS)
    assert (await survey(store, project, rules)).by_origin["https://one.example"] == OriginCount(4, 0, 2)
    page = await store.sweep_page(project, rules, Event.EXPIRED, spare=(), after=0, limit=1)
    assert (page.moved, page.last) == (1, 1)
    page = await store.sweep_page(project, rules, Event.EXPIRED, spare=(), after=1, limit=5)
    assert (page.moved, page.last) == (1, 4)
    assert (await store.sweep_page(project, rules, Event.EXPIRED, spare=(), after=4, limit=5)).last is None
    records = {record.id: record for record in await records_of(store, project)}
    assert [number for number, record in records.items() if not record.living] == [1, 4]
    assert records[1].state is State.GONE
    assert records[1].state_reason == StateReason(Event.EXPIRED, NOW)
    found = await store.find_recipient(project, AnyId(records[1].public_id, None))
    assert found is not None
    assert found.subscription is None


def tombstone(number: int, project: Project, days: float, successor: int | None = None) -> dict[str, Any]:
    state = "gone" if successor is None else "superseded"
    ended_at = NOW - days * DAY_SECONDS
    return row(number, project, state=state, ended_at=ended_at, sealed=None, superseded_by=successor)


async def purge(store: SqliteStore, project: Project, rules: SweepRules = _RULES, *, limit: int = 3) -> int:
    """Everything that may be forgotten, having checked that the preview says as much."""
    before = await store.purge_before(project, rules)
    promised = await store.count_tombstones(project, before=before)
    purged, after = 0, PURGE_START
    while True:
        page = await store.purge_page(project, before=before, after=after, limit=limit)
        purged += page.purged
        if page.after is None:
            assert purged == promised
            return purged
        after = page.after


async def ids(store: SqliteStore, project: Project) -> list[int]:
    return [record.id for record in await records_of(store, project)]


async def test_old_tombstones_are_forgotten_with_their_log_and_young_ones_stay(
    store: SqliteStore, project: Project
) -> None:
    await store_rows(store, [row(1, project), tombstone(2, project, 91), tombstone(3, project, 89)])
    await store_rows(store, [tombstone(number, project, 91) for number in range(4, 14)])
    entry = {"project_id": project.id, "at": NOW, "event": "registered", "state": "active", "evidence": '{"by": "x"}'}

    def log(connection: Connection) -> None:
        connection.execute(insert(lifecycle), [{**entry, "subscription_id": number} for number in (1, 2, 3)])

    await store.writer.run(log)
    assert await purge(store, project) == 11
    assert await ids(store, project) == [1, 3]
    logged = await store.writer.run(lambda connection: connection.execute(select(lifecycle.c.subscription_id)).all())
    assert [number for (number,) in logged] == [1, 3]
    assert await purge(store, project) == 0


async def test_a_chain_is_forgotten_from_its_beginning(store: SqliteStore, project: Project) -> None:
    await store_rows(
        store,
        [
            row(5, project),
            tombstone(4, project, 95, successor=5),
            tombstone(3, project, 96, successor=4),
            tombstone(2, project, 97, successor=3),
            tombstone(1, project, 98, successor=2),
        ],
    )
    assert await purge(store, project, limit=2) == 4
    assert await ids(store, project) == [5]


async def test_what_a_row_that_stays_points_at_stays_with_all_behind_it(store: SqliteStore, project: Project) -> None:
    await store_rows(
        store,
        [
            tombstone(9, project, 95),
            tombstone(8, project, 99, successor=9),
            tombstone(7, project, 97, successor=8),
            tombstone(6, project, 10, successor=7),
            tombstone(5, project, 98),
        ],
    )
    assert await purge(store, project, limit=10) == 1
    assert await ids(store, project) == [6, 7, 8, 9]


async def test_tombstones_wait_for_messages_that_may_still_be_led_by_them(store: SqliteStore, project: Project) -> None:
    await store.register(project, registration(subscription("alive")))
    accepted_at = NOW - 100 * DAY_SECONDS
    waiting = new_notification(
        Target(kind="all"), accepted_at=accepted_at, send_at=NOW + DAY_SECONDS, deadline=NOW + 2 * DAY_SECONDS
    )
    await store.accept(project, waiting, backlog_max=10**6, lease_owner=None)
    await store_rows(store, [tombstone(50, project, 95), tombstone(51, project, 101)])
    assert await purge(store, project) == 1
    assert 50 in await ids(store, project)
    late = SweepRules(now=NOW + 3 * DAY_SECONDS)
    assert await purge(store, project, late) == 1  # its deadline is over


async def test_another_projects_rows_are_left_alone(store: SqliteStore, project: Project) -> None:
    await store_rows(
        store,
        [
            tombstone(1, project, 91),
            row(2, project, state="failing", suspect_days="1 2 3"),
            row(3, project, last_seen_at=NOW - 700 * DAY_SECONDS),
        ],
    )
    other, rules = foreign(project), SweepRules(now=NOW, expire_seconds=1.0)
    assert await purge(store, other) == 0
    assert (await survey(store, other, rules)).living == 0
    for event in (Event.QUARANTINED, Event.EXPIRED):
        assert (await store.sweep_page(other, rules, event, spare=(), after=0, limit=9)).moved == 0
    assert (await store.likely_dead_page(other, now=NOW, after=0, scan=9)).records == ()
    assert await store.contact_names(other, [1]) == {}
    assert await store.short_ids(other, [str(uuid.UUID(int=1))]) == {}


async def test_what_is_known_of_an_audience(store: SqliteStore, project: Project) -> None:
    await store.put_contact(project, "alice", ["vip"])
    for name in ("a", "b", "c"):
        await store.register(project, registration(subscription(name), owner="alice" if name == "a" else None))
    await store_rows(
        store,
        [
            row(101, project, state="quarantined", probe_at=NOW - 1),
            row(102, project, state="quarantined", probe_at=NOW + 1),
            row(103, project, state="needs_renewal", last_seen_at=NOW - 70 * DAY_SECONDS),
            row(104, project, state="gone", ended_at=NOW),
        ],
    )
    everybody = await store.audience_health(project, Target(kind="all"), now=NOW)
    assert everybody.by_state == {State.ACTIVE: 3, State.QUARANTINED: 2, State.NEEDS_RENEWAL: 1}
    assert (everybody.likely_dead, everybody.probes) == (3, 1)
    tagged = await store.audience_health(project, Target(kind="tag", tag="vip"), now=NOW)
    assert tagged.by_state == {State.ACTIVE: 1}
    named = await store.audience_health(project, Target(kind="contacts", contacts=("alice",)), now=NOW)
    assert named.by_state == {State.ACTIVE: 1}


async def test_names_are_looked_up_in_the_project_only(store: SqliteStore, project: Project) -> None:
    await store.put_contact(project, "alice", [])
    await store_rows(store, [row(1, project)])
    assert await store.contact_names(project, [1, 99]) == {1: "alice"}
    unknown = str(uuid.UUID(int=77))
    assert await store.short_ids(project, [str(uuid.UUID(int=1)), unknown]) == {str(uuid.UUID(int=1)): "00000001"}


async def test_living_ones_are_counted_by_origin(store: SqliteStore, project: Project) -> None:
    await store_rows(store, some_rows(project, 50, seed=8))
    counts: Counter[str] = Counter()
    after: int | None = 0
    while after is not None:
        page, after = await store.living_by_origin(project, after=after, limit=9)
        counts.update(page)
    assert counts.total() == 50
    number = await store.writer.run(
        lambda connection: connection.execute(select(func.count(subscriptions.c.id))).scalar()
    )
    assert number == 50
