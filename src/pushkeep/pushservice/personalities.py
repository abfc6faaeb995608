"""How each vendor's push service answers: statuses, bodies and headers, as data.

Sources: autopush-rs ``autoendpoint`` (errors, order of checks, headers) and its documentation for Mozilla;
for Google the texts that senders have reported, because Google documents none. Where a service's answer to
some mistake is unknown (Google: TTL over the limit, most 400s), the row says so and stays close to RFC 8030.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pushkeep.protocol.vendors import VENDORS
from pushkeep.pushservice.http.message import Response, json_response, reason_phrase, text_response


class Refusal(StrEnum):
    """Why a request to a push resource is refused, in the words of the checks and not of a vendor."""

    UNKNOWN_ENDPOINT = "unknown_endpoint"
    MISSING_TOKEN = "missing_token"  # noqa: S105 - the absence of one
    MALFORMED_TOKEN = "malformed_token"  # noqa: S105
    BAD_KEY = "bad_key"
    BAD_SIGNATURE = "bad_signature"
    WRONG_AUDIENCE = "wrong_audience"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105
    EXPIRES_TOO_LATE = "expires_too_late"
    KEY_MISMATCH = "key_mismatch"
    GONE = "gone"
    MISSING_TTL = "missing_ttl"
    BAD_TTL = "bad_ttl"
    NEGATIVE_TTL = "negative_ttl"
    BAD_URGENCY = "bad_urgency"
    BAD_TOPIC = "bad_topic"
    BAD_ENCODING = "bad_encoding"
    LEGACY_HEADERS = "legacy_headers"
    BAD_BODY = "bad_body"
    TOO_LARGE = "too_large"
    OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class Personality:
    """One vendor's manners.

    Attributes:
        vendor: "mozilla" or "fcm".
        body_bytes_max: a larger body is answered with ``TOO_LARGE``.
        ttl_seconds_max: a larger TTL is cut to this; the granted one is answered in the ``TTL`` header.
        refuse: the answer to a refusal.
    """

    vendor: str
    body_bytes_max: int
    ttl_seconds_max: int
    refuse: Callable[[Refusal], Response]

    def accept(self, location: str, ttl: int) -> Response:
        """201 with the message's resource and the TTL granted (RFC 8030 section 5)."""
        return Response(201, (("location", location), ("ttl", str(ttl))))


_MORE_INFO = "http://autopush.readthedocs.io/en/latest/http.html#error-codes"

_MOZILLA: Mapping[Refusal, tuple[int, int | None, str]] = MappingProxyType(
    {
        Refusal.MISSING_TOKEN: (401, 109, "Missing VAPID token"),
        Refusal.MALFORMED_TOKEN: (401, 109, "InvalidToken"),
        Refusal.BAD_KEY: (401, 109, "Invalid VAPID public key"),
        Refusal.BAD_SIGNATURE: (401, 109, "InvalidSignature"),
        Refusal.WRONG_AUDIENCE: (401, 109, "Invalid VAPID audience"),
        Refusal.EXPIRED_TOKEN: (401, 109, "ExpiredSignature"),
        Refusal.EXPIRES_TOO_LATE: (401, 109, "The VAPID token expiration is too long"),
        Refusal.KEY_MISMATCH: (401, 109, "VAPID public key mismatch"),
        Refusal.GONE: (410, 106, "No such subscription"),
        Refusal.MISSING_TTL: (400, 111, "Missing TTL value"),
        Refusal.BAD_TTL: (400, 111, "Missing TTL value"),
        Refusal.NEGATIVE_TTL: (400, 114, "TTL must be greater than 0"),
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
        Refusal.OVERLOADED: (503, 201, "Use exponential back-off for retries"),
    }
)
_MOZILLA_HEADERS: Mapping[int, Mapping[str, str]] = MappingProxyType(
    {410: {"cache-control": "max-age=86400"}, 503: {"retry-after": "120"}}
)


def _refuse_as_mozilla(refusal: Refusal) -> Response:
    if refusal is Refusal.UNKNOWN_ENDPOINT:
        return Response(404)  # its global error handler replaces the JSON body by nothing
    status, errno, message = _MOZILLA[refusal]
    content = {
        "code": status,
        "errno": errno,
        "error": reason_phrase(status),
        "message": message,
        "more_info": _MORE_INFO,
    }
    return json_response(status, content, _MOZILLA_HEADERS.get(status))


_INVALID_JWT = (403, "permission denied: invalid JWT provided\n")
_FCM: Mapping[Refusal, tuple[int, str]] = MappingProxyType(
    {
        Refusal.UNKNOWN_ENDPOINT: (
            404,
            "A valid push subscription endpoint should be specified in the URL as such: "
            "https://fcm.googleapis.com/wp/dHIoDxE7Hdg:APA91bH1Zj0kNa...\n",
        ),
        Refusal.MISSING_TOKEN: (
            401,
            "the request must contain an authorization header with valid VAPID credentials\n",
        ),
        Refusal.MALFORMED_TOKEN: _INVALID_JWT,
        Refusal.BAD_KEY: _INVALID_JWT,
        Refusal.BAD_SIGNATURE: _INVALID_JWT,
        Refusal.WRONG_AUDIENCE: (
            403,
            "permission denied: invalid JWT provided: the aud claim in the token MUST include the origin of the "
            "push resource URL\n",
        ),
        Refusal.EXPIRED_TOKEN: _INVALID_JWT,
        Refusal.EXPIRES_TOO_LATE: _INVALID_JWT,
        Refusal.KEY_MISMATCH: (
            403,
            "the VAPID credentials in the authorization header do not correspond to the credentials used to "
            "create the subscriptions.\n",
        ),
        Refusal.GONE: (410, "push subscription has unsubscribed or expired.\n"),
        # The real texts of the 400s are unknown.
        Refusal.MISSING_TTL: (400, "the TTL header is required\n"),
        Refusal.BAD_TTL: (400, "the TTL header must be a whole number of seconds\n"),
        Refusal.NEGATIVE_TTL: (400, "the TTL header must not be negative\n"),
        Refusal.BAD_URGENCY: (400, "the Urgency header must be very-low, low, normal or high\n"),
        Refusal.BAD_TOPIC: (400, "the Topic header must be at most 32 characters of base64url\n"),
        Refusal.BAD_ENCODING: (400, "the Content-Encoding header must be aes128gcm or aesgcm\n"),
        Refusal.LEGACY_HEADERS: (400, "Encryption and Crypto-Key: dh do not go with aes128gcm\n"),
        Refusal.BAD_BODY: (400, "the body does not have the shape that its Content-Encoding says\n"),
        Refusal.TOO_LARGE: (413, "the message is too large\n"),
        Refusal.OVERLOADED: (503, "the service is overloaded\n"),
    }
)


def _refuse_as_fcm(refusal: Refusal) -> Response:
    status, text = _FCM[refusal]
    return text_response(status, text, {"retry-after": "120"} if status == 503 else None)


def _limits(vendor: str) -> tuple[int, int]:
    row = VENDORS[vendor]
    assert row.ttl_seconds_max is not None
    return row.body_bytes_max, row.ttl_seconds_max


PERSONALITIES: Mapping[str, Personality] = MappingProxyType(
    {
        "mozilla": Personality("mozilla", *_limits("mozilla"), _refuse_as_mozilla),
        "fcm": Personality("fcm", *_limits("fcm"), _refuse_as_fcm),
    }
)
"""By vendor name."""
