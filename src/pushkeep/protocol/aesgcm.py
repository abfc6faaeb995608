"""The legacy message encryption ``aesgcm``, for browsers of 2016 to 2017 that know no other.

Sources: draft-ietf-webpush-encryption-04 and draft-ietf-httpbis-encryption-encoding-03. Unlike its successor it keeps
salt and sender key in headers, puts the padding first, and binds both public keys into key and nonce. It is written
only for a subscription that lists it and nothing better; its predecessor ``aesgcm128`` is refused everywhere.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pushkeep.errors import InvalidInput, Undecryptable
from pushkeep.protocol.ece import SALT_BYTES, check_sealable
from pushkeep.protocol.encoding import b64_decode, b64url_encode
from pushkeep.protocol.keys import POINT_BYTES, decode_point, encode_point

LEGACY_PLAINTEXT_BYTES_MAX = 4077
"""The draft's number for a 4,096-octet body; by arithmetic there is room for one more."""

LEGACY_OVERHEAD_BYTES = 2 + 16
"""Padding length and tag: what encryption adds to the plaintext."""

HEADER_CHARACTERS_MAX = 1024
"""Ours have at most 190; the rest is room for key ids and parameters of others."""

_RECORD_SIZE_DEFAULT = 4096
_LENGTH_BYTES = 2
_AUTH_INFO = b"Content-Encoding: auth\x00\x01"
_CEK_INFO = b"Content-Encoding: aesgcm\x00"
_NONCE_INFO = b"Content-Encoding: nonce\x00"
_CURVE = b"P-256\x00"
_POINT_LENGTH = POINT_BYTES.to_bytes(2, "big")


def seal_legacy(
    plaintext: bytes,
    *,
    ua_public: bytes,
    auth: bytes,
    as_private: ec.EllipticCurvePrivateKey,
    salt: bytes,
    padding: int = 0,
) -> bytes:
    """Encrypt one message for one browser that knows only ``aesgcm``.

    Args:
        plaintext: 0 to 4,077 octets, less the padding.
        ua_public: the browser's public key, ``keys.p256dh``, 65 octets.
        auth: its authentication secret, ``keys.auth``, 16 octets.
        as_private: a key pair made for this message alone; its public key goes into the ``Crypto-Key`` header.
        salt: 16 random octets made for this message alone; they go into the ``Encryption`` header.
        padding: zero octets to add; they count towards the limit.

    Returns:
        the body of the POST.

    Raises:
        PayloadTooLarge: plaintext and padding exceed 4,077 octets; says by how many.
        InvalidInput: a key or salt of another length, a point off the curve, or nothing at all to encrypt.
    """
    check_sealable(
        plaintext,
        padding,
        salt=salt,
        auth=auth,
        bytes_max=LEGACY_PLAINTEXT_BYTES_MAX,
        holder="one message in the encoding aesgcm",
    )
    as_public = encode_point(as_private.public_key())
    secret = as_private.exchange(ec.ECDH(), decode_point(ua_public, field="keys.p256dh"))
    key, nonce = derive_legacy(secret, auth=auth, ua_public=ua_public, as_public=as_public, salt=salt)
    padded = b"".join((padding.to_bytes(_LENGTH_BYTES, "big"), bytes(padding), plaintext))
    return AESGCM(key).encrypt(nonce, padded, None)


