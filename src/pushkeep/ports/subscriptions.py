"""Subscriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pushkeep.domain.action import Action
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.registration import Registration
from pushkeep.domain.subscription import EndReason, Recipient, State, SubscriptionRecord


@dataclass(frozen=True, slots=True)
class StoredRegistration:
    """A stored registration.

    Attributes:
        record: the row after it.
        created: whether the row is new; a returning browser finds its old one.
    """

    record: SubscriptionRecord
    created: bool


@dataclass(frozen=True, slots=True)
class ResultUpdate:
    """What one message changes in its subscription's row.

    Attributes:
        id: the row.
        version: the row's version when the message was sent; another one now means that the result is stale.
        action: ``DONE`` resets the failures, ``FAIL`` counts one, ``END`` ends the row. Others change nothing.
        reason: why it ends; for ``END`` only.
        suspect_days: the days on which the push service has doubted it by now; for ``FAIL`` only, None changes none.
    """

    id: int
    version: int
    action: Action
    reason: EndReason | None = None
    suspect_days: frozenset[int] | None = None


class SubscriptionStore(Protocol):
    """Keeps subscriptions. Every method is one unit of work; it is kept or it did not happen."""

    async def register(self, project: Project, registration: Registration) -> StoredRegistration:
        """Carry out what :func:`pushkeep.domain.registration.plan` decides, atomically.

        At most one row exists for each endpoint and signing key, however many register at once.

        Raises:
            Conflict: as ``plan`` and ``check_owner_has_room`` do; nothing has changed then.
        """
        ...

    async def find_subscription(self, project: Project, any_id: AnyId) -> SubscriptionRecord | None:
        """The record of an id, ended ones too."""
        ...

    async def list_subscriptions(
        self, project: Project, *, state: State | None, limit: int, after: int
    ) -> tuple[SubscriptionRecord, ...]:
        """Records with an internal id above ``after``, in the order of their ids."""
        ...

    async def find_recipient(self, project: Project, any_id: AnyId) -> Recipient | None:
        """The subscription of an id in any state, with what is needed to send to it; None for an unknown id."""
        ...

    async def end_subscription(self, project: Project, any_id: AnyId, reason: EndReason) -> SubscriptionRecord | None:
        """End an active subscription and erase its endpoint and keys.

        Returns:
            the record after it; one that had ended before is returned unchanged. None for an unknown id.
        """
        ...

    async def active_by_signing_key(self, project: Project) -> Mapping[int, int]:
        """How many active subscriptions are bound to which signing key, by the key's number; none is left out."""
        ...

    async def apply_results(self, project: Project, updates: Sequence[ResultUpdate], *, now: float) -> frozenset[int]:
        """Write down what messages changed; returns the ids of the rows that were still of that version."""
        ...
