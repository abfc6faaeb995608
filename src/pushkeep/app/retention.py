"""What is over its time goes: once a day, a page at a time, by one process for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pushkeep.app.context import Services
from pushkeep.app.desk import Shown
from pushkeep.app.duties import Duty
from pushkeep.domain.project import Project
from pushkeep.ports.privacy import Kept

RETENTION = "retention"
"""The chore's name."""

PERIOD_SECONDS = 86_400.0
"""Times are in days: looking more often would find nothing."""

PAGE_ROWS = 500
"""Notifications or consent records looked at in one transaction, which takes a few milliseconds."""

PAUSE_SECONDS = 0.005
"""Between two transactions, so that others get at the database."""

_DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Retention(Duty):
    """How long what is kept.

    Attributes:
        notification_days: what notifications say, after they have finished; 0 for ever, like the others.
        outcome_days: what became of them for each recipient, and what browsers reported.
        consent_days: what consent records say, once nothing rests on them.
    """

    notification_days: int = 90
    outcome_days: int = 90
    consent_days: int = 1095

    name = RETENTION
    every_seconds = PERIOD_SECONDS

    async def do(self, services: Services, project: Project, desk: Shown) -> Mapping[str, object]:
        """Erase what is over its time; how much of each kind, and how long it took.

        Raises:
            Conflict: another process has taken it over.
            Unavailable: the store does not answer.
        """
        began, result = services.clock.monotonic(), dict[str, object]()
        for kept, days in self.days.items():
            if days:
                before = services.clock.now() - days * _DAY_SECONDS
                result[kept.value] = await _erase(services, project, kept, before, desk)
        return {**result, "seconds": round(services.clock.monotonic() - began, 3)}

    @property
    def days(self) -> Mapping[Kept, int]:
        """How many days each is kept."""
        return MappingProxyType(
            {
                Kept.NOTIFICATIONS: self.notification_days,
                Kept.OUTCOMES: self.outcome_days,
                Kept.CONSENTS: self.consent_days,
            }
        )


async def _erase(services: Services, project: Project, kept: Kept, before: float, desk: Shown) -> int:
    erased, after = 0, 0
    while True:
        page = await services.store.erase_old(project, kept, before=before, after=after, limit=PAGE_ROWS)
        erased += page.erased
        desk.show(kept.value, erased, None)
        if page.after is None:
            return erased
        after = page.after
        await services.sleeper.sleep(PAUSE_SECONDS)
        await desk.keep()
