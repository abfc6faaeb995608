"""What a visitor's worker can do beyond the least, as its browser says when it registers."""

from __future__ import annotations

from collections.abc import Sequence

DEFLATE = "deflate"
"""It reads a compressed payload."""

ABILITIES = frozenset({DEFLATE})
"""All that matter here; others are of a newer SDK than this server, and are left out."""

ABILITIES_MAX = 16
ABILITY_CHARACTERS_MAX = 32
"""Names of a few, as the SDK has them."""


def known_abilities(names: Sequence[str]) -> frozenset[str]:
    """Those of ``names`` that matter here."""
    return ABILITIES.intersection(names)


def write_abilities(abilities: frozenset[str]) -> str:
    """As they are stored: separated by blanks."""
    return " ".join(sorted(abilities))


def read_abilities(text: str) -> frozenset[str]:
    """Undo :func:`write_abilities`."""
    return frozenset(text.split())
