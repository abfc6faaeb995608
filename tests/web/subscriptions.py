"""Subscriptions as browsers give them, with keys that are real points on the curve."""

from __future__ import annotations

import secrets

from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.signing_key import SigningKey

JsonObject = dict[str, object]


def subscription_json(endpoint: str | None = None, **changes: object) -> JsonObject:
    """A valid subscription at Mozilla, unless told otherwise."""
    token = secrets.token_hex(16)
    keys = {"p256dh": SigningKey.generate().public_b64, "auth": b64url_encode(secrets.token_bytes(16))}
    return {
        "endpoint": endpoint or f"https://updates.push.services.mozilla.com/wpush/v2/{token}",
        "expirationTime": None,
        "keys": keys,
        **changes,
    }


def with_keys(subscription: JsonObject, **keys: object) -> JsonObject:
    """The same with other keys."""
    old = subscription["keys"]
    assert isinstance(old, dict)
    return {**subscription, "keys": {**old, **keys}}
