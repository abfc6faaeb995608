"""Why a push service refuses a request, in the words of the checks and not of a vendor."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """One reason; each personality has an answer to each."""

    UNKNOWN_ENDPOINT = "unknown_endpoint"
    MISSING_QUERY = "missing_query"
    METHOD = "method"
    LENGTH_REQUIRED = "length_required"
    MISSING_TOKEN = "missing_token"  # noqa: S105 - the absence of one
    MALFORMED_HEADER = "malformed_header"
    MALFORMED_TOKEN = "malformed_token"  # noqa: S105
    BAD_KEY = "bad_key"
    BAD_SIGNATURE = "bad_signature"
    WRONG_AUDIENCE = "wrong_audience"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105
    EXPIRES_TOO_LATE = "expires_too_late"
    BAD_CONTACT = "bad_contact"
    KEY_MISMATCH = "key_mismatch"
    GONE = "gone"
    MISSING_TTL = "missing_ttl"
    BAD_TTL = "bad_ttl"
    NEGATIVE_TTL = "negative_ttl"
    TTL_CONFLICT = "ttl_conflict"
    BAD_URGENCY = "bad_urgency"
    BAD_TOPIC = "bad_topic"
    BAD_ENCODING = "bad_encoding"
    LEGACY_HEADERS = "legacy_headers"
    BAD_BODY = "bad_body"
    TOO_LARGE = "too_large"
    THROTTLED = "throttled"
    NO_SUBSCRIBER = "no_subscriber"
    OVERLOADED = "overloaded"
    FAILED = "failed"
    STRICT = "strict"


ALWAYS_ANSWERED = frozenset(Refusal) - {Refusal.STRICT}
"""What every personality has an answer to; strict refusals are answered in the words of their rule."""
