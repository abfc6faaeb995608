import asyncio
import json

import pytest
from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore
from pushkeep.app import notify as notify_module
from pushkeep.app.notify import RecipientResult, notify
from pushkeep.app.projects import current_signing_key
from pushkeep.app.subscribe import unregister
from pushkeep.domain.action import Action
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.notification import Content, Target
from pushkeep.domain.subscription import EndReason, Event, State
from pushkeep.errors import InvalidInput, PayloadTooLarge
from pushkeep.protocol.answer import TransportFailure
from pushkeep.protocol.ece import open_sealed
from pushkeep.protocol.request import PushOptions, PushRequest
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.vapid import parse_authorization
from pushkeep.protocol.verdict import Verdict
from tests.app.conftest import World, answer
from tests.store.doubles import SeededEntropy
from tests.store.samples import subscription

HELLO = Content.of(title="Hello")
GONE_BODY = json.dumps(
    {
        "code": 410,
        "errno": 106,
        "error": "Gone",
        "message": "No such subscription",
        "more_info": "https://example.com/106",
    }
).encode()
OPTIONS = PushOptions.of(ttl=60, urgency="high", topic="inbox")


async def send(
    world: World,
    target: Target | None = None,
    content: Content | bytes | None = HELLO,
    recipients_max: int = 1000,
    signing_key: SigningKey | None = None,
) -> dict[str | None, RecipientResult]:
    result = await notify(
        world.services,
        world.project,
        target or Target.everyone(),
        content,
        OPTIONS,
        recipients_max=recipients_max,
        signing_key=signing_key,
    )
    return {item.short_id: item for item in result.results}


async def test_the_browser_can_read_what_was_sent(world: World) -> None:
    browser = SeededEntropy(10).ephemeral_key()
    await world.register(subscription("one"))
    result = await notify(world.services, world.project, Target.everyone(), HELLO, OPTIONS)
    (request,) = world.transport.sent
    payload = json.loads(open_sealed(request.body, ua_private=browser, auth=b"a" * 16))
    assert payload["notification"]["title"] == "Hello"
    assert payload["notification"]["navigate"] == "https://shop.example.com/"
    assert payload["pushkeep"] == {"id": result.id}
    headers = dict(request.headers)
    assert (headers["TTL"], headers["Urgency"], headers["Topic"]) == ("60", "high", "inbox")
    _, public = parse_authorization(headers["Authorization"])
    assert public == (await current_signing_key(world.services, world.project)).public_bytes


async def test_octets_are_sent_as_they_are_and_nothing_is_nothing(world: World) -> None:
    browser = SeededEntropy(10).ephemeral_key()
    await world.register()
    await send(world, content=b"raw \x00 octets")
    await send(world, content=None)
    first, second = world.transport.sent
    assert open_sealed(first.body, ua_private=browser, auth=b"a" * 16) == b"raw \x00 octets"
    assert second.body == b""


async def test_one_bad_recipient_never_stops_the_rest(world: World) -> None:
    named = {name: await world.register(name) for name in ("good", "gone", "down", "late", "also-good")}
    world.transport.script = {
        "gone": [answer(410, GONE_BODY)],
        "down": [answer(503)],
        "late": [TransportFailure("timeout", "no answer within 20 s", request_sent=True)],
    }
    results = await send(world)
    actions = {name: results[item.short_id].action for name, item in named.items()}
    assert actions == {
        "good": Action.DONE,
        "gone": Action.END,
        "down": Action.FAIL,
        "late": Action.FAIL,
        "also-good": Action.DONE,
    }
    outcome = results[named["gone"].short_id].outcome
    assert outcome is not None
    assert (outcome.verdict, outcome.reference) == (Verdict.GONE, named["gone"].public_id)


async def test_a_fault_of_ours_is_one_recipients_too(world: World) -> None:
    await world.register("one")
    await world.register("two")

    async def break_on_one(request: PushRequest) -> None:
        if request.endpoint.url.endswith("/one"):
            raise RuntimeError("a secret detail")

    world.transport.before_answer = break_on_one
    results = list((await send(world)).values())
    assert [item.skipped for item in results] == ["internal error (RuntimeError)", None]


