"""The store's methods for sweeps and chores."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from pushkeep.adapters.store import audience_count_units, chore_units, purge_units, sweep_units
from pushkeep.adapters.store.base import StoreBase
from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event
from pushkeep.domain.sweep import SweepRules
from pushkeep.ports.sweeps import (
    AudienceHealth,
    Chore,
    LikelyDeadPage,
    MovedPage,
    PurgeCursor,
    PurgedPage,
    SurveyPage,
)

ROWS_LOOKED_AT_MAX = 5_000
"""By one unit that writes: 5 ms at most go into looking, while others wait."""


class SweepMethods(StoreBase):
    """:class:`pushkeep.ports.sweeps.SweepStore` and :class:`pushkeep.ports.sweeps.ChoreStore`."""

    async def survey_page(self, project: Project, rules: SweepRules, *, after: int, limit: int) -> SurveyPage:
        """See the port."""
        return await self._read(
            partial(sweep_units.survey_page, project=project, rules=rules, after=after, limit=limit)
        )

    async def living_by_origin(
        self, project: Project, *, after: int, limit: int
    ) -> tuple[Mapping[str, int], int | None]:
        """See the port."""
        return await self._read(partial(sweep_units.living_by_origin, project=project, after=after, limit=limit))

    async def sweep_page(
        self, project: Project, rules: SweepRules, event: Event, *, spare: Collection[str], after: int, limit: int
    ) -> MovedPage:
        """See the port."""
        return await self._write(
            partial(
                sweep_units.sweep_page,
                project=project,
                rules=rules,
                event=event,
                spare=spare,
                after=after,
                limit=limit,
                scan=ROWS_LOOKED_AT_MAX,
            )
        )

    async def purge_before(self, project: Project, rules: SweepRules) -> float:
        """See the port."""
        return await self._read(partial(purge_units.purge_before, project=project, rules=rules))

    async def count_tombstones(self, project: Project, *, before: float) -> int:
        """See the port."""
        return await self._read(partial(purge_units.count_tombstones, project=project, before=before))

    async def purge_page(self, project: Project, *, before: float, after: PurgeCursor, limit: int) -> PurgedPage:
        """See the port."""
        return await self._write(
            partial(purge_units.purge_page, project=project, before=before, after=after, limit=limit)
        )

    async def likely_dead_page(self, project: Project, *, now: float, after: int, scan: int) -> LikelyDeadPage:
        """See the port."""
        return await self._read(partial(sweep_units.likely_dead_page, project=project, now=now, after=after, scan=scan))

    async def audience_health(self, project: Project, target: Target, *, now: float) -> AudienceHealth:
        """See the port."""
        return await self._read(partial(audience_count_units.audience_health, project=project, target=target, now=now))

    async def contact_names(self, project: Project, numbers: Collection[int]) -> Mapping[int, str]:
        """See the port."""
        return await self._read(partial(sweep_units.contact_names, project=project, numbers=numbers))

    async def short_ids(self, project: Project, public_ids: Collection[str]) -> Mapping[str, str]:
        """See the port."""
        return await self._read(partial(sweep_units.short_ids, project=project, public_ids=public_ids))

    async def chores(self, project: Project) -> tuple[Chore, ...]:
        """See the port."""
        return await self._read(partial(chore_units.all_chores, project=project))

    async def plan_chore(self, project: Project, name: str, due_at: float) -> None:
        """See the port."""
        await self._write(partial(chore_units.plan, project=project, name=name, due_at=due_at))

    async def take_chore(
        self, project: Project, name: str, owner: str, *, now: float, lease_seconds: float, early: bool = False
    ) -> Chore | None:
        """See the port."""
        return await self._write(
            partial(
                chore_units.take,
                project=project,
                name=name,
                owner=owner,
                now=now,
                lease_seconds=lease_seconds,
                early=early,
            )
        )

    async def renew_chore(self, project: Project, name: str, owner: str, *, expires_at: float) -> bool:
        """See the port."""
        return await self._write(
            partial(chore_units.renew, project=project, name=name, owner=owner, expires_at=expires_at)
        )

    async def finish_chore(
        self, project: Project, name: str, owner: str, *, now: float, due_at: float, result: str | None
    ) -> bool:
        """See the port."""
        return await self._write(
            partial(chore_units.finish, project=project, name=name, owner=owner, now=now, due_at=due_at, result=result)
        )
