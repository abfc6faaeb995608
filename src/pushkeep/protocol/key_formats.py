"""Every form in which people have a VAPID key pair, read: PEM, DER, JWK, and the raw base64url of other tools.

What is read is one scalar; the public key is always derived from it and never believed. Where one is given beside it,
the two must belong together: a wrong pair would be noticed only by the push services, as a refusal of every message.
White space, quotes, a byte order mark and ``\\n`` written out are taken off, since keys travel through environment
variables, YAML and chat windows. Sources: RFC 5915, RFC 5958, RFC 7468, RFC 7517, RFC 7518 section 6.2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from pushkeep.errors import InvalidInput
from pushkeep.protocol.der import CERTIFICATE, PASSWORD, PUBLIC, UNREADABLE, bad_key, read_der_key
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.keys import POINT_BYTES, encode_point

KEY_BYTES_MAX = 8192
"""A P-256 private key in PEM is about 240 octets; the rest is room for parameters and comments."""

KeyLike = str | bytes | Mapping[str, object]

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256's group
_SCALAR_BYTES = 32
_SCALAR_BYTES_MIN = 30  # a leading zero octet is dropped once in 256 keys, two once in 65,536
_COMPRESSED_BYTES = 33
_DER_FIRST_OCTET = 0x30
_TEXT = re.compile(rb"(?:\xef\xbb\xbf)?[\t-\r -~]*")
_AROUND = " \t\r\n\v\f\ufeff\"'`,;"
_UNKNOWN = "key is none of PEM, DER, JWK and base64url; a file's name is no key"
_MISMATCH = "key's private and public halves do not belong together; take both from one pair"


class KeyFormat(StrEnum):
    """The forms that are read."""

    PKCS8_PEM = "PKCS#8 PEM"
    SEC1_PEM = "SEC 1 PEM"
    PKCS8_DER = "PKCS#8 DER"
    SEC1_DER = "SEC 1 DER"
    JWK = "JWK"
    RAW = "raw scalar"
    PAIR = "JSON with publicKey and privateKey"


@dataclass(frozen=True, slots=True, repr=False)
class FoundKey:
    """A private key and the form it came in."""

    private: ec.EllipticCurvePrivateKey
    format: KeyFormat


def read_private_key(value: KeyLike, *, public: str | bytes | None = None) -> FoundKey:
    """Read a private key in any of the forms.

    Args:
        value: text, the octets of a file, or a parsed JWK.
        public: the public key it must have, in base64url, PEM or DER, or as a point; None does not check.

    Raises:
        InvalidInput: it is none of them; or it is a public key, a certificate, protected by a password, on another
            curve, too short or too long, zero or above the curve's order; or the public key is another one.
    """
    found = _read(value)
    if public is not None and read_public_key(public) != encode_point(found.private.public_key()):
        raise bad_key(_MISMATCH)
    return found


def read_pem(value: str | bytes) -> FoundKey:
    """Read PEM: PKCS#8, or SEC 1 with or without its EC PARAMETERS block. Raises as :func:`read_private_key`."""
    parts = _limited(value).split("-----")
    blocks = [
        (begin.removeprefix("BEGIN "), body)
        for begin, body, end in zip(parts, parts[1:], parts[2:], strict=False)
        if begin.startswith("BEGIN ") and end == "END " + begin.removeprefix("BEGIN ")
    ]
    private = [(label, body) for label, body in blocks if label.endswith("PRIVATE KEY")]
    if len(private) > 1:
        raise bad_key(f"key has {len(private)} private keys; give one of them")
    if not private:
        labels = " ".join(label for label, _ in blocks)
        if "PUBLIC KEY" in labels:
            raise bad_key(PUBLIC)
        raise bad_key(CERTIFICATE if "CERTIFICATE" in labels else "key is not a complete PEM block with a private key")
    label, body = private[0]
    if label.startswith("ENCRYPTED") or "ENCRYPTED" in body:
        raise bad_key(PASSWORD)
    if label.startswith("OPENSSH"):
        raise bad_key("key is in the form of OpenSSH; convert a copy of it with: ssh-keygen -p -m PKCS8 -f COPY")
    found = read_der(_octets(body, UNREADABLE))
    return FoundKey(found.private, KeyFormat(found.format.replace("DER", "PEM")))


def read_der(data: bytes) -> FoundKey:
    """Read DER: PKCS#8 or SEC 1. Raises as :func:`read_private_key`."""
    _check_size(data)
    held = read_der_key(data)
    private = _from_scalar(held.scalar)
    if held.public is not None and _point(held.public, _MISMATCH) != encode_point(private.public_key()):
        raise bad_key(_MISMATCH)
    return FoundKey(private, KeyFormat.SEC1_DER if held.sec1 else KeyFormat.PKCS8_DER)


