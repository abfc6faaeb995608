"""SyncPushClient and the module's functions: the same behaviour without a loop, in one, and in several threads."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import pushkeep
from pushkeep import (
    InvalidInput,
    Message,
    RetryPolicy,
    SendResult,
    SigningKey,
    SyncPushClient,
    TransportLimits,
    Verdict,
)
from pushkeep.errors import ConfigurationError
from pushkeep.pushservice import PushService
from tests.transport.servers import Authority, Behaviour, Behaviour2, Serving, answer, answer2, http1, http2

from .conftest import CONTACT
from .test_send_many import OTHER, Counted, whom

SECONDS = 60
"""Bound on waits for what takes milliseconds."""


def serving2(authority: Authority, behave: Behaviour2, *names: str) -> Serving:
    return Serving(lambda: http2(behave, authority.server_context(*names, alpn=("h2",))))


def serving1(authority: Authority, behave: Behaviour) -> Serving:
    return Serving(lambda: http1(behave, authority.server_context()))


async def hang(*_: object) -> None:
    """Behave: no answer ever."""


def client_for(*entries: str, **options: object) -> SyncPushClient:
    return SyncPushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=entries, **options)  # type: ignore[arg-type]


async def test_it_works_beside_a_running_loop_and_the_message_arrives(service: PushService, key: SigningKey) -> None:
    """In a thread, because the service under test lives in this loop."""
    subscriber = await service.subscribe(key.public_bytes)

    def work() -> list[object]:
        with SyncPushClient(key=key, contact=CONTACT, origin_map=service.origin_map_entries()) as client:
            outcome = client.send(subscriber.subscription, {"n": 1}, ttl=60, reference=7)
            results = list(client.send_many(Message(subscriber.subscription, str(n), reference=n) for n in range(20)))
        assert (outcome.accepted, outcome.reference) == (True, 7)
        assert all(result.accepted for result in results)
        return [result.reference for result in results]

    assert sorted(await asyncio.to_thread(work)) == list(range(20))  # type: ignore[type-var]
    received = [(await subscriber.receive(SECONDS)).data for _ in range(21)]
    assert received[0] == b'{"n":1}'
    assert sorted(received[1:]) == sorted(str(n).encode() for n in range(20))  # type: ignore[type-var]


async def test_it_works_inside_a_running_loop(authority: Authority) -> None:
    with serving2(authority, answer2()) as server, client_for(server.entry(authority.file)) as client:
        assert client.send(whom(), "x").accepted
        assert [result.accepted for result in client.send_many([Message(whom())] * 3)] == [True] * 3
        assert server.connections == 1


def test_the_modules_functions_need_no_client(authority: Authority, tmp_path: Path) -> None:
    file = tmp_path / "vapid.pem"
    file.write_text(SigningKey.generate().to_pem())
    with serving2(authority, answer2()) as server:
        entries = [server.entry(authority.file)]
        outcome = pushkeep.send(whom(), "x", key=file, contact=CONTACT, reference=1, origin_map=entries)
        assert (outcome.accepted, outcome.reference) == (True, 1)
        results = pushkeep.send_many(Counted(5), key=file, contact=CONTACT, origin_map=entries)
        assert sorted(result.reference for result in results) == [1, 2, 3, 4, 5]  # type: ignore[type-var]
        with pytest.raises(InvalidInput):
            pushkeep.send_many([], key=tmp_path / "missing.pem", contact=CONTACT)
    assert len(server.requests) == 6


def test_a_bad_recipient_is_a_result_and_an_error_of_send(authority: Authority) -> None:
    with serving2(authority, answer2()) as server, client_for(server.entry(authority.file)) as client:
        results = list(client.send_many([Message("{", reference="bad"), Message(whom(), reference="good")]))
        assert {result.reference: result.accepted for result in results} == {"bad": False, "good": True}
        with pytest.raises(InvalidInput):
            client.send("{")
        with pytest.raises(InvalidInput, match="7 octets too large"):
            client.send(whom(), b"x" * 4000)
    assert len(server.requests) == 1


def test_a_push_service_that_hangs_does_not_hold_up_the_others(authority: Authority) -> None:
    def messages() -> Iterator[Message]:
        for first, second in zip(Counted(50), Counted(50, OTHER), strict=True):
            yield from (first, second)

    limits = TransportLimits(total_seconds_max=2)
    with serving2(authority, hang) as hanging, serving2(authority, answer2(), "other.example") as well:
        entries = [hanging.entry(authority.file), well.entry(authority.file, origin=OTHER)]
        with client_for(*entries, limits=limits) as client:
            sending = client.send_many(messages(), in_flight_max=8, origin_in_flight_max=4)
            assert all(next(sending).accepted for _ in range(50))
            sending.close()
            assert client.send(whom(OTHER)).accepted


def test_messages_are_read_only_as_they_are_needed(authority: Authority) -> None:
    messages, taken, most = Counted(3_000), 0, 0
    with serving1(authority, answer()) as server, client_for(server.entry(authority.file)) as client:
        for result in client.send_many(messages, in_flight_max=20, look_ahead_max=100):
            assert result.accepted
            most = max(most, messages.read - taken)
            taken += 1
    assert taken == len(server.requests) == 3_000
    assert most <= 100


def test_what_the_messages_raise_comes_after_the_results_of_those_read(authority: Authority) -> None:
    def messages() -> Iterator[Message]:
        yield from Counted(5)
        raise ZeroDivisionError

    results: list[SendResult] = []
    with serving2(authority, answer2()) as server, client_for(server.entry(authority.file)) as client:
        with pytest.raises(ZeroDivisionError):
            results.extend(client.send_many(messages()))
        for result in client.send_many(Counted()):
            assert result.accepted
            break
        assert client.send(whom()).accepted
    assert server.connections <= 2


def test_a_slow_caller_takes_no_time_from_what_is_in_flight(authority: Authority) -> None:
    """One answer comes at once, the other while the caller is busy for longer than the time limit."""

    async def later(seen: object, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3 * (len(server.requests) - 1))  # the second comes while its caller is away
        await answer()(seen, writer)  # type: ignore[arg-type]

    limits = TransportLimits(total_seconds_max=0.6)
    with serving1(authority, later) as server, client_for(server.entry(authority.file), limits=limits) as client:
        accepted = []
        for result in client.send_many(Counted(2)):
            accepted.append(result.accepted)
            time.sleep(1)  # what the caller does with the result
    assert accepted == [True, True]


def test_time_limits_hold_after_a_slow_caller(authority: Authority) -> None:
    async def once(seen: object, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 1:
            await answer()(seen, writer)  # type: ignore[arg-type]
        else:
            await asyncio.Event().wait()

    limits = TransportLimits(total_seconds_max=0.4)
    with serving1(authority, once) as server, client_for(server.entry(authority.file), limits=limits) as client:
        verdicts = []
        for result in client.send_many(Counted(2)):
            assert result.outcome is not None
            verdicts.append(result.outcome.verdict)
            time.sleep(0.6)  # what the caller does with the result
    assert verdicts == [Verdict.ACCEPTED, Verdict.TRANSIENT]


def test_several_threads_send_at_once_and_connections_are_kept(authority: Authority) -> None:
    barrier, outcomes = threading.Barrier(4), []

    def work() -> None:
        barrier.wait(SECONDS)
        outcomes.extend([client.send(whom(), "x").accepted for _ in range(25)])

    with serving2(authority, answer2()) as server, client_for(server.entry(authority.file)) as client:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS)
        assert outcomes == [True] * 100
        assert 1 <= server.connections <= 4
    assert len({seen.header("authorization") for seen in server.requests}) == 1


def test_closing_waits_for_other_threads_and_refuses_what_comes_after(authority: Authority) -> None:
    arrived, release, outcomes = threading.Event(), asyncio.Event(), []

    async def wait(seen: object, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await release.wait()
        await answer()(seen, writer)  # type: ignore[arg-type]

    serving = serving1(authority, wait)
    with serving as server:
        client = client_for(server.entry(authority.file))
        sending = threading.Thread(target=lambda: outcomes.append(client.send(whom(), "x")))
        sending.start()
        assert arrived.wait(SECONDS)
        closing = threading.Thread(target=client.close)
        closing.start()
        while not client._transports.closed:  # until closing has begun
            time.sleep(0.001)
        with pytest.raises(RuntimeError, match="closed"):
            client.send(whom(), "x")
        assert closing.is_alive()
        serving.call_soon(release.set)
        closing.join(SECONDS)
        sending.join(SECONDS)
    assert outcomes[0].accepted
    client.close()


def test_a_batch_left_standing_does_not_keep_the_client_open(authority: Authority) -> None:
    with serving2(authority, answer2()) as server:
        client = client_for(server.entry(authority.file))
        sending = client.send_many(Counted(), in_flight_max=4, look_ahead_max=8)
        assert next(sending).accepted
        client.close()
        results = []
        with pytest.raises(RuntimeError, match="closed"):
            results.extend(sending)
        with pytest.raises(RuntimeError, match="closed"):
            next(client.send_many(Counted(1)))


def test_a_child_process_gets_connections_of_its_own(authority: Authority) -> None:
    with serving2(authority, answer2()) as server, client_for(server.entry(authority.file)) as client:
        assert client.send(whom(), "parent").accepted
        child = os.fork()
        if child == 0:
            os._exit(0 if client.send(whom(), "child").accepted else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.send(whom(), "parent again").accepted
        assert [seen.connection for seen in server.requests] == [1, 2, 1]


def test_a_wrong_proxy_is_refused_where_it_is_given() -> None:
    with pytest.raises(ConfigurationError, match="proxy must be"):
        SyncPushClient(key=SigningKey.generate(), contact=CONTACT, proxy="proxy.example")


class Patience:
    """A clock and a sleeper that let hours pass at once."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@pytest.mark.parametrize("many", [False, True])
