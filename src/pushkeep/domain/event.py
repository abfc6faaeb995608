"""What can be announced: a closed list of facts about the work.

Whoever does the work announces facts and measures nothing; metrics, logs and whatever else is curious listen
(:mod:`pushkeep.app.announcer`). No fact carries an endpoint, a payload, a token or anything about a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pushkeep.domain.sending import NotificationState, Priority
from pushkeep.domain.shard import Kind
from pushkeep.domain.signing_keys import KeyEvent
from pushkeep.domain.subscription import Event as SubscriptionEvent
from pushkeep.protocol.verdict import Verdict


@dataclass(frozen=True, slots=True)
class NotificationAccepted:
    """A notification is stored durably.

    Attributes:
        notification_id: public id.
        priority: whose turn is first.
        recipients: how many, where they are known already; None while an audience is still to be planned.
        replayed: it had been accepted before, under the same idempotency key.
    """

    notification_id: str
    priority: Priority
    recipients: int | None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class NotificationRefused:
    """A notification was not accepted.

    Attributes:
        code: of the error: ``invalid_input``, ``unavailable``, …
    """

    code: str


@dataclass(frozen=True, slots=True)
class NotificationFinished:
    """Every recipient of a notification has a final state.

    Attributes:
        notification_id: public id.
        state: done or cancelled.
        seconds: since it was to be sent.
        counts: recipients by what became of them; empty where nobody counted.
    """

    notification_id: str
    state: NotificationState
    seconds: float
    counts: Mapping[Kind, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PagePlanned:
    """One page of an audience was put into shards.

    Attributes:
        notification_id: public id.
        recipients: of this page.
        shards: into how many.
        seconds: how long it took.
        complete: it was the last page.
    """

    notification_id: str
    recipients: int
    shards: int
    seconds: float
    complete: bool


@dataclass(frozen=True, slots=True)
class ShardLeased:
    """A shard was lent to this process.

    Attributes:
        vendor: the vendor row's name; empty for a plan.
        priority: of its notification.
        recipients: that are not done.
        taken_over: another worker had it and did not come back.
    """

    vendor: str
    priority: Priority
    recipients: int
    taken_over: bool


@dataclass(frozen=True, slots=True)
class LeaseWasLost:
    """A shard is another worker's by now, and what this one had not written down is sent again by that one.

    Attributes:
        shard_id: internal number.
        vendor: the vendor row's name; empty for a plan.
        unwritten: messages that ended since the last checkpoint.
    """

    shard_id: int
    vendor: str
    unwritten: int


@dataclass(frozen=True, slots=True)
class ShardsSetAside:
    """Shards that worker after worker lost are left alone until somebody looks.

    Attributes:
        count: how many.
    """

    count: int


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """A message was posted and answered, or was not answered.

    Attributes:
        vendor: the vendor row's name.
        verdict: what the answer meant.
        seconds: from start to end.
    """

    vendor: str
    verdict: Verdict
    seconds: float


@dataclass(frozen=True, slots=True)
class CheckpointWritten:
    """What was done for a shard is on disk.

    Attributes:
        vendor: the vendor row's name.
        priority: of its notification.
        settled: recipients whose state is final now, by what became of them; ``moved`` for those who are tried again.
        seconds: how long writing took.
    """

    vendor: str
    priority: Priority
    settled: Mapping[Kind, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class SubscriptionsMoved:
    """Answers of a push service changed the state or the signing key of subscriptions.

    Attributes:
        vendor: the vendor row's name.
        events: how many, by what happened to them; as the sender saw it: whoever was changed by somebody else in the
            same moment is counted here, and was left alone.
    """

    vendor: str
    events: Mapping[SubscriptionEvent, int]


@dataclass(frozen=True, slots=True)
class LaneRested:
    """A push service asked for patience; nothing is started to it.

    Attributes:
        origin: of its endpoints.
        vendor: the vendor row's name.
        seconds: for how long.
    """

    origin: str
    vendor: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CircuitOpened:
    """A push service refused our token: nothing is sent with this signing key to it until a probe is taken.

    Attributes:
        key_id: internal number of the signing key.
        origin: of the push service.
        refusals: in a row.
        seconds: until the probe.
    """

    key_id: int
    origin: str
    refusals: int
    seconds: float


@dataclass(frozen=True, slots=True)
class CircuitClosed:
    """A push service takes our token again.

    Attributes:
        key_id: internal number of the signing key.
        origin: of the push service.
    """

    key_id: int
    origin: str


@dataclass(frozen=True, slots=True)
class ReceiptsKept:
    """A flush of receipts was written.

    Attributes:
        counts: new ones by what was reported: displayed, clicked, closed.
        seconds: how long writing took.
    """

    counts: Mapping[str, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class ReceiptsDropped:
    """Receipts were not kept.

    Attributes:
        reason: ``full`` (the buffer), ``invalid`` (the token) or ``unavailable`` (the database).
        count: how many.
    """

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class SweepEnded:
    """Everything stored was looked over.

    Attributes:
        scope: ``all``, or ``troubled`` for those that the last messages can have changed.
        seconds: how long it took.
        living: subscriptions that were looked at.
        quarantined, expired: of these, those that were put into quarantine, and those that were ended.
        purged: tombstones that were forgotten.
        likely_dead: of the living, those that show a sign of death.
        held: push services at which the breaker let nothing be moved, because it would have been too much at once.
    """

    scope: str
    seconds: float
    living: int
    quarantined: int
    expired: int
    purged: int
    likely_dead: int
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SigningKeyMoved:
    """Something happened to a signing key by the operator's word; a rotation is one for each of the two keys.

    Attributes:
        key_id: the 12 characters by which people name it.
        event: what.
        given_up: living subscriptions that need renewal by it; of a retirement.
    """

    key_id: str
    event: KeyEvent
    given_up: int = 0


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """A process takes work.

    Attributes:
        owner: its name in leases.
        kind: ``web`` or ``worker``.
    """

    owner: str
    kind: str


@dataclass(frozen=True, slots=True)
class WorkerStopped:
    """A process takes no more work, and what it had in flight is written down.

    Attributes:
        owner: its name in leases.
        kind: ``web`` or ``worker``.
    """

    owner: str
    kind: str


Event: TypeAlias = (
    NotificationAccepted
    | NotificationRefused
    | NotificationFinished
    | PagePlanned
    | ShardLeased
    | LeaseWasLost
    | ShardsSetAside
    | AttemptEnded
    | CheckpointWritten
    | SubscriptionsMoved
    | LaneRested
    | CircuitOpened
    | CircuitClosed
    | ReceiptsKept
    | ReceiptsDropped
    | SweepEnded
    | SigningKeyMoved
    | WorkerStarted
    | WorkerStopped
)
"""Every fact there is."""
