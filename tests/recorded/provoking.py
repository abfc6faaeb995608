"""The request that provokes a recorded answer: a right one, spoiled as the recording says."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from pushkeep.protocol.ece import seal
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.vapid import sign
from tests.recorded.recording import Recording

LIFETIME_SECONDS = 3600
TTL = "60"


@dataclass(frozen=True)
class Ask:
    """A request, ready to go."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


def provocation(recorded: Recording, subscription: Subscription, *, key: SigningKey, contact: str, now: float) -> Ask:
    """The request to send to ``subscription``, whose key is ``key``, for the recorded answer."""
    ways = dict(recorded.provoke or {})
    body = seal(
        b"x" * _number(ways.get("plaintext_bytes"), 5),
        ua_public=subscription.p256dh,
        auth=subscription.auth,
        as_private=ec.generate_private_key(ec.SECP256R1()),
        salt=os.urandom(16),
    ) + bytes(_number(ways.get("append_bytes"), 0))
    signer = SigningKey.generate() if ways.get("key") == "other" else key
    headers: dict[str, str | None] = {
        "ttl": TTL,
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
        "authorization": _authorization(ways, subscription.endpoint.origin, signer, contact, now),
    }
    headers |= {name: None if value is None else str(value) for name, value in _object(ways.get("headers")).items()}
    method = str(ways.get("method", "POST"))
    url = _spoiled(subscription.endpoint.url, ways.get("endpoint"))
    kept = {name: value for name, value in headers.items() if value is not None}
    return Ask(method, url, kept, b"" if method == "GET" else body)


def _authorization(ways: Mapping[str, object], origin: str, signer: SigningKey, contact: str, now: float) -> str:
    claims = _object(ways.get("claims"))
    sub = claims.get("sub", contact)
    token = sign(
        signer,
        audience=str(claims.get("aud", origin)),
        contact=None if sub is None else str(sub),
        expires_at=int(now) + _number(claims.get("exp_in"), LIFETIME_SECONDS),
    )
    k = ways.get("k", signer.public_b64)
    return f"vapid t={token}, k={SigningKey.generate().public_b64 if k == 'other' else k}"


def _spoiled(url: str, how: object) -> str:
    match how:
        case "unknown":
            # Another character in the middle: the last one may carry bits that mean nothing.
            at = len(url.removesuffix("?up=1")) - 6
            return url[:at] + ("B" if url[at] != "B" else "C") + url[at + 1 :]
        case "bad_path":
            return url + "/more"
        case "no_query":
            return url.partition("?")[0]
    return url


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else json.loads("{}")
