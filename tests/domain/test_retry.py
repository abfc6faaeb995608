import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.retry import CHANCE_BYTES, NO_RETRIES, RETRIED, RetryPolicy, chance_of, wait_before_retry
from pushkeep.errors import InvalidInput
from pushkeep.protocol.verdict import Verdict


def wait(
    verdict: Verdict = Verdict.TRANSIENT,
    *,
    policy: RetryPolicy | None = None,
    attempt: int = 1,
    retry_after: float | None = None,
    remaining: float = math.inf,
    chance: float = 0.5,
) -> float | None:
    return wait_before_retry(
        policy or RetryPolicy(),
        verdict=verdict,
        attempt=attempt,
        retry_after=retry_after,
        remaining_seconds=remaining,
        chance=chance,
    )


@pytest.mark.parametrize("verdict", [item for item in Verdict if item not in RETRIED])
def test_what_does_not_pass_is_not_tried_again(verdict: Verdict) -> None:
    assert wait(verdict, retry_after=1.0) is None


def test_a_passing_fault_is_waited_out_with_full_jitter() -> None:
    assert [wait(attempt=n, chance=0.5) for n in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]
    assert [wait(attempt=3, chance=chance) for chance in (0.0, 0.25, 0.75)] == [0.0, 1.0, 3.0]


def test_a_throttle_without_a_word_is_waited_out_for_a_minute_doubled() -> None:
    assert [wait(Verdict.THROTTLED, attempt=n) for n in (1, 2, 3, 4)] == [60.0, 120.0, 240.0, 480.0]


def test_doubling_stops_at_the_longest_wait() -> None:
    patient = RetryPolicy(attempts_max=100)
    assert wait(Verdict.THROTTLED, policy=patient, attempt=7) == 3600.0
    assert wait(Verdict.THROTTLED, policy=patient, attempt=99) == 3600.0
    assert wait(policy=patient, attempt=99, chance=0.5) == 1800.0


def test_the_last_attempt_is_the_last() -> None:
    assert wait(attempt=4) is not None
    assert wait(attempt=5) is None
    assert wait(policy=NO_RETRIES) is None


def test_retry_after_is_kept_to() -> None:
    assert wait(Verdict.THROTTLED, retry_after=7.0) == 7.0
    assert wait(Verdict.THROTTLED, retry_after=7.0, attempt=4) == 7.0
    assert wait(retry_after=120.0, chance=0.5) == 120.5, "and what failed together does not come back together"


def test_a_date_in_the_past_is_no_wait_asked_for() -> None:
    assert wait(Verdict.THROTTLED, retry_after=0.0) == 60.0
    assert wait(retry_after=0.0, chance=0.5) == 0.5


@pytest.mark.parametrize("verdict", sorted(RETRIED))
def test_a_retry_after_beyond_patience_is_given_up(verdict: Verdict) -> None:
    assert wait(verdict, retry_after=3601.0) is None
    assert wait(verdict, retry_after=3601.0, policy=RetryPolicy(retry_after_seconds_max=86_400)) is not None


@pytest.mark.parametrize("verdict", sorted(RETRIED))
def test_nothing_is_waited_for_past_the_deadline(verdict: Verdict) -> None:
    assert wait(verdict, retry_after=30.0, remaining=30.0) is None
    assert wait(verdict, retry_after=30.0, remaining=31.0) is not None
    assert wait(verdict, remaining=0.0) is None
    assert wait(verdict, remaining=-1.0) is None


def test_the_jitter_is_cut_to_the_deadline() -> None:
    assert wait(attempt=4, remaining=2.0, chance=0.5) == 1.0


@given(
    verdict=st.sampled_from(sorted(Verdict)),
    attempt=st.integers(1, 10_000),
    attempts_max=st.integers(1, 100),
    retry_after=st.none() | st.floats(0, 1e6),
    remaining=st.floats(-10, 1e7) | st.just(math.inf),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_no_wait_ends_before_retry_after_or_past_the_deadline(
    verdict: Verdict, attempt: int, attempts_max: int, retry_after: float | None, remaining: float, chance: float
) -> None:
    policy = RetryPolicy(attempts_max=attempts_max)
    seconds = wait(verdict, policy=policy, attempt=attempt, retry_after=retry_after, remaining=remaining, chance=chance)
    if seconds is None:
        return
    assert verdict in RETRIED
    assert attempt < attempts_max
    assert max(retry_after or 0.0, 0.0) <= seconds < remaining
    assert seconds <= 7200.0


@pytest.mark.parametrize("attempts", [0, -1, 101, True, 2.0])
def test_a_number_of_attempts_that_makes_no_sense_is_refused(attempts: int) -> None:
    with pytest.raises(InvalidInput, match=r"attempts_max must be a whole number from 1 to 100"):
        RetryPolicy(attempts_max=attempts)


@pytest.mark.parametrize(
    "name", ["base_seconds", "wait_seconds_max", "throttle_base_seconds", "retry_after_seconds_max"]
)
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, 31 * 86_400, True, "1"])
def test_a_time_that_makes_no_sense_is_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidInput, match=f"{name} must be a number of seconds") as caught:
        RetryPolicy(**{name: value})  # type: ignore[arg-type]
    assert caught.value.field == name


def test_a_chance_is_drawn_from_zero_up_to_one() -> None:
    assert chance_of(bytes(CHANCE_BYTES)) == 0.0
    assert chance_of(b"\x80" + bytes(6)) == 0.5
    assert 0.999 < chance_of(b"\xff" * CHANCE_BYTES) < 1.0
