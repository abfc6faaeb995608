"""npm web-push posts to our push service; the subscriber opens what it sealed."""

from __future__ import annotations

import base64
import json

import pytest

from pushkeep import SigningKey
from pushkeep.pushservice import PushService

from .conftest import CONTACT, SECONDS, SPOKEN, subscriber_of
from .node_driver import run

PAYLOAD = "Grüße, 你好"


def details(key: SigningKey, raw_key: str) -> dict[str, str]:
    return {"subject": CONTACT, "publicKey": key.public_b64, "privateKey": raw_key}


@pytest.mark.parametrize("encoding", ["aes128gcm", "aesgcm"])
async def test_our_service_takes_and_opens_it(
    service: PushService, key: SigningKey, raw_key: str, encoding: str
) -> None:
    subscribers = [await subscriber_of(service, key, vendor) for vendor, spoken in SPOKEN if spoken == encoding]
    jobs = [
        {
            "verb": "send",
            "subscription": subscriber.local_subscription.to_dict(),
            "payload": PAYLOAD,
            "options": {
                "vapidDetails": details(key, raw_key),
                "contentEncoding": encoding,
                "TTL": 60,
                "urgency": "high",
                "topic": "news",
            },
        }
        for subscriber in subscribers
    ]
    for result in await run("web_push.cjs", jobs, ca_file=service.ca_file):
        assert result.get("statusCode") == 201, result
    for subscriber in subscribers:
        got = await subscriber.receive(SECONDS)
        assert (got.data, got.encoding) == (PAYLOAD.encode(), encoding)
        assert (got.ttl, got.urgency, got.topic) == (60, "high", "news")


async def test_the_largest_payloads_and_none_at_all(service: PushService, key: SigningKey, raw_key: str) -> None:
    subscriber = await subscriber_of(service, key, "mozilla")
    sizes = {"aes128gcm": 3993, "aesgcm": 4077}
    jobs: list[dict[str, object]] = [
        {
            "verb": "send",
            "subscription": subscriber.local_subscription.to_dict(),
            "payloadBase64": base64.b64encode(bytes(size)).decode(),
            "options": {"vapidDetails": details(key, raw_key), "contentEncoding": encoding},
        }
        for encoding, size in sizes.items()
    ]
    jobs.append({name: value for name, value in jobs[0].items() if name != "payloadBase64"})
    results = await run("web_push.cjs", jobs, ca_file=service.ca_file)
    assert [result.get("statusCode") for result in results] == [201, 201, 201], results
    received = [(await subscriber.receive(SECONDS)).data for _ in jobs]
    assert received == [bytes(3993), bytes(4077), None]


async def test_refusals_reach_it_with_the_vendors_words(service: PushService, key: SigningKey, raw_key: str) -> None:
    gone = await service.subscribe(key.public_bytes)
    await gone.unsubscribe()
    other = await service.subscribe(SigningKey.generate().public_bytes)
    jobs = [
        {
            "verb": "send",
            "subscription": subscriber.subscription.to_dict(),
            "payload": "x",
            "options": {"vapidDetails": details(key, raw_key)},
        }
        for subscriber in (gone, other)
    ]
    ended, mismatch = await run("web_push.cjs", jobs, ca_file=service.ca_file)
    assert ended["statusCode"] == 410
    assert "No such subscription" in str(ended["body"])
    assert mismatch["statusCode"] == 401
    assert "VAPID public key mismatch" in str(mismatch["body"])


async def test_its_key_pairs_are_read_as_they_are_printed() -> None:
    for made in await run("web_push.cjs", [{"verb": "keys"}] * 20):
        assert SigningKey.read(str(made["privateKey"]), public=str(made["publicKey"])).public_b64 == made["publicKey"]
        assert SigningKey.read(json.dumps(made)).to_raw() == made["privateKey"]
