"""Shards: claimed, loaded, written down."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pushkeep.domain.sending import Control, NotificationState, Priority
from pushkeep.domain.shard import Kind, LeaseKey
from pushkeep.domain.subscription import Recipient
from pushkeep.errors import PushkeepError
from pushkeep.ports.notifications import Leased
from pushkeep.ports.subscriptions import ResultUpdate
from pushkeep.protocol.outcome import Explanation
from pushkeep.protocol.verdict import Verdict


class LeaseLost(PushkeepError):
    """The shard is another worker's by now, or closed: nothing was written, and nothing more may be sent for it."""

    code = "lease_lost"


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a shard, looked at just now.

    Attributes:
        position: in the shard.
        recipient: who is sent to: the member, or the one that replaced it. None if nobody is, and if the one that
            replaced it gets the message by another member.
        skip: why nobody is; None with a recipient.
    """

    position: int
    recipient: Recipient | None
    skip: Kind | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A sub-batch.

    Attributes:
        control: whether the notification may be sent now; without that there are no members.
        members: as they were asked for.
        origin_rests_until: epoch seconds until which the push service rests, by any worker's word; 0 where it does not.
    """

    control: Control
    members: tuple[Member, ...] = ()
    origin_rests_until: float = 0.0


@dataclass(frozen=True, slots=True)
class SettledMember:
    """A member whose state is final.

    Attributes:
        position: in the shard.
        kind: what became of it; never ``moved``.
        action, status, explanation, retry_after, duration_ms, attempts: as in
            :class:`~pushkeep.ports.notifications.RecipientOutcome`; kept where the notification keeps outcomes or it
            was not accepted.
    """

    position: int
    kind: Kind
    action: str | None = None
    status: int | None = None
    explanation: Explanation | None = None
    retry_after: float | None = None
    duration_ms: float | None = None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """A member to be tried again: its bit is set, and it becomes a member of a follow-up, in one transaction.

    Attributes:
        position: in the shard.
        not_before: epoch seconds, rounded up already, so that many members share a follow-up.
        attempt: the number of the attempt that is next.
        history: verdicts of the attempts before, the last few of them.
        origin, vendor: the push service at which its replacement is; empty for the shard's own.
    """

    position: int
    not_before: float
    attempt: int
    history: tuple[Verdict, ...]
    origin: str = ""
    vendor: str = ""


class Ending(StrEnum):
    """What becomes of a lease with a checkpoint."""

    KEEP = "keep"
    """Go on; the lease is renewed."""

    RELEASE = "release"
    """Give the shard back, for ``not_before``. With every bit set it is closed all the same."""

    EXPIRE = "expire"
    """The deadline has come: close it, and what is not done counts as expired."""

    CANCEL = "cancel"
    """The notification is cancelled: close it, and what is not done counts as cancelled."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a worker has done for a shard since its last one: applied as a whole, or not at all.

    Attributes:
        lease: proves that the shard is still this worker's.
        settled: members whose state is final now.
        moves: members that go to follow-ups.
        updates: what the messages changed in subscriptions; stale ones are left out silently.
        ending: what becomes of the lease.
        not_before: for ``release``; epoch seconds, 0 for at once.
    """

    lease: LeaseKey
    settled: Sequence[SettledMember] = ()
    moves: Sequence[Move] = ()
    updates: Sequence[ResultUpdate] = ()
    ending: Ending = Ending.KEEP
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A notification for which nothing more will be tried, told once: to who closed its last shard.

    Attributes:
        public_id: its id.
        state: done or cancelled.
        seconds: since it was to be sent.
        counts: recipients by what became of them; empty for a small one, which is not worth the sums.
    """

    public_id: str
    state: NotificationState
    seconds: float
    counts: Mapping[Kind, int]


@dataclass(frozen=True, slots=True)
class Planned:
    """What one page of a plan came to.

    Attributes:
        recipients: how many were put into shards.
        shards: into how many.
        complete: whether the audience is planned to its end, and the plan closed.
        ended: the notification, if there was nobody to tell.
    """

    recipients: int
    shards: int
    complete: bool
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found.

    Attributes:
        expired: shards closed because their deadline had come.
        set_aside: shards that too many workers lost, those that claims found since the last sweep among them.
        ended: notifications that ended with it.
    """

    expired: int
    set_aside: int
    ended: tuple[Ended, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimFilter:
    """What a worker is able to take.

    Attributes:
        owner: the worker's name.
        priorities: of these only.
        plans: whether plans are wanted, too.
        full_origins: push services of which it wants no more now.
        stranger_origins: push services nobody knows that it has a lane for; others are claimed only while
            ``stranger_lanes_free`` is above 0.
        stranger_lanes_free: lanes for further such push services.
        notification_id: of this notification only; None for any.
        limit: shards at most.
    """

    owner: str
    priorities: frozenset[Priority]
    plans: bool
    full_origins: Collection[str]
    stranger_origins: Collection[str]
    stranger_lanes_free: int
    notification_id: int | None
    limit: int


class ShardStore(Protocol):
    """Lends shards. Times of leases are read by the store itself, inside the transaction, never given by a worker."""

    @property
    def lease_seconds(self) -> float:
        """How long a shard is lent by a claim, and lent on by a renewal or a checkpoint that keeps it."""
        ...

    async def claim(self, wanted: ClaimFilter) -> tuple[Leased, ...]:
        """Lease shards that are due, of notifications that are not paused, at push services that do not rest.

        First by priority, then the notification that was leased from longest ago. A lease that ran out is taken
        over; at the fifth time the shard is set aside instead.
        """
        ...

    async def renew(self, leases: Sequence[LeaseKey]) -> frozenset[int]:
        """Lengthen leases; the numbers of the shards that are still lent."""
        ...

    async def load(self, leased: Leased, positions: Sequence[int]) -> Loaded:
        """Look at up to 100 members of a shard, and at whether its notification may be sent at all.

        Raises:
            LeaseLost: the epoch is past.
        """
        ...

    async def checkpoint(self, checkpoint: Checkpoint) -> Ended | None:
        """Write down what was done; returns the notification if this was the end of it.

        A shard with every bit set is closed, and its notification is done with the last one of them.

        Raises:
            LeaseLost: the epoch is past; nothing was written.
        """
        ...

    async def plan_page(self, lease: LeaseKey) -> Planned:
        """Put the next page of a plan's audience into shards and move its cursor, in one transaction.

        Raises:
            LeaseLost: the epoch is past; nothing was written.
        """
        ...

    async def sweep(self) -> Swept:
        """Close what is past its deadline and not lent (paused or not), set aside what too many workers lost, and
        finish notifications that have nothing left."""
        ...

    async def next_due(self) -> float | None:
        """Epoch seconds at which the next shard that waits for its time becomes due; None where none waits."""
        ...
