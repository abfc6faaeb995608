"""What histories have found, each as the plain story that it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from pushkeep.domain.consent import Basis
from pushkeep.domain.notification import Target
from pushkeep.ports.secrets import SecretKind
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


def test_of_who_is_erased_while_a_message_is_under_way_no_outcome_is_kept(tmp_path: Path) -> None:
    """The answer came after the erasure, and the checkpoint wrote down what became of somebody who is not there."""
    with simulated(4, tmp_path) as world:
        world.subscribe("anns", FCM, owner="ann")
        world.subscribe("bobs", FCM, owner="bob")
        world.push.manners[FCM] = Manner(seconds=(3.0, 3.0))
        world.start_worker()
        world.accept(Target.to_contacts(["ann", "bob"]))
        world.advance(1.0)
        world.erase("ann")
        world.advance(10)
        assert len(world.push.record) == 2
        kept = world.spy.rows("SELECT subscription_id FROM recipient_outcomes")
        assert kept == [(world.rows["bobs"],)]
        world.finish()


def test_who_withdraws_is_told_nothing_more_and_a_restored_copy_brings_nobody_back(tmp_path: Path) -> None:
    with simulated(5, tmp_path) as world:
        world.declare("news", Basis.CONSENT)
        for name in ("anns", "bobs", "eves"):
            world.subscribe(name, FCM, owner=name)
            world.say("news", True, name=name)
        copy = world.back_up()
        world.advance(1.0)
        world.erase("anns")
        world.say("news", False, contact="bobs")
        world.start_worker()
        sent = world.accept(Target.everyone(), purpose="news")
        world.advance(5)
        assert world.counts(sent) == {"accepted": 1, "skipped_consent": 1}
        world.restore(copy)
        assert not world.known("anns")
        world.start_worker()
        world.accept(Target.everyone(), purpose="news")
        world.finish()
        assert "anns" not in {posted.name for posted in world.push.record}


@pytest.mark.parametrize("kind", [SecretKind.DATA, SecretKind.LOOKUP])
def test_a_process_that_stood_still_while_a_key_went_uses_the_new_one(tmp_path: Path, kind: SecretKind) -> None:
    with simulated(6, tmp_path) as world:
        for number in range(12):
            world.subscribe(f"b{number}", FCM, owner="ann")
        node = world.start_worker()
        world.advance(1.0)
        node.process.stop()
        world.rotate_secret(kind)
        world.remake_all()
        node.process.go_on()
        before = dict(world.rows)
        for number in range(12):
            world.subscribe(f"b{number}", FCM, owner="bob")
        assert world.rows == before, "nobody is stored twice"
        sent = world.accept(Target.everyone(), by=node)
        world.finish()
        assert world.counts(sent) == {"accepted": 12}


def test_an_answer_that_comes_between_two_pages_of_an_erasure_leaves_no_outcome(tmp_path: Path) -> None:
    """Outcomes were taken away first, then another was written, then the row went that it was about."""
    with simulated(7, tmp_path) as world:
        world.subscribe("anns", FCM, owner="ann")
        world.push.manners[FCM] = Manner("refuse", seconds=(3.0, 3.0))
        world.start_worker()
        world.accept(Target.everyone())
        world.advance(1.0)
        store, project = world.office.store, world.project
        world.laws.erasing.add(1)
        subject = world.run(store.find_subject(project, contact="ann"))
        assert subject is not None
        world.run(store.stop_subject(project, subject))
        world.run(store.erase_messages(project, subject, after=0, limit=100))
        world.advance(10)
        world.run(store.erase_subscriptions(project, subject, limit=100))
        assert not world.spy.rows("SELECT * FROM recipient_outcomes")
        world.finish()
