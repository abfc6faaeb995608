"""Apple's web push: JSON with a ``reason``, and an ``apns-id`` on every answer.

Source: Apple, "Sending web push notifications in web apps and browsers"; where it is silent, what senders report:
the rules for ``sub``, 400 for a key that is not the subscription's, topics that must decode, one message kept.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from types import MappingProxyType

from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.request import ReceivedPush
from pushkeep.protocol.vapid import Claims
from pushkeep.pushservice.http.message import Request, Response, json_response
from pushkeep.pushservice.personalities.personality import Personality, Taken, limits
from pushkeep.pushservice.personalities.refusal import Refusal

_BAD_JWT = (403, "BadJwtToken")
_BAD_HEADER = (403, "BadAuthorizationHeader")
_BAD_REQUEST = (400, "BadWebPushRequest")
_TABLE: Mapping[Refusal, tuple[int, str]] = MappingProxyType(
    {
        Refusal.UNKNOWN_ENDPOINT: (404, "BadPath"),
        Refusal.MISSING_QUERY: (404, "BadPath"),
        Refusal.METHOD: (405, "MethodNotAllowed"),
        Refusal.LENGTH_REQUIRED: _BAD_REQUEST,
        Refusal.MISSING_TOKEN: _BAD_HEADER,
        Refusal.MALFORMED_HEADER: _BAD_HEADER,
        Refusal.MALFORMED_TOKEN: _BAD_JWT,
        Refusal.BAD_KEY: (403, "BadVapidPublicKey"),
        Refusal.BAD_SIGNATURE: _BAD_JWT,
        Refusal.WRONG_AUDIENCE: _BAD_JWT,
        Refusal.EXPIRED_TOKEN: _BAD_JWT,  # there is no reason of its own for it
        Refusal.EXPIRES_TOO_LATE: _BAD_JWT,
        Refusal.BAD_CONTACT: _BAD_JWT,
        Refusal.KEY_MISMATCH: (400, "VapidPkHashMismatch"),
        Refusal.GONE: (410, "Unregistered"),
        Refusal.MISSING_TTL: (400, "BadTtl"),
        Refusal.BAD_TTL: (400, "BadTtl"),
        Refusal.NEGATIVE_TTL: (400, "BadTtl"),
        Refusal.TTL_CONFLICT: (400, "BadTtl"),
        Refusal.BAD_URGENCY: (400, "BadUrgency"),
        Refusal.BAD_TOPIC: (400, "BadWebPushTopic"),
        Refusal.BAD_ENCODING: _BAD_REQUEST,
        Refusal.LEGACY_HEADERS: _BAD_REQUEST,
        Refusal.BAD_BODY: _BAD_REQUEST,
        Refusal.TOO_LARGE: (413, "PayloadTooLarge"),
        Refusal.THROTTLED: (429, "TooManyRequests"),
        Refusal.NO_SUBSCRIBER: (503, "ServiceUnavailable"),
        Refusal.OVERLOADED: (503, "ServiceUnavailable"),
        Refusal.FAILED: (500, "InternalServerError"),
    }
)
_MAIL = re.compile(r"mailto:[^\s<>@]+@([^\s<>@]+)")
_URL = re.compile(r"https?://([^\s<>/?#:@]+)(?::[0-9]+)?(?:[/?#][^\s<>]*)?")
_UNREACHABLE = re.compile(r"(?:.*\.)?(?:localhost|local)", re.IGNORECASE)


def apns_id(message_id: str) -> str:
    """The ``apns-id`` of a message: its id's 16 octets as a UUID in capitals."""
    return str(uuid.UUID(bytes=b64_decode(message_id, field="message_id", length=16))).upper()


def _refuse(refusal: Refusal, trace: str) -> Response:
    status, reason = _TABLE[refusal]
    headers = {"apns-id": apns_id(trace)}
    if status == 405:
        headers["allow"] = "POST"
    return json_response(status, {"reason": reason}, headers)


def _accept(taken: Taken) -> Response:
    return Response(201, (("apns-id", apns_id(taken.message_id)),))


def _check_claims(claims: Claims) -> Refusal | None:
    """``sub`` must be a mail or web address whose host is not of this machine or network."""
    contact = claims.contact or ""
    found = _MAIL.fullmatch(contact) or _URL.fullmatch(contact)
    if found is None or _UNREACHABLE.fullmatch(found.group(1)):
        return Refusal.BAD_CONTACT
    return None


def _check_push(_request: Request, push: ReceivedPush) -> Refusal | None:
    """The topic is decoded as base64url, and no encoded text has a length of one more than a multiple of four."""
    return Refusal.BAD_TOPIC if push.topic is not None and len(push.topic) % 4 == 1 else None


APPLE = Personality(
    "apple",
    _refuse,
    _accept,
    *limits("apple"),
    encodings=frozenset({"aes128gcm"}),
    keeps_one=True,
    check_claims=_check_claims,
    check_push=_check_push,
)
