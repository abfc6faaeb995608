"""What came of a POST: the push service's answer, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

RESPONSE_BODY_BYTES_MAX = 65_536
"""Error bodies are under 1 KB in the field; more is cut, so that a push service cannot fill our memory."""

RETRY_AFTER_SECONDS_MAX = 7 * 86_400
"""A longer wait is taken as this long: no queue outlives it, and a hostile value must not stop an origin for years."""

FailureKind = Literal["refused_address", "resolve", "connect", "tls", "timeout", "reset", "protocol"]


@dataclass(frozen=True, slots=True)
class PushResponse:
    """An HTTP answer.

    Attributes:
        status: the HTTP status code.
        headers: by lower-case name; the last one where a name comes twice.
        body: at most 64 KiB of it.
        http_version: ``2`` or ``1.1``.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    http_version: str = "2"


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """No HTTP answer.

    Attributes:
        kind: ``refused_address`` means that the address check did not let us connect.
        detail: a sentence without secrets, endpoint or payload.
        request_sent: whether the push service may have taken the message all the same.
    """

    kind: FailureKind
    detail: str
    request_sent: bool = False


Answer = PushResponse | TransportFailure


def parse_retry_after(value: str, now: float) -> float | None:
    """Read ``Retry-After`` (RFC 9110 section 10.2.3): seconds or an HTTP date.

    Args:
        value: the header's value.
        now: seconds since the epoch, to turn a date into a wait.

    Returns:
        seconds to wait, from 0 (a date in the past) to 7 days; None if it is neither form.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(RETRY_AFTER_SECONDS_MAX if len(text) > 9 else min(int(text), RETRY_AFTER_SECONDS_MAX))
    try:
        when = parsedate_to_datetime(text)
        # A date without a zone is taken as UTC, which HTTP dates always are.
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return min(max(seconds, 0.0), float(RETRY_AFTER_SECONDS_MAX)) if math.isfinite(seconds) else None
