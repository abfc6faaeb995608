"""Receipts: what a browser says it did with a notification, proven by a token that stood in its payload.

The token binds notification and subscription and has always the same length, so a message is as long with it as
without it for everybody. It names the subscription only to us: its number is masked.

Layout, 20 octets: the subscription's number (8, big-endian) XOR a mask, and a tag of 12. The tag is a MAC over the
number, under a key of this notification alone; the mask is a MAC over the tag, so that two tokens of a notification
do not tell how far apart their subscriptions are (the construction of RFC 5297: the tag serves as the nonce). The MAC
is keyed BLAKE2b (RFC 7693): a token is made for every message, and HMAC-SHA-256 takes four times as long.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

RECEIPT_TOKEN_CHARACTERS = 27
"""20 octets in base64url: a masked number of 8, and 12 of a MAC. A forger who may send a thousand receipts a second
finds one in 2.5e18 years."""

_NUMBER_BYTES = 8
_TAG_BYTES = 12


class ReceiptKind(StrEnum):
    """What the browser did."""

    DISPLAYED = "displayed"
    CLICKED = "clicked"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One browser's word, its token already checked.

    Attributes:
        notification: public id.
        subscription_id: internal number.
        kind: what it did.
        at: epoch seconds of arrival.
    """

    notification: str
    subscription_id: int
    kind: ReceiptKind
    at: float


def receipt_key(sync_secret: bytes) -> bytes:
    """The key of a project's receipt tokens, 32 octets, from the secret that never leaves Pushkeep."""
    return hmac.digest(sync_secret, b"pushkeep receipt 1", "sha256")


class ReceiptTokens:
    """Makes and checks the tokens of one notification.

    Args:
        key: of :func:`receipt_key`.
        notification: public id, UUID text.
    """

    __slots__ = ("_mask", "_tag")

    def __init__(self, key: bytes, notification: str) -> None:
        own = hmac.digest(key, notification.encode("ascii"), "sha256")
        self._tag = blake2b(key=own, digest_size=_TAG_BYTES, person=b"receipt tag")
        self._mask = blake2b(key=own, digest_size=_NUMBER_BYTES, person=b"receipt mask")

    def make(self, subscription_id: int) -> bytes:
        """The token of a subscription, by its internal number: 27 ASCII characters."""
        number = subscription_id.to_bytes(_NUMBER_BYTES, "big")
        mac = self._tag.copy()
        mac.update(number)
        tag = mac.digest()
        return urlsafe_b64encode(self._masked(number, tag) + tag)[:RECEIPT_TOKEN_CHARACTERS]

    def check(self, token: bytes) -> int | None:
        """The subscription's internal number; None for what is no token of this notification."""
        if len(token) != RECEIPT_TOKEN_CHARACTERS:
            return None
        try:
            octets = urlsafe_b64decode(token + b"=")
        except binascii.Error:
            return None
        if len(octets) != _NUMBER_BYTES + _TAG_BYTES:
            return None  # Python leaves out what is no base64
        number = self._masked(octets[:_NUMBER_BYTES], octets[_NUMBER_BYTES:])
        subscription_id = int.from_bytes(number, "big")
        # The whole text again: the last character has two bits that say nothing.
        return subscription_id if hmac.compare_digest(self.make(subscription_id), token) else None

    def _masked(self, number: bytes, tag: bytes) -> bytes:
        mac = self._mask.copy()
        mac.update(tag)
        return (int.from_bytes(number, "big") ^ int.from_bytes(mac.digest(), "big")).to_bytes(_NUMBER_BYTES, "big")
