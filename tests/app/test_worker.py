"""The worker, seen from outside: what is sent, what is written, and what it leaves to others."""

import asyncio
import dataclasses
import json
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from pushkeep.adapters.store import SqliteStore
from pushkeep.app.control import cancel, pause, resume
from pushkeep.app.projects import current_signing_key
from pushkeep.app.visitor import unregister
from pushkeep.app.worker import Worker, WorkerLimits
from pushkeep.domain.event import AttemptEnded, CheckpointWritten, Event, LeaseWasLost, WorkerStarted, WorkerStopped
from pushkeep.domain.notification import Target
from pushkeep.domain.pacing import LaneLimits
from pushkeep.domain.sending import NotificationState, Priority
from pushkeep.domain.shard import Kind
from pushkeep.domain.subscription import State
from pushkeep.errors import Unavailable
from pushkeep.ports import Cancellable
from pushkeep.ports.shards import ClaimFilter
from pushkeep.protocol.answer import Answer
from pushkeep.protocol.ece import open_sealed
from pushkeep.protocol.request import PushOptions, PushRequest
from pushkeep.protocol.vapid import parse_authorization
from tests.app.conftest import World, answer
from tests.store.doubles import SeededEntropy
from tests.store.samples import subscription

BROWSER = SeededEntropy(10).ephemeral_key()
FEW_AT_ONCE = WorkerLimits(LaneLimits(window_start=5, window_max=5, reserved_max=1))


def opened(request: PushRequest) -> bytes:
    return open_sealed(request.body, ua_private=BROWSER, auth=b"a" * 16)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - the worker is at it; every caller bounds this wait
        await asyncio.sleep(0.01)


async def execute(world: World, statement: str) -> None:
    await world.store.writer.run(lambda connection: connection.execute(text(statement)) and None)


async def test_the_browser_can_read_what_was_sent(world: World) -> None:
    await world.register()
    sent = await world.send()
    (request,) = world.transport.sent
    payload = json.loads(opened(request))
    assert payload["notification"]["title"] == "Hello"
    assert payload["notification"]["navigate"] == "https://shop.example.com/"
    assert payload["pushkeep"]["id"] == sent.public_id
    headers = dict(request.headers)
    assert (headers["TTL"], headers["Urgency"], headers["Topic"]) == ("60", "high", "inbox")
    _, public = parse_authorization(headers["Authorization"])
    assert public == (await current_signing_key(world.services, world.project)).public_bytes


async def test_octets_are_sent_as_they_are_and_nothing_is_nothing(world: World) -> None:
    await world.register()
    await world.send(content=b"raw \x00 octets")
    await world.send(content=None)
    first, second = world.transport.sent
    assert opened(first) == b"raw \x00 octets"
    assert second.body == b""


async def test_one_bad_recipient_never_stops_the_rest(world: World) -> None:
    named = {name: await world.register(name) for name in ("good", "gone", "down", "also-good")}
    world.transport.script = {"gone": [answer(410)], "down": [answer(503)]}
    sent = await world.send()
    kinds = {name: sent.outcomes[item.short_id].kind for name, item in named.items()}
    assert kinds == {
        "good": Kind.ACCEPTED,
        "gone": Kind.GONE,
        "down": Kind.TRANSIENT,
        "also-good": Kind.ACCEPTED,
    }


async def test_a_fault_of_ours_is_one_recipients_too_and_is_tried_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = await world.register("one"), await world.register("two")
    start, broken = world.transport.start, [True]

    def break_once(request: PushRequest, done: Callable[[Answer], None]) -> Cancellable:
        if request.endpoint.url.endswith("/one") and broken:
            broken.clear()
            raise ValueError("a secret detail")
        return start(request, done)

    world.transport.start = break_once  # type: ignore[method-assign]
    sent = await world.send()
    assert sent.kinds == [Kind.ACCEPTED, Kind.ACCEPTED]
    assert (sent.outcomes[one.short_id].attempts, sent.outcomes[two.short_id].attempts) == (2, 1)
    assert "internal error (ValueError)" in caplog.text
    assert "secret" not in caplog.text


