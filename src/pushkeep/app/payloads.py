"""The payload of each recipient: the notification's, with the recipient's token in it, compressed where it may be."""

from __future__ import annotations

import zlib
from collections.abc import Collection

from pushkeep.domain.ability import DEFLATE
from pushkeep.domain.receipt import RECEIPT_TOKEN_CHARACTERS, ReceiptTokens
from pushkeep.domain.sending import NotificationJob
from pushkeep.protocol.vendors import APPLE

COMPRESSED_MARKER = b"\x00\x01"
"""How a compressed payload begins: no text and no JSON does. What follows is raw deflate (RFC 1951)."""

_FINAL_STORED_BLOCK = b"\x01"


class PayloadMaker:
    """Makes the payloads of one notification.

    What all recipients have in common is compressed once. The token cannot be compressed anyway: it and the few octets
    behind it follow as a block that is stored as it is (RFC 1951 section 3.2.4). So a compressed payload costs no more
    than a plain one, and every recipient's has the same length.

    Args:
        job: the notification.
        receipt_key: of :func:`pushkeep.domain.receipt.receipt_key`; needed where the payload has room for a token.

    Raises:
        ValueError: the payload has room for a token, and there is no key.
    """

    def __init__(self, job: NotificationJob, receipt_key: bytes | None) -> None:
        payload, offset = job.payload or b"", job.token_offset
        self._payload = job.payload
        self._tokens: ReceiptTokens | None = None
        end = len(payload)
        tail = b""
        if offset is not None:
            if receipt_key is None:
                raise ValueError("a payload with a token needs the project's receipt key")
            self._tokens = ReceiptTokens(receipt_key, job.public_id)
            end, tail = offset, payload[offset + RECEIPT_TOKEN_CHARACTERS :]
        self._head, self._tail = payload[:end], tail
        self._packed_head: bytes | None = None
        if job.compress and job.payload is not None:
            packed = _packed(self._head, tail, with_token=offset is not None)
            if len(packed) + (0 if offset is None else RECEIPT_TOKEN_CHARACTERS + len(tail)) < len(payload):
                self._packed_head = packed

    def plaintext(self, member_id: int, abilities: Collection[str], vendor: str) -> bytes | None:
        """The payload of one recipient.

        Args:
            member_id: the subscription's internal number.
            abilities: what its worker can do.
            vendor: the vendor row's name of its push service.

        Returns:
            None for a notification that wakes the worker without a payload.
        """
        head = self._head
        # Apple shows only what is plain JSON without the worker.
        if self._packed_head is not None and DEFLATE in abilities and vendor != APPLE.name:
            head = self._packed_head
        if self._tokens is not None:
            return head + self._tokens.make(member_id) + self._tail
        return None if self._payload is None else head


def _packed(head: bytes, tail: bytes, *, with_token: bool) -> bytes:
    """Everything before the token, compressed: with a token also the header of the stored block that it begins."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = COMPRESSED_MARKER + deflate.compress(head)
    if not with_token:
        return body + deflate.flush()
    length = RECEIPT_TOKEN_CHARACTERS + len(tail)
    header = length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little")
    return body + deflate.flush(zlib.Z_SYNC_FLUSH) + _FINAL_STORED_BLOCK + header
