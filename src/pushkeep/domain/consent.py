"""Consent: who agreed to what, in which words, and when they withdrew it.

A record's content is committed to: its commitment is a hash of a salt and the content, and says nothing without the
salt. Commitments are sealed in batches: the head of a batch is a hash over them and the head before it. Whoever was
once given a head can check later that nothing before it was changed, taken out or put in. Erasing a record takes its
content and salt; the commitment stays, so the chain still holds.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

SALT_BYTES = 32
"""As many as the hash has: nobody guesses content by trying salts."""

HASH_BYTES = 32
GENESIS = bytes(HASH_BYTES)
"""What stands for the head before the first."""

SEAL_RECORDS_MAX = 1000
"""Records in a batch: to check one of them, so many commitments are hashed."""

_COMMITMENT = b"pushkeep consent record 1\0"
_LINK = b"pushkeep consent seal 1\0"
_WORDING = b"pushkeep wording 1\0"


class Basis(StrEnum):
    """On what ground a project sends for a purpose (GDPR art. 6(1))."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGITIMATE_INTEREST = "legitimate_interest"
    LEGAL_OBLIGATION = "legal_obligation"


class Method(StrEnum):
    """How somebody said it."""

    PROMPT = "prompt"
    """In the page's own question, before the browser's."""

    SETTINGS = "settings"
    """On a page with preferences."""

    UNSUBSCRIBED = "unsubscribed"
    """By leaving: a withdrawal of everything."""

    API = "api"
    """The site's server said so, with an API key."""

    IMPORT = "import"
    """It came with an import from elsewhere."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a project sends for.

    Attributes:
        id: internal number.
        name: 1 to 40 of ``a-z 0-9 _ -``.
        description: in words for visitors, up to 300 characters.
        basis: only for ``CONSENT`` a recipient must have agreed.
        created_at: epoch seconds.
    """

    id: int
    name: str
    description: str
    basis: Basis
    created_at: float


@dataclass(frozen=True, slots=True)
class Wording:
    """What visitors are asked, word for word.

    Attributes:
        purpose: its name.
        locale: language tag of the text.
        version: the site's own name for this version of the text.
        policy_version: of the privacy policy that it refers to; may be empty.
        text: what they read, up to 4,000 characters.
        created_at: epoch seconds.
    """

    purpose: str
    locale: str
    version: str
    policy_version: str
    text: str
    created_at: float

    @property
    def digest(self) -> bytes:
        """SHA-256 of everything but the time: by which a page says what it showed."""
        parts = [self.purpose, self.locale, self.version, self.policy_version, self.text]
        return hashlib.sha256(_WORDING + _json(parts)).digest()


@dataclass(frozen=True, slots=True)
class ConsentWord:
    """What somebody says now.

    Attributes:
        purpose: its name.
        given: whether they agree; else they withdraw.
        method: how they said it.
        wording: digest of the wording they were shown; needed to agree in a prompt or in settings.
        page: where, without query and fragment; up to 500 characters.
        at: epoch seconds at which it was said, for what comes from elsewhere; None for now.
    """

    purpose: str
    given: bool
    method: Method
    wording: bytes | None = None
    page: str | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class ConsentContent:
    """What a record says; all of it is committed to.

    Attributes:
        subscription: public id of the browser's subscription; None where a contact spoke as such.
        contact: external id of whom the browser belonged to then; None for nobody.
        purpose: name.
        given: agreed, or withdrew.
        method: see :class:`Method`.
        wording: digest of the wording, 64 hexadecimal digits; None where none was shown.
        wording_version, locale, policy_version: of that wording.
        page: where it was said.
        at: epoch seconds.
    """

    subscription: str | None
    contact: str | None
    purpose: str
    given: bool
    method: str
    wording: str | None
    wording_version: str | None
    locale: str | None
    policy_version: str | None
    page: str | None
    at: float

    def canonical(self) -> bytes:
        """The octets that are committed to: JSON with sorted keys and no blanks, in UTF-8."""
        return _json(asdict(self))


@dataclass(frozen=True, slots=True)
class Seal:
    """A link of the chain, over the commitments of a batch of records.

    Attributes:
        number: from 1, without a gap.
        first, last: numbers of its records.
        previous: the head before it, 32 octets.
        head: 32 octets.
        sealed_at: epoch seconds.
    """

    number: int
    first: int
    last: int
    previous: bytes
    head: bytes
    sealed_at: float


def commitment(salt: bytes, canonical: bytes) -> bytes:
    """What a record is held to; 32 octets that say nothing without the salt."""
    return hashlib.sha256(_COMMITMENT + salt + canonical).digest()


def link(previous: bytes, number: int, first: int, sealed_at: float, commitments: Iterable[bytes]) -> bytes:
    """The head of a batch.

    Args:
        previous: the head before it; :data:`GENESIS` for the first.
        number: of the batch, from 1.
        first: number of its first record.
        sealed_at: epoch seconds.
        commitments: of its records, in their order.
    """
    hashed = hashlib.sha256(_LINK + previous + struct.pack(">QQd", number, first, sealed_at))
    for one in commitments:
        hashed.update(one)
    return hashed.digest()


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
