"""The site's word for who is looking at the page.

The site's own server, which knows who is logged in, signs ``{"sub": external id, "exp": epoch seconds, "iat": epoch
seconds}`` and puts the token into the page. There are two forms: ours, which any language makes in three lines,
``v1.<base64url JSON>.<base64url HMAC-SHA-256>`` with the project's identity secret (the HMAC is over everything before
the last dot), and JSON Web Tokens (:mod:`pushkeep.domain.identity_jwt`). Without such a token, or an API key, a
registration is anonymous: otherwise any visitor could collect another person's messages by naming them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass

from pushkeep.domain.subscription import check_external_id
from pushkeep.errors import InvalidInput, InvalidToken
from pushkeep.protocol.encoding import b64_decode, b64url_encode

LIFETIME_SECONDS_MAX = 7 * 86_400
"""A page renders a new token each time; a week covers a tab left open over a holiday."""

AHEAD_SECONDS_MAX = 60.0
"""How far the clock of whoever issues tokens may be ahead of ours."""

TOKEN_CHARACTERS_MAX = 4096
"""An external id of 200 characters makes a token of about 1,200 at most; the rest is room for claims of others."""

_VERSION = "v1"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is logged in, as the site says.

    Attributes:
        external_id: the contact, by the site's own id.
        issued_at: epoch seconds at which the site said so; None where the token does not tell. Without it a token can
            give an owner and move it, but not undo a log-out: nobody knows which came first.
    """

    external_id: str
    issued_at: float | None = None


def sign_identity(secret: bytes, *, external_id: str, expires_at: float, issued_at: float | None = None) -> str:
    """Make a token for a contact, in our own form.

    Args:
        secret: the project's identity secret.
        external_id: the contact, by the site's own id.
        expires_at: epoch seconds.
        issued_at: epoch seconds: now. Left out, the token cannot log in a browser that has been logged out.

    Raises:
        InvalidInput: the external id is empty, too long or has control characters.
    """
    claims: dict[str, object] = {"sub": check_external_id(external_id), "exp": int(expires_at)}
    if issued_at is not None:
        claims["iat"] = int(issued_at)
    signed = f"{_VERSION}.{b64url_encode(json.dumps(claims, separators=(',', ':')).encode())}"
    return f"{signed}.{_tag(secret, signed)}"


def verify_identity(secret: bytes, token: object, *, now: float) -> Identity:
    """Verify a token of our own form.

    Raises:
        InvalidToken: ``malformed``, ``bad_signature``, or as :func:`read_claims` says.
    """
    text = check_text(token)
    signed, _, tag = text.rpartition(".")
    if not hmac.compare_digest(tag, _tag(secret, signed)):
        raise InvalidToken(
            "identity is not signed with this project's identity secret.",
            reason="bad_signature",
            field="identity",
        )
    version, _, payload = signed.partition(".")
    if version != _VERSION:
        raise malformed(f"identity must begin with {_VERSION}.")
    return read_claims(read_json(payload, part="middle part"), now=now)


def check_text(token: object) -> str:
    """A token as text that is not too long.

    Raises:
        InvalidToken: ``malformed``.
    """
    if not isinstance(token, str) or len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        raise malformed(f"identity must be a token of at most {TOKEN_CHARACTERS_MAX} ASCII characters.")
    return token


def read_json(text: str, *, part: str) -> Mapping[str, object]:
    """The JSON object in a part of a token.

    Raises:
        InvalidToken: ``malformed``: not base64url, not JSON, or another kind of JSON.
    """
    try:
        found: object = json.loads(b64_decode(text, field="identity"))
    except (InvalidInput, ValueError, RecursionError):
        raise malformed(f"identity's {part} must be base64url of JSON.") from None
    if not isinstance(found, dict):
        raise malformed(f"identity's {part} must be a JSON object.")
    return found


def read_claims(claims: Mapping[str, object], *, now: float) -> Identity:
    """Whom a token is about, and whether it is valid now; its signature has been verified.

    Raises:
        InvalidToken: ``malformed`` (no proper ``sub`` or ``exp``), ``expired``, ``expires_too_late`` (over 7 days
            ahead), or ``not_yet_valid`` (``iat`` or ``nbf`` is over a minute ahead).
    """
    _check_expiry(_moment(claims, "exp"), now)
    issued_at = _moment(claims, "iat") if "iat" in claims else None
    not_before = _moment(claims, "nbf") if "nbf" in claims else None
    if max(issued_at or 0.0, not_before or 0.0) > now + AHEAD_SECONDS_MAX:
        raise InvalidToken(
            "identity is not valid yet (iat or nbf is ahead of this server's clock); check both clocks.",
            reason="not_yet_valid",
            field="identity",
        )
    try:
        return Identity(check_external_id(claims.get("sub"), field="identity's sub"), issued_at)
    except InvalidInput as error:
        raise malformed(error.message) from None


def malformed(message: str) -> InvalidToken:
    """The error for a token that is none."""
    return InvalidToken(message, reason="malformed", field="identity")


def _moment(claims: Mapping[str, object], name: str) -> float:
    value = claims.get(name)
    # The range also refuses infinities, which JSON readers hand out for 1e999, and integers no float can hold.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise malformed(f"identity must have {name}, a time in epoch seconds.")
    return float(value)


def _check_expiry(expires_at: float, now: float) -> None:
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
