"""Identity tokens as JSON Web Tokens (RFC 7519), for sites that have a library or a provider for them.

HS256 is verified with the project's identity secret, ES256, RS256 and EdDSA with the public keys that the operator has
configured; nothing else is. A token's ``alg`` only says which of these keys to try (RFC 8725 sections 3.1 and 3.2).
Of its claims ``sub`` and ``exp`` are needed, ``iat``, ``nbf`` and ``aud`` are heeded, others are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping

import jwt

from pushkeep.domain.identity import Identity, check_text, malformed, read_claims, read_json
from pushkeep.domain.identity_keys import Algorithm, IdentityRules, PublicKey
from pushkeep.errors import InvalidToken

_JWS = jwt.PyJWS()


def verify_jwt(secret: bytes, rules: IdentityRules, token: object, *, now: float) -> Identity:
    """Verify a token.

    Args:
        secret: the project's identity secret.
        rules: the operator's keys and audience.
        token: as the page sent it.
        now: epoch seconds.

    Raises:
        InvalidToken: ``malformed``; ``algorithm``, signed in a way that no key here is for; ``bad_signature``;
            ``wrong_audience``; or as :func:`pushkeep.domain.identity.read_claims` says.
    """
    text = check_text(token)
    parts = text.split(".")
    if len(parts) != 3:
        raise malformed("identity must be a JSON Web Token of three parts.")
    header = read_json(parts[0], part="header")
    if "crit" in header or "b64" in header:  # RFC 7515 section 4.1.11: what must be understood and is not
        raise malformed("identity's header has an extension (crit) that is not understood here.")
    algorithm, candidates = _candidates(secret, rules, header)
    if not any(_holds(text, key, algorithm) for key in candidates):
        raise InvalidToken(
            "identity is not signed with a key of this project.", reason="bad_signature", field="identity"
        )
    claims = read_json(parts[1], part="middle part")
    _check_audience(claims, rules.audience)
    return read_claims(claims, now=now)


def _candidates(
    secret: bytes, rules: IdentityRules, header: Mapping[str, object]
) -> tuple[Algorithm, tuple[PublicKey | bytes, ...]]:
    """The keys a token may have been signed with: those of its algorithm, and of its key's name if both have one."""
    wanted, name = header.get("alg"), header.get("kid")
    if wanted == Algorithm.HS256:
        return Algorithm.HS256, (secret,)
    keys = tuple(key for key in rules.keys if key.algorithm == wanted)
    if not keys:
        raise InvalidToken(
            "identity is signed with an algorithm that no key here is for; sign with HS256 and the identity secret, or "
            "with a key whose public half is in identity_keys_file.",
            reason="algorithm",
            field="identity",
        )
    return keys[0].algorithm, tuple(key.key for key in keys if None in (name, key.name) or key.name == name)


def _holds(text: str, key: PublicKey | bytes, algorithm: Algorithm) -> bool:
    try:
        _JWS.decode(text, key, algorithms=[algorithm.value])
    except jwt.PyJWTError:
        return False
    return True


def _check_audience(claims: Mapping[str, object], audience: str | None) -> None:
    """RFC 7519 section 4.1.3: a token for somebody else must be refused."""
    named = claims.get("aud", [])
    named = [named] if isinstance(named, str) else named
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
        raise malformed("identity's aud must be a text or a list of texts.")
    if audience not in named if audience is not None else named:
        raise InvalidToken(
            "identity is meant for another audience (aud) than this server's identity_audience.",
            reason="wrong_audience",
            field="identity",
        )
