"""The payload of each recipient: the notification's, with the recipient's token in it, compressed where it may be."""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64encode
from collections.abc import Collection
from dataclasses import dataclass, field

from pushkeep.domain.ability import DEFLATE
from pushkeep.domain.receipt import RECEIPT_TOKEN_CHARACTERS, ReceiptTokens
from pushkeep.domain.sending import NotificationJob
from pushkeep.protocol.sizes import FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX
from pushkeep.protocol.vendors import APPLE

COMPRESSED_MARKER = b"\x01"
"""How a compressed payload begins: no text and no JSON does. The token and a dot follow, then base64url of raw deflate
(RFC 1951). Chromium hands payloads to the worker as text: of one that is no UTF-8 it would get nothing."""

_TOKEN_MEMBER = b',"token":"'

RENEW_MEMBER = b',"renew":true'
"""Tells the worker to renew its subscription at once: the key it was made with is in other hands."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What all payloads of one form have in common; ``packed`` is None where compressing does not help."""

    head: bytes = field(repr=False)
    tail: bytes = field(repr=False)
    packed: bytes | None = field(repr=False)


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
        self._job = job
        self._tokens: ReceiptTokens | None = None
        if job.token_offset is not None:
            if receipt_key is None:
                raise ValueError("a payload with a token needs the project's receipt key")
            self._tokens = ReceiptTokens(receipt_key, job.public_id)
        self._plain = self._form(job.payload or b"", job.token_offset)
        self._renewing: _Form | None = None  # hardly ever needed, and made when it is

    def plaintext(
        self, member_id: int, abilities: Collection[str], vendor: str, *, renew: bool = False
    ) -> bytes | None:
        """The payload of one recipient.

        Args:
            member_id: the subscription's internal number.
            abilities: what its worker can do.
            vendor: the vendor row's name of its push service.
            renew: tell the worker to renew its subscription at once; a payload that is not ours does not say so, nor
                one that Firefox on Android would get no more for that.

        Returns:
            None for a notification that wakes the worker without a payload.
        """
        if self._job.payload is None:
            return None
        token = b"" if self._tokens is None else self._tokens.make(member_id)
        form = self._renewing_form() if renew else self._plain
        # Apple shows only what is plain JSON without the worker.
        if form.packed is not None and DEFLATE in abilities and vendor != APPLE.name:
            return COMPRESSED_MARKER + token + form.packed
        return form.head + token + form.tail

    def _renewing_form(self) -> _Form:
        if self._renewing is None:
            self._renewing = self._make_renewing()
        return self._renewing

    def _make_renewing(self) -> _Form:
        payload, offset = self._job.payload or b"", self._job.token_offset
        # Whoever hands a payload over ready-made cannot know the notification's id, and so cannot write this by chance.
        marker = f'"pushkeep":{{"id":"{self._job.public_id}"'.encode()
        at = payload.rfind(marker)
        more = len(payload) + len(RENEW_MEMBER)
        if at < 0 or len(payload) <= FIREFOX_ANDROID_PLAINTEXT_BYTES_MAX < more:
            return self._plain
        at += len(marker)
        return self._form(
            payload[:at] + RENEW_MEMBER + payload[at:], None if offset is None else offset + len(RENEW_MEMBER)
        )

    def _form(self, payload: bytes, offset: int | None) -> _Form:
        head, tail, token_characters = payload, b"", 0
        if offset is not None:
            token_characters = RECEIPT_TOKEN_CHARACTERS
            head, tail = payload[:offset], payload[offset + RECEIPT_TOKEN_CHARACTERS :]
        if self._job.compress and payload:
            packed = b"." + _packed(head.removesuffix(_TOKEN_MEMBER) + tail.removeprefix(b'"'))
            if len(COMPRESSED_MARKER) + token_characters + len(packed) < len(payload):
                return _Form(head, tail, packed)
        return _Form(head, tail, None)


def _packed(text: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return urlsafe_b64encode(deflate.compress(text) + deflate.flush()).rstrip(b"=")
