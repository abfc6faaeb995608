"""A push service that is down, and a probe that is slow to be allowed: what the engine does not do meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushkeep.domain.notification import Target
from pushkeep.domain.pacing import PAUSE_SECONDS_MAX
from tests.engine.push_services import FCM, MOZILLA, Manner
from tests.engine.world import World, simulated


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with simulated(12, tmp_path) as world:
        yield world


def test_a_push_service_that_is_down_is_asked_seldom_and_costs_nobody_an_attempt(world: World) -> None:
    for number in range(300):
        world.subscribe(f"m{number}", MOZILLA)
    world.push.manners[MOZILLA] = Manner("fail")
    node = world.start_worker()
    sent = world.accept(Target.everyone(), ttl=3600)
    world.advance(600.0)
    assert len(world.push.record) < 200, "most of them have not been tried at all"
    late = [posted for posted in world.push.record if posted.at > 300]
    assert 300 / PAUSE_SECONDS_MAX / 2 <= len(late) <= 300 / PAUSE_SECONDS_MAX * 4
    world.push.manners.clear()
    world.advance(PAUSE_SECONDS_MAX + 10)
    assert world.counts(sent)["accepted"] > 200, "and it is found out soon that it is back"
    assert node.worker.figures()["leased"] == 0
    world.finish()
    assert Counter(posted.name for posted in world.push.record if posted.took) == Counter(
        f"m{number}" for number in range(300)
    )


def test_a_message_that_comes_while_a_push_service_is_down_is_tried_before_its_deadline(world: World) -> None:
    for number in range(100):
        world.subscribe(f"m{number}", MOZILLA)
    world.push.manners[MOZILLA] = Manner("fail")
    world.start_worker()
    world.accept(Target.everyone(), ttl=3600)
    world.advance(200.0)
    for _ in range(3):
        before = len(world.push.record)
        hurried = world.accept(Target.to_subscriptions([world.public_id("m7")]), priority="transactional", ttl=0)
        world.advance(50.0)
        assert hurried in [posted.notification_id for posted in world.push.record[before:]]


def test_a_probe_that_is_allowed_too_late_is_not_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.subscribe("one", FCM)
    world.push.manners[FCM] = Manner("refuse_token")
    node = world.start_worker()
    sent = world.accept(Target.everyone(), ttl=3600)
    world.advance(5.0)
    world.push.manners.clear()
    began, asked = len(world.push.record), asyncio.Event()
    take_probe = node.services.store.take_probe

    async def slowly(key_id: int, origin: str) -> bool:
        asked.set()
        await asyncio.sleep(3.0)
        return await take_probe(key_id, origin)

    monkeypatch.setattr(node.mortal, "take_probe", slowly, raising=False)
    while not asked.is_set():
        world.advance(0.5)
    world.pause(sent)
    world.advance(10.0)
    assert len(world.push.record) == began, "it was paused meanwhile"
    monkeypatch.undo()
    world.resume(sent)
    world.finish()
    assert [posted.took for posted in world.push.record] == [False, True]
