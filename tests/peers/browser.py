"""A browser's half of a subscription, with its private key in the forms peers want."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from pushkeep import Subscription
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.keys import encode_point

ENDPOINT = "https://push.example.net/send/abc"


@dataclass(frozen=True)
class Browser:
    """Key pair and authentication secret of one subscription."""

    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    auth: bytes = field(default_factory=lambda: os.urandom(16))

    @property
    def public(self) -> bytes:
        return encode_point(self.private.public_key())

    @property
    def raw_private(self) -> str:
        return b64url_encode(self.private.private_numbers().private_value.to_bytes(32, "big"))

    def to_dict(self, endpoint: str = ENDPOINT) -> dict[str, object]:
        return {"endpoint": endpoint, "keys": {"p256dh": b64url_encode(self.public), "auth": b64url_encode(self.auth)}}

    def subscription(self, *encodings: str, endpoint: str = ENDPOINT) -> Subscription:
        value = self.to_dict(endpoint)
        return Subscription.from_dict(value | {"encodings": list(encodings)} if encodings else value)
