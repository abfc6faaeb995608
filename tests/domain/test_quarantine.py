"""When a probe may go, and which of them count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.quarantine import (
    FAILED_PROBES_TO_END,
    PROBE_DISTANCES_DAYS,
    after_failure,
    after_quarantine,
    is_last_probe,
    may_probe,
    seconds_to_probe,
)
from pushkeep.domain.situation import DAY_SECONDS
from pushkeep.domain.subscription import State

NOW = 1_800_000_000.0


def test_probes_keep_growing_distances_and_the_third_is_the_last() -> None:
    distances = [seconds_to_probe(failed) / DAY_SECONDS for failed in range(FAILED_PROBES_TO_END)]
    assert distances == list(PROBE_DISTANCES_DAYS) == sorted(set(distances))
    assert [is_last_probe(failed) for failed in range(4)] == [False, False, True, True]
    assert seconds_to_probe(99) == seconds_to_probe(2), "there are no more"


@pytest.mark.parametrize(
    ("state", "probe_at", "may"),
    [
        (State.QUARANTINED, NOW, True),
        (State.QUARANTINED, NOW + 0.1, False),
        (State.QUARANTINED, None, False),
        (State.ACTIVE, NOW, False),
        (State.NEEDS_RENEWAL, NOW - 1, False),
        (State.GONE, NOW - 1, False),
    ],
)
def test_a_probe_may_go_when_its_time_has_come(state: State, probe_at: float | None, may: bool) -> None:
    assert may_probe(state, probe_at, NOW) is may


def test_of_probes_under_way_together_the_first_counts() -> None:
    probe_at, probes = NOW - 5, 0
    for at in (NOW, NOW + 1, NOW + 2):
        probe_at, probes = after_failure(  # type: ignore[assignment]  # it stays a time
            probe_at=probe_at, probes=probes, next_probe_at=at + 3 * DAY_SECONDS, definite=True, at=at
        )
    assert (probe_at, probes) == (NOW + 3 * DAY_SECONDS, 1)


def test_what_passes_moves_the_probe_and_is_not_counted() -> None:
    assert after_failure(probe_at=NOW - 5, probes=2, next_probe_at=NOW + DAY_SECONDS, definite=False, at=NOW) == (
        NOW + DAY_SECONDS,
        2,
    )


def test_what_was_sent_before_the_quarantine_takes_no_probe_away() -> None:
    assert after_failure(probe_at=NOW - 5, probes=1, next_probe_at=None, definite=True, at=NOW) == (NOW - 5, 1)


def test_what_must_not_be_dialled_is_never_probed_again() -> None:
    refused = after_quarantine(quarantined=True, probe_at=NOW + 9, probes=1, next_probe_at=None)
    assert refused == (None, 1)
    assert after_failure(probe_at=None, probes=1, next_probe_at=NOW + 9, definite=True, at=NOW) == (None, 1)
    assert after_quarantine(quarantined=True, probe_at=None, probes=1, next_probe_at=NOW + 9) == (None, 1)


def test_a_second_quarantine_does_not_put_off_the_probe() -> None:
    first = after_quarantine(quarantined=False, probe_at=None, probes=2, next_probe_at=NOW + 9)
    assert first == (NOW + 9, 0)
    assert after_quarantine(quarantined=True, probe_at=NOW + 9, probes=0, next_probe_at=NOW + 99) == first


_times = st.none() | st.floats(NOW - DAY_SECONDS, NOW + DAY_SECONDS)


@given(_times, st.integers(0, 3), _times, st.booleans())
def test_no_failure_counts_more_than_once_or_brings_a_probe_nearer(
    probe_at: float | None, probes: int, next_probe_at: float | None, definite: bool
) -> None:
    later = None if next_probe_at is None else next_probe_at + 2 * DAY_SECONDS
    at, counted = after_failure(probe_at=probe_at, probes=probes, next_probe_at=later, definite=definite, at=NOW)
    assert counted - probes in (0, 1)
    if probe_at is None:
        assert at is None
    else:
        assert at is not None
        assert at >= probe_at
