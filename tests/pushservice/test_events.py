from __future__ import annotations

import asyncio
import json

import pytest

from pushkeep.pushservice.events import Connected, Disconnected, Event, EventLog


def log(kept: int = 10) -> EventLog:
    return EventLog(now=lambda: 5.0, kept=kept)


def test_events_get_a_serial_and_the_time_and_the_oldest_go() -> None:
    events = log(kept=2)
    for number in range(4):
        events.announce(Disconnected(client_id=str(number)))
    assert [(event.serial, event.at) for event in events.since()] == [(3, 5.0), (4, 5.0)]
    assert [event.serial for event in events.since(3)] == [4]
    assert events.last_serial == 4


def test_an_event_is_json_with_its_name() -> None:
    text = json.dumps(Connected(client_id="c", via="mcs", serial=1, at=2.0).to_dict())
    assert json.loads(text) == {"event": "connected", "serial": 1, "at": 2.0, "client_id": "c", "via": "mcs"}


def test_listeners_hear_until_they_stop() -> None:
    events, heard = log(), list[Event]()
    stop = events.listen(heard.append)
    events.announce(Disconnected(client_id="a"))
    stop()
    stop()
    events.announce(Disconnected(client_id="b"))
    assert [event.serial for event in heard] == [1]


async def test_a_wait_finds_the_past_and_the_future_and_only_what_matches() -> None:
    events = log()
    events.announce(Connected(client_id="a", via="local"))
    assert (await events.wait(Connected, seconds=1)).client_id == "a"
    waiting = [
        asyncio.create_task(events.wait(Disconnected, seconds=5, matching=lambda event: event.client_id == "b"))
        for _ in range(3)
    ]
    await asyncio.sleep(0)  # lets the waits begin
    for client_id in ("a", "b", "b"):
        events.announce(Disconnected(client_id=client_id))
    assert [event.serial for event in await asyncio.gather(*waiting)] == [3, 3, 3]
    with pytest.raises(TimeoutError, match=r"No disconnected within 0\.01 s"):
        await events.wait(Disconnected, seconds=0.01, after=4)


async def test_a_cancelled_wait_leaves_nothing() -> None:
    events = log()
    waiting = asyncio.create_task(events.wait(Connected, seconds=5))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    events.announce(Connected(client_id="a", via="local"))  # would fail on a waiter that is gone
