"""The store's methods on subscriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from pushkeep.adapters.store import registration_units, result_units, subscription_units
from pushkeep.adapters.store.base import StoreBase
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.registration import Registration
from pushkeep.domain.subscription import Recipient, State, StateReason, SubscriptionRecord
from pushkeep.ports import ResultUpdate, StoredRegistration


class SubscriptionMethods(StoreBase):
    """:class:`pushkeep.ports.SubscriptionStore`."""

    async def register(self, project: Project, registration: Registration) -> StoredRegistration:
        """See the port. Pages re-sync on every load: what changes nothing never waits for the write lock."""
        unchanged = await self._read(
            partial(
                registration_units.existing_registration,
                vault=self._vault,
                project=project,
                registration=registration,
            )
        )
        if unchanged is not None:
            return unchanged
        return await self._write(
            partial(registration_units.register, vault=self._vault, project=project, registration=registration)
        )

    async def find_subscription(self, project: Project, any_id: AnyId) -> SubscriptionRecord | None:
        """See the port."""
        return await self._read(partial(subscription_units.find, project=project, any_id=any_id))

    async def list_subscriptions(
        self, project: Project, *, state: State | None, limit: int, after: int
    ) -> tuple[SubscriptionRecord, ...]:
        """See the port."""
        return await self._read(
            partial(subscription_units.page, project=project, state=state, limit=limit, after=after)
        )

    async def find_recipient(self, project: Project, any_id: AnyId) -> Recipient | None:
        """See the port."""
        return await self._read(
            partial(subscription_units.find_recipient, vault=self._vault, project=project, any_id=any_id)
        )

    async def end_subscription(
        self, project: Project, any_id: AnyId, reason: StateReason, *, sequence: int | None = None
    ) -> SubscriptionRecord | None:
        """See the port."""
        return await self._write(
            partial(
                subscription_units.end,
                vault=self._vault,
                project=project,
                any_id=any_id,
                reason=reason,
                sequence=sequence,
            )
        )

    async def heartbeat(
        self, project: Project, public_id: str, *, sequence: int | None, now: float
    ) -> SubscriptionRecord | None:
        """See the port. As of :meth:`register`, most change nothing and wait for nothing."""
        record, unchanged = await self._read(
            partial(subscription_units.seen_lately, project=project, public_id=public_id, sequence=sequence, now=now)
        )
        if unchanged:
            return record
        return await self._write(
            partial(subscription_units.heartbeat, project=project, public_id=public_id, sequence=sequence, now=now)
        )

    async def living_by_signing_key(self, project: Project) -> Mapping[int, int]:
        """See the port."""
        return await self._read(partial(subscription_units.living_by_signing_key, project=project))

    async def apply_results(self, project: Project, updates: Sequence[ResultUpdate], *, now: float) -> frozenset[int]:
        """See the port."""
        return await self._write(
            partial(result_units.apply_results, vault=self._vault, project=project, updates=updates, now=now)
        )
