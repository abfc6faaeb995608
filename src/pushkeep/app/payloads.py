"""The payload of each recipient: the notification's, with the recipient's token in it, compressed where it may be."""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64encode
from collections.abc import Collection

from pushkeep.domain.ability import DEFLATE
from pushkeep.domain.receipt import RECEIPT_TOKEN_CHARACTERS, ReceiptTokens
from pushkeep.domain.sending import NotificationJob
from pushkeep.protocol.vendors import APPLE

COMPRESSED_MARKER = b"\x01"
"""How a compressed payload begins: no text and no JSON does. The token and a dot follow, then base64url of raw deflate
(RFC 1951). Chromium hands payloads to the worker as text: of one that is no UTF-8 it would get nothing."""

_TOKEN_MEMBER = b',"token":"'


class PayloadMaker:
    """Makes the payloads of one notification.

    What all recipients have in common is compressed once, and the token, which cannot be compressed, stands before it.
    So a compressed payload costs no more than a plain one, and every recipient's has the same length.

    Args:
        job: the notification.
        receipt_key: of :func:`pushkeep.domain.receipt.receipt_key`; needed where the payload has room for a token.

    Raises:
        ValueError: the payload has room for a token, and there is no key.
    """

    def __init__(self, job: NotificationJob, receipt_key: bytes | None) -> None:
        payload, offset = job.payload, job.token_offset
        self._payload = payload
        self._tokens: ReceiptTokens | None = None
        self._head, self._tail = payload or b"", b""
        if offset is not None:
            if receipt_key is None:
                raise ValueError("a payload with a token needs the project's receipt key")
            self._tokens = ReceiptTokens(receipt_key, job.public_id)
            self._head, self._tail = self._head[:offset], self._head[offset + RECEIPT_TOKEN_CHARACTERS :]
        self._packed: bytes | None = None
        if job.compress and payload:
            packed = b"." + _packed(self._head.removesuffix(_TOKEN_MEMBER) + self._tail.removeprefix(b'"'))
            token_characters = 0 if offset is None else RECEIPT_TOKEN_CHARACTERS
            if len(COMPRESSED_MARKER) + token_characters + len(packed) < len(payload):
                self._packed = packed

    def plaintext(self, member_id: int, abilities: Collection[str], vendor: str) -> bytes | None:
        """The payload of one recipient.

        Args:
            member_id: the subscription's internal number.
            abilities: what its worker can do.
            vendor: the vendor row's name of its push service.

        Returns:
            None for a notification that wakes the worker without a payload.
        """
        token = b"" if self._tokens is None else self._tokens.make(member_id)
        # Apple shows only what is plain JSON without the worker.
        if self._packed is not None and DEFLATE in abilities and vendor != APPLE.name:
            return COMPRESSED_MARKER + token + self._packed
        return None if self._payload is None else self._head + token + self._tail


def _packed(text: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return urlsafe_b64encode(deflate.compress(text) + deflate.flush()).rstrip(b"=")
