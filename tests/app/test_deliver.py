"""What is done about answers, seen from outside: what is sent again, held back, kept and told."""

import asyncio
import logging

import pytest
from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore
from pushkeep.app import deliver as deliver_module
from pushkeep.app import notify as notify_module
from pushkeep.app.notify import RecipientResult, notify
from pushkeep.domain.action import Action
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.notification import Target
from pushkeep.domain.subscription import State
from pushkeep.protocol.answer import TransportFailure
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.request import PushOptions, PushRequest
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.vapid import parse_authorization
from pushkeep.protocol.verdict import Verdict
from tests.app.conftest import World, answer
from tests.store.samples import subscription

APPLE, FCM, WNS = "web.push.apple.com", "fcm.googleapis.com", "wns2-ln2p.notify.windows.com"


async def send(world: World, *ids: str, topic: str | None = "inbox") -> list[RecipientResult]:
    target = Target.to_subscriptions(ids) if ids else Target.everyone()
    options = PushOptions.of(ttl=60, topic=topic)
    result = await notify(world.services, world.project, target, b"hello", options)
    return list(result.results)


def headers(request: PushRequest) -> dict[str, str]:
    return dict(request.headers)


async def test_a_passing_fault_is_tried_three_times_within_seconds(world: World) -> None:
    await world.register()
    world.transport.script["one"] = [answer(503), answer(502), answer(201)]
    (result,) = await send(world)
    assert result.outcome is not None
    assert (result.action, result.outcome.attempts) == (Action.DONE, 3)
    first, second = world.sleeper.slept
    assert 0 <= first < 1
    assert 0 <= second < 2
    bodies = {request.body for request in world.transport.sent}
    assert len(bodies) == 3, "each attempt is encrypted afresh"


async def test_a_fault_that_stays_is_given_up_and_counted_once(world: World) -> None:
    await world.register()
    world.transport.script["one"] = [answer(503)]
    (result,) = await send(world)
    assert (result.action, len(world.transport.sent)) == (Action.FAIL, 3)
    assert (await world.records())[0].consecutive_failures == 1


async def test_a_short_retry_after_is_waited_for_and_a_long_one_is_not(world: World) -> None:
    await world.register()
    world.transport.script["one"] = [answer(429, headers={"retry-after": "3"}), answer(201)]
    (result,) = await send(world)
    assert (result.action, world.sleeper.slept) == (Action.DONE, [3.0])
    world.transport.script["one"] = [answer(429, headers={"retry-after": "30"})]
    (result,) = await send(world)
    assert (result.action, world.sleeper.slept) == (Action.FAIL_BLAMELESS, [3.0])


async def test_apples_bad_topic_is_sent_once_more_without_it(world: World) -> None:
    await world.register(subscription("one", host=APPLE))
    world.transport.script["one"] = [answer(400, b'{"reason":"BadWebPushTopic"}'), answer(201)]
    (result,) = await send(world)
    first, second = world.transport.sent
    assert (result.action, "Topic" in headers(first), "Topic" in headers(second)) == (Action.DONE, True, False)
    assert world.sleeper.slept == []


