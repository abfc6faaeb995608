"""The unit of work: at most a thousand recipients of one notification at one push service.

A shard lists its recipients (``members``) and has a bit for each (``done``). A bit is set when what becomes of the
recipient is final, or when it has *moved* to a follow-up shard that was written in the same transaction. So a worker
can be killed at any moment: whoever leases the shard next goes on with the bits that are not set.

A lease is a loan with a number. Each claim raises the shard's ``epoch``, and nothing is written for a shard but with
the epoch it was claimed at: what a worker does after it has lost its lease changes nothing.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from pushkeep.errors import Conflict
from pushkeep.protocol.verdict import Verdict

SHARD_MEMBERS_MAX = 1000
"""About a third of a second of curve work, and 8 KB: what is repeated or lost sight of is never more."""

SUB_BATCH_MEMBERS_MAX = 100
"""Recipients loaded at a time: state, owner, pause and cancel are looked at again for each such batch."""

CHECKPOINT_SECONDS = 1.0
"""How often a worker writes down what it has done, and how old what it knows of a recipient may be."""

LEASE_SECONDS = 30.0
"""How long a killed worker's shard waits for the next one."""

LEASE_MARGIN_SECONDS = 3.0
"""No message starts within so long of the lease's end: the answer must still be written under the lease."""

LEASE_RENEW_SECONDS = 10.0
"""Two renewals may fail before a lease ends."""


def lease_margin_seconds(lease_seconds: float) -> float:
    """:data:`LEASE_MARGIN_SECONDS`, and in proportion for leases of another length."""
    return LEASE_MARGIN_SECONDS * lease_seconds / LEASE_SECONDS


def lease_renew_seconds(lease_seconds: float) -> float:
    """:data:`LEASE_RENEW_SECONDS`, and in proportion for leases of another length."""
    return LEASE_RENEW_SECONDS * lease_seconds / LEASE_SECONDS


PROGRESS_SECONDS_MAX = 90.0
"""A lease is renewed only while something came of the shard within so long; three times the longest exchange."""

TAKEOVERS_MAX = 5
"""A shard whose workers died five times over may be what kills them: it is set aside, for people to see."""

FOLLOW_UP_PAGE = -1
"""The page of a follow-up; those of a plan count from 0."""


class ShardKind(StrEnum):
    """What is to be done with a shard."""

    PLAN = "plan"
    """Turn an audience into shards of recipients, page by page. It has no members."""

    SEND = "send"


class ShardState(StrEnum):
    """Where a shard stands."""

    READY = "ready"
    LEASED = "leased"
    CLOSED = "closed"
    SET_ASIDE = "set_aside"


class ShardEvent(StrEnum):
    """What can happen to a shard."""

    CLAIMED = "claimed"
    TAKEN_OVER = "taken_over"
    RELEASED = "released"
    FINISHED = "finished"
    CUT = "cut"
    GIVEN_UP = "given_up"
    RESUMED = "resumed"


SHARD_TRANSITIONS: Mapping[tuple[ShardState, ShardEvent], ShardState] = MappingProxyType(
    {
        (ShardState.READY, ShardEvent.CLAIMED): ShardState.LEASED,
        (ShardState.READY, ShardEvent.CUT): ShardState.CLOSED,
        (ShardState.LEASED, ShardEvent.TAKEN_OVER): ShardState.LEASED,
        (ShardState.LEASED, ShardEvent.RELEASED): ShardState.READY,
        (ShardState.LEASED, ShardEvent.FINISHED): ShardState.CLOSED,
        (ShardState.LEASED, ShardEvent.CUT): ShardState.CLOSED,
        (ShardState.LEASED, ShardEvent.GIVEN_UP): ShardState.SET_ASIDE,
        (ShardState.SET_ASIDE, ShardEvent.RESUMED): ShardState.READY,
        (ShardState.SET_ASIDE, ShardEvent.CUT): ShardState.CLOSED,
    }
)
"""Every legal move: ``cut`` is the deadline or a cancellation, ``given_up`` the fifth takeover."""

LIVE = frozenset({ShardState.READY, ShardState.LEASED, ShardState.SET_ASIDE})
"""Shards whose unset bits still stand for recipients without a final state."""


def move_shard(state: ShardState, event: ShardEvent) -> ShardState:
    """Walk the table.

    Raises:
        Conflict: the table has no such move.
    """
    try:
        return SHARD_TRANSITIONS[state, event]
    except KeyError:
        raise Conflict(f"A shard that is {state.value} cannot be {event.value.replace('_', ' ')}.") from None


