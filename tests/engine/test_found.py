"""What histories have found, each as the plain story that it was."""

from __future__ import annotations

from pathlib import Path

from pushkeep.domain.notification import Target
from tests.engine.history import NARROW
from tests.engine.push_services import FCM, MOZILLA, STRANGERS, Manner
from tests.engine.world import simulated


def test_who_was_replaced_by_a_browser_elsewhere_is_sent_to_there(tmp_path: Path) -> None:
    """It was posted in the old push service's lane, and the answer was read by that one's row."""
    with simulated(1, tmp_path) as world:
        world.subscribe("old", FCM)
        world.subscribe("other", FCM)
        sent = world.accept(Target.everyone())
        world.subscribe("new", STRANGERS[0], replaces="old")
        world.push.manners[STRANGERS[0]] = Manner("gone")
        world.start_worker()
        world.advance(5)
        assert world.counts(sent) == {"accepted": 1, "gone": 1}
        assert [(posted.name, posted.kind) for posted in world.push.record if posted.name != "other"] == [
            ("new", "gone")
        ], "FCM's row would have asked three times"
        world.finish()


def test_who_moved_on_while_waiting_for_another_attempt_is_sent_to_there(tmp_path: Path) -> None:
    with simulated(2, tmp_path) as world:
        world.subscribe("old", FCM, owner="ann")
        world.push.manners[FCM] = Manner("throttle", retry_after=20)
        world.start_worker()
        sent = world.accept(Target.to_contacts(["ann"]), ttl=600)
        world.advance(2)
        world.subscribe("new", MOZILLA, replaces="old", owner="ann")
        world.advance(30)
        assert world.counts(sent) == {"accepted": 1}
        (first, second) = world.push.record
        assert (first.name, second.name) == ("old", "new")
        world.finish()


def test_what_was_loaded_and_waited_for_room_is_looked_at_again(tmp_path: Path) -> None:
    """Answers take three seconds and one message goes at a time: what was loaded with the first is stale by then."""
    with simulated(3, tmp_path) as world:
        for number in range(12):
            world.subscribe(f"b{number}", FCM)
        world.push.manners[FCM] = Manner(seconds=(3.0, 3.0))
        world.start_worker(limits=NARROW)
        sent = world.accept(Target.everyone(), ttl=600)
        world.advance(1.0)
        for number in range(2, 8):
            world.unsubscribe(f"b{number}")
        world.advance(60)
        world.check()
        assert world.counts(sent) == {"accepted": 6, "skipped_ended": 6}
        world.finish()