async def test_gone_drops_the_subscription_and_keeps_the_reason(world: World) -> None:
    await world.register()
    world.transport.script["one"] = [answer(410, GONE_BODY)]
    await send(world)
    (record,) = await world.records()
    assert record.state is State.GONE
    assert record.end_reason == EndReason(
        Event.SAID_GONE, world.clock.time, "No such subscription", 410, 410, 106, "https://example.com/106"
    )
    results = await send(world, Target.to_subscriptions([record.short_id]))
    assert results[record.short_id].skipped == "no longer subscribed (gone)"
    assert len(world.transport.sent) == 1, "what is gone is not sent to again"


@pytest.mark.parametrize("status", [200, 204, 301, 307, 400, 401, 403, 404, 405, 406, 413, 429, 500, 502, 503, 599])
@pytest.mark.parametrize("host", ["fcm.googleapis.com", "push.example.net"])
async def test_nothing_else_drops_it(world: World, status: int, host: str) -> None:
    world = world.with_policy(EndpointPolicy(allowed_origins=frozenset({"https://push.example.net"})))
    await world.register(subscription("one", host=host))
    world.transport.script["one"] = [answer(status, b"VAPID public key mismatch; unsubscribed or expired")]
    for _ in range(5):
        await send(world)
    (record,) = await world.records()
    assert record.state is State.ACTIVE


@pytest.mark.parametrize("kind", ["refused_address", "resolve", "connect", "tls", "timeout", "reset", "protocol"])
async def test_no_trouble_on_the_way_drops_it(world: World, kind: str) -> None:
    await world.register()
    world.transport.script["one"] = [TransportFailure(kind, "x")]  # type: ignore[arg-type]
    await send(world)
    (record,) = await world.records()
    assert (record.state, record.consecutive_failures) == (State.ACTIVE, 1)


async def test_failures_are_counted_and_success_resets_them(world: World) -> None:
    await world.register()
    seen = []
    for status in (503, 401, 503, 429, 201):
        world.transport.script["one"] = [answer(status)]
        await send(world)
        seen.append((await world.records())[0].consecutive_failures)
        world.clock.time += 3600
    assert seen == [1, 1, 2, 2, 0], "a bad token and a throttle say nothing about the subscription"


async def test_a_foreign_key_is_tried_at_nobodys_cost(world: World) -> None:
    foreign = SigningKey.generate()
    await world.register()
    world.transport.script["one"] = [answer(401, b"VAPID public key mismatch"), answer(410)]
    (result,) = (await send(world, signing_key=foreign)).values()
    _, public = parse_authorization(dict(world.transport.sent[0].headers)["Authorization"])
    assert public == foreign.public_bytes
    assert result.outcome is not None
    assert (result.outcome.verdict, result.action) == (Verdict.KEY_MISMATCH, Action.FAIL_BLAMELESS)
    assert (await world.records())[0].consecutive_failures == 0
    (result,) = (await send(world, signing_key=foreign)).values()
    assert result.action is Action.END, "gone is gone, whoever asks"


async def test_success_is_written_once_an_hour(world: World) -> None:
    await world.register()
    start = world.clock.time
    seen = []
    for later in (0, 60, 3600, 3601, 4000):
        world.clock.time = start + later
        await send(world)
        accepted = (await world.records())[0].last_accepted_at
        assert accepted is not None
        seen.append(accepted - start)
    assert seen == [0, 0, 0, 3601, 3601]


async def test_a_fresh_fcm_subscription_is_asked_three_times(world: World) -> None:
    await world.register(subscription("one", host="fcm.googleapis.com"))
    gone = answer(410, b"push subscription has unsubscribed or expired.")
    world.transport.script["one"] = [gone, gone, answer(201)]
    (result,) = (await send(world)).values()
    assert result.action is Action.DONE
    assert world.sleeper.slept == [2.0, 10.0]
    (record,) = await world.records()
    assert record.state is State.ACTIVE


