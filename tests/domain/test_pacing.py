"""A window finds the size a push service bears, whatever the service does; buckets keep their rate."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pushkeep.domain.pacing import (
    BURST_SECONDS,
    DEAD_FAILURES,
    FLOOR_SECONDS,
    IDLE_SECONDS,
    PAUSE_SECONDS_MAX,
    PAUSE_SECONDS_MIN,
    SLOW_SECONDS,
    SLOW_TIMES,
    SLOW_WINDOW_MIN,
    TROUBLE_SHARE,
    Bucket,
    LaneLimits,
    Rates,
    Window,
)
from pushkeep.errors import InvalidInput
from pushkeep.protocol.verdict import Verdict

Service = Callable[[int, float, int], tuple[Verdict, float]]
"""Of the messages in flight, the time and the message's number it makes a verdict and how long it takes."""


@dataclass
class Drive:
    """One that always has more to send, in time that is counted and not waited for."""

    window: Window
    service: Service
    now: float = 0.0
    sizes: list[int] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    halved: list[tuple[float, float]] = field(default_factory=list)
    """When the window was halved, and when the message was started whose answer did it."""
    flying: list[tuple[float, int, float, Verdict]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def run(self, messages: int) -> Drive:
        for _ in range(messages):
            self.step()
        return self

    def until(self, moment: float) -> Drive:
        while self.now < moment:
            self.step()
        return self

    def step(self) -> None:
        """Fill the window, and let the next answer come."""
        while len(self.flying) < self.window.size:
            verdict, seconds = self.service(len(self.flying), self.now, number := next(self.numbers))
            heapq.heappush(self.flying, (self.now + seconds, number, self.now, verdict))
        in_flight = len(self.flying)
        self.now, _, started, verdict = heapq.heappop(self.flying)
        before = self.window.size
        self.window.ended(verdict, self.now - started, in_flight, self.now)
        if self.window.size < before:
            self.halved.append((self.now, started))
        self.sizes.append(self.window.size)
        self.verdicts.append(verdict)
        self.seconds.append(self.now - started)


def steady(seconds: float) -> Service:
    return lambda in_flight, now, number: (Verdict.ACCEPTED, seconds)


def jitter(number: int) -> float:
    """From 0.9 to 1.1, alike in every run."""
    return 0.9 + (number * 7919 % 101) / 505


def test_it_grows_to_its_maximum_in_a_few_round_trips() -> None:
    drive = Drive(Window(32, 256), steady(0.1)).run(2000)
    assert drive.sizes[-1] == 256
    reached = drive.sizes.index(256)
    assert reached < 2 * 256, "it doubles with each round trip"


@settings(deadline=None, max_examples=20)
@given(bearable=st.integers(16, 200), seconds=st.floats(0.001, 0.5))
def test_it_settles_below_what_a_service_bears_that_refuses_more(bearable: int, seconds: float) -> None:
    def service(in_flight: int, now: float, number: int) -> tuple[Verdict, float]:
        taken = in_flight < bearable
        return (Verdict.ACCEPTED if taken else Verdict.THROTTLED), seconds * jitter(number)

    drive = Drive(Window(32, 256), service).run(8000)
    late = drive.sizes[3000:]
    assert max(late) <= bearable * 1.25 + 2
    assert sum(late) / len(late) >= bearable / 2.5, "and uses what there is"
    refused = drive.verdicts[3000:].count(Verdict.THROTTLED) / len(late)
    # What was started in the round trip before the first refusal came back, in each climb from half of it.
    assert refused < 0.05 + 2.7 / bearable


@settings(deadline=None, max_examples=20)
@given(per_second=st.integers(20, 5000), floor=st.floats(0.001, 0.2))
def test_it_does_not_build_a_queue_at_a_service_that_is_slower(per_second: int, floor: float) -> None:
    """A service with one counter: what it cannot serve at once waits there."""
    free_at = 0.0

    def service(in_flight: int, now: float, number: int) -> tuple[Verdict, float]:
        nonlocal free_at
        free_at = max(free_at, now) + 1 / per_second
        return Verdict.ACCEPTED, floor + free_at - now

    drive = Drive(Window(32, 256), service).run(4000)
    begun = drive.now
    late = drive.run(4000).seconds[4000:]
    bearable = SLOW_TIMES * (floor + 1 / per_second) + SLOW_SECONDS
    least = floor + (SLOW_WINDOW_MIN + 1) / per_second  # slowness alone makes it no smaller
    assert sum(late) / len(late) <= max(bearable, least) * 1.5
    possible = min(per_second, 256 / (floor + 1 / per_second))
    assert len(late) / (drive.now - begun) > 0.7 * possible, "and the service is not left idle"


def test_one_mailbox_in_a_hundred_that_is_throttled_slows_nobody() -> None:
    def service(in_flight: int, now: float, number: int) -> tuple[Verdict, float]:
        return (Verdict.THROTTLED if number % 100 == 99 else Verdict.ACCEPTED), 0.05 * jitter(number)

    drive = Drive(Window(32, 256), service).run(30_000)
    assert min(drive.sizes[10_000:]) > 128


def test_a_service_that_throttles_everything_is_sent_one_at_a_time_and_comes_back() -> None:
    def service(in_flight: int, now: float, number: int) -> tuple[Verdict, float]:
        return (Verdict.THROTTLED if 5 <= now < 15 else Verdict.ACCEPTED), 0.05

    drive = Drive(Window(32, 256), service).until(14)
    assert drive.window.size == 1
    drive.until(40)
    assert drive.window.size > 128


@pytest.mark.parametrize("verdict", [Verdict.THROTTLED, Verdict.TRANSIENT])
def test_a_burst_of_refusals_is_one_piece_of_news(verdict: Verdict) -> None:
    window = Window(64, 256)
    for _ in range(64):
        window.ended(verdict, 1.0, 64, 100.0)
    assert window.size == 32


@given(
    st.integers(1, 100),
    st.integers(1, 300),
    st.lists(
        st.tuples(st.sampled_from(Verdict), st.floats(0, 40), st.floats(0, 90), st.integers(1, 400)),
        max_size=400,
    ),
)
def test_whatever_happens_it_stays_between_one_and_its_maximum(
    start: int, most: int, answers: list[tuple[Verdict, float, float, int]]
) -> None:
    window, now = Window(start, most), 0.0
    for verdict, seconds, between, in_flight in answers:
        now += between
        window.ended(verdict, seconds, in_flight, now)
        assert 1 <= window.size <= most


@settings(deadline=None, max_examples=30)
@given(
    kinds=st.lists(
        st.tuples(st.sampled_from([Verdict.ACCEPTED, Verdict.THROTTLED, Verdict.TRANSIENT]), st.floats(0.001, 3.0)),
        min_size=1,
        max_size=50,
    )
)
def test_it_is_halved_at_most_once_in_a_round_trip(kinds: list[tuple[Verdict, float]]) -> None:
    drive = Drive(Window(32, 256), lambda in_flight, now, number: kinds[number % len(kinds)])
    while len(drive.sizes) < 2000 and drive.now < FLOOR_SECONDS:  # then it looks for its floor, which is no halving
        drive.step()
    for (before, _), (_, started) in itertools.pairwise(drive.halved):
        assert started >= before - 1e-6, "what was in flight when it was halved tells nothing new"


def test_a_window_that_is_not_used_does_not_grow() -> None:
    window = Window(32, 256)
    for number in range(1000):
        window.ended(Verdict.ACCEPTED, 0.01, 3, number * 0.01)
    assert window.size == 32


def test_our_own_refusal_of_an_address_teaches_nothing() -> None:
    window = Window(32, 256)
    for number in range(1000):
        window.ended(Verdict.REFUSED_ENDPOINT, 0.0, 32, number * 0.01)
    assert (window.size, window.floor_seconds) == (32, math.inf)


@pytest.mark.parametrize("verdict", [Verdict.GONE, Verdict.BAD_REQUEST, Verdict.SUSPECT, Verdict.TOO_LARGE])
def test_an_answer_that_refuses_one_message_is_an_answer(verdict: Verdict) -> None:
    drive = Drive(Window(32, 256), lambda in_flight, now, number: (verdict, 0.05)).run(2000)
    assert drive.sizes[-1] == 256


def test_slowness_alone_does_not_stop_a_lane() -> None:
    def service(in_flight: int, now: float, number: int) -> tuple[Verdict, float]:
        return Verdict.ACCEPTED, 0.02 if now < 5 else 5.0

    drive = Drive(Window(32, 256), service).until(200)
    assert SLOW_WINDOW_MIN // 2 <= drive.window.size <= SLOW_WINDOW_MIN * 2


def test_a_queue_of_its_own_making_never_becomes_its_measure() -> None:
    """At a service of twenty a second that has nobody else: after an hour the queue is as short as at first."""
    free_at = 0.0

    def service(in_flight: int, now: float, number: int) -> tuple[Verdict, float]:
        nonlocal free_at
        free_at = max(free_at, now) + 0.05
        return Verdict.ACCEPTED, 0.01 + free_at - now

    drive = Drive(Window(32, 256), service).until(3600)
    assert max(drive.sizes[-2000:]) <= SLOW_WINDOW_MIN * 2
    assert drive.window.floor_seconds < 0.2


def test_it_looks_for_its_floor_without_losing_what_it_had() -> None:
    drive = Drive(Window(32, 256), steady(0.5)).until(FLOOR_SECONDS - 1)
    assert drive.window.size == 256
    seen = len(drive.sizes)
    drive.until(FLOOR_SECONDS + 5)
    looking = sum(size < 256 for size in drive.sizes[seen:])
    assert 0 < looking < 256 + 10, "what was in flight, and a few answers more"
    assert drive.window.size == 256


def test_the_floor_is_forgotten_in_time() -> None:
    """A route that became longer for good is no longer slow after ten minutes."""
    drive = Drive(Window(32, 256), lambda in_flight, now, number: (Verdict.ACCEPTED, 0.02 if now < 5 else 0.5))
    drive.until(60)
    slow = drive.window.size
    assert slow < 32
    drive.until(5 + 2 * FLOOR_SECONDS + 60)
    assert drive.window.floor_seconds == pytest.approx(0.5)
    assert drive.window.size > 4 * slow


def test_after_idleness_it_begins_again_but_not_above_what_was_learnt() -> None:
    grown = Drive(Window(32, 256), steady(0.05)).run(2000).window
    grown.idled()
    assert grown.size == 32
    small = Window(32, 256)
    small.ended(Verdict.TRANSIENT, 1.0, 1, 10.0)
    for _ in range(32 // TROUBLE_SHARE):
        small.ended(Verdict.TRANSIENT, 1.0, 1, 10.0)
    small.idled()
    assert small.size == 16


@given(
    per_second=st.floats(0.2, 5000),
    hurries=st.lists(st.booleans(), min_size=1, max_size=20),
)
def test_a_bucket_lets_no_more_through_than_its_rate_and_one_burst(per_second: float, hurries: list[bool]) -> None:
    now = 1000.0
    bucket = Bucket(per_second, now)
    for sent in range(1, 401):
        now += bucket.wait_seconds(now, hurry=hurries[sent % len(hurries)])
        bucket.take(now)
        burst = max(1.0, per_second * BURST_SECONDS)
        assert sent <= burst + (now - 1000.0) * per_second + 1e-3
    assert now - 1000.0 <= (400 + 1) / per_second + 1e-6, "and no fewer"


def test_a_bucket_keeps_some_for_what_is_in_a_hurry() -> None:
    bucket, now = Bucket(400.0, 0.0), 0.0
    while bucket.wait_seconds(now, hurry=False) == 0.0:
        bucket.take(now)
    left = 0
    while bucket.wait_seconds(now, hurry=True) == 0.0:
        bucket.take(now)
        left += 1
    assert left == 25


def test_a_bucket_whose_rate_changes_goes_on_with_the_new_one() -> None:
    bucket = Bucket(1000.0, 0.0)
    bucket.change(10.0, 0.0)
    sent = 0
    for tick in range(1000):
        while bucket.wait_seconds(tick / 100, hurry=True) == 0.0:
            bucket.take(tick / 100)
            sent += 1
    assert sent == 102  # ten seconds' worth, and what it held: no more than it holds now


@pytest.mark.parametrize("name", ["in_flight_max", "window_max", "reserved_max", "stranger_lanes_max"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_a_limit_that_is_no_whole_number_above_zero_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=name):
        LaneLimits(**{name: value})  # type: ignore[arg-type]


def test_a_window_that_starts_above_its_maximum_is_refused() -> None:
    with pytest.raises(InvalidInput, match="window_start must be at most window_max, 16"):
        LaneLimits(window_start=17, window_max=16)


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, True, "3"])
def test_a_rate_that_is_no_number_above_zero_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="origin_per_second_max must be a number above 0"):
        Rates(origin_per_second_max=value)  # type: ignore[arg-type]


