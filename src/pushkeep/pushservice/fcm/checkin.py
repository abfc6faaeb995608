"""Check-in: Chromium asks for its device id. Source: Chromium ``checkin.proto``, ``checkin_request.cc``."""

from __future__ import annotations

from pushkeep.errors import InvalidInput
from pushkeep.pushservice.fcm import protobuf
from pushkeep.pushservice.http.message import Request, Response, text_response
from pushkeep.pushservice.tokens import Tokens

CHECKIN_PATH = "/checkin"

_REQUEST_ID, _REQUEST_TOKEN = 2, 13
_STATS_OK, _TIME_MS, _SETTINGS_DIFF, _ANDROID_ID, _SECURITY_TOKEN = 1, 3, 9, 7, 8


def answer_checkin(request: Request, tokens: Tokens, *, now: float) -> Response:
    """Confirm the device's own credentials if they were issued here, else give it new ones."""
    if request.method != "POST":
        return text_response(405, "Check-in takes POST.\n", {"allow": "POST"})
    if request.body_bytes > len(request.body):
        return text_response(413, "The check-in is too large.\n")
    try:
        fields = protobuf.parse(request.body)
    except InvalidInput as error:
        return text_response(400, error.message + "\n")
    android_id = protobuf.last_integer(fields, _REQUEST_ID) or 0
    security_token = protobuf.last_integer(fields, _REQUEST_TOKEN) or 0
    if not tokens.is_device(str(android_id), str(security_token)):
        android_id, security_token = tokens.device()
    body = (
        protobuf.integer(_STATS_OK, 1)
        + protobuf.integer(_TIME_MS, int(now * 1000))
        + protobuf.fixed64(_ANDROID_ID, android_id)
        + protobuf.fixed64(_SECURITY_TOKEN, security_token)
        + protobuf.integer(_SETTINGS_DIFF, 0)
    )
    return Response(200, (("content-type", "application/x-protobuf"),), body)
