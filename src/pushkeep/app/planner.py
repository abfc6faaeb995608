"""Planning an audience: page by page into shards, beside the sending of those that are planned already."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pushkeep.app.bookkeeper import fact_of
from pushkeep.app.context import Services
from pushkeep.domain.event import PagePlanned
from pushkeep.domain.shard import LeaseKey
from pushkeep.errors import Unavailable
from pushkeep.ports.notifications import Leased
from pushkeep.ports.shards import Checkpoint, Ending, LeaseLost

TROUBLE_SECONDS = 1.0
"""Before the next page is tried again when the database did not answer."""

_log = logging.getLogger("pushkeep.app")


class PlanRun:
    """A plan on loan.

    Args:
        leased: the plan and its notification.
        lease_ends: monotonic seconds.
        now: monotonic seconds.

    Attributes:
        leased, lease: what is on loan.
        lease_ends, progressed_at: monotonic seconds.
        lost: whether it is another worker's by now.
    """

    __slots__ = ("lease", "lease_ends", "leased", "lost", "progressed_at")

    def __init__(self, leased: Leased, *, lease_ends: float, now: float) -> None:
        self.leased = leased
        self.lease: LeaseKey = leased.shard.lease
        self.lease_ends = lease_ends
        self.progressed_at = now
        self.lost = False


async def run_plan(
    services: Services, plan: PlanRun, stopping: Callable[[], bool], trouble: Callable[[Unavailable], None]
) -> None:
    """Plan until the audience is in shards, the lease is lost, or the worker stops. Nothing is raised.

    Every page is a transaction of its own, and the event loop has its turn between two of them.
    """
    clock, store = services.clock, services.store
    while not plan.lost:
        if stopping():
            await _give_back(services, plan)
            return
        before = clock.monotonic()
        try:
            page = await store.plan_page(plan.lease)
        except LeaseLost:
            plan.lost = True
            return
        except Unavailable as error:
            trouble(error)
            await asyncio.sleep(TROUBLE_SECONDS)
            continue
        except Exception as error:
            # The lease runs out, and the next worker tries; what fails for all of them is set aside in the end.
            _log.error("Planning failed with an internal error (%s).", type(error).__name__)
            return
        now = clock.monotonic()
        plan.progressed_at = now
        plan.lease_ends = before + store.lease_seconds
        services.announcer.announce(
            PagePlanned(plan.leased.job.public_id, page.recipients, page.shards, now - before, page.complete)
        )
        if page.ended is not None:
            services.announcer.announce(fact_of(page.ended))
        if page.complete:
            return
        await asyncio.sleep(0)


async def _give_back(services: Services, plan: PlanRun) -> None:
    try:
        await services.store.checkpoint(Checkpoint(plan.lease, ending=Ending.RELEASE))
    except (LeaseLost, Unavailable):
        plan.lost = True  # its lease runs out by itself
