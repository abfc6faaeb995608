"""When a message may start: windows, slots in reserve, strangers, rests, rates, and one lane's trouble for others."""

from __future__ import annotations

import gc
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.app.lanes import LANES_KEPT_MAX, RESTS_KEPT_MAX, Lane, Lanes
from pushkeep.domain.pacing import DEAD_FAILURES, IDLE_SECONDS, PAUSE_SECONDS_MIN, LaneLimits, Rates
from pushkeep.domain.sending import Priority
from pushkeep.protocol.vendors import label_of
from pushkeep.protocol.verdict import Verdict
from tests.store.doubles import FakeClock

FCM = "https://fcm.googleapis.com"
MOZILLA = "https://updates.push.services.mozilla.com"
APPLE = "https://web.push.apple.com"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000.0)


def made(clock: FakeClock, rates: Rates | None = None, **limits: int) -> Lanes:
    return Lanes(LaneLimits(**limits), rates or Rates(), clock.monotonic)


def fill(lane: Lane, priority: Priority, clock: FakeClock, *, most: int = 10_000) -> int:
    """Start messages until no further one may; how many it were."""
    count = 0
    while count < most and lane.may_start(priority, clock.time) == 0.0:
        lane.started(priority, clock.time)
        count += 1
    return count


def stranger(lanes: Lanes, number: int) -> Lane:
    return lanes.lane(f"https://push{number}.example.org", "unknown")


def test_messages_start_until_the_window_is_full_and_again_when_one_has_ended(clock: FakeClock) -> None:
    lane = made(clock, window_start=16).lane(FCM, "fcm")
    assert fill(lane, Priority.NORMAL, clock) == 14
    assert lane.may_start(Priority.NORMAL, clock.time) == math.inf
    lane.ended(Priority.NORMAL, None, 0.1, clock.time)
    assert lane.may_start(Priority.NORMAL, clock.time) == 0.0
    assert lane.in_flight == 13


@pytest.mark.parametrize("bulk", [Priority.NORMAL, Priority.BULK])
def test_slots_of_every_lane_are_kept_for_transactional_messages(clock: FakeClock, bulk: Priority) -> None:
    lane = made(clock, window_start=64).lane(FCM, "fcm")
    assert fill(lane, bulk, clock) == 56
    assert lane.room(bulk) == 0
    assert lane.room(Priority.TRANSACTIONAL) == 8
    assert fill(lane, Priority.TRANSACTIONAL, clock) == 8
    assert lane.in_flight == lane.window


def test_a_window_of_one_still_lets_a_transactional_message_go_beside_a_broadcast(clock: FakeClock) -> None:
    lane = made(clock, window_start=1).lane(FCM, "fcm")
    assert fill(lane, Priority.BULK, clock) == 1
    assert fill(lane, Priority.TRANSACTIONAL, clock) == 1


def test_a_lane_learns_from_what_ends(clock: FakeClock) -> None:
    lane = made(clock, window_start=16).lane(FCM, "fcm")
    for _ in range(2):
        lane.started(Priority.NORMAL, clock.time)
    clock.time += 1
    for _ in range(2):
        lane.ended(Priority.NORMAL, Verdict.THROTTLED, 1.0, clock.time)
    assert lane.window == 8
    lane.started(Priority.NORMAL, clock.time)
    lane.ended(Priority.NORMAL, None, 1.0, clock.time)
    assert (lane.window, lane.in_flight) == (8, 0), "what was given up teaches nothing"


def test_a_lane_that_was_idle_begins_again(clock: FakeClock) -> None:
    lane = made(clock, window_start=4).lane(FCM, "fcm")
    for _ in range(60):
        count = fill(lane, Priority.NORMAL, clock)
        clock.time += 0.05
        for _ in range(count):
            lane.ended(Priority.NORMAL, Verdict.ACCEPTED, 0.05, clock.time)
    assert lane.window > 100
    clock.time += IDLE_SECONDS
    lane.started(Priority.NORMAL, clock.time)
    assert lane.window == 4


