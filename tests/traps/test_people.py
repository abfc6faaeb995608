"""Traps 32 to 37: what goes wrong elsewhere with consent, with who is to be forgotten, and with keys that change."""

from __future__ import annotations

from pathlib import Path

import pytest

from pushkeep.domain.consent import Basis
from pushkeep.domain.notification import Target
from pushkeep.ports.secrets import SecretKind
from tests.engine.push_services import FCM, MOZILLA, Manner
from tests.engine.world import World, simulated


def _sent_for_news(world: World) -> set[str]:
    """Who gets a notification for the purpose ``news`` now."""
    before = len(world.push.record)
    world.accept(Target.everyone(), purpose="news")
    world.advance(10)
    world.check()
    return {posted.name for posted in world.push.record[before:]}


def _agreed(world: World, *names: str) -> None:
    world.declare("news", Basis.CONSENT)
    for name in names:
        world.subscribe(name, FCM, owner=name)
        world.say("news", True, name=name)
    world.start_worker()


def test_trap_32_a_new_user_of_a_browser_has_not_agreed_to_what_the_one_before_did(tmp_path: Path) -> None:
    with simulated(1, tmp_path) as world:
        _agreed(world, "ann")
        assert _sent_for_news(world) == {"ann"}
        world.subscribe("ann", FCM, owner="bob")
        assert _sent_for_news(world) == set()
        world.subscribe("ann", FCM, owner="ann")
        assert _sent_for_news(world) == {"ann"}
        world.finish()


def test_trap_33_a_withdrawal_holds_in_the_subscription_that_replaces_the_old_one(tmp_path: Path) -> None:
    """Whoever keys consent by the endpoint asks everybody anew at each renewal, or forgets that they said no."""
    with simulated(2, tmp_path) as world:
        _agreed(world, "ann", "bob")
        world.say("news", False, name="ann")
        for name in ("ann", "bob"):
            world.subscribe(f"{name}-new", MOZILLA, replaces=name, owner=name)
        assert _sent_for_news(world) == {"bob-new"}
        world.finish()


def test_trap_34_a_withdrawal_stops_what_is_already_on_its_way_to_the_last_hundred(tmp_path: Path) -> None:
    with simulated(3, tmp_path) as world:
        _agreed(world, *(f"c{number}" for number in range(8)))
        world.push.manners[FCM] = Manner("throttle", retry_after=30)
        sent = world.accept(Target.everyone(), purpose="news", ttl=3600)
        world.advance(5)
        for number in range(8):
            world.say("news", False, contact=f"c{number}")
        world.push.manners.clear()
        world.advance(120)
        assert world.counts(sent) == {"skipped_consent": 8}
        world.finish()


def test_trap_35_the_number_of_who_was_erased_is_nobody_elses_later(tmp_path: Path) -> None:
    """A queue that still names it would tell the next person."""
    with simulated(4, tmp_path) as world:
        world.subscribe("ann", FCM, owner="ann")
        sent = world.accept(Target.to_contacts(["ann"]), send_at=world.office.clock.now() + 60)
        world.erase("ann")
        world.subscribe("bob", FCM, owner="bob")
        assert world.rows["bob"] != world.rows["ann"]
        world.start_worker()
        world.advance(120)
        assert world.state(sent) == "cancelled"
        assert not world.push.record
        world.finish()


def test_trap_36_a_backup_from_before_brings_nobody_back_who_was_erased_since(tmp_path: Path) -> None:
    with simulated(5, tmp_path) as world:
        _agreed(world, "ann", "bob")
        copy = world.back_up()
        world.advance(1)
        world.erase("ann")
        world.restore(copy)
        world.start_worker()
        assert _sent_for_news(world) == {"bob"}
        assert not world.spy.rows("SELECT 1 FROM contacts WHERE external_id = 'ann'")
        world.finish()


@pytest.mark.parametrize("kind", [SecretKind.DATA, SecretKind.LOOKUP])
def test_trap_37_a_change_of_keys_that_stops_half_way_loses_and_doubles_nobody(
    tmp_path: Path, kind: SecretKind
) -> None:
    with simulated(6, tmp_path) as world:
        names = [f"c{number}" for number in range(12)]
        _agreed(world, *names)
        world.rotate_secret(kind)
        world.remake(1)  # of three
        before = dict(world.rows)
        for name in names:  # whichever key their hash is of
            world.subscribe(name, FCM, owner=name)
        assert world.rows == before
        assert _sent_for_news(world) == set(names)
        world.remake_all()
        assert _sent_for_news(world) == set(names)
        world.finish()
