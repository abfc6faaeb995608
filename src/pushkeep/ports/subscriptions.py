"""Subscriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.registration import Registration
from pushkeep.domain.subscription import Event, Recipient, State, StateReason, SubscriptionRecord
from pushkeep.protocol.verdict import Verdict


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
        event: what happened: ``ACCEPTED`` resets the failures, ``FAILED`` counts one, ``QUARANTINED``,
            ``KEY_REFUSED`` and ``SAID_GONE`` move the row, ``KEY_FOUND`` corrects its signing key and is an
            acceptance as well.
        reason: why, for all but ``ACCEPTED`` and ``KEY_FOUND``.
        suspect_days: the days on which the push service has doubted it by now; None changes none. A ``FAILED`` in
            quarantine that has them is a definite one, and counts as a probe.
        probe_at: for ``QUARANTINED``, and for ``FAILED`` while in quarantine, when the next probe may go to it; None
            where it must not be dialled.
        signing_key_id: for ``KEY_FOUND``, the key that was taken.
        verdict: of the answer; None where there was none.
    """

    id: int
    version: int
    event: Event
    reason: StateReason | None = None
    suspect_days: frozenset[int] | None = None
    probe_at: float | None = None
    signing_key_id: int | None = None
    verdict: Verdict | None = None


class SubscriptionStore(Protocol):
    """Keeps subscriptions. Every method is one unit of work; it is kept or it did not happen."""

    async def register(self, project: Project, registration: Registration) -> StoredRegistration:
        """Carry out what :func:`pushkeep.domain.registration.plan` decides, atomically.

        At most one row exists for each endpoint and signing key, however many register at once.

        Raises:
            Conflict, InvalidInput, InvalidToken: as ``plan`` and ``check_owner_has_room`` do; nothing has changed then.
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

    async def end_subscription(
        self, project: Project, any_id: AnyId, reason: StateReason, *, sequence: int | None = None
    ) -> SubscriptionRecord | None:
        """End a living subscription and erase its endpoint and keys.

        By its browser's numbered word the living one that has replaced it ends, too: it is the same browser's, which
        may never have learnt of it. Without a number nobody can tell whether the word is older than that one.

        Args:
            project: whose.
            any_id: which.
            reason: ``LEFT`` and ``LOST`` are its browser's word, ``REMOVED`` the operator's.
            sequence: the browser's number of these words; None for the operator's, and browsers that give none.

        Returns:
            the record after it; one that had ended before keeps its reason. None for an unknown id.

        Raises:
            Conflict: ``stale``, the browser has said something later of it; nothing has changed then.
        """
        ...

    async def heartbeat(
        self, project: Project, public_id: str, *, sequence: int | None, now: float
    ) -> SubscriptionRecord | None:
        """Note that its browser has a subscription; written at most every ten minutes, and never of an ended one.

        Returns:
            the record after it, in whatever state; None for an unknown id.

        Raises:
            Conflict: ``stale``, the browser has said something later.
        """
        ...

    async def living_by_signing_key(self, project: Project) -> Mapping[int, int]:
        """How many living subscriptions are bound to which signing key, by the key's number; none is left out."""
        ...

    async def apply_results(self, project: Project, updates: Sequence[ResultUpdate], *, now: float) -> frozenset[int]:
        """Write down what messages changed; returns the ids of the rows that were still of that version."""
        ...
