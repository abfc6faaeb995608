"""The store's methods on the log of subscriptions' lives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pushkeep.adapters.store import lifecycle_units, subscription_units
from pushkeep.adapters.store.base import StoreBase
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import StateReason, SubscriptionRecord
from pushkeep.ports.lifecycle import DayCount, NumberedEntry


class LifecycleMethods(StoreBase):
    """:class:`pushkeep.ports.lifecycle.LifecycleStore`."""

    async def lifecycle(
        self, project: Project, record: SubscriptionRecord, *, limit: int, before: int | None = None
    ) -> tuple[NumberedEntry, ...]:
        """See the port."""
        return await self._read(
            partial(lifecycle_units.history, project=project, subscription_id=record.id, limit=limit, before=before)
        )

    async def lifecycle_by_day(self, project: Project, *, first_day: int) -> tuple[DayCount, ...]:
        """See the port."""
        return await self._read(partial(lifecycle_units.by_day, project=project, first_day=first_day))

    async def release_subscription(
        self, project: Project, any_id: AnyId, reason: StateReason
    ) -> SubscriptionRecord | None:
        """See the port."""
        return await self._write(partial(subscription_units.release, project=project, any_id=any_id, reason=reason))

    async def release_origin(self, project: Project, origin: str, reason: StateReason, *, limit: int) -> Sequence[int]:
        """See the port."""
        find = partial(subscription_units.quarantined_at, project=project, origin=origin, limit=limit)
        while found := await self._read(find):
            unit = partial(subscription_units.release_rows, project=project, found=found, reason=reason)
            if released := await self._write(unit):  # none where all of them have moved on by themselves meanwhile
                return released
        return []
