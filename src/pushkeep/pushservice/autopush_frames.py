"""The JSON frames of the autopush protocol, read and written; pure.

Source: Firefox ``dom/push/PushServiceWebSocket.sys.mjs`` and autopush-rs ``autoconnect``; see
:mod:`pushkeep.pushservice.autopush` for the conversation.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TypeAlias

from pushkeep.errors import InvalidInput
from pushkeep.protocol.encoding import b64_decode, b64url_encode
from pushkeep.protocol.keys import POINT_BYTES, decode_point
from pushkeep.pushservice.core import Message

_UAID = re.compile(r"[0-9a-f]{32}")
_CHANNEL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UPDATES_MAX = 1_000  # ten times what we have in flight
_VERSION_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True)
class Hello:
    """First frame of the client; ``uaid`` only if it has subscriptions (and the id has our form)."""

    uaid: str | None


@dataclass(frozen=True, slots=True, repr=False)
class Register:
    """Subscribe; ``key`` is None for an unrestricted one, and ``problem`` says why a key is refused."""

    channel: str
    key: bytes | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Unregister:
    """Unsubscribe; ``code`` 200 manual, 201 quota exceeded, 202 permission revoked."""

    channel: str
    code: int | None


@dataclass(frozen=True, slots=True)
class AckFrame:
    """Messages the client is done with: (channel, version, code)."""

    updates: tuple[tuple[str, str, int | None], ...]


@dataclass(frozen=True, slots=True)
class NackFrame:
    """The worker failed on a message."""

    version: str
    code: int | None


@dataclass(frozen=True, slots=True)
class PingFrame:
    """``{}``, or with its type spelled out."""


@dataclass(frozen=True, slots=True)
class BroadcastSubscribe:
    """Interest in broadcasts, of which this service has none."""


ClientFrame: TypeAlias = Hello | Register | Unregister | AckFrame | NackFrame | PingFrame | BroadcastSubscribe


def parse(text: str) -> ClientFrame:
    """Read a frame of the client.

    Raises:
        InvalidInput: not JSON, an unknown ``messageType``, or a field of the wrong form. autopush closes the
            connection on such a frame.
    """
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("The frame is not JSON.", field="frame") from None
    if not isinstance(value, dict):
        raise InvalidInput("The frame is not a JSON object.", field="frame")
    kind = value.get("messageType", "ping" if not value else None)
    match kind:
        case "hello":
            uaid = value.get("uaid")
            return Hello(uaid if isinstance(uaid, str) and _UAID.fullmatch(uaid) else None)
        case "register":
            return _register(value)
        case "unregister":
            return Unregister(_channel(value.get("channelID")), _code(value.get("code")))
        case "ack":
            return _ack(value.get("updates"))
        case "nack":
            return NackFrame(_version(value.get("version")), _code(value.get("code")))
        case "ping":
            return PingFrame()
        case "broadcast_subscribe":
            return BroadcastSubscribe()
        case _:
            raise InvalidInput("The frame has no messageType that is known.", field="messageType")


def _register(value: dict[object, object]) -> Register:
    channel, key = _channel(value.get("channelID")), value.get("key")
    if key is None:
        return Register(channel, None)
    try:
        data = b64_decode(key, field="key", length=POINT_BYTES)
        decode_point(data, field="key")
    except InvalidInput as error:
        # Only this registration fails; the page's subscribe() is told.
        return Register(channel, None, error.message)
    return Register(channel, data)


def _ack(updates: object) -> AckFrame:
    if not isinstance(updates, list) or len(updates) > _UPDATES_MAX:
        raise InvalidInput(f"updates must be a list of at most {_UPDATES_MAX}.", field="updates")
    found: list[tuple[str, str, int | None]] = []
    for update in updates:
        if not isinstance(update, dict):
            raise InvalidInput("Each of updates must be an object.", field="updates")
        channel, version = _channel(update.get("channelID")), _version(update.get("version"))
        found.append((channel, version, _code(update.get("code"))))
    return AckFrame(tuple(found))


def _channel(value: object) -> str:
    if not isinstance(value, str) or not _CHANNEL.fullmatch(value):
        raise InvalidInput("channelID must be a UUID in lower case with dashes.", field="channelID")
    return value


def _version(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _VERSION_CHARACTERS_MAX:
        raise InvalidInput(f"version must be text of up to {_VERSION_CHARACTERS_MAX} characters.", field="version")
    return value


def _code(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 9999 else None


def hello(uaid: str) -> str:
    """The answer to hello; without ``use_webpush`` Firefox falls back to a protocol without payloads."""
    return _dump(messageType="hello", uaid=uaid, status=200, use_webpush=True, broadcasts={})


def registered(channel: str, endpoint: str) -> str:
    """The answer to register."""
    return _dump(messageType="register", channelID=channel, status=200, pushEndpoint=endpoint)


def not_registered(channel: str, status: int, reason: str) -> str:
    """The answer to a register that is refused: the page's ``subscribe()`` rejects with AbortError."""
    return _dump(messageType="register", channelID=channel, status=status, pushEndpoint=reason)


def unregistered(channel: str) -> str:
    """The answer to unregister."""
    return _dump(messageType="unregister", channelID=channel, status=200)


def ping() -> str:
    """The answer to a ping."""
    return "{}"


def broadcast() -> str:
    """The answer to an interest in broadcasts: there are none."""
    return _dump(messageType="broadcast", broadcasts={})


def notification(message: Message) -> str:
    """A push; without a body there is neither ``data`` nor ``headers``, and the page sees no payload."""
    draft = message.draft
    fields: dict[str, object] = {
        "messageType": "notification",
        "channelID": message.subscription.channel,
        "version": message.id,
        "ttl": draft.ttl,
    }
    if draft.body:
        fields["data"] = b64url_encode(draft.body)
        headers = {
            "encoding": draft.encoding,
            "encryption": draft.encryption,
            "crypto_key": draft.crypto_key,
        }
        fields["headers"] = {name: value for name, value in headers.items() if value is not None}
    return _dump(**fields)


def _dump(**fields: object) -> str:
    return json.dumps(fields, separators=(",", ":"))
