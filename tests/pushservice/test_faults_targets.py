"""Whom a fault counts: subscriptions one by one, strangers together; and where its redirects lead."""

from __future__ import annotations

import secrets

import pytest

from pushkeep.pushservice import Limits, PushService
from pushkeep.pushservice.events import Faulted, Followed

from .helpers import KEY, Sender


def numbers(service: PushService) -> list[tuple[str | None, int]]:
    """Of every hit: the subscription and which of its requests it was."""
    return [(event.subscription_id, event.number) for event in service.events() if isinstance(event, Faulted)]


async def test_targets_that_are_nobodys_share_one_count(service: PushService, sender: Sender) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    service.faults.add("slow=0")
    for path in ("/wpush/v2/", "/fcm/send/", "/apple/", "/elsewhere/", "/up/"):
        for _ in range(3):
            await sender.post(f"{service.url}{path}{secrets.token_urlsafe(60)}")
    assert numbers(service) == [(None, number) for number in range(1, 16)]
    assert (await sender.send(subscriber.subscription, b"x")).status_code == 201
    assert numbers(service)[-1] == (subscriber.subscription_id, 1)


async def test_no_fault_is_about_a_target_that_is_nobodys_unless_about_all(
    service: PushService, sender: Sender
) -> None:
    for line in ("mozilla status=503", "sub:nobody status=503"):
        service.faults.add(line)
    answer = await sender.post(f"{service.url}/wpush/v2/{secrets.token_urlsafe(60)}")
    assert answer.status_code == 404
    assert numbers(service) == []


async def test_subscriptions_that_have_ended_are_still_counted_one_by_one(service: PushService, sender: Sender) -> None:
    """So that what each of them answers does not depend on which is asked first."""
    ended = [await service.subscribe(KEY.public_bytes, vendor="fcm") for _ in range(2)]
    for subscriber in ended:
        await subscriber.unsubscribe()
    service.faults.add("fcm status=503 times=1")
    statuses = [(await sender.send(each.subscription, b"x")).status_code for each in (ended[0], *ended, ended[1])]
    assert statuses == [503, 410, 503, 410]


async def test_how_many_are_counted_is_a_limit() -> None:
    async with PushService(limits=Limits(fault_counters_max=2), faults=["status=503 times=1"]) as service:
        sender = Sender(service)
        async with sender.client:
            three = [await service.subscribe(KEY.public_bytes) for _ in range(3)]
            arrivals = (*three, three[2], three[0])  # the first is forgotten when the third comes
            statuses = [(await sender.send(each.subscription, b"x")).status_code for each in arrivals]
    assert statuses == [503, 503, 503, 201, 503]


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_redirect_that_is_followed_is_answered_and_announced(
    service: PushService, sender: Sender, method: str
) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    fault_id = service.faults.add("status=307")
    answer = await sender.send(subscriber.subscription, b"x")
    assert answer.headers["location"] == f"{service.url}/followed"
    service.faults.remove(fault_id)  # a sender may still be on its way
    assert (await sender.request(method, answer.headers["location"])).status_code == 201
    (followed,) = [event for event in service.events() if isinstance(event, Followed)]
    assert followed.method == method


@pytest.mark.parametrize("origin", ["own", "https://web.push.apple.com", "https://fcm.googleapis.com"])
@pytest.mark.parametrize("fault", [None, "status=503", "stream-limit=5"])
async def test_where_no_redirect_has_led_is_nothing(
    service: PushService, sender: Sender, origin: str, fault: str | None
) -> None:
    if fault is not None:
        service.faults.add(f"{fault} for=0")
    url = (service.url if origin == "own" else origin) + "/followed"
    assert (await sender.post(url)).status_code == 404
    assert not any(isinstance(event, Followed) for event in service.events())
