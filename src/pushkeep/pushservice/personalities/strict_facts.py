"""A request to a push resource, read as far as the strict service's rules want to know it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pushkeep.errors import InvalidInput
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.vendors import VENDORS
from pushkeep.pushservice.http.message import Request
from pushkeep.pushservice.personalities.routes import Route

SEALED_HEADER_BYTES = 86
"""Salt, record size, and the sender's key with its length (RFC 8188 section 2.1)."""

_DIGITS = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True)
class Facts:
    """A request as the rules see it.

    Attributes:
        route: where it leads: the vendor, and the origin that the sender addressed.
        now: epoch seconds.
    """

    request: Request
    route: Route
    now: float

    @property
    def vendor(self) -> str:
        """Who answers."""
        return self.route.vendor

    @property
    def origin(self) -> str:
        """The ``aud`` that the token should have."""
        return self.route.origin

    @property
    def ttl_seconds_max(self) -> int | None:
        """The vendor's limit, where it has documented one."""
        return VENDORS[self.vendor].ttl_seconds_max

    @cached_property
    def fields(self) -> Mapping[str, list[str]]:
        """Every value of each header field."""
        found: dict[str, list[str]] = {}
        for name, value in self.request.headers:
            found.setdefault(name, []).append(value.strip())
        return found

    def value(self, name: str) -> str | None:
        """The first value of a header field."""
        values = self.fields.get(name)
        return values[0] if values else None

    @property
    def body(self) -> bytes:
        """The body, still sealed."""
        return self.request.body

    @cached_property
    def ttl(self) -> int | None:
        """In seconds; None where it is missing or no whole number."""
        text = self.value("ttl") or ""
        return int(text) if _DIGITS.fullmatch(text) else None

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """Of the Authorization header of the scheme vapid: usually ``t`` and ``k``."""
        scheme, _, rest = (self.value("authorization") or "").partition(" ")
        pairs = (part.strip().partition("=") for part in rest.split(",")) if scheme.lower() == "vapid" else ()
        return {name: value.strip('"') for name, _, value in pairs}

    @cached_property
    def claims(self) -> Mapping[str, object] | None:
        """The token's, not verified; None where they cannot be read, which the vendor's own check says."""
        try:
            claims = json.loads(b64_decode(self.parameters["t"].split(".")[1], field="t"))
        except (KeyError, IndexError, InvalidInput, ValueError, RecursionError):
            return None
        return claims if isinstance(claims, dict) else None

    def claim(self, name: str) -> object:
        """One claim; None where there is none."""
        return None if self.claims is None else self.claims.get(name)

    @property
    def expires_in(self) -> float | None:
        """Seconds until ``exp``, which may have a fraction (RFC 7519 section 2); None where it is no number."""
        exp = self.claim("exp")
        if not isinstance(exp, int | float) or isinstance(exp, bool):
            return None
        return exp - self.now if abs(exp) < 2**53 else None

    @property
    def as_public(self) -> bytes:
        """The sender's key in an aes128gcm body."""
        return self.body[21:SEALED_HEADER_BYTES]

    @property
    def is_sealed(self) -> bool:
        """Whether there is a body that says to be aes128gcm and has room for its header."""
        return self.value("content-encoding") == "aes128gcm" and len(self.body) >= SEALED_HEADER_BYTES

    @property
    def is_legacy(self) -> bool:
        """Whether the content is said to be of one of the drafts before aes128gcm."""
        return self.value("content-encoding") in ("aesgcm", "aesgcm128")
