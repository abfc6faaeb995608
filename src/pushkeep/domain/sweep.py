"""What a sweep does with what it finds, as pure decisions.

A sweep goes over the living subscriptions and the tombstones. It sends nothing: it judges by what is known
(:mod:`pushkeep.domain.health`), and does four things only. It puts into quarantine what was definitely refused on
three different days and is still sent to; it ends, where the operator wants that, what nobody heard of for a set time;
it forgets tombstones that are old enough; and it counts. A breaker keeps it from removing much at once: what looks
like the death of a crowd is nearly always a fault of ours, a wrong clock or a vendor's bad day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pushkeep.domain.health import Sign
from pushkeep.domain.subscription import State

BREAKER_SHARE = 0.05
"""Of an origin's living subscriptions; in a healthy week a push service calls one or two in a hundred gone."""

BREAKER_COUNT = 20
"""So many may always be moved: of thirty testers two may well be gone."""

TOMBSTONE_DAYS = 90
"""A browser that comes back after longer, with a token of then, is a new one; questions about a lost subscriber come
within weeks."""


class Scope(StrEnum):
    """Which subscriptions a sweep looks at."""

    ALL = "all"
    TROUBLED = "troubled"
    """Failing and quarantined ones: what a message that was just sent can have changed."""


@dataclass(frozen=True, slots=True)
class SweepRules:
    """What a sweep goes by; fixed when it begins.

    Attributes:
        now: epoch seconds; every age is counted from it.
        scope: which subscriptions it looks at.
        tombstone_seconds: how long a tombstone is kept.
        expire_seconds: a living subscription that its browser has not confirmed for longer is ended, unless it showed
            a message since; None ends none.
    """

    now: float
    scope: Scope = Scope.ALL
    tombstone_seconds: float = TOMBSTONE_DAYS * 86_400.0
    expire_seconds: float | None = None

    @property
    def unseen_before(self) -> float | None:
        """What was last heard of before this is ended; None ends none. A sweep after a send ends none either."""
        if self.expire_seconds is None or self.scope is not Scope.ALL:
            return None
        return self.now - self.expire_seconds

    @property
    def tombstones_before(self) -> float:
        """What ended before this is forgotten."""
        return self.now - self.tombstone_seconds


@dataclass(frozen=True, slots=True)
class OriginCount:
    """What a sweep found at one push service.

    Attributes:
        living: subscriptions that have not ended, of those it looked at.
        quarantine: of these, those it wants to put into quarantine.
        expire: of these, those it wants to end.
    """

    living: int = 0
    quarantine: int = 0
    expire: int = 0

    def __add__(self, other: OriginCount) -> OriginCount:
        return OriginCount(self.living + other.living, self.quarantine + other.quarantine, self.expire + other.expire)

    @property
    def removed(self) -> int:
        """How many would no longer be sent to."""
        return self.quarantine + self.expire


@dataclass(slots=True)
class Survey:
    """What a sweep found, added up page by page; it grows with the number of push services only.

    Attributes:
        by_origin: by the push service's origin.
        by_state: living ones by state.
        signs: how many show each sign of death; one may show several.
        likely_dead: how many show any.
        tombstones: how many are old enough to be forgotten, and needed by nobody.
    """

    by_origin: dict[str, OriginCount] = field(default_factory=dict)
    by_state: Counter[State] = field(default_factory=Counter)
    signs: Counter[Sign] = field(default_factory=Counter)
    likely_dead: int = 0
    tombstones: int = 0

    @property
    def living(self) -> int:
        """How many it looked at."""
        return sum(count.living for count in self.by_origin.values())

    def add(self, origin: str, state: State, count: OriginCount, signs: Mapping[Sign, int], likely_dead: int) -> None:
        """Add what one page has of one push service in one state."""
        self.by_origin[origin] = self.by_origin.get(origin, OriginCount()) + count
        self.by_state[state] += count.living
        self.signs.update(signs)
        self.likely_dead += likely_dead


@dataclass(frozen=True, slots=True)
class Held:
    """A push service at which the breaker let nothing be removed.

    Attributes:
        origin: the push service.
        removed: how many would have been.
        living: of how many.
    """

    origin: str
    removed: int
    living: int


def held_back(
    by_origin: Mapping[str, OriginCount], living: Mapping[str, int], *, force: bool = False
) -> Sequence[Held]:
    """Push services at which too many would be removed at once, in the order of their origins.

    Args:
        by_origin: what the sweep found.
        living: all living subscriptions by origin, also those it did not look at.
        force: the operator has looked at it, and wants it.
    """
    if force:
        return ()
    return tuple(
        Held(origin, count.removed, living.get(origin, count.living))
        for origin, count in sorted(by_origin.items())
        if breaks(count.removed, living.get(origin, count.living))
    )


def breaks(removed: int, living: int) -> bool:
    """Whether so many of so many are too many at once."""
    return removed > BREAKER_COUNT and removed > living * BREAKER_SHARE
