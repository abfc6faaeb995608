"""A stored subscription and its life.

A subscription is one browser profile's mailbox. It begins ``active`` when a browser registers it. While its push
service refuses messages it is ``failing``; refused for days it is ``quarantined`` and only probed; bound to a signing
key that is not taken any more it is ``needs_renewal`` and waits for its browser. It ends in one of three ways: its
push service says that it is ``gone``, its browser or the operator takes it away (``unsubscribed``), or the same
browser replaces it by another one (``superseded``). An ended row stays for a while as a tombstone that says why; what
could be used to send to it is erased. Every move is a row of :data:`TRANSITIONS`, and is written to its life's log
(:mod:`pushkeep.domain.lifecycle`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pushkeep.errors import Conflict, InvalidInput
from pushkeep.protocol.subscription import Subscription

SUSPECT_DAYS_TO_QUARANTINE = 3
"""FCM doubts a living subscription for about a day at a time; three days of doubt are no flapping."""

EXTERNAL_ID_CHARACTERS_MAX = 200
"""Room for an e-mail address or a URN, small enough for an index on every database."""

SUBSCRIPTIONS_PER_CONTACT_MAX = 100
"""Living ones. Nobody has a hundred browsers; a page that registers in a loop has."""


class State(StrEnum):
    """Where a subscription stands."""

    ACTIVE = "active"
    FAILING = "failing"
    """Sent to; what was last sent to it failed."""
    QUARANTINED = "quarantined"
    """Refused for days, or not to be dialled: only probed, at growing distances, with messages that are due anyway."""
    NEEDS_RENEWAL = "needs_renewal"
    """Bound to a signing key that does not open it any more: not sent to until its browser has renewed it."""
    GONE = "gone"
    UNSUBSCRIBED = "unsubscribed"
    SUPERSEDED = "superseded"


LIVING = frozenset({State.ACTIVE, State.FAILING, State.QUARANTINED, State.NEEDS_RENEWAL})
"""Kept with endpoint and keys; their ``ended_at`` is None. These are an audience."""

SENDABLE = frozenset({State.ACTIVE, State.FAILING})
"""Sent to without further question."""

ENDED = frozenset({State.GONE, State.UNSUBSCRIBED, State.SUPERSEDED})
"""Tombstones."""


class Event(StrEnum):
    """What can happen to a subscription."""

    REGISTERED = "registered"
    """Stored for the first time, by its browser or by the operator."""
    SYNCED = "synced"
    """Its browser says that it has it."""
    ENTERED = "entered"
    """The operator handed it in with an API key, whatever was believed of it."""
    ACCEPTED = "accepted"
    """A push service took a message for it."""
    FAILED = "failed"
    """A message failed, and it is to blame."""
    QUARANTINED = "quarantined"
    """Definite failures on several days, or an endpoint that must not be dialled."""
    KEY_REFUSED = "key_refused"
    """The push service says that it was made with another signing key, and no key we have is the right one."""
    KEY_RETIRED = "key_retired"
    """Its signing key was retired while it was living."""
    KEY_FOUND = "key_found"
    """Another of the project's signing keys turned out to be the one it was made with."""
    SAID_GONE = "said_gone"
    """Its push service ended it, or doubted it for long enough."""
    LOST = "lost"
    """Its browser says that it does not have it any more: permission revoked, data lost."""
    EXPIRED = "expired"
    """Nobody heard of it for as long as the operator allows."""
    LEFT = "left"
    """Its visitor unsubscribed."""
    REMOVED = "removed"
    """The operator took it away."""
    REPLACED = "replaced"
    """Its browser has another one instead."""
    RELEASED = "released"
    """The operator lifted the quarantine."""
    OWNER_MOVED = "owner_moved"
    """Somebody logged in."""
    OWNER_DETACHED = "owner_detached"
    """Somebody logged out."""
    RENEWED = "renewed"
    """Its browser gave it other secrets (p256dh, auth)."""


def _moves() -> Iterator[tuple[State, Event, State]]:
    stays = (Event.SYNCED, Event.OWNER_MOVED, Event.OWNER_DETACHED, Event.RENEWED)
    for state in (State.ACTIVE, State.FAILING, State.QUARANTINED, State.NEEDS_RENEWAL):
        yield from ((state, event, state) for event in stays)
        yield state, Event.ENTERED, state if state is State.FAILING else State.ACTIVE
        yield state, Event.ACCEPTED, State.ACTIVE
        yield state, Event.KEY_REFUSED, State.NEEDS_RENEWAL
        yield state, Event.KEY_RETIRED, State.NEEDS_RENEWAL
        yield state, Event.SAID_GONE, State.GONE
        yield state, Event.LOST, State.GONE
        yield state, Event.EXPIRED, State.GONE
        yield state, Event.LEFT, State.UNSUBSCRIBED
        yield state, Event.REMOVED, State.UNSUBSCRIBED
        yield state, Event.REPLACED, State.SUPERSEDED
    for state in (State.ACTIVE, State.FAILING):
        yield state, Event.FAILED, State.FAILING
        yield state, Event.KEY_FOUND, state
    for state in (State.ACTIVE, State.FAILING, State.QUARANTINED):
        yield state, Event.QUARANTINED, State.QUARANTINED
    yield State.QUARANTINED, Event.FAILED, State.QUARANTINED
    yield State.QUARANTINED, Event.KEY_FOUND, State.QUARANTINED
    yield State.QUARANTINED, Event.RELEASED, State.ACTIVE
    yield State.NEEDS_RENEWAL, Event.FAILED, State.NEEDS_RENEWAL
    yield State.NEEDS_RENEWAL, Event.KEY_FOUND, State.ACTIVE
    yield State.NEEDS_RENEWAL, Event.RELEASED, State.ACTIVE
    yield State.GONE, Event.ENTERED, State.ACTIVE
    yield State.UNSUBSCRIBED, Event.SYNCED, State.ACTIVE
    yield State.UNSUBSCRIBED, Event.ENTERED, State.ACTIVE
    yield State.SUPERSEDED, Event.SYNCED, State.ACTIVE
    yield State.SUPERSEDED, Event.ENTERED, State.ACTIVE


TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {(before, event): after for before, event, after in _moves()}
)
"""Every legal move. What is missing here cannot happen: a browser that comes with what its push service calls gone is
asked for a new one, since what answers 410 to us receives nothing."""


class IllegalMove(Conflict):
    """The subscription's state does not allow this event."""


def move(state: State, event: Event) -> State:
    """Walk the table.

    Raises:
        IllegalMove: the table has no such move.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalMove(f"A subscription that is {state.value} cannot be {event.value.replace('_', ' ')}.") from None


@dataclass(frozen=True, slots=True)
class StateReason:
    """Why a subscription stands where it stands.

    Attributes:
        cause: the event that brought it there.
        at: epoch seconds.
        text: the push service's own words (cut and cleaned), or the operator's; None where nobody said anything.
        status: the HTTP status of the answer, where there was one.
        code: the code in the service's body, where there was one.
        errno: Mozilla's error number, where there was one.
        more_info: the service's link to an explanation.
        verdict: what the answer meant.
    """

    cause: Event
    at: float
    text: str | None = None
    status: int | None = None
    code: int | None = None
    errno: int | None = None
    more_info: str | None = None
    verdict: str | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionRecord:
    """What is stored of a subscription, without its secrets.

    Attributes:
        id: internal number, never reused.
        public_id: UUIDv7 text.
        short_id: eight characters for people, unique in the project.
        project_id: the project's internal number.
        contact_external_id: the owner by the site's own id; None while anonymous.
        origin: the push service's origin.
        vendor: the vendor row's name.
        state: where it stands.
        signing_key_id: internal number of the key it was made with.
        created_at: epoch seconds of the first registration.
        last_seen_at: when its browser last confirmed it.
        last_accepted_at: when the push service last took a message; at least roughly (see ``domain.action``).
        consecutive_failures: sends since then that the subscription is to blame for.
        suspect_days: the UTC days (epoch days) since then on which the push service doubted it; at most three.
        state_reason: why it is in this state; None while it is active.
        superseded_by: internal number of the row that replaced it.
        version: rises with every change of identity or state; verdicts apply to the version they were made for.
        keys_hash: keyed hash of p256dh and auth, 16 octets: recognises the browser's keys without holding them.
        abilities: what its worker said it can do (``domain.ability``).
        ended_at: epoch seconds of its end; None while it is living.
        last_displayed_at: when its browser last reported that it showed a message; to the day.
        last_verdict: what the last answer that was written down meant; None before the first.
        last_verdict_at: when.
        owner_since: when it was last given to, moved between or taken from contacts; None while it never had one.
        sync_sequence: the highest sequence number its browser has shown; older words of it are stale.
        probe_at: while quarantined: from when on one message may go to it; None where it must not be dialled at all.
        probes: how many such messages failed.
    """

    id: int
    public_id: str
    short_id: str
    project_id: int
    contact_external_id: str | None
    origin: str
    vendor: str
    state: State
    signing_key_id: int
    created_at: float
    last_seen_at: float
    last_accepted_at: float | None
    consecutive_failures: int
    suspect_days: frozenset[int]
    state_reason: StateReason | None
    superseded_by: int | None
    version: int
    keys_hash: bytes
    abilities: frozenset[str] = frozenset()
    ended_at: float | None = None
    last_displayed_at: float | None = None
    last_verdict: str | None = None
    last_verdict_at: float | None = None
    owner_since: float | None = None
    sync_sequence: int = 0
    probe_at: float | None = None
    probes: int = 0

    @property
    def living(self) -> bool:
        """Whether it has not ended."""
        return self.ended_at is None


@dataclass(frozen=True, slots=True)
class Recipient:
    """A record together with what is needed to send to it.

    Attributes:
        record: the stored facts.
        subscription: endpoint and keys; None once the record has ended and they are erased.
    """

    record: SubscriptionRecord
    subscription: Subscription | None


def check_external_id(text: object, *, field: str = "external_id") -> str:
    """Check a contact's id: 1 to 200 characters, none of them a control character.

    Raises:
        InvalidInput: empty, too long or with a control character or an unpaired surrogate.
    """
    if not isinstance(text, str) or not text or len(text) > EXTERNAL_ID_CHARACTERS_MAX:
        raise InvalidInput(f"{field} must be a string of 1 to {EXTERNAL_ID_CHARACTERS_MAX} characters.", field=field)
    if not text.isprintable() or text != text.strip():
        raise InvalidInput(f"{field} must not have control characters or surrounding spaces.", field=field)
    return text
