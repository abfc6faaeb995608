"""Tokens are made once for each push service and used for hours.

Signing each message would double the curve work and trip Apple, which asks for at most one new token an hour. The
cache is keyed by key, origin *and* contact: keyed by less, two projects would send each other's tokens.
"""

from __future__ import annotations

from collections import OrderedDict

from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.vapid import TOKEN_LIFETIME_SECONDS_MAX, authorization_header, sign

TOKEN_LIFETIME_SECONDS = 12 * 3600
"""Half the legal maximum, so that a clock hours off still makes valid tokens."""

ENTRIES_MAX = 10_000
"""Origins come from strangers; at about 600 octets an entry this bounds the cache to a few megabytes."""


class TokenCache:
    """Hands out ``Authorization`` headers, each renewed at half its life.

    Args:
        lifetime_seconds: life of a token, up to 24 hours.
        entries_max: how many are kept; the least recently used goes first.
    """

    def __init__(self, *, lifetime_seconds: int = TOKEN_LIFETIME_SECONDS, entries_max: int = ENTRIES_MAX) -> None:
        if not 0 < lifetime_seconds <= TOKEN_LIFETIME_SECONDS_MAX:
            raise ValueError(f"lifetime_seconds must be 1 to {TOKEN_LIFETIME_SECONDS_MAX}")
        self._lifetime = lifetime_seconds
        self._entries_max = entries_max
        self._entries: OrderedDict[tuple[str, str, str | None], tuple[int, str]] = OrderedDict()

    def header(self, key: SigningKey, *, origin: str, contact: str | None, now: float) -> str:
        """The header to send at ``now`` to ``origin``; a new token is signed when the kept one is past half its life.

        A kept token from the future (the clock was set back) is replaced too: its life would exceed 24 hours.
        """
        index = (key.key_id, origin, contact)
        kept = self._entries.get(index)
        if kept is not None:
            remaining = kept[0] - now
            if self._lifetime / 2 < remaining <= self._lifetime:
                self._entries.move_to_end(index)
                return kept[1]
        expires_at = int(now) + self._lifetime
        value = authorization_header(sign(key, audience=origin, contact=contact, expires_at=expires_at), key)
        self._entries[index] = (expires_at, value)
        self._entries.move_to_end(index)
        while len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)
        return value

    def __len__(self) -> int:
        return len(self._entries)
