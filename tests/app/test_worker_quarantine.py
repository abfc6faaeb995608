"""What becomes of a subscription that is refused again and again: quarantine and probes before any end.

Days pass between the messages; each message is a real one that is due anyway.
"""

from __future__ import annotations

import logging

import pytest

from pushkeep.domain import event as facts
from pushkeep.domain.action import Action
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.shard import Kind
from pushkeep.domain.subscription import Event, State, SubscriptionRecord
from pushkeep.protocol.answer import TransportFailure
from tests.app.conftest import Sent, World, answer
from tests.store.samples import subscription

FCM = "fcm.googleapis.com"
DAY = 86_400
DOUBT, GONE, TAKEN = answer(404), answer(410), answer(201)


async def record_of(world: World) -> SubscriptionRecord:
    (record,) = await world.records()
    return record


async def days_later(world: World, days: float) -> Sent:
    world.clock.time += days * DAY
    return await world.send()


async def in_quarantine(world: World) -> None:
    """One subscription that its push service has doubted on three different days."""
    await world.register(subscription("one", host=FCM))
    world.transport.script["one"] = [DOUBT]
    for _ in range(3):
        await days_later(world, 1)
    assert (await record_of(world)).state is State.QUARANTINED
    world.transport.sent.clear()


async def test_a_suspect_is_quarantined_on_the_third_different_day(world: World) -> None:
    await world.register(subscription("one", host=FCM))
    world.transport.script["one"] = [DOUBT]
    for day in range(2):
        for _ in range(3):
            assert (await world.send()).only.action == Action.FAIL, "one day counts once"
        record = await record_of(world)
        assert (record.state, len(record.suspect_days)) == (State.FAILING, day + 1)
        world.clock.time += DAY
    sent = await world.send()
    record = await record_of(world)
    assert (sent.only.kind, sent.only.action) == (Kind.SUSPECT, Action.QUARANTINE)
    assert (record.state, record.probe_at, record.probes) == (State.QUARANTINED, world.clock.time + DAY, 0)
    assert record.state_reason is not None
    assert (record.state_reason.cause, record.state_reason.status) == (Event.QUARANTINED, 404)


async def test_an_accepted_message_takes_every_doubt_away(world: World) -> None:
    await world.register(subscription("one", host=FCM))
    for day in range(5):
        world.transport.script["one"] = [DOUBT if day != 2 else TAKEN]
        assert (await world.send()).only.kind is (Kind.SUSPECT if day != 2 else Kind.ACCEPTED)
        world.clock.time += DAY
    record = await record_of(world)
    assert (record.state, len(record.suspect_days)) == (State.FAILING, 2)
    world.transport.script["one"] = [TAKEN]
    await world.send()
    record = await record_of(world)
    assert (record.state, record.suspect_days, record.state_reason) == (State.ACTIVE, frozenset(), None)


async def test_in_quarantine_it_is_sent_nothing_until_its_probe_is_due(world: World) -> None:
    await in_quarantine(world)
    for _ in range(5):
        assert (await world.send()).only.kind is Kind.SKIPPED_QUARANTINED
    assert (await days_later(world, 0.99)).only.kind is Kind.SKIPPED_QUARANTINED
    assert world.transport.sent == []
    assert (await days_later(world, 0.01)).only.kind is Kind.SUSPECT
    assert len(world.transport.sent) == 1


async def test_a_probe_that_is_accepted_makes_it_active_again(world: World) -> None:
    await in_quarantine(world)
    world.transport.script["one"] = [TAKEN]
    sent = await days_later(world, 1)
    record = await record_of(world)
    assert (sent.only.kind, record.state, record.probe_at, record.probes) == (Kind.ACCEPTED, State.ACTIVE, None, 0)
    assert record.suspect_days == frozenset()
    assert (await world.send()).only.kind is Kind.ACCEPTED


async def test_it_ends_only_when_the_third_probe_is_refused_at_growing_distances(world: World) -> None:
    await in_quarantine(world)
    actions = []
    for days in (1, 3, 7):
        assert (await days_later(world, days - 0.01)).only.kind is Kind.SKIPPED_QUARANTINED
        sent = await days_later(world, 0.01)
        actions.append((sent.only.kind, sent.only.action, (await record_of(world)).probes))
    assert actions == [
        (Kind.SUSPECT, Action.QUARANTINE, 1),
        (Kind.SUSPECT, Action.QUARANTINE, 2),
        (Kind.SUSPECT, Action.END, 2),
    ]
    record = await record_of(world)
    assert record.state_reason is not None
    assert (record.state, record.state_reason.cause) == (State.GONE, Event.SAID_GONE)
    assert len(world.transport.sent) == 3


async def test_at_a_probe_a_stated_gone_ends_at_once(world: World) -> None:
    await in_quarantine(world)
    world.transport.script["one"] = [GONE]
    assert (await days_later(world, 1)).only.action == Action.END
    assert (await record_of(world)).state is State.GONE


