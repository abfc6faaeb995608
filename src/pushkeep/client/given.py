"""What callers give in the forms they have it in: subscription, payload, key, origin map."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pushkeep.domain.origin_map import OriginMap
from pushkeep.errors import InvalidInput
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription

ORIGIN_MAP_VARIABLE = "PUSHKEEP_ORIGIN_MAP"
"""The same variable configures the server."""

KEY_BYTES_READ_MAX = 65_536
"""More than any form of a key has, so that a device file ends and is refused by its size."""

SubscriptionLike = Subscription | Mapping[str, object] | str | bytes
"""A :class:`Subscription`, the object of ``PushSubscription.toJSON()``, or its text."""

Payload = str | bytes | Mapping[str, object] | None
"""Text, octets, an object that is sent as JSON, or nothing."""

KeyLike = SigningKey | str | bytes | Path | Mapping[str, object]
"""A :class:`SigningKey`, PEM, raw base64url or JWK text, DER octets, the file of any of these, or a JWK mapping."""

_KEY_FILE_ENDINGS = (".pem", ".der", ".key", ".json", ".jwk", ".txt")


def read_subscription(value: SubscriptionLike) -> Subscription:
    """Take a subscription in any of the forms people have it in.

    Raises:
        InvalidInput: it is none of them; the error names the offending field.
    """
    if isinstance(value, Subscription):
        return value
    if isinstance(value, str | bytes):
        return Subscription.from_json(value)
    return Subscription.from_dict(value)


def encode_payload(value: Payload) -> bytes | None:
    """The octets of a payload: text as UTF-8, an object as compact JSON.

    Raises:
        InvalidInput: another type, or something in the object that JSON has no form for.
    """
    if value is None or isinstance(value, bytes):
        return value
    try:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, Mapping):
            return json.dumps(dict(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):
        raise InvalidInput("payload cannot be written as UTF-8 or JSON.", field="payload") from None
    raise InvalidInput("payload must be text, bytes, a dict (sent as JSON) or None.", field="payload")


def read_key(value: KeyLike) -> SigningKey:
    """Take a signing key in any of the forms people have it in; a path is only ever read.

    Raises:
        InvalidInput: it is none of them, or the file cannot be read.
    """
    if isinstance(value, SigningKey):
        return value
    if isinstance(value, Path):
        try:
            with value.open("rb") as file:
                return SigningKey.read(file.read(KEY_BYTES_READ_MAX))
        except OSError as error:
            raise InvalidInput(f"key file {value} cannot be read: {error.strerror}.", field="key") from None
    if isinstance(value, str) and value.endswith(_KEY_FILE_ENDINGS):
        raise InvalidInput("key looks like the name of a file; to name one give a pathlib.Path.", field="key")
    if isinstance(value, str | bytes | Mapping):
        return SigningKey.read(value)
    raise InvalidInput(
        "key must be a SigningKey, the text, octets or JWK mapping of one, or the pathlib.Path of its file.",
        field="key",
    )


def read_origin_map(value: OriginMap | Iterable[str] | None) -> OriginMap:
    """Take an origin map in any of the forms people have it in; None is what the environment says.

    Raises:
        InvalidInput: an entry is not of the form ``ORIGIN=BASE[,ca=FILE][,vendor=NAME]``.
    """
    if value is None:
        return OriginMap.parse(os.environ.get(ORIGIN_MAP_VARIABLE, "").split())
    if isinstance(value, OriginMap):
        return value
    if isinstance(value, str):  # an iterable of characters, and surely meant as one entry
        return OriginMap.parse([value])
    return OriginMap.parse(value)
