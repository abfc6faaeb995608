"""Receipts: what a browser says it did with a notification, proven by a token that stood in its payload.

The token binds notification and subscription and has always the same length, so a message is as long with it as
without it for everybody. It names the subscription only to us: its number is masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

RECEIPT_TOKEN_CHARACTERS = 27
"""20 octets in base64url: a masked number of 8, and 12 of an HMAC. A forger who may send a thousand receipts a second
finds one in 2.5e18 years."""


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
