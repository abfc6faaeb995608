"""send_many: every message has its result, whatever happens to the others, in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Iterator

import h2.connection
import pytest

from pushkeep import InvalidInput, Message, PayloadTooLarge, PushClient, SendResult, SigningKey, Subscription, Verdict
from pushkeep.protocol.answer import Answer
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.request import PushRequest
from pushkeep.pushservice import PushService
from tests.protocol.vectors import AUTH, UA_PUBLIC
from tests.transport.servers import ORIGIN, Authority, Seen, answer, answer2, http1, http2

from .conftest import CONTACT

OTHER = "https://other.example"
SECONDS = 60
"""Bound on waits for what takes milliseconds."""


def whom(origin: str = ORIGIN, token: object = "token") -> Subscription:
    return Subscription(Endpoint.parse(f"{origin}/wpush/{token}"), UA_PUBLIC, AUTH)


class Counted:
    """Messages without end, or ``count`` of them; knows how many were read."""

    def __init__(self, count: int | None = None, origin: str = ORIGIN) -> None:
        self.read = 0
        self._count = count
        self._whom = whom(origin)

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        if self._count is not None and self.read >= self._count:
            raise StopIteration
        self.read += 1
        return Message(self._whom, reference=self.read)

    async def asynchronous(self) -> AsyncIterator[Message]:
        for message in self:
            yield message


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in this loop, and then a little longer, to see what happens too much."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - nobody sets an event for it
            await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def hanging(authority: Authority, origin: str = ORIGIN) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A push service that never answers: its origin-map entry, and an event at the first request."""
    arrived = asyncio.Event()

    async def behave(
        _seen: Seen, _connection: h2.connection.H2Connection, _stream: int, _writer: asyncio.StreamWriter
    ) -> None:
        arrived.set()

    async with http2(behave, authority.server_context("push.example", "other.example", alpn=("h2",))) as server:
        yield server.entry(authority.file, origin=origin), arrived


async def test_every_message_has_its_result_and_its_own_reference(
    service: PushService, client: PushClient, key: SigningKey
) -> None:
    subscribers = [await service.subscribe(key.public_bytes) for _ in range(50)]
    await subscribers[7].unsubscribe()

    def messages() -> Iterator[Message]:
        for number, subscriber in enumerate(subscribers):
            yield Message(
                subscriber.subscription, f"message {number}", ttl=60, urgency="high", topic="inbox", reference=number
            )

    results = {result.reference: result async for result in client.send_many(messages())}
    assert sorted(results) == list(range(50))  # type: ignore[type-var]
    gone = results[7].outcome
    assert gone is not None
    assert (gone.verdict, gone.reference, results[7].accepted) == (Verdict.GONE, 7, False)
    assert all(result.accepted and result.error is None for number, result in results.items() if number != 7)
    for number, subscriber in enumerate(subscribers):
        if number != 7:
            got = await subscriber.receive(SECONDS)
            assert got.data == f"message {number}".encode()
            assert (got.ttl, got.urgency, got.topic) == (60, "high", "inbox")


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_one_bad_recipient_stops_nobody(authority: Authority, asynchronous: bool) -> None:
    good = whom()
    bad: list[Message] = [
        Message("{", reference="json"),
        Message({"endpoint": "http://push.example/x", "keys": {}}, reference="endpoint"),
        Message(good, b"x" * 3994, reference="large"),
        Message(good, object(), reference="payload"),  # type: ignore[arg-type]
        Message(good, ttl=-1, reference="ttl"),
        Message(good, ttl=True, reference="true"),
        Message(good, urgency="now", reference="urgency"),
        Message(good, topic="a b", reference="topic"),
        {"subscription": good},  # type: ignore[list-item]
    ]
    mixed = [Message(good, "x", ttl=1, reference="first"), *bad, Message(good, "x", ttl=1, reference="last")]

    async def slowly() -> AsyncIterator[Message]:
        for message in mixed:
            await asyncio.sleep(0)
            yield message

    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)]) as client,
    ):
        results = [result async for result in client.send_many(slowly() if asynchronous else mixed)]
    assert len(results) == len(mixed)
    assert {result.reference for result in results if result.accepted} == {"first", "last"}
    errors = {result.reference: result.error for result in results if result.error is not None}
    assert len(errors) == len(bad)
    assert all(result.outcome is None for result in results if result.error is not None)
    large, unknown = errors["large"], errors[None]
    assert isinstance(large, PayloadTooLarge)
    assert large.excess_bytes == 1
    assert unknown.field == "messages"
    assert {errors[name].field for name in ("ttl", "true")} == {"ttl"}
    assert len(server.requests) == 2


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_ten_thousand_messages_are_read_only_as_they_are_needed(authority: Authority, asynchronous: bool) -> None:
    messages, taken, most = Counted(10_000), 0, 0
    async with (
        http1(answer(), authority.server_context()) as server,  # cheaper to serve in Python than HTTP/2
        PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)]) as client,
    ):
        source = messages.asynchronous() if asynchronous else messages
        async for result in client.send_many(source, in_flight_max=50, look_ahead_max=200):
            assert result.accepted
            most = max(most, messages.read - taken)
            taken += 1
    assert taken == len(server.requests) == 10_000
    assert 50 <= most <= 200


