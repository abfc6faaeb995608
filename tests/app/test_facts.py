"""What is announced on a notification's way: each fact where it happened, and its end once."""

from __future__ import annotations

from collections import Counter

from pushkeep.app.control import cancel
from pushkeep.domain import event as facts
from pushkeep.domain.event import Event
from pushkeep.domain.notification import Target
from pushkeep.domain.sending import NotificationState, Priority
from pushkeep.domain.shard import Kind
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.verdict import Verdict
from tests.app.conftest import World, answer


def heard(world: World) -> list[Event]:
    events: list[Event] = []
    world.services.announcer.listen(events.append)
    return events


async def test_a_message_s_way_from_its_acceptance_to_its_end(world: World) -> None:
    registered = await world.register("one")
    events = heard(world)
    sent = await world.send(registered.public_id)
    kinds = [type(event) for event in events]
    assert kinds == [
        facts.NotificationAccepted,
        facts.WorkerStarted,
        facts.ShardLeased,
        facts.AttemptEnded,
        facts.CheckpointWritten,
        facts.NotificationFinished,
        facts.WorkerStopped,
    ]
    assert events[0] == facts.NotificationAccepted(sent.public_id, Priority.NORMAL, 1)
    assert events[2] == facts.ShardLeased("mozilla", Priority.NORMAL, 1, False)
    attempt, written, finished = events[3], events[4], events[5]
    assert isinstance(attempt, facts.AttemptEnded)
    assert (attempt.vendor, attempt.verdict) == ("mozilla", Verdict.ACCEPTED)
    assert isinstance(written, facts.CheckpointWritten)
    assert written.settled == {Kind.ACCEPTED: 1}
    assert isinstance(finished, facts.NotificationFinished)
    assert (finished.notification_id, finished.state) == (sent.public_id, NotificationState.DONE)


async def test_a_message_that_is_tried_again_ends_once(world: World) -> None:
    registered = await world.register("one")
    world.transport.script["one"] = [answer(503), answer(503), answer(201)]
    events = heard(world)
    await world.send(registered.public_id)
    counted = Counter(type(event) for event in events)
    assert counted[facts.AttemptEnded] == 3
    assert counted[facts.NotificationFinished] == 1
    settled = sum((Counter(event.settled) for event in events if isinstance(event, facts.CheckpointWritten)), Counter())
    assert settled == {Kind.ACCEPTED: 1, Kind.MOVED: 2}


async def test_what_is_cancelled_before_its_time_ends_at_once(world: World) -> None:
    registered = await world.register("one")
    accepted = await world.accept(registered.public_id, send_at=world.clock.now() + 3600)
    events = heard(world)
    await cancel(world.services, world.project, accepted.record.public_id)
    (finished,) = events
    assert isinstance(finished, facts.NotificationFinished)
    assert (finished.state, dict(finished.counts)) == (NotificationState.CANCELLED, {Kind.CANCELLED: 1})


async def test_a_push_service_that_throttles_rests_and_is_announced_once(world: World) -> None:
    ids = [(await world.register(f"s{number}")).public_id for number in range(30)]
    for number in range(30):
        world.transport.script[f"s{number}"] = [answer(429, headers={"retry-after": "30"}), answer(201)]
    events = heard(world)
    sent = await world.send(*ids, options=PushOptions.of(ttl=86_400))
    assert set(sent.kinds) == {Kind.ACCEPTED}
    rests = [event for event in events if isinstance(event, facts.LaneRested)]
    assert len(rests) == 1
    assert (rests[0].vendor, rests[0].seconds) == ("mozilla", 30.0)


async def test_an_audience_is_planned_page_by_page(world: World) -> None:
    for number in range(3):
        await world.register(f"s{number}")
    accepted = await world.accept(target=Target.everyone(), send_at=world.clock.now() + 1)
    events = heard(world)
    world.clock.time += 1
    await world.finish(accepted)
    planned = [event for event in events if isinstance(event, facts.PagePlanned)]
    assert [(page.recipients, page.complete) for page in planned] == [(3, True)]
    assert sum(isinstance(event, facts.NotificationFinished) for event in events) == 1
