"""Which faults hit a request; pure.

Every subscription's requests are numbered from 1 for each fault that is about it, beginning when the fault was
added. A decision depends on the seed, the fault's words, the subscription's id and that number, and on nothing
else: so a run with the same seed gives each subscription the same answers, however many connections and workers
race. Only ``for=SECONDS`` looks at the clock.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from pushkeep.pushservice.faults.grammar import Fault, Kind

PASSING = frozenset({Kind.SLOW, Kind.SKEW, Kind.DRIP, Kind.LOSE, Kind.DUPLICATE})
"""Faults after which the request goes on; all that fire apply. Of the others, the one added first does."""


def fires(fault: Fault, *, seed: int, subscription_id: str, number: int, age_seconds: float) -> bool:
    """Whether a fault hits a subscription's request.

    Args:
        fault: one that is about this subscription.
        seed: of the whole run.
        subscription_id: the subscription's id.
        number: which of the subscription's requests since the fault was added, from 1.
        age_seconds: how long ago the fault was added.
    """
    if fault.active_seconds is not None and age_seconds >= fault.active_seconds:
        return False
    turn, skipped = divmod(number - int(fault.after or 0), int(fault.every or 1))
    if turn < 1 or skipped or (fault.times is not None and turn > fault.times):
        return False
    return fault.chance is None or _draw(f"{seed}\n{fault}\n{subscription_id}\n{number}") < fault.chance


def _draw(text: str) -> float:
    """A number from 0 up to, not including, 1."""
    # 53 bits, as many as a float holds exactly: with 64 the largest would be rounded to 1.
    return (int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 11) / 2**53


@dataclass(slots=True)
class Active:
    """A fault that was added: its id, when it was added (epoch seconds), and how many requests it hit."""

    id: str
    fault: Fault
    added_at: float
    hits: int = 0
    numbers: OrderedDict[str, int] = field(default_factory=OrderedDict)


@dataclass(frozen=True, slots=True)
class Hit:
    """A fault that hits a request, which is the subscription's ``number``-th for it."""

    active: Active
    number: int

    @property
    def fault(self) -> Fault:
        """What happens."""
        return self.active.fault


class Schedule:
    """Numbers the requests and says which faults hit them.

    Args:
        seed: decides every chance.
        counters_max: subscriptions counted, those of each fault added up; beyond that, of the fault that counts
            most, those longest without a request start at 1 again.
    """

    def __init__(self, seed: int, *, counters_max: int) -> None:
        self.active: dict[str, Active] = {}
        self._seed = seed
        self._counters_max = counters_max

    def next(self, *, vendor: str | None, subscription_id: str, now: float) -> list[Hit]:
        """The faults that hit the next request of a subscription: those that let it go on, then at most one more.

        Faults are tried in the order they were added in, and each counts the request whether or not another one
        hits it.
        """
        hits = [
            Hit(active, number)
            for active in self.active.values()
            if _is_about(active.fault, vendor, subscription_id)
            and (number := self._count(active, subscription_id))
            and fires(
                active.fault,
                seed=self._seed,
                subscription_id=subscription_id,
                number=number,
                age_seconds=now - active.added_at,
            )
        ]
        self._forget_the_oldest()
        passing = [hit for hit in hits if hit.fault.kind in PASSING]
        chosen = passing + [hit for hit in hits if hit.fault.kind not in PASSING][:1]
        for hit in chosen:
            hit.active.hits += 1
        return chosen

    def stream_limit(self, now: float) -> int | None:
        """The lowest limit on concurrent streams that is asked for now."""
        return min(_stream_limits(self.active.values(), now), default=None)

    def _count(self, active: Active, subscription_id: str) -> int:
        number = active.numbers.pop(subscription_id, 0) + 1
        active.numbers[subscription_id] = number
        return number

    def _forget_the_oldest(self) -> None:
        excess = sum(len(active.numbers) for active in self.active.values()) - self._counters_max
        for _ in range(excess):
            max(self.active.values(), key=lambda active: len(active.numbers)).numbers.popitem(last=False)


def _is_about(fault: Fault, vendor: str | None, subscription_id: str) -> bool:
    if fault.kind is Kind.STREAM_LIMIT:
        return False  # about connections
    if fault.subscription_id is not None:
        return fault.subscription_id == subscription_id
    return fault.vendor in (None, vendor)


def _stream_limits(faults: Iterable[Active], now: float) -> Iterable[int]:
    for active in faults:
        fault = active.fault
        is_over = fault.active_seconds is not None and now - active.added_at >= fault.active_seconds
        if fault.kind is Kind.STREAM_LIMIT and isinstance(fault.value, int | float) and not is_over:
            yield int(fault.value)
