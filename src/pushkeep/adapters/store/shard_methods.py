"""The store's methods on shards."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from pushkeep.adapters.store import checkpoint_units, claim_units, load_units, plan_units
from pushkeep.adapters.store.base import Ground, StoreBase
from pushkeep.adapters.store.recipient_cache import RecipientCache
from pushkeep.domain.shard import LeaseKey
from pushkeep.ports.notifications import Leased
from pushkeep.ports.shards import Checkpoint, ClaimFilter, Ended, Loaded, Planned, Swept


class ShardMethods(StoreBase):
    """:class:`pushkeep.ports.shards.ShardStore`. The clock is read inside each transaction."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self.recipient_cache = RecipientCache()
        self._set_aside = 0  # by claims since the last sweep

    async def claim(self, wanted: ClaimFilter) -> tuple[Leased, ...]:
        """See the port. Workers look often: where there is nothing for them, nobody waits for the write lock."""

        def has_work(connection: Connection) -> bool:
            return claim_units.has_work(connection, wanted, self._clock.now())

        def claim(connection: Connection) -> tuple[tuple[Leased, ...], int]:
            leased = claim_units.claim(connection, self._vault, wanted, self._clock.now(), self.lease_seconds)
            return leased, connection.info.pop(claim_units.SET_ASIDE, 0)

        if self._reading is not None and not await self._read(has_work):
            return ()
        leased, set_aside = await self._write(claim)
        self._set_aside += set_aside
        return leased

    async def renew(self, leases: Sequence[LeaseKey]) -> frozenset[int]:
        """See the port."""
        return await self._write(
            lambda connection: claim_units.renew(connection, leases, self._clock.now() + self.lease_seconds)
        )

    async def load(self, leased: Leased, positions: Sequence[int]) -> Loaded:
        """See the port."""

        def load(connection: Connection) -> Loaded:
            now = self._clock.now()
            return load_units.load(connection, self._vault, self.recipient_cache, leased, positions, now)

        return await self._read(load)

    async def checkpoint(self, checkpoint: Checkpoint) -> Ended | None:
        """See the port."""
        return await self._write(
            lambda connection: checkpoint_units.checkpoint(
                connection, self._vault, checkpoint, self._clock.now(), self.lease_seconds
            )
        )

    async def plan_page(self, lease: LeaseKey) -> Planned:
        """See the port."""
        return await self._write(
            lambda connection: plan_units.plan_page(
                connection, self._vault, lease, self._clock.now(), self.lease_seconds
            )
        )

    async def sweep(self) -> Swept:
        """See the port. It lets others write in between."""
        by_claims = self._set_aside
        total = Swept(0, by_claims)
        more = True
        while more:
            swept, more = await self._write(
                lambda connection: plan_units.sweep(connection, self._clock.now(), self.lease_seconds)
            )
            total = Swept(
                total.expired + swept.expired,
                total.set_aside + swept.set_aside,
                total.ended + swept.ended,
            )
        self._set_aside -= by_claims
        return total

    async def next_due(self) -> float | None:
        """See the port."""
        return await self._read(lambda connection: claim_units.next_due(connection, self._clock.now()))
