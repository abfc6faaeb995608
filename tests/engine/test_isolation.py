"""One push service's trouble is nobody else's: measured in virtual time, where nothing but the engine decides."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pushkeep.app.worker import WorkerLimits
from pushkeep.domain.notification import Target
from pushkeep.domain.pacing import LaneLimits
from tests.engine.push_services import APPLE, FCM, MOZILLA, WNS, Manner, Posted
from tests.engine.world import World, simulated

PER_ORIGIN = 250
LIMITS = WorkerLimits(lanes=LaneLimits(window_start=8, window_max=16))
"""Small windows, so that a few hundred messages take the ten seconds that the trouble lasts."""

USUAL = Manner(seconds=(0.2, 0.4))
TROUBLE_SECONDS = 10.0
ORIGINS = (FCM, MOZILLA, APPLE, WNS)


@pytest.fixture(scope="module")
def audience(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A database with subscriptions at four push services; copied for every run."""
    with simulated(1, tmp_path_factory.mktemp("audience"), lawful=False) as world:
        for number in range(PER_ORIGIN):
            for origin in ORIGINS:
                world.subscribe(f"b{number}-{ORIGINS.index(origin)}", origin)
    return world


def _broadcast(audience: World, directory: Path, troubled: str | None = None, trouble: Manner = USUAL) -> World:
    """A broadcast to everybody, with ten seconds of trouble at one push service."""
    directory.mkdir()
    with _crowd(audience, directory) as world:
        world.push.manners = dict.fromkeys(ORIGINS, USUAL)
        if troubled is not None:
            world.push.manners[troubled] = trouble
        world.start_worker(limits=LIMITS)
        world.accept(Target.everyone(), ttl=3600)
        world.advance(TROUBLE_SECONDS)
        world.push.manners = dict.fromkeys(ORIGINS, USUAL)
        world.finish()
    return world


@contextlib.contextmanager
def _crowd(audience: World, directory: Path) -> Iterator[World]:
    with simulated(2, directory, audience.path, lawful=False) as world:
        world.rows.update(audience.rows)
        yield world


def _finished_at(world: World, origin: str) -> float:
    return max(posted.heard_at or 0.0 for posted in world.push.record if posted.origin == origin and posted.took)


def _at(world: World, origin: str) -> list[Posted]:
    return [posted for posted in world.push.record if posted.origin == origin]


TROUBLES = {
    "throttled, each mailbox for itself or soon as a whole": (MOZILLA, Manner("throttle", retry_after=10)),
    "throttled as a whole": (WNS, Manner("throttle", retry_after=10)),
    "hanging": (MOZILLA, Manner("hang")),
    "resetting": (FCM, Manner("reset", seconds=(0.01, 0.02))),
    "failing": (APPLE, Manner("fail", seconds=(0.2, 0.4))),
}


@pytest.fixture(scope="module")
def undisturbed(audience: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    return _broadcast(audience, tmp_path_factory.mktemp("undisturbed") / "run")


def test_without_trouble_everybody_is_reached_once(undisturbed: World) -> None:
    assert len(undisturbed.push.record) == PER_ORIGIN * len(ORIGINS)
    assert {posted.took for posted in undisturbed.push.record} == {True}


@pytest.mark.parametrize("name", TROUBLES)
def test_others_are_as_quick_as_without_its_trouble(
    name: str, audience: World, undisturbed: World, tmp_path: Path
) -> None:
    troubled, manner = TROUBLES[name]
    world = _broadcast(audience, tmp_path / "run", troubled, manner)
    for origin in ORIGINS:
        assert len({posted.name for posted in _at(world, origin) if posted.took}) == PER_ORIGIN, "nobody is lost"
        if origin != troubled:
            assert _finished_at(world, origin) <= 1.1 * _finished_at(undisturbed, origin)
            assert len(_at(world, origin)) == PER_ORIGIN


@pytest.mark.parametrize("name", ["throttled, each mailbox for itself or soon as a whole", "throttled as a whole"])
def test_nothing_starts_to_a_push_service_that_asked_for_patience(name: str, audience: World, tmp_path: Path) -> None:
    troubled, manner = TROUBLES[name]
    world = _broadcast(audience, tmp_path / "run", troubled, manner)
    refused = [posted for posted in _at(world, troubled) if posted.kind == "throttle"]
    heard = sorted(posted.heard_at or 0.0 for posted in refused)
    known_at = heard[0 if troubled == WNS else 9]  # elsewhere ten mailboxes speak for the whole
    during = [posted.at for posted in _at(world, troubled) if known_at < posted.at < known_at + 10]
    assert during == []
    assert len(refused) <= 2 * LIMITS.lanes.window_max, "a window or two learnt it, and not the crowd"


def test_what_is_urgent_does_not_wait_behind_a_broadcast(audience: World, tmp_path: Path) -> None:
    def waits(world: World) -> list[float]:
        found = []
        for number in range(12):
            asked_at = world.loop.time()
            before = len(world.push.record)
            name = f"b{number * 7}-{number % 4}"
            sent = world.accept(Target.to_subscriptions([world.public_id(name)]), priority="transactional", ttl=60)
            world.advance(0.5)
            (posted,) = [p for p in world.push.record[before:] if p.notification_id == sent]
            found.append(posted.at - asked_at)
        return found

    (tmp_path / "alone").mkdir()
    (tmp_path / "beside").mkdir()
    with _crowd(audience, tmp_path / "alone") as world:
        world.push.manners = dict.fromkeys(ORIGINS, USUAL)
        world.start_worker(limits=LIMITS)
        world.advance(1)
        alone = waits(world)
    with _crowd(audience, tmp_path / "beside") as world:
        world.push.manners = dict.fromkeys(ORIGINS, USUAL)
        world.start_worker(limits=LIMITS)
        world.accept(Target.everyone(), ttl=3600)
        world.advance(1)
        beside = waits(world)
        assert len(world.push.record) > 400, "the broadcast was under way"
    assert max(beside) <= max(alone) + 0.1
