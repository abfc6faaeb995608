"""What every request of a browser asks of its project, read once for all that come in the same moment."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pushkeep.app.joined import Joined
from pushkeep.ports import Clock, Store

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

REMEMBERED_SECONDS = 0.5
"""How late it may be seen here that another process has changed something: a key that it rotated, an origin, a text."""


@dataclass(frozen=True, slots=True)
class _Read(Generic[V]):
    """What was read, when by the store's count of changes, and when by the clock, taken before the reading."""

    value: V
    changes: int
    read_at: float


class Remembered(Generic[K, V]):
    """Remembers what was read.

    What another process has changed is seen after :data:`REMEMBERED_SECONDS`, what this one has changed at once.

    Args:
        store: counts the changes made in this process.
        clock: tells the time.
        read: asks the store; None for what is not there, which is not remembered.
        most: how many are remembered; those read longest ago go first.
    """

    def __init__(self, store: Store, clock: Clock, read: Callable[[K], Awaitable[V]], most: int) -> None:
        self._store = store
        self._clock = clock
        self._ask = read
        self._most = most
        self._known: OrderedDict[K, _Read[V]] = OrderedDict()
        self._reading: Joined[tuple[K, int], V] = Joined()

    def last(self, key: K) -> V | None:
        """What was read last, however old."""
        known = self._known.get(key)
        return None if known is None else known.value

    async def of(self, key: K) -> V:
        """What is there under a key.

        Raises:
            Unavailable: the store does not answer.
        """
        known, changes = self._known.get(key), self._store.project_changes
        now = self._clock.monotonic()
        if known is not None and known.changes == changes and now - known.read_at < REMEMBERED_SECONDS:
            return known.value
        # Whoever joins has come after the last change, and so has the reading.
        return await self._reading.read((key, changes), lambda: self._read(key, changes))

    async def _read(self, key: K, changes: int) -> V:
        read_at = self._clock.monotonic()
        value = await self._ask(key)
        if value is None:
            self._known.pop(key, None)
            return value
        self._known[key] = _Read(value, changes, read_at)
        self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return value
