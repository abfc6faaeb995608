"""What is done about answers, seen from outside: what is sent again and when, held back, kept and told."""

import itertools

import pytest

from pushkeep.app.worker import WorkerLimits
from pushkeep.domain.action import Action
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.pacing import LaneLimits
from pushkeep.domain.shard import Kind
from pushkeep.domain.subscription import Event, State, StateReason
from pushkeep.protocol.answer import TransportFailure
from pushkeep.protocol.request import PushOptions, PushRequest
from tests.app.conftest import World, answer
from tests.store.samples import subscription

APPLE, FCM, WNS = "web.push.apple.com", "fcm.googleapis.com", "wns2-ln2p.notify.windows.com"
THREE_AT_ONCE = WorkerLimits(LaneLimits(window_start=3, window_max=3, reserved_max=1))
GONE_BODY = (
    b'{"code": 410, "errno": 106, "error": "Gone", "message": "No such subscription", '
    b'"more_info": "https://example.com/106"}'
)


def headers(request: PushRequest) -> dict[str, str]:
    return dict(request.headers)


@pytest.fixture
def times(world: World) -> list[float]:
    """When each attempt began."""
    found: list[float] = []

    async def note(_: PushRequest) -> None:
        found.append(world.clock.time)

    world.transport.before_answer = note
    return found


async def test_a_passing_fault_is_tried_again_with_growing_waits(world: World, times: list[float]) -> None:
    await world.register()
    world.transport.script["one"] = [answer(503), answer(502), answer(201)]
    sent = await world.send()
    assert (sent.only.kind, sent.only.attempts) == (Kind.ACCEPTED, 3)
    first, second, third = times
    assert 0 < second - first <= 2
    assert 0 < third - second <= 3
    bodies = {request.body for request in world.transport.sent}
    assert len(bodies) == 3, "each attempt is encrypted afresh"
    lives = [int(headers(request)["TTL"]) for request in world.transport.sent]
    assert lives == [60 - round(moment - first) for moment in times], "none outlives the deadline"


async def test_a_fault_that_stays_is_given_up_at_the_deadline_and_counted_once(
    world: World, times: list[float]
) -> None:
    await world.register()
    world.transport.script["one"] = [answer(503)]
    sent = await world.send()
    assert sent.only.kind is Kind.TRANSIENT
    assert 3 <= sent.only.attempts == len(times) <= 24
    assert max(times) < times[0] + 60
    assert (await world.records())[0].consecutive_failures == 1


async def test_attempts_have_an_end_though_the_deadline_is_weeks_away(world: World, times: list[float]) -> None:
    await world.register()
    world.transport.script["one"] = [answer(503)]
    sent = await world.send(options=PushOptions.of(ttl=28 * 86_400))
    assert (sent.only.kind, sent.only.attempts, len(times)) == (Kind.TRANSIENT, 24, 24)
    assert times[-1] - times[0] > 3600, "hours were waited for"


async def test_retry_after_is_waited_for_and_never_past_the_deadline(world: World, times: list[float]) -> None:
    await world.register()
    world.transport.script["one"] = [answer(429, headers={"retry-after": "30"}), answer(201)]
    sent = await world.send()
    assert sent.only.kind is Kind.ACCEPTED
    assert 30 <= times[1] - times[0] <= 31
    world.transport.script["one"] = [answer(429, headers={"retry-after": "90"})]
    sent = await world.send()
    assert (sent.only.kind, sent.only.action, len(times)) == (Kind.THROTTLED, Action.FAIL_BLAMELESS, 3)
    assert sent.only.retry_after == 90


async def test_apples_bad_topic_is_sent_once_more_without_it_at_once(world: World, times: list[float]) -> None:
    await world.register(subscription("one", host=APPLE))
    world.transport.script["one"] = [answer(400, b'{"reason":"BadWebPushTopic"}'), answer(201)]
    sent = await world.send()
    first, second = world.transport.sent
    assert (sent.only.kind, sent.only.attempts) == (Kind.ACCEPTED, 2)
    assert ("Topic" in headers(first), "Topic" in headers(second)) == (True, False)
    assert times[0] == times[1]


