"""Retries: off unless asked for, each attempt fresh, never before Retry-After and never past the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h2.connection
import pytest

from pushkeep import Message, Outcome, PushClient, RetryPolicy, SigningKey, TransportLimits, Verdict
from pushkeep.protocol.vapid import verify
from tests.transport.servers import ORIGIN, Authority, Seen, Server, answer2, http2

from .conftest import CONTACT
from .test_send_many import OTHER, SECONDS, until, whom

START = 1_800_000_000.0


@dataclass
class Patience:
    """A clock and a sleeper that let hours pass at once.

    Attributes:
        steps_seconds: by how much somebody sets the clock during the first sleep.
        oversleeps_seconds: how much longer each sleep takes than was asked for.
    """

    seconds: float = 0.0
    started_at: float = START
    slept: list[float] = field(default_factory=list)
    steps_seconds: float = 0.0
    oversleeps_seconds: float = 0.0

    def now(self) -> float:
        return self.started_at + self.seconds

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds + self.oversleeps_seconds
        self.started_at += self.steps_seconds
        self.steps_seconds = 0.0


Scripted = tuple[int, bytes, Mapping[str, str]]
Answers = list[Scripted]


@asynccontextmanager
async def answering(
    authority: Authority, answers: Answers, vendor: str = "fcm", **options: object
) -> AsyncIterator[tuple[PushClient, Server, Patience]]:
    """A service that gives these answers, one after the other and then 201, and a client for it."""
    patience = Patience()

    async def behave(
        seen: Seen, connection: h2.connection.H2Connection, stream: int, writer: asyncio.StreamWriter
    ) -> None:
        status, body, fields = answers.pop(0) if answers else (201, b"", {})
        await answer2(status, body, *fields.items())(seen, connection, stream, writer)

    async with (
        http2(behave, authority.server_context(alpn=("h2",))) as server,
        PushClient(
            key=SigningKey.generate(),
            contact=CONTACT,
            origin_map=[f"{server.entry(authority.file)},vendor={vendor}"],
            clock=patience,
            sleeper=patience,
            **options,  # type: ignore[arg-type]
        ) as client,
    ):
        yield client, server, patience


Sending = Callable[..., "asyncio.Future[Outcome]"]


async def through_send(client: PushClient, ttl: int, topic: str | None, retry: RetryPolicy | None) -> Outcome:
    return await client.send(whom(), "x", ttl=ttl, topic=topic, retry=retry)


async def through_send_many(client: PushClient, ttl: int, topic: str | None, retry: RetryPolicy | None) -> Outcome:
    (result,) = [result async for result in client.send_many([Message(whom(), "x", ttl, None, topic)], retry=retry)]
    assert result.outcome is not None
    return result.outcome


ways = pytest.mark.parametrize("send", [through_send, through_send_many])


@ways
async def test_without_a_policy_one_attempt_is_all(authority: Authority, send: Sending) -> None:
    async with answering(authority, [(503, b"", {})]) as (client, server, patience):
        outcome = await send(client, 60, None, None)
    assert (outcome.verdict, outcome.attempts, len(server.requests)) == (Verdict.TRANSIENT, 1, 1)
    assert patience.slept == []


@ways
async def test_every_attempt_is_fresh_and_has_what_is_left_of_the_ttl(authority: Authority, send: Sending) -> None:
    busy = (503, b"", {"retry-after": "30000"})
    async with answering(authority, [busy, busy]) as (client, server, patience):
        outcome = await send(client, 86_400, None, RetryPolicy(retry_after_seconds_max=86_400))
        assert (outcome.accepted, outcome.attempts) == (True, 3)
        first, second, third = server.requests
        assert len({seen.body[:16] for seen in server.requests}) == 3  # salt
        assert len({seen.body[21:86] for seen in server.requests}) == 3  # key pair
        # Eight hours later the first token is past half its life.
        assert first.header("authorization") != second.header("authorization")
        now = START
        for seen, slept in zip(server.requests, [0.0, *patience.slept], strict=True):
            now += slept
            verify(seen.header("authorization") or "", audience=ORIGIN, now=now)
        assert [int(seen.header("ttl") or -1) for seen in (first, second, third)] == [
            86_400,
            int(86_400 - patience.slept[0]),
            int(86_400 - sum(patience.slept)),
        ]
        assert all(seconds >= 30_000 for seconds in patience.slept)


@ways
async def test_no_attempt_is_made_past_the_deadline(authority: Authority, send: Sending) -> None:
    always = [(503, b"", {"retry-after": "40"})] * 10
    async with answering(authority, always) as (client, server, patience):
        outcome = await send(client, 100, None, RetryPolicy(attempts_max=10))
        assert (outcome.verdict, outcome.attempts) == (Verdict.TRANSIENT, 3)
        assert sum(patience.slept) < 100
        assert len(server.requests) == 3


@ways
async def test_now_or_never_is_tried_for_a_minute(authority: Authority, send: Sending) -> None:
    async with answering(authority, [(503, b"", {"retry-after": "50"})]) as (client, server, _):
        outcome = await send(client, 0, None, RetryPolicy())
        assert (outcome.accepted, outcome.attempts) == (True, 2)
        assert [seen.header("ttl") for seen in server.requests] == ["0", "0"]
    async with answering(authority, [(503, b"", {"retry-after": "61"})]) as (client, server, _):
        assert not (await send(client, 0, None, RetryPolicy())).accepted


@ways
async def test_a_throttled_answer_without_a_time_waits_a_minute_and_then_two(
    authority: Authority, send: Sending
) -> None:
    async with answering(authority, [(429, b"", {})] * 2) as (client, _, patience):
        assert (await send(client, 86_400, None, RetryPolicy())).attempts == 3
    assert patience.slept == [60.0, 120.0]


@ways
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413])
async def test_what_does_not_pass_is_not_tried_again(authority: Authority, send: Sending, status: int) -> None:
    async with answering(authority, [(status, b"", {})]) as (client, server, patience):
        outcome = await send(client, 60, None, RetryPolicy())
    assert (outcome.attempts, len(server.requests), patience.slept) == (1, 1, [])


@ways
async def test_a_topic_that_apple_refuses_is_dropped_once(authority: Authority, send: Sending) -> None:
    refusal = (400, b'{"reason":"BadWebPushTopic"}', {})
    async with answering(authority, [refusal], vendor="apple") as (client, server, patience):
        outcome = await send(client, 60, "inbox", RetryPolicy())
        assert (outcome.accepted, outcome.attempts) == (True, 2)
        assert [seen.header("topic") is None for seen in server.requests] == [False, True]
        assert patience.slept == []
    async with answering(authority, [refusal] * 3, vendor="apple") as (client, server, _):
        assert (await send(client, 60, "inbox", RetryPolicy())).verdict is Verdict.BAD_REQUEST
        assert len(server.requests) == 2


@ways
async def test_the_ttl_that_microsoft_refuses_is_put_right_once(authority: Authority, send: Sending) -> None:
    refusal = (400, b"", {"x-wns-error-description": "Ttl value conflicts with X-WNS-Cache-Policy"})
    async with answering(authority, [refusal], vendor="wns") as (client, server, _):
        outcome = await send(client, 0, None, RetryPolicy())
        assert (outcome.accepted, outcome.attempts) == (True, 2)
    assert server.requests[0].headers != server.requests[1].headers


@ways
@pytest.mark.parametrize(
    ("vendor", "refusal"),
    [
        ("apple", (400, b'{"reason":"BadWebPushTopic"}', {})),
        ("wns", (400, b"", {"x-wns-error-description": "Ttl value conflicts with X-WNS-Cache-Policy"})),
    ],
)
async def test_a_remedy_that_changes_nothing_is_not_tried(
    authority: Authority, send: Sending, vendor: str, refusal: Scripted
) -> None:
    async with answering(authority, [refusal], vendor=vendor) as (client, server, _):
        outcome = await send(client, 1, None, RetryPolicy())
    assert (outcome.verdict, outcome.attempts, len(server.requests)) == (Verdict.BAD_REQUEST, 1, 1)


@ways
async def test_what_is_left_of_a_ttl_does_not_become_now_or_never(authority: Authority, send: Sending) -> None:
    """A second before its deadline a message still has a TTL, which WNS takes whatever it makes of the header."""
    async with answering(authority, [(429, b"", {"retry-after": "99"})]) as (client, server, patience):
        patience.oversleeps_seconds = 0.5
        outcome = await send(client, 100, None, RetryPolicy())
    assert [seen.header("ttl") for seen in server.requests] == ["100", "1"]
    assert outcome.verdict is Verdict.ACCEPTED


@ways
@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
async def test_setting_the_clock_moves_no_deadline(authority: Authority, send: Sending, step: float) -> None:
    busy = (503, b"", {"retry-after": "40"})
    async with answering(authority, [busy] * 10) as (client, server, patience):
        patience.steps_seconds = step
        outcome = await send(client, 100, None, RetryPolicy(attempts_max=10))
    assert (outcome.verdict, outcome.attempts) == (Verdict.TRANSIENT, 3)
    assert sum(patience.slept) < 100
    left = [int(seen.header("ttl") or -1) for seen in server.requests]
    assert left == [100, int(100 - patience.slept[0]), int(100 - sum(patience.slept))]
    # The token, however, is dated by the clock as it is now.
    verify(server.requests[-1].header("authorization") or "", audience=ORIGIN, now=patience.now())


async def test_the_policy_of_the_client_is_the_default_of_its_calls(authority: Authority) -> None:
    async with answering(authority, [(503, b"", {})] * 5, retry=RetryPolicy(attempts_max=2)) as (client, _, _):
        assert (await through_send(client, 60, None, None)).attempts == 2
        assert (await through_send_many(client, 60, None, None)).attempts == 2
        assert (await through_send(client, 60, None, RetryPolicy(attempts_max=1))).attempts == 1


async def test_no_answer_is_tried_again_too(authority: Authority) -> None:
    patience = Patience()
    async with PushClient(
        key=SigningKey.generate(),
        contact=CONTACT,
        origin_map=[f"{ORIGIN}=https://127.0.0.1:1,ca={authority.file}"],
        limits=TransportLimits(total_seconds_max=5),
        clock=patience,
        sleeper=patience,
    ) as client:
        outcome = await client.send(whom(), "x", retry=RetryPolicy(attempts_max=3))
    assert (outcome.verdict, outcome.attempts, len(patience.slept)) == (Verdict.TRANSIENT, 3, 2)


async def test_who_waits_to_be_tried_again_holds_up_nobody(authority: Authority) -> None:
    class Standstill(Patience):
        """Never wakes up."""

        async def sleep(self, seconds: float) -> None:
            self.slept.append(seconds)
            await asyncio.Event().wait()

    standstill = Standstill()

    async with (
        http2(answer2(503), authority.server_context(alpn=("h2",))) as busy,
        http2(answer2(), authority.server_context("other.example", alpn=("h2",))) as well,
        PushClient(
            key=SigningKey.generate(),
            contact=CONTACT,
            origin_map=[busy.entry(authority.file), well.entry(authority.file, origin=OTHER)],
            sleeper=standstill,
        ) as client,
    ):
        messages = [Message(whom(origin), "x", reference=origin) for _ in range(20) for origin in (ORIGIN, OTHER)]
        sending = client.send_many(messages, in_flight_max=2, retry=RetryPolicy())
        for _ in range(20):
            result = await asyncio.wait_for(anext(sending), 10)
            assert (result.reference, result.accepted) == (OTHER, True)
        await until(lambda: len(standstill.slept) == 20)
        await sending.aclose()
    assert len(asyncio.all_tasks()) == 1


async def test_closing_ends_the_wait_for_another_attempt_with_the_last_outcome(authority: Authority) -> None:
    async with (
        http2(answer2(429, b"", ("retry-after", "3000")), authority.server_context(alpn=("h2",))) as server,
        asyncio.timeout(SECONDS),
    ):
        client = PushClient(
            key=SigningKey.generate(),
            contact=CONTACT,
            origin_map=[server.entry(authority.file)],
            retry=RetryPolicy(),
        )
        one = asyncio.ensure_future(client.send(whom()))
        many = client.send_many([Message(whom(), reference="many")])
        result = asyncio.ensure_future(anext(many))
        await until(lambda: len(client._sleeping) == 2)
        await client.aclose()
        assert ((await one).verdict, (await one).attempts) == (Verdict.THROTTLED, 1)
        outcome = (await result).outcome
        assert outcome is not None
        assert (outcome.verdict, outcome.reference) == (Verdict.THROTTLED, "many")
        with pytest.raises(RuntimeError, match="closed"):
            await anext(many)
    assert len(asyncio.all_tasks()) == 1
