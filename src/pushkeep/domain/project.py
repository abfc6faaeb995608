"""A project: one site or application, with its keys, contacts and subscriptions."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import InvalidInput
from pushkeep.protocol.contact import check_contact
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.signing_key import SigningKey

NAME_CHARACTERS_MAX = 120
"""Fits a heading; nothing longer is a name."""

LABEL_CHARACTERS_MAX = 120
"""An API key's label is a reminder of who holds it."""

API_KEY_SECRET_BYTES = 32
"""256 random bits."""

API_KEY_ID_BYTES = 9
PUBLISHABLE_KEY_BYTES = 18
PROJECT_SECRET_BYTES = 32
"""Identity and sync secrets: the key length HMAC-SHA-256 can use in full (RFC 2104 section 3)."""

_PUBLISHABLE_KEY = re.compile(r"pk_[A-Za-z0-9_-]{24}")
_API_KEY = re.compile(r"sk_([A-Za-z0-9_-]{12})([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Project:
    """One site or application.

    Attributes:
        id: internal number.
        public_id: UUIDv7 text.
        name: shown to people.
        site_url: where a click leads when the notification names no URL.
        publishable_key: ``pk_…``; stands in pages, identifies the project and gives no rights over others' data.
        contact: the ``sub`` of VAPID tokens: ``mailto:`` or ``https:``.
        site_origins: origins whose pages may use the browser routes, besides the site's own.
    """

    id: int
    public_id: str
    name: str
    site_url: str
    publishable_key: str
    contact: str
    site_origins: frozenset[str] = frozenset()


class KeyState(StrEnum):
    """A signing key's place in its life; only ``active`` is given to browsers."""

    NEXT = "next"
    """Made, and not used yet."""
    ACTIVE = "active"
    RETIRING = "retiring"
    """Still signs for the subscriptions that were made with it; their browsers move at their next visit."""
    RETIRED = "retired"
    """Signs no more. Its private half is erased, its public half is kept to be recognised."""


SIGNING = frozenset({KeyState.ACTIVE, KeyState.RETIRING})
"""Keys whose subscriptions are sent to."""


@dataclass(frozen=True, slots=True)
class ProjectSigningKey:
    """A VAPID key pair of a project.

    Attributes:
        id: internal number; every subscription records the key it was made with.
        key: the pair.
        state: whether new subscriptions are made with it.
        created_at: epoch seconds.
        activated_at, retiring_at: since when it is in use, and since when browsers move away from it.
        leaked_at: since when it is known to be in other hands; browsers hurry then.
    """

    id: int
    key: SigningKey
    state: KeyState
    created_at: float
    activated_at: float | None = None
    retiring_at: float | None = None
    leaked_at: float | None = None


@dataclass(frozen=True, slots=True, repr=False)
class NewProject:
    """Everything a project is born with; what randomness there is was drawn by the caller."""

    public_id: str
    name: str
    site_url: str
    contact: str
    publishable_key: str
    signing_key: SigningKey
    identity_secret: bytes
    sync_secret: bytes
    created_at: float
    site_origins: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What the operator says about a project, checked.

    Attributes:
        name: 1 to 120 characters.
        site_url: https, or http on loopback, without a final slash.
        contact: as VAPID wants it.
        site_origins: of further sites whose pages may use the browser routes.
    """

    name: str
    site_url: str
    contact: str
    site_origins: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *, name: object, site_url: object, contact: str, site_origins: Collection[str] = ()) -> ProjectSettings:
        """Check the settings.

        Raises:
            InvalidInput: an empty or overlong name, a site URL or origin browsers would not call secure, or a contact
                that push services refuse.
        """
        if not isinstance(name, str) or not name.strip() or len(name) > NAME_CHARACTERS_MAX:
            raise InvalidInput(f"name must have 1 to {NAME_CHARACTERS_MAX} characters.", field="name")
        origins = frozenset(SiteUrl.parse(origin, field="site_origins").origin for origin in site_origins)
        return cls(name.strip(), SiteUrl.parse(site_url, field="site_url").url, check_contact(contact), origins)


@dataclass(frozen=True, slots=True, repr=False)
class ApiKey:
    """An API key taken apart.

    The stored form is SHA-256 of the whole key. A slow password hash would add nothing: the secret is 256 random
    bits, so nobody can search for it, and the fast hash keeps authentication off the list of things to flood.

    Attributes:
        key_id: the 12 characters by which it is looked up; not secret.
        text: the whole key; shown once.
    """

    key_id: str
    text: str

    @classmethod
    def make(cls, random: bytes) -> ApiKey:
        """Make a key from 41 random octets."""
        if len(random) != API_KEY_ID_BYTES + API_KEY_SECRET_BYTES:
            raise ValueError("an API key needs 41 random octets")
        key_id = b64url_encode(random[:API_KEY_ID_BYTES])
        return cls(key_id, f"sk_{key_id}{b64url_encode(random[API_KEY_ID_BYTES:])}")

    @classmethod
    def parse(cls, text: object) -> ApiKey | None:
        """Take a key apart; None where it cannot be one."""
        match = _API_KEY.fullmatch(text) if isinstance(text, str) else None
        return cls(match[1], match[0]) if match else None

    @property
    def digest(self) -> bytes:
        """What is stored of it: SHA-256, 32 octets."""
        return hashlib.sha256(self.text.encode("ascii")).digest()

    def matches(self, digest: bytes) -> bool:
        """Compare with a stored digest in constant time."""
        return hmac.compare_digest(self.digest, digest)


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """What is stored of an API key, without its digest.

    Attributes:
        key_id: the 12 characters behind ``sk_``.
        label: what it is for.
        created_at: epoch seconds.
    """

    key_id: str
    label: str
    created_at: float


def publishable_key(random: bytes) -> str:
    """Make a publishable key from 18 random octets."""
    if len(random) != PUBLISHABLE_KEY_BYTES:
        raise ValueError(f"a publishable key needs {PUBLISHABLE_KEY_BYTES} random octets")
    return f"pk_{b64url_encode(random)}"


def is_publishable_key(text: object) -> bool:
    """Whether ``text`` has the form of a publishable key."""
    return isinstance(text, str) and _PUBLISHABLE_KEY.fullmatch(text) is not None


def check_label(label: object) -> str:
    """Check an API key's label: 1 to 120 printable characters.

    Raises:
        InvalidInput: empty, too long, or with a control character or an unpaired surrogate.
    """
    if not isinstance(label, str) or not label.strip() or len(label) > LABEL_CHARACTERS_MAX:
        raise InvalidInput(f"label must have 1 to {LABEL_CHARACTERS_MAX} characters.", field="label")
    if not label.isprintable():
        raise InvalidInput("label has a character that cannot be displayed.", field="label")
    return label.strip()
