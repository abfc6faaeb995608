"""Token buckets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import RateLimited
from pushkeep.web.rate_limit import RateLimiter, client_key, network_of


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_then_says_exactly_when_the_next_one_will() -> None:
    clock = Clock()
    limiter = RateLimiter(per_minute=60, burst=3, monotonic=clock)
    for _ in range(3):
        limiter.take("192.0.2.1")
    with pytest.raises(RateLimited) as caught:
        limiter.take("192.0.2.1")
    assert caught.value.retry_after_seconds == pytest.approx(1.0)
    clock.now += caught.value.retry_after_seconds
    limiter.take("192.0.2.1")


def test_a_refused_request_costs_nothing() -> None:
    clock = Clock()
    limiter = RateLimiter(per_minute=60, burst=1, monotonic=clock)
    limiter.take("a")
    for _ in range(100):
        with pytest.raises(RateLimited):
            limiter.take("a")
    clock.now += 1.0
    limiter.take("a")


def test_addresses_do_not_share_a_bucket_but_an_ipv6_network_does() -> None:
    limiter = RateLimiter(per_minute=1, burst=1, monotonic=Clock())
    limiter.take("192.0.2.1")
    limiter.take("192.0.2.2")
    limiter.take("2001:db8:0:1::1")
    with pytest.raises(RateLimited):
        limiter.take("2001:db8:0:1:ffff::2")
    limiter.take("2001:db8:0:2::1")


def test_an_ipv4_client_on_an_ipv6_socket_is_the_ipv4_client() -> None:
    assert client_key("::ffff:192.0.2.1") == client_key("192.0.2.1") == "192.0.2.1"
    assert client_key("fe80::1%eth0") == "fe80::/64"


def test_buckets_are_bounded_and_the_least_recently_used_goes() -> None:
    limiter = RateLimiter(per_minute=1, burst=1, monotonic=Clock(), clients_max=3)
    for number in range(4):
        limiter.take(f"192.0.2.{number}")
    assert len(limiter) == 3
    limiter.take("192.0.2.0")  # forgotten, so it has a full bucket again
    with pytest.raises(RateLimited):
        limiter.take("192.0.2.3")


@given(st.lists(st.floats(min_value=0, max_value=30), min_size=1, max_size=60))
def test_never_more_than_burst_plus_rate_times_time(waits: list[float]) -> None:
    clock = Clock()
    limiter = RateLimiter(per_minute=30, burst=5, monotonic=clock)
    passed = 0
    for wait in waits:
        clock.now += wait
        try:
            limiter.take("a")
        except RateLimited:
            continue
        passed += 1
    assert passed <= 5 + sum(waits) * 0.5 + 1e-6


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("unknown", "-"),
    ],
)
def test_logs_get_a_network_not_a_person(address: str, network: str) -> None:
    assert network_of(address) == network
