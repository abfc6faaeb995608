"""A sweep does what its dry run said and no more; the breaker holds a crowd back; chores are done by one at a time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pushkeep.app.chores import (
    SWEEP,
    Chores,
    SweepPlan,
    summary,
    sweep_as_chore,
    sweep_now,
)
from pushkeep.app.desk import LEASE_SECONDS, LeaseKept, Shown
from pushkeep.app.schedule import Schedule
from pushkeep.app.sweep import SweepReport, sweep
from pushkeep.domain import event as facts
from pushkeep.domain.health import DAY_SECONDS
from pushkeep.domain.subscription import State
from pushkeep.domain.sweep import BREAKER_COUNT, Held, OriginCount, Scope, SweepRules, breaks, held_back
from pushkeep.errors import Conflict, InvalidInput
from tests.app.conftest import World
from tests.store.samples import NOW
from tests.store.test_sweeps import row, store_rows, tombstone

DAYS = "20000 20001 20002"
ORIGIN = "https://one.example"
MONDAYS = Schedule("23 4 * * 1")


async def crowd(world: World, living: int, refused: int, *, origin: str = ORIGIN, first: int = 1000) -> None:
    """Living subscriptions at one push service, of which some were refused on three days."""
    rows = [row(first + number, world.project, origin=origin) for number in range(living)]
    for one in rows[:refused]:
        one |= {"state": "failing", "suspect_days": DAYS}
    await store_rows(world.store, rows)


async def swept(world: World, rules: SweepRules | None = None, **given: Any) -> SweepReport:
    """A dry run and then the real thing, which must come to the same."""
    rules = rules or SweepRules(now=world.clock.now())
    before = await world.records()
    promised = await sweep(world.services, world.project, rules, dry_run=True, desk=Shown(), **given)
    assert await world.records() == before
    report = await sweep(world.services, world.project, rules, desk=Shown(), **given)
    assert (report.quarantined, report.expired, report.purged, report.held) == (
        promised.quarantined,
        promised.expired,
        promised.purged,
        promised.held,
    )
    return report


async def quarantined(world: World) -> int:
    return sum(record.state is State.QUARANTINED for record in await world.records())


async def test_a_sweep_quarantines_ends_and_forgets_what_its_dry_run_said(world: World) -> None:
    await crowd(world, 500, 25)
    await store_rows(
        world.store,
        [
            *(tombstone(number, world.project, 91) for number in range(1, 8)),
            *(row(number, world.project, last_seen_at=NOW - 401 * DAY_SECONDS) for number in range(10, 14)),
        ],
    )
    heard: list[facts.Event] = []
    world.services.announcer.listen(heard.append)
    report = await swept(world, SweepPlan(expire_unseen_days=400).rules(NOW), force=True)
    assert (report.quarantined, report.expired, report.purged) == (25, 4, 7)
    assert report.survey.living == 504
    assert report.likely_dead == 4
    assert await quarantined(world) == 25
    (fact,) = [one for one in heard if isinstance(one, facts.SweepEnded)]
    assert (fact.living, fact.quarantined, fact.expired, fact.purged, fact.held) == (504, 25, 4, 7, ())
    again = await swept(world, SweepPlan(expire_unseen_days=400).rules(NOW))
    assert (again.quarantined, again.expired, again.purged) == (0, 0, 0)


@pytest.mark.parametrize(
    ("removed", "living", "broken"),
    [(20, 20, False), (21, 21, True), (21, 420, False), (21, 419, True), (0, 0, False), (50_000, 1_000_000, False)],
)
def test_the_breaker_lets_twenty_go_and_a_twentieth(removed: int, living: int, *, broken: bool) -> None:
    assert breaks(removed, living) is broken


def test_a_share_is_one_of_all_living_ones_and_force_asks_nobody() -> None:
    found = {ORIGIN: OriginCount(30, 25, 0)}
    assert held_back(found, {ORIGIN: 10_000}) == ()
    assert held_back(found, {}) == (Held(ORIGIN, 25, 30),)
    assert held_back(found, {}, force=True) == ()


async def test_what_looks_like_the_death_of_a_crowd_is_held_back_there_and_nowhere_else(world: World) -> None:
    await crowd(world, 100, BREAKER_COUNT + 1)
    await crowd(world, 100, 3, origin="https://two.example", first=5000)
    report = await swept(world)
    assert report.held == (Held(ORIGIN, BREAKER_COUNT + 1, 100),)
    assert report.quarantined == 3
    assert await quarantined(world) == 3
    forced = await swept(world, force=True)
    assert (forced.held, forced.quarantined) == ((), BREAKER_COUNT + 1)


async def test_a_sweep_after_a_send_asks_the_breaker_about_all_living_ones(world: World) -> None:
    await crowd(world, 1000, BREAKER_COUNT + 5)
    await store_rows(world.store, [tombstone(1, world.project, 91)])
    report = await swept(world, SweepRules(now=NOW, scope=Scope.TROUBLED))
    assert (report.survey.living, report.held, report.quarantined) == (BREAKER_COUNT + 5, (), BREAKER_COUNT + 5)
    assert report.purged == 0


async def test_nobody_is_moved_who_was_not_counted(world: World) -> None:
    """Whoever came to deserve it after the count waits for the next sweep: the breaker was not asked about them."""
    await crowd(world, 100, 5)

    class Meanwhile(Shown):
        done = False

        async def keep(self) -> None:
            if not self.done:
                self.done = True
                await crowd(world, 100, 50, first=100)

    report = await sweep(world.services, world.project, SweepRules(now=NOW), desk=Meanwhile())
    assert report.quarantined == 5
    assert await quarantined(world) == 5


async def test_one_sweep_at_a_time_and_the_next_when_it_is_due(world: World) -> None:
    await crowd(world, 50, 2)
    plan = SweepPlan(MONDAYS)
    first, second = await asyncio.gather(
        *(sweep_as_chore(world.services, world.project, plan, owner=owner, early=True) for owner in ("a", "b"))
    )
    done = [report for report in (first, second) if report is not None]
    assert len(done) == 1
    (chore,) = await world.store.chores(world.project)
    assert chore.due_at == MONDAYS.after(NOW)
    assert chore.result is not None
    assert json.loads(chore.result) == summary(done[0])
    assert json.loads(chore.result)["quarantined"] == 2
    assert await sweep_as_chore(world.services, world.project, plan, owner="c") is None


async def test_whoever_asks_for_a_sweep_is_told_how_far_it_is_or_that_one_is_under_way(world: World) -> None:
    await crowd(world, 50, 2)
    await store_rows(world.store, [tombstone(1, world.project, 91)])
    shown: list[tuple[str, int, int | None]] = []

    def show(phase: str, done: int, total: int | None) -> None:
        shown.append((phase, done, total))

    promised = await sweep_now(world.services, world.project, SweepPlan(), owner="me", dry_run=True, show=show)
    assert shown == [("counting", 50, 50)]
    assert await world.store.chores(world.project) == ()
    done = await sweep_now(world.services, world.project, SweepPlan(), owner="me", show=show)
    assert (done.quarantined, done.purged) == (promised.quarantined, promised.purged) == (2, 1)
    assert shown[1:] == [("counting", 50, 50), ("quarantining", 2, 2), ("forgetting", 1, None)]
    await world.store.take_chore(world.project, SWEEP, "other", now=NOW, lease_seconds=60.0, early=True)
    with pytest.raises(Conflict, match="under way already"):
        await sweep_now(world.services, world.project, SweepPlan(), owner="me")


async def test_whoever_lost_the_lease_stops_before_the_next_page(world: World) -> None:
    await world.store.take_chore(world.project, SWEEP, "slow", now=NOW, lease_seconds=LEASE_SECONDS)
    desk = LeaseKept(world.services, world.project, SWEEP, "slow")
    await desk.keep()
    world.clock.time += LEASE_SECONDS + 1
    await world.store.take_chore(world.project, SWEEP, "next", now=world.clock.now(), lease_seconds=LEASE_SECONDS)
    with pytest.raises(Conflict, match="another one took over"):
        await desk.keep()


async def test_a_process_sweeps_by_its_schedule_and_not_at_its_first_start(world: World) -> None:
    await crowd(world, 50, 2)
    chores = Chores(world.services, world.project, SweepPlan(MONDAYS), owner="me")
    await chores.look()
    assert await quarantined(world) == 0
    world.clock.time = MONDAYS.after(NOW) + 1
    await chores.look()
    assert await quarantined(world) == 2
    (chore,) = await world.store.chores(world.project)
    assert chore.due_at == MONDAYS.after(world.clock.now())


async def test_a_schedule_that_was_changed_takes_effect(world: World) -> None:
    await Chores(world.services, world.project, SweepPlan(Schedule("0 0 1 1 *")), owner="a").look()
    hourly = Schedule("0 * * * *")
    await Chores(world.services, world.project, SweepPlan(hourly), owner="b").look()
    (chore,) = await world.store.chores(world.project)
    assert chore.due_at == hourly.after(NOW)


async def test_after_a_send_the_troubled_are_swept_and_not_after_each_of_many(world: World) -> None:
    await crowd(world, 50, 2)
    registered = await world.register("one")
    chores = Chores(world.services, world.project, SweepPlan(), owner="me")
    await chores.look()
    assert await world.store.chores(world.project) == ()
    await world.send(registered.public_id)
    await chores.look()
    assert await quarantined(world) == 2
    (chore,) = await world.store.chores(world.project)
    await world.send(registered.public_id)
    world.clock.time += 10
    await chores.look()
    assert (await world.store.chores(world.project)) == (chore,)
    world.clock.time += 600
    await chores.look()
    (later,) = await world.store.chores(world.project)
    assert later.finished_at == world.clock.now()
    chores.close()
    await world.send(registered.public_id)
    world.clock.time += 600
    await chores.look()
    assert (await world.store.chores(world.project)) == (later,)


async def test_chores_go_on_after_trouble(world: World) -> None:
    """Whatever one look comes to, the next one is half a minute later."""
    looked = 0

    class Troubled(Chores):
        async def look(self) -> None:
            nonlocal looked
            looked += 1
            if looked == 3:
                raise asyncio.CancelledError
            raise (Conflict("taken over"), RuntimeError("broken"))[looked - 1]

    chores = Troubled(world.services, world.project, SweepPlan(), owner="me")
    with pytest.raises(asyncio.CancelledError):
        await chores.run()
    assert world.sleeper.slept == [30.0, 30.0]


@pytest.mark.parametrize(
    "text", ["@weekly", "* * *", "61 * * * *", "0 0 31 2 *", "* * * * * *", "x" * 500, 7, None, ""]
)
def test_a_line_that_cron_would_not_take_is_refused(text: object) -> None:
    with pytest.raises(InvalidInput, match="five fields as in crontab") as caught:
        Schedule.parse(text, field="sweep_schedule")
    assert caught.value.field == "sweep_schedule"


def test_a_schedule_is_read_in_utc() -> None:
    assert Schedule.parse("  23  4 * * 1 ", field="x").after(0.0) == 4 * DAY_SECONDS + 4 * 3600 + 23 * 60
    assert Schedule.parse("23 4 * * 1", field="x") == MONDAYS