def open_legacy(
    body: bytes, *, encryption: str, crypto_key: str, ua_private: ec.EllipticCurvePrivateKey, auth: bytes
) -> bytes:
    """Decrypt what :func:`seal_legacy` made, as a browser would.

    Args:
        body: the body of the POST.
        encryption: the ``Encryption`` header.
        crypto_key: the ``Crypto-Key`` header.
        ua_private: the browser's private key.
        auth: its authentication secret.

    Raises:
        Undecryptable: a header without exactly one ``salt`` or ``dh`` or with a bad one, a truncated body, more than
            one record, a wrong key, a flipped bit, or padding that is not zero. It does not say which secret was wrong.
    """
    try:
        salt, record_size = parse_encryption_header(encryption)
        as_public = parse_crypto_key_header(crypto_key)
        secret = ua_private.exchange(ec.ECDH(), decode_point(as_public, field="dh"))
    except InvalidInput as error:
        raise Undecryptable(error.message) from None
    # Every record but the last is full, so a full record means that another one should follow (draft-03 section 2).
    if len(body) - 16 >= record_size:
        raise Undecryptable("body has more than one record; a push message must have exactly one.")
    ua_public = encode_point(ua_private.public_key())
    key, nonce = derive_legacy(secret, auth=auth, ua_public=ua_public, as_public=as_public, salt=salt)
    try:
        padded = AESGCM(key).decrypt(nonce, body, None)
    except InvalidTag:
        raise Undecryptable("body does not decrypt with this subscription's keys.") from None
    start = _LENGTH_BYTES + int.from_bytes(padded[:_LENGTH_BYTES], "big")
    if len(padded) < max(start, _LENGTH_BYTES) or any(padded[_LENGTH_BYTES:start]):
        raise Undecryptable("body's record does not begin with as many zeros as its padding length says.")
    return padded[start:]


def derive_legacy(
    secret: bytes, *, auth: bytes, ua_public: bytes, as_public: bytes, salt: bytes
) -> tuple[bytes, bytes]:
    """The content encryption key (16 octets) and the nonce (12) of the only record (draft-04 section 4)."""
    ikm = hmac.digest(hmac.digest(auth, secret, "sha256"), _AUTH_INFO, "sha256")
    context = b"".join((_CURVE, _POINT_LENGTH, ua_public, _POINT_LENGTH, as_public, b"\x01"))
    prk = hmac.digest(salt, ikm, "sha256")
    return (
        hmac.digest(prk, _CEK_INFO + context, "sha256")[:16],
        hmac.digest(prk, _NONCE_INFO + context, "sha256")[:12],
    )


def encryption_header(salt: bytes) -> str:
    """The ``Encryption`` header's value; without ``rs``, which is 4,096 when left out."""
    return f"salt={b64url_encode(salt)}"


def crypto_key_header(as_public: bytes, vapid_public: bytes | None = None) -> str:
    """The ``Crypto-Key`` header's value: the message's public key, and with VAPID the signing key's.

    Joined with a semicolon, though the draft would let a comma stand there: a push service misread commas.
    """
    value = f"dh={b64url_encode(as_public)}"
    return value if vapid_public is None else f"{value};p256ecdsa={b64url_encode(vapid_public)}"


def parse_encryption_header(value: str) -> tuple[bytes, int]:
    """The salt, 16 octets, and the record size of an ``Encryption`` header.

    Raises:
        InvalidInput: not exactly one salt of 16 octets, or a record size that is no number from 3.
    """
    salt = b64_decode(_only(value, "salt", "Encryption"), field="salt", length=SALT_BYTES)
    size = next(header_parameters(value, "rs"), str(_RECORD_SIZE_DEFAULT))
    if not size.isascii() or not size.isdigit() or len(size) > 10 or int(size) <= _LENGTH_BYTES:
        raise InvalidInput("Encryption header's rs must be a number from 3.", field="Encryption")
    return salt, int(size)


def parse_crypto_key_header(value: str) -> bytes:
    """The message's public key, 65 octets, of a ``Crypto-Key`` header; other parameters are ignored.

    Raises:
        InvalidInput: not exactly one ``dh`` of 65 octets.
    """
    return b64_decode(_only(value, "dh", "Crypto-Key"), field="dh", length=POINT_BYTES)


def header_parameters(value: str, name: str) -> Iterator[str]:
    """What ``name`` is in an ``Encryption`` or ``Crypto-Key`` header, each time it stands there.

    Commas and semicolons both count as what stands between parameters: senders differ.
    """
    for part in value.replace(",", ";").split(";"):
        found, _, text = part.partition("=")
        if found.strip().lower() == name:
            yield text.strip().strip('"')


def _only(value: str, name: str, header: str) -> str:
    if len(value) > HEADER_CHARACTERS_MAX:
        raise InvalidInput(f"{header} header is over {HEADER_CHARACTERS_MAX} characters.", field=header)
    values = list(header_parameters(value, name))
    if len(values) != 1:
        raise InvalidInput(f"{header} header must have exactly one {name}.", field=header)
    return values[0]