def read_jwk(value: KeyLike) -> FoundKey:
    """Read a JWK (RFC 7517), parsed or as text. Raises as :func:`read_private_key`."""
    jwk = value if isinstance(value, Mapping) else _json_object(_limited(value))
    if "privateKey" in jwk:  # what npm web-push prints with --json
        public = jwk.get("publicKey")
        if not isinstance(public, str | None):
            raise bad_key("key's publicKey must be a base64url string")
        return FoundKey(read_private_key(_member(jwk, "privateKey"), public=public).private, KeyFormat.PAIR)
    if "keys" in jwk:
        raise bad_key("key is a JWK set; give one of its keys")
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise bad_key("key is a JSON object, but not a JWK of kty EC and crv P-256; others are not VAPID")
    if "d" not in jwk:
        raise bad_key("key is a JWK without d, which is a public key; the private key is needed")
    found = _raw(_octets(_member(jwk, "d"), "key's d is not base64url"))
    numbers = found.private.public_key().public_numbers()
    for name, number in (("x", numbers.x), ("y", numbers.y)):
        if name in jwk and int.from_bytes(_octets(_member(jwk, name), _MISMATCH), "big") != number:
            raise bad_key(_MISMATCH)
    return FoundKey(found.private, KeyFormat.JWK)


def read_raw(value: str | bytes) -> FoundKey:
    """Read the bare scalar: 32 octets, or their base64url as other tools print it.

    A scalar without its leading zero octets, and one with a zero octet before it, as Java writes numbers, is taken too.
    Raises as :func:`read_private_key`.
    """
    if isinstance(value, bytes) and len(value) <= _COMPRESSED_BYTES:
        return _raw(value)
    return _raw(_octets(_limited(value), _UNKNOWN))


def read_public_key(value: str | bytes) -> bytes:
    """Read a public key, a point, or its base64url, PEM or DER, and return the 65 octets of its point.

    Raises:
        InvalidInput: none of them, or not on P-256.
    """
    refusal = "public key is none of base64url, PEM and DER of a point on P-256"
    if not isinstance(value, str | bytes):
        raise bad_key(refusal)
    data = value
    if isinstance(data, str) or _TEXT.fullmatch(data):
        text = _limited(data)
        parts = text.split("-----")
        data = _octets(parts[2] if len(parts) > 2 else text, refusal)  # what stands between its marks
    if data[:1] != bytes((_DER_FIRST_OCTET,)):
        return _point(data, refusal)
    try:
        key = load_der_public_key(data)
    except Exception:  # the loader raises its own kinds for each broken encoding, none says more than this
        raise bad_key(refusal) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise bad_key(refusal)
    return encode_point(key)


def _read(value: KeyLike) -> FoundKey:
    if isinstance(value, Mapping):
        return read_jwk(value)
    if isinstance(value, bytes) and not _TEXT.fullmatch(value):
        return _binary(value)
    text = _limited(value)
    if text.startswith("{"):  # first: PEM may stand inside, beside its public key
        return read_jwk(text)
    if "-----BEGIN" in text:
        return read_pem(text)
    return _binary(_octets(text, _UNKNOWN))


def _binary(data: bytes) -> FoundKey:
    # A scalar, too, may begin with the octet that DER begins with; no DER key is as short.
    if data[:1] == bytes((_DER_FIRST_OCTET,)) and len(data) > _COMPRESSED_BYTES:
        return read_der(data)
    return _raw(data)


def _raw(data: bytes) -> FoundKey:
    size = len(data)
    if (size == POINT_BYTES and data[0] == 4) or (size == _COMPRESSED_BYTES and data[0] in (2, 3)):
        raise bad_key(PUBLIC)
    if not _SCALAR_BYTES_MIN <= size <= _SCALAR_BYTES and not (size == _COMPRESSED_BYTES and data[0] == 0):
        raise bad_key(f"key has {size} octets, and a raw private key has {_SCALAR_BYTES}")
    return FoundKey(_from_scalar(data), KeyFormat.RAW)


def _from_scalar(scalar: bytes) -> ec.EllipticCurvePrivateKey:
    """As a number, so that a scalar written short means the same as with its zero octets."""
    number = int.from_bytes(scalar, "big")
    if not 0 < number < _ORDER:
        raise bad_key("key is zero or not below the order of P-256, which no private key is")
    return ec.derive_private_key(number, ec.SECP256R1())


def _point(data: bytes, refusal: str) -> bytes:
    try:
        return encode_point(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data))
    except ValueError:
        raise bad_key(refusal) from None


def _octets(text: str, refusal: str) -> bytes:
    """Decode base64 of any spelling, with line ends wherever they are, real ones or written out."""
    bare = "".join(text.replace("\\n", "").replace("\\r", "").split())
    try:
        return b64_decode(bare, field="key", length_max=KEY_BYTES_MAX)
    except InvalidInput:
        raise bad_key(refusal) from None


def _member(jwk: Mapping[str, object], name: str) -> str:
    value = jwk.get(name)
    if not isinstance(value, str):
        raise bad_key(f"key's {name} must be a base64url string")
    return value


def _json_object(text: str) -> Mapping[str, object]:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise bad_key("key begins like a JWK, but is not valid JSON")
    return value


def _limited(value: str | bytes) -> str:
    """As text, without what was copied along with the key."""
    if not isinstance(value, str | bytes):
        raise bad_key("key must be text, octets or a JWK")
    _check_size(value)
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return text.strip(_AROUND)


def _check_size(value: str | bytes) -> None:
    if len(value) > KEY_BYTES_MAX:
        raise bad_key(f"key is over {KEY_BYTES_MAX} octets; it is no key on P-256")
