"""Registration: Chromium asks for tokens, and gives them back.

Sources: Chromium ``registration_request.cc``, ``instance_id_get_token_request_handler.cc``,
``instance_id_delete_token_request_handler.cc``. A page's subscription is one app id (``X-subtype``, as
``wp:<origin>/#<uuid>-V2``) with the page's VAPID key as ``sender``. Other registrations, of the browser itself
or of extensions, have other senders: they get a token too, because Chromium waits for it, but nothing can be
sent to it.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from pushkeep.errors import InvalidInput, PushkeepError
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.keys import POINT_BYTES, decode_point
from pushkeep.pushservice.http.message import Request, Response, text_response
from pushkeep.pushservice.hub import Hub

REGISTRATION_PATH = "/c2dm/register3"

_FIELDS_MAX = 50  # Chromium sends about fifteen
_SUBTYPE_CHARACTERS_MAX = 1_024  # an origin, a UUID and a few letters
_APP_CHARACTERS_MAX = 256  # such as org.chromium.linux


async def answer_registration(request: Request, hub: Hub) -> Response:
    """Give a token, or take one back (``delete=true``)."""
    if request.method != "POST":
        return text_response(405, "Registration takes POST.\n", {"allow": "POST"})
    android_id = _device(request, hub)
    if android_id is None:
        return text_response(401, "Error=AUTHENTICATION_FAILED")
    try:
        text = request.body.decode("ascii")
        form = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS_MAX))
    except ValueError:
        return _error("INVALID_PARAMETERS")
    subtype, sender, app = form.get("X-subtype", ""), form.get("sender", ""), form.get("app", "")
    too_long = len(subtype) > _SUBTYPE_CHARACTERS_MAX or len(app) > _APP_CHARACTERS_MAX
    if request.body_bytes > len(request.body) or too_long:
        return _error("INVALID_PARAMETERS")
    if form.get("delete") == "true":
        return _delete(hub, android_id, subtype, sender)
    key = _key(sender)
    if key is None or not subtype:
        return text_response(200, "token=" + hub.core.tokens.endpoint_token("fcm", None))
    if not await hub.may_register():
        # Chromium tries a service that is unavailable again by itself for minutes; this it believes at once.
        return _error("TOO_MANY_REGISTRATIONS")
    try:
        client = hub.core.client(android_id, "chromium", hub.now())
        subscription = hub.subscribe(client, vendor="fcm", channel=subtype, key=key, app=app)
    except PushkeepError:
        return _error("TOO_MANY_REGISTRATIONS")
    return text_response(200, "token=" + subscription.token)


def _device(request: Request, hub: Hub) -> str | None:
    """The android_id of ``Authorization: AidLogin <id>:<token>``, if the pair was issued here."""
    scheme, _, credentials = (request.header("authorization") or "").partition(" ")
    android_id, _, security_token = credentials.partition(":")
    if scheme != "AidLogin" or not hub.core.tokens.is_device(android_id, security_token):
        return None
    return android_id


def _key(sender: str) -> bytes | None:
    try:
        data = b64_decode(sender, field="sender", length=POINT_BYTES)
        decode_point(data, field="sender")
    except InvalidInput:
        return None
    return data


def _delete(hub: Hub, android_id: str, subtype: str, sender: str) -> Response:
    """End the app id's subscriptions: of one sender, or of all where the sender is ``*``."""
    client = hub.core.clients.get(android_id)
    key = _key(sender)
    for subscription in hub.core.channel(client, subtype, key) if client else ():
        hub.end(subscription, "client")
    return text_response(200, "token=" + subtype)  # Chromium looks for "token=" and no further


def _error(reason: str) -> Response:
    return text_response(200, "Error=" + reason)
