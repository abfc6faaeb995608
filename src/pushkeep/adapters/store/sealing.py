"""Encryption of what must not be read from a stolen database file.

The *master key* comes from the operator and seals nothing but the other keys, so a new one takes a moment. A *data
key* seals everything: AES-256-GCM-SIV (RFC 8452), which stays safe should a nonce ever repeat. A *lookup key* makes the
keyed hashes by which endpoints are found again. The *erasure key* does it for the list of who was erased.

A sealed blob is ``0x01 | id of the key (4) | nonce (12) | ciphertext and tag``. What it belongs to is bound in as
associated data, so that a blob moved to another row or project does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from pushkeep.domain.project import Project
from pushkeep.errors import ConfigurationError, PushkeepError
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.keys import POINT_BYTES
from pushkeep.protocol.subscription import AUTH_BYTES, Subscription

MASTER_KEY_BYTES = 32
KEY_BYTES = 32
HASH_BYTES = 16
"""128 bits: among a billion endpoints two share a hash once in 1e20."""

_VERSION = b"\x01"
KEY_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD_BYTES = len(_VERSION) + KEY_ID_BYTES + _NONCE_BYTES
_KEY_ID = slice(len(_VERSION), len(_VERSION) + KEY_ID_BYTES)
"""Where the key's id stands in a sealed blob: a broadcast looks a million times."""

_read_json = json.JSONDecoder().raw_decode
"""For our own text, which has no blanks around it: a broadcast reads a million."""


class SealBroken(PushkeepError):
    """A sealed value does not open: it was damaged, moved, or sealed with another master key."""

    code = "seal_broken"


def master_key_id(key: bytes) -> str:
    """By which a key is named; eight hexadecimal digits that say nothing of it."""
    return hmac.new(key, b"pushkeep master key id", hashlib.sha256).hexdigest()[: 2 * KEY_ID_BYTES]


class Sealer:
    """Seals and opens with one key.

    Args:
        key: 32 octets.
        random: draws nonces.

    Raises:
        ConfigurationError: the key has another length.
    """

    def __init__(self, key: bytes, random: Callable[[int], bytes]) -> None:
        if len(key) != MASTER_KEY_BYTES:
            raise ConfigurationError(
                f"The master key must be {MASTER_KEY_BYTES} octets, got {len(key)}.", field="master_key"
            )
        self.key = key
        self._aead = AESGCMSIV(key)
        self._random = random
        self.key_id = bytes.fromhex(master_key_id(key))

    def draw(self, count: int) -> bytes:
        """Random octets from where nonces come from."""
        return self._random(count)

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Seal for one place; ``context`` names the place and is needed to open it."""
        nonce = self._random(_NONCE_BYTES)
        head = _VERSION + self.key_id + nonce
        return head + self._aead.encrypt(nonce, plaintext, head[:-_NONCE_BYTES] + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Open what was sealed for the same place.

        Raises:
            SealBroken: it does not open.
        """
        head, nonce = sealed[: _HEAD_BYTES - _NONCE_BYTES], sealed[_HEAD_BYTES - _NONCE_BYTES : _HEAD_BYTES]
        if head != _VERSION + self.key_id:
            raise SealBroken("A stored secret was sealed with another key, or is damaged.")
        try:
            return self._aead.decrypt(nonce, sealed[_HEAD_BYTES:], head + context)
        except (InvalidTag, ValueError):
            raise SealBroken("A stored secret is damaged, or was moved from another row.") from None


