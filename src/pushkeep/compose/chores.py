"""Chores: beside whatever else a process does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pushkeep.app.chores import Chores, SweepPlan
from pushkeep.app.context import Services
from pushkeep.app.schedule import Schedule
from pushkeep.config import Settings
from pushkeep.config.readers import OFF
from pushkeep.domain.project import Project


def sweep_plan(settings: Settings) -> SweepPlan:
    """What the settings say of sweeps."""
    schedule = None if settings.sweep_schedule == OFF else Schedule(settings.sweep_schedule)
    return SweepPlan(schedule, settings.tombstone_days, settings.expire_unseen_days)


@asynccontextmanager
async def chores_done(
    settings: Settings, services: Services, project: Project | None, *, owner: str
) -> AsyncIterator[None]:
    """Chores are done until the context is left; a sweep under way then is begun again by whoever looks next.

    Args:
        settings: when and how.
        services: the ports.
        project: whose; None for an installation that has none yet, and nothing to do.
        owner: this process's name in leases.
    """
    if project is None:
        yield
        return
    chores = Chores(services, project, sweep_plan(settings), owner=owner)
    task = asyncio.create_task(chores.run(), name="pushkeep chores")
    try:
        yield
    finally:
        chores.close()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
