"""Every fault as our own sender sees it: a verdict in time, the Retry-After, and a connection that recovers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import pytest

from pushkeep import Outcome, PushClient, TransportLimits, Verdict
from pushkeep.pushservice import LocalSubscriber, PushService
from pushkeep.pushservice.events import Faulted, Followed

from .helpers import KEY, Sender

TOTAL_SECONDS_MAX = 1.5
HANG_SECONDS_MAX = 10.0
"""Of one send; the client's own limit is far below."""
VENDORS = ["mozilla", "fcm", "apple", "wns", "unifiedpush"]


@pytest.fixture(params=[True, False], ids=["http2", "http1"])
async def service(request: pytest.FixtureRequest) -> AsyncIterator[PushService]:
    async with PushService(seed=1, http2=request.param) as running:
        yield running


@pytest.fixture
async def client(service: PushService) -> AsyncIterator[PushClient]:
    limits = TransportLimits(total_seconds_max=TOTAL_SECONDS_MAX)
    entries = service.origin_map_entries()
    async with PushClient(key=KEY, contact="mailto:a@example.com", origin_map=entries, limits=limits) as made:
        yield made


async def send(client: PushClient, subscriber: LocalSubscriber, payload: str = "under fault") -> Outcome:
    async with asyncio.timeout(HANG_SECONDS_MAX):
        return await client.send(subscriber.subscription, payload, ttl=60)


async def received(subscriber: LocalSubscriber) -> list[bytes | None]:
    """What has been delivered up to the message "end", which is not one of them."""
    found: list[bytes | None] = []
    while (message := await subscriber.receive(5)).data != b"end":
        found.append(message.data)
    return found


async def recovers(service: PushService, client: PushClient, subscriber: LocalSubscriber) -> None:
    """Without the fault the next message goes through, on the connection that is left or on a new one."""
    service.faults.clear()
    outcome = await send(client, subscriber, "end")
    assert outcome.verdict is Verdict.ACCEPTED, outcome


VERDICTS = {
    400: Verdict.BAD_REQUEST,
    401: Verdict.BAD_TOKEN,
    410: Verdict.GONE,
    413: Verdict.TOO_LARGE,
    429: Verdict.THROTTLED,
    500: Verdict.TRANSIENT,
    502: Verdict.TRANSIENT,
    503: Verdict.TRANSIENT,
}


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_status_in_every_vendors_words(service: PushService, client: PushClient, vendor: str) -> None:
    subscriber = await service.subscribe(KEY.public_bytes, vendor=vendor)
    for status, verdict in VERDICTS.items():
        service.faults.add(f"{vendor} status={status} times=1")
        outcome = await send(client, subscriber)
        assert (outcome.status, outcome.verdict) == (status, verdict)
        service.faults.clear()
    await recovers(service, client, subscriber)
    assert await received(subscriber) == []


@pytest.mark.parametrize(
    ("vendor", "status", "retry_after"),
    [("mozilla", 429, None), ("fcm", 429, None), ("apple", 429, None), ("wns", 406, 60), ("unifiedpush", 429, None)],
)
async def test_throttling_as_each_vendor_does_it(
    service: PushService, client: PushClient, vendor: str, status: int, retry_after: float | None
) -> None:
    subscriber = await service.subscribe(KEY.public_bytes, vendor=vendor)
    service.faults.add(f"{vendor} answer=throttled")
    outcome = await send(client, subscriber)
    assert (outcome.verdict, outcome.status, outcome.retry_after) == (Verdict.THROTTLED, status, retry_after)
    await recovers(service, client, subscriber)


async def test_apples_reason_is_explained(service: PushService, client: PushClient) -> None:
    subscriber = await service.subscribe(KEY.public_bytes, vendor="apple")
    service.faults.add("apple status=429 retry-after=10")
    outcome = await send(client, subscriber)
    assert outcome.explanation is not None
    assert "TooManyRequests" in outcome.explanation.text
    assert outcome.retry_after == 10


async def test_apple_throttles_one_device_token_after_a_number_that_the_test_gives(
    service: PushService, client: PushClient
) -> None:
    """Apple's TooManyRequests is for consecutive requests to the same device token; how many is not published."""
    busy, quiet = [await service.subscribe(KEY.public_bytes, vendor="apple") for _ in range(2)]
    service.faults.add("apple status=429 after=3 times=2")
    arrivals = (busy, busy, quiet, busy, busy, quiet, busy, busy)
    statuses = [(await send(client, each)).status for each in arrivals]
    assert statuses == [201, 201, 201, 201, 429, 201, 429, 201]


