"""The words of a fault, read and written; pure.

A fault is one line: for whom (everybody, a vendor's subscriptions, or one subscription), what happens, and
when::

    [all | VENDOR | sub:ID] WHAT[=VALUE] [OPTION=VALUE …]

    apple status=429 retry-after=10 times=3
    fcm status=503 chance=0.2
    sub:5d41402abc4b2a76 reset taken

``KINDS`` and ``OPTIONS`` are the whole vocabulary.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TypedDict, TypeVar

from pushkeep.errors import InvalidInput
from pushkeep.protocol.vendors import VENDORS
from pushkeep.pushservice.personalities.refusal import ALWAYS_ANSWERED

TEXT_CHARACTERS_MAX = 500
"""A line with every option has about 150."""
SECONDS_MAX = 3_600.0
"""Longer than any client waits."""
SKEW_SECONDS_MAX = 10.0 * 365 * 86_400
"""A clock that lost its battery."""
COUNT_MAX = 1_000_000
COPIES_MAX = 10
STREAMS_MAX = 1_000

V = TypeVar("V")
T = TypeVar("T")

_SUBSCRIPTION = re.compile(r"[A-Za-z0-9]{1,64}")
VENDOR_NAMES = tuple(sorted(name for name in VENDORS if name != "unknown"))


class Kind(StrEnum):
    """What happens to a request that a fault hits."""

    STATUS = "status"
    ANSWER = "answer"
    SLOW = "slow"
    DRIP = "drip"
    HANG = "hang"
    RESET = "reset"
    CLOSE = "close"
    GOAWAY = "goaway"
    REFUSE_STREAM = "refuse-stream"
    STREAM_LIMIT = "stream-limit"
    LOSE = "lose"
    DUPLICATE = "duplicate"
    SKEW = "skew"
    ENDLESS_BODY = "endless-body"
    HUGE_HEADERS = "huge-headers"
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True)
class Number:
    """A number from ``least`` to ``most``."""

    least: float
    most: float
    whole: bool = False

    def read(self, text: str) -> float:
        """The number in ``text``. This and :meth:`check` raise ValueError with what is allowed."""
        number = math.nan
        if re.fullmatch(r"-?\d{1,12}(\.\d{1,12})?", text, re.ASCII):
            number = float(text)
        self.check(number)
        return number

    def check(self, number: float) -> None:
        """Whether a number is allowed."""
        if not self.least <= number <= self.most or (self.whole and number != int(number)):
            raise ValueError(str(self))

    def __str__(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.least:.12g} to {self.most:.12g}"


@dataclass(frozen=True, slots=True)
class Words:
    """One of some words."""

    words: tuple[str, ...]

    def read(self, text: str) -> str:
        """The word itself. This and :meth:`check` raise ValueError with what is allowed."""
        self.check(text)
        return text

    def check(self, word: object) -> None:
        """Whether a word is allowed."""
        if word not in self.words:
            raise ValueError(str(self))

    def __str__(self) -> str:
        return "one of " + ", ".join(self.words)


@dataclass(frozen=True, slots=True)
class KindRow:
    """A kind's value, the value it has when none is written (None: one must be), and what it does."""

    value: Number | Words | None
    default: float | str | None
    does: str


_REFUSALS = Words(tuple(sorted(refusal.value for refusal in ALWAYS_ANSWERED)))

KINDS: Mapping[Kind, KindRow] = MappingProxyType(
    {
        Kind.STATUS: KindRow(Number(200, 599, whole=True), None, "answers this status in the vendor's words"),
        Kind.ANSWER: KindRow(_REFUSALS, None, "refuses for this reason, as the vendor does"),
        Kind.SLOW: KindRow(Number(0, SECONDS_MAX), None, "waits so many seconds, then goes on"),
        Kind.DRIP: KindRow(Number(0, SECONDS_MAX), None, "spreads the answer's body over so many seconds"),
        Kind.HANG: KindRow(Number(0, SECONDS_MAX), SECONDS_MAX, "does not answer for so long, then closes"),
        Kind.RESET: KindRow(
            Words(("before", "middle", "stream")),
            "before",
            "resets the connection before or in the middle of the answer, or only the HTTP/2 stream",
        ),
        Kind.CLOSE: KindRow(None, None, "closes the connection without an answer"),
        Kind.GOAWAY: KindRow(
            Words(("graceful", "abrupt")),
            "graceful",
            "tells the connection to go, after answering what is open, or without answering",
        ),
        Kind.REFUSE_STREAM: KindRow(None, None, "resets the stream with REFUSED_STREAM: not looked at"),
        Kind.STREAM_LIMIT: KindRow(
            Number(1, STREAMS_MAX, whole=True), None, "lowers SETTINGS_MAX_CONCURRENT_STREAMS of every connection"
        ),
        Kind.LOSE: KindRow(None, None, "accepts the message and never delivers it"),
        Kind.DUPLICATE: KindRow(Number(2, COPIES_MAX, whole=True), 2.0, "delivers the message so many times"),
        Kind.SKEW: KindRow(
            Number(-SKEW_SECONDS_MAX, SKEW_SECONDS_MAX), None, "tokens and Date by a clock that is so many seconds off"
        ),
        Kind.ENDLESS_BODY: KindRow(None, None, "answers with a body that does not end"),
        Kind.HUGE_HEADERS: KindRow(None, None, "answers with 200 KB of header fields"),
        Kind.GARBAGE: KindRow(None, None, "answers with octets that are not HTTP"),
    }
)

OPTIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "retry-after": ("SECONDS or date:SECONDS", "with status and answer: the header, as a number or as a date"),
        "taken": ("", "with hang, reset, close and goaway=abrupt: the message is delivered all the same"),
        "times": ("N", "only for the first N requests of each subscription that come in question"),
        "after": ("N", "not for the first N requests of each subscription"),
        "every": ("N", "only for each N-th request of each subscription"),
        "chance": ("P", "only with this probability, drawn by seed, subscription and request number"),
        "for": ("SECONDS", "only for so long after the fault was added"),
    }
)
"""Name: the form of its value, and what it does."""

_COUNT = Number(1, COUNT_MAX, whole=True)
_CHANCE = Number(0, 1)
_SECONDS = Number(0, SECONDS_MAX)
_ACTIVE = Number(0, 1_000_000)
WITH_RETRY_AFTER = frozenset({Kind.STATUS, Kind.ANSWER})
WITH_TAKEN = frozenset({Kind.HANG, Kind.RESET, Kind.CLOSE, Kind.GOAWAY})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; :meth:`parse` reads it from text and ``str()`` writes it.

    Attributes:
        kind: what happens.
        value: of the kind, as in ``KINDS``; None gives the kind's default.
        vendor: only its subscriptions; None: those of all.
        subscription_id: only this subscription.
        retry_after_seconds: for the Retry-After header; None sends what the vendor sends.
        retry_after_as_date: whether it is written as a date.
        taken: the message is delivered although the answer never comes.
        times, after, every, chance: which requests of a subscription are hit; see ``OPTIONS``.
        active_seconds: how long after it was added; None: until it is removed.

    Raises:
        InvalidInput: a field is not as described.
    """

    kind: Kind
    value: float | str | None = None
    vendor: str | None = None
    subscription_id: str | None = None
    retry_after_seconds: float | None = None
    retry_after_as_date: bool = False
    taken: bool = False
    times: float | None = None
    after: float | None = None
    every: float | None = None
    chance: float | None = None
    active_seconds: float | None = None

    def __post_init__(self) -> None:
        row = KINDS[self.kind]
        if self.value is None:
            object.__setattr__(self, "value", row.default)
        self._check_value(row)
        if self.vendor is not None and (self.vendor not in VENDOR_NAMES or self.subscription_id is not None):
            raise _wrong(self.vendor, "all, sub:ID, or one of " + ", ".join(VENDOR_NAMES))
        if self.subscription_id is not None and not _SUBSCRIPTION.fullmatch(self.subscription_id):
            raise _wrong("sub:", "sub: and the id of a subscription")
        self._check_options()

    def _check_value(self, row: KindRow) -> None:
        if row.value is None:
            if self.value is not None:
                raise InvalidInput(f"The fault's {self.kind} takes no value.", field="fault")
            return
        try:
            if isinstance(row.value, Number):
                if not isinstance(self.value, int | float):
                    raise ValueError(str(row.value))
                row.value.check(self.value)
            else:
                row.value.check(self.value)
        except ValueError as error:
            raise InvalidInput(f"The fault's {self.kind} must be {error}.", field="fault") from None

    def _check_options(self) -> None:
        for name, value in self._conditions().items():
            if value is not None:
                _checked(name, {"chance": _CHANCE, "for": _ACTIVE}.get(name, _COUNT).check, value)
        if self.retry_after_seconds is not None:
            _checked("retry-after", _SECONDS.check, self.retry_after_seconds)
            _allowed("retry-after", self.kind, WITH_RETRY_AFTER)
        elif self.retry_after_as_date:
            raise InvalidInput("The fault's retry-after as a date needs its seconds.", field="fault")
        if self.taken:
            _allowed("taken", self.kind, WITH_TAKEN)
            if self.value in ("graceful", "middle"):
                raise InvalidInput(f"The fault's taken does not go with {self.kind}={self.value}.", field="fault")
        narrowed = (self.vendor, self.subscription_id, self.times, self.after, self.every, self.chance)
        if self.kind is Kind.STREAM_LIMIT and narrowed != (None,) * 6:
            raise InvalidInput(
                "The fault's stream-limit is for connections, and each of these serves everybody: it takes for=SECONDS "
                "and nothing else.",
                field="fault",
            )

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read one line.

        Raises:
            InvalidInput: a word is not known, stands twice, or has a value that is not allowed; the sentence
                names the word and what is allowed.
        """
        if len(text) > TEXT_CHARACTERS_MAX:
            raise InvalidInput(f"A fault has at most {TEXT_CHARACTERS_MAX} characters.", field="fault")
        words = text.split()
        target = _read_target(words[0]) if words else None
        given = target or _Given()
        if target is not None:
            words = words[1:]
        for word in words:
            part = _read_word(word)
            if "kind" in part and "kind" in given:
                raise InvalidInput(f"The fault says what happens twice; {word} needs a line of its own.", field="fault")
            if given.keys() & part.keys():
                raise InvalidInput(f"The fault has {word.partition('=')[0]} twice.", field="fault")
            given |= part
        if "kind" not in given:
            raise InvalidInput(f"The fault does not say what happens; allowed are {_kinds()}.", field="fault")
        return cls(**given)

    def __str__(self) -> str:
        who = f"sub:{self.subscription_id}" if self.subscription_id else self.vendor
        what = self.kind.value if self.value is None else f"{self.kind}={_text(self.value)}"
        words = [*([who] if who else []), what]
        if self.retry_after_seconds is not None:
            words.append(f"retry-after={'date:' if self.retry_after_as_date else ''}{_text(self.retry_after_seconds)}")
        if self.taken:
            words.append("taken")
        words += [f"{name}={_text(value)}" for name, value in self._conditions().items() if value is not None]
        return " ".join(words)

    def _conditions(self) -> dict[str, float | None]:
        return {
            "times": self.times,
            "after": self.after,
            "every": self.every,
            "chance": self.chance,
            "for": self.active_seconds,
        }


