"""The browser's own credential for its subscription.

``st_<public id>.<tag>``, the tag being HMAC-SHA-256 over project and subscription id. It is computed, not stored:
two tabs that register at once get the same one, and there is nothing to steal from the database. It authorises its
holder to delete or replace this one subscription, so that an endpoint never has to stand in a URL.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from pushkeep.errors import InvalidToken
from pushkeep.protocol.encoding import b64url_encode

TOKEN_CHARACTERS_MAX = 83
"""Three, 36 of a UUID, a dot and 43 of the tag."""

_TOKEN = re.compile(r"st_([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\.([A-Za-z0-9_-]{43})")


def make_sync_token(secret: bytes, *, project_public_id: str, public_id: str) -> str:
    """Make the token of one subscription.

    Args:
        secret: the project's sync secret, 32 octets.
        project_public_id: UUID text of the project.
        public_id: UUID text of the subscription.
    """
    return f"st_{public_id}.{_tag(secret, project_public_id, public_id)}"


def read_sync_token(secret: bytes, token: object, *, project_public_id: str, field: str) -> str:
    """Verify a token and return the subscription's public id.

    Raises:
        InvalidToken: ``malformed``, or ``bad_signature`` for another project's, a forged or a damaged one.
    """
    match = _TOKEN.fullmatch(token) if isinstance(token, str) else None
    if match is None:
        raise InvalidToken(
            f"{field} must be a sync token (st_…) as a registration returned it.",
            reason="malformed",
            field=field,
        )
    if not hmac.compare_digest(match[2], _tag(secret, project_public_id, match[1])):
        raise InvalidToken(f"{field} is not a sync token of this project.", reason="bad_signature", field=field)
    return match[1]


def _tag(secret: bytes, project_public_id: str, public_id: str) -> str:
    message = f"pushkeep sync 1\n{project_public_id}\n{public_id}".encode("ascii")
    return b64url_encode(hmac.new(secret, message, hashlib.sha256).digest())
