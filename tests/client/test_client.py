"""PushClient and the local push service, over real sockets."""

from __future__ import annotations

import asyncio
import json

import pytest

from pushkeep import PushClient, SigningKey, Verdict, pad_to_multiple
from pushkeep.pushservice import PushService

from .conftest import CONTACT

SECONDS = 5
"""Bound on waits for a message that is on its way; it takes milliseconds."""

vendors = pytest.mark.parametrize("vendor", ["mozilla", "fcm"])


@vendors
async def test_a_message_is_accepted_and_arrives(
    service: PushService, client: PushClient, key: SigningKey, vendor: str
) -> None:
    subscriber = await service.subscribe(key.public_bytes, vendor=vendor)
    reference = object()
    outcome = await client.send(
        subscriber.subscription, "Grüße", ttl=60, urgency="high", topic="inbox", reference=reference
    )
    assert (outcome.verdict, outcome.status, outcome.accepted) == (Verdict.ACCEPTED, 201, True)
    assert outcome.headers["ttl"] == "60"
    assert outcome.location is not None
    assert outcome.explanation is None
    assert outcome.retry_after is None
    assert outcome.duration_ms > 0
    assert outcome.reference is reference
    got = await subscriber.receive(SECONDS)
    assert got.data == "Grüße".encode()
    assert (got.ttl, got.urgency, got.topic) == (60, "high", "inbox")


@vendors
async def test_every_form_of_subscription_and_payload(
    service: PushService, client: PushClient, key: SigningKey, vendor: str
) -> None:
    subscriber = await service.subscribe(key.public_bytes, vendor=vendor)
    whom = subscriber.subscription
    for form in (whom, whom.to_dict(), whom.to_json(), whom.to_json().encode()):
        for payload, arrives in (
            ("text", b"text"),
            (b"\x00\xff", b"\x00\xff"),
            ({"title": "ü", "n": [1, None]}, '{"title":"ü","n":[1,null]}'.encode()),
            ({}, b"{}"),
            (b"x" * 3993, b"x" * 3993),
            (None, None),
            ("", None),
        ):
            outcome = await client.send(form, payload)
            assert outcome.accepted, outcome
            assert (await subscriber.receive(SECONDS)).data == arrives


async def test_the_default_keeps_a_message_for_four_weeks(
    service: PushService, client: PushClient, key: SigningKey
) -> None:
    subscriber = await service.subscribe(key.public_bytes)
    await client.send(subscriber.subscription, "x")
    got = await subscriber.receive(SECONDS)
    assert got.ttl == 28 * 86_400
    assert (got.urgency, got.topic) == ("normal", None)


@vendors
async def test_another_key_is_a_mismatch_with_the_services_own_words(service: PushService, vendor: str) -> None:
    subscriber = await service.subscribe(SigningKey.generate().public_bytes, vendor=vendor)
    stranger = SigningKey.generate()
    async with PushClient(key=stranger, contact=CONTACT, origin_map=service.origin_map_entries()) as client:
        outcome = await client.send(subscriber.subscription, "x")
    assert outcome.verdict is Verdict.KEY_MISMATCH
    assert outcome.explanation is not None
    if vendor == "mozilla":
        assert (outcome.status, outcome.explanation.code, outcome.explanation.errno) == (401, 401, 109)
    else:
        assert outcome.status == 403
        assert "do not correspond" in outcome.explanation.text


@vendors
async def test_an_ended_subscription_is_gone_with_the_services_own_words(
    service: PushService, client: PushClient, key: SigningKey, vendor: str
) -> None:
    subscriber = await service.subscribe(key.public_bytes, vendor=vendor)
    assert (await client.send(subscriber.subscription, "x")).accepted
    await subscriber.unsubscribe()
    outcome = await client.send(subscriber.subscription, "x")
    assert (outcome.verdict, outcome.status, outcome.accepted) == (Verdict.GONE, 410, False)
    assert outcome.explanation is not None
    if vendor == "mozilla":
        assert outcome.explanation.text == "No such subscription"
        assert (outcome.explanation.code, outcome.explanation.errno) == (410, 106)
    else:
        assert "unsubscribed or expired" in outcome.explanation.text
    json.dumps(outcome.to_dict())


async def test_an_unknown_token_at_mozilla_is_gone(service: PushService, client: PushClient, key: SigningKey) -> None:
    subscriber = await service.subscribe(key.public_bytes)
    whom = dict(subscriber.subscription.to_dict())
    whom["endpoint"] = f"{service.url}/wpush/v2/AAAA"
    outcome = await client.send(whom, "x")
    assert (outcome.verdict, outcome.status) == (Verdict.GONE, 404)


async def test_many_at_once_share_few_connections_and_one_bad_one_harms_nobody(
    service: PushService, client: PushClient, key: SigningKey
) -> None:
    subscribers = [
        await service.subscribe(key.public_bytes, vendor=vendor) for vendor in ("mozilla", "fcm") for _ in range(50)
    ]
    await subscribers[7].unsubscribe()
    outcomes = await asyncio.gather(
        *(
            client.send(subscriber.subscription, str(number), reference=number)
            for number, subscriber in enumerate(subscribers)
        )
    )
    assert [outcome.reference for outcome in outcomes] == list(range(100))
    assert [outcome.reference for outcome in outcomes if not outcome.accepted] == [7]
    for number, subscriber in enumerate(subscribers):
        if number != 7:
            assert (await subscriber.receive(SECONDS)).data == str(number).encode()


async def test_padding_hides_the_length(service: PushService, key: SigningKey) -> None:
    subscriber = await service.subscribe(key.public_bytes)
    async with PushClient(
        key=key, contact=CONTACT, origin_map=service.origin_map_entries(), padding=pad_to_multiple(512)
    ) as client:
        for payload in ("x", "x" * 500):
            await client.send(subscriber.subscription, payload)
            got = await subscriber.receive(SECONDS)
            assert got.data == payload.encode()
            assert got.body_bytes == 512 + 103


async def test_a_message_for_an_offline_browser_waits(
    service: PushService, client: PushClient, key: SigningKey
) -> None:
    subscriber = await service.subscribe(key.public_bytes)
    subscriber.disconnect()
    assert (await client.send(subscriber.subscription, "old", topic="inbox")).accepted
    assert (await client.send(subscriber.subscription, "new", topic="inbox")).accepted
    subscriber.connect()
    assert (await subscriber.receive(SECONDS)).data == b"new"


async def test_a_key_from_pem_text_or_file_signs_alike(service: PushService, key: SigningKey, tmp_path: object) -> None:
    subscriber = await service.subscribe(key.public_bytes)
    file = service.ca_file.parent / "vapid.pem"
    file.write_text(key.to_pem())
    for form in (key, key.to_pem(), key.to_pem().encode(), file):
        async with PushClient(key=form, contact=CONTACT, origin_map=service.origin_map_entries()) as client:
            assert (await client.send(subscriber.subscription, "x")).accepted


async def test_without_the_map_the_local_service_is_out_of_reach(service: PushService, key: SigningKey) -> None:
    subscriber = await service.subscribe(key.public_bytes)
    async with PushClient(key=key, contact=CONTACT, ca_file=service.ca_file) as client:
        outcome = await client.send(subscriber.subscription, "x")
    assert outcome.verdict is Verdict.REFUSED_ENDPOINT
    assert outcome.status is None
    assert outcome.explanation is not None
    assert "not public" in outcome.explanation.text
