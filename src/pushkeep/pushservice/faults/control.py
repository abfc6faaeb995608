"""The faults of a running service: add, list, remove."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pushkeep.errors import InvalidInput, NotFound
from pushkeep.pushservice.faults.decision import Active, Hit, Schedule
from pushkeep.pushservice.faults.grammar import Fault, Kind

FAULTS_MAX = 100
"""Written by hand or by a test; each request is held against all of them."""


@dataclass(frozen=True, slots=True)
class FaultInfo:
    """A fault in force: its id, its line, when it was added (epoch seconds) and how many requests it hit."""

    id: str
    fault: str
    added_at: float
    hits: int


class Faults:
    """What goes wrong on purpose; ``PushService.faults``.

    Args:
        seed: decides every chance; see :mod:`~pushkeep.pushservice.faults.decision`.
        now: epoch seconds.
        counters_max: subscriptions that are counted, those of each fault added up.
    """

    def __init__(self, *, seed: int, now: Callable[[], float], counters_max: int) -> None:
        self._schedule = Schedule(seed, counters_max=counters_max)
        self._now = now
        self._last = 0
        self._redirects = False

    def __repr__(self) -> str:
        return f"<Faults {len(self._schedule.active)}>"

    def __bool__(self) -> bool:
        return bool(self._schedule.active)

    def add(self, fault: Fault | str) -> str:
        """Put a fault into force and return its id, for :meth:`remove`.

        Raises:
            InvalidInput: the line cannot be read; the sentence names the word and what is allowed.
        """
        made = Fault.parse(fault) if isinstance(fault, str) else fault
        if len(self._schedule.active) >= FAULTS_MAX:
            raise InvalidInput(f"There are {FAULTS_MAX} faults already; remove some.", field="fault")
        self._last += 1
        fault_id = f"f{self._last}"
        self._redirects = self._redirects or _is_redirect(made)
        self._schedule.active[fault_id] = Active(fault_id, made, self._now())
        return fault_id

    @property
    def has_redirected(self) -> bool:
        """Whether a fault that answers with a redirect is or was in force: somebody may still follow it."""
        return self._redirects

    def remove(self, fault_id: str) -> None:
        """End a fault; raises NotFound."""
        if self._schedule.active.pop(fault_id, None) is None:
            raise NotFound(f"There is no fault {fault_id[:40]} at the push service.")

    def clear(self) -> None:
        """End all faults."""
        self._schedule.active.clear()

    def next(self, *, vendor: str | None, subscription_id: str) -> list[Hit]:
        """The faults that hit the next request of a subscription."""
        return self._schedule.next(vendor=vendor, subscription_id=subscription_id, now=self._now())

    def stream_limit(self) -> int | None:
        """The limit on concurrent streams that is asked for now, if any."""
        return self._schedule.stream_limit(self._now())

    def list(self) -> list[FaultInfo]:
        """The faults in force, in the order they were added in."""
        return [
            FaultInfo(active.id, str(active.fault), active.added_at, active.hits)
            for active in self._schedule.active.values()
        ]


def _is_redirect(fault: Fault) -> bool:
    return fault.kind is Kind.STATUS and isinstance(fault.value, int | float) and 300 <= fault.value < 400