class Kind(StrEnum):
    """What became of a recipient of a notification; each is a column of counts in a shard."""

    ACCEPTED = "accepted"
    GONE = "gone"
    SUSPECT = "suspect"
    KEY_MISMATCH = "key_mismatch"
    BAD_TOKEN = "bad_token"  # noqa: S105 - a name, not a password
    TOO_LARGE = "too_large"
    BAD_REQUEST = "bad_request"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    REFUSED_ENDPOINT = "refused_endpoint"
    SKIPPED_ENDED = "skipped_ended"
    SKIPPED_REPLACED = "skipped_replaced"
    SKIPPED_OWNER = "skipped_owner"
    SKIPPED_KEY = "skipped_key"
    SKIPPED_UNREADABLE = "skipped_unreadable"
    SKIPPED_QUARANTINED = "skipped_quarantined"
    SKIPPED_RENEWAL = "skipped_renewal"
    SKIPPED_CONSENT = "skipped_consent"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    MOVED = "moved"
    """Not final: the recipient is a member of a follow-up shard now."""


FINAL_KINDS: tuple[Kind, ...] = tuple(kind for kind in Kind if kind is not Kind.MOVED)
KIND_OF_VERDICT: Mapping[Verdict, Kind] = MappingProxyType({verdict: Kind(verdict.value) for verdict in Verdict})

KIND_WORDS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.ACCEPTED: "a push service took the message",
        Kind.GONE: "the push service said that the subscription has ended",
        Kind.SUSPECT: "the push service doubts the subscription",
        Kind.KEY_MISMATCH: "the subscription was made with another signing key",
        Kind.BAD_TOKEN: "the push service refused our token until the deadline",
        Kind.TOO_LARGE: "the push service called the message too large",
        Kind.BAD_REQUEST: "the push service refused the message itself",
        Kind.THROTTLED: "the push service asked for patience until the deadline",
        Kind.TRANSIENT: "faults that pass did not, until the deadline or the last attempt",
        Kind.REFUSED_ENDPOINT: "the endpoint leads to an address that is not dialled",
        Kind.SKIPPED_ENDED: "no longer subscribed",
        Kind.SKIPPED_REPLACED: "replaced by a subscription that gets the message already",
        Kind.SKIPPED_OWNER: "belongs to another contact by now",
        Kind.SKIPPED_KEY: "its signing key is retired",
        Kind.SKIPPED_UNREADABLE: "what is stored of it is damaged; remove it, and its browser brings it again",
        Kind.SKIPPED_QUARANTINED: "refused for days or not to be dialled; in quarantine until its next probe",
        Kind.SKIPPED_RENEWAL: "its signing key is not taken any more; waits for its browser to renew it",
        Kind.SKIPPED_CONSENT: "has not consented to what the notification is for, or has withdrawn it",
        Kind.EXPIRED: "its turn did not come before the deadline",
        Kind.CANCELLED: "cancelled before its turn",
        Kind.MOVED: "to be tried again",
    }
)
"""Each in words, for people."""


def pack_ids(ids: Sequence[int]) -> bytes:
    """Ids as 8 octets each, little-endian; what ``members`` and ``owners`` hold."""
    packed = array("q", ids)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_ids(packed: bytes) -> array[int]:
    """Undo :func:`pack_ids`."""
    ids = array("q")
    ids.frombytes(packed)
    if sys.byteorder == "big":
        ids.byteswap()
    return ids


class Bitmap:
    """As many bits as a shard has members; bit 0 is the lowest of the first octet."""

    __slots__ = ("_bits", "count")

    def __init__(self, count: int, packed: bytes = b"") -> None:
        self.count = count
        self._bits = int.from_bytes(packed, "little")

    def set(self, position: int) -> None:
        """Set a bit.

        Raises:
            IndexError: there is no such member.
        """
        if not 0 <= position < self.count:
            raise IndexError(position)
        self._bits |= 1 << position

    def __contains__(self, position: int) -> bool:
        return bool(self._bits >> position & 1)

    def __len__(self) -> int:
        """How many bits are set."""
        return self._bits.bit_count()

    def unset(self) -> Iterator[int]:
        """The positions whose bits are not set, in order."""
        return (position for position in range(self.count) if not self._bits >> position & 1)

    def pack(self) -> bytes:
        """As it is stored: an octet for every eight members."""
        return self._bits.to_bytes((self.count + 7) // 8, "little")


@dataclass(frozen=True, slots=True)
class LeaseKey:
    """What a worker shows to write for a shard.

    Attributes:
        shard_id: internal number.
        epoch: of the claim.
    """

    shard_id: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard as its worker gets it.

    Attributes:
        lease: its number, and the epoch of this claim.
        project_id: the project's internal number.
        notification_id: the notification's internal number.
        kind: plan or send.
        origin: of every member's endpoint; empty for a plan.
        vendor: the vendor row's name; empty for a plan.
        members: internal ids of subscriptions.
        owners: the contact each member must still belong to (0 for anybody), as many as members, or none at all.
        done: the bits that were set when it was claimed.
        attempt: the number of the attempt that is next, from 1.
        history: verdicts of the attempts before, the last few of them.
        takeovers: how often a worker lost it.
    """

    lease: LeaseKey
    project_id: int
    notification_id: int
    kind: ShardKind
    origin: str
    vendor: str
    members: array[int] = field(repr=False)
    owners: array[int] = field(repr=False)
    done: Bitmap = field(repr=False)
    attempt: int = 1
    history: tuple[Verdict, ...] = ()
    takeovers: int = 0
