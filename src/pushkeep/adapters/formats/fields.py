"""What a row's fields say, read alike for every format; each error names the field as the file calls it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pushkeep.adapters.formats.rows import Fields
from pushkeep.domain.subscription import check_external_id
from pushkeep.errors import InvalidInput
from pushkeep.protocol.subscription import Subscription

MILLISECONDS_FROM = 1e11
"""A number above it counts milliseconds: seconds reach it in the year 5138, milliseconds have in 1973."""

_AT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(?:Z|UTC|[+-]\d\d(?::?\d\d)?))?)?", re.IGNORECASE
)
_TRUE = frozenset({"1", "t", "true", "yes", "y"})
_FALSE = frozenset({"0", "f", "false", "no", "n"})
_LATEST = 253_402_300_799  # the last second of the year 9999


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the operator wants a file of another product to be read.

    Attributes:
        owner_columns: columns that together say whose a subscription is; None for those of the format.
        where: values that columns must have; other rows are left out.
    """

    owner_columns: tuple[str, ...] | None = None
    where: tuple[tuple[str, str], ...] = field(default=())


def text_of(fields: Fields, name: str) -> str | None:
    """A text; None where there is none. Numbers are taken for what they look like.

    Raises:
        InvalidInput: it is something else.
    """
    value = fields.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise InvalidInput(f"{name} must be a text or a whole number.", field=name)


def moment_of(fields: Fields, *names: str) -> float | None:
    """Epoch seconds of the first of these that is there; a time without an offset is UTC, as tables have it.

    Raises:
        InvalidInput: it is no time.
    """
    for name in names:
        value = fields.get(name)
        if value is not None and value != "":
            return _moment(value, name)
    return None


def flag_of(fields: Fields, name: str, default: bool) -> bool:
    """Yes or no, as databases write it.

    Raises:
        InvalidInput: it is neither.
    """
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise InvalidInput(f"{name} must be true or false.", field=name)


def owner_of(fields: Fields, wishes: Wishes, *usual: str) -> str | None:
    """Whose it is: the values of the columns, joined by colons; None where the only one, or the first, is empty.

    Args:
        fields: of the row.
        wishes: may name the columns.
        usual: the columns of the format, of which the first that is there is taken.

    Raises:
        InvalidInput: it cannot be a contact's id.
    """
    columns: Sequence[str] = wishes.owner_columns or [name for name in usual if name in fields][:1]
    values = [text_of(fields, name) for name in columns]
    if not values or all(value is None for value in values):
        return None
    if None in values:
        raise InvalidInput(f"{columns[values.index(None)]} is empty, and it says whose this is.", field=columns[0])
    return check_external_id(":".join(value for value in values if value is not None), field=columns[0])


def subscription_of(
    fields: Fields, *, endpoint: str, p256dh: str, auth: str, encoding: str | None = None
) -> Subscription:
    """A subscription whose parts are columns of these names.

    Raises:
        InvalidInput: as :meth:`Subscription.from_dict` does, with the file's own names.
    """
    for name in (endpoint, p256dh, auth):
        if not fields.get(name):
            raise InvalidInput(f"{name} is empty; what has no {name} cannot be sent to.", field=name)
    value = {
        "endpoint": fields[endpoint],
        "keys": {"p256dh": fields[p256dh], "auth": fields[auth]},
        "contentEncoding": None if encoding is None else fields.get(encoding) or None,
    }
    try:
        return Subscription.from_dict(value)
    except InvalidInput as error:
        ours = {"endpoint": endpoint, "keys.p256dh": p256dh, "keys.auth": auth, "contentEncoding": encoding}
        theirs = ours.get(error.field or "") or error.field
        message = error.message
        if error.field and theirs:
            message = message.replace(error.field, theirs, 1)
        raise InvalidInput(message, field=theirs) from None


def _moment(value: object, name: str) -> float:
    refusal = InvalidInput(f"{name} must be a time such as 2027-01-31 08:00:00 or 2027-01-31T08:00:00Z.", field=name)
    if isinstance(value, str) and value.replace(".", "", 1).isdecimal() and value.isascii():
        value = float(value) if len(value) <= 20 else math.inf
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value <= _LATEST * 1000:  # before it is divided: a whole number can be larger than any float
            raise refusal
        seconds = value / 1000 if value > MILLISECONDS_FROM else float(value)
        if seconds > _LATEST:
            raise refusal
        return seconds
    if not isinstance(value, str) or not _AT.fullmatch(value):
        raise refusal
    bare = value.upper().replace("UTC", "+00:00").replace("Z", "+00:00").replace(",", ".").replace(" +", "+")
    bare = re.sub(r"\.(\d{1,9})", lambda digits: "." + digits[1][:6].ljust(6, "0"), bare)
    bare = re.sub(r"([+-]\d\d)$", r"\1:00", bare) if len(bare) > 10 else bare
    try:
        found = datetime.fromisoformat(bare)
        seconds = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise refusal from None
    if seconds < 0:
        raise refusal
    return seconds
