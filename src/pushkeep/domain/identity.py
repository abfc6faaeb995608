"""The site's word for who is looking at the page.

The site's own server, which knows who is logged in, signs ``{"sub": external id, "exp": epoch seconds}`` with the
project's identity secret and puts the token into the page: ``v1.<base64url JSON>.<base64url HMAC-SHA-256>``. The
HMAC is over everything before the last dot. Without such a token, or an API key, a registration is anonymous:
otherwise any visitor could collect another person's messages by naming them.
"""

from __future__ import annotations

import hashlib
import hmac
import json

from pushkeep.domain.subscription import check_external_id
from pushkeep.errors import InvalidInput, InvalidToken
from pushkeep.protocol.encoding import b64_decode, b64url_encode

LIFETIME_SECONDS_MAX = 7 * 86_400
"""A page renders a new token each time; a week covers a tab left open over a holiday."""

TOKEN_CHARACTERS_MAX = 4096
"""An external id of 200 characters makes a token of about 1,200 at most; the rest is room for claims of others."""

_VERSION = "v1"


def sign_identity(secret: bytes, *, external_id: str, expires_at: float) -> str:
    """Make a token for a contact.

    Args:
        secret: the project's identity secret.
        external_id: the contact, by the site's own id.
        expires_at: epoch seconds.

    Raises:
        InvalidInput: the external id is empty, too long or has control characters.
    """
    claims = {"sub": check_external_id(external_id), "exp": int(expires_at)}
    signed = f"{_VERSION}.{b64url_encode(json.dumps(claims, separators=(',', ':')).encode())}"
    return f"{signed}.{_tag(secret, signed)}"


def verify_identity(secret: bytes, token: object, *, now: float) -> str:
    """Verify a token and return the contact's external id.

    Raises:
        InvalidToken: ``malformed``, ``bad_signature``, ``expired`` or ``expires_too_late`` (over 7 days ahead).
    """
    if not isinstance(token, str) or len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        raise _malformed(f"identity must be a token of at most {TOKEN_CHARACTERS_MAX} ASCII characters.")
    signed, _, tag = token.rpartition(".")
    if not hmac.compare_digest(tag, _tag(secret, signed)):
        raise InvalidToken(
            "identity is not signed with this project's identity secret.",
            reason="bad_signature",
            field="identity",
        )
    version, _, payload = signed.partition(".")
    if version != _VERSION:
        raise _malformed(f"identity must begin with {_VERSION}.")
    try:
        claims: object = json.loads(b64_decode(payload, field="identity"))
    except (InvalidInput, ValueError, RecursionError):
        raise _malformed("identity's middle part must be base64url of JSON.") from None
    if not isinstance(claims, dict):
        raise _malformed("identity's middle part must be a JSON object with sub and exp.")
    _check_expiry(claims.get("exp"), now)
    try:
        return check_external_id(claims.get("sub"), field="identity's sub")
    except InvalidInput as error:
        raise _malformed(error.message) from None


def _check_expiry(expires_at: object, now: float) -> None:
    # The range also refuses infinities, which JSON readers hand out for 1e999, and integers no float can hold.
    if isinstance(expires_at, bool) or not isinstance(expires_at, int | float) or not 0 <= expires_at < 2**53:
        raise _malformed("identity must have exp, a time in epoch seconds.")
    if expires_at <= now:
        raise InvalidToken(
            "identity has expired; the page must get a new one from the site.",
            reason="expired",
            field="identity",
        )
    if expires_at > now + LIFETIME_SECONDS_MAX:
        raise InvalidToken(
            f"identity's exp is more than {LIFETIME_SECONDS_MAX // 86_400} days ahead; sign shorter-lived ones.",
            reason="expires_too_late",
            field="identity",
        )


def _tag(secret: bytes, signed: str) -> str:
    return b64url_encode(hmac.new(secret, signed.encode("ascii"), hashlib.sha256).digest())


def _malformed(message: str) -> InvalidToken:
    return InvalidToken(message, reason="malformed", field="identity")