@dataclass(frozen=True, slots=True)
class LookupKey:
    """A key that makes keyed hashes.

    Attributes:
        id: its row in ``sealing_keys``.
        key: 32 octets.
    """

    id: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of a database at one moment.

    Attributes:
        version: rises with each change.
        sealing: the active data key; seals.
        opening: every data key by its id; opens.
        lookups: the active lookup key, and behind it one that retires.
        erasure: makes the hashes in the list of who was erased.
    """

    version: int
    sealing: Sealer
    opening: Mapping[bytes, Sealer]
    lookups: tuple[LookupKey, ...]
    erasure: bytes = field(repr=False)


class Vault:
    """Seals each kind of secret for its place, and makes the keyed hashes.

    Its ring follows the database's (:class:`pushkeep.adapters.store.fence.Fence`), so all of it is used inside of
    transactions only: there, and nowhere else, it is known which keys are there.

    Args:
        ring: the keys.
    """

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring
        self._gaining = threading.Lock()

    def gain(self, ring: KeyRing) -> None:
        """Go on with a later ring. What opened before opens still: a read that began earlier may yet need it."""
        with self._gaining:
            if ring.version <= self.ring.version:
                return
            known = {key.id for key in ring.lookups}
            lookups = (*ring.lookups, *(key for key in self.ring.lookups if key.id not in known))
            self.ring = replace(ring, opening={**self.ring.opening, **ring.opening}, lookups=lookups)

    @property
    def lookup_key_id(self) -> int:
        """Which lookup key makes the hashes of what is written now."""
        return self.ring.lookups[0].id

    def endpoint_hash(self, endpoint: Endpoint) -> bytes:
        """By which an endpoint is found again; 16 octets."""
        return _keyed(self.ring.lookups[0], b"endpoint\0" + endpoint.url.encode())

    def endpoint_hashes(self, endpoint: Endpoint) -> list[bytes]:
        """Every hash that its row may have: more than one while the lookup key changes."""
        message = b"endpoint\0" + endpoint.url.encode()
        return [_keyed(key, message) for key in self.ring.lookups]

    def keys_hash(self, subscription: Subscription, lookup_key_id: int | None = None) -> bytes:
        """By which a browser's keys are recognised after they were erased; 16 octets.

        Args:
            subscription: has the keys.
            lookup_key_id: to compare with a row's hash, that row's; None for the hash of what is written now.

        Raises:
            SealBroken: there is no such lookup key.
        """
        lookups = self.ring.lookups
        key = lookups[0] if lookup_key_id is None else next((one for one in lookups if one.id == lookup_key_id), None)
        if key is None:
            raise SealBroken("A stored hash was made with another key, or is damaged.")
        return _keyed(key, b"keys\0" + subscription.p256dh + subscription.auth)

    def erasure_hash(self, project_public_id: str, kind: str, name: str) -> bytes:
        """By which somebody in the list of who was erased is known again; 32 octets."""
        message = f"{project_public_id}\0{kind}\0{name}".encode()
        return hmac.new(self.ring.erasure, message, hashlib.sha256).digest()

    def _seal(self, plaintext: bytes, context: bytes) -> bytes:
        return self.ring.sealing.seal(plaintext, context)

    def _open(self, sealed: bytes, context: bytes) -> bytes:
        try:
            sealer = self.ring.opening[sealed[_KEY_ID]]
        except KeyError:
            raise SealBroken("A stored secret was sealed with another key, or is damaged.") from None
        return sealer.open(sealed, context)

    def is_current(self, sealed: bytes) -> bool:
        """Whether it was sealed with the key that seals now."""
        return sealed[_KEY_ID] == self.ring.sealing.key_id

    def reseal(self, sealed: bytes, context: bytes) -> bytes:
        """The same for the same place, sealed with the key that seals now.

        Raises:
            SealBroken: it does not open.
        """
        return self._seal(self._open(sealed, context), context)

    def rehash(self, project_public_id: str, endpoint_hash: bytes, sealed: bytes) -> tuple[bytes, bytes, bytes]:
        """Hash of the endpoint, hash of the keys, and the sealed blob of a row, all made with the keys of now.

        Raises:
            SealBroken: it does not open.
        """
        opened = self.open_subscription(project_public_id, endpoint_hash, sealed)
        anew = self.endpoint_hash(opened.endpoint)
        return anew, self.keys_hash(opened), self._seal_subscription(project_public_id, anew, opened)

    def seal_subscription(self, project: Project, endpoint_hash: bytes, subscription: Subscription) -> bytes:
        """Seal endpoint and keys for a row."""
        return self._seal_subscription(project.public_id, endpoint_hash, subscription)

    def _seal_subscription(self, project_public_id: str, endpoint_hash: bytes, subscription: Subscription) -> bytes:
        rest = json.dumps(
            [subscription.endpoint.url, subscription.expiration_time, subscription.encodings],
            separators=(",", ":"),
        )
        plaintext = subscription.p256dh + subscription.auth + rest.encode()
        return self._seal(plaintext, subscription_context(project_public_id, endpoint_hash))

    def open_subscription(self, project_public_id: str, endpoint_hash: bytes, sealed: bytes) -> Subscription:
        """Open what :meth:`seal_subscription` made. It is not checked again: what is sealed was checked.

        Raises:
            SealBroken: it does not open.
        """
        plaintext = self._open(sealed, subscription_context(project_public_id, endpoint_hash))
        keys_end = POINT_BYTES + AUTH_BYTES
        (url, expiration_time, encodings), _ = _read_json(plaintext[keys_end:].decode())
        return Subscription(
            Endpoint.known(url),
            plaintext[:POINT_BYTES],
            plaintext[POINT_BYTES:keys_end],
            expiration_time,
            tuple(encodings),
        )

    def seal_secret(self, project_public_id: str, name: str, secret: bytes) -> bytes:
        """Seal a project's own secret; ``name`` says which."""
        return self._seal(secret, secret_context(project_public_id, name))

    def open_secret(self, project_public_id: str, name: str, sealed: bytes) -> bytes:
        """Open what :meth:`seal_secret` made.

        Raises:
            SealBroken: it does not open.
        """
        return self._open(sealed, secret_context(project_public_id, name))

    def seal_notification(self, project_public_id: str, public_id: str, name: str, value: bytes) -> bytes:
        """Seal a part of a notification, which may say something about its readers; ``name`` says which part."""
        return self._seal(value, notification_context(project_public_id, public_id, name))

    def open_notification(self, project_public_id: str, public_id: str, name: str, sealed: bytes) -> bytes:
        """Open what :meth:`seal_notification` made.

        Raises:
            SealBroken: it does not open.
        """
        return self._open(sealed, notification_context(project_public_id, public_id, name))

    def seal_consent(self, project_public_id: str, number: int, content: bytes) -> bytes:
        """Seal what a consent record says; ``number`` is the record's."""
        return self._seal(content, consent_context(project_public_id, number))

    def open_consent(self, project_public_id: str, number: int, sealed: bytes) -> bytes:
        """Open what :meth:`seal_consent` made.

        Raises:
            SealBroken: it does not open.
        """
        return self._open(sealed, consent_context(project_public_id, number))


def wrap_context(kind: str) -> bytes:
    """What a key of this kind is sealed for by the master key."""
    return f"pushkeep {kind} key".encode()


def subscription_context(project_public_id: str, endpoint_hash: bytes) -> bytes:
    """What a row's endpoint and keys are sealed for."""
    return b"subscription\0" + project_public_id.encode() + b"\0" + endpoint_hash


def secret_context(project_public_id: str, name: str) -> bytes:
    """What a project's own secret is sealed for."""
    return f"project secret\0{project_public_id}\0{name}".encode()


def notification_context(project_public_id: str, public_id: str, name: str) -> bytes:
    """What a part of a notification is sealed for."""
    return f"notification\0{project_public_id}\0{public_id}\0{name}".encode()


def consent_context(project_public_id: str, number: int) -> bytes:
    """What a consent record is sealed for."""
    return f"consent\0{project_public_id}\0{number}".encode()


def _keyed(key: LookupKey, message: bytes) -> bytes:
    return hmac.new(key.key, message, hashlib.sha256).digest()[:HASH_BYTES]