async def test_and_believed_the_third_time(world: World) -> None:
    await world.register(subscription("one", host="fcm.googleapis.com"))
    world.transport.script["one"] = [answer(410)]
    (result,) = (await send(world)).values()
    assert (result.action, len(world.transport.sent)) == (Action.END, 3)
    salts = {request.body[:16] for request in world.transport.sent}
    assert len(salts) == 3, "each attempt is encrypted afresh"


async def test_an_old_one_or_another_service_is_believed_at_once(world: World) -> None:
    await world.register(subscription("fcm", host="fcm.googleapis.com"))
    world.clock.time += 121
    await world.register("mozilla")
    world.transport.script = {"fcm": [answer(410)], "mozilla": [answer(410)]}
    results = await send(world)
    assert [item.action for item in results.values()] == [Action.END, Action.END]
    assert world.sleeper.slept == []


async def test_a_verdict_is_void_when_the_browser_came_back_meanwhile(world: World) -> None:
    registered = await world.register()
    world.transport.script["one"] = [answer(410)]

    async def come_back(_: PushRequest) -> None:
        await unregister(world.services, world.project, registered.sync_token)
        await world.register()

    world.transport.before_answer = come_back
    (result,) = (await send(world)).values()
    assert result.action is Action.FAIL_BLAMELESS
    (record,) = await world.records()
    assert record.state is State.ACTIVE


async def test_contacts(world: World) -> None:
    await world.register("a1", owner="ann")
    await world.register("a2", owner="ann")
    await world.register("b1", owner="bob")
    left = await world.register("c1", owner="cid")
    await unregister(world.services, world.project, left.sync_token)
    result = await notify(world.services, world.project, Target.to_contacts(["ann", "cid", "nobody"]), HELLO, OPTIONS)
    assert sorted(world.transport.names()) == ["a1", "a2"]
    reached = [(item.external_id, item.skipped) for item in result.results]
    assert reached == [
        ("ann", None),
        ("ann", None),
        ("cid", "this contact has no active subscription"),
        ("nobody", "this contact has no active subscription"),
    ]


async def test_subscriptions_by_either_id_are_sent_to_once(world: World) -> None:
    one, two = await world.register("one"), await world.register("two")
    await world.register("three")
    target = Target.to_subscriptions([one.short_id, one.public_id, two.public_id, "ZZZZZZZZ"])
    result = await notify(world.services, world.project, target, HELLO, OPTIONS)
    assert sorted(world.transport.names()) == ["one", "two"]
    assert [item.skipped for item in result.results] == [None, None, "no such subscription"]
    assert result.results[2].public_id == "ZZZZZZZZ"


async def test_nobody_is_an_empty_result(world: World) -> None:
    result = await notify(world.services, world.project, Target.everyone(), HELLO, OPTIONS)
    assert result.results == ()


async def test_too_many_recipients_are_refused_before_anything_is_sent(world: World) -> None:
    for number in range(4):
        await world.register(f"s{number}", owner=f"u{number}")
    for target in (
        Target.everyone(),
        Target.to_contacts(["u0", "u1", "u2", "u3"]),
        Target.to_subscriptions([f"ZZZZZZZ{number}" for number in range(1, 5)]),
    ):
        with pytest.raises(InvalidInput, match=r"more than 3 recipients.*synchronous"):
            await send(world, target, recipients_max=3)
    assert world.transport.sent == []
    assert len(await send(world, recipients_max=4)) == 4


async def test_a_payload_that_does_not_fit_is_refused_by_how_much(world: World) -> None:
    await world.register()
    for content, excess in ((b"x" * 3994, 1), (b"x" * 5000, 1007)):
        with pytest.raises(PayloadTooLarge, match=f"{excess} octets too large") as caught:
            await send(world, content=content)
        assert caught.value.excess_bytes == excess
    with pytest.raises(PayloadTooLarge):
        await send(world, content=Content.of(title="x", data="x" * 4000))
    assert world.transport.sent == []
    await send(world, content=b"x" * 3993)
    assert len(world.transport.sent) == 1


