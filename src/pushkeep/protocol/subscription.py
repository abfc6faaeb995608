"""A push subscription as the browser gives it: ``PushSubscription.toJSON()`` (W3C Push API)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pushkeep.errors import InvalidInput
from pushkeep.protocol.encoding import b64_decode, b64url_encode
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.keys import POINT_BYTES, decode_point

AUTH_BYTES = 16
"""Length of the authentication secret (RFC 8291 section 3.2)."""

SUBSCRIPTION_JSON_BYTES_MAX = 16_384
"""A full 2,048-character endpoint with keys stays under 3 KB; the rest is room for fields we do not know."""

_USUAL = ("aes128gcm",)
_ENCODINGS_MAX = 8  # browsers list one or two
_ENCODING_CHARACTERS_MAX = 32


@dataclass(frozen=True, slots=True, repr=False)
class Subscription:
    """What is needed to send to one browser profile.

    Attributes:
        endpoint: where to post.
        p256dh: the browser's public key, 65 octets, checked to be on the curve.
        auth: the authentication secret, 16 octets.
        expiration_time: milliseconds since the epoch, or None; null in practice in every browser.
        encodings: content encodings the browser lists, in its order; ``aes128gcm`` where it lists none.
    """

    endpoint: Endpoint
    p256dh: bytes
    auth: bytes
    expiration_time: int | None = None
    encodings: tuple[str, ...] = _USUAL

    @classmethod
    def from_json(cls, text: str | bytes) -> Subscription:
        """Read the JSON text of ``PushSubscription.toJSON()``.

        Raises:
            InvalidInput: not JSON, over 16 KiB, or as for :meth:`from_dict`.
        """
        if len(text) > SUBSCRIPTION_JSON_BYTES_MAX:
            raise InvalidInput(
                f"subscription is over {SUBSCRIPTION_JSON_BYTES_MAX} octets of JSON.", field="subscription"
            )
        try:
            value: object = json.loads(text)
        except (ValueError, RecursionError):
            raise InvalidInput("subscription is not valid JSON.", field="subscription") from None
        return cls.from_dict(value)

    @classmethod
    def from_dict(cls, value: object) -> Subscription:
        """Read the parsed JSON object; fields that are not known are ignored.

        Encodings are read from ``supportedContentEncodings`` (as the browsers' API calls them), ``encodings``, or
        ``contentEncoding`` (one name, as web-push-php has it), whichever is there first and not empty.

        Raises:
            InvalidInput: a field is missing, has another type or length, or ``keys.p256dh`` is not on the
                curve; ``field`` names it.
        """
        if not isinstance(value, Mapping):
            raise InvalidInput("subscription must be a JSON object.", field="subscription")
        keys = value.get("keys")
        if not isinstance(keys, Mapping):
            raise InvalidInput("keys must be an object with p256dh and auth.", field="keys")
        endpoint = Endpoint.parse(value.get("endpoint"))
        p256dh = b64_decode(keys.get("p256dh"), field="keys.p256dh", length=POINT_BYTES)
        decode_point(p256dh, field="keys.p256dh")
        auth = b64_decode(keys.get("auth"), field="keys.auth", length=AUTH_BYTES)
        return cls(
            endpoint,
            p256dh,
            auth,
            _expiration(value.get("expirationTime")),
            _encodings(value),
        )

    def to_dict(self) -> dict[str, object]:
        """The object of ``PushSubscription.toJSON()``, with the encodings if they are unusual; it holds secrets."""
        fields: dict[str, object] = {
            "endpoint": self.endpoint.url,
            "expirationTime": self.expiration_time,
            "keys": {"p256dh": b64url_encode(self.p256dh), "auth": b64url_encode(self.auth)},
        }
        if self.encodings != _USUAL:
            fields["supportedContentEncodings"] = list(self.encodings)
        return fields

    def to_json(self) -> str:
        """The text of :meth:`to_dict`."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    def __repr__(self) -> str:
        return f"<Subscription {self.endpoint.label}>"


def _expiration(value: object) -> int | None:
    if value is None:
        return None
    # JavaScript writes numbers as it likes, and JSON readers hand out floats for 1e12 and infinities for 1e999.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise InvalidInput("expirationTime must be milliseconds since 1970 or null.", field="expirationTime")
    return int(value)


def _encodings(subscription: Mapping[str, object]) -> tuple[str, ...]:
    names = ("supportedContentEncodings", "encodings", "contentEncoding")
    # Pages write `PushManager.supportedContentEncodings || []`, and tables have empty columns: neither lists anything.
    name = next((name for name in names if subscription.get(name) not in (None, "", [], ())), None)
    if name is None:
        return _USUAL
    value = subscription[name]
    if name == "contentEncoding":
        value = [value]
    if (
        not isinstance(value, list | tuple)
        or not 0 < len(value) <= _ENCODINGS_MAX
        or not all(isinstance(item, str) and 0 < len(item) <= _ENCODING_CHARACTERS_MAX for item in value)
    ):
        raise InvalidInput(f"{name} must be 1 to {_ENCODINGS_MAX} short names of encodings.", field=name)
    return tuple(value)
