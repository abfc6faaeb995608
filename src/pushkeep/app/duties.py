"""What is done regularly beside sweeps: each under its own lease, by one process for all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Protocol

from pushkeep.app.context import Services
from pushkeep.app.desk import LEASE_SECONDS, LeaseKept, Shown
from pushkeep.domain.project import Project


class Duty(Protocol):
    """Something to be done again and again; a base class for what is just done when it is due."""

    @property
    def name(self) -> str:
        """Which; up to 24 characters, under which its lease and its result are kept."""
        ...

    @property
    def every_seconds(self) -> float:
        """How long after it was done it is due again."""
        ...

    async def wanted(self, services: Services, project: Project, due_at: float) -> bool:
        """Whether to do it now, asked every half minute: when it is due, if nothing else is said.

        Args:
            services: the ports.
            project: whose.
            due_at: epoch seconds; where it was never done, now.
        """
        return due_at <= services.clock.now()

    async def do(self, services: Services, project: Project, desk: Shown) -> Mapping[str, object]:
        """Do it, and say what came of it; ``desk.keep`` is to be called between two steps.

        Raises:
            Conflict: another process has taken it over.
            Unavailable: the store does not answer.
        """
        ...


async def do_duty(
    services: Services,
    project: Project,
    duty: Duty,
    *,
    owner: str,
    early: bool = False,
    show: Callable[[str, int, int | None], None] | None = None,
) -> Mapping[str, object] | None:
    """Do it under the lease of its chore if it is wanted, and keep what came of it.

    Args:
        services: the ports.
        project: whose.
        duty: what.
        owner: who does it, unlike any other.
        early: also if it is not due.
        show: is told how far it is.

    Returns:
        what came of it; None where it is not wanted, or another process is at it.

    Raises:
        Conflict: another process took it over meanwhile.
        Unavailable: the store does not answer; the lease runs out, and whoever looks next begins again.
    """
    store, now = services.store, services.clock.now()
    if not early:
        # Asked for ahead of time, whoever finishes meanwhile does not keep us from it; when due, it is due no more.
        known = next((chore for chore in await store.chores(project) if chore.name == duty.name), None)
        due_at = now if known is None else min(known.due_at, now + duty.every_seconds)
        if not await duty.wanted(services, project, due_at):
            return None
        early = due_at > now
    taken = await store.take_chore(project, duty.name, owner, now=now, lease_seconds=LEASE_SECONDS, early=early)
    if taken is None:
        return None
    result = await duty.do(services, project, LeaseKept(services, project, duty.name, owner, show))
    ended = services.clock.now()
    await store.finish_chore(
        project, duty.name, owner, now=ended, due_at=ended + duty.every_seconds, result=json.dumps(result)
    )
    return result
