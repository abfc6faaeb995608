"""Chores: beside whatever else a process does."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pushkeep.app.chores import Chores, SweepPlan
from pushkeep.app.consents import SealConsents
from pushkeep.app.context import Services
from pushkeep.app.duties import Duty
from pushkeep.app.erase import FinishErasures, replay_erasures
from pushkeep.app.retention import Retention
from pushkeep.app.schedule import Schedule
from pushkeep.app.secrets import Reseal
from pushkeep.config import Settings
from pushkeep.config.readers import OFF
from pushkeep.domain.project import Project
from pushkeep.web.logs import get_logger

_log = get_logger("pushkeep.chores")


def sweep_plan(settings: Settings) -> SweepPlan:
    """What the settings say of sweeps."""
    schedule = None if settings.sweep_schedule == OFF else Schedule(settings.sweep_schedule)
    return SweepPlan(schedule, settings.tombstone_days, settings.expire_unseen_days)


def retention(settings: Settings) -> Retention:
    """How long the settings say that things are kept."""
    return Retention(settings.notification_days, settings.outcome_days, settings.consent_days)


def duties(settings: Settings) -> tuple[Duty, ...]:
    """What is done regularly beside sweeps.

    Erasures come last: a list that cannot be read keeps nobody from the rest.
    """
    return (SealConsents(), Reseal(), retention(settings), FinishErasures())


async def apply_erasures(services: Services, project: Project) -> None:
    """Erase again whom a backup brought back, and finish what was cut off; before anybody is sent anything.

    Raises:
        Unavailable: the erasure list is there and cannot be read, or the store does not answer.
    """
    erasures = services.erasures
    if erasures is None:
        return
    standing, applied = await erasures.standing(), await services.store.erasures_applied()
    if standing.last < applied:
        _log.warning(
            "erasure_list_short",
            path=standing.path,
            entries_until=standing.last,
            applied_until=applied,
            meaning="the list of who was erased is missing or an old copy: a backup that is put back would bring "
            "people back; put the right one there",
        )
    if standing.damaged:
        _log.warning(
            "erasure_list_damaged",
            path=standing.path,
            lines=list(standing.damaged[:10]),
            meaning="entries of the list of who was erased cannot be read: whom they named, a backup "
            "that is put back would bring back",
        )
    replayed = await replay_erasures(services, project)
    if replayed.entries:
        _log.info("erasures_applied", entries=replayed.entries, **dataclasses.asdict(replayed.erased))


@asynccontextmanager
async def chores_done(
    settings: Settings, services: Services, project: Project | None, *, owner: str
) -> AsyncIterator[None]:
    """Chores are done until the context is left; a sweep under way then is begun again by whoever looks next.

    What the erasure list has and the database has not is erased first.

    Args:
        settings: when and how.
        services: the ports.
        project: whose; None for an installation that has none yet, and nothing to do.
        owner: this process's name in leases.
    """
    if project is None:
        yield
        return
    await apply_erasures(services, project)
    chores = Chores(services, project, sweep_plan(settings), owner=owner, duties=duties(settings))
    task = asyncio.create_task(chores.run(), name="pushkeep chores")
    try:
        yield
    finally:
        chores.close()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
