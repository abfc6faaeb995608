"""Reading a query string: every parameter known, given once, and a number where one is wanted."""

from __future__ import annotations

from collections.abc import Collection

from pushkeep.errors import InvalidInput
from pushkeep.web.exchange import HttpRequest

_DIGITS_MAX = 16
"""Of 2^53 - 1, the largest whole number that JSON readers agree about."""


def read_query(request: HttpRequest, *names: str) -> dict[str, str]:
    """The query's parameters.

    Args:
        request: whose query.
        names: those it may have.

    Raises:
        InvalidInput: another one, or one twice.
    """
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in names or name in found:
            raise InvalidInput(_allowed(names), field="query")
        found[name] = value
    return found


def read_whole(given: dict[str, str], name: str, *, default: int, low: int, high: int) -> int:
    """A parameter that is a whole number.

    Raises:
        InvalidInput: it is none, or outside its range.
    """
    text = given.get(name, str(default))
    if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX and low <= int(text) <= high:
        return int(text)
    raise InvalidInput(f"{name} must be a whole number from {low} to {high}.", field=name)


def read_flag(given: dict[str, str], name: str) -> bool:
    """A parameter that is ``true`` or ``false``; false where it is not given.

    Raises:
        InvalidInput: it is neither.
    """
    text = given.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidInput(f"{name} must be true or false.", field=name)
    return text == "true"


def _allowed(names: Collection[str]) -> str:
    if not names:
        return "This route takes no query; an API key belongs in the Authorization header."
    return f"The query may have {', '.join(sorted(names))}, each once; an API key belongs in the Authorization header."