class _Given(TypedDict, total=False):
    """The fields of a fault, as far as they were read."""

    kind: Kind
    value: float | str | None
    vendor: str
    subscription_id: str
    retry_after_seconds: float
    retry_after_as_date: bool
    taken: bool
    times: float
    after: float
    every: float
    chance: float
    active_seconds: float


def _read_target(word: str) -> _Given | None:
    if word == "all":
        return {}
    if word in VENDOR_NAMES:
        return {"vendor": word}
    if word.startswith("sub:"):
        return {"subscription_id": word.removeprefix("sub:")}
    return None


def _read_word(word: str) -> _Given:
    name, equals, text = word.partition("=")
    if name in set(Kind):
        kind = Kind(name)
        return {"kind": kind, "value": _read_value(kind, text if equals else None)}
    match name:
        case "retry-after":
            as_date = text.startswith("date:")
            seconds = _checked(name, _SECONDS.read, text.removeprefix("date:"))
            return {"retry_after_seconds": seconds, "retry_after_as_date": as_date}
        case "taken" if not equals:
            return {"taken": True}
        case "times":
            return {"times": _checked(name, _COUNT.read, text)}
        case "after":
            return {"after": _checked(name, _COUNT.read, text)}
        case "every":
            return {"every": _checked(name, _COUNT.read, text)}
        case "chance":
            return {"chance": _checked(name, _CHANCE.read, text)}
        case "for":
            return {"active_seconds": _checked(name, _ACTIVE.read, text)}
        case _:
            targets = ", ".join(VENDOR_NAMES)
            raise _wrong(
                word, f"{_kinds()}; after that {', '.join(OPTIONS)}; and first, if at all, all, sub:ID, {targets}"
            )


def _read_value(kind: Kind, text: str | None) -> float | str | None:
    row = KINDS[kind]
    if text is None:
        if row.value is not None and row.default is None:
            raise InvalidInput(f"The fault's {kind} must be {row.value}.", field="fault")
        return None
    if row.value is None:
        raise InvalidInput(f"The fault's {kind} takes no value.", field="fault")
    if isinstance(row.value, Number):
        return _checked(kind, row.value.read, text)
    return _checked(kind, row.value.read, text)


def _checked(name: str, check: Callable[[V], T], value: V) -> T:
    try:
        return check(value)
    except ValueError as error:
        raise InvalidInput(f"The fault's {name} must be {error}.", field="fault") from None


def _allowed(name: str, kind: Kind, kinds: frozenset[Kind]) -> None:
    if kind not in kinds:
        raise InvalidInput(f"The fault's {name} goes with {', '.join(sorted(kinds))} only.", field="fault")


def _wrong(word: str, allowed: str) -> InvalidInput:
    return InvalidInput(f"The fault has the word {word[:40]!r}; allowed are {allowed}.", field="fault")


def _kinds() -> str:
    return ", ".join(kind.value for kind in Kind)


def _text(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return str(int(value)) if value == int(value) else f"{value:.12f}".rstrip("0")
