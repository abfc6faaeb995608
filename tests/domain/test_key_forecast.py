"""The forecast of a rotation, held against rotations whose end is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.key_forecast import FORECAST_DAYS_MAX, FORECAST_DAYS_MIN, Forecast, forecast
from pushkeep.domain.situation import DAY_SECONDS
from tests.store.samples import NOW


def days_of(found: Forecast | None) -> float:
    assert found is not None
    assert found.settled_at is not None
    return (found.settled_at - NOW) / DAY_SECONDS


def decay(first: float, ratio: float, days: int) -> list[int]:
    return [round(first * ratio**day) for day in range(days)]


def test_nobody_left_is_the_end() -> None:
    assert forecast([], bound=0, silent=0, now=NOW) == Forecast(0.0, 0, 0, NOW)


def test_it_is_too_early_before_two_days_can_be_compared_with_two() -> None:
    assert forecast([9] * (FORECAST_DAYS_MIN - 1), bound=5, silent=0, now=NOW) is None
    assert forecast([9] * FORECAST_DAYS_MIN, bound=5, silent=0, now=NOW) is not None


@pytest.mark.parametrize(("ratio", "past"), [(0.8, 10), (0.9, 14), (0.95, 28), (0.5, 8)])
def test_a_decay_is_carried_on(ratio: float, past: int) -> None:
    """Of 100,000 that leave by a pure decay, the forecast finds how many are still to come, to a tenth."""
    whole = decay(100_000 * (1 - ratio), ratio, 2000)
    to_come = sum(whole[past:])
    found = forecast(whole[:past], bound=to_come + 500, silent=0, now=NOW)
    assert found is not None
    assert found.expected == pytest.approx(to_come, rel=0.1)
    assert found.left_over == to_come + 500 - found.expected
    needed = next(day for day in range(2000) if sum(whole[past : past + day]) >= 0.99 * to_come)
    assert days_of(found) == pytest.approx(needed, rel=0.1, abs=1)


def test_no_more_come_than_are_bound_and_awake() -> None:
    found = forecast([100, 100, 90, 90], bound=50, silent=20, now=NOW)
    assert found is not None
    assert (found.expected, found.left_over) == (30, 20)
    assert days_of(found) < 1


def test_a_steady_rate_is_carried_on_as_it_is() -> None:
    found = forecast([10] * 28, bound=1000, silent=0, now=NOW)
    assert (found and found.expected, round(days_of(found))) == (1000, 99)


def test_a_rate_that_rises_is_not_taken_for_a_flood() -> None:
    found = forecast([1, 1, 10, 10], bound=1000, silent=0, now=NOW)
    assert (found and found.expected, round(days_of(found))) == (1000, 99)


def test_nobody_of_late_means_nobody_to_come() -> None:
    assert forecast([50, 3, 0, 0], bound=40, silent=0, now=NOW) == Forecast(0.0, 0, 40, NOW)


def test_the_silent_are_not_expected() -> None:
    found = forecast([50, 40, 30, 20], bound=40, silent=40, now=NOW)
    assert (found and found.expected, found and found.left_over) == (0, 40)


def test_beyond_ten_years_there_is_no_date() -> None:
    found = forecast([0] * 27 + [1], bound=10**6, silent=0, now=NOW)
    assert found is not None
    assert found.settled_at is None


@given(
    st.lists(st.integers(0, 10**6), max_size=60),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_whatever_happened_it_adds_up(left: list[int], bound: int, silent: int) -> None:
    found = forecast(left, bound=bound, silent=silent, now=NOW)
    if found is None:
        assert bound
        assert len(left) < FORECAST_DAYS_MIN
        return
    assert found.expected + found.left_over == bound
    assert 0 <= found.expected <= bound
    assert found.per_day >= 0
    assert found.settled_at is None or 0 <= found.settled_at - NOW <= FORECAST_DAYS_MAX * DAY_SECONDS