@pytest.mark.parametrize("status", [429, 503])
async def test_both_forms_of_retry_after(service: PushService, client: PushClient, status: int) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    service.faults.add(f"status={status} retry-after=40 times=1")
    assert (await send(client, subscriber)).retry_after == 40
    service.faults.clear()
    service.faults.add(f"status={status} retry-after=date:40 times=1")
    by_date = (await send(client, subscriber)).retry_after
    assert by_date is not None
    assert 30 < by_date <= 40  # a date has whole seconds, and some have passed


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(service: PushService, client: PushClient, status: int) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    service.faults.add(f"status={status}")
    outcome = await send(client, subscriber)
    assert (outcome.verdict, outcome.status) == (Verdict.BAD_REQUEST, status)
    assert not any(isinstance(event, Followed) for event in service.events())


@pytest.mark.parametrize(
    "fault",
    [
        "hang",
        "reset",
        "reset=stream",
        "close",
        "goaway=abrupt",
        "refuse-stream",
        "garbage",
    ],
)
async def test_without_an_answer_the_outcome_is_transient_and_comes_in_time(
    service: PushService, client: PushClient, fault: str
) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    service.faults.add(fault)
    outcome = await send(client, subscriber)
    assert (outcome.verdict, outcome.status) == (Verdict.TRANSIENT, None)
    await recovers(service, client, subscriber)
    assert await received(subscriber) == []


@pytest.mark.parametrize(
    "fault", ["hang taken", "reset taken", "reset=stream taken", "close taken", "goaway=abrupt taken"]
)
async def test_an_ambiguous_failure_may_have_been_delivered(
    service: PushService, client: PushClient, fault: str
) -> None:
    """libcurl sends anew on a connection that died before any answer, so that more than one may come."""
    subscriber = await service.subscribe(KEY.public_bytes)
    service.faults.add(fault)
    assert (await send(client, subscriber)).verdict is Verdict.TRANSIENT
    await recovers(service, client, subscriber)
    assert set(await received(subscriber)) == {b"under fault"}


@pytest.mark.parametrize("fault", ["goaway", "refuse-stream times=1", "goaway=abrupt times=1", "slow=0.2", "drip=0.3"])
async def test_what_a_sender_gets_over_by_itself(service: PushService, client: PushClient, fault: str) -> None:
    """On a connection that has served before; a new one that closes without a word is a failure to HTTP/1.1."""
    subscriber = await service.subscribe(KEY.public_bytes)
    await recovers(service, client, subscriber)
    assert await received(subscriber) == []
    service.faults.add(fault)
    assert (await send(client, subscriber)).verdict is Verdict.ACCEPTED
    await recovers(service, client, subscriber)
    assert await received(subscriber) == [b"under fault"]


@pytest.mark.parametrize("fault", ["endless-body", "reset=middle", "drip=60"])
async def test_a_status_that_came_is_the_answer_whatever_becomes_of_the_body(
    service: PushService, client: PushClient, fault: str
) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    service.faults.add(fault)
    outcome = await send(client, subscriber)
    assert (outcome.verdict, outcome.status) == (Verdict.ACCEPTED, 201)
    await recovers(service, client, subscriber)


async def test_huge_headers_are_not_read_to_their_end(service: PushService, client: PushClient) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    service.faults.add("huge-headers")
    outcome = await send(client, subscriber)
    assert outcome.verdict in (Verdict.ACCEPTED, Verdict.TRANSIENT)
    await recovers(service, client, subscriber)


async def test_slower_than_the_time_limit_is_transient(service: PushService, client: PushClient) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    service.faults.add(f"slow={HANG_SECONDS_MAX * 2}")
    assert (await send(client, subscriber)).verdict is Verdict.TRANSIENT
    await recovers(service, client, subscriber)


async def test_accepted_and_lost(service: PushService, client: PushClient) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    service.faults.add("lose times=1")
    assert (await send(client, subscriber)).verdict is Verdict.ACCEPTED
    await recovers(service, client, subscriber)
    assert await received(subscriber) == []


async def test_delivered_more_than_once(service: PushService, client: PushClient) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    service.faults.add("duplicate=3")
    assert (await send(client, subscriber)).verdict is Verdict.ACCEPTED
    await recovers(service, client, subscriber)
    assert await received(subscriber) == [b"under fault"] * 3


