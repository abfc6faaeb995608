"""The subscriber without a browser, and a sender that is not ours."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pywebpush import WebPushException, webpush
from requests import Session

from pushkeep import PushClient
from pushkeep.errors import InvalidInput, Undecryptable
from pushkeep.protocol.subscription import Subscription
from pushkeep.pushservice import Limits, LocalSubscriber, PushService

from .helpers import KEY, OTHER_KEY, Sender, sealed


def send_with_pywebpush(
    subscriber: LocalSubscriber,
    ca_file: Path,
    tmp_path: Path,
    *,
    encoding: str = "aes128gcm",
    pem: str = "",
    subscription: Subscription | None = None,
) -> int:
    """As its documentation shows it; returns the status."""
    key_file = tmp_path / "key.pem"
    key_file.write_text(pem or KEY.to_pem())
    subscription = subscription or subscriber.subscription
    with Session() as session:
        session.verify = str(ca_file)
        session.trust_env = False
        answer = webpush(
            subscription.to_dict(),
            data="from pywebpush",
            vapid_private_key=str(key_file),
            vapid_claims={"sub": "mailto:a@example.com", "aud": subscription.endpoint.origin},
            content_encoding=encoding,
            ttl=60,
            requests_session=session,
        )
    return int(answer.status_code)


async def test_pywebpush_sends_and_the_subscriber_decrypts(service: PushService, tmp_path: Path) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    status = await asyncio.to_thread(send_with_pywebpush, subscriber, service.ca_file, tmp_path)
    assert status == 201
    assert (await subscriber.receive(5)).data == b"from pywebpush"


async def test_pywebpush_understands_a_refusal(service: PushService, tmp_path: Path) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    await subscriber.unsubscribe()
    with pytest.raises(WebPushException, match="410 Gone") as refused:
        await asyncio.to_thread(send_with_pywebpush, subscriber, service.ca_file, tmp_path)
    assert refused.value.response is not None
    assert refused.value.response.json()["errno"] == 106


async def test_pywebpush_with_another_key_is_a_mismatch(service: PushService, tmp_path: Path) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    with pytest.raises(WebPushException, match="VAPID public key mismatch"):
        await asyncio.to_thread(
            lambda: send_with_pywebpush(subscriber, service.ca_file, tmp_path, pem=OTHER_KEY.to_pem())
        )


async def test_pywebpush_with_the_old_encoding_is_decrypted_too(service: PushService, tmp_path: Path) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    status = await asyncio.to_thread(
        lambda: send_with_pywebpush(subscriber, service.ca_file, tmp_path, encoding="aesgcm")
    )
    assert status == 201
    message = await subscriber.receive(5)
    assert (message.data, message.encoding) == (b"from pywebpush", "aesgcm")
    assert [ack.code for ack in service.acks()] == [100]


async def test_a_body_is_opened_wherever_it_came_from(service: PushService) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    body = sealed(subscriber.subscription, b"by hand")
    assert subscriber.open(body, encoding="aes128gcm") == b"by hand"
    assert subscriber.open(b"", encoding=None) is None
    with pytest.raises(Undecryptable, match="aes128gcm or aesgcm"):
        subscriber.open(body, encoding="gzip")
    with pytest.raises(Undecryptable):
        subscriber.open(body, encoding="aesgcm")


@pytest.mark.parametrize("vendor", ["mozilla", "fcm", "wns"])
async def test_a_subscription_that_lists_only_aesgcm_is_sent_it(service: PushService, vendor: str) -> None:
    subscriber = await service.subscribe(KEY.public_bytes, vendor=vendor, encodings=("aesgcm",))
    assert subscriber.subscription.to_dict()["supportedContentEncodings"] == ["aesgcm"]
    origin_map = service.origin_map_entries()
    async with PushClient(key=KEY, contact="mailto:a@acme-news.org", origin_map=origin_map) as client:
        assert (await client.send(subscriber.subscription, b"legacy")).verdict == "accepted"
    message = await subscriber.receive(5)
    assert (message.data, message.encoding) == (b"legacy", "aesgcm")


@pytest.mark.parametrize("vendor", ["mozilla", "fcm", "apple", "wns", "unifiedpush"])
async def test_pywebpush_reaches_every_vendor_without_an_origin_map(
    service: PushService, tmp_path: Path, vendor: str
) -> None:
    subscriber = await service.subscribe(KEY.public_bytes, vendor=vendor)
    status = await asyncio.to_thread(
        lambda: send_with_pywebpush(subscriber, service.ca_file, tmp_path, subscription=subscriber.local_subscription)
    )
    assert status == 201
    assert (await subscriber.receive(5)).data == b"from pywebpush"


async def test_what_cannot_be_decrypted_is_acked_so_and_raised(service: PushService, sender: Sender) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    body = bytearray(sealed(subscriber.subscription, b"x"))
    body[-1] ^= 1
    answer = await sender.post(subscriber.subscription.endpoint.url, body=bytes(body))
    assert answer.status_code == 201
    with pytest.raises(Undecryptable):
        await subscriber.receive(5)
    assert (await service.wait_for_ack(answer.headers["location"], 5)).code == 101
    await sender.send(subscriber.subscription, b"next")
    assert (await subscriber.receive(5)).data == b"next"


async def test_waiting_in_vain_says_for_whom(service: PushService) -> None:
    subscriber = await service.subscribe()
    with pytest.raises(TimeoutError, match=r"No message within 0\.01 s for https://localhost") as waited:
        await subscriber.receive(0.01)
    assert subscriber.subscription.endpoint.url not in str(waited.value)


async def test_messages_not_fetched_do_not_pile_up_in_the_subscriber() -> None:
    async with PushService(limits=Limits(in_flight_per_client_max=2)) as service:
        sender = Sender(service)
        subscriber = await service.subscribe(KEY.public_bytes)
        async with sender.client:
            for number in range(5):
                await sender.send(subscriber.subscription, b"%d" % number)
        assert len(service.messages()) >= 1
        received = [(await subscriber.receive(5)).data for _ in range(5)]
        assert received == [b"0", b"1", b"2", b"3", b"4"]


async def test_unsubscribing_twice_does_no_harm(service: PushService) -> None:
    subscriber = await service.subscribe()
    await subscriber.unsubscribe()
    await subscriber.unsubscribe()
    assert (service.subscriptions(), service.clients()) == ([], [])


async def test_repr_holds_neither_payload_nor_endpoint(service: PushService, sender: Sender) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    await sender.send(subscriber.subscription, b"confidential")
    message = await subscriber.receive(5)
    assert "confidential" not in repr(message)
    assert subscriber.subscription.endpoint.url not in repr(subscriber)


@pytest.mark.parametrize(
    ("key", "vendor", "field"),
    [
        (None, "fcm", "application_server_key"),
        (b"x" * 65, "mozilla", "application_server_key"),
        (KEY.public_bytes[:-1], "mozilla", "application_server_key"),
        (KEY.public_bytes, "apples", "vendor"),
        (None, "apple", "application_server_key"),
        (None, "wns", "application_server_key"),
    ],
)
async def test_bad_subscriptions_name_the_field(
    service: PushService, key: bytes | None, vendor: str, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await service.subscribe(key, vendor=vendor)
    assert refused.value.field == field


async def test_many_subscribers_are_cheap_to_make_and_all_receive(service: PushService, sender: Sender) -> None:
    subscribers = [await service.subscribe(KEY.public_bytes) for _ in range(200)]
    for subscriber in subscribers[::50]:
        await sender.send(subscriber.subscription, b"x")
        assert (await subscriber.receive(5)).data == b"x"
    assert len(service.subscriptions()) == 200
