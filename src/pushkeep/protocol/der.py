"""The private scalar inside a DER private key: SEC 1 (RFC 5915) and PKCS#8 (RFC 5958).

Read here and not by ``cryptography``, which refuses two things that other tools write: a scalar that lost its leading
zero octets, as one in 256 does, and a SEC 1 key that leaves its curve to a block of its own. Reading it ourselves also
tells what somebody gave instead: a public key, a certificate, a key with a password.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key

from pushkeep.errors import InvalidInput

PASSWORD = "key is protected by a password; take it off with: openssl pkey -in KEY -out NEW"  # noqa: S105
PUBLIC = "key is a public key; the private key is needed, which only its maker has"
CERTIFICATE = "key is a certificate; the private key is needed, usually in a file of its own"
CURVE = "key must be on the curve P-256 (prime256v1); others are not VAPID"
UNREADABLE = "key is damaged or no private key"

_INTEGER, _BITS, _OCTETS, _OID, _SEQUENCE, _PARAMETERS, _PUBLIC = 0x02, 0x03, 0x04, 0x06, 0x30, 0xA0, 0xA1
_EC_PUBLIC_KEY = bytes.fromhex("2a8648ce3d0201")
_P256 = bytes.fromhex("2a8648ce3d030107")
_LENGTH_OCTETS_MAX = 2  # 65,535 octets, far above any key

_Item = tuple[int, bytes]


@dataclass(frozen=True, slots=True, repr=False)
class DerKey:
    """What a DER private key holds; ``repr()`` shows nothing of it.

    Attributes:
        scalar: the private key, big-endian, with as many octets as were written.
        public: the public point beside it, as written; None where there is none.
        sec1: whether it is bare SEC 1 and not PKCS#8.
    """

    scalar: bytes
    public: bytes | None
    sec1: bool


def read_der_key(data: bytes) -> DerKey:
    """Find scalar and public point.

    Raises:
        InvalidInput: another kind of key, a key on another curve, or no key; the sentence says which.
    """
    items = _sequence(data)
    tags = tuple(tag for tag, _ in items)
    if tags[:2] == (_INTEGER, _OCTETS):
        return _ec_key(items, data, sec1=True)
    if tags[:3] == (_INTEGER, _SEQUENCE, _OCTETS):
        algorithm = _items(items[1][1])
        if algorithm[:1] != [(_OID, _EC_PUBLIC_KEY)]:
            raise bad_key(CURVE)
        _check_curve(algorithm[1:], data)
        inner = _sequence(items[2][1])
        if tuple(tag for tag, _ in inner[:2]) != (_INTEGER, _OCTETS):
            raise bad_key(UNREADABLE)
        return _ec_key(inner, data, sec1=False)
    others = {(_SEQUENCE, _OCTETS): PASSWORD, (_SEQUENCE, _BITS): PUBLIC, (_SEQUENCE, _SEQUENCE, _BITS): CERTIFICATE}
    # Two integers first are RSA or DSA in their own old forms.
    raise bad_key(others.get(tags) or (CURVE if tags[:2] == (_INTEGER, _INTEGER) else UNREADABLE))


def bad_key(sentence: str) -> InvalidInput:
    """The error for the field ``key``."""
    return InvalidInput(f"{sentence}.", field="key")


def _ec_key(items: list[_Item], whole: bytes, *, sec1: bool) -> DerKey:
    public = None
    for tag, content in items[2:]:
        if tag == _PARAMETERS:
            _check_curve(_items(content), whole)
        elif tag == _PUBLIC and len(bits := _items(content)) == 1 and bits[0][0] == _BITS:
            public = bits[0][1][1:]  # the first octet counts unused bits: none
        else:  # passed over, a damaged public half would not be compared
            raise bad_key(UNREADABLE)
    return DerKey(items[1][1], public, sec1)


def _check_curve(parameters: list[_Item], whole: bytes) -> None:
    """Refuse another curve. One that is not named is taken for P-256: nothing else can be meant."""
    if not parameters or parameters[0] == (_OID, _P256):
        return
    if parameters[0][0] == _SEQUENCE:  # the curve is spelled out (openssl's -param_enc explicit)
        try:
            key = load_der_private_key(whole, password=None)
        except Exception:  # the loader raises its own kinds for each broken encoding, none says more than this
            raise bad_key(CURVE) from None
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return
    raise bad_key(CURVE)


def _sequence(data: bytes) -> list[_Item]:
    items = _items(data)
    if len(items) != 1 or items[0][0] != _SEQUENCE:
        raise bad_key(UNREADABLE)
    return _items(items[0][1])


def _items(data: bytes) -> list[_Item]:
    """Tag and content of every value in a row; ours all have one-octet tags and definite lengths."""
    found: list[_Item] = []
    at = 0
    while at < len(data):
        tag, start = data[at], at + 2
        size = data[at + 1] if start <= len(data) else 0x80
        if size >= 0x80:  # the length itself comes in that many octets; none would be an open end
            start += size - 0x80
            if not at + 2 < start <= at + 2 + _LENGTH_OCTETS_MAX:
                raise bad_key(UNREADABLE)
            size = int.from_bytes(data[at + 2 : start], "big")
        at = start + size
        if at > len(data):
            raise bad_key(UNREADABLE)
        found.append((tag, data[start:at]))
    return found
