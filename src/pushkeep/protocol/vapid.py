"""VAPID, RFC 8292: the application server says who it is, with a token signed by its own key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from pushkeep.errors import InvalidInput, InvalidToken
from pushkeep.protocol.encoding import b64_decode, b64url_encode
from pushkeep.protocol.keys import POINT_BYTES, decode_point
from pushkeep.protocol.signing_key import SigningKey

TOKEN_LIFETIME_SECONDS_MAX = 86_400
"""A token must not expire more than 24 hours after the request (RFC 8292 section 2)."""

_AUTHORIZATION_CHARACTERS_MAX = 4096  # ours have about 400; the RFC asks to keep extra claims small
_EPOCH_SECONDS_MAX = 2**53  # where floats stop counting seconds; infinities and NaN are out too
_HEADER_B64 = b64url_encode(b'{"typ":"JWT","alg":"ES256"}')
_SIGNATURE_HASH = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says.

    Attributes:
        audience: the origin it was made for.
        expires_at: seconds since the epoch; an int unless the token writes it with a fraction or an exponent.
        contact: the ``sub`` claim, or None.
        public_bytes: the key that signed it, 65 octets.
    """

    audience: str
    expires_at: float
    contact: str | None
    public_bytes: bytes


def sign(key: SigningKey, *, audience: str, contact: str | None, expires_at: int) -> str:
    """Make a token for one push service.

    Args:
        key: signs, and is named beside the token.
        audience: the push service's origin, as :attr:`Endpoint.origin` has it.
        contact: a ``mailto:`` or ``https:`` URL checked by :func:`~pushkeep.protocol.contact.check_contact`.
        expires_at: seconds since the epoch, at most 24 hours ahead.

    Returns:
        a JWS in compact form, ES256 (RFC 8292 section 2).
    """
    claims: dict[str, object] = {"aud": audience, "exp": expires_at}
    if contact is not None:
        claims["sub"] = contact
    signed = f"{_HEADER_B64}.{b64url_encode(json.dumps(claims, separators=(',', ':')).encode())}"
    r, s = decode_dss_signature(key.private.sign(signed.encode(), _SIGNATURE_HASH))
    return f"{signed}.{b64url_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def authorization_header(token: str, key: SigningKey) -> str:
    """The ``Authorization`` header's value (RFC 8292 section 3)."""
    return f"vapid t={token}, k={key.public_b64}"


def draft_headers(authorization: str) -> tuple[str, bytes]:
    """Turn an ``Authorization`` header into the form of draft-ietf-webpush-vapid-01, which goes with ``aesgcm``.

    Returns:
        the header's new value, and the public key's 65 octets, which move to the ``Crypto-Key`` header.

    Raises:
        InvalidToken: as :func:`parse_authorization`.
    """
    token, public = parse_authorization(authorization)
    return f"WebPush {token}", public


def parse_authorization(header: str) -> tuple[str, bytes]:
    """Split an ``Authorization`` header into the token and the public key's 65 octets.

    Unknown parameters are ignored (RFC 8292 section 3).

    Raises:
        InvalidToken: ``malformed``, another scheme, a parameter missing or doubled; ``bad_key``, ``k`` is not a
            point on P-256.
    """
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() != "vapid" or len(header) > _AUTHORIZATION_CHARACTERS_MAX:
        raise _malformed("Authorization must be of the scheme vapid and under 4,096 characters")
    found: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or name in found:
            raise _malformed("Authorization must be a list of name=value, each name once")
        found[name] = value.strip('"')
    if "t" not in found or "k" not in found:
        raise _malformed("Authorization must have the parameters t and k")
    try:
        public = b64_decode(found["k"], field="k", length=POINT_BYTES)
        decode_point(public, field="k")
    except InvalidInput as error:
        raise InvalidToken(error.message, reason="bad_key", field="k") from None
    return found["t"], public


def verify(header: str, *, audience: str, now: float) -> Claims:
    """Verify an ``Authorization`` header as a push service does (RFC 8292 section 4.2).

    Args:
        header: the header's value.
        audience: the push service's own origin.
        now: seconds since the epoch.

    Raises:
        InvalidToken: ``reason`` is one of ``malformed``, ``bad_key``, ``bad_signature``, ``wrong_audience``,
            ``expired``, ``expires_too_late``.
    """
    token, public = parse_authorization(header)
    claims = _checked_claims(token, public)
    aud, exp, sub = claims.get("aud"), claims.get("exp"), claims.get("sub")
    # Compared before it is made a float: JSON holds integers that no float does.
    if isinstance(exp, bool) or not isinstance(exp, int | float) or not abs(exp) < _EPOCH_SECONDS_MAX:
        raise _malformed("exp must be a number")
    if sub is not None and not isinstance(sub, str):
        raise _malformed("sub must be a string")
    if aud != audience:
        raise InvalidToken("aud must be the origin of the push resource", reason="wrong_audience", field="aud")
    if exp <= now:
        raise InvalidToken("the token has expired", reason="expired", field="exp")
    if exp > now + TOKEN_LIFETIME_SECONDS_MAX:
        raise InvalidToken("exp is more than 24 hours ahead", reason="expires_too_late", field="exp")
    return Claims(audience, exp, sub, public)


def _checked_claims(token: str, public: bytes) -> Mapping[str, object]:
    """The claims of a token whose signature holds."""
    parts = token.split(".")
    if len(parts) != 3:
        raise _malformed("the token must have three parts")
    try:
        header: object = json.loads(b64_decode(parts[0], field="token header"))
        claims: object = json.loads(b64_decode(parts[1], field="token claims"))
        signature = b64_decode(parts[2], field="token signature", length=64)
    except (InvalidInput, ValueError, RecursionError):
        raise _malformed("the token's parts must be base64url of JSON, JSON and 64 octets") from None
    if not isinstance(header, dict) or header.get("alg") != "ES256" or not isinstance(claims, dict):
        raise _malformed("the token must be signed with ES256 and carry an object")
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        signed = f"{parts[0]}.{parts[1]}".encode()
        decode_point(public, field="k").verify(der, signed, _SIGNATURE_HASH)
    except InvalidSignature:
        raise InvalidToken("the token's signature does not match k", reason="bad_signature", field="t") from None
    return claims


def _malformed(message: str) -> InvalidToken:
    return InvalidToken(message, reason="malformed", field="authorization")
