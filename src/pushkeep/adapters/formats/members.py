"""Reading an object's members strictly: each is of its type, within its limits, and none is left over."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from pushkeep.errors import InvalidInput
from pushkeep.protocol.encoding import b64_decode

E = TypeVar("E", bound=Enum)

WHOLE_MAX = 2**63 - 1
"""What a database holds as a whole number."""

SECONDS_MAX = 253_402_300_800.0
"""The end of the year 9999: what dates can be made of."""

_ABSENT = object()


class Members:
    """The members of a JSON object; a member that is null is one that is absent.

    Args:
        value: the object.
        field: what it is called in errors; nothing for a whole line.

    Raises:
        InvalidInput: by every method, ``field`` names the member.
    """

    def __init__(self, value: object, field: str = "") -> None:
        if not isinstance(value, dict):
            raise InvalidInput(f"{field or 'the line'} must be a JSON object.", field=field or None)
        self._left = {name: item for name, item in value.items() if item is not None}
        self._field = f"{field}." if field else ""

    def end(self) -> None:
        """Say that all have been read."""
        for name in self._left:
            shown = name[:40] if name.isprintable() else "a member with control characters"
            raise self._wrong(shown, "is not known to this version")

    def text(self, name: str, characters_max: int) -> str:
        """A string of 1 to so many characters that can be written again."""
        value = self._take(name)
        if not isinstance(value, str) or not 0 < len(value) <= characters_max or not _is_whole(value):
            raise self._wrong(name, f"must be a string of 1 to {characters_max} characters")
        return value

    def text_or_none(self, name: str, characters_max: int) -> str | None:
        """:meth:`text`, or None where it is absent."""
        return self.text(name, characters_max) if name in self._left else None

    def any_text_or_none(self, name: str, characters_max: int) -> str | None:
        """:meth:`text_or_none`, which may be empty."""
        return "" if self._left.get(name) == "" and self._take(name) == "" else self.text_or_none(name, characters_max)

    def whole(self, name: str, low: int = 0, high: int = WHOLE_MAX, default: int | None = None) -> int:
        """A whole number within limits."""
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._wrong(name, f"must be a whole number from {low} to {high}")
        return value

    def whole_or_none(self, name: str, low: int = 0, high: int = WHOLE_MAX) -> int | None:
        """:meth:`whole`, or None where it is absent."""
        return self.whole(name, low, high) if name in self._left else None

    def time(self, name: str) -> float:
        """Epoch seconds."""
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < SECONDS_MAX:
            raise self._wrong(name, "must be seconds since 1970")
        return float(value)

    def time_or_none(self, name: str) -> float | None:
        """:meth:`time`, or None where it is absent."""
        return self.time(name) if name in self._left else None

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "must be true or false")
        return value

    def choice(self, name: str, kinds: type[E]) -> E:
        """One of a closed list of words."""
        value = self._take(name)
        try:
            return kinds(value)
        except ValueError:
            words = ", ".join(str(kind.value) for kind in kinds)
            raise self._wrong(name, f"must be one of {words}") from None

    def choice_or_none(self, name: str, kinds: type[E]) -> E | None:
        """:meth:`choice`, or None where it is absent."""
        return self.choice(name, kinds) if name in self._left else None

    def octets(self, name: str, length: int) -> bytes:
        """Unpadded base64url of so many octets."""
        return b64_decode(self._take(name), field=self._field + name, length=length)

    def octets_or_none(self, name: str, length: int) -> bytes | None:
        """:meth:`octets`, or None where it is absent."""
        return self.octets(name, length) if name in self._left else None

    def listed(self, name: str, most: int) -> list[object]:
        """A list of at most so many; empty where it is absent."""
        value = self._take(name, [])
        if not isinstance(value, list) or len(value) > most:
            raise self._wrong(name, f"must be a list of at most {most}")
        return value

    def texts(self, name: str, most: int, characters_max: int) -> list[str]:
        """A list of different strings; empty where it is absent."""
        listed = self.listed(name, most)
        found = [value for value in listed if isinstance(value, str) and _is_whole(value)]
        if len(set(found)) != len(listed) or not all(0 < len(value) <= characters_max for value in found):
            raise self._wrong(name, f"must be a list of different strings of 1 to {characters_max} characters")
        return found

    def object_or_none(self, name: str) -> Mapping[str, object] | None:
        """An object as it is, or None where it is absent."""
        value = self._take(name, None)
        if value is not None and not isinstance(value, dict):
            raise self._wrong(name, "must be a JSON object")
        return value

    def _take(self, name: str, default: object = _ABSENT) -> object:
        value = self._left.pop(name, default)
        if value is _ABSENT:
            raise self._wrong(name, "is missing")
        return value

    def _wrong(self, name: str, words: str) -> InvalidInput:
        return InvalidInput(f"{self._field}{name} {words}.", field=self._field + name)


def _is_whole(text: str) -> bool:
    """Whether it can be written as UTF-8: JSON can name half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
