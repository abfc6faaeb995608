"""The public keys with which a site, or its identity provider, signs its identity tokens.

A file has them: public keys in PEM, one behind the other, or a JSON Web Key Set (RFC 7517). Each key verifies one
algorithm (RFC 8725 section 3.1), which is a property of the key and never of a token: so nobody can have a public key
used as an HMAC secret, or a signature not checked at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from pushkeep.errors import InvalidInput
from pushkeep.protocol.encoding import b64_decode

KEYS_MAX = 16
"""Providers publish two to four at a time; each may have to be tried for a token that does not name its key."""

RSA_BITS_MIN = 2048
"""NIST SP 800-131A revision 2; shorter ones can be broken by whoever has means."""

RSA_BITS_MAX = 8192
"""Longer ones take milliseconds for each token that anybody sends."""

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})


class Algorithm(StrEnum):
    """What a JSON Web Token may be signed with (RFC 7518, RFC 8037)."""

    HS256 = "HS256"
    """The project's identity secret."""
    ES256 = "ES256"
    RS256 = "RS256"
    EDDSA = "EdDSA"


PublicKey: TypeAlias = EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key and what it is for.

    Attributes:
        key: the key.
        algorithm: the only one it verifies.
        name: its ``kid``, where it has one: a token that names another one is not verified with it.
    """

    key: PublicKey = field(repr=False)
    algorithm: Algorithm
    name: str | None = None


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """What is accepted as an identity token, beyond what the project's own secret signs.

    Attributes:
        keys: public keys of the site or its identity provider.
        audience: what the ``aud`` of a JSON Web Token must have; None accepts only tokens that name no audience.
    """

    keys: tuple[VerifyingKey, ...] = ()
    audience: str | None = None


def read_verifying_keys(text: str, *, field: str) -> tuple[VerifyingKey, ...]:
    """Read a file of public keys.

    Raises:
        InvalidInput: neither PEM nor a key set, no key or too many, a private key, or one of another kind than P-256,
            RSA with 2,048 to 8,192 bits or Ed25519.
    """
    keys = tuple(_from_set(text, field) if text.lstrip().startswith("{") else _from_pem(text, field))
    if not 0 < len(keys) <= KEYS_MAX:
        raise InvalidInput(f"{field} has {len(keys)} public keys; it needs 1 to {KEYS_MAX}.", field=field)
    return keys


def _from_pem(text: str, field: str) -> Iterator[VerifyingKey]:
    for block in _PEM.finditer(text):
        if "PRIVATE" in block[1]:
            raise _private(field)
        try:
            key = load_pem_public_key(block[0].encode())
        except (ValueError, UnsupportedAlgorithm):
            raise InvalidInput(f"{field} has a PEM block that is no public key.", field=field) from None
        yield _checked(key, None, field)


def _from_set(text: str, field: str) -> Iterator[VerifyingKey]:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput(f"{field} begins like a JSON Web Key Set but is not valid JSON.", field=field) from None
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidInput(f"{field} must be a JSON Web Key Set: an object with a list of keys.", field=field)
    for entry in entries:
        if entry.get("use", "sig") != "sig":
            continue  # a key for encryption
        if not _PRIVATE_MEMBERS.isdisjoint(entry):
            raise _private(field)
        name = entry.get("kid")
        yield _checked(_from_jwk(entry, field), name if isinstance(name, str) else None, field)


def _from_jwk(entry: Mapping[str, object], field: str) -> PublicKey:
    def number(name: str) -> int:
        return int.from_bytes(b64_decode(entry.get(name), field=field))

    try:
        match entry.get("kty"), entry.get("crv"):
            case "EC", "P-256":
                return EllipticCurvePublicNumbers(number("x"), number("y"), SECP256R1()).public_key()
            case "RSA", _:
                return RSAPublicNumbers(number("e"), number("n")).public_key()
            case "OKP", "Ed25519":
                return Ed25519PublicKey.from_public_bytes(b64_decode(entry.get("x"), field=field))
    except ValueError:  # also what b64_decode raises
        raise InvalidInput(f"{field} has a JSON Web Key that is not a valid public key.", field=field) from None
    raise _unsuitable(field)


def _checked(key: object, name: str | None, field: str) -> VerifyingKey:
    if isinstance(key, Ed25519PublicKey):
        return VerifyingKey(key, Algorithm.EDDSA, name)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return VerifyingKey(key, Algorithm.ES256, name)
    if isinstance(key, RSAPublicKey) and RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
        return VerifyingKey(key, Algorithm.RS256, name)
    raise _unsuitable(field)


def _unsuitable(field: str) -> InvalidInput:
    return InvalidInput(
        f"{field} has a key that no identity token is verified with; use P-256 (ES256), RSA with {RSA_BITS_MIN} to "
        f"{RSA_BITS_MAX} bits (RS256) or Ed25519 (EdDSA).",
        field=field,
    )


def _private(field: str) -> InvalidInput:
    return InvalidInput(
        f"{field} has a private or secret key; keep that where tokens are signed and give only the public half.",
        field=field,
    )