async def test_a_probe_that_fails_by_what_passes_is_not_counted_and_comes_again_a_day_later(world: World) -> None:
    await in_quarantine(world)
    world.transport.script["one"] = [answer(503)]
    sent = await days_later(world, 1)
    record = await record_of(world)
    assert (sent.only.kind, sent.only.action) == (Kind.TRANSIENT, Action.QUARANTINE)
    assert (record.state, record.probes) == (State.QUARANTINED, 0)
    assert record.probe_at == pytest.approx(world.clock.time + DAY, abs=60), "counted from the last attempt"
    assert (await world.send()).only.kind is Kind.SKIPPED_QUARANTINED
    world.transport.script["one"] = [TAKEN]
    assert (await days_later(world, 1.01)).only.kind is Kind.ACCEPTED


async def test_messages_let_through_at_once_are_one_probe(world: World) -> None:
    """Otherwise one bad minute with three campaigns in it would end what three weeks shall decide."""
    await in_quarantine(world)
    world.clock.time += DAY
    accepted = [await world.accept() for _ in range(4)]
    await world.work()
    kinds = [(await world.sent(one)).only.kind for one in accepted]
    record = await record_of(world)
    assert kinds.count(Kind.SUSPECT) >= 2, "they were under way together"
    assert (record.state, record.probes, record.probe_at) == (State.QUARANTINED, 1, world.clock.time + 3 * DAY)


async def test_a_message_started_before_the_quarantine_leaves_it_as_it_is(world: World) -> None:
    """Its answer comes late, and knows nothing of a probe: it must not take the next one away."""
    await world.register(subscription("one", host=FCM))
    world.transport.script["one"] = [DOUBT]
    for _ in range(2):
        await days_later(world, 1)
    world.clock.time += DAY
    accepted = [await world.accept() for _ in range(3)]
    world.transport.script["one"] = [DOUBT, answer(503), DOUBT]
    for one in accepted:
        await world.finish(one)
    record = await record_of(world)
    assert (record.state, record.probes) == (State.QUARANTINED, 0)
    assert record.probe_at is not None


async def test_throttling_says_nothing_about_a_subscription_in_quarantine(world: World) -> None:
    await in_quarantine(world)
    world.transport.script["one"] = [answer(429, headers={"retry-after": "90"}), TAKEN]
    assert (await days_later(world, 1)).only.action == Action.FAIL_BLAMELESS
    record = await record_of(world)
    assert (record.state, record.probes) == (State.QUARANTINED, 0)
    world.clock.time += 90
    assert (await world.send()).only.kind is Kind.ACCEPTED, "the next one is the probe"


async def test_what_a_storm_called_gone_is_quarantined_on_the_third_day_and_not_ended(world: World) -> None:
    for number in range(250):
        await world.register(f"s{number}")
        world.transport.script[f"s{number}"] = [GONE]
    for day in range(3):
        expected = State.FAILING if day else State.ACTIVE
        assert {record.state for record in await world.records()} == {expected}, day
        await world.send()
        world.clock.time += DAY
    assert {record.state for record in await world.records()} == {State.QUARANTINED}
    world.transport.script.clear()
    world.clock.time += 1
    assert (await world.send()).account.counts == {Kind.ACCEPTED: 250}, "it was the push service"
    assert {record.state for record in await world.records()} == {State.ACTIVE}


async def test_a_refused_address_is_told_quarantined_and_never_dialled_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world = world.with_policy(EndpointPolicy(allowed_origins=frozenset({"https://push.example.net"})))
    await world.register(subscription("one", host="push.example.net"))
    world.transport.script["one"] = [TransportFailure("refused_address", "private"), TAKEN]
    sent = await world.send()
    assert (sent.only.kind, sent.only.action) == (Kind.REFUSED_ENDPOINT, Action.QUARANTINE)
    assert "push.example.net: an endpoint leads to an address that is not public" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING
    record = await record_of(world)
    assert (record.state, record.probe_at) == (State.QUARANTINED, None)
    for _ in range(3):
        assert (await days_later(world, 30)).only.kind is Kind.SKIPPED_QUARANTINED
    assert len(world.transport.sent) == 1


async def test_an_endpoint_that_turns_out_to_lead_inside_at_its_probe_is_not_probed_again(world: World) -> None:
    await in_quarantine(world)
    world.transport.script["one"] = [TransportFailure("refused_address", "private"), TAKEN]
    assert (await days_later(world, 1)).only.kind is Kind.REFUSED_ENDPOINT
    record = await record_of(world)
    assert record.state_reason is not None
    assert (record.state, record.probe_at, record.state_reason.verdict) == (State.QUARANTINED, None, "refused_endpoint")
    assert (await days_later(world, 30)).only.kind is Kind.SKIPPED_QUARANTINED


async def test_moves_are_announced_and_steady_states_are_not(world: World) -> None:
    await world.register(subscription("one", host=FCM))
    heard: list[facts.SubscriptionsMoved] = []
    world.services.announcer.listen(
        lambda event: heard.append(event) if isinstance(event, facts.SubscriptionsMoved) else None
    )
    for script in (TAKEN, DOUBT, DOUBT, TAKEN, TAKEN, DOUBT, DOUBT, DOUBT, TAKEN, GONE):
        world.transport.script["one"] = [script]
        await days_later(world, 1)
    assert {event.vendor for event in heard} == {"fcm"}
    assert [event.events for event in heard] == [
        {Event.FAILED: 1},
        {Event.ACCEPTED: 1},
        {Event.FAILED: 1},
        {Event.QUARANTINED: 1},
        {Event.ACCEPTED: 1},
        {Event.SAID_GONE: 1},
    ]