def test_a_lane_that_hangs_leaves_room_for_the_others(clock: FakeClock) -> None:
    """Three that never answer hold no more than their part, and whoever comes then finds the rest."""
    lanes = made(clock, window_start=256, in_flight_max=512)
    for origin, vendor in ((FCM, "fcm"), (MOZILLA, "mozilla"), ("https://wns2.notify.windows.com", "wns")):
        fill(lanes.lane(origin, vendor), Priority.NORMAL, clock)
    assert lanes.in_flight < 480
    assert fill(lanes.lane(APPLE, "apple"), Priority.NORMAL, clock) >= 16


def test_the_process_keeps_slots_for_transactional_messages_too(clock: FakeClock) -> None:
    lanes = made(clock, window_start=256, in_flight_max=512)
    for number in range(40):
        fill(lanes.lane(f"https://wns{number}.notify.windows.com", "wns"), Priority.BULK, clock)
    assert fill(lanes.lane(APPLE, "apple"), Priority.BULK, clock) == 0
    assert fill(lanes.lane(APPLE, "apple"), Priority.TRANSACTIONAL, clock) >= 16


def test_nothing_starts_while_a_push_service_rests(clock: FakeClock) -> None:
    lanes = made(clock)
    lane = lanes.lane(FCM, "fcm")
    lane.rest_until(clock.time + 10)
    lane.rest_until(clock.time + 5)
    assert lane.may_start(Priority.TRANSACTIONAL, clock.time) == 10
    assert lanes.lane(MOZILLA, "mozilla").may_start(Priority.NORMAL, clock.time) == 0.0
    assert lanes.resting(clock.time) == {FCM}
    clock.time += 10
    assert lane.may_start(Priority.NORMAL, clock.time) == 0.0
    assert lanes.resting(clock.time) == frozenset()


def test_a_rest_outlives_its_lane(clock: FakeClock) -> None:
    lanes = made(clock, stranger_lanes_max=1)
    lanes.rest("https://push0.example.org", clock.time + 10)
    assert stranger(lanes, 0).may_start(Priority.NORMAL, clock.time) == 10
    stranger(lanes, 1)
    gc.collect()
    assert lanes.stranger_origins() == ("https://push1.example.org",)
    lanes.rest("https://push0.example.org", clock.time + 3)
    assert stranger(lanes, 0).may_start(Priority.NORMAL, clock.time) == 10
    assert lanes.rests_until("https://push0.example.org") == clock.time + 10


def test_no_more_rests_are_remembered_than_a_thousand(clock: FakeClock) -> None:
    lanes = made(clock)
    for number in range(RESTS_KEPT_MAX + 10):
        lanes.rest(f"https://push{number}.example.org", clock.time + 60)
    known = [number for number in range(RESTS_KEPT_MAX + 10) if stranger(lanes, number).rests_until > clock.time]
    assert len(known) == RESTS_KEPT_MAX
    assert known[0] == 10


def test_a_lane_is_one_object_as_long_as_anybody_holds_it(clock: FakeClock) -> None:
    lanes = made(clock, stranger_lanes_max=2)
    held = stranger(lanes, 0)
    for number in range(1, 10):
        stranger(lanes, number)
    assert "https://push0.example.org" not in lanes.stranger_origins()
    assert stranger(lanes, 0) is held


def test_lanes_of_known_push_services_are_bounded_too(clock: FakeClock) -> None:
    """Whole domains belong to them, and an endpoint may name any host there."""
    lanes = made(clock)
    for number in range(LANES_KEPT_MAX + 50):
        lanes.lane(f"https://h{number}.notify.windows.com", "wns")
    gc.collect()
    in_flight, window = lanes.figures()["wns"]
    assert (in_flight, window) == (0, LANES_KEPT_MAX * LaneLimits().window_start)


