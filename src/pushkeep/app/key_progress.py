"""How far a rotation has come: who is bound to which key, who has moved on which day, and when the rest will have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pushkeep.domain.key_forecast import SILENT_DAYS, Forecast, forecast
from pushkeep.domain.project import KeyState, Project
from pushkeep.domain.signing_keys import KeyRecord, KeyUsage
from pushkeep.domain.situation import DAY_SECONDS
from pushkeep.domain.subscription import ENDED, TRANSITIONS, Event
from pushkeep.ports import Store

_LEAVING = frozenset(event for (_, event), after in TRANSITIONS.items() if after in ENDED)
"""What takes a subscription away from its key: it moved to another one, or ended."""

DAYS_SHOWN_MAX = 90
"""A season of days."""


@dataclass(frozen=True, slots=True)
class MovedDay:
    """A day in the life of a retiring key.

    Attributes:
        day: since the epoch, UTC.
        moved: subscriptions that their browsers replaced by one of another key.
        ended: subscriptions that ended otherwise.
    """

    day: int
    moved: int
    ended: int


@dataclass(frozen=True, slots=True)
class KeyProgress:
    """A key, who is bound to it, and what became of the others.

    Attributes:
        key: the key.
        usage: the living subscriptions that are bound to it.
        moved: how many moved to another key since it was replaced; 0 for one that was not.
        ended: how many ended since then.
        days: of these, the last ones, day by day without gaps, today last.
        forecast: of a retiring key; None for others, and while it is too early to tell.
    """

    key: KeyRecord
    usage: KeyUsage
    moved: int = 0
    ended: int = 0
    days: tuple[MovedDay, ...] = ()
    forecast: Forecast | None = None

    @property
    def share(self) -> float | None:
        """How much of what the key had when it was replaced is away from it, 0 to 1; None if it was not replaced."""
        if self.key.retiring_at is None:
            return None
        away = self.moved + self.ended
        return away / (away + self.usage.bound) if away + self.usage.bound else 1.0


async def key_progress(store: Store, project: Project, *, now: float) -> tuple[KeyProgress, ...]:
    """Every key of the project with its progress: oldest first."""
    keys = await store.list_keys(project)
    usage = await store.key_usage(project, now=now)
    replaced = [key.retiring_at for key in keys if key.retiring_at is not None]
    left: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    if replaced:
        for entry in await store.lifecycle_by_day(project, first_day=int(min(replaced) // DAY_SECONDS)):
            if entry.event in _LEAVING:
                left[entry.signing_key_id][entry.day][entry.event is not Event.REPLACED] += entry.count
    return tuple(_progress(key, usage.get(key.id, KeyUsage()), left.get(key.id, {}), now) for key in keys)


def _progress(key: KeyRecord, usage: KeyUsage, left: dict[int, list[int]], now: float) -> KeyProgress:
    if key.retiring_at is None:
        return KeyProgress(key, usage)
    first, today = int(key.retiring_at // DAY_SECONDS), int(now // DAY_SECONDS)
    days = [MovedDay(day, *left.get(day, (0, 0))) for day in range(first, today + 1)]
    return KeyProgress(
        key,
        usage,
        sum(day.moved for day in days),
        sum(day.ended for day in days),
        tuple(days[-DAYS_SHOWN_MAX:]),
        _forecast(key, usage, days, now),
    )


def _forecast(key: KeyRecord, usage: KeyUsage, days: Sequence[MovedDay], now: float) -> Forecast | None:
    if key.state is not KeyState.RETIRING:
        return None
    # The first day began before the key was replaced, and today is not over.
    full = [day.moved + day.ended for day in days[1:-1]]
    return forecast(full, bound=usage.bound, silent=usage.unseen(SILENT_DAYS), now=now)
