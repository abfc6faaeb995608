"""What the caller's messages do while they are read: whatever it is, send_many neither hangs nor hides it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Iterator

import pytest

from pushkeep import Message, PushClient, SigningKey
from tests.transport.servers import Authority, answer2, http2

from .conftest import CONTACT
from .test_send_many import SECONDS, until, whom

REFUSED = "https://127.0.0.1:9"
"""Has an outcome without a network."""


class NoException(BaseException):
    """As some frameworks' time-outs and test failures are."""


def raising(error: BaseException) -> Iterator[Message]:
    yield Message(whom(REFUSED))
    raise error


async def raising_later(error: BaseException) -> AsyncIterator[Message]:
    yield Message(whom(REFUSED))
    await asyncio.sleep(0)
    raise error


@pytest.mark.parametrize("raises", [raising, raising_later])
@pytest.mark.parametrize("error", [NoException(), asyncio.CancelledError()], ids=["other", "cancelled"])
async def test_what_is_no_exception_is_raised_too(raises: object, error: BaseException) -> None:
    assert callable(raises)
    async with PushClient(key=SigningKey.generate(), contact=CONTACT) as client:
        sending = asyncio.ensure_future(take_all(client, raises(error)))
        await asyncio.wait([sending], timeout=SECONDS)
        assert sending.done()
        with pytest.raises(type(error)):
            sending.result()
    assert len(asyncio.all_tasks()) == 1


async def take_all(client: PushClient, messages: Iterator[Message] | AsyncIterator[Message]) -> None:
    async for _ in client.send_many(messages):
        pass


@pytest.mark.parametrize("stubborn", [False, True])
async def test_a_source_that_makes_light_of_being_cancelled_holds_up_nobody(stubborn: bool) -> None:
    waits = asyncio.Event()

    async def messages() -> AsyncIterator[Message]:
        yield Message(whom(REFUSED))
        try:
            waits.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not stubborn:
                return
        yield Message(whom(REFUSED))

    async with PushClient(key=SigningKey.generate(), contact=CONTACT) as client, asyncio.timeout(SECONDS):
        sending = client.send_many(messages())
        await anext(sending)
        await waits.wait()
        await sending.aclose()
        assert client._transport.statistics.requests == 1
    assert len(asyncio.all_tasks()) == 1


async def test_messages_are_read_in_the_callers_context(authority: Authority) -> None:
    """Connections are shared; whose turn it is must not depend on whose answer has just come."""
    tenant = contextvars.ContextVar("tenant", default="nobody")
    read: set[tuple[str, str]] = set()

    def messages(name: str) -> Iterator[Message]:
        for _ in range(50):
            read.add((name, tenant.get()))
            yield Message(whom())

    async def send(client: PushClient, name: str) -> None:
        tenant.set(name)
        async for result in client.send_many(messages(name), in_flight_max=2):
            assert result.accepted

    async with (
        http2(answer2(), authority.server_context(alpn=("h2",))) as server,
        PushClient(key=SigningKey.generate(), contact=CONTACT, origin_map=[server.entry(authority.file)]) as client,
    ):
        await asyncio.gather(send(client, "a"), send(client, "b"))
        await until(lambda: client._transport._engine.idle)
    assert read == {("a", "a"), ("b", "b")}
