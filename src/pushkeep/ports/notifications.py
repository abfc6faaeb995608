"""Notifications: accepted, watched, controlled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pushkeep.domain.notification import Target
from pushkeep.domain.project import Project
from pushkeep.domain.sending import Account, NewNotification, NotificationJob, NotificationRecord
from pushkeep.domain.shard import Kind, Shard
from pushkeep.protocol.outcome import Explanation


@dataclass(frozen=True, slots=True)
class Leased:
    """A shard on loan, with what it is part of.

    Attributes:
        shard: what to do.
        job: the notification.
    """

    shard: Shard
    job: NotificationJob


@dataclass(frozen=True, slots=True)
class Accepted:
    """A notification that is stored durably.

    Attributes:
        record: what is stored.
        targeted: recipients, where they are in shards already; None while an audience is still to be planned.
        unknown: ids and contacts of the target that lead to no active subscription, as they were given; a UUID in
            lower case.
        leased: shards that were inserted on loan to the caller's worker.
        replayed: whether the same request had been accepted before, under the same idempotency key.
    """

    record: NotificationRecord
    targeted: int | None
    unknown: tuple[str, ...] = ()
    leased: tuple[Leased, ...] = ()
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """All there is to say about a notification on its way, of one moment.

    Attributes:
        record: what is stored of it.
        account: where its recipients are.
        by_vendor: the same for each vendor of push services.
        receipts: what browsers said they did with it, by the receipt's kind.
    """

    record: NotificationRecord
    account: Account
    by_vendor: Mapping[str, Account]
    receipts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Controlled:
    """What a command came to.

    Attributes:
        record: what is stored from now on.
        ended: whether this command was the end: it cancelled, and nothing is on loan. Where something is, the worker
            that closes the last of it is told.
    """

    record: NotificationRecord
    ended: bool = False


@dataclass(frozen=True, slots=True)
class AudienceCount:
    """Whom a target would reach.

    Attributes:
        by_origin: recipients by push service: origin and vendor row's name.
        skipped: how many of the target are left out, by what would become of them.
        unknown: ids and contacts that lead to no active subscription.
    """

    by_origin: Mapping[tuple[str, str], int]
    skipped: Mapping[Kind, int]
    unknown: tuple[str, ...] = ()


class Command(StrEnum):
    """What an operator can do to a notification."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class RecipientOutcome:
    """What became of a notification for one recipient.

    Attributes:
        subscription_id: internal number of the member; pages are keyed by it.
        public_id, short_id: the subscription's names.
        contact: its owner by the site's own id; None while anonymous.
        kind: what became of it.
        action: what was done about it (``domain.action.Action``); None where nothing was sent.
        status, explanation, retry_after, duration_ms: of the last answer, as in ``protocol.outcome.Outcome``.
        attempts: how often it was tried; 0 where nothing was sent.
        at: epoch seconds.
    """

    subscription_id: int
    public_id: str
    short_id: str
    contact: str | None
    kind: Kind
    action: str | None
    status: int | None
    explanation: Explanation | None
    retry_after: float | None
    duration_ms: float | None
    attempts: int
    at: float


class NotificationStore(Protocol):
    """Keeps notifications. Every method is one unit of work; it is kept or it did not happen."""

    async def accept(
        self, project: Project, new: NewNotification, *, backlog_max: int, lease_owner: str | None
    ) -> Accepted:
        """Store a notification and, for a list or a small audience that is due, its shards; else a plan for them.

        The ids in question end at the high-water mark of this moment. A subscription in a list that was replaced
        stands for the one that replaced it. With ``lease_owner`` the shards of at most 100 recipients that are due,
        and not of bulk priority, are inserted on loan to that worker.

        A retry (:attr:`NewNotification.retry_of`) is for whom the original, or its latest retry if it has had one,
        did not reach: for :data:`~pushkeep.domain.sending.RETRIED_KINDS`.

        The same idempotency key and request again change nothing: the result tells where the notification stands, and
        which ids are unknown by now.

        Raises:
            Conflict: the idempotency key was used for another request; what a retry is of has not ended, or nobody is
                left to be told again.
            InvalidInput: the target names a tag that does not exist, or there is no such purpose.
            PayloadTooLarge: the payload does not fit a recipient's push service; of a large audience, any that the
                project has had a subscription at.
            NotFound: what a retry is of does not exist.
            Unavailable: more than ``backlog_max`` recipients of the same or a more urgent priority are due and wait
                already; ``retry_after_seconds`` says when to come again.
        """
        ...

    async def replay(
        self, project: Project, target: Target, idempotency_key: str, request_hash: bytes
    ) -> Accepted | None:
        """What was accepted under a key before; None if nothing was.

        Raises:
            Conflict: the key was used for another request.
        """
        ...

    async def count_audience(self, project: Project, target: Target, *, purpose: str | None = None) -> AudienceCount:
        """Whom a target would reach now; nothing is changed.

        Args:
            project: whose.
            target: whom.
            purpose: what for, by name: who has not agreed to it is counted as skipped; None asks nobody's consent.

        Raises:
            InvalidInput: the target names a tag that does not exist, or is a retry, which has no preview; there is
                no such purpose.
        """
        ...

    async def find_notification(self, project: Project, public_id: str) -> NotificationRecord | None:
        """The record of an id."""
        ...

    async def standing(self, project: Project, public_id: str) -> Standing | None:
        """How far the notification of an id is, all of it read in one transaction."""
        ...

    async def list_notifications(
        self, project: Project, *, limit: int, before: str | None
    ) -> tuple[NotificationRecord, ...]:
        """The latest first, older than ``before``."""
        ...

    async def accounts(self, project: Project, ids: Sequence[int]) -> Mapping[int, Account]:
        """Where the recipients of each of these notifications are, by internal number."""
        ...

    async def accounts_by_vendor(self, project: Project, id: int) -> Mapping[str, Account]:
        """The account of one notification, push service vendor by vendor."""
        ...

    async def control(self, project: Project, public_id: str, command: Command) -> Controlled | None:
        """Pause, resume or cancel; again is no error. None for an unknown id.

        Cancelling closes every shard that is not on loan; those on loan are closed by their workers within one
        checkpoint. Resuming also brings back what was set aside.

        Raises:
            Conflict: it has ended.
        """
        ...

    async def outcomes(
        self, project: Project, notification_id: int, *, kinds: frozenset[Kind] | None, limit: int, after: int
    ) -> tuple[RecipientOutcome, ...]:
        """Recipients with a member id above ``after``, in the order of these ids.

        Of a small send everybody whose state is final, of a large one everybody who was not accepted; those a
        deadline or a cancellation cut off are read from their shards.
        """
        ...

    async def content_of(self, project: Project, public_id: str) -> bytes | None:
        """The JSON that :attr:`NewNotification.content` was; None for an unknown id, and once it is erased."""
        ...