async def test_many_go_to_many_push_services_in_one_broadcast(world: World) -> None:
    for number in range(130):
        await world.register(f"m{number}")
        await world.register(subscription(f"f{number}", host="fcm.googleapis.com"))
    sent = await world.send()
    assert sent.account.counts == {Kind.ACCEPTED: 260}
    assert len(set(world.transport.names())) == len(world.transport.sent) == 260
    tokens = {(request.endpoint.origin, dict(request.headers)["Authorization"]) for request in world.transport.sent}
    assert len(tokens) == 2, "one token for each push service"


async def test_an_audience_of_thousands_is_planned_and_sent_page_by_page(world: World) -> None:
    await world.register("s0")
    await execute(
        world,
        "INSERT INTO subscriptions (project_id, public_id, short_id, signing_key_id, origin, vendor, endpoint_hash, "
        "keys_hash, sealed, state, created_at, last_seen_at) "
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) "
        "SELECT project_id, lower(hex(randomblob(16))), printf('Z%07d', i), signing_key_id, origin, vendor, "
        "randomblob(16), keys_hash, NULL, 'active', created_at, last_seen_at FROM n, subscriptions WHERE id = 1",
    )
    sent = await world.send()
    assert sent.account.targeted == 6001
    assert sent.account.counts == {Kind.ACCEPTED: 1, Kind.SKIPPED_UNREADABLE: 6000}


async def test_rows_that_cannot_be_sent_to_say_why(world: World) -> None:
    damaged, orphaned = await world.register("damaged"), await world.register("orphaned")
    good, left = await world.register("good"), await world.register("left")
    accepted = await world.accept()
    await unregister(world.services, world.project, left.sync_token)

    def damage(connection: Connection) -> None:
        connection.execute(text("UPDATE subscriptions SET sealed = x'00' WHERE id = 1"))
        connection.execute(
            text(
                "INSERT INTO signing_keys (project_id, key_id, public_key, private_key, state, created_at) "
                "SELECT project_id, 'old', public_key, private_key, 'retired', 0 FROM signing_keys"
            )
        )
        connection.execute(text("UPDATE subscriptions SET signing_key_id = 2 WHERE id = 2"))

    await world.store.writer.run(damage)
    sent = await world.finish(accepted)
    assert {short_id: outcome.kind for short_id, outcome in sent.outcomes.items()} == {
        damaged.short_id: Kind.SKIPPED_UNREADABLE,
        orphaned.short_id: Kind.SKIPPED_KEY,
        good.short_id: Kind.ACCEPTED,
        left.short_id: Kind.SKIPPED_ENDED,
    }
    assert world.transport.names() == ["good"]


async def test_a_subscription_that_lists_no_known_encoding_is_skipped(world: World) -> None:
    odd = subscription("odd")
    object.__setattr__(odd, "encodings", ("morse",))
    await world.register(odd)
    await world.register("good")
    assert (await world.send()).kinds == [Kind.SKIPPED_UNREADABLE, Kind.ACCEPTED]


async def test_a_verdict_is_void_when_the_browser_came_back_meanwhile(world: World) -> None:
    registered = await world.register()
    world.transport.script["one"] = [answer(410)]

    async def come_back(_: PushRequest) -> None:
        await unregister(world.services, world.project, registered.sync_token)
        await world.register()

    world.transport.before_answer = come_back
    await world.send()
    (record,) = await world.records()
    assert record.state is State.ACTIVE


async def test_contacts_get_it_on_each_of_their_browsers(world: World) -> None:
    await world.register("a1", owner="ann")
    await world.register("a2", owner="ann")
    await world.register("b1", owner="bob")
    accepted = await world.accept(target=Target.to_contacts(["ann", "nobody"]))
    sent = await world.finish(accepted)
    assert sorted(world.transport.names()) == ["a1", "a2"]
    assert [outcome.contact for outcome in sent.outcomes.values()] == ["ann", "ann"]
    assert accepted.unknown == ("nobody",)


async def test_no_more_are_in_flight_than_the_lane_allows(world: World) -> None:
    for number in range(30):
        await world.register(f"s{number}")

    async def let_others_run(_request: PushRequest) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    world.transport.before_answer = let_others_run
    sent = await world.send(limits=FEW_AT_ONCE)
    assert sent.account.counts == {Kind.ACCEPTED: 30}
    assert world.transport.in_flight_most == 4, "a slot is kept for what is urgent"