async def test_a_remedy_that_does_not_help_is_not_tried_twice(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("one", "two"):
        await world.register(subscription(name, host=APPLE))
        world.transport.script[name] = [answer(400, b'{"reason":"BadWebPushTopic"}')]
    sent = await world.send()
    assert sent.kinds == [Kind.BAD_REQUEST, Kind.BAD_REQUEST]
    assert len(world.transport.sent) == 4
    assert [record.consecutive_failures for record in await world.records()] == [0, 0]
    assert len([line for line in caplog.messages if "refuses the message itself" in line]) == 1, "told once"


async def test_a_remedy_that_changes_nothing_is_not_tried(world: World) -> None:
    await world.register(subscription("one", host=APPLE))
    world.transport.script["one"] = [answer(400, b'{"reason":"BadWebPushTopic"}')]
    sent = await world.send(options=PushOptions.of(ttl=60))
    assert (sent.only.kind, len(world.transport.sent)) == (Kind.BAD_REQUEST, 1)


async def test_a_refused_token_stops_the_broadcast_to_that_push_service_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(20):
        await world.register(subscription(f"a{number}", host=APPLE))
        await world.register(f"m{number}")
        world.transport.script[f"a{number}"] = [answer(403, b'{"reason":"BadJwtToken"}')]
    accepted = await world.accept(options=PushOptions.of(ttl=600))
    await world.work(limits=THREE_AT_ONCE)
    asked = [name for name in world.transport.names() if name.startswith("a")]
    assert 1 <= len(asked) <= 3, "what was under way when it was refused"
    sent = await world.sent(accepted)
    assert sent.account.counts == {Kind.ACCEPTED: 20}
    assert sent.account.undone == 20, "the others wait"
    assert [line for line in caplog.messages if "pushkeep doctor" in line] != []
    assert {record.consecutive_failures for record in await world.records()} == {0}
    sent = await world.finish(accepted, limits=THREE_AT_ONCE)
    assert sent.account.counts[Kind.ACCEPTED] == 20
    assert set(sent.account.counts) <= {Kind.ACCEPTED, Kind.BAD_TOKEN, Kind.EXPIRED}
    probes = [name for name in world.transport.names() if name.startswith("a")][len(asked) :]
    assert 1 <= len(probes) <= 3, "one when it had cooled down, ever less often"


async def test_after_the_cool_down_one_probe_decides_for_all_that_wait(world: World) -> None:
    for number in range(10):
        await world.register(subscription(f"a{number}", host=APPLE))
    world.transport.script = {f"a{number}": [answer(403)] for number in range(10)}
    accepted = await world.accept(options=PushOptions.of(ttl=600))
    await world.work(limits=THREE_AT_ONCE)
    world.transport.sent.clear()
    world.clock.time += 61
    await world.work(limits=THREE_AT_ONCE)
    assert len(world.transport.sent) == 1, "one probe for everybody"
    world.transport.script.clear()
    sent = await world.finish(accepted, limits=THREE_AT_ONCE)
    assert sent.account.counts == {Kind.ACCEPTED: 10}
    assert len(world.transport.sent) == 11


async def test_a_probe_without_an_answer_leaves_the_circuit_open(world: World) -> None:
    await world.register(subscription("one", host=APPLE))
    world.transport.script["one"] = [answer(403), answer(503), answer(201)]
    accepted = await world.accept(options=PushOptions.of(ttl=600))
    await world.work()
    world.clock.time += 61
    await world.work()
    world.clock.time += 10
    await world.work()
    assert len(world.transport.sent) == 2, "the same cool-down passes again"
    assert (await world.finish(accepted)).only.kind is Kind.ACCEPTED


async def test_a_token_taken_for_others_makes_the_one_refused_a_suspect(world: World) -> None:
    good = await world.register(subscription("good", host=APPLE))
    odd = await world.register(subscription("odd", host=APPLE))
    world.transport.script["odd"] = [answer(403, b'{"reason":"BadJwtToken"}')]
    await world.send(good.short_id)
    assert (await world.send(odd.short_id)).only.action == Action.FAIL
    assert (await world.send(good.short_id)).only.kind is Kind.ACCEPTED, "the circuit did not open"
    failures = {record.short_id: record.consecutive_failures for record in await world.records()}
    assert failures == {good.short_id: 0, odd.short_id: 1}


async def test_a_token_refused_by_everybody_opens_the_circuit_though_it_was_taken_a_minute_ago(world: World) -> None:
    for number in range(300):
        await world.register(subscription(f"a{number}", host=APPLE))
    await world.send()
    world.clock.time += 60
    world.transport.sent.clear()
    world.transport.script = {f"a{number}": [answer(403, b'{"reason":"BadJwtToken"}')] for number in range(300)}
    accepted = await world.accept()
    await world.work()
    assert len(world.transport.sent) <= 64, "what was under way"
    assert (await world.sent(accepted)).account.undone >= 200
    assert sum(record.consecutive_failures for record in await world.records()) <= 2


async def test_wns_throttling_one_rests_the_whole_push_service(world: World, times: list[float]) -> None:
    first, second, other = (
        await world.register(subscription("w1", host=WNS)),
        await world.register(subscription("w2", host=WNS)),
        await world.register("m1"),
    )
    world.transport.script["w1"] = [answer(406, headers={"x-wns-continue-after": "90"})]
    sent = await world.send(first.short_id)
    assert (sent.only.kind, sent.only.action) == (Kind.THROTTLED, Action.FAIL_BLAMELESS)
    held = await world.accept(second.short_id, options=PushOptions.of(ttl=600))
    assert (await world.send(other.short_id)).only.kind is Kind.ACCEPTED
    assert world.transport.names() == ["w1", "m1"]
    assert (await world.finish(held)).only.kind is Kind.ACCEPTED
    assert times[2] >= times[0] + 90


async def test_mozilla_throttling_one_endpoint_rests_that_one_alone(world: World, times: list[float]) -> None:
    one, two = await world.register("one"), await world.register("two")
    world.transport.script["one"] = [answer(429, headers={"retry-after": "90"}), answer(201)]
    await world.send(one.short_id)
    assert (await world.send(two.short_id)).only.kind is Kind.ACCEPTED
    sent = await world.send(one.short_id, options=PushOptions.of(ttl=600))
    assert (sent.only.kind, sent.only.attempts) == (Kind.ACCEPTED, 1), "a wait is no attempt"
    assert times[2] >= times[0] + 90


async def test_a_storm_of_gone_ends_nobody_and_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(250):
        await world.register(f"s{number}")
        world.transport.script[f"s{number}"] = [answer(410)]
    sent = await world.send()
    assert {outcome.action for outcome in sent.outcomes.values()} == {Action.FAIL}
    assert {record.state for record in await world.records()} == {State.FAILING}, "not even the first ones"
    assert len([line for line in caplog.messages if "unusually many" in line]) == 1


async def test_a_few_gone_are_no_storm(world: World) -> None:
    for number in range(250):
        await world.register(f"s{number}")
    for number in range(5):
        world.transport.script[f"s{number}"] = [answer(410)]
    sent = await world.send()
    assert sent.account.counts == {Kind.ACCEPTED: 245, Kind.GONE: 5}
    assert sum(record.state is State.GONE for record in await world.records()) == 5


async def test_gone_drops_the_subscription_and_keeps_the_reason(world: World) -> None:
    await world.register()
    world.transport.script["one"] = [answer(410, GONE_BODY)]
    sent = await world.send()
    (record,) = await world.records()
    assert (sent.only.kind, sent.only.action, record.state) == (Kind.GONE, Action.END, State.GONE)
    assert record.state_reason == StateReason(
        Event.SAID_GONE, world.clock.time, "No such subscription", 410, 410, 106, "https://example.com/106", "gone"
    )
    assert len(world.transport.sent) == 1


@pytest.mark.parametrize("status", [200, 204, 301, 307, 400, 401, 403, 404, 405, 406, 413, 429, 500, 502, 503, 599])
@pytest.mark.parametrize("host", ["fcm.googleapis.com", "push.example.net"])
async def test_nothing_else_drops_it(world: World, status: int, host: str) -> None:
    world = world.with_policy(EndpointPolicy(allowed_origins=frozenset({"https://push.example.net"})))
    await world.register(subscription("one", host=host))
    world.transport.script["one"] = [answer(status, b"VAPID public key mismatch; unsubscribed or expired")]
    for _ in range(3):
        await world.accept()
        await world.work()
    (record,) = await world.records()
    assert record.living


@pytest.mark.parametrize("kind", ["refused_address", "resolve", "connect", "tls", "timeout", "reset", "protocol"])
async def test_no_trouble_on_the_way_drops_it(world: World, kind: str) -> None:
    await world.register()
    world.transport.script["one"] = [TransportFailure(kind, "x")]  # type: ignore[arg-type]
    await world.send()
    (record,) = await world.records()
    expected = State.QUARANTINED if kind == "refused_address" else State.FAILING
    assert (record.state, record.consecutive_failures) == (expected, 1)


async def test_failures_are_counted_and_success_resets_them(world: World) -> None:
    await world.register()
    seen = []
    for status in (503, 503, 429, 401, 201):
        world.transport.script["one"] = [answer(status)]
        await world.send()
        seen.append((await world.records())[0].consecutive_failures)
        world.clock.time += 3600
    assert seen == [1, 2, 2, 2, 0], "a bad token and a throttle say nothing about the subscription"


async def test_success_is_written_once_an_hour(world: World) -> None:
    await world.register()
    start = world.clock.time
    seen = []
    for later in (0, 60, 3600, 3601, 4000):
        world.clock.time = start + later
        await world.send()
        accepted = (await world.records())[0].last_accepted_at
        assert accepted is not None
        seen.append(accepted - start)
    assert seen == [0, 0, 0, 3601, 3601]


async def test_a_fresh_fcm_subscription_is_asked_three_times(world: World, times: list[float]) -> None:
    await world.register(subscription("one", host=FCM))
    gone = answer(410, b"push subscription has unsubscribed or expired.")
    world.transport.script["one"] = [gone, gone, answer(201)]
    assert (await world.send()).only.kind is Kind.ACCEPTED
    first, second, third = times
    assert 2 <= second - first <= 3
    assert 10 <= third - second <= 11
    assert (await world.records())[0].state is State.ACTIVE


async def test_and_believed_the_third_time(world: World) -> None:
    await world.register(subscription("one", host=FCM))
    world.transport.script["one"] = [answer(410)]
    sent = await world.send()
    assert (sent.only.action, sent.only.attempts, len(world.transport.sent)) == (Action.END, 3, 3)


async def test_an_old_one_or_another_service_is_believed_at_once(world: World) -> None:
    await world.register(subscription("fcm", host=FCM))
    world.clock.time += 121
    await world.register("mozilla")
    world.transport.script = {"fcm": [answer(410)], "mozilla": [answer(410)]}
    sent = await world.send()
    assert [outcome.action for outcome in sent.outcomes.values()] == [Action.END, Action.END]
    assert len(world.transport.sent) == 2


async def test_throttled_without_a_word_waits_twice_as_long_each_time(world: World, times: list[float]) -> None:
    one = await world.register("one")
    world.transport.script["one"] = [answer(429), answer(429), answer(429), answer(201)]
    sent = await world.send(one.short_id, options=PushOptions.of(ttl=3600))
    assert (sent.only.kind, sent.only.attempts) == (Kind.ACCEPTED, 4)
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    for wait, least in zip(waits, (60, 120, 240), strict=True):
        assert least <= wait <= least + 20, "rounded up, so that many share a follow-up"
