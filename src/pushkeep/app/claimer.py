"""Which shards a worker asks for: as many as its lanes have room for, and hurried ones in any case."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pushkeep.app.context import Services
from pushkeep.app.dispatch import Dispatcher
from pushkeep.app.lanes import Lanes
from pushkeep.domain.sending import Priority
from pushkeep.domain.shard import SHARD_MEMBERS_MAX, ShardKind
from pushkeep.ports.notifications import Leased
from pushkeep.ports.shards import ClaimFilter

HURRY = frozenset({Priority.TRANSACTIONAL})

CLAIM_MEMBERS = 2000
"""Recipients taken by one claim, as far as can be told before: more than half a second's work is another worker's."""

CLAIM_SHARDS_MAX = 32
"""Shards of few recipients taken by one claim, which others wait for."""

_WEIGHT = 1 / 8
"""Of the shard claimed last in the size that is expected of the next one."""


class Claimer:
    """Claims shards.

    Args:
        services: the ports.
        lanes: which strangers have one.
        dispatcher: which push services have enough in hand.
        owner: the worker's name.
        priorities: of these only.
        plans: whether plans are wanted at all.
        notification_id: of this notification only; None for any.

    Attributes:
        wants_more: whether there may have been more to claim than there was room for.
    """

    def __init__(
        self,
        services: Services,
        lanes: Lanes,
        dispatcher: Dispatcher,
        *,
        owner: str,
        priorities: frozenset[Priority],
        plans: bool,
        notification_id: int | None,
    ) -> None:
        self._services = services
        self._lanes = lanes
        self._dispatcher = dispatcher
        self._owner = owner
        self._priorities = priorities
        self._plans = plans
        self._notification_id = notification_id
        self._members = float(SHARD_MEMBERS_MAX)
        self.wants_more = False

    async def round(self, *, hurry_only: bool, plans: bool) -> AsyncIterator[tuple[Leased, float]]:
        """What there is room for: each with the monotonic seconds before it was lent.

        Args:
            hurry_only: take transactional ones alone.
            plans: take plans, too, if they are wanted at all.

        Raises:
            Unavailable: the store does not answer.
        """
        self.wants_more = False
        full = self._dispatcher.full_origins(Priority.NORMAL)
        taken = 0
        priorities = self._priorities & HURRY if hurry_only else self._priorities
        if priorities:
            async for one in self._claim(priorities, full, plans=plans and self._plans):
                taken += 1
                yield one
        if full and self._priorities & HURRY:
            resting = self._dispatcher.full_origins(Priority.TRANSACTIONAL)
            if resting != full:
                async for one in self._claim(HURRY, resting, plans=False):
                    taken += 1
                    yield one
        self.wants_more = bool(full) or hurry_only or taken > 0

    async def _claim(
        self, priorities: frozenset[Priority], full: frozenset[str], *, plans: bool
    ) -> AsyncIterator[tuple[Leased, float]]:
        wanted = ClaimFilter(
            owner=self._owner,
            priorities=priorities,
            plans=plans,
            full_origins=full,
            stranger_origins=self._lanes.stranger_origins(),
            stranger_lanes_free=self._lanes.stranger_lanes_free,
            notification_id=self._notification_id,
            limit=max(1, min(int(CLAIM_MEMBERS / self._members), CLAIM_SHARDS_MAX)),
        )
        before = self._services.clock.monotonic()
        for leased in await self._services.store.claim(wanted):
            if leased.shard.kind is ShardKind.SEND:
                self._members += (len(leased.shard.members) - self._members) * _WEIGHT
            yield leased, before
