"""What a worker does with its time: rates it keeps, leases it renews, sleep it finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pushkeep.domain.notification import Target
from pushkeep.domain.pacing import Rates
from tests.engine.push_services import FCM, MOZILLA, STRANGERS, Manner
from tests.engine.world import Node, World, simulated


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with simulated(11, tmp_path) as world:
        yield world


def calls_of(node: Node) -> Counter[str]:
    """How often a process asks its store for what, from now on."""
    counted: Counter[str] = Counter()
    mortal, ask = node.mortal, type(node.mortal)._mortal

    def counting(method: Any) -> Any:
        counted[method.__name__] += 1
        return ask(mortal, method)

    mortal._mortal = counting  # type: ignore[method-assign]
    return counted


def test_a_rate_is_kept_and_used(world: World) -> None:
    for number in range(60):
        world.subscribe(f"m{number}", MOZILLA)
        world.subscribe(f"f{number}", FCM)
    world.start_worker(rates=Rates(origin_per_second_max=10.0))
    world.accept(Target.everyone(), ttl=600)
    world.finish()
    for origin in (MOZILLA, FCM):
        times = sorted(posted.at for posted in world.push.record if posted.origin == origin)
        assert len(times) == 60
        most = max(sum(start <= at < start + 1.0 for at in times) for start in times)
        assert most <= 13, "a second's worth and what a bucket holds"
        assert times[-1] - times[0] <= 7.0, "and no slower than it may"


def test_a_projects_rate_is_shared_by_all_its_push_services(world: World) -> None:
    for number in range(30):
        world.subscribe(f"m{number}", MOZILLA)
        world.subscribe(f"f{number}", FCM)
    world.start_worker(rates=Rates(project_per_second_max=10.0))
    world.accept(Target.everyone(), ttl=600)
    world.finish()
    times = sorted(posted.at for posted in world.push.record)
    assert len(times) == 60
    assert 5.0 <= times[-1] - times[0] <= 8.0


def test_a_push_service_that_hangs_costs_no_lease_and_no_second_message(world: World) -> None:
    for number in range(20):
        world.subscribe(f"m{number}", MOZILLA)
    world.start_worker()
    world.push.manners[MOZILLA] = Manner("hang")
    world.accept(Target.everyone(), ttl=600)
    world.advance(29.0)
    first = len(world.push.record)
    world.advance(40.0)
    world.push.manners.clear()
    world.finish()
    rows = world.spy.rows("SELECT takeovers FROM shards")
    assert {takeovers for (takeovers,) in rows} == {0}, "renewed while it waited"
    assert first >= 8
    assert Counter(posted.name for posted in world.push.record if posted.took) == Counter(
        f"m{number}" for number in range(20)
    )


def test_a_worker_with_nothing_to_do_asks_seldom(world: World) -> None:
    world.subscribe("one", MOZILLA)
    node = world.start_worker()
    world.accept(Target.everyone(), send_at=world.loop.time() + 1_800_000_000.0 + 3000)
    world.advance(10.0)
    counted = calls_of(node)
    world.advance(100.0)
    assert counted["claim"] <= 60
    assert counted["sweep"] <= 21
    assert counted["load"] == counted["checkpoint"] == 0


def test_what_is_due_later_begins_on_time(world: World) -> None:
    world.subscribe("one", MOZILLA)
    world.start_worker()
    due = world.loop.time() + 1234.5
    world.accept(Target.everyone(), send_at=due + 1_800_000_000.0)
    world.finish()
    (posted,) = world.push.record
    assert due <= posted.at <= due + 1.0


def test_strangers_share_a_small_budget_and_all_have_their_turn(world: World) -> None:
    for origin in STRANGERS:
        for number in range(15):
            world.subscribe(f"{origin[8:13]}-{number}", origin)
        world.push.manners[origin] = Manner(seconds=(0.5, 1.0))
    world.start_worker()
    world.accept(Target.everyone(), ttl=600)
    world.finish()
    for origin in STRANGERS:
        posted = [one for one in world.push.record if one.origin == origin]
        assert len(posted) == 15
        for one in posted:
            under_way = sum(
                other.at <= one.at and (other.heard_at is None or other.heard_at > one.at) for other in posted
            )
            assert under_way <= 4


def test_a_worker_that_is_stopped_hands_over_at_once(world: World) -> None:
    for number in range(50):
        world.subscribe(f"m{number}", MOZILLA)
    world.push.manners[MOZILLA] = Manner(seconds=(1.0, 2.0))
    first = world.start_worker()
    world.accept(Target.everyone(), ttl=600)
    world.advance(0.5)
    first.worker.stop()
    world.advance(5.0)
    assert first.ended
    began = len(world.push.record)
    assert 0 < began < 50
    second = world.start_worker()
    world.advance(5.0)
    assert len(world.push.record) > began, "no lease had to run out"
    second.process.go_on()
    world.finish()
    assert len(world.push.record) == 50, "nobody twice"
