"""A stored subscription and its life.

A subscription is one browser profile's mailbox. It begins ``active`` when a browser registers it and ends in one of
three ways: the push service says that it is ``gone``, its browser or the operator takes it away (``unsubscribed``),
or the same browser replaces it by another one (``superseded``). An ended row stays as a tombstone that says why;
what could be used to send to it is erased. No state is final: a browser that comes back with the same
subscription proves that it is alive, whatever was believed before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pushkeep.errors import Conflict, InvalidInput
from pushkeep.protocol.subscription import Subscription

SUSPECT_DAYS_TO_END = 3
"""FCM doubts a living subscription for about a day at a time; three days of doubt are no flapping."""

EXTERNAL_ID_CHARACTERS_MAX = 200
"""Room for an e-mail address or a URN, small enough for an index on every database."""

SUBSCRIPTIONS_PER_CONTACT_MAX = 100
"""Active ones. Nobody has a hundred browsers; a page that registers in a loop has."""


class State(StrEnum):
    """Where a subscription stands; only ``active`` ones are sent to."""

    ACTIVE = "active"
    GONE = "gone"
    UNSUBSCRIBED = "unsubscribed"
    SUPERSEDED = "superseded"


class Event(StrEnum):
    """What can happen to a subscription."""

    SYNCED = "synced"
    SAID_GONE = "said_gone"
    LEFT = "left"
    REMOVED = "removed"
    REPLACED = "replaced"


TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.ACTIVE, Event.SYNCED): State.ACTIVE,
        (State.ACTIVE, Event.SAID_GONE): State.GONE,
        (State.ACTIVE, Event.LEFT): State.UNSUBSCRIBED,
        (State.ACTIVE, Event.REMOVED): State.UNSUBSCRIBED,
        (State.ACTIVE, Event.REPLACED): State.SUPERSEDED,
        (State.GONE, Event.SYNCED): State.ACTIVE,
        (State.UNSUBSCRIBED, Event.SYNCED): State.ACTIVE,
        (State.SUPERSEDED, Event.SYNCED): State.ACTIVE,
    }
)
"""Every legal move. What is missing here cannot happen."""


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
class EndReason:
    """Why a subscription ended.

    Attributes:
        cause: the event that ended it.
        at: epoch seconds.
        text: the push service's own words (cut and cleaned), or the operator's; None where nobody said anything.
        status: the HTTP status of the answer, where there was one.
        code: the code in the service's body, where there was one.
        errno: Mozilla's error number, where there was one.
        more_info: the service's link to an explanation.
    """

    cause: Event
    at: float
    text: str | None = None
    status: int | None = None
    code: int | None = None
    errno: int | None = None
    more_info: str | None = None


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
        end_reason: why it ended; None while it has not.
        superseded_by: internal number of the row that replaced it.
        version: rises with every change of identity or state; verdicts apply to the version they were made for.
        keys_hash: keyed hash of p256dh and auth, 16 octets: recognises the browser's keys without holding them.
        abilities: what its worker said it can do (``domain.ability``).
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
    end_reason: EndReason | None
    superseded_by: int | None
    version: int
    keys_hash: bytes
    abilities: frozenset[str] = frozenset()


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
