"""How long one goes on with messages before others on the event loop have their turn."""

from __future__ import annotations

from collections.abc import Callable

STARTS_MAX = 64
"""Messages encrypted in one turn: about 8 ms. Going back and forth more often costs: with 16, a message is a tenth
dearer."""

TURN_SECONDS_MAX = 0.01
"""A turn ends after so long, too: where a message takes ten times as long, on a small board or a shared processor,
others on the event loop are not to wait ten times as long."""

_STARTS_PER_LOOK = 4
"""Messages from one look at the clock to the next: rare enough to cost nothing, and on a machine ten times as slow it
comes three milliseconds late at most."""


class Turn:
    """How long one goes on with messages before answers are looked at again, and before others have their turn.

    Args:
        monotonic: seconds that never step back.
        starts_max: messages in one turn.
        seconds_max: for how long, where messages take longer than usual.
    """

    __slots__ = ("_monotonic", "_seconds_max", "_started", "_starts", "_starts_max")

    def __init__(
        self,
        monotonic: Callable[[], float],
        starts_max: int = STARTS_MAX,
        seconds_max: float = TURN_SECONDS_MAX,
    ) -> None:
        self._monotonic = monotonic
        self._starts_max = starts_max
        self._seconds_max = seconds_max
        self.begin()

    def begin(self) -> None:
        """It begins now."""
        self._starts = 0
        self._started = self._monotonic()

    def ends(self) -> bool:
        """Count one more message; whether it was the last of this turn."""
        self._starts += 1
        return self._starts >= self._starts_max or (
            self._starts % _STARTS_PER_LOOK == 0 and self._monotonic() - self._started >= self._seconds_max
        )