@pytest.mark.parametrize("vendor", ["mozilla", "fcm", "apple", "wns"])
@pytest.mark.parametrize("seconds", [90_000, -90_000])
async def test_a_wrong_clock_at_the_service_refuses_the_token(
    service: PushService, client: PushClient, vendor: str, seconds: int
) -> None:
    """Ahead by a day and an hour, the token has expired; behind, it expires too late."""
    subscriber = await service.subscribe(KEY.public_bytes, vendor=vendor)
    await recovers(service, client, subscriber)
    service.faults.add(f"skew={seconds}")
    assert (await send(client, subscriber)).verdict is Verdict.BAD_TOKEN
    await recovers(service, client, subscriber)


@pytest.mark.parametrize("seconds", [0, 3600, -3600])
async def test_the_date_of_an_answer_is_by_the_services_clock(
    service: PushService, client: PushClient, seconds: int
) -> None:
    subscriber = await service.subscribe(KEY.public_bytes)
    service.faults.add(f"skew={seconds}")
    outcome = await send(client, subscriber)
    assert outcome.accepted
    off = parsedate_to_datetime(outcome.headers["date"]).timestamp() - time.time()
    assert abs(off - seconds) < 30  # a machine may be slow, but not by this much


async def test_one_vendor_fails_and_the_others_are_served(service: PushService, client: PushClient) -> None:
    subscribers = {vendor: await service.subscribe(KEY.public_bytes, vendor=vendor) for vendor in VENDORS}
    service.faults.add("fcm hang")
    outcomes = await asyncio.gather(*(send(client, subscriber) for subscriber in subscribers.values()))
    assert {vendor for vendor, outcome in zip(VENDORS, outcomes, strict=True) if not outcome.accepted} == {"fcm"}


async def test_one_subscription_fails_and_the_event_says_which(service: PushService, client: PushClient) -> None:
    unlucky, lucky = [await service.subscribe(KEY.public_bytes, vendor="fcm") for _ in range(2)]
    fault_id = service.faults.add(f"sub:{unlucky.subscription_id} answer=gone after=1 times=1")
    verdicts = [(await send(client, each)).verdict for each in (lucky, unlucky, lucky, unlucky, lucky, unlucky)]
    assert verdicts == [Verdict.ACCEPTED] * 3 + [Verdict.GONE] + [Verdict.ACCEPTED] * 2
    (event,) = [event for event in service.events() if isinstance(event, Faulted)]
    assert (event.fault_id, event.vendor, event.subscription_id, event.number) == (
        fault_id,
        "fcm",
        unlucky.subscription_id,
        2,
    )
    assert [info.hits for info in service.faults.list()] == [1]


async def test_a_graceful_goaway_answers_what_is_open(service: PushService, client: PushClient) -> None:
    """Twenty messages over one connection, of which every fifth is answered with a goodbye: none is lost."""
    subscribers = [await service.subscribe(KEY.public_bytes) for _ in range(20)]
    await recovers(service, client, subscribers[0])
    service.faults.add("slow=0.1")
    for subscriber in subscribers[::5]:
        service.faults.add(f"sub:{subscriber.subscription_id} goaway times=1")
    outcomes = await asyncio.gather(*(send(client, subscriber) for subscriber in subscribers))
    assert all(outcome.accepted for outcome in outcomes), outcomes


async def test_a_lower_stream_limit_is_kept_to(service: PushService, client: PushClient) -> None:
    subscribers = [await service.subscribe(KEY.public_bytes) for _ in range(20)]
    service.faults.add("stream-limit=2")
    await recovers_with(service, client, subscribers[0])
    outcomes = await asyncio.gather(*(send(client, subscriber) for subscriber in subscribers))
    assert all(outcome.accepted for outcome in outcomes), outcomes


async def recovers_with(service: PushService, client: PushClient, subscriber: LocalSubscriber) -> None:
    """A connection is open and has been told the limits in force."""
    assert (await send(client, subscriber)).accepted
    assert service.faults.list()


@pytest.mark.parametrize("origin", ["vendor", "own"])
async def test_a_fault_of_wns_hits_senders_that_write_escapes_in_capitals(origin: str) -> None:
    """As Python's requests does, and so pywebpush."""
    async with PushService(faults=["wns status=429"]) as service:
        edge = await service.subscribe(KEY.public_bytes, vendor="wns")
        endpoint = (edge.subscription if origin == "vendor" else edge.local_subscription).endpoint.url
        sender = Sender(service)
        async with sender.client:
            answer = await sender.post(endpoint.replace("%2f", "%2F").replace("%2b", "%2B"))
        assert answer.status_code == 429
        (fault,) = [event for event in service.events() if isinstance(event, Faulted)]
        assert (fault.vendor, fault.subscription_id) == ("wns", edge.subscription_id)
