"""Mozilla's autopush: JSON errors with an errno, in the order of its own checks.

Source: autopush-rs ``autoendpoint`` (``error.rs``, ``extractors/subscription.rs``, ``headers/vapid.rs``) and its
documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pushkeep.protocol.vapid import Claims
from pushkeep.pushservice.http.message import Response, json_response, reason_phrase
from pushkeep.pushservice.personalities.personality import Personality, Taken, limits
from pushkeep.pushservice.personalities.refusal import Refusal

ANDROID_BODY_BYTES_MAX = 3_015
"""Firefox on Android is reached through Google: 4,096 octets of JSON around the base64 of the body leave this many,
which are 2,912 of plaintext (autopush-rs ``routers/common.rs``). The endpoint does not show it."""

ANDROID_TTL_SECONDS = (60, 28 * 86_400)
"""What the same way makes of a TTL: at least and at most (autopush-rs ``routers/fcm/settings.rs``)."""

_MORE_INFO = "http://autopush.readthedocs.io/en/latest/http.html#error-codes"

_TABLE: Mapping[Refusal, tuple[int, int | None, str]] = MappingProxyType(
    {
        Refusal.METHOD: (405, None, "A push resource takes POST"),
        Refusal.MISSING_TOKEN: (401, 109, "Missing VAPID token"),
        Refusal.MALFORMED_HEADER: (401, 109, "InvalidToken"),
        Refusal.MALFORMED_TOKEN: (401, 109, "InvalidToken"),
        Refusal.BAD_KEY: (401, 109, "Invalid VAPID public key"),
        Refusal.BAD_SIGNATURE: (401, 109, "InvalidSignature"),
        Refusal.WRONG_AUDIENCE: (401, 109, "Invalid VAPID audience"),
        Refusal.EXPIRED_TOKEN: (401, 109, "ExpiredSignature"),
        Refusal.EXPIRES_TOO_LATE: (401, 109, "The VAPID token expiration is too long"),
        Refusal.BAD_CONTACT: (401, 109, "Invalid VAPID sub"),
        Refusal.KEY_MISMATCH: (401, 109, "VAPID public key mismatch"),
        Refusal.GONE: (410, 106, "No such subscription"),
        Refusal.LENGTH_REQUIRED: (411, None, "Content-Length is missing"),
        Refusal.MISSING_TTL: (400, 111, "Missing TTL value"),
        Refusal.BAD_TTL: (400, 111, "Missing TTL value"),
        Refusal.NEGATIVE_TTL: (400, 114, "TTL must be greater than 0"),
        Refusal.TTL_CONFLICT: (400, 112, "Invalid TTL value"),
        # The real service ignores Urgency; RFC 8030 section 5.3 asks for 400, and a wrong one is our sender's bug.
        Refusal.BAD_URGENCY: (400, None, "Invalid Urgency value"),
        Refusal.BAD_TOPIC: (
            400,
            113,
            "Topic must be no greater than 32 characters of the base64url alphabet",
        ),
        Refusal.BAD_ENCODING: (400, 110, "Unknown Content-Encoding header"),
        Refusal.LEGACY_HEADERS: (400, 110, "Do not include 'dh' or 'salt' with aes128gcm"),
        Refusal.BAD_BODY: (400, 110, "The body does not have the shape that its Content-Encoding says"),
        Refusal.TOO_LARGE: (
            413,
            104,
            "This message is intended for a constrained device and is limited in size",
        ),
        # Its source throttles nobody; what stands in front of it may.
        Refusal.THROTTLED: (429, None, "Too many requests"),
        Refusal.NO_SUBSCRIBER: (503, 201, "Use exponential back-off for retries"),
        Refusal.OVERLOADED: (503, 201, "Use exponential back-off for retries"),
        Refusal.FAILED: (500, 999, "An unknown error occurred"),
    }
)
_HEADERS: Mapping[int, Mapping[str, str]] = MappingProxyType(
    {405: {"allow": "POST"}, 410: {"cache-control": "max-age=86400"}, 503: {"retry-after": "120"}}
)


def _refuse(refusal: Refusal, _trace: str) -> Response:
    if refusal in (Refusal.UNKNOWN_ENDPOINT, Refusal.MISSING_QUERY):
        return Response(404)  # its global error handler replaces the JSON body by nothing
    status, errno, message = _TABLE[refusal]
    content = {
        "code": status,
        "errno": errno,
        "error": reason_phrase(status),
        "message": message,
        "more_info": _MORE_INFO,
    }
    return json_response(status, content, _HEADERS.get(status))


def _accept(taken: Taken) -> Response:
    return Response(201, (("location", taken.location), ("ttl", str(taken.ttl))))


def _check_claims(claims: Claims) -> Refusal | None:
    """autopush-rs reads ``exp`` as an unsigned integer; RFC 7519 would allow a fraction."""
    return None if isinstance(claims.expires_at, int) else Refusal.MALFORMED_TOKEN


MOZILLA = Personality("mozilla", _refuse, _accept, *limits("mozilla"), check_claims=_check_claims)