def test_retries_wait_as_told_without_the_loop_too(authority: Authority, many: bool) -> None:
    async def busy(seen: object, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) < 3:
            await answer("503 Service Unavailable", b"", "Retry-After: 50")(seen, writer)  # type: ignore[arg-type]
        else:
            await answer()(seen, writer)  # type: ignore[arg-type]

    patience = Patience()
    with (
        serving1(authority, busy) as server,
        client_for(server.entry(authority.file), clock=patience, sleeper=patience, retry=RetryPolicy()) as client,
    ):
        if many:
            (result,) = client.send_many([Message(whom(), "x", ttl=1000, reference=1)])
            outcome = result.outcome
        else:
            outcome = client.send(whom(), "x", ttl=1000, reference=1)
    assert outcome is not None
    assert (outcome.accepted, outcome.attempts, outcome.reference) == (True, 3, 1)
    assert len(patience.slept) == 2
    assert all(50 <= seconds < 53 for seconds in patience.slept)
    ttls = [int(seen.header("ttl") or -1) for seen in server.requests]
    assert ttls == [1000, int(1000 - patience.slept[0]), int(1000 - sum(patience.slept))]


def test_closing_ends_the_attempts_with_the_last_outcome(authority: Authority) -> None:
    """As when another thread closes the client while this one waits to try again."""

    class Closing(Patience):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            client.close()

    with serving1(authority, answer("503 Service Unavailable")) as server:
        patience = Closing()
        client = client_for(server.entry(authority.file), clock=patience, sleeper=patience, retry=RetryPolicy())
        outcome = client.send(whom(), "x")
        assert (outcome.verdict, outcome.attempts) == (Verdict.TRANSIENT, 1)
        with pytest.raises(RuntimeError, match="closed"):
            client.send(whom(), "x")
        client = client_for(server.entry(authority.file), clock=patience, sleeper=patience, retry=RetryPolicy())
        sending = client.send_many([Message(whom(), "x", reference=1)])
        assert next(sending).outcome == replace(outcome, reference=1)
        with pytest.raises(RuntimeError, match="closed"):
            next(sending)
