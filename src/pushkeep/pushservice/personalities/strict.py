"""The strict service: the rules of :mod:`.strict_rules`, and the memory that some of them need."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Collection

from pushkeep.errors import InvalidInput
from pushkeep.protocol.payload import DECLARATIVE_MAGIC, parse_declarative
from pushkeep.pushservice.http.message import Response, text_response
from pushkeep.pushservice.personalities.strict_facts import Facts
from pushkeep.pushservice.personalities.strict_rules import (
    KEY_REUSED,
    PAYLOAD_BLANK,
    REQUEST_RULES,
    RULES,
    SALT_REUSED,
    TOKEN_REFRESHED,
    Rule,
)

REFRESH_SECONDS_MIN = 3600
"""Apple: do not refresh tokens more than once per hour."""

REMEMBERED_MAX = 50_000
"""So many salts, sender keys and tokens are compared, 10 MB of each kind; a generator that repeats itself does so
sooner."""

_SOME_SCOPE = "https://site.invalid/"  # the worker's is not known here, and a relative address is right in any


class StrictService:
    """Judges requests that the vendor itself would take, or refuse with fewer words.

    Args:
        excepted: names of rules that are left out.
        remembered_max: so many tokens, salts and keys are compared.

    Raises:
        InvalidInput: there is no such rule.
    """

    def __init__(self, excepted: Collection[str] = (), *, remembered_max: int = REMEMBERED_MAX) -> None:
        unknown = set(excepted) - {rule.name for rule in RULES}
        if unknown:
            raise InvalidInput(
                f"strict_except names {', '.join(sorted(unknown))}, which is no rule; docs/strict.md lists them.",
                field="strict_except",
            )
        self._excepted = frozenset(excepted)
        self._remembered_max = remembered_max
        self._tokens: OrderedDict[bytes, None] = OrderedDict()
        self._signed: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._salts: OrderedDict[bytes, bytes] = OrderedDict()
        self._keys: OrderedDict[bytes, bytes] = OrderedDict()

    def forget(self) -> None:
        """Take the sender of the next request for one not met before: there is nothing that it could repeat."""
        for seen in (self._tokens, self._signed, self._salts, self._keys):
            seen.clear()

    def objection(self, facts: Facts) -> Rule | None:
        """The first rule that the request breaks by itself."""
        broken = (rule for rule in REQUEST_RULES if rule.breaks is not None and rule.breaks(facts))
        return next((rule for rule in broken if rule.name not in self._excepted), None)

    def objection_to_repetition(self, facts: Facts) -> Rule | None:
        """The first rule that the request breaks together with earlier ones.

        To be asked once, of a request that is right otherwise: what it brings is remembered. The same body once more
        is a retry, and no repetition.
        """
        broken = (
            (TOKEN_REFRESHED, self._is_refreshed(facts)),
            (SALT_REUSED, facts.is_sealed and self._is_other(self._salts, facts.body[:16], facts.body)),
            (KEY_REUSED, facts.is_sealed and self._is_other(self._keys, facts.as_public, facts.body)),
        )
        return next((rule for rule, is_broken in broken if is_broken and rule.name not in self._excepted), None)

    def objection_to_payload(self, vendor: str, plaintext: bytes) -> Rule | None:
        """Whether Safari could show nothing for this payload, where a subscriber without a browser has opened it."""
        if vendor != "apple" or PAYLOAD_BLANK.name in self._excepted or not _is_blank(plaintext):
            return None
        return PAYLOAD_BLANK

    def _is_refreshed(self, facts: Facts) -> bool:
        token = facts.parameters.get("t")
        if token is None:
            return False
        owner = (facts.parameters.get("k", ""), facts.origin)
        digest = hashlib.sha256("\n".join((*owner, token)).encode()).digest()[:16]
        if digest in self._tokens:
            self._tokens.move_to_end(digest)
            return False  # also an older one: several workers of a sender keep one each
        since = self._signed.get(owner)
        # A token that is refused is known from now on, or one mistake would refuse all that follow.
        self._tokens[digest], self._signed[owner] = None, facts.now
        self._signed.move_to_end(owner)
        for seen in (self._tokens, self._signed):
            if len(seen) > self._remembered_max:
                seen.popitem(last=False)
        return since is not None and facts.now - since < REFRESH_SECONDS_MIN

    def _is_other(self, seen: OrderedDict[bytes, bytes], part: bytes, body: bytes) -> bool:
        """Whether ``part`` came with another body before; remembers it."""
        key, digest = hashlib.sha256(part).digest()[:16], hashlib.sha256(body).digest()[:16]
        known = seen.setdefault(key, digest)
        if len(seen) > self._remembered_max:
            seen.popitem(last=False)
        return known != digest


def refusal(rule: Rule) -> Response:
    """The answer to a request that breaks a rule, the same from every vendor."""
    text = f"strict: {rule.name}: {rule.says} ({rule.source})\n"
    return text_response(rule.status, text, {"x-pushkeep-rule": rule.name})


def _is_blank(plaintext: bytes) -> bool:
    """Nothing but white space, an empty JSON value, or a declarative message that browsers do not take for one."""
    if not plaintext.strip():
        return True
    try:
        content = json.loads(plaintext)
    except (ValueError, RecursionError):
        return False
    if content in (None, "", [], {}):
        return True
    is_meant = isinstance(content, dict) and content.get("web_push") == DECLARATIVE_MAGIC
    return is_meant and parse_declarative(plaintext, base=_SOME_SCOPE) is None
