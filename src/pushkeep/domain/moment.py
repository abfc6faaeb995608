"""Points in time as people and programs write them: RFC 3339, always with an offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

from pushkeep.errors import InvalidInput

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_FRACTION = re.compile(r"\.(\d{1,9})")
_MICROSECOND_DIGITS = 6


def parse_moment(text: object, *, field: str) -> float:
    """Epoch seconds of a time such as ``2027-01-31T08:00:00Z`` or ``2027-01-31T09:00:00+01:00``.

    A time without an offset is refused: nobody could tell whose morning it means. So is a leap second.

    Raises:
        InvalidInput: it is none; ``field`` names it.
    """
    if isinstance(text, str) and _RFC3339.fullmatch(text):
        # datetime takes microseconds and no more
        cut = _FRACTION.sub(lambda digits: "." + digits[1][:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0"), text)
        try:
            return datetime.fromisoformat(cut.upper()).timestamp()
        except (ValueError, OverflowError):
            pass  # the 31st of February, the hour 25
    raise InvalidInput(f"{field} must be a time with its offset, such as 2027-01-31T08:00:00Z (RFC 3339).", field=field)


def write_moment(seconds: float, *, precision: Literal["seconds", "milliseconds"] = "seconds") -> str:
    """A time in UTC, to the second: ``2027-01-31T08:00:00Z``; or to the millisecond, for what is to be compared."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