async def test_a_bounded_number_is_in_flight(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify_module, "IN_FLIGHT_MAX", 5)
    for number in range(20):
        await world.register(f"s{number}")

    async def let_others_run(_request: PushRequest) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    world.transport.before_answer = let_others_run
    assert len(await send(world)) == 20
    assert world.transport.in_flight_most == 5


async def test_what_was_said_is_kept_when_the_caller_gives_up(world: World) -> None:
    await world.register("gone")
    await world.register("slow")
    world.transport.script["gone"] = [answer(410)]
    answered = asyncio.Event()

    async def hang_on_slow(request: PushRequest) -> None:
        if request.endpoint.url.endswith("/slow"):
            answered.set()
            await asyncio.Event().wait()

    world.transport.before_answer = hang_on_slow
    sending = asyncio.create_task(send(world))
    await answered.wait()
    for _ in range(20):
        await asyncio.sleep(0)  # let the other recipient's answer be taken in
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    states = [record.state for record in await world.records()]
    assert states == [State.GONE, State.ACTIVE]


async def test_one_token_for_each_push_service(world: World) -> None:
    for number in range(3):
        await world.register(f"m{number}")
        await world.register(subscription(f"f{number}", host="fcm.googleapis.com"))
    await send(world)
    tokens = {(request.endpoint.origin, dict(request.headers)["Authorization"]) for request in world.transport.sent}
    assert len(tokens) == 2


async def test_rows_that_cannot_be_sent_to_say_why(world: World) -> None:
    damaged, orphaned = await world.register("damaged"), await world.register("orphaned")
    good = await world.register("good")
    store = world.services.store
    assert isinstance(store, SqliteStore)

    def damage(connection: Connection) -> None:
        connection.execute(text("UPDATE subscriptions SET sealed = x'00' WHERE id = 1"))
        connection.execute(
            text(
                "INSERT INTO signing_keys (project_id, key_id, public_key, private_key, state, created_at) "
                "SELECT project_id, 'old', public_key, private_key, 'retired', 0 FROM signing_keys"
            )
        )
        connection.execute(text("UPDATE subscriptions SET signing_key_id = 2 WHERE id = 2"))

    await store.writer.run(damage)
    results = await send(world)
    assert results[damaged.short_id].skipped == (
        "what is stored of it is damaged; remove it, and its browser brings it again"
    )
    assert results[orphaned.short_id].skipped == "its signing key is retired"
    assert results[good.short_id].action is Action.DONE


async def test_an_error_of_ours_is_told_in_its_words(world: World) -> None:
    await world.register()

    async def refuse(_: PushRequest) -> None:
        raise InvalidInput("p256dh is not a point on the curve P-256.", field="p256dh")

    world.transport.before_answer = refuse
    (result,) = (await send(world)).values()
    assert result.skipped == "p256dh is not a point on the curve P-256."


async def test_a_database_that_fails_after_sending_does_not_hide_what_was_sent(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    store = world.services.store
    assert isinstance(store, SqliteStore)
    accepted, gone = await world.register("one"), await world.register("two")
    world.transport.script["two"] = [answer(410, GONE_BODY)]

    async def execute(statement: str) -> None:
        await store.writer.run(lambda connection: connection.execute(text(statement)) and None)

    async def lose_the_table(_: PushRequest) -> None:
        world.transport.before_answer = None
        await execute("ALTER TABLE subscriptions RENAME TO lost")

    world.transport.before_answer = lose_the_table
    results = await send(world)
    assert results[accepted.short_id].action is Action.DONE
    assert results[gone.short_id].action is Action.FAIL_BLAMELESS, "still there, so not said to be dropped"
    assert "results of 2 messages are not stored" in caplog.text
    await execute("ALTER TABLE lost RENAME TO subscriptions")
    assert (await send(world))[gone.short_id].action is Action.END, "the next message finds out again"
