"""The log of subscriptions' lives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import LifecycleEntry
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, StateReason, SubscriptionRecord


@dataclass(frozen=True, slots=True)
class NumberedEntry:
    """An entry with its place in the log.

    Attributes:
        id: internal number; rises.
        entry: what happened.
    """

    id: int
    entry: LifecycleEntry


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many entries of one kind a day got; what is purged stays counted.

    Attributes:
        day: since the epoch, UTC.
        signing_key_id: internal number of the key that those subscriptions had after it.
        event: which kind.
        count: how many.
    """

    day: int
    signing_key_id: int
    event: Event
    count: int


class LifecycleStore(Protocol):
    """Reads the log, and moves many rows by the operator's word. Whatever moves a row writes the log with it."""

    async def lifecycle(
        self, project: Project, record: SubscriptionRecord, *, limit: int, before: int | None = None
    ) -> tuple[NumberedEntry, ...]:
        """The latest of a subscription's entries, those with a number below ``before`` if that is given; oldest first.

        The latest, since whoever looks wants to know how it came to stand as it does.
        """
        ...

    async def lifecycle_by_day(self, project: Project, *, first_day: int) -> tuple[DayCount, ...]:
        """What each day since ``first_day`` (epoch day) got, in the order of the days."""
        ...

    async def release_subscription(
        self, project: Project, any_id: AnyId, reason: StateReason
    ) -> SubscriptionRecord | None:
        """Send to a quarantined subscription, or one that needs renewal, again as if nothing had been.

        Returns:
            the record after it; one in another state is returned unchanged. None for an unknown id.

        Raises:
            Conflict: it needs renewal because its signing key is retired; nothing has changed then.
        """
        ...

    async def release_origin(self, project: Project, origin: str, reason: StateReason, *, limit: int) -> Sequence[int]:
        """Release up to ``limit`` quarantined subscriptions of a push service; their numbers, none once all are."""
        ...