def test_a_stranger_has_a_small_lane_however_well_it_answers(clock: FakeClock) -> None:
    lane = stranger(made(clock), 0)
    for _ in range(50):
        count = fill(lane, Priority.NORMAL, clock)
        assert count == 3
        clock.time += 0.01
        for _ in range(count):
            lane.ended(Priority.NORMAL, Verdict.ACCEPTED, 0.01, clock.time)
    assert fill(lane, Priority.TRANSACTIONAL, clock) == 4


def test_strangers_share_few_lanes_and_idle_ones_give_way(clock: FakeClock) -> None:
    lanes = made(clock, stranger_lanes_max=3)
    first, second, third, fourth = (stranger(lanes, number) for number in range(4))
    assert lanes.stranger_origins() == tuple(sorted(lane.origin for lane in (second, third, fourth)))
    assert lanes.stranger_lanes_free == 3
    for lane in (second, third, fourth):
        assert fill(lane, Priority.NORMAL, clock, most=1) == 1
    assert lanes.stranger_lanes_free == 0
    assert first.may_start(Priority.NORMAL, clock.time) == math.inf
    third.ended(Priority.NORMAL, Verdict.ACCEPTED, 0.1, clock.time)
    assert lanes.stranger_lanes_free == 1
    assert first.may_start(Priority.NORMAL, clock.time) == 0.0
    assert len(lanes.stranger_origins()) == 3
    assert third.may_start(Priority.NORMAL, clock.time) == 0.0, "first is idle, and gives way in turn"


def test_strangers_together_have_little_of_the_process(clock: FakeClock) -> None:
    lanes = made(clock, strangers_in_flight_max=16, stranger_lanes_max=1000)
    started = sum(fill(stranger(lanes, number), Priority.NORMAL, clock) for number in range(100))
    assert started == 14
    assert sum(fill(stranger(lanes, number), Priority.TRANSACTIONAL, clock) for number in range(100)) == 2
    assert fill(lanes.lane(FCM, "fcm"), Priority.NORMAL, clock) > 14


@pytest.mark.parametrize(
    ("vendor", "label"),
    [("fcm", "fcm"), ("wns", "wns"), ("unknown", "other"), ("unifiedpush", "other"), ("?", "other")],
)
def test_what_strangers_are_called_together(clock: FakeClock, vendor: str, label: str) -> None:
    assert made(clock).lane("https://push.example.org", vendor).label == label == label_of(vendor)


def test_figures_are_sums_over_a_vendor_s_lanes(clock: FakeClock) -> None:
    lanes = made(clock, window_start=16)
    held = [lanes.lane(f"https://wns{number}.notify.windows.com", "wns") for number in range(2)]
    fill(held[0], Priority.NORMAL, clock, most=3)
    fill(stranger(lanes, 0), Priority.NORMAL, clock, most=1)
    assert lanes.figures() == {"wns": (3, 32), "other": (1, 4)}


def test_a_push_service_where_everything_fails_is_left_alone_for_a_while(clock: FakeClock) -> None:
    lanes = made(clock)
    lane = lanes.lane(FCM, "fcm")
    for _ in range(DEAD_FAILURES):
        lane.started(Priority.NORMAL, clock.time)
    clock.time += 1
    for _ in range(DEAD_FAILURES):
        lane.ended(Priority.NORMAL, Verdict.TRANSIENT, 1.0, clock.time)
    assert lane.may_start(Priority.TRANSACTIONAL, clock.time) == PAUSE_SECONDS_MIN
    assert lanes.resting(clock.time) == {FCM}
    assert lanes.rests_until(FCM) < clock.time, "nobody asked for it, and other processes find out for themselves"
    lane.rest_until(clock.time + 0.5)
    assert lane.may_start(Priority.NORMAL, clock.time) == PAUSE_SECONDS_MIN
    clock.time += PAUSE_SECONDS_MIN
    assert fill(lane, Priority.NORMAL, clock) > 0
    assert lanes.resting(clock.time) == frozenset()


