"""Which requests a fault hits: by seed, fault, subscription and number, whatever arrives first."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.pushservice.faults import Fault
from pushkeep.pushservice.faults.decision import Active, Schedule, fires

LINES = ["status=503 chance=0.5", "hang times=2 after=1", "fcm reset every=2", "slow=1 chance=0.3", "sub:a close"]
SUBSCRIPTIONS = {"a": "fcm", "b": "mozilla", "c": "apple", "d": None}


def schedule(seed: int = 7, lines: list[str] = LINES) -> Schedule:
    made = Schedule(seed, counters_max=100)
    for number, line in enumerate(lines):
        made.active[str(number)] = Active(str(number), Fault.parse(line), added_at=1000.0)
    return made


def decisions(made: Schedule, arrivals: list[str]) -> dict[tuple[str, int], list[tuple[str, int]]]:
    """By subscription and its n-th request: which faults hit, as their ids and numbers."""
    seen: Counter[str] = Counter()
    found = {}
    for subscription_id in arrivals:
        seen[subscription_id] += 1
        hits = made.next(vendor=SUBSCRIPTIONS[subscription_id], subscription_id=subscription_id, now=1000.0)
        found[subscription_id, seen[subscription_id]] = [(hit.active.id, hit.number) for hit in hits]
    return found


@given(
    st.lists(st.sampled_from(sorted(SUBSCRIPTIONS)), max_size=40).flatmap(
        lambda a: st.tuples(st.just(a), st.permutations(a))
    ),
    st.integers(),
)
def test_decisions_do_not_depend_on_the_order_of_arrival(orders: tuple[list[str], list[str]], seed: int) -> None:
    first, second = orders
    assert decisions(schedule(seed), first) == decisions(schedule(seed), second)


def test_a_seed_repeats_and_another_seed_differs() -> None:
    arrivals = list(SUBSCRIPTIONS) * 10
    assert decisions(schedule(1), arrivals) == decisions(schedule(1), arrivals)
    assert decisions(schedule(1), arrivals) != decisions(schedule(2), arrivals)


@pytest.mark.parametrize(
    ("line", "hit"),
    [
        ("hang", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("hang times=3", [1, 2, 3]),
        ("hang after=2", [3, 4, 5, 6, 7, 8]),
        ("hang every=3", [3, 6]),
        ("hang after=1 times=2 every=2", [3, 5]),
        ("hang chance=0", []),
        ("hang chance=1", [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_which_requests(line: str, hit: list[int]) -> None:
    made = schedule(lines=[line])
    found = decisions(made, ["b"] * 8)
    assert [number for (_, number), hits in found.items() if hits] == hit
    assert made.active["0"].hits == len(hit)


def test_for_ends_after_its_seconds() -> None:
    fault = Fault.parse("hang for=10")
    assert [fires(fault, seed=0, subscription_id="a", number=1, age_seconds=age) for age in (0, 9.9, 10, 11)] == [
        True,
        True,
        False,
        False,
    ]


@given(st.floats(0.05, 0.95), st.integers())
def test_a_chance_is_about_what_it_says(chance: float, seed: int) -> None:
    fault = Fault.parse(f"hang chance={chance:.6f}")
    hits = sum(fires(fault, seed=seed, subscription_id=str(n), number=1, age_seconds=0) for n in range(1000))
    assert abs(hits / 1000 - chance) < 0.1  # more than six standard deviations


def test_passing_faults_add_up_and_the_first_of_the_others_ends_it() -> None:
    made = schedule(lines=["slow=1", "status=503", "hang", "slow=2", "mozilla lose"])
    hits = made.next(vendor="fcm", subscription_id="a", now=1000)
    assert [str(hit.fault) for hit in hits] == ["slow=1", "slow=2", "status=503"]
    assert [active.hits for active in made.active.values()] == [1, 1, 0, 1, 0]


def test_every_subscription_has_its_own_count() -> None:
    made = schedule(lines=["hang times=1"])
    assert [bool(made.next(vendor=None, subscription_id=s, now=1000)) for s in "aabb"] == [True, False, True, False]


def test_the_lowest_stream_limit_counts_while_it_lasts() -> None:
    made = schedule(lines=["stream-limit=5", "stream-limit=2 for=10"])
    assert made.stream_limit(1005) == 2
    assert made.stream_limit(1010) == 5
    assert made.next(vendor="fcm", subscription_id="a", now=1000) == []
    made.active.clear()
    assert made.stream_limit(1005) is None


def test_counting_is_bounded() -> None:
    made = schedule(lines=["hang times=1"])
    for number in range(1000):
        made.next(vendor=None, subscription_id=str(number), now=1000)
    assert len(made.active["0"].numbers) == 100


def test_counting_is_bounded_for_all_faults_together_and_the_one_that_counts_most_forgets() -> None:
    made = schedule(lines=["apple hang", "hang times=1", "hang chance=0.5"])
    for number in range(20):
        made.next(vendor="apple", subscription_id=f"a{number}", now=1000)
    for number in range(1000):
        made.next(vendor="fcm", subscription_id=str(number), now=1000)
    counted = [len(active.numbers) for active in made.active.values()]
    assert sum(counted) == 100
    assert counted[0] == 20
    assert "a0" in made.active["0"].numbers
    assert list(made.active["1"].numbers)[-1] == "999"
