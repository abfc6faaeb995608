"""Google's FCM, as Chromium's subscriptions reach it: sentences in plain text.

Google documents none of it: the texts are those that senders have reported. Unknown are the texts of the 400s, and
what it says to a TTL over its limit; these rows stay close to RFC 8030.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pushkeep.pushservice.http.message import Response, text_response
from pushkeep.pushservice.personalities.personality import Personality, Taken, limits
from pushkeep.pushservice.personalities.refusal import Refusal

_INVALID_JWT = (403, "permission denied: invalid JWT provided\n")
_UNKNOWN = (
    404,
    "A valid push subscription endpoint should be specified in the URL as such: "
    "https://fcm.googleapis.com/wp/dHIoDxE7Hdg:APA91bH1Zj0kNa...\n",
)
_TABLE: Mapping[Refusal, tuple[int, str]] = MappingProxyType(
    {
        Refusal.UNKNOWN_ENDPOINT: _UNKNOWN,
        Refusal.MISSING_QUERY: _UNKNOWN,
        Refusal.METHOD: (405, "A push resource takes POST.\n"),
        Refusal.LENGTH_REQUIRED: (411, "the request must have a Content-Length\n"),
        Refusal.MISSING_TOKEN: (
            401,
            "the request must contain an authorization header with valid VAPID credentials\n",
        ),
        Refusal.MALFORMED_HEADER: _INVALID_JWT,
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
        Refusal.BAD_CONTACT: _INVALID_JWT,
        Refusal.KEY_MISMATCH: (
            403,
            "the VAPID credentials in the authorization header do not correspond to the credentials used to "
            "create the subscriptions.\n",
        ),
        Refusal.GONE: (410, "push subscription has unsubscribed or expired.\n"),
        Refusal.MISSING_TTL: (400, "the TTL header is required\n"),
        Refusal.BAD_TTL: (400, "the TTL header must be a whole number of seconds\n"),
        Refusal.NEGATIVE_TTL: (400, "the TTL header must not be negative\n"),
        Refusal.TTL_CONFLICT: (400, "the TTL header is not allowed here\n"),
        Refusal.BAD_URGENCY: (400, "the Urgency header must be very-low, low, normal or high\n"),
        Refusal.BAD_TOPIC: (400, "the Topic header must be at most 32 characters of base64url\n"),
        Refusal.BAD_ENCODING: (400, "the Content-Encoding header must be aes128gcm or aesgcm\n"),
        Refusal.LEGACY_HEADERS: (400, "Encryption and Crypto-Key: dh do not go with aes128gcm\n"),
        Refusal.BAD_BODY: (400, "the body does not have the shape that its Content-Encoding says\n"),
        Refusal.TOO_LARGE: (413, "the message is too large\n"),
        Refusal.THROTTLED: (429, "too many requests\n"),
        Refusal.NO_SUBSCRIBER: (503, "the service is overloaded\n"),
        Refusal.OVERLOADED: (503, "the service is overloaded\n"),
        Refusal.FAILED: (500, "internal server error\n"),
    }
)
_HEADERS: Mapping[int, Mapping[str, str]] = MappingProxyType({405: {"allow": "POST"}, 503: {"retry-after": "120"}})


def _refuse(refusal: Refusal, _trace: str) -> Response:
    status, text = _TABLE[refusal]
    return text_response(status, text, _HEADERS.get(status))


def _accept(taken: Taken) -> Response:
    return Response(201, (("location", taken.location), ("ttl", str(taken.ttl))))


FCM = Personality("fcm", _refuse, _accept, *limits("fcm"))