async def test_a_caller_who_takes_no_results_holds_up_reading(authority: Authority) -> None:
    messages = Counted()
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)]) as client,
        contextlib.aclosing(client.send_many(messages, in_flight_max=10, look_ahead_max=30)) as results,
    ):
        await anext(results)
        await until(lambda: len(server.requests) >= 31)
        assert messages.read == len(server.requests) == 31


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_push_service_that_hangs_does_not_hold_up_the_others(authority: Authority, asynchronous: bool) -> None:
    """Every second message is for a service that never answers; the others are all sent meanwhile."""
    stuck, well = Counted(100), Counted(100, OTHER)

    async def messages() -> AsyncIterator[Message]:
        for first, second in zip(stuck, well, strict=True):
            yield first
            yield second

    def plainly() -> Iterator[Message]:
        for first, second in zip(stuck, well, strict=True):
            yield first
            yield second

    context = authority.server_context("other.example", alpn=("h2",))
    async with (
        hanging(authority) as (entry, _),
        http2(answer2(), context) as server,
        PushClient(
            key=SigningKey.generate(),
            contact=CONTACT,
            origin_map=[entry, server.entry(authority.file, origin=OTHER)],
        ) as client,
        contextlib.aclosing(
            client.send_many(messages() if asynchronous else plainly(), in_flight_max=8, origin_in_flight_max=4)
        ) as results,
        asyncio.timeout(SECONDS),
    ):
        for _ in range(100):
            assert (await anext(results)).accepted
    assert len(server.requests) == 100


async def test_a_crowd_of_strangers_does_not_hold_up_who_is_known(authority: Authority) -> None:
    """Every second message is for a host name of its own that leads to a black hole."""
    known = "https://fcm.googleapis.com"

    def messages() -> Iterator[Message]:
        for number in range(100):
            yield Message(whom(f"https://stranger-{number}.example"), reference="stranger")
            yield Message(whom(known), reference="known")

    async with (
        http2(answer2(), authority.server_context("fcm.googleapis.com", alpn=("h2",))) as server,
        PushClient(
            key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file, origin=known)]
        ) as client,
        asyncio.timeout(SECONDS),
    ):
        started = client._transport.start
        hanging = 0

        def start(request: PushRequest, done: Callable[[Answer], None]) -> object:
            nonlocal hanging
            if request.endpoint.origin == known:
                return started(request, done)
            hanging += 1  # a network that swallows packets cannot be had on loopback
            return asyncio.get_running_loop().create_future()

        client._transport.start = start  # type: ignore[assignment, method-assign]
        sending = client.send_many(messages(), in_flight_max=8)
        results = [await anext(sending) for _ in range(100)]
        assert {result.reference for result in results} == {"known"}
        assert all(result.accepted for result in results)
        assert hanging == 4
        await sending.aclose()


async def test_strangers_take_turns(authority: Authority) -> None:
    """Nothing is forgotten when many lanes wait for one limit."""
    messages = [Message(whom(f"https://127.0.0.{n % 50 + 1}:9"), reference=n) for n in range(300)]
    async with PushClient(key=SigningKey.generate(), contact=CONTACT) as client, asyncio.timeout(SECONDS):
        sending = client.send_many(messages, in_flight_max=4, origin_in_flight_max=1)
        references = [result.reference async for result in sending]
    assert sorted(references) == list(range(300))  # type: ignore[type-var]


