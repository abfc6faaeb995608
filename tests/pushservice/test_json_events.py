"""Events as JSON Lines: complete, parseable, and without anything secret."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator

import pytest

from pushkeep.pushservice import PushService
from pushkeep.pushservice.json_events import LineWriter, write_events

from .helpers import KEY, Sender


async def test_a_line_for_every_event_in_order(service: PushService, sender: Sender) -> None:
    lines: list[str] = []
    stop = write_events(service, lines.append)
    subscriber = await service.subscribe(KEY.public_bytes)
    service.faults.add("status=503 times=1")
    for _ in range(2):
        await sender.send(subscriber.subscription, b"secret text")
    await subscriber.receive(5)
    await sender.send(subscriber.subscription, b"x", ttl="soon")
    stop()
    await subscriber.unsubscribe()
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == [
        "registered",
        "connected",
        "faulted",
        "accepted",
        "delivered",
        "acked",
        "refused",
    ]
    assert [event["serial"] for event in events] == list(range(1, 8))
    assert events[2] | {"at": 0} == {
        "event": "faulted",
        "serial": 3,
        "at": 0,
        "fault_id": "f1",
        "fault": "status=503 times=1",
        "vendor": "mozilla",
        "subscription_id": subscriber.subscription_id,
        "number": 1,
    }
    text = "".join(lines)
    assert subscriber.subscription.endpoint.url.rpartition("/")[2] not in text
    assert "secret text" not in text


async def test_payloads_of_synthetic_subscribers_on_request_and_of_nobody_else(
    service: PushService, sender: Sender
) -> None:
    crowd = await service.subscribe_many(3, KEY.public_bytes)
    alone = await service.subscribe(KEY.public_bytes)
    shown: list[str] = []
    silent: list[str] = []
    write_events(service, shown.append, crowds=[crowd], show_payloads=True)
    write_events(service, silent.append, crowds=[crowd])
    await sender.send(crowd.subscription(0), "Grüße".encode())
    await sender.send(crowd.subscription(1), b"\xff\xfe")
    await sender.send(crowd.subscription(2), None)
    forged = b"\0" * 16 + (4096).to_bytes(4) + b"\x41" + KEY.public_bytes + b"\0" * 20
    await sender.post(crowd.subscription(2).endpoint.url, body=forged)
    await sender.send(alone.subscription, b"private")
    await alone.receive(5)
    delivered = [event for event in map(json.loads, shown) if event["event"] == "delivered"]
    extra = [{name: event[name] for name in event if name.startswith(("payload", "undec"))} for event in delivered]
    assert extra[:3] == [{"payload": "Grüße"}, {"payload_base64url": "__4"}, {"payload": None}]
    assert list(extra[3]) == ["undecryptable"]
    assert extra[4] == {}
    assert not any("payload" in line or "undecryptable" in line for line in silent)
    assert "private" not in "".join(shown + silent)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(writer)


def test_lines_come_in_order_and_the_last_before_the_end(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    lines = LineWriter(writer, lambda: None)
    for number in range(100):
        lines.write(f"{number} ü \udcff")
    lines.close()
    with os.fdopen(reader, "rb") as file:
        read = [file.readline().decode() for _ in range(100)]
    assert read == [f"{number} ü \\udcff\n" for number in range(100)]


def test_a_reader_who_does_not_read_holds_nobody_up_and_costs_bounded_memory(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    lines = LineWriter(writer, lambda: None, unread_bytes_max=200_000)
    for number in range(100_000):
        lines.write(f"{number}")
    lines.close(seconds=0.1)
    with os.fdopen(reader, "rb") as file:
        read = [int(file.readline()) for _ in range(10_000)]
        assert read == list(range(10_000))
        # What the pipe and the room hold is there; the rest was left out, and no line is cut.
        rest = [int(file.readline()) for _ in range(20_000)]
    assert rest == sorted(rest)


def test_a_reader_who_goes_is_noticed_before_the_next_line(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    gone = threading.Event()
    lines = LineWriter(writer, gone.set)
    assert not gone.is_set()
    os.close(reader)
    assert gone.wait(10)
    lines.write("into the void")
    lines.close()
