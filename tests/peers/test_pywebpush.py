"""pywebpush, as its users call it, posts to our push service; the subscriber opens what it sealed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
import requests
from py_vapid import Vapid01, Vapid02
from pywebpush import WebPushException, webpush

from pushkeep import SigningKey
from pushkeep.errors import Undecryptable
from pushkeep.pushservice import LocalSubscriber, PushService

from .conftest import CONTACT, SECONDS, SPOKEN, subscriber_of

PAYLOAD = "Grüße, 你好"


async def send(
    service: PushService, subscription: Mapping[str, object], data: str | bytes | None, **options: object
) -> requests.Response:
    """In a thread, because it blocks; without the proxies of the environment."""
    with requests.Session() as session:
        session.verify = str(service.ca_file)
        session.trust_env = False
        return await asyncio.to_thread(
            webpush,
            subscription,
            data,
            vapid_claims={"sub": CONTACT},
            timeout=30,
            requests_session=session,
            **options,
        )


@pytest.mark.parametrize(("vendor", "encoding"), SPOKEN)
@pytest.mark.parametrize("signer", [Vapid02, Vapid01], ids=["vapid", "draft-01"])
async def test_our_service_takes_and_opens_it(
    service: PushService, key: SigningKey, raw_key: str, vendor: str, encoding: str, signer: type[Vapid01]
) -> None:
    subscriber = await subscriber_of(service, key, vendor)
    answer = await send(
        service,
        subscriber.local_subscription.to_dict(),
        PAYLOAD,
        content_encoding=encoding,
        vapid_private_key=signer.from_string(raw_key),
        ttl=60,
        headers={"urgency": "high", "topic": "news"},
    )
    assert answer.status_code == 201
    got = await subscriber.receive(SECONDS)
    assert (got.data, got.encoding) == (PAYLOAD.encode(), encoding)
    assert (got.ttl, got.urgency, got.topic) == (60, "high", "news")


async def test_the_largest_payload_and_none_at_all(service: PushService, key: SigningKey, raw_key: str) -> None:
    subscriber = await subscriber_of(service, key, "mozilla")
    for data in (b"x" * 3993, None):
        answer = await send(service, subscriber.local_subscription.to_dict(), data, vapid_private_key=raw_key, ttl=60)
        assert answer.status_code == 201
        assert (await subscriber.receive(SECONDS)).data == data


async def test_apple_takes_no_aesgcm(service: PushService, key: SigningKey, raw_key: str) -> None:
    subscriber = await subscriber_of(service, key, "apple")
    with pytest.raises(WebPushException, match="BadWebPushRequest"):
        await send(
            service,
            subscriber.local_subscription.to_dict(),
            "x",
            vapid_private_key=raw_key,
            ttl=60,
            content_encoding="aesgcm",
        )


async def test_unifiedpush_passes_on_the_body_alone_so_aesgcm_arrives_unreadable(
    service: PushService, key: SigningKey, raw_key: str
) -> None:
    subscriber = await subscriber_of(service, key, "unifiedpush")
    answer = await send(
        service,
        subscriber.local_subscription.to_dict(),
        "x",
        vapid_private_key=raw_key,
        ttl=60,
        content_encoding="aesgcm",
    )
    assert answer.status_code == 201
    with pytest.raises(Undecryptable):
        await subscriber.receive(SECONDS)


async def test_another_key_is_refused_with_the_vendors_words(
    service: PushService, key: SigningKey, raw_key: str
) -> None:
    subscriber = await service.subscribe(SigningKey.generate().public_bytes)
    with pytest.raises(WebPushException) as caught:
        await send(service, subscriber.subscription.to_dict(), "x", vapid_private_key=raw_key, ttl=60)
    assert caught.value.response is not None
    assert caught.value.response.json()["errno"] == 109


async def test_an_ended_subscription_is_410_for_it_too(service: PushService, key: SigningKey, raw_key: str) -> None:
    subscriber: LocalSubscriber = await service.subscribe(key.public_bytes)
    await subscriber.unsubscribe()
    with pytest.raises(WebPushException, match="410"):
        await send(service, subscriber.subscription.to_dict(), "x", vapid_private_key=raw_key, ttl=60)
