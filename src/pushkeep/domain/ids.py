"""The names records go by: a UUIDv7 for programs, eight characters for people.

Time and randomness are arguments, so a record's names are reproducible in tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from pushkeep.errors import InvalidInput

SHORT_ID_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz"
"""No 0, O or o, and no I or l beside 1: what is read aloud or copied from paper arrives as it left."""

SHORT_ID_CHARACTERS = 8
"""57 to the power of 8 is 1.1e14: among a million subscriptions of a project a new one collides once in 1e8."""

SHORT_ID_RANDOM_BYTES = 16
"""128 bits reduced to 47: no character is visibly more likely than another."""

UUID7_RANDOM_BYTES = 10

_SHORT_ID = re.compile(f"[{SHORT_ID_ALPHABET}]{{{SHORT_ID_CHARACTERS}}}")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


def uuid7(now: float, random: bytes) -> UUID:
    """Make a version 7 UUID (RFC 9562 section 5.7).

    Args:
        now: seconds since the epoch; the milliseconds lead, so ids sort by age.
        random: 10 octets, of which 74 bits are used.
    """
    if len(random) != UUID7_RANDOM_BYTES:
        raise ValueError(f"uuid7 needs {UUID7_RANDOM_BYTES} random octets")
    value = (int(now * 1000) & (2**48 - 1)) << 80 | int.from_bytes(random, "big")
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)  # variant


def short_id(random: bytes) -> str:
    """Make a short id from 16 random octets."""
    if len(random) != SHORT_ID_RANDOM_BYTES:
        raise ValueError(f"short_id needs {SHORT_ID_RANDOM_BYTES} random octets")
    number = int.from_bytes(random, "big")
    characters = []
    for _ in range(SHORT_ID_CHARACTERS):
        number, digit = divmod(number, len(SHORT_ID_ALPHABET))
        characters.append(SHORT_ID_ALPHABET[digit])
    return "".join(characters)


def check_uuid(text: object, *, field: str = "id", what: str = "a UUID") -> str:
    """A UUID in its canonical lower-case form.

    Args:
        text: with hyphens, in any case.
        field: names the input.
        what: names what is wanted, for the error.

    Raises:
        InvalidInput: it is none.
    """
    if not isinstance(text, str) or not _UUID.fullmatch(text):
        raise InvalidInput(f"{field} must be {what}, as it was returned.", field=field)
    return text.lower()


@dataclass(frozen=True, slots=True)
class AnyId:
    """An id as a caller gave it: exactly one of the two is set.

    Attributes:
        public_id: the UUID in its canonical lower-case form.
        short_id: the eight characters.
    """

    public_id: str | None
    short_id: str | None

    @classmethod
    def parse(cls, text: object, *, field: str = "id") -> AnyId:
        """Read either form.

        Raises:
            InvalidInput: neither a UUID with hyphens nor a short id.
        """
        if isinstance(text, str):
            if _SHORT_ID.fullmatch(text):
                return cls(None, text)
            if _UUID.fullmatch(text):
                return cls(text.lower(), None)
        raise InvalidInput(f"{field} must be a subscription's short id (like HMV192av) or its UUID.", field=field)

    def __str__(self) -> str:
        return self.public_id or self.short_id or ""