async def test_what_is_urgent_goes_first(world: World) -> None:
    for number in range(20):
        await world.register(f"s{number}")
    urgent = await world.register(subscription("urgent"))
    broadcast = await world.accept()
    await world.accept(urgent.short_id, priority="transactional", options=PushOptions.of(ttl=30))
    await world.finish(broadcast, limits=FEW_AT_ONCE)
    at = [index for index, sent in enumerate(world.transport.sent) if dict(sent.headers)["TTL"] == "30"]
    assert at[0] < 5, "before all but what was in flight"


async def test_a_pause_is_heeded_and_a_resume_goes_on(world: World) -> None:
    await world.register("one")
    accepted = await world.accept()
    await pause(world.services, world.project, accepted.record.public_id)
    await world.work()
    assert world.transport.sent == []
    await resume(world.services, world.project, accepted.record.public_id)
    assert (await world.finish(accepted)).kinds == [Kind.ACCEPTED]


async def test_a_pause_of_what_is_being_sent_is_heeded_within_a_checkpoint(world: World) -> None:
    for number in range(40):
        await world.register(f"s{number}")
    accepted = await world.accept()
    paused: list[float] = []

    async def pause_at_the_third(_request: PushRequest) -> None:
        if len(world.transport.sent) == 3:
            await pause(world.services, world.project, accepted.record.public_id)
            paused.append(world.clock.time)
        world.clock.time += 0.3

    world.transport.before_answer = pause_at_the_third
    await world.work(limits=FEW_AT_ONCE)
    assert 3 <= len(world.transport.sent) < 20
    sent = await world.sent(accepted)
    assert sent.account.counts == {Kind.ACCEPTED: len(world.transport.sent)}
    world.transport.before_answer = None
    await resume(world.services, world.project, accepted.record.public_id)
    assert (await world.finish(accepted)).account.counts == {Kind.ACCEPTED: 40}
    assert len(world.transport.sent) == 40


async def test_what_is_cancelled_while_it_is_sent_counts_the_rest_as_cancelled(world: World) -> None:
    for number in range(40):
        await world.register(f"s{number}")
    accepted = await world.accept()

    async def cancel_at_the_third(_request: PushRequest) -> None:
        if len(world.transport.sent) == 3:
            await cancel(world.services, world.project, accepted.record.public_id)
        world.clock.time += 0.3

    world.transport.before_answer = cancel_at_the_third
    await world.work(limits=FEW_AT_ONCE)
    sent = await world.sent(accepted)
    assert sent.account.counts == {
        Kind.ACCEPTED: len(world.transport.sent),
        Kind.CANCELLED: 40 - len(world.transport.sent),
    }
    assert len(world.transport.sent) < 20


async def test_nothing_starts_after_the_deadline(world: World) -> None:
    for number in range(40):
        await world.register(f"s{number}")
    accepted = await world.accept(options=PushOptions.of(ttl=0))
    end = world.clock.time + 60
    begun: list[float] = []
    start = world.transport.start

    def note(request: PushRequest, done: Callable[[Answer], None]) -> Cancellable:
        begun.append(world.clock.time)
        return start(request, done)

    async def take_long(_request: PushRequest) -> None:
        world.clock.time += 9.0

    world.transport.start = note  # type: ignore[method-assign]
    world.transport.before_answer = take_long
    sent = await world.finish(accepted, limits=FEW_AT_ONCE)
    assert max(begun) < end
    assert sent.account.counts == {Kind.ACCEPTED: len(begun), Kind.EXPIRED: 40 - len(begun)}
    assert {dict(request.headers)["TTL"] for request in world.transport.sent} == {"0"}


async def test_what_is_scheduled_waits_for_its_time(world: World) -> None:
    await world.register()
    accepted = await world.accept(send_at=world.clock.time + 3600)
    await world.work()
    assert world.transport.sent == []
    assert (await world.finish(accepted)).account.counts == {Kind.ACCEPTED: 1}
    assert world.clock.time >= accepted.record.send_at


async def test_a_worker_of_one_notification_takes_no_other(world: World) -> None:
    await world.register()
    first, second = await world.accept(), await world.accept()
    await world.work(notification_id=second.record.id)
    assert (await world.sent(second)).kinds == [Kind.ACCEPTED]
    assert (await world.sent(first)).account.undone == 1


