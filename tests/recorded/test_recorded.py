"""Recorded answers have their verdicts, and the local push service answers in the same shapes."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import pytest

from pushkeep.protocol.answer import PushResponse
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.vendors import VENDORS as ROWS
from pushkeep.protocol.verdict import classify
from pushkeep.pushservice import LocalSubscriber, PushService, Quirks
from pushkeep.pushservice.personalities import PERSONALITIES
from tests.pushservice.helpers import Sender
from tests.recorded.provoking import provocation
from tests.recorded.recording import EVERY, VENDORS, WAYS, Given, Recording, differences

KEY = SigningKey.generate()
CONTACT = "mailto:push@acme-news.org"
PROVOKED = [recording for recording in EVERY if recording.provoke is not None]


def test_every_personality_has_recordings() -> None:
    assert sorted(PERSONALITIES) == VENDORS
    assert len({str(recording) for recording in EVERY}) == len(EVERY)


@pytest.mark.parametrize("recorded", EVERY, ids=str)
def test_a_recording_is_complete(recorded: Recording) -> None:
    assert recorded.source
    assert set(recorded.provoke or ()) <= WAYS
    assert not recorded.live or recorded.provoke is not None
    assert all(name == name.lower() for name in recorded.headers)


@pytest.mark.parametrize("recorded", EVERY, ids=str)
def test_a_recorded_answer_has_its_verdict(recorded: Recording) -> None:
    # A pattern's own text stands for its values where it has none of a pattern's characters.
    headers = {name: pattern.replace("\\", "").replace(".*", "") for name, pattern in recorded.headers.items()}
    answer = PushResponse(recorded.status, headers, recorded.body.encode())
    assert classify(ROWS[recorded.vendor], answer) == recorded.verdict


@pytest.fixture
async def subscriber(recorded: Recording) -> AsyncIterator[tuple[PushService, LocalSubscriber]]:
    ways = dict(recorded.provoke or {})
    quirks = ways.get("quirks", {})
    async with PushService(quirks=Quirks(**quirks)) as service:  # type: ignore[arg-type]
        made = await service.subscribe(
            KEY.public_bytes, vendor=recorded.vendor, device=str(ways.get("device", "desktop"))
        )
        if ways.get("endpoint") == "ended":
            await made.unsubscribe()
        if ways.get("offline"):
            made.disconnect()
        if "fault" in ways:
            service.faults.add(f"{recorded.vendor} status={ways['fault']}")
        yield service, made


@pytest.mark.parametrize("recorded", PROVOKED, ids=str)
async def test_the_local_service_answers_in_the_recorded_shape(
    recorded: Recording, subscriber: tuple[PushService, LocalSubscriber]
) -> None:
    service, made = subscriber
    ask = provocation(recorded, made.subscription, key=KEY, contact=CONTACT, now=time.time())
    sender = Sender(service)
    async with sender.client:
        answer = await sender.request(ask.method, ask.url, headers=dict(ask.headers), body=ask.body)
    given = Given(answer.status_code, dict(answer.headers), answer.text)
    assert differences(recorded, given) == []
    response = PushResponse(answer.status_code, dict(answer.headers), answer.content)
    assert classify(ROWS[recorded.vendor], response) == recorded.verdict


RIGHT = Recording(
    "apple", "x", "x", {}, 400, {"apns-id": "[A-F]+"}, '{"reason":"BadTtl","code":1}', "bad_request", ("location",)
)


@pytest.mark.parametrize(
    ("status", "headers", "body", "difference"),
    [
        (400, {"apns-id": "ABC"}, '{"reason":"BadTtl","code":1}', None),
        (410, {"apns-id": "ABC"}, '{"reason":"BadTtl","code":1}', "status 410 instead of 400"),
        (400, {}, '{"reason":"BadTtl","code":1}', "no header apns-id"),
        (400, {"apns-id": "abc"}, '{"reason":"BadTtl","code":1}', "apns-id: 'abc' does not match '[A-F]+'"),
        (400, {"apns-id": "A", "location": "x"}, '{"reason":"BadTtl","code":1}', "header location is there"),
        (400, {"apns-id": "A"}, '{"reason":"BadTopic","code":1}', "reason is 'BadTopic' instead of 'BadTtl'"),
        (400, {"apns-id": "A"}, '{"reason":"BadTtl"}', "members ['reason'] instead of ['code', 'reason']"),
        (400, {"apns-id": "A"}, "BadTtl", "the body is not a JSON object: 'BadTtl'"),
    ],
)
def test_each_difference_is_told(status: int, headers: dict[str, str], body: str, difference: str | None) -> None:
    assert differences(RIGHT, Given(status, headers, body)) == ([difference] if difference else [])


def test_texts_are_compared_by_what_is_known_of_them() -> None:
    known = Recording("fcm", "x", "x", {}, 403, {}, "Invalid JWT", "bad_token")
    assert differences(known, Given(403, {}, "denied: invalid JWT provided")) == []
    assert differences(known, Given(403, {}, json.dumps({"a": 1}))) != []
    empty = Recording("fcm", "x", "x", {}, 403, {}, "", "bad_token")
    assert differences(empty, Given(403, {}, "x")) == ["the body is not empty: 'x'"]
