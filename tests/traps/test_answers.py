"""Traps 13 to 20: what is asked of a push service, and what is made of its answer."""

from __future__ import annotations

import asyncio

import pytest

from pushkeep import Message, PushClient, RetryPolicy, SigningKey, TransportLimits, Verdict
from pushkeep.app.subscribe import find_subscription
from pushkeep.domain.action import Action
from pushkeep.domain.action_table import decide
from pushkeep.domain.situation import Situation
from pushkeep.domain.subscription import State
from pushkeep.errors import InvalidInput
from pushkeep.protocol.answer import Answer, PushResponse, TransportFailure, parse_retry_after
from pushkeep.protocol.outcome import read_answer
from pushkeep.protocol.vendors import VENDORS
from pushkeep.pushservice import PushService
from tests.app.conftest import World
from tests.app.conftest import answer as scripted
from tests.store.doubles import FakeClock, FakeSleeper
from tests.transport.servers import Seen, Server, answer, http1

from .conftest import CONTACT, MOZILLA, SECONDS, UA, header, led_to

VENDOR_NAMES = ("mozilla", "fcm", "apple", "wns", "unifiedpush")
every_vendor = pytest.mark.parametrize("vendor", VENDOR_NAMES)


async def test_trap_13_a_message_waits_for_four_weeks_unless_told_otherwise(wire: Server, key: SigningKey) -> None:
    async with PushClient(key=key, contact=CONTACT, origin_map=led_to(wire)) as client:
        await client.send(UA.to_dict(f"{MOZILLA}/x"), "x")
        async for result in client.send_many([Message(UA.to_dict(f"{MOZILLA}/x"), "x", ttl=0)]):
            assert result.accepted
        for bad in (-1, 1.5, "60", None, True):
            with pytest.raises(InvalidInput, match="ttl"):
                await client.send(UA.to_dict(f"{MOZILLA}/x"), "x", ttl=bad)  # type: ignore[arg-type]
    assert [header(seen, "ttl") for seen in wire.requests] == ["2419200", "0"]


@every_vendor
async def test_trap_13_now_or_never_is_accepted_by_every_service(
    service: PushService, client: PushClient, key: SigningKey, vendor: str
) -> None:
    subscriber = await service.subscribe(key.public_bytes, vendor=vendor)
    assert (await client.send(subscriber.subscription, "x", ttl=0)).accepted
    assert (await subscriber.receive(SECONDS)).data == b"x"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_trap_14_a_redirect_is_never_followed_and_never_a_success(
    wire: Server, key: SigningKey, status: str
) -> None:
    elsewhere = f"Location: http://127.0.0.1:{wire.port}/taken"
    async with (
        http1(answer(status, b"", elsewhere), None) as redirecting,
        PushClient(key=key, contact=CONTACT, origin_map=led_to(redirecting)) as client,
    ):
        outcome = await client.send(UA.to_dict(f"{MOZILLA}/x"), "x")
    assert (outcome.verdict, outcome.accepted) == (Verdict.BAD_REQUEST, False)
    assert (len(redirecting.requests), wire.connections) == (1, 0)


