"""The same request twice is one notification: the caller's key, and what tells one request from another."""

from __future__ import annotations

import hashlib
import json
import re

from pushkeep.errors import InvalidInput
from pushkeep.protocol.payload import JsonValue

IDEMPOTENCY_KEY_CHARACTERS_MAX = 255
"""What others take, too; a UUID has 36."""

REQUEST_HASH_BYTES = 16
"""Enough that nobody meets two requests of one hash by accident; who wants to on purpose only fools himself."""

_KEY = re.compile(r"[!-~]{1,255}")


def check_idempotency_key(text: object) -> str:
    """Check the key by which a caller knows a request again: 1 to 255 visible ASCII characters.

    Raises:
        InvalidInput: it is none.
    """
    if not isinstance(text, str) or not _KEY.fullmatch(text):
        raise InvalidInput(
            f"Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} visible ASCII characters; a UUID will do.",
            field="Idempotency-Key",
        )
    return text


def request_hash(request: JsonValue) -> bytes:
    """16 octets that are the same for the same request, in whatever order its members were given.

    Args:
        request: the request as it was understood, defaults filled in.
    """
    canonical = json.dumps(request, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).digest()[:REQUEST_HASH_BYTES]
