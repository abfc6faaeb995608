"""What is done regularly: one process does it for all, under a lease, and what came of it is kept.

Every process that serves or delivers looks every half minute. A sweep is due when its schedule says so, and a short
one over failing and quarantined subscriptions after notifications have ended.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from pushkeep.app.context import Services
from pushkeep.app.desk import LEASE_SECONDS, NEVER, LeaseKept, Shown
from pushkeep.app.duties import Duty, do_duty
from pushkeep.app.schedule import Schedule
from pushkeep.app.sweep import SweepReport, sweep
from pushkeep.domain.event import Event, NotificationFinished
from pushkeep.domain.project import Project
from pushkeep.domain.sweep import TOMBSTONE_DAYS, Scope, SweepRules
from pushkeep.errors import Conflict, Unavailable
from pushkeep.ports.sweeps import Chore

SWEEP = "sweep"
SWEEP_AFTER_SEND = "sweep_after_send"

LOOK_SECONDS = 30.0
"""How late a chore may be; each look is one short read."""

AFTER_SEND_SECONDS_MIN = 300.0
"""Between two sweeps after sends: where a notification ends every second, one look serves many."""

HELD_KEPT_MAX = 100
"""Push services named in what is kept of a sweep."""

_DAY_SECONDS = 86_400.0
_log = logging.getLogger("pushkeep.app")


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What the operator wants of sweeps.

    Attributes:
        schedule: when; None for never by itself.
        tombstone_days: how long tombstones are kept.
        expire_unseen_days: what its browser has not confirmed for longer is ended; 0 ends none.
    """

    schedule: Schedule | None = None
    tombstone_days: int = TOMBSTONE_DAYS
    expire_unseen_days: int = 0

    def rules(self, now: float, scope: Scope = Scope.ALL) -> SweepRules:
        """The rules of a sweep that begins now."""
        return SweepRules(
            now=now,
            scope=scope,
            tombstone_seconds=self.tombstone_days * _DAY_SECONDS,
            expire_seconds=self.expire_unseen_days * _DAY_SECONDS if self.expire_unseen_days else None,
        )

    def due_after(self, now: float) -> float:
        """When the next sweep is due; without a schedule so late that it never is."""
        return NEVER if self.schedule is None else self.schedule.after(now)


async def sweep_as_chore(
    services: Services,
    project: Project,
    plan: SweepPlan,
    *,
    owner: str,
    name: str = SWEEP,
    early: bool = False,
    force: bool = False,
    show: Callable[[str, int, int | None], None] | None = None,
) -> SweepReport | None:
    """Sweep under the lease of a chore, and keep what came of it.

    Args:
        services: the ports.
        project: whose subscriptions.
        plan: what the operator wants.
        owner: who does it, unlike any other.
        name: which chore: :data:`SWEEP`, or :data:`SWEEP_AFTER_SEND` for the troubled ones only.
        early: also if it is not due.
        force: do what the breaker would stop.
        show: is told how far it is.

    Returns:
        what it found and did; None where it is not due, or another process is at it.

    Raises:
        Conflict: another process took it over meanwhile.
        Unavailable: the store does not answer; the lease runs out, and whoever looks next begins again.
    """
    store, now = services.store, services.clock.now()
    taken = await store.take_chore(project, name, owner, now=now, lease_seconds=LEASE_SECONDS, early=early)
    if taken is None:
        return None
    scope = Scope.ALL if name == SWEEP else Scope.TROUBLED
    desk = LeaseKept(services, project, name, owner, show)
    report = await sweep(services, project, plan.rules(now, scope), force=force, desk=desk)
    ended = services.clock.now()
    due_at = plan.due_after(ended) if name == SWEEP else NEVER
    await store.finish_chore(project, name, owner, now=ended, due_at=due_at, result=json.dumps(summary(report)))
    return report