def sent_within(
    lanes: Lanes, seconds: int, clock: FakeClock, *, project_id: int | None = None, origin: str = FCM
) -> int:
    """How many messages start where each is answered at once."""
    lane, count, end = lanes.lane(origin, "fcm"), 0, clock.time + seconds
    while True:
        wait = lane.may_start(Priority.NORMAL, clock.time, project_id)
        if clock.time + wait >= end:
            return count
        clock.time += wait
        if wait == 0.0:
            lane.started(Priority.NORMAL, clock.time, project_id)
            lane.ended(Priority.NORMAL, Verdict.ACCEPTED, 0.0, clock.time)
            count += 1


def test_a_rate_holds_for_each_push_service(clock: FakeClock) -> None:
    lanes = made(clock, Rates(origin_per_second_max=50))
    assert 500 <= sent_within(lanes, 10, clock) <= 513
    assert 500 <= sent_within(lanes, 10, clock, origin=MOZILLA) <= 513


def test_a_rate_of_the_installation_is_shared_by_its_workers(clock: FakeClock) -> None:
    lanes = made(clock, Rates(origin_per_second_max=50))
    lanes.share(5)
    assert 99 <= sent_within(lanes, 10, clock) <= 104
    lanes.share(0)  # the others left, and so did our own report: we are there all the same
    assert 490 <= sent_within(lanes, 10, clock) <= 513


def test_a_project_s_rate_holds_over_all_push_services_and_for_it_alone(clock: FakeClock) -> None:
    lanes = made(clock, Rates(project_per_second_max=20))
    assert 200 <= sent_within(lanes, 10, clock, project_id=1) <= 206
    assert sent_within(lanes, 1, clock, project_id=1, origin=MOZILLA) <= 21
    assert sent_within(lanes, 1, clock, project_id=2) >= 20
    assert fill(lanes.lane(FCM, "fcm"), Priority.NORMAL, clock) > 20, "without a project there is no limit of one"


def test_a_rate_keeps_tokens_for_transactional_messages(clock: FakeClock) -> None:
    lanes = made(clock, Rates(origin_per_second_max=100), window_start=256)
    lane = lanes.lane(FCM, "fcm")
    assert 15 <= fill(lane, Priority.BULK, clock) <= 20
    wait = lane.may_start(Priority.BULK, clock.time)
    assert 0 < wait <= 0.02
    assert fill(lane, Priority.TRANSACTIONAL, clock) >= 5


@given(
    st.lists(
        st.tuples(st.integers(0, 11), st.sampled_from(Priority), st.booleans(), st.sampled_from([*Verdict, None])),
        max_size=300,
    )
)
def test_whatever_starts_and_ends_no_limit_is_passed(
    steps: list[tuple[int, Priority, bool, Verdict | None]],
) -> None:
    clock = FakeClock(0.0)
    limits = LaneLimits(
        in_flight_max=24,
        window_start=4,
        window_max=12,
        stranger_in_flight_max=3,
        strangers_in_flight_max=6,
        stranger_lanes_max=2,
    )
    lanes = Lanes(limits, Rates(), clock.monotonic)
    flying: dict[int, list[Priority]] = {}
    for number, priority, starts, verdict in steps:
        clock.time += 0.01
        known = number < 6
        lane = lanes.lane(f"https://push{number}.example.org", "fcm" if known else "unknown")
        mine = flying.setdefault(number, [])
        if starts and lane.may_start(priority, clock.time) == 0.0:
            lane.started(priority, clock.time)
            mine.append(priority)
            assert lane.in_flight <= max(lane.window, 2)
        elif not starts and mine:
            lane.ended(mine.pop(), verdict, 0.005, clock.time)
        strangers = {number: len(held) for number, held in flying.items() if number >= 6 and held}
        assert len(strangers) <= 2
        assert sum(strangers.values()) <= 6
        assert max(strangers.values(), default=0) <= 3
        assert lanes.in_flight == sum(len(held) for held in flying.values()) <= 24