async def test_trap_15_there_is_always_a_time_limit_and_it_is_in_seconds(key: SigningKey) -> None:
    assert (TransportLimits().connect_seconds_max, TransportLimits().total_seconds_max) == (10.0, 30.0)

    async def hang(_seen: Seen, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with (
        http1(hang, None) as server,
        PushClient(
            key=key, contact=CONTACT, origin_map=led_to(server), limits=TransportLimits(total_seconds_max=0.2)
        ) as client,
    ):
        outcome = await client.send(UA.to_dict(f"{MOZILLA}/x"), "x")
    assert (outcome.verdict, outcome.status) == (Verdict.TRANSIENT, None)


@pytest.mark.parametrize("vendor", ["mozilla", "fcm", "apple", "wns"])
async def test_trap_16_the_end_of_a_subscription_is_a_value_that_cannot_be_overlooked(
    service: PushService, client: PushClient, key: SigningKey, vendor: str
) -> None:
    subscriber = await service.subscribe(key.public_bytes, vendor=vendor)
    await subscriber.unsubscribe()
    outcome = await client.send(subscriber.subscription, "x")
    assert (outcome.verdict, outcome.accepted) == (Verdict.GONE, False)
    assert outcome.explanation is not None


def test_trap_16_every_answer_has_a_kind() -> None:
    for vendor in VENDORS.values():
        for status in (0, *range(100, 1000)):
            outcome = read_answer(vendor, PushResponse(status, {}, b""), now=0, duration_ms=1)
            assert outcome.verdict in Verdict
            assert outcome.accepted == (200 <= status < 300)


@pytest.mark.parametrize(
    ("vendor", "status", "verdict"),
    [
        ("mozilla", 401, Verdict.KEY_MISMATCH),
        ("fcm", 403, Verdict.KEY_MISMATCH),
        ("apple", 400, Verdict.KEY_MISMATCH),
        ("wns", 401, Verdict.KEY_MISMATCH),
    ],
)
async def test_trap_17_another_key_is_recognised_in_each_services_words(
    service: PushService, client: PushClient, vendor: str, status: int, verdict: Verdict
) -> None:
    subscriber = await service.subscribe(SigningKey.generate().public_bytes, vendor=vendor)
    outcome = await client.send(subscriber.subscription, "x")
    assert (outcome.status, outcome.verdict) == (status, verdict)


@pytest.mark.parametrize("vendor", ["mozilla", "fcm", "apple", "wns"])
async def test_trap_17_our_own_bad_token_is_our_fault_and_ends_nobody(
    service: PushService, key: SigningKey, vendor: str
) -> None:
    subscriber = await service.subscribe(key.public_bytes, vendor=vendor)
    wrong = FakeClock(FakeClock().time + 300 * 365 * 86_400)  # its tokens are valid in some hundred years
    entries = service.origin_map_entries()
    async with PushClient(key=key, contact=CONTACT, origin_map=entries, clock=wrong) as client:
        outcome = await client.send(subscriber.subscription, "x")
    assert outcome.verdict is Verdict.BAD_TOKEN
    decision = decide(Situation(outcome.verdict, VENDORS[vendor], now=0))
    assert decision.action in (Action.HOLD, Action.FAIL_BLAMELESS)


@pytest.mark.parametrize(
    ("vendor", "status", "headers", "body", "verdict"),
    [
        ("apple", 403, {}, b'{"reason":"BadJwtToken"}', Verdict.BAD_TOKEN),
        ("apple", 400, {}, b'{"reason":"BadJwtToken"}', Verdict.BAD_TOKEN),
        ("apple", 400, {}, b'{"reason":"BadUrgency"}', Verdict.BAD_REQUEST),
        ("fcm", 404, {}, b"A valid push subscription endpoint should be specified", Verdict.SUSPECT),
        ("fcm", 400, {}, b"<TITLE>UnauthorizedRegistration</TITLE>", Verdict.BAD_TOKEN),
        ("fcm", 403, {}, b"permission denied: invalid JWT provided", Verdict.BAD_TOKEN),
        ("wns", 406, {}, b"", Verdict.THROTTLED),
        ("wns", 201, {"x-wns-status": "channelthrottled"}, b"", Verdict.THROTTLED),
        ("wns", 401, {"x-wns-error-description": "The public key is not the channel's"}, b"", Verdict.KEY_MISMATCH),
    ],
)
def test_trap_17_the_same_status_means_different_things(
    vendor: str, status: int, headers: dict[str, str], body: bytes, verdict: Verdict
) -> None:
    assert read_answer(VENDORS[vendor], PushResponse(status, headers, body), now=0, duration_ms=1).verdict is verdict


ANSWERS: dict[str, Answer] = {
    **{str(status): scripted(status) for status in (302, 400, 401, 403, 405, 406, 408, 411, 413, 415, 425, 429)},
    **{str(status): scripted(status) for status in (500, 502, 503, 507)},
    **{kind: TransportFailure(kind, "Failed.") for kind in ("resolve", "connect", "tls", "timeout", "reset")},
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_trap_18_no_error_but_a_stated_end_ends_a_subscription(world: World, name: str) -> None:
    world.transport.script["one"] = [ANSWERS[name]]
    registered = await world.register()
    for _ in range(3):
        await world.accept()
        await world.work()
    record = await find_subscription(world.services, world.project, registered.short_id)
    assert record.state is State.ACTIVE


async def test_trap_18_and_a_stated_end_does(world: World) -> None:
    world.transport.script["one"] = [scripted(410)]
    registered = await world.register()
    await world.send()
    assert (await find_subscription(world.services, world.project, registered.short_id)).state is State.GONE


async def test_trap_19_retries_are_bounded_jittered_and_take_the_services_word(key: SigningKey) -> None:
    past = "Sun, 06 Nov 1994 08:49:37 GMT"
    answers = [
        answer("503 Busy", b"", "Retry-After: sometime"),
        answer("503 Busy", b"", f"Retry-After: {past}"),
        answer("429 Slow", b"", "Retry-After: 7"),
        answer("503 Busy", b"", "Retry-After: 30"),
        answer(),
    ]

    async def in_turn(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await answers[len(server.requests) - 1](seen, writer)

    clock = FakeClock()
    sleeper = FakeSleeper(clock)
    async with (
        http1(in_turn, None) as server,
        PushClient(key=key, contact=CONTACT, origin_map=led_to(server), clock=clock, sleeper=sleeper) as client,
    ):
        outcome = await client.send(UA.to_dict(f"{MOZILLA}/x"), "x", ttl=600, retry=RetryPolicy(base_seconds=1.0))
    assert outcome.accepted
    first, second, third, fourth = sleeper.slept
    assert 0 <= first <= 1
    assert 0 <= second <= 2
    assert third == 7
    assert 30 <= fourth <= 38
    lives = [int(header(seen, "ttl")) for seen in server.requests]
    assert lives[0] == 600
    assert 600 - sum(sleeper.slept) - 1 <= lives[-1] <= 600 - 37


@pytest.mark.parametrize("status", ["503 Busy", "429 Slow"])
async def test_trap_19_neither_attempts_nor_time_are_without_end(key: SigningKey, status: str) -> None:
    clock = FakeClock()
    sleeper = FakeSleeper(clock)
    async with (
        http1(answer(status), None) as server,
        PushClient(key=key, contact=CONTACT, origin_map=led_to(server), clock=clock, sleeper=sleeper) as client,
    ):
        whom = UA.to_dict(f"{MOZILLA}/x")
        assert not (await client.send(whom, "x", retry=RetryPolicy(attempts_max=4))).accepted
        assert len(server.requests) == 4
        assert not (await client.send(whom, "x")).accepted  # none unless asked for
        assert len(server.requests) == 5
        before = clock.now()
        assert not (await client.send(whom, "x", ttl=90, retry=RetryPolicy(attempts_max=100))).accepted
        assert clock.now() - before <= 90


def test_trap_19_a_date_in_the_past_is_no_negative_wait() -> None:
    assert parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", FakeClock().now()) == 0


@pytest.mark.parametrize("value", ["", "soon", "-1", "1e3", "Sun, 99 Nov 2094 08:49:37 GMT", "Mon", "²"])
def test_trap_19_a_wait_that_cannot_be_read_is_none(value: str) -> None:
    assert parse_retry_after(value, 0) is None


async def test_trap_20_every_message_has_its_own_result_whatever_else_is_under_way(
    service: PushService, client: PushClient, key: SigningKey
) -> None:
    people = {f"person {number}": await service.subscribe(key.public_bytes, vendor="fcm") for number in range(20)}
    gone = await service.subscribe(key.public_bytes)
    await gone.unsubscribe()
    alone = await service.subscribe(key.public_bytes)
    messages = [Message(one.subscription, name, reference=name) for name, one in people.items()]
    messages.insert(3, Message({"endpoint": "https://push.example.net/x"}, "x", reference="damaged"))
    messages.insert(5, Message(gone.subscription, "x", reference="gone"))
    messages.insert(7, Message(alone.subscription, "x" * 5000, reference="too large"))
    results = {}
    async for result in client.send_many(messages):
        results[result.reference] = result
        if len(results) == 2:
            outcome = await client.send(alone.subscription, "alone", reference="alone")
            assert (outcome.reference, outcome.accepted) == ("alone", True)
    assert set(results) == {message.reference for message in messages}
    assert [name for name, result in results.items() if result.accepted] == [name for name in results if name in people]
    assert results["damaged"].error is not None
    assert results["too large"].error is not None
    ended = results["gone"].outcome
    assert ended is not None
    assert ended.verdict is Verdict.GONE
    for name, one in people.items():
        assert (await one.receive(SECONDS)).data == name.encode()
