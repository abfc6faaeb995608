"""A notification on its way: its priority and state, what is stored of it, and the account of its recipients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from types import MappingProxyType

from pushkeep.domain.notification import Target
from pushkeep.domain.shard import FINAL_KINDS, Kind
from pushkeep.errors import Conflict
from pushkeep.protocol.request import PushOptions

DEADLINE_SECONDS_MIN = 60.0
"""TTL 0 is "now or never" at the push service; in our queue it may still wait for a minute."""

SMALL_RECIPIENTS_MAX = 1000
"""Up to so many, each recipient's outcome is kept, accepted ones too; above, only what was not accepted."""

RETRIED_KINDS = frozenset(
    {
        Kind.SUSPECT,
        Kind.KEY_MISMATCH,
        Kind.BAD_TOKEN,
        Kind.TOO_LARGE,
        Kind.BAD_REQUEST,
        Kind.THROTTLED,
        Kind.TRANSIENT,
        Kind.EXPIRED,
    }
)
"""Whom a retry is for: those who were not reached and may be another time."""


class Priority(IntEnum):
    """Whose turn it is first."""

    TRANSACTIONAL = 0
    NORMAL = 1
    BULK = 2


class NotificationState(StrEnum):
    """Where a notification stands."""

    PLANNING = "planning"
    """Its recipients are not all in shards yet; sending has begun with those that are."""

    SENDING = "sending"
    DONE = "done"
    CANCELLED = "cancelled"


class NotificationEvent(StrEnum):
    """What can happen to a notification."""

    PLANNED = "planned"
    SETTLED = "settled"
    CANCELLED = "cancelled"


NOTIFICATION_TRANSITIONS: Mapping[tuple[NotificationState, NotificationEvent], NotificationState] = MappingProxyType(
    {
        (NotificationState.PLANNING, NotificationEvent.PLANNED): NotificationState.SENDING,
        (NotificationState.PLANNING, NotificationEvent.CANCELLED): NotificationState.CANCELLED,
        (NotificationState.SENDING, NotificationEvent.SETTLED): NotificationState.DONE,
        (NotificationState.SENDING, NotificationEvent.CANCELLED): NotificationState.CANCELLED,
    }
)
"""Every legal move. A pause is no state: it lies over planning and sending, and does not stop the deadline."""


def move_notification(state: NotificationState, event: NotificationEvent) -> NotificationState:
    """Walk the table.

    Raises:
        Conflict: the table has no such move.
    """
    try:
        return NOTIFICATION_TRANSITIONS[state, event]
    except KeyError:
        raise Conflict(f"A notification that is {state.value} cannot be {event.value}.") from None


class Control(StrEnum):
    """What may be done for a notification at this moment."""

    SEND = "send"
    PAUSED = "paused"
    CANCELLED = "cancelled"


def deadline_for(*, send_at: float, ttl: int) -> float:
    """Epoch seconds after which nothing more is tried, where the caller names none."""
    return send_at + max(float(ttl), DEADLINE_SECONDS_MIN)


def wire_ttl(ttl: int, *, deadline: float, now: float) -> int:
    """The TTL header's value: no push service keeps a message past our deadline. 0 stays 0, others stay above it."""
    return min(ttl, max(int(deadline - now), 1))


@dataclass(frozen=True, slots=True)
class NewNotification:
    """A checked request to tell somebody something.

    Attributes:
        public_id: UUIDv7 text.
        target: whom to tell.
        content: JSON of what was asked, to be compiled anew for a retry; sealed where it is stored.
        payload: compiled, alike for every recipient but for the receipt token; None wakes the worker without one.
        token_offset: where in ``payload`` the receipt token's characters stand; None where there is none.
        options: TTL, urgency, topic.
        priority: whose turn is first.
        accepted_at, send_at, deadline: epoch seconds.
        idempotency_key: the caller's, or None.
        request_hash: 16 octets that tell one request body from another.
        retry_of: public id of the notification whose failed recipients are told again; None for a new one.
        compress: recipients whose worker can read it get ``payload`` compressed.
        purpose: name of what it is for: who has not agreed to that is left out; None asks nobody's consent.
    """

    public_id: str
    target: Target
    content: bytes = field(repr=False)
    payload: bytes | None = field(repr=False)
    token_offset: int | None
    options: PushOptions
    priority: Priority
    accepted_at: float
    send_at: float
    deadline: float
    idempotency_key: str | None = None
    request_hash: bytes = b""
    retry_of: str | None = None
    compress: bool = False
    purpose: str | None = None


@dataclass(frozen=True, slots=True)
class NotificationJob:
    """What a worker needs to send a notification; it never changes.

    Attributes:
        id: internal number.
        project_id: the project's internal number.
        public_id: UUID text.
        payload, token_offset, options, priority, deadline, compress: as in :class:`NewNotification`.
        keeps_outcomes: whether every recipient's outcome is kept, or only what was not accepted.
        purpose_id: internal number of its purpose; None where it has none.
    """

    id: int
    project_id: int
    public_id: str
    payload: bytes | None = field(repr=False)
    token_offset: int | None
    options: PushOptions
    priority: Priority
    deadline: float
    compress: bool
    keeps_outcomes: bool
    purpose_id: int | None = None


@dataclass(frozen=True, slots=True)
class NotificationRecord:
    """What is known of a notification, without its content.

    Attributes:
        id: internal number, never reused.
        public_id: UUID text.
        project_id: the project's internal number.
        state: where it stands.
        paused_at: since when it is paused; None while it is not.
        priority: whose turn is first.
        options: TTL, urgency, topic.
        target_kind: ``all``, ``tag``, ``contacts``, ``subscriptions`` or ``retry``.
        accepted_at, send_at, deadline: epoch seconds.
        finished_at: when it was done or cancelled; None before.
        keeps_outcomes: whether every recipient's outcome is kept.
        retry_of: public id of the notification it repeats for those who were not reached.
        purpose: name of what it is for; None where it has none.
    """

    id: int
    public_id: str
    project_id: int
    state: NotificationState
    paused_at: float | None
    priority: Priority
    options: PushOptions
    target_kind: str
    accepted_at: float
    send_at: float
    deadline: float
    finished_at: float | None
    keeps_outcomes: bool
    retry_of: str | None
    purpose: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """Where the recipients of a notification are: sums over its shards and nothing else.

    Attributes:
        targeted: members of planned shards.
        counts: recipients by what became of them; every kind but ``moved``, zeros left out.
        moved: how many were handed on to follow-ups, by their shards.
        followed_up: how many follow-ups have as members.
        undone: unset bits of shards that are not closed.
        set_aside: of these, in shards that were set aside.
    """

    targeted: int
    counts: Mapping[Kind, int]
    moved: int
    followed_up: int
    undone: int
    set_aside: int = 0

    @property
    def settled(self) -> int:
        """Recipients whose state is final."""
        return sum(self.counts.values())

    @property
    def balances(self) -> bool:
        """Whether nobody is lost and nobody counted twice; true after every commit."""
        return (
            self.targeted == self.settled + self.undone
            and self.moved == self.followed_up
            and set(self.counts) <= set(FINAL_KINDS)
        )
