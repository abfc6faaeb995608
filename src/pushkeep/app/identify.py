"""Which kind of identity token a page has sent, and whom it names."""

from __future__ import annotations

from pushkeep.domain.identity import Identity, verify_identity
from pushkeep.domain.identity_jwt import verify_jwt
from pushkeep.domain.identity_keys import IdentityRules

_JWT_PREFIX = "ey"
"""How base64url of a JSON object begins, and with it every JSON Web Token; ours begin with their version."""


def identify(secret: bytes, token: str, rules: IdentityRules, *, now: float) -> Identity:
    """Verify an identity token of either kind.

    Args:
        secret: the project's identity secret.
        token: as the page sent it.
        rules: the operator's keys and audience for JSON Web Tokens.
        now: epoch seconds.

    Raises:
        InvalidToken: it does not hold; ``reason`` says why.
    """
    if token.startswith(_JWT_PREFIX):
        return verify_jwt(secret, rules, token, now=now)
    return verify_identity(secret, token, now=now)