async def test_the_look_ahead_bounds_what_a_hanging_service_gathers(authority: Authority) -> None:
    messages = Counted()
    async with (
        hanging(authority) as (entry, arrived),
        PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[entry]) as client,
    ):
        sending = client.send_many(messages, in_flight_max=4, look_ahead_max=100)
        first = asyncio.ensure_future(anext(sending))
        await arrived.wait()
        await until(lambda: messages.read >= 100)
        assert messages.read == 100
        assert client._transport.statistics.requests == 2
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await sending.aclose()


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_leaving_early_ends_what_is_in_flight(authority: Authority, asynchronous: bool) -> None:
    messages = Counted()
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)]) as client,
    ):
        async for _ in client.send_many(messages.asynchronous() if asynchronous else messages):
            break
        gc.collect()
        # The loop closes a generator that nobody holds any more in a task of its own.
        await until(lambda: client._transport._engine.idle)
        read = messages.read
        assert (await client.send(whom(), "still usable")).accepted
        assert messages.read == read
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_the_messages_raise_comes_after_the_results_of_those_read(
    authority: Authority, asynchronous: bool
) -> None:
    class Lost(Exception):
        """The caller's database is gone."""

    def messages() -> Iterator[Message]:
        yield from Counted(5)
        raise Lost

    async def slowly() -> AsyncIterator[Message]:
        for message in messages():
            await asyncio.sleep(0)
            yield message

    results: list[SendResult] = []
    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)]) as client,
    ):
        with pytest.raises(Lost):  # noqa: PT012 - raised by the iteration, not by the call
            async for result in client.send_many(slowly() if asynchronous else messages()):
                results.append(result)
        assert (await client.send(whom())).accepted
    assert [result.accepted for result in results] == [True] * 5


async def test_results_come_while_an_asynchronous_source_waits(authority: Authority) -> None:
    taken = asyncio.Event()

    async def messages() -> AsyncIterator[Message]:
        yield Message(whom(), reference=1)
        await taken.wait()
        yield Message(whom(), reference=2)

    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)]) as client,
        asyncio.timeout(SECONDS),
    ):
        references = []
        async for result in client.send_many(messages()):
            references.append(result.reference)
            taken.set()
    assert references == [1, 2]


async def test_closing_lets_what_is_in_flight_finish_and_then_says_so(authority: Authority) -> None:
    messages, results = Counted(), []
    async with http2(answer2(), authority.server_context(alpn=("h2",))) as server:
        client = PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)])
        with pytest.raises(RuntimeError, match="closed"):  # noqa: PT012 - raised by the iteration
            async for result in client.send_many(messages, in_flight_max=10):
                results.append(result)
                if len(results) == 100:
                    closing = asyncio.create_task(client.aclose())
        await closing
        assert len(results) == len(server.requests)
        assert all(result.accepted for result in results)
        with pytest.raises(RuntimeError, match="closed"):
            await anext(client.send_many([Message(whom())]))


async def test_a_fault_of_the_padding_policy_is_raised(authority: Authority) -> None:
    def broken(_size: int, _room: int) -> int:
        raise ZeroDivisionError

    async with PushClient(key=SigningKey.generate(), contact=CONTACT, padding=broken) as client:
        with pytest.raises(ZeroDivisionError):
            _ = [result async for result in client.send_many([Message(whom(), "x")])]


async def test_nothing_to_send_is_no_result() -> None:
    async with PushClient(key=SigningKey.generate(), contact=CONTACT) as client:
        assert [result async for result in client.send_many([])] == []


@pytest.mark.parametrize(
    "limits",
    [
        {"in_flight_max": 0},
        {"in_flight_max": 257},
        {"in_flight_max": 1.5},
        {"origin_in_flight_max": 0},
        {"in_flight_max": 10, "origin_in_flight_max": 11},
        {"look_ahead_max": 0},
        {"look_ahead_max": True},
    ],
)
async def test_limits_are_checked_at_once(limits: dict[str, int]) -> None:
    async with PushClient(key=SigningKey.generate(), contact=CONTACT) as client:
        with pytest.raises(InvalidInput) as caught:
            client.send_many([], **limits)  # type: ignore[arg-type]
    assert caught.value.field == list(limits)[-1]