def fail(window: Window, now: float, *, times: int = 1) -> float:
    """So many messages start and fail within a tenth of a second; when nothing more is to start until."""
    for _ in range(times):
        window.ended(Verdict.TRANSIENT, 0.1, times, now + 0.1)
    return window.pauses_until - now - 0.1


def test_what_fails_all_the_time_is_left_alone_for_longer_and_longer() -> None:
    window, now, pauses = Window(32, 256), 0.0, []
    assert fail(window, now, times=DEAD_FAILURES - 1) == -math.inf
    for _ in range(7):
        pauses.append(fail(window, now, times=5))
        now = window.pauses_until
    expected = [min(PAUSE_SECONDS_MIN * 2.0**n, PAUSE_SECONDS_MAX) for n in range(7)]
    assert pauses == pytest.approx(expected), "once for each round, however many there were"
    assert pauses[-1] == PAUSE_SECONDS_MAX < IDLE_SECONDS


@pytest.mark.parametrize("verdict", [Verdict.ACCEPTED, Verdict.THROTTLED, Verdict.GONE])
def test_any_answer_says_that_it_lives(verdict: Verdict) -> None:
    window = Window(32, 256)
    until = 0.1 + fail(window, 0.0, times=DEAD_FAILURES) + 0.0
    window.ended(verdict, 0.1, 1, until + 1)
    assert fail(window, until + 2, times=DEAD_FAILURES - 1) < 0
    assert fail(window, until + 3) == pytest.approx(PAUSE_SECONDS_MIN), "and it begins anew"


def test_one_that_fails_now_and_then_and_is_alone_stops_nobody() -> None:
    window = Window(32, 256)
    for number in range(3 * DEAD_FAILURES):
        window.idled()
        assert fail(window, 3600.0 * number) == -math.inf


def test_a_service_of_which_half_fails_is_not_taken_for_dead() -> None:
    window = Window(32, 256)
    for number in range(1000):
        window.ended(Verdict.TRANSIENT if number % 2 else Verdict.ACCEPTED, 0.1, 8, number / 10)
    assert window.pauses_until == -math.inf
