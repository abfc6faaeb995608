"""Finds secrets in text, in whatever form they were written.

Every secret becomes *grams*: pieces of 16 characters of it as base64url, base64, hexadecimal, a Python literal or a
number. A text is looked through once, whatever the number of secrets: each window of 16 characters is one look into a
dictionary. A piece of 16 is enough to be sure, and two pieces of each form survive a line break in between.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

GRAM_CHARACTERS = 16
"""96 random bits of base64, 64 of hexadecimal: chance finds none."""

CHARACTERS_DIFFERENT_MIN = 6
"""``AAAA…`` is the base64 of zeros, which tests have for keys and formats for padding."""

EXCERPT_CHARACTERS_MAX = 60
RUN_CHARACTERS_SHOWN = 8
"""Of the word with the secret: enough to tell ``https://`` from ``sk_…``, too little to be of use."""

_RUN = re.compile(rf"[!-~]{{{GRAM_CHARACTERS},}}")


@dataclass(frozen=True, slots=True)
class Found:
    """A secret in a text.

    Attributes:
        kind: of secret.
        before: what stands before it, to find the place; of the secret itself nothing is told again.
    """

    kind: str
    before: str


class Needles:
    """The secrets that are looked for."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._latest: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, kind: str, value: str | bytes) -> None:
        """Look for one more; one too short to be known from chance is left out."""
        for gram in grams_of_text(value) if isinstance(value, str) else grams_of_octets(value):
            if len(set(gram)) >= CHARACTERS_DIFFERENT_MIN:
                self._kinds.setdefault(gram, kind)
                self._latest.setdefault(gram, kind)

    def begin(self) -> None:
        """What is added from here on are the latest."""
        self._latest.clear()

    def find(self, text: str, *, latest: bool = False) -> Iterator[Found]:
        """Every place of a secret in a text, one for each that begins in a run of characters without a blank.

        Args:
            text: to be searched.
            latest: only for secrets that were added since :meth:`begin`.
        """
        kinds, size = self._latest if latest else self._kinds, GRAM_CHARACTERS
        for match in _RUN.finditer(text):
            run, told = match[0], set()
            for at in range(len(run) - size + 1):
                kind = kinds.get(run[at : at + size])
                if kind is not None and kind not in told:
                    told.add(kind)
                    start = match.start()
                    yield Found(kind, text[max(0, start - EXCERPT_CHARACTERS_MAX) : start + RUN_CHARACTERS_SHOWN])


def grams_of_text(text: str) -> Iterator[str]:
    """Of a secret that is text: its end, its middle where it is long, and both as they stand in a URL."""
    for form in {text, quote(text, safe="")}:
        pieces = [form[-GRAM_CHARACTERS:]] if len(form) >= GRAM_CHARACTERS else []
        if len(form) >= 3 * GRAM_CHARACTERS:
            pieces.append(form[len(form) // 2 :][:GRAM_CHARACTERS])
        # Words in small letters, such as the host of an endpoint within an endpoint, are nobody's secret.
        yield from [piece for piece in pieces if re.search("[A-Z0-9]", piece)]


def grams_of_octets(octets: bytes) -> Iterator[str]:
    """Of a secret of 16 octets or more: in base64 wherever it begins in the encoded whole, and in other forms."""
    for shift in range(3):
        # The first and last characters of the encoding depend on the neighbours.
        pure = b64encode(bytes(shift) + octets).decode().rstrip("=")[(0, 2, 3)[shift] : -1]
        for part in {pure[:GRAM_CHARACTERS], pure[-GRAM_CHARACTERS:]}:
            yield part
            yield part.translate(str.maketrans("+/", "-_"))
    for text in (octets.hex(), octets.hex().upper(), repr(octets)[2:-1], str(int.from_bytes(octets, "big"))):
        pieces = [text[at : at + GRAM_CHARACTERS] for at in range(0, len(text) - GRAM_CHARACTERS + 1, GRAM_CHARACTERS)]
        yield from [piece for piece in pieces if " " not in piece][:2]
