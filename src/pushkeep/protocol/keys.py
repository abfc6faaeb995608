"""P-256 points and scalars as octets."""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pushkeep.errors import InvalidInput

POINT_BYTES = 65
"""An uncompressed X9.62 point: 0x04, then two 32-octet coordinates (RFC 8291 section 3.1)."""


def decode_point(data: bytes, *, field: str) -> ec.EllipticCurvePublicKey:
    """Read an uncompressed P-256 point and check that it lies on the curve (RFC 8291 section 7).

    Raises:
        InvalidInput: another length, a compressed point, or one that is not on the curve.
    """
    if len(data) != POINT_BYTES:
        raise InvalidInput(f"{field} must be {POINT_BYTES} octets, got {len(data)}.", field=field)
    if data[0] != 4:
        raise InvalidInput(f"{field} must be an uncompressed point, whose first octet is 4.", field=field)
    try:
        return _point(data)
    except ValueError:
        raise InvalidInput(f"{field} is not a point on the curve P-256.", field=field) from None


# A subscription's key is read twice within a moment, when the subscription is checked and when its message is sealed.
# To keep the decoded key in the subscription instead would cost 2 KB for each, however many there are.
@lru_cache(maxsize=256)
def _point(data: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), data)


def encode_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """The 65 octets of an uncompressed point."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
