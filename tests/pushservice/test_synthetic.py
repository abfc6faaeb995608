"""Subscriptions by the hundred thousand: derived, counted, decrypted on demand, in bounded memory."""

from __future__ import annotations

import tracemalloc

import pytest

from pushkeep.errors import InvalidInput, RateLimited, Undecryptable
from pushkeep.protocol.subscription import Subscription
from pushkeep.pushservice import PushService, ReceivedMessage
from pushkeep.pushservice.events import Accepted, Delivered, Unregistered

from .helpers import KEY, OTHER_KEY, Sender

VENDORS = ["mozilla", "fcm", "apple", "wns", "unifiedpush"]
COUNT = 20_000
OCTETS_EACH_MAX = 8


@pytest.mark.parametrize("vendor", VENDORS)
async def test_each_is_a_subscription_like_any_other(service: PushService, sender: Sender, vendor: str) -> None:
    crowd = await service.subscribe_many(100, KEY.public_bytes, vendor=vendor)
    alone = await service.subscribe(KEY.public_bytes, vendor=vendor)
    for number in (0, 41, 99):
        subscription = Subscription.from_json(crowd.subscription(number).to_json())
        assert subscription == crowd.subscription(number)
        assert subscription.endpoint.host == alone.subscription.endpoint.host
        # WNS's is percent-encoded, and so of no fixed length.
        assert abs(len(subscription.endpoint.url) - len(alone.subscription.endpoint.url)) < 20
        answer = await sender.send(subscription, f"for {number}".encode())
        assert answer.status_code in (200, 201)
    assert [crowd.deliveries(number) for number in (0, 1, 41, 99)] == [1, 0, 1, 1]
    assert (crowd.delivered, crowd.reached(), len(crowd)) == (3, 3, 100)
    read = list(crowd.messages())
    assert [message.number for message in read] == [0, 41, 99]
    for message in read:
        assert isinstance(message.received, ReceivedMessage)
        assert message.received.data == f"for {message.number}".encode()


async def test_the_checks_are_those_of_any_other(service: PushService, sender: Sender) -> None:
    crowd = await service.subscribe_many(10, KEY.public_bytes, vendor="fcm")
    assert (await sender.send(crowd.subscription(3), b"x", key=OTHER_KEY)).status_code == 403
    assert (await sender.send(crowd.subscription(3), b"x", ttl="soon")).status_code == 400
    endpoint = crowd.subscription(3).endpoint.url
    assert (await sender.post(endpoint[:-1] + ("A" if endpoint[-1] != "A" else "B"))).status_code == 404
    assert crowd.delivered == 0


async def test_one_ends_and_the_others_do_not(service: PushService, sender: Sender) -> None:
    crowd = await service.subscribe_many(10, KEY.public_bytes)
    crowd.unsubscribe(3)
    assert (await sender.send(crowd.subscription(3), b"x")).status_code == 410
    found = service.subscription_for(crowd.subscription(4).endpoint.url)
    assert found is not None
    service.expire(found.id)
    assert (await sender.send(crowd.subscription(4), b"x")).status_code == 410
    assert (await sender.send(crowd.subscription(5), b"x")).status_code == 201


async def test_an_end_is_announced_once_whoever_ends_it(service: PushService) -> None:
    crowd = await service.subscribe_many(10, KEY.public_bytes)
    alone = await service.subscribe(KEY.public_bytes)
    infos = [service.subscription_for(crowd.subscription(number).endpoint.url) for number in (3, 4)]
    ids = [info.id for info in infos if info is not None]
    for _ in range(2):
        crowd.unsubscribe(3)
        await alone.unsubscribe()
    service.expire(ids[1])
    crowd.unsubscribe(4)
    ended = [event for event in service.events() if isinstance(event, Unregistered)]
    assert [(event.subscription_id, event.reason, event.code) for event in ended] == [
        (ids[0], "client", 200),
        (alone.subscription_id, "client", 200),
        (ids[1], "expired", None),
    ]
    assert (await service.wait_for_unsubscription(ids[0], timeout=5)).client_id == ended[0].client_id


async def test_what_cannot_be_decrypted_is_counted_and_said(service: PushService, sender: Sender) -> None:
    crowd = await service.subscribe_many(2, KEY.public_bytes)
    body = b"\0" * 16 + (4096).to_bytes(4) + b"\x41" + KEY.public_bytes + b"\0" * 20
    assert (await sender.post(crowd.subscription(1).endpoint.url, body=body)).status_code == 201
    (message,) = crowd.messages()
    assert isinstance(message.received, Undecryptable)


async def test_faults_and_events_name_them(service: PushService, sender: Sender) -> None:
    crowd = await service.subscribe_many(10, KEY.public_bytes, vendor="apple")
    found = service.subscription_for(crowd.subscription(7).endpoint.url)
    assert found is not None
    service.faults.add(f"sub:{found.id} status=503 times=1")
    service.faults.add("apple lose after=1 times=1")
    service.faults.add("apple duplicate=3 after=2")
    statuses = [(await sender.send(crowd.subscription(7), b"x")).status_code for _ in range(3)]
    assert statuses == [503, 201, 201]
    assert crowd.deliveries(7) == 3
    names = [type(event) for event in service.events() if isinstance(event, Accepted | Delivered)]
    assert names == [Accepted, Accepted, Delivered, Delivered, Delivered]
    assert len(list(crowd.messages())) == 3


async def test_a_seed_makes_the_same_keys() -> None:
    async with PushService(seed=5) as first, PushService(seed=5) as second, PushService(seed=6) as third:
        crowds = [await service.subscribe_many(3, KEY.public_bytes) for service in (first, second, third)]
        keys = [[(one.p256dh, one.auth) for one in crowd] for crowd in crowds]
        assert keys[0] == keys[1] != keys[2]
        assert len({key for each in keys[0] for key in each}) == 6
        more = await first.subscribe_many(3, KEY.public_bytes)
        assert more.subscription(0).p256dh != keys[0][0][0]
        assert more.subscription(0).endpoint.url != crowds[0].subscription(0).endpoint.url


async def test_memory_does_not_grow_with_each(service: PushService, sender: Sender) -> None:
    """The counters of 20,000 are made and 2,000 different ones derived: five octets each and nothing that stays."""
    first = await service.subscribe_many(COUNT, KEY.public_bytes)
    for number in range(0, COUNT, 10):  # as many as the search for secrets keeps of one test
        first.subscription(number)
    await sender.send(first.subscription(1), b"x")
    tracemalloc.start()
    try:
        crowd = await service.subscribe_many(COUNT, KEY.public_bytes)
        for number in range(0, COUNT, 10):
            crowd.subscription(number)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < COUNT * OCTETS_EACH_MAX


@pytest.mark.parametrize("count", [0, -1, 10_000_001])
async def test_how_many_is_bounded(service: PushService, count: int) -> None:
    with pytest.raises(InvalidInput, match="count must be from 1"):
        await service.subscribe_many(count)


async def test_numbers_and_crowds_are_bounded(service: PushService) -> None:
    crowd = await service.subscribe_many(10)
    for number in (-1, 10):
        with pytest.raises(InvalidInput, match="number must be from 0 to 9"):
            crowd.subscription(number)
    for _ in range(255):
        await service.subscribe_many(1)
    with pytest.raises(RateLimited):
        await service.subscribe_many(1)