async def test_a_web_process_takes_what_is_urgent_and_what_is_handed_to_it(world: World) -> None:
    await world.register()
    worker = world.worker(kind="web", priorities=frozenset({Priority.TRANSACTIONAL}), plans=False)
    running = asyncio.create_task(worker.run())
    plain = await world.accept()
    urgent = await world.accept(priority="transactional")
    handed = await world.accept(worker=worker)
    assert len(handed.leased) == 1
    async with asyncio.timeout(10):
        await until(lambda: len(world.transport.sent) == 2)
        await worker.wait_idle()
    worker.stop()
    await running
    assert [(await world.sent(one)).account.undone for one in (plain, urgent, handed)] == [1, 0, 0]


async def test_a_stop_gives_back_what_is_not_begun_and_writes_down_what_is_in_flight(world: World) -> None:
    for number in range(40):
        await world.register(f"s{number}")
    accepted = await world.accept()
    worker = world.worker(limits=FEW_AT_ONCE)
    answers = asyncio.Event()

    async def stop_in_flight(_request: PushRequest) -> None:
        if len(world.transport.sent) == 4:
            worker.stop()
            asyncio.get_running_loop().call_later(0.05, answers.set)  # what is in flight ends after the stop
        await answers.wait()

    world.transport.before_answer = stop_in_flight
    async with asyncio.timeout(10):
        await worker.run()
    assert len(world.transport.sent) == 4
    sent = await world.sent(accepted)
    assert (sent.account.counts, sent.account.undone) == ({Kind.ACCEPTED: 4}, 36)
    world.transport.before_answer = None
    assert (await world.finish(accepted)).account.counts == {Kind.ACCEPTED: 40}, "given back at once"
    assert len(world.transport.sent) == 40, "nobody twice"


async def test_a_stop_waits_no_longer_than_it_may(world: World) -> None:
    await world.register("one")
    await world.register("hung")
    accepted = await world.accept()
    worker = world.worker(limits=WorkerLimits(stop_seconds_max=0.2))

    async def hang(request: PushRequest) -> None:
        if request.endpoint.url.endswith("/hung"):
            worker.stop()
            await asyncio.Event().wait()

    world.transport.before_answer = hang
    async with asyncio.timeout(20):
        await worker.run()
    for task in world.transport.tasks:
        task.cancel()
    sent = await world.sent(accepted)
    assert (sent.account.counts, sent.account.undone) == ({Kind.ACCEPTED: 1}, 1), "given back, to be repeated"


async def test_two_workers_send_nothing_twice(world: World) -> None:
    for number in range(300):
        await world.register(f"s{number}")
    accepted = [await world.accept() for _ in range(3)]
    await asyncio.gather(world.work(), world.work())
    for one in accepted:
        assert (await world.sent(one)).account.counts == {Kind.ACCEPTED: 300}
    assert len(world.transport.sent) == 900


async def test_a_worker_that_lost_its_lease_writes_nothing(world: World) -> None:
    await world.register()
    accepted = await world.accept()
    events: list[Event] = []
    world.services.announcer.listen(events.append)

    async def lose_it(_request: PushRequest) -> None:
        if len(world.transport.sent) == 1:
            await execute(world, "UPDATE shards SET epoch = epoch + 1, lease_expires_at = 0")

    world.transport.before_answer = lose_it
    world.transport.script["one"] = [answer(410), answer(201)]
    sent = await world.finish(accepted)
    assert [event.unwritten for event in events if isinstance(event, LeaseWasLost)] == [1]
    assert sent.only.kind is Kind.ACCEPTED, "by who took it over"
    assert (await world.records())[0].state is State.ACTIVE


class Unreliable:
    """A store whose named methods fail as often as they are told to."""

    def __init__(self, store: SqliteStore, failures: dict[str, list[Exception]]) -> None:
        self._store = store
        self._failures = failures

    @property
    def lease_seconds(self) -> float:
        return self._store.lease_seconds

    def __getattr__(self, name: str) -> object:
        failures = self._failures.get(name)
        if failures:
            error = failures.pop(0)

            async def fail(*_given: object) -> None:
                raise error

            return fail
        return getattr(self._store, name)


def unreliable(world: World, **failures: list[Exception]) -> World:
    store = Unreliable(world.store, failures)
    return dataclasses.replace(world, services=dataclasses.replace(world.services, store=store))  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["claim", "load", "checkpoint", "next_due", "signing_keys", "lane_state"])
