"""A UnifiedPush server: one that passes octets on, and says little.

Source: the UnifiedPush server specification 1.2 (draft): discovery, 201, ``TTL: 0``, 1 to 4,096 octets, 404 for an
ended registration. The other flavour is ntfy's (its ``server/server.go``): 200 with JSON, numbered errors, and 507
while no subscriber is connected. Headers are not passed on, so what arrives is taken for ``aes128gcm``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pushkeep.pushservice.http.message import Response, json_response, reason_phrase, text_response
from pushkeep.pushservice.personalities.personality import Personality, Quirks, Taken, limits
from pushkeep.pushservice.personalities.refusal import Refusal

TTL_SECONDS_DEFAULT = 12 * 3600
"""How long a message without TTL is kept: ntfy's cache."""

_STATUS: Mapping[Refusal, int] = MappingProxyType(
    {
        **dict.fromkeys(Refusal, 400),
        Refusal.UNKNOWN_ENDPOINT: 404,
        Refusal.MISSING_QUERY: 404,
        Refusal.GONE: 404,
        Refusal.METHOD: 405,
        Refusal.LENGTH_REQUIRED: 411,
        Refusal.MISSING_TOKEN: 401,
        Refusal.MALFORMED_HEADER: 401,
        Refusal.MALFORMED_TOKEN: 401,
        Refusal.BAD_KEY: 401,
        Refusal.BAD_SIGNATURE: 401,
        Refusal.WRONG_AUDIENCE: 401,
        Refusal.EXPIRED_TOKEN: 401,
        Refusal.EXPIRES_TOO_LATE: 401,
        Refusal.BAD_CONTACT: 401,
        Refusal.KEY_MISMATCH: 403,
        Refusal.TOO_LARGE: 413,
        Refusal.THROTTLED: 429,
        Refusal.NO_SUBSCRIBER: 507,
        Refusal.OVERLOADED: 503,
        Refusal.FAILED: 500,
    }
)
_NTFY_ERRORS: Mapping[int, tuple[int, str]] = MappingProxyType(
    {
        404: (40401, "page not found"),
        413: (41301, "message too large"),
        429: (42901, "limit reached: too many requests"),
        507: (50701, "cannot publish to UnifiedPush topic without previously active subscriber"),
    }
)


def discovery() -> Response:
    """The answer to GET: what a sender may ask before it trusts an endpoint of a stranger."""
    return json_response(200, {"unifiedpush": {"version": 1}})


def _refuse(refusal: Refusal, _trace: str) -> Response:
    status = _STATUS[refusal]
    headers = {"allow": "GET, POST"} if status == 405 else None
    return text_response(status, reason_phrase(status) + "\n", headers)


def _refuse_as_ntfy(refusal: Refusal, _trace: str) -> Response:
    status = _STATUS[refusal]
    code, error = _NTFY_ERRORS.get(status, (status * 100, reason_phrase(status).lower()))
    headers = {"allow": "GET, POST"} if status == 405 else None
    return json_response(status, {"code": code, "http": status, "error": error}, headers)


def _accept(taken: Taken) -> Response:
    return Response(201, (("ttl", "0"),))


def _accept_as_ntfy(taken: Taken) -> Response:
    content = {
        "id": taken.message_id[:12],
        "time": int(taken.at),
        "expires": int(taken.at) + taken.ttl,
        "event": "message",
        "topic": f"up{taken.topic[:12]}",
        "message": "New message",
    }
    return json_response(200, content)


def unifiedpush(quirks: Quirks) -> Personality:
    """The personality, as ntfy if ``quirks`` says so."""
    return Personality(
        "unifiedpush",
        _refuse_as_ntfy if quirks.ntfy else _refuse,
        _accept_as_ntfy if quirks.ntfy else _accept,
        *limits("unifiedpush"),
        needs_token=False,
        is_lenient=True,
        needs_listener=quirks.ntfy,
    )