async def sweep_now(
    services: Services,
    project: Project,
    plan: SweepPlan,
    *,
    owner: str,
    dry_run: bool = False,
    force: bool = False,
    show: Callable[[str, int, int | None], None] | None = None,
) -> SweepReport:
    """Sweep because somebody asks for it.

    Args:
        services: the ports.
        project: whose subscriptions.
        plan: what the operator wants; its schedule goes on from here.
        owner: who does it, unlike any other.
        dry_run: only say what would be done; needs no lease.
        force: do what the breaker would stop.
        show: is told how far it is.

    Raises:
        Conflict: another sweep is under way.
        Unavailable: the store does not answer.
    """
    if dry_run:
        desk = Shown(show)
        return await sweep(services, project, plan.rules(services.clock.now()), dry_run=True, force=force, desk=desk)
    report = await sweep_as_chore(services, project, plan, owner=owner, early=True, force=force, show=show)
    if report is None:
        raise Conflict("A sweep is under way already; wait until it has ended.")
    return report


def summary(report: SweepReport) -> dict[str, object]:
    """What is kept of a sweep, and shown to programs."""
    return {
        "scope": report.rules.scope.value,
        "dry_run": report.dry_run,
        "seconds": round(report.seconds, 3),
        "living": report.survey.living,
        "by_state": {state.value: count for state, count in sorted(report.by_state.items()) if count},
        "likely_dead": report.likely_dead,
        "signs": {sign.value: count for sign, count in sorted(report.signs.items()) if count},
        "quarantined": report.quarantined,
        "expired": report.expired,
        "purged": report.purged,
        "held": [asdict(held) for held in report.held[:HELD_KEPT_MAX]],
    }


class Chores:
    """Does what is due, for as long as a process runs.

    Args:
        services: the ports.
        project: whose chores.
        plan: what the operator wants of sweeps.
        owner: this process's name in leases.
        duties: what else is done regularly.
    """

    def __init__(
        self,
        services: Services,
        project: Project,
        plan: SweepPlan,
        *,
        owner: str,
        duties: Sequence[Duty] = (),
    ) -> None:
        self._services = services
        self._project = project
        self._plan = plan
        self._owner = owner
        self._duties = duties
        self._sent = False
        self._swept_at: float | None = None
        self._leave = services.announcer.listen(self._listen)

    def close(self) -> None:
        """Hear of nothing any more."""
        self._leave()

    async def run(self) -> None:
        """Look every half minute, until cancelled."""
        while True:
            try:
                await self.look()
            except Unavailable as error:
                _log.warning("A chore waits and is tried again: %s", error.message)
            except Conflict as error:
                _log.warning("A chore was given up: %s", error.message)
            except Exception as error:
                _log.error("A chore failed with an internal error (%s).", type(error).__name__)
            await self._services.sleeper.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Do what is due, if nobody else is at it.

        Raises:
            Conflict, Unavailable: as :func:`sweep_as_chore` does.
        """
        now = self._services.clock.now()
        if self._plan.schedule is not None:
            chore = await self._known(SWEEP)
            due_at = self._plan.due_after(now)
            if chore is None or chore.due_at > due_at:  # the first start, or a schedule that was changed
                await self._services.store.plan_chore(self._project, SWEEP, due_at)
            elif chore.due_at <= now:
                await sweep_as_chore(self._services, self._project, self._plan, owner=self._owner)
        if self._sent and (self._swept_at is None or now - self._swept_at >= AFTER_SEND_SECONDS_MIN):
            self._sent = False
            self._swept_at = now
            await sweep_as_chore(
                self._services, self._project, self._plan, owner=self._owner, name=SWEEP_AFTER_SEND, early=True
            )
        for duty in self._duties:
            await do_duty(self._services, self._project, duty, owner=self._owner)

    async def _known(self, name: str) -> Chore | None:
        found = await self._services.store.chores(self._project)
        return next((chore for chore in found if chore.name == name), None)

    def _listen(self, event: Event) -> None:
        if isinstance(event, NotificationFinished):
            self._sent = True
