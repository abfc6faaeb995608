"""Everything a project has, record by record: what its own export format says, whatever the lines look like.

Records name each other by what stays the same everywhere: public ids, external ids, ids of keys, names of purposes.
They come in an order in which each names only what came before: project, API keys, signing keys, purposes, wordings,
contacts, subscriptions with their lives, successions, consent records, consent states, seals. What no other
installation could use is left out: notifications and their accounts, the hashes by which tombstones recognise their
endpoints, and what workers and chores note for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from pushkeep.domain.consent import Basis, ConsentContent, Wording
from pushkeep.domain.lifecycle import Evidence
from pushkeep.domain.moving import MovedRecord
from pushkeep.domain.project import KeyState
from pushkeep.domain.subscription import Event, State, StateReason
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription

PORTABLE_VERSION = 1
"""Of the format; another one is not read."""

LIFE_ENTRIES_MAX = 100
"""Entries of a life that stand in one record; they have 4 KB each at most, and are some hundred octets."""

PORTABLE_LINE_BYTES_MAX = 1_048_576
"""Room for a record with as many entries as it may have."""


@dataclass(frozen=True, slots=True)
class PortableProject(MovedRecord):
    """The project; see :class:`~pushkeep.domain.project.Project`.

    Attributes:
        public_id: UUIDv7 text; tokens of browsers hold for it.
        created_at: epoch seconds.
        identity_secret, sync_secret: 32 octets each; None in an export without secrets.
    """

    kind: ClassVar[str] = "projects"

    public_id: str
    name: str
    site_url: str
    contact: str
    publishable_key: str
    site_origins: frozenset[str]
    created_at: float
    identity_secret: bytes | None = field(default=None, repr=False)
    sync_secret: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PortableApiKey(MovedRecord):
    """An API key, of which only the digest is known; those who have it go on working."""

    kind: ClassVar[str] = "api_keys"

    key_id: str
    digest: bytes = field(repr=False)
    label: str
    created_at: float


@dataclass(frozen=True, slots=True)
class PortableSigningKey(MovedRecord):
    """A signing key; see :class:`~pushkeep.domain.signing_keys.KeyRecord`.

    Attributes:
        pair: None once it is retired, and in an export without secrets.
    """

    kind: ClassVar[str] = "signing_keys"

    public_bytes: bytes
    pair: SigningKey | None = field(repr=False)
    state: KeyState
    created_at: float
    activated_at: float | None = None
    retiring_at: float | None = None
    retired_at: float | None = None
    leaked_at: float | None = None

    @property
    def key_id(self) -> str:
        """By which subscriptions name it."""
        return SigningKey.id_of(self.public_bytes)


@dataclass(frozen=True, slots=True)
class PortablePurpose(MovedRecord):
    """A purpose; see :class:`~pushkeep.domain.consent.Purpose`."""

    kind: ClassVar[str] = "purposes"

    name: str
    description: str
    basis: Basis
    created_at: float


@dataclass(frozen=True, slots=True)
class PortableWording(MovedRecord):
    """What visitors were or are asked."""

    kind: ClassVar[str] = "wordings"

    wording: Wording


@dataclass(frozen=True, slots=True)
class PortableContact(MovedRecord):
    """A contact with its tags, in alphabetical order."""

    kind: ClassVar[str] = "contacts"

    external_id: str
    tags: tuple[str, ...]
    created_at: float


@dataclass(frozen=True, slots=True)
class PortableEntry:
    """An entry of a subscription's life; see :class:`~pushkeep.domain.lifecycle.LifecycleEntry`.

    Attributes:
        evidence: without contacts, which are numbers there.
        contact, contact_before: external ids of its owner, after and before.
    """

    at: float
    event: Event
    before: State | None
    after: State
    evidence: Evidence
    contact: str | None = None
    contact_before: str | None = None


@dataclass(frozen=True, slots=True)
class PortableSubscription(MovedRecord):
    """A subscription; see :class:`~pushkeep.domain.subscription.SubscriptionRecord`.

    Attributes:
        owner: the contact's external id.
        signing_key: id of the key it was made with.
        subscription: endpoint and keys; None of a tombstone, and in an export without secrets.
        life: the first entries of its life, at most :data:`LIFE_ENTRIES_MAX`.
    """

    kind: ClassVar[str] = "subscriptions"

    public_id: str
    short_id: str
    owner: str | None
    signing_key: str
    origin: str
    vendor: str
    subscription: Subscription | None = field(repr=False)
    state: State
    reason: StateReason | None
    created_at: float
    last_seen_at: float
    last_accepted_at: float | None = None
    last_displayed_at: float | None = None
    last_verdict: str | None = None
    last_verdict_at: float | None = None
    ended_at: float | None = None
    owner_since: float | None = None
    probe_at: float | None = None
    probes: int = 0
    consecutive_failures: int = 0
    suspect_days: frozenset[int] = frozenset()
    abilities: frozenset[str] = frozenset()
    sync_sequence: int = 0
    version: int = 1
    life: tuple[PortableEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class PortableLife(MovedRecord):
    """How a subscription's life goes on.

    Attributes:
        subscription: its public id.
        behind: how many entries of it came before.
        entries: at most :data:`LIFE_ENTRIES_MAX`.
    """

    kind: ClassVar[str] = "lives"

    subscription: str
    behind: int
    entries: tuple[PortableEntry, ...]


@dataclass(frozen=True, slots=True)
class PortableSuccession(MovedRecord):
    """Which subscription replaced which, by public ids: behind all of them, since the older may follow the newer."""

    kind: ClassVar[str] = "successions"

    subscription: str
    successor: str


@dataclass(frozen=True, slots=True)
class PortableConsent(MovedRecord):
    """A consent record: with salt and content, or erased.

    Attributes:
        over_at: since when nothing rests on it.
    """

    kind: ClassVar[str] = "consents"

    number: int
    commitment: bytes
    salt: bytes | None = field(repr=False)
    content: ConsentContent | None = field(repr=False)
    erased_at: float | None = None
    over_at: float | None = None


@dataclass(frozen=True, slots=True)
class PortableConsentState(MovedRecord):
    """What holds of somebody's word: of a subscription (public id) or a contact (external id).

    Attributes:
        owner: whose the browser was when it was said.
    """

    kind: ClassVar[str] = "consent_states"

    subscription: str | None
    contact: str | None
    purpose: str
    given: bool
    number: int
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class PortableSeal(MovedRecord):
    """A link of the chain over the consent records; see :func:`pushkeep.domain.consent.link`."""

    kind: ClassVar[str] = "seals"

    number: int
    first: int
    last: int
    previous: bytes
    head: bytes
    sealed_at: float
