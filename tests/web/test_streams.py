"""Answers that last: bounded in number, alive to proxies, and over when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pushkeep.errors import Unavailable
from pushkeep.web import streams as streams_module
from pushkeep.web.streams import Streams


async def items(*values: str, then: asyncio.Event | None = None) -> AsyncIterator[str]:
    for value in values:
        yield value
    if then is not None:
        await then.wait()


async def test_events_come_as_they_are_and_end_with_their_source() -> None:
    assert [event async for event in Streams().events(items("a", "b"))] == ["a", "b"]


async def test_a_sign_of_life_comes_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "HEARTBEAT_SECONDS", 0.001)
    never = asyncio.Event()
    events = Streams().events(items("a", then=never))
    assert [await anext(events) for _ in range(3)] == ["a", None, None]
    never.set()
    assert [event async for event in events if event is not None] == []


async def test_a_stream_ends_by_itself_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "STREAM_SECONDS_MAX", 0.01)
    monkeypatch.setattr(streams_module, "HEARTBEAT_SECONDS", 0.001)
    assert [event async for event in Streams().events(items("a", then=asyncio.Event())) if event] == ["a"]


async def test_a_stop_ends_streams_and_waits_at_once() -> None:
    streams, never = Streams(), asyncio.Event()
    events = streams.events(items("a", then=never))
    assert await anext(events) == "a"
    rest = asyncio.ensure_future(anext(events, "over"))
    waiting = asyncio.ensure_future(streams.wait(_result(never)))
    await asyncio.sleep(0)
    streams.close()
    assert await asyncio.wait_for(rest, 10) == "over"
    assert await asyncio.wait_for(waiting, 10) is None
    assert await streams.wait(_result(asyncio.Event())) is None
    with pytest.raises(Unavailable, match="stopping"), streams.taken():
        pass
    streams.open()
    with streams.taken():
        pass


async def test_no_more_streams_than_allowed() -> None:
    streams = Streams(streams_max=1)
    with streams.taken():
        with pytest.raises(Unavailable) as refused, streams.taken():
            pass
        assert refused.value.retry_after_seconds
    with streams.taken():
        pass


async def test_who_comes_on_top_of_too_many_waiting_is_answered_at_once() -> None:
    streams, done = Streams(waiting_max=1), asyncio.Event()
    first = asyncio.ensure_future(streams.wait(_result(done)))
    await asyncio.sleep(0)
    assert await streams.wait(_result(done)) is None
    done.set()
    assert await first == "result"
    assert await streams.wait(_result(done)) == "result"


async def test_an_error_of_what_is_waited_for_is_the_callers() -> None:
    async def fails() -> str:
        raise Unavailable("no")

    with pytest.raises(Unavailable):
        await Streams().wait(fails())


async def _result(event: asyncio.Event) -> str:
    await event.wait()
    return "result"
