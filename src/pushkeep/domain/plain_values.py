"""Checks of plain values that visitors will see or open: texts, URLs, flags, JSON. Each names the field it refuses."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Mapping

from pushkeep.errors import InvalidInput
from pushkeep.protocol.payload import JsonValue

URL_CHARACTERS_MAX = 1024
"""One URL must leave room for the rest in 3,993 octets."""

DATA_DEPTH_MAX = 16
"""Real data is flat; deep nesting is an attack on whatever parses it."""

DATA_VALUES_MAX = 10_000
"""A message of less than 4,000 octets has room for 2,000. One that browsers fetch, of 64 KB, could have 30,000; nobody
needs as many, and each is looked at, copied and written while other requests wait."""

_TEXT_CONTROLS = frozenset("\n\t")
# Line breaks are meant. Other control characters, halves of a surrogate pair, forced directions, private and forbidden
# code points are accidents or tricks. What joins, spaces and directs is part of languages (Persian's U+200C, French's
# U+00A0, Japanese's U+3000, families of emoji), and what Python's tables do not know yet may be a new emoji.
_NEVER_SHOWN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202d\u202e\u206a-\u206f\ud800-\uf8ff\ufdd0-\ufdef\ufeff\ufff9-\ufffb"
    r"\ufffe\uffff\U000f0000-\U0010ffff]"
)
_BLANK = frozenset({"Zs", "Cf", "Cc"})


def check_text(value: object, name: str, characters_max: int, *, empty: bool = True) -> str:
    """A text that may be shown, of several lines perhaps.

    Raises:
        InvalidInput: not a string, too long, blank where ``empty`` is false, or with a character that is never shown.
    """
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be a string.", field=name)
    wrong = _NEVER_SHOWN.search(value)
    if wrong:
        raise InvalidInput(
            f"{name} has a character that cannot be displayed (U+{ord(wrong[0]):04X}); remove it.", field=name
        )
    if len(value) > characters_max:
        raise InvalidInput(f"{name} has {len(value)} characters; the limit is {characters_max}.", field=name)
    if not empty and all(unicodedata.category(character) in _BLANK for character in value):
        raise InvalidInput(f"{name} must not be empty.", field=name)
    return value


def check_line(value: object, name: str, characters_max: int) -> str:
    """A text of one line that is not blank.

    Raises:
        InvalidInput: as :func:`check_text`, or a line break or tab.
    """
    text = check_text(value, name, characters_max, empty=False)
    if not _TEXT_CONTROLS.isdisjoint(text):
        raise InvalidInput(f"{name} must be one line without tabs.", field=name)
    return text


def check_flag(value: object, name: str) -> bool:
    """True or false.

    Raises:
        InvalidInput: anything else.
    """
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} must be true or false.", field=name)
    return value


def check_url_text(value: object, name: str) -> str | None:
    """What can be a URL, relative or not; where it leads is checked where the site is known.

    Raises:
        InvalidInput: not a string of 1 to 1,024 characters that stand in URLs.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not value or len(value) > URL_CHARACTERS_MAX:
        raise InvalidInput(f"{name} must be a URL of 1 to {URL_CHARACTERS_MAX} characters.", field=name)
    if not all(character >= "!" and character.isprintable() for character in value) or "\\" in value:
        raise InvalidInput(f"{name} has a character that cannot stand in a URL.", field=name)
    return value


def check_json(value: object, name: str) -> JsonValue:
    """Check that a value is JSON, and copy it.

    Raises:
        InvalidInput: it is not, it is nested more than 16 deep, or it is made of more than 10,000 values.
    """
    return _copy_json(value, name, 0, itertools.count(1))


def _copy_json(value: object, name: str, depth: int, numbers: Iterator[int]) -> JsonValue:
    if depth > DATA_DEPTH_MAX:
        raise InvalidInput(f"{name} is nested more than {DATA_DEPTH_MAX} deep.", field=name)
    if next(numbers) > DATA_VALUES_MAX:
        raise InvalidInput(
            f"{name} is made of more than {DATA_VALUES_MAX} values (each object, list, string, number, true, false and "
            "null is one); send less, or the address of the rest.",
            field=name,
        )
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _whole(value, name)
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        return value
    if isinstance(value, list | tuple):
        return [_copy_json(item, name, depth + 1, numbers) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {_whole(key, name): _copy_json(item, name, depth + 1, numbers) for key, item in value.items()}
    raise InvalidInput(f"{name} must be JSON: objects, lists, strings, finite numbers, true, false, null.", field=name)


def _whole(text: str, name: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{name} has half a surrogate pair in a string.", field=name) from None
    return text
