"""A sweep: a look over everything that is stored, and what follows from it.

It sends nothing. First it counts, page by page; then it asks the breaker; then it acts, a page at a time, so that
whoever else writes waits for milliseconds only. Everything that grows with the number of subscriptions stays in the
database. A dry run is the first half, and says exactly what the second would do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pushkeep.app.context import Services
from pushkeep.domain.event import SweepEnded
from pushkeep.domain.health import Sign
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, State
from pushkeep.domain.sweep import BREAKER_COUNT, Held, Scope, Survey, SweepRules, held_back
from pushkeep.ports.sweeps import PURGE_START

SURVEY_ROWS_MAX = 20_000
"""On one page of the count: it takes some 30 ms of one reader, in which nobody waits for it."""

MOVED_ROWS_MAX = 100
"""In one transaction: 0.18 ms of processor time each, so that other writers wait for about 20 ms."""

PURGED_ROWS_MAX = 200
"""Alike, of tombstones with their log: 0.07 ms each."""

PAUSE_SECONDS = 0.02
"""Between two transactions. A database that is one file has no queue of writers: who takes the lock again at once
keeps it from other processes."""


class Desk(Protocol):
    """What a sweep asks of whoever runs it."""

    async def keep(self) -> None:
        """Called between pages: says that it is still at work.

        Raises:
            Conflict: another process has taken the sweep over; it ends at once.
        """
        ...

    def show(self, phase: str, done: int, total: int | None) -> None:
        """How far it is: ``counting``, ``ending``, ``quarantining`` or ``forgetting``."""
        ...


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep found and did, or would do.

    Attributes:
        rules: by which it went.
        dry_run: nothing was changed.
        seconds: how long it took.
        survey: what it found.
        held: push services at which the breaker let nothing be moved.
        quarantined: put into quarantine.
        expired: ended, because nobody had heard of them.
        purged: tombstones that were forgotten.
    """

    rules: SweepRules
    dry_run: bool
    seconds: float
    survey: Survey = field(repr=False)
    held: tuple[Held, ...]
    quarantined: int
    expired: int
    purged: int

    @property
    def likely_dead(self) -> int:
        """How many of those it looked at show a sign of death."""
        return self.survey.likely_dead

    @property
    def signs(self) -> Mapping[Sign, int]:
        """How many show which sign."""
        return self.survey.signs

    @property
    def by_state(self) -> Mapping[State, int]:
        """How many it found in which state."""
        return self.survey.by_state


async def sweep(
    services: Services,
    project: Project,
    rules: SweepRules,
    *,
    dry_run: bool = False,
    force: bool = False,
    desk: Desk,
) -> SweepReport:
    """Sweep once.

    Args:
        services: the ports.
        project: whose subscriptions.
        rules: what it goes by.
        dry_run: only say what would be done.
        force: do it even where the breaker would not.
        desk: is told how far it is, and says whether to go on.

    Raises:
        Conflict: as the desk does; what was done until then stays done.
        Unavailable: the store does not answer; alike.
    """
    began = services.clock.monotonic()
    survey = await _survey(services, project, rules, desk)
    held = await _held(services, project, survey, force=force)
    spared = {one.origin for one in held}
    if dry_run:
        counts = [count for origin, count in survey.by_origin.items() if origin not in spared]
        quarantined, expired = sum(one.quarantine for one in counts), sum(one.expire for one in counts)
        purged = await _count_tombstones(services, project, rules)
    else:
        expired = 0
        if rules.unseen_before is not None:
            expired = await _move(services, project, rules, Event.EXPIRED, spared, survey, desk)
        quarantined = await _move(services, project, rules, Event.QUARANTINED, spared, survey, desk)
        purged = await _purge(services, project, rules, desk)
    report = SweepReport(rules, dry_run, services.clock.monotonic() - began, survey, held, quarantined, expired, purged)
    if not dry_run:
        services.announcer.announce(_fact(report))
    return report


async def _survey(services: Services, project: Project, rules: SweepRules, desk: Desk) -> Survey:
    found, after = Survey(), 0
    total = None
    if rules.scope is Scope.ALL:  # the others are few, and whoever looks at them every five minutes must not count all
        total = sum((await services.store.living_by_signing_key(project)).values())
    while True:
        page = await services.store.survey_page(project, rules, after=after, limit=SURVEY_ROWS_MAX)
        if page.last is None:
            return found
        for row in page.rows:
            found.add(row.origin, row.state, row.count, row.signs, row.likely_dead)
        after = page.last
        desk.show("counting", found.living, total)
        await desk.keep()


async def _held(services: Services, project: Project, survey: Survey, *, force: bool) -> tuple[Held, ...]:
    """What the breaker holds back; a share is one of all living subscriptions, so where need be they are counted."""
    if force or not any(count.removed > BREAKER_COUNT for count in survey.by_origin.values()):
        return ()
    living: dict[str, int] = {}
    after: int | None = 0
    while after is not None:
        page, after = await services.store.living_by_origin(project, after=after, limit=SURVEY_ROWS_MAX)
        for origin, count in page.items():
            living[origin] = living.get(origin, 0) + count
    return tuple(held_back(survey.by_origin, living))


async def _move(
    services: Services,
    project: Project,
    rules: SweepRules,
    event: Event,
    spared: set[str],
    survey: Survey,
    desk: Desk,
) -> int:
    wanted = sum(
        count.expire if event is Event.EXPIRED else count.quarantine
        for origin, count in survey.by_origin.items()
        if origin not in spared
    )
    moved = 0
    after: int | None = 0
    # No more than was counted: what has come to deserve it since is not what the breaker was asked about.
    while after is not None and moved < wanted:
        page = await services.store.sweep_page(
            project, rules, event, spare=spared, after=after, limit=min(MOVED_ROWS_MAX, wanted - moved)
        )
        moved += page.moved
        after = page.last
        desk.show("ending" if event is Event.EXPIRED else "quarantining", moved, wanted)
        await _rest(services, desk)
    return moved


async def _count_tombstones(services: Services, project: Project, rules: SweepRules) -> int:
    if rules.scope is not Scope.ALL:
        return 0
    before = await services.store.purge_before(project, rules)
    return await services.store.count_tombstones(project, before=before)


async def _purge(services: Services, project: Project, rules: SweepRules, desk: Desk) -> int:
    if rules.scope is not Scope.ALL:
        return 0
    before = await services.store.purge_before(project, rules)
    purged = 0
    page = await services.store.purge_page(project, before=before, after=PURGE_START, limit=PURGED_ROWS_MAX)
    while True:
        purged += page.purged
        desk.show("forgetting", purged, None)
        if page.after is None:
            return purged
        await _rest(services, desk)
        page = await services.store.purge_page(project, before=before, after=page.after, limit=PURGED_ROWS_MAX)


async def _rest(services: Services, desk: Desk) -> None:
    await services.sleeper.sleep(PAUSE_SECONDS)
    await desk.keep()


def _fact(report: SweepReport) -> SweepEnded:
    return SweepEnded(
        scope=report.rules.scope.value,
        seconds=report.seconds,
        living=report.survey.living,
        quarantined=report.quarantined,
        expired=report.expired,
        purged=report.purged,
        likely_dead=report.likely_dead,
        held=tuple(one.origin for one in report.held),
    )
