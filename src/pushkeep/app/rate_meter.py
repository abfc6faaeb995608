"""How many a second, of late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

METER_SECONDS = 5.0
"""What "of late" is: long enough to be calm, short enough to follow."""


class RateMeter:
    """Makes a rate of a count that only rises, from one look to the next.

    Args:
        monotonic: seconds that never step back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: deque[tuple[float, int]] = deque([(monotonic(), 0)])

    def rate(self, count: int) -> float:
        """A second's worth, over the last seconds in which somebody looked."""
        now = self._monotonic()
        self._seen.append((now, count))
        while len(self._seen) > 2 and now - self._seen[1][0] >= METER_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        return (count - before) / (now - then) if now > then else 0.0
