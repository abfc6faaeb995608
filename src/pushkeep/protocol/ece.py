"""Message encryption for Web Push: the ``aes128gcm`` content encoding (RFC 8188) keyed as in RFC 8291.

A push message is exactly one record (RFC 8291 section 4), so there is no counter, no second nonce and nothing
to stream. Names follow the RFCs: ``ua`` is the browser (user agent), ``as`` the application server.
"""

from __future__ import annotations

from hashlib import sha256
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pushkeep.errors import InvalidInput, PayloadTooLarge, Undecryptable
from pushkeep.protocol.keys import POINT_BYTES, decode_point, encode_point
from pushkeep.protocol.subscription import AUTH_BYTES

BODY_BYTES_MAX = 4096
"""What every push service must take (RFC 8030 section 7.2)."""
HEADER_BYTES = 86
"""Salt 16, record size 4, key id length 1, key id 65 (RFC 8188 section 2.1)."""
OVERHEAD_BYTES = HEADER_BYTES + 1 + 16
"""Header, delimiter and tag: what encryption adds to the plaintext."""
PLAINTEXT_BYTES_MAX = BODY_BYTES_MAX - OVERHEAD_BYTES
"""3,993 octets of plaintext with padding fill a 4,096-octet body."""
SALT_BYTES = 16
"""Of every message (RFC 8188 section 2.1)."""
RECORD_SIZE = 4096
"""The ``rs`` we write: must exceed the record's 4,010 octets at most, and is what everybody writes."""
RECORD_SIZE_MIN = 18
"""Smallest legal ``rs`` (RFC 8188 section 2.1): one delimiter, one tag, one more."""

_KEY_INFO = b"WebPush: info\x00"
_CEK_INFO = b"Content-Encoding: aes128gcm\x00\x01"
_NONCE_INFO = b"Content-Encoding: nonce\x00\x01"
_LAST_RECORD = b"\x02"
_INNER, _OUTER = (bytes(octet ^ pad for octet in range(256)) for pad in (0x36, 0x5C))
_SIZES = Struct("!IB")
_HEADER = _SIZES.pack(RECORD_SIZE, POINT_BYTES)


def seal(
    plaintext: bytes,
    *,
    ua_public: bytes,
    auth: bytes,
    as_private: ec.EllipticCurvePrivateKey,
    salt: bytes,
    padding: int = 0,
) -> bytes:
    """Encrypt one message for one browser.

    Args:
        plaintext: 0 to 3,993 octets, less the padding.
        ua_public: the browser's public key, ``keys.p256dh``, 65 octets.
        auth: its authentication secret, ``keys.auth``, 16 octets.
        as_private: a key pair made for this message alone; never the VAPID key (RFC 8292 section 3.2).
        salt: 16 random octets made for this message alone.
        padding: zero octets to add behind the delimiter; they count towards the limit.

    Returns:
        the body of the POST.

    Raises:
        PayloadTooLarge: plaintext and padding exceed 3,993 octets; says by how many.
        InvalidInput: a key or salt of another length, a point off the curve, or nothing at all to encrypt:
            Chromium drops a 103-octet body, so an empty message is sent without one.
    """
    check_sealable(plaintext, padding, salt=salt, auth=auth, bytes_max=PLAINTEXT_BYTES_MAX, holder="one message")
    as_public = encode_point(as_private.public_key())
    secret = as_private.exchange(ec.ECDH(), decode_point(ua_public, field="keys.p256dh"))
    key, nonce = derive(secret, auth=auth, ua_public=ua_public, as_public=as_public, salt=salt)
    record = AESGCM(key).encrypt(nonce, b"".join((plaintext, _LAST_RECORD, bytes(padding))), None)
    return b"".join((salt, _HEADER, as_public, record))


