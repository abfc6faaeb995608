"""When the subscriptions of a retiring key will have moved, as far as the days since its replacement can tell.

Browsers move at their visitors' next visit. Who comes daily has moved after a day, who comes once a year after a year:
each day fewer move than on the day before. That decay is measured and carried on, and held against what is known
otherwise: whoever has not been seen for a season is not expected.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pushkeep.domain.situation import DAY_SECONDS

FORECAST_DAYS_MIN = 4
"""Full days since the replacement that a forecast takes: two to be compared with two."""

FORECAST_WINDOW_DAYS = 28
"""Full days that are looked at: two weeks are compared with the two before, so that week-ends cancel out."""

SILENT_DAYS = 90
"""Who was not seen for a season is not expected to come by itself."""

SETTLED_SHARE = 0.99
"""A decay never ends; this much of what it will bring counts as all of it."""

FORECAST_DAYS_MAX = 3650.0
"""Ten years; what lies behind is no forecast."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is to be expected of a retiring key.

    Attributes:
        per_day: how many left it on a day of late, by moving or by ending.
        expected: how many more will leave it.
        left_over: how many of those bound to it now will not, and wait for somebody to give them up.
        settled_at: epoch seconds by when :data:`SETTLED_SHARE` of the expected ones have left; now where none is
            expected; None where that takes longer than ten years.
    """

    per_day: float
    expected: int
    left_over: int
    settled_at: float | None


def forecast(left: Sequence[int], *, bound: int, silent: int, now: float) -> Forecast | None:
    """Carry the decay of the last days on.

    With ``q`` the ratio of one day to the day before, as the later half of the window compares with the earlier, and
    ``r`` the rate of today, of which the later half of the window had ``r/q + r/q^2 + ...``, what is still to come is
    ``r / (1 - q)``, and ``n`` days bring ``r (1 - q^n) / (1 - q)`` of it. More than all who are not silent will not
    come. A rate that does not fall is carried on as it is.

    Args:
        left: how many left the key on each full day since it was replaced, oldest first, without today.
        bound: living subscriptions that are bound to it now.
        silent: how many of these were not seen for :data:`SILENT_DAYS`.
        now: epoch seconds.

    Returns:
        None while there are fewer full days than :data:`FORECAST_DAYS_MIN`.
    """
    if not bound:
        return Forecast(0.0, 0, 0, now)
    window = left[-FORECAST_WINDOW_DAYS:]
    half = len(window) // 2
    if len(window) < FORECAST_DAYS_MIN:
        return None
    late, early = sum(window[-half:]), sum(window[-2 * half : -half])
    awake = max(bound - silent, 0)
    if not late or not awake:
        return Forecast(late / half, 0, bound, now)
    ratio = min((late / early) ** (1 / half), 1.0) if early else 1.0
    rate = late / sum(ratio**-day for day in range(1, half + 1))
    if ratio < 1.0:
        expected = min(rate / (1 - ratio), float(awake))
        days = math.log(1 - SETTLED_SHARE * expected * (1 - ratio) / rate) / math.log(ratio)
    else:
        expected = float(awake)
        days = SETTLED_SHARE * expected / rate
    settled_at = now + days * DAY_SECONDS if days <= FORECAST_DAYS_MAX else None
    return Forecast(late / half, round(expected), bound - round(expected), settled_at)