async def test_while_the_database_does_not_answer_nothing_is_lost(
    world: World, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    await world.register()
    accepted = await world.accept()
    locked = Unavailable("The database is locked.")
    down = unreliable(world, **{method: [locked, locked]})
    worker = down.worker_on(world.store)
    async with asyncio.timeout(20):
        running = asyncio.create_task(worker.run())
        while not (await world.sent(accepted)).account.settled:
            world.clock.time += 0.1
            await asyncio.sleep(0.05)
        worker.stop()
        await running
    assert (await world.sent(accepted)).kinds == [Kind.ACCEPTED]
    assert len(world.transport.sent) == 1, "no answer was forgotten"
    assert len([line for line in caplog.messages if "is locked" in line]) == 1, "said once"


@pytest.mark.parametrize("method", ["load", "checkpoint", "claim"])
async def test_what_is_unexpected_is_told_by_its_type_and_left_to_the_next_worker(
    world: World, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    await world.register()
    accepted = await world.accept()
    broken = unreliable(world, **{method: [ValueError("a secret detail")]})
    worker = broken.worker_on(world.store)
    async with asyncio.timeout(20):
        running = asyncio.create_task(worker.run())
        await worker.wait_idle()
        if method == "claim":
            await until(lambda: bool(world.transport.sent))
            await worker.wait_idle()
        worker.stop()
        await running
    assert "internal error (ValueError)" in caplog.text
    assert "secret" not in caplog.text
    if method != "claim":
        assert (await world.sent(accepted)).account.undone == 1
        world.clock.time += world.store.lease_seconds + 1
    assert (await world.finish(accepted)).kinds == [Kind.ACCEPTED]


async def test_what_is_loaded_and_cannot_be_taken_in_is_nobodys_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.register()
    accepted = await world.accept()
    monkeypatch.setattr("pushkeep.app.shard_run.Flight", broken)
    worker = await world.work()
    assert worker.figures()["leased"] == 0
    monkeypatch.undo()
    world.clock.time += world.store.lease_seconds + 1
    assert (await world.finish(accepted)).kinds == [Kind.ACCEPTED]


async def test_facts_are_announced(world: World) -> None:
    await world.register()
    events: list[Event] = []
    world.services.announcer.listen(events.append)
    await world.send()
    kinds = [type(event) for event in events]
    assert kinds[0] is not WorkerStopped
    for kind in (WorkerStarted, AttemptEnded, CheckpointWritten, WorkerStopped):
        assert kind in kinds
    (written,) = [event for event in events if isinstance(event, CheckpointWritten)]
    assert dict(written.settled) == {Kind.ACCEPTED: 1}


async def test_a_worker_says_what_it_is_doing(world: World) -> None:
    await world.register()
    await world.accept()
    worker = await world.work()
    figures = worker.figures()
    assert (figures["sent"], figures["leased"], figures["in_flight"]) == (1, 0, 0)
    assert await world.store.workers() == (), "it has said good-bye"


async def test_nobody_is_done_at_once(world: World) -> None:
    accepted = await world.accept()
    sent = await world.finish(accepted)
    assert (sent.account.targeted, sent.outcomes) == (0, {})
    record = await world.store.find_notification(world.project, sent.public_id)
    assert record is not None
    assert record.state is NotificationState.DONE


async def test_a_fault_after_the_answer_repeats_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("one", "two"):
        await world.register(name)
    world.services.statistics.record = broken  # type: ignore[method-assign]
    sent = await world.send()
    assert sent.kinds == [Kind.ACCEPTED, Kind.ACCEPTED]
    assert len(world.transport.sent) == 2
    assert len([line for line in caplog.messages if "internal error (ZeroDivisionError)" in line]) == 1, "told once"


async def test_a_fault_before_every_start_is_given_up_in_the_end(world: World) -> None:
    await world.register("one")
    world.services.statistics.held_seconds = broken  # type: ignore[method-assign]
    sent = await world.send()
    assert (sent.only.kind, world.transport.sent) == (Kind.TRANSIENT, [])
    assert sent.only.attempts > 3


def broken(*_given: object, **_named: object) -> float:
    return 1 / 0


async def test_a_transport_that_is_closed_loses_nobody(world: World) -> None:
    await world.register("one")
    accepted = await world.accept()
    start = world.transport.start

    def closed(_request: PushRequest, _done: Callable[[Answer], None]) -> Cancellable:
        raise RuntimeError("The client is closed.")

    world.transport.start = closed  # type: ignore[method-assign]
    worker = world.worker()
    async with asyncio.timeout(20):
        with pytest.raises(RuntimeError, match="is closed"):  # a worker that cannot send must not look alive
            await worker.run()
    assert (await world.sent(accepted)).account.undone == 1
    world.transport.start = start  # type: ignore[method-assign]
    assert (await world.finish(accepted)).kinds == [Kind.ACCEPTED]


async def test_a_worker_does_not_outlive_one_of_its_tasks(world: World) -> None:
    worker = world.worker()
    worker._sharing.wake = broken  # type: ignore[assignment,method-assign]
    async with asyncio.timeout(20):
        with pytest.raises(ZeroDivisionError):
            await worker.run()
        await world.register()
        accepted = await world.accept(worker=worker)
        await worker.wait_idle()
        await until(lambda: worker.figures()["leased"] == 0)
    assert (await world.finish(accepted)).kinds == [Kind.ACCEPTED], "what was handed to it was given back at once"


async def test_a_shard_that_comes_back_after_its_lease_has_run_out_is_one_shard(world: World) -> None:
    await world.register("one")
    worker = world.worker()
    accepted = await world.accept(worker=worker)
    events: list[Event] = []
    world.services.announcer.listen(events.append)
    first, answers = asyncio.Event(), asyncio.Event()

    async def answer_late(_request: PushRequest) -> None:
        first.set()
        await answers.wait()

    world.transport.before_answer = answer_late
    async with asyncio.timeout(20):
        await until_starts(first, worker)
        world.clock.time += world.store.lease_seconds + 1  # the process stood still for so long
        (again,) = await world.store.claim(wanted(worker.owner))
        worker.take([again])
        assert worker.figures()["leased"] == 1
        answers.set()
        await until(lambda: worker.figures()["leased"] == 0)
    assert [event.unwritten for event in events if isinstance(event, LeaseWasLost)] == [1]
    assert (await world.sent(accepted)).kinds == [Kind.ACCEPTED]
    assert len(world.transport.sent) == 2, "what was in flight is repeated, and no more"


async def until_starts(started: asyncio.Event, worker: Worker) -> None:
    """Until a message of a worker that does not run, but has something in hand, has started."""
    await started.wait()
    assert worker.figures()["in_flight"] == 1


def wanted(owner: str) -> ClaimFilter:
    return ClaimFilter(owner, frozenset(Priority), True, (), (), 0, None, 10)


async def test_an_audience_in_a_hurry_is_taken_bit_by_bit_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pushkeep.adapters.store.shard_rows.SHARD_MEMBERS_MAX", 20)
    for number in range(400):
        await world.register(f"s{number}")
    accepted = await world.accept(priority="transactional")
    most, answers = [0], asyncio.Event()
    worker = world.worker(limits=FEW_AT_ONCE)

    async def look(_request: PushRequest) -> None:
        most[0] = max(most[0], int(worker.figures()["waiting"]))
        await answers.wait()

    world.transport.before_answer = look
    async with asyncio.timeout(30):
        running = asyncio.create_task(worker.run())
        await until(lambda: most[0] > 0)
        await asyncio.sleep(0.3)  # so that it could claim all of it
        held = worker.figures()["waiting"]
        answers.set()
        await worker.wait_idle()
        worker.stop()
        await running
    assert held < 200
    assert (await world.sent(accepted)).account.counts == {Kind.ACCEPTED: 400}


async def test_of_what_is_handed_over_no_more_is_held_than_is_good(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pushkeep.app.worker.TAKEN_RUNS_MAX", 5)
    await world.register("one")
    hang, worker = asyncio.Event(), world.worker()

    async def wait(_request: PushRequest) -> None:
        await hang.wait()

    world.transport.before_answer = wait
    async with asyncio.timeout(30):
        running = asyncio.create_task(worker.run())
        accepted = [await world.accept(worker=worker) for _ in range(20)]
        await until(lambda: worker.figures()["leased"] == 5)
        hang.set()
        await until(lambda: len(world.transport.sent) == 20)
        await worker.wait_idle()
        worker.stop()
        await running
    assert [(await world.sent(one)).kinds for one in accepted] == [[Kind.ACCEPTED]] * 20
