"""Microsoft's WNS, as Edge on Windows is reached: no bodies, everything in ``X-WNS-…`` headers.

Source: Microsoft, "Push notification service request and response headers", written for its own API; what it does
with Web Push is known from senders: 201, the conflict of TTL 0, the wording of some descriptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.request import ReceivedPush
from pushkeep.pushservice.http.message import Request, Response
from pushkeep.pushservice.personalities.personality import Personality, Quirks, Taken, limits
from pushkeep.pushservice.personalities.refusal import Refusal

CONTINUE_AFTER_SECONDS = 60
"""Not documented; a sender saw throttling that lasted from an hour to a day."""

_SIGNATURE = "JWT Authentication Failed, unable to validate token signature"
_UNKNOWN_CHANNEL = (404, "The channel URI is not valid or is not recognized")
_TABLE: Mapping[Refusal, tuple[int, str]] = MappingProxyType(
    {
        Refusal.UNKNOWN_ENDPOINT: _UNKNOWN_CHANNEL,
        Refusal.MISSING_QUERY: (400, "The channel URI has no token"),
        Refusal.METHOD: (405, "A channel takes POST"),
        Refusal.LENGTH_REQUIRED: (411, "Content-Length is required, chunked bodies are not supported"),
        Refusal.MISSING_TOKEN: (401, "JWT Authentication Failed, no token"),
        Refusal.MALFORMED_HEADER: (401, "Zero or duplicate tokens or token signing keys."),
        Refusal.MALFORMED_TOKEN: (401, "JWT Authentication Failed, unable to read the token"),
        Refusal.BAD_KEY: (401, "Zero or duplicate tokens or token signing keys."),
        Refusal.BAD_SIGNATURE: (401, _SIGNATURE),
        Refusal.WRONG_AUDIENCE: (401, "JWT Authentication Failed, the audience is not valid"),
        Refusal.EXPIRED_TOKEN: (401, "JWT Authentication Failed, the token has expired"),
        Refusal.EXPIRES_TOO_LATE: (401, "JWT Authentication Failed, the token's lifetime is not valid"),
        Refusal.BAD_CONTACT: (401, "JWT Authentication Failed, the subject is not valid"),
        Refusal.KEY_MISMATCH: (401, "The public key in the request is not that of the channel"),
        Refusal.GONE: (410, "The channel has expired"),
        Refusal.MISSING_TTL: (400, "Ttl is missing"),
        Refusal.BAD_TTL: (400, "Ttl value is not valid"),
        Refusal.NEGATIVE_TTL: (400, "Ttl value is not valid"),
        Refusal.TTL_CONFLICT: (400, "Ttl value conflicts with X-WNS-Cache-Policy."),
        Refusal.BAD_URGENCY: (400, "Urgency value is not valid"),
        Refusal.BAD_TOPIC: (400, "Topic value is not valid"),
        Refusal.BAD_ENCODING: (400, "Content-Encoding value is not valid"),
        Refusal.LEGACY_HEADERS: (400, "Content-Encoding conflicts with Encryption"),
        Refusal.BAD_BODY: (400, "The payload is not valid"),
        Refusal.TOO_LARGE: (413, "The payload exceeds 5000 bytes"),
        Refusal.THROTTLED: (406, "The channel is throttled"),
        Refusal.NO_SUBSCRIBER: (503, ""),
        Refusal.OVERLOADED: (503, ""),
        Refusal.FAILED: (500, ""),
    }
)


def message_names(message_id: str) -> tuple[str, str]:
    """``X-WNS-MSG-ID`` (16 hexadecimal digits) and ``MS-CV`` of a message."""
    data = b64_decode(message_id, field="message_id", length=16)
    return data[:8].hex().upper(), f"{message_id}.0"


def _headers(message_id: str, status: str) -> list[tuple[str, str]]:
    name, vector = message_names(message_id)
    return [
        ("x-wns-notificationstatus", status),
        ("x-wns-status", status),
        ("x-wns-msg-id", name),
        ("x-wns-debug-trace", "LOCALPEF00000000"),
        ("ms-cv", vector),
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ]


def _refuse(refusal: Refusal, trace: str) -> Response:
    status, description = _TABLE[refusal]
    throttled = refusal is Refusal.THROTTLED
    headers = _headers(trace, "channelthrottled" if throttled else "dropped")
    if description:
        headers.append(("x-wns-error-description", description))
    if throttled:
        headers.append(("x-wns-continue-after", str(CONTINUE_AFTER_SECONDS)))
    if status == 405:
        headers.append(("allow", "POST"))
    return Response(status, tuple(headers))


def _check_head(request: Request) -> Refusal | None:
    if request.header("transfer-encoding") is not None or request.header("content-length") is None:
        return Refusal.LENGTH_REQUIRED
    return None


def _check_push(request: Request, push: ReceivedPush) -> Refusal | None:
    policy = (request.header("x-wns-cache-policy") or "cache").strip().lower()
    return Refusal.TTL_CONFLICT if push.ttl == 0 and policy != "no-cache" else None


def wns(quirks: Quirks) -> Personality:
    """The personality, with the status of success that ``quirks`` has."""

    def accept(taken: Taken) -> Response:
        return Response(quirks.wns_status, (("location", taken.location), *_headers(taken.message_id, "received")))

    return Personality("wns", _refuse, accept, *limits("wns"), check_head=_check_head, check_push=_check_push)
