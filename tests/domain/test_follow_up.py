import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.follow_up import FOLLOW_UP_RETRIES, HISTORY_MAX, bucket_seconds, due_at, history_with
from pushkeep.domain.retry import wait_before_retry
from pushkeep.protocol.verdict import Verdict

NOW = 1_800_000_000.25


@pytest.mark.parametrize(
    ("wait", "width"), [(0.0, 1.0), (59.9, 1.0), (60.0, 10.0), (599.9, 10.0), (600.0, 60.0), (86_400.0, 60.0)]
)
def test_the_longer_the_wait_the_wider_the_bucket(wait: float, width: float) -> None:
    assert bucket_seconds(wait) == width


@given(now=st.floats(1e9, 3e9), wait=st.floats(0, 90_000), left=st.floats(0.001, 1e6))
def test_never_early_never_at_the_deadline_and_late_by_less_than_a_bucket(now: float, wait: float, left: float) -> None:
    deadline = now + left
    due = due_at(now, wait, deadline=deadline)
    if due is None:
        assert math.ceil(now + wait) >= deadline
        return
    assert now + wait <= due < deadline
    assert due - (now + wait) <= bucket_seconds(wait)
    assert due == int(due), "a bucket is a whole number of seconds"


def test_many_waits_share_few_times() -> None:
    dues = {due_at(NOW + number / 1000, 3600.0, deadline=math.inf) for number in range(1000)}
    assert len(dues) == 1


def test_a_bucket_that_is_too_wide_gives_way_to_the_deadline() -> None:
    assert due_at(NOW, 600.0, deadline=NOW + 602.0) == math.ceil(NOW + 600.0)
    assert due_at(NOW, 600.0, deadline=NOW + 600.1) is None


def test_the_last_eight_verdicts_are_remembered() -> None:
    history: tuple[Verdict, ...] = ()
    for _ in range(20):
        history = history_with(history, Verdict.TRANSIENT)
    assert history_with(history, Verdict.GONE, Verdict.THROTTLED) == (
        *(Verdict.TRANSIENT,) * (HISTORY_MAX - 2),
        Verdict.GONE,
        Verdict.THROTTLED,
    )


def test_a_fault_is_outlasted_for_hours() -> None:
    waits = []
    for attempt in range(1, 25):
        wait = wait_before_retry(
            FOLLOW_UP_RETRIES,
            verdict=Verdict.TRANSIENT,
            attempt=attempt,
            retry_after=None,
            remaining_seconds=math.inf,
            chance=0.5,
        )
        if wait is not None:
            waits.append(wait)
    assert len(waits) == 23
    assert sum(waits) > 5 * 3600