async def test_a_remedy_that_does_not_help_is_not_tried_twice(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("one", "two"):
        await world.register(subscription(name, host=APPLE))
        world.transport.script[name] = [answer(400, b'{"reason":"BadWebPushTopic"}')]
    results = await send(world)
    assert [item.action for item in results] == [Action.FAIL_BLAMELESS, Action.FAIL_BLAMELESS]
    assert len(world.transport.sent) == 4
    assert [record.consecutive_failures for record in await world.records()] == [0, 0]
    assert len([line for line in caplog.messages if "refuses the message itself" in line]) == 1, "told once"


async def test_a_remedy_that_changes_nothing_is_not_tried(world: World) -> None:
    await world.register(subscription("one", host=APPLE))
    world.transport.script["one"] = [answer(400, b'{"reason":"BadWebPushTopic"}')]
    (result,) = await send(world, topic=None)
    assert (result.action, len(world.transport.sent)) == (Action.FAIL_BLAMELESS, 1)


async def add_second_key(world: World) -> SigningKey:
    """A retiring key beside the active one, as a rotation leaves it."""
    store = world.services.store
    assert isinstance(store, SqliteStore)
    key = SigningKey.generate()
    vault, project = store._vault, world.project

    def add(connection: Connection) -> None:
        sealed = vault.seal_secret(project.public_id, f"signing key {key.key_id}", key.to_pem().encode())
        connection.execute(
            text(
                "INSERT INTO signing_keys (project_id, key_id, public_key, private_key, state, created_at) "
                "VALUES (:project_id, :key_id, :public_key, :private_key, 'retiring', 0)"
            ),
            {
                "project_id": project.id,
                "key_id": key.key_id,
                "public_key": key.public_bytes,
                "private_key": sealed,
            },
        )

    await store.writer.run(add)
    return key


async def test_a_key_mismatch_is_tried_once_with_the_other_recorded_key(world: World) -> None:
    second = await add_second_key(world)
    await world.register()
    world.transport.script["one"] = [answer(401, b"VAPID public key mismatch"), answer(201)]
    (result,) = await send(world)
    assert result.action is Action.DONE
    publics = [parse_authorization(headers(request)["Authorization"])[1] for request in world.transport.sent]
    assert publics == [b64_decode(world.key, field="key"), second.public_bytes]


async def test_a_key_mismatch_with_every_key_needs_renewal_and_is_kept(world: World) -> None:
    await add_second_key(world)
    await world.register()
    world.transport.script["one"] = [answer(401, b"VAPID public key mismatch")]
    (result,) = await send(world)
    assert (result.action, len(world.transport.sent)) == (Action.NEEDS_RENEWAL, 2)
    (record,) = await world.records()
    assert (record.state, record.consecutive_failures) == (State.ACTIVE, 1)


async def test_a_refused_token_stops_the_broadcast_to_that_push_service_alone(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify_module, "IN_FLIGHT_MAX", 3)
    for number in range(20):
        await world.register(subscription(f"a{number}", host=APPLE))
        await world.register(f"m{number}")
        world.transport.script[f"a{number}"] = [answer(403, b'{"reason":"BadJwtToken"}')]
    results = await send(world)
    asked = [name for name in world.transport.names() if name.startswith("a")]
    assert 1 <= len(asked) <= 3, "what was under way when it was refused"
    assert sum(item.action is Action.DONE for item in results) == 20
    held = [item.skipped for item in results if item.skipped is not None]
    assert len(held) == 20 - len(asked)
    assert set(held) == {f"held back: https://{APPLE} refused our token (see `pushkeep doctor`); may go in 60 s"}
    assert [line for line in caplog.messages if "pushkeep doctor" in line] != []
    assert {record.consecutive_failures for record in await world.records()} == {0}


async def test_after_the_cool_down_one_probe_decides_for_all_that_wait(world: World) -> None:
    for number in range(10):
        await world.register(subscription(f"a{number}", host=APPLE))
    world.transport.script = {f"a{number}": [answer(403)] for number in range(10)}
    await send(world)
    world.clock.time += 60
    world.transport.sent.clear()
    results = await send(world)
    assert len(world.transport.sent) == 1
    assert sum(item.skipped is not None for item in results) == 9
    world.clock.time += 120
    world.transport.script.clear()
    world.transport.in_flight_most = 0
    results = await send(world)
    assert [item.action for item in results] == [Action.DONE] * 10, "the others waited for the probe"


async def test_a_probe_without_an_answer_leaves_the_circuit_open(world: World) -> None:
    await world.register(subscription("one", host=APPLE))
    world.transport.script["one"] = [answer(403)]
    await send(world)
    world.clock.time += 60
    world.transport.script["one"] = [answer(503)]
    (result,) = await send(world)
    assert (result.action, result.outcome and result.outcome.verdict) == (Action.FAIL, Verdict.TRANSIENT)
    (result,) = await send(world)
    assert result.skipped is not None


async def test_a_token_taken_for_others_makes_the_one_refused_a_suspect(world: World) -> None:
    good = await world.register(subscription("good", host=APPLE))
    odd = await world.register(subscription("odd", host=APPLE))
    world.transport.script["odd"] = [answer(403, b'{"reason":"BadJwtToken"}')]
    await send(world, good.short_id)
    (result,) = await send(world, odd.short_id)
    assert result.action is Action.FAIL
    (result,) = await send(world, good.short_id)
    assert result.action is Action.DONE, "the circuit did not open"
    failures = {record.short_id: record.consecutive_failures for record in await world.records()}
    assert failures == {good.short_id: 0, odd.short_id: 1}


async def test_a_token_refused_by_everybody_opens_the_circuit_though_it_was_taken_a_minute_ago(world: World) -> None:
    for number in range(300):
        await world.register(subscription(f"a{number}", host=APPLE))
    await send(world)
    world.clock.time += 60
    world.transport.sent.clear()
    world.transport.script = {f"a{number}": [answer(403, b'{"reason":"BadJwtToken"}')] for number in range(300)}
    results = await send(world)
    assert len(world.transport.sent) <= notify_module.IN_FLIGHT_MAX
    assert sum(item.skipped is not None for item in results) >= 200
    assert sum(record.consecutive_failures for record in await world.records()) <= 2


async def test_wns_throttling_one_rests_the_whole_push_service(world: World) -> None:
    first, second, other = (
        await world.register(subscription("w1", host=WNS)),
        await world.register(subscription("w2", host=WNS)),
        await world.register("m1"),
    )
    world.transport.script["w1"] = [answer(406, headers={"x-wns-continue-after": "90"})]
    (result,) = await send(world, first.short_id)
    assert result.action is Action.FAIL_BLAMELESS
    (held,) = await send(world, second.short_id)
    assert held.skipped == f"held back: https://{WNS} asked for patience; may go in 90 s"
    (result,) = await send(world, other.short_id)
    assert result.action is Action.DONE
    world.clock.time += 90
    (result,) = await send(world, second.short_id)
    assert result.action is Action.DONE


async def test_mozilla_throttling_one_endpoint_rests_that_one_alone(world: World) -> None:
    one, two = await world.register("one"), await world.register("two")
    world.transport.script["one"] = [answer(429, headers={"retry-after": "45"}), answer(201)]
    await send(world, one.short_id)
    (result,) = await send(world, two.short_id)
    assert result.action is Action.DONE
    (result,) = await send(world, one.short_id)
    assert result.skipped is not None
    assert result.skipped.endswith("asked for patience; may go in 45 s")
    world.clock.time += 45
    (result,) = await send(world, one.short_id)
    assert result.action is Action.DONE


async def test_a_storm_of_gone_ends_nobody_and_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(250):
        await world.register(f"s{number}")
        world.transport.script[f"s{number}"] = [answer(410)]
    results = await send(world)
    assert {item.action for item in results} <= {Action.FAIL, Action.FAIL_BLAMELESS}
    assert {record.state for record in await world.records()} == {State.ACTIVE}, "not even the first ones"
    assert len([line for line in caplog.messages if "unusually many" in line]) == 1


async def test_a_few_gone_are_no_storm(world: World) -> None:
    for number in range(250):
        await world.register(f"s{number}")
    for number in range(5):
        world.transport.script[f"s{number}"] = [answer(410)]
    await send(world)
    gone = [record for record in await world.records() if record.state is State.GONE]
    assert len(gone) == 5


async def test_a_suspect_is_ended_on_the_third_different_day(world: World) -> None:
    await world.register(subscription("one", host=FCM))
    world.transport.script["one"] = [answer(404)]
    for _ in range(2):
        for _ in range(3):
            (result,) = await send(world)
            assert result.action is Action.FAIL, "one day counts once"
        world.clock.time += 86_400
    assert len((await world.records())[0].suspect_days) == 2
    (result,) = await send(world)
    (record,) = await world.records()
    assert (result.action, record.state) == (Action.END, State.GONE)


async def test_an_accepted_message_takes_every_doubt_away(world: World) -> None:
    await world.register(subscription("one", host=FCM))
    for day in range(5):
        world.transport.script["one"] = [answer(404 if day != 2 else 201)]
        (result,) = await send(world)
        assert result.action is (Action.FAIL if day != 2 else Action.DONE)
        world.clock.time += 86_400
    assert (await world.records())[0].state is State.ACTIVE


async def test_what_a_storm_called_gone_is_ended_on_the_third_day(world: World) -> None:
    for number in range(250):
        await world.register(f"s{number}")
        world.transport.script[f"s{number}"] = [answer(410)]
    for day in range(3):
        assert {record.state for record in await world.records()} == {State.ACTIVE}, day
        await send(world)
        world.clock.time += 86_400
    assert {record.state for record in await world.records()} == {State.GONE}


async def test_a_refused_address_is_quarantined_and_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world = world.with_policy(EndpointPolicy(allowed_origins=frozenset({"https://push.example.net"})))
    await world.register(subscription("one", host="push.example.net"))
    world.transport.script["one"] = [TransportFailure("refused_address", "private")]
    (result,) = await send(world)
    assert (result.action, len(world.transport.sent)) == (Action.QUARANTINE, 1)
    assert "push.example.net: an endpoint leads to an address that is not public" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING


async def test_no_attempt_begins_later_than_the_caller_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver_module, "WAIT_SECONDS_MAX", 1.0)
    await world.register(subscription("one", host=FCM))
    world.transport.script["one"] = [answer(410)]
    (result,) = await send(world)
    assert (result.action, world.sleeper.slept) == (Action.FAIL, []), "no time to ask a fresh one again"
    assert (await world.records())[0].state is State.ACTIVE


async def test_a_push_service_that_hangs_holds_up_no_other_and_no_caller(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify_module, "IN_FLIGHT_MAX", 2)
    for number in range(5):
        await world.register(subscription(f"a{number}", host=APPLE))
        world.transport.script[f"a{number}"] = [TransportFailure("timeout", "no answer in 30 s")]
    for number in range(5):
        await world.register(f"m{number}")
    others_sent = asyncio.Event()

    async def hang(request: PushRequest) -> None:
        if request.endpoint.host == APPLE:
            async with asyncio.timeout(10):
                await others_sent.wait()
            world.clock.time = hung_until
        elif sum(name.startswith("m") for name in world.transport.names()) == 5:
            others_sent.set()

    hung_until = world.clock.time + 30
    world.transport.before_answer = hang
    results = await send(world)
    assert [item.action for item in results] == [Action.FAIL] * 2 + [None] * 3 + [Action.DONE] * 5
    assert results[2].skipped == f"not sent: https://{APPLE} is slow, and its turn did not come in 20 s"
    assert [record.consecutive_failures for record in await world.records()] == [1, 1] + [0] * 8
