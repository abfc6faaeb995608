"""The VAPID key pair: what an application server signs with, and what its subscribers know it by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.key_formats import read_der, read_jwk, read_pem, read_private_key, read_raw
from pushkeep.protocol.keys import encode_point


@dataclass(frozen=True, eq=False, repr=False)
class SigningKey:
    """A VAPID key pair on P-256 (RFC 8292 section 3.2). ``repr()`` shows only the key id."""

    private: ec.EllipticCurvePrivateKey

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a new key pair."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def read(cls, value: str | bytes | Mapping[str, object], *, public: str | bytes | None = None) -> SigningKey:
        """Read a private key in whatever form it is there.

        ::

            SigningKey.read(Path("vapid.pem").read_bytes())
            SigningKey.read(os.environ["VAPID_PRIVATE_KEY"], public=os.environ["VAPID_PUBLIC_KEY"])

        Args:
            value: PEM text or the octets of a key file (PKCS#8, SEC 1 with or without EC PARAMETERS, DER), a JWK, or
                the base64url text that py_vapid, npm web-push, web-push-php and others print.
            public: the public key it must have, in any usual form; it is only compared.

        Raises:
            InvalidInput: none of these; a public key or certificate; protected by a password; on another curve; too
                short, too long, zero or above the curve's order; or the public key does not belong to it.
        """
        return cls(read_private_key(value, public=public).private)

    @classmethod
    def from_pem(cls, text: str | bytes) -> SigningKey:
        """Read an unencrypted PEM private key; raises as :meth:`read`."""
        return cls(read_pem(text).private)

    @classmethod
    def from_der(cls, data: bytes) -> SigningKey:
        """Read an unencrypted DER private key, PKCS#8 or SEC 1; raises as :meth:`read`."""
        return cls(read_der(data).private)

    @classmethod
    def from_jwk(cls, value: str | bytes | Mapping[str, object]) -> SigningKey:
        """Read a private JWK, parsed or as text; raises as :meth:`read`."""
        return cls(read_jwk(value).private)

    @classmethod
    def from_raw(cls, value: str | bytes) -> SigningKey:
        """Read the bare scalar, 32 octets or their base64url; raises as :meth:`read`."""
        return cls(read_raw(value).private)

    def to_pem(self) -> str:
        """The private key as unencrypted PKCS#8 PEM; a secret."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def to_der(self) -> bytes:
        """The private key as unencrypted PKCS#8 DER; a secret."""
        return self.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def to_jwk(self) -> dict[str, str]:
        """The private key as a JWK (RFC 7518 section 6.2); a secret."""
        x, y = self.public_bytes[1:33], self.public_bytes[33:]
        return {"kty": "EC", "crv": "P-256", "x": b64url_encode(x), "y": b64url_encode(y), "d": self.to_raw()}

    def to_raw(self) -> str:
        """The private key as other tools write it: 32 octets in unpadded base64url, 43 characters; a secret."""
        return b64url_encode(self.private.private_numbers().private_value.to_bytes(32, "big"))

    @cached_property
    def public_bytes(self) -> bytes:
        """The public key, 65 octets: ``applicationServerKey``."""
        return encode_point(self.private.public_key())

    @cached_property
    def public_b64(self) -> str:
        """The public key as unpadded base64url, 87 characters."""
        return b64url_encode(self.public_bytes)

    @cached_property
    def key_id(self) -> str:
        """A name for logs and records: 12 characters of the public key's SHA-256."""
        return self.id_of(self.public_bytes)

    @staticmethod
    def id_of(public_bytes: bytes) -> str:
        """The key id of a public key of 65 octets."""
        return b64url_encode(hashlib.sha256(public_bytes).digest()[:9])

    def __repr__(self) -> str:
        return f"<SigningKey {self.key_id}>"