def check_sealable(plaintext: bytes, padding: int, *, salt: bytes, auth: bytes, bytes_max: int, holder: str) -> None:
    """Refuse what neither encoding seals; ``holder`` is what holds at most ``bytes_max``, in words.

    Raises:
        PayloadTooLarge: plaintext and padding exceed ``bytes_max``; says by how many.
        InvalidInput: nothing at all to encrypt, negative padding, or a salt or secret that is not 16 octets.
    """
    size = len(plaintext) + padding
    if size > bytes_max:
        raise PayloadTooLarge(
            f"payload is {size - bytes_max} octets too large: {len(plaintext)} octets with {padding} of padding, and "
            f"{holder} holds {bytes_max}.",
            excess_bytes=size - bytes_max,
        )
    if size == 0 or padding < 0:
        raise InvalidInput(
            "payload is empty: send a message without payload, or pad it by at least one octet.",
            field="payload",
        )
    if len(salt) != SALT_BYTES or len(auth) != AUTH_BYTES:
        raise InvalidInput("salt and auth must be 16 octets each.", field="auth" if len(salt) == SALT_BYTES else "salt")


def open_sealed(body: bytes, *, ua_private: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """Decrypt what :func:`seal` made, as a browser would.

    Raises:
        Undecryptable: a truncated body, a record size under 18, another key id length, more than one record, a
            wrong key, a flipped bit, or a wrong delimiter. It does not say which secret was wrong.
    """
    if len(body) <= OVERHEAD_BYTES - 1:
        raise Undecryptable(f"body has {len(body)} octets; an encrypted message has at least {OVERHEAD_BYTES}.")
    record_size, key_id_length = _SIZES.unpack_from(body, 16)
    record = body[HEADER_BYTES:]
    if record_size < RECORD_SIZE_MIN or key_id_length != POINT_BYTES:
        raise Undecryptable("body's header must have a record size of 18 or more and a key id of 65 octets.")
    if len(record) > record_size:
        raise Undecryptable("body has more than one record; a push message must have exactly one.")
    as_public = body[21:HEADER_BYTES]
    try:
        secret = ua_private.exchange(ec.ECDH(), decode_point(as_public, field="key id"))
    except InvalidInput as error:
        raise Undecryptable(f"body's {error.message}") from None
    ua_public = encode_point(ua_private.public_key())
    key, nonce = derive(secret, auth=auth, ua_public=ua_public, as_public=as_public, salt=body[:16])
    try:
        padded = AESGCM(key).decrypt(nonce, record, None)
    except InvalidTag:
        raise Undecryptable("body does not decrypt with this subscription's keys.") from None
    plaintext = padded.rstrip(b"\x00")
    if not plaintext.endswith(_LAST_RECORD):
        raise Undecryptable("body's record does not end with the delimiter of a last record.")
    return plaintext[:-1]


def derive(secret: bytes, *, auth: bytes, ua_public: bytes, as_public: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """The content encryption key (16 octets) and the nonce (12) of the only record (RFC 8291 section 3.4).

    HKDF with one block of output is two HMACs (RFC 5869), which share their first where only ``info`` differs.
    """
    key_prk = _mac(_pads(auth), secret)
    ikm = _mac(_pads(key_prk), b"".join((_KEY_INFO, ua_public, as_public, b"\x01")))
    pads = _pads(_mac(_pads(salt), ikm))
    return _mac(pads, _CEK_INFO)[:16], _mac(pads, _NONCE_INFO)[:12]


def _pads(key: bytes) -> tuple[bytes, bytes]:
    """A key of at most 64 octets as HMAC's two blocks (RFC 2104 section 2).

    Written out because ``hmac.digest`` makes OpenSSL set up a context for each call, which costs twice the hashing.
    """
    block = key.ljust(64, b"\x00")
    return block.translate(_INNER), block.translate(_OUTER)


def _mac(pads: tuple[bytes, bytes], message: bytes) -> bytes:
    """HMAC-SHA-256 with the key of these blocks."""
    inner, outer = pads
    return sha256(outer + sha256(inner + message).digest()).digest()
