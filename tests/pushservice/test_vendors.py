"""Every personality over real sockets: endpoints, answers in its words, and what it alone does."""

from __future__ import annotations

import json
import re
import uuid

import httpx
import pytest

from pushkeep import PushClient
from pushkeep.pushservice import LocalSubscriber, PushService, Quirks
from pushkeep.pushservice.events import Dropped, Refused
from pushkeep.pushservice.personalities import PERSONALITIES

from .helpers import KEY, OTHER_KEY, Sender, authorization, origin_of, sealed

VENDORS = sorted(PERSONALITIES)
BOUND = ["mozilla", "fcm", "apple", "wns"]


def url(subscriber: LocalSubscriber) -> str:
    return subscriber.subscription.endpoint.url


async def send(sender: Sender, subscriber: LocalSubscriber, **changes: str | None) -> httpx.Response:
    return await sender.send(subscriber.subscription, b"hello", key=KEY, **changes)


@pytest.mark.parametrize(
    ("vendor", "pattern"),
    [
        ("mozilla", r"https://localhost:\d+/wpush/v2/[\w-]+"),
        ("fcm", r"https://fcm\.googleapis\.com/fcm/send/[\w-]{11}:APA91b[\w-]+"),
        ("apple", r"https://web\.push\.apple\.com/[\w-]+"),
        ("wns", r"https://wns2-ln2p\.notify\.windows\.com/w/\?token=BQYAAAD%2f%2b(?:[A-Za-z0-9]|%2[fb]|%3d)+"),
        ("unifiedpush", r"https://127\.0\.0\.1:\d+/up/[\w-]+\?up=1"),
    ],
)
async def test_endpoints_are_where_the_vendor_has_them(
    service: PushService, sender: Sender, vendor: str, pattern: str
) -> None:
    subscriber = await service.subscribe(KEY.public_bytes, vendor=vendor)
    assert re.fullmatch(pattern, url(subscriber))
    found = service.subscription_for(url(subscriber))
    assert found is not None
    assert found.id == subscriber.subscription_id
    assert (await send(sender, subscriber)).is_success
    message = await subscriber.receive(5)
    assert (message.data, message.ttl) == (b"hello", 60)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_every_vendor_is_answered_on_the_services_own_origin(
    service: PushService, sender: Sender, vendor: str
) -> None:
    subscriber = await service.subscribe(KEY.public_bytes, vendor=vendor)
    local = subscriber.local_subscription
    assert local.endpoint.origin == service.url
    assert (local.p256dh, local.auth) == (subscriber.subscription.p256dh, subscriber.subscription.auth)
    assert (await sender.send(local, b"here")).is_success
    assert (await subscriber.receive(5)).data == b"here"
    # The audience is the origin the sender addressed, also where it is not the vendor's.
    elsewhere = authorization("https://push.example.net")
    assert (await sender.send(local, b"x", authorization=elsewhere)).status_code in (401, 403)


@pytest.mark.parametrize(
    ("vendor", "unknown", "gone"),
    [("mozilla", 404, 410), ("fcm", 404, 410), ("apple", 404, 410), ("wns", 404, 410), ("unifiedpush", 404, 404)],
)
async def test_unknown_and_ended_endpoints(
    service: PushService, sender: Sender, vendor: str, unknown: int, gone: int
) -> None:
    subscriber = await service.subscribe(KEY.public_bytes, vendor=vendor)
    mangled = url(subscriber).replace("?up=1", "")[:-6] + "AAAAA"
    assert (await sender.post(mangled, body=b"x" * 200)).status_code == unknown
    await subscriber.unsubscribe()
    assert (await send(sender, subscriber)).status_code == gone


@pytest.mark.parametrize(
    ("vendor", "status", "text"),
    [
        ("mozilla", 401, "VAPID public key mismatch"),
        ("fcm", 403, "do not correspond to the credentials"),
        ("apple", 400, "VapidPkHashMismatch"),
        ("wns", 401, "public key"),
        ("unifiedpush", 403, "Forbidden"),
    ],
)
async def test_another_key(service: PushService, sender: Sender, vendor: str, status: int, text: str) -> None:
    subscriber = await service.subscribe(KEY.public_bytes, vendor=vendor)
    answer = await sender.send(subscriber.subscription, b"x", key=OTHER_KEY)
    assert answer.status_code == status
    assert text in answer.text + answer.headers.get("x-wns-error-description", "")
    refused = await service.wait_for(Refused, 5)
    assert (refused.reason, refused.vendor, refused.subscription_id) == (
        "key_mismatch",
        vendor,
        subscriber.subscription_id,
    )


# Apple


async def apple(service: PushService) -> LocalSubscriber:
    return await service.subscribe(KEY.public_bytes, vendor="apple")


async def test_apple_accepts_with_an_apns_id_and_nothing_else(service: PushService, sender: Sender) -> None:
    subscriber = await apple(service)
    answer = await send(sender, subscriber)
    assert (answer.status_code, answer.content) == (201, b"")
    assert "location" not in answer.headers
    identity = answer.headers["apns-id"]
    assert str(uuid.UUID(identity)).upper() == identity
    message = await subscriber.receive(5)
    assert (await service.wait_for_ack(identity, 5)).message_id == message.message_id


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"ttl": None}, 400, "BadTtl"),
        ({"ttl": "-1"}, 400, "BadTtl"),
        ({"ttl": "soon"}, 400, "BadTtl"),
        ({"urgency": "urgent"}, 400, "BadUrgency"),
        ({"topic": "mail-batch-10"}, 400, "BadWebPushTopic"),  # 13 characters are no base64url text
        ({"topic": "a" * 33}, 400, "BadWebPushTopic"),
        ({"topic": "a b"}, 400, "BadWebPushTopic"),
        ({"content_encoding": "gzip"}, 400, "BadWebPushRequest"),
        ({"content_encoding": "aesgcm", "encryption": "salt=AA", "crypto_key": "dh=AA"}, 400, "BadWebPushRequest"),
        ({"encryption": "salt=AA"}, 400, "BadWebPushRequest"),
        ({"authorization": None}, 403, "BadAuthorizationHeader"),
        ({"authorization": "Basic YTpi"}, 403, "BadAuthorizationHeader"),
        ({"authorization": f"vapid t=a.b.c, k={KEY.public_b64}"}, 403, "BadJwtToken"),
        ({"authorization": "vapid t=a.b.c, k=AAAA"}, 403, "BadVapidPublicKey"),
    ],
)
async def test_apple_says_its_reason(
    service: PushService, sender: Sender, changes: dict[str, str | None], status: int, reason: str
) -> None:
    answer = await send(sender, await apple(service), **changes)
    assert (answer.status_code, answer.json()) == (status, {"reason": reason})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["apns-id"]


@pytest.mark.parametrize(
    "contact",
    [
        None,
        "a@example.com",
        "mailto: a@example.com",
        "mailto:<a@example.com>",
        "mailto:A <a@example.com>",
        "mailto:a@localhost",
        "mailto:admin@box.local",
        "https://localhost",
        "https://localhost:8000/contact",
        "https://box.local/contact",
        "ftp://example.com",
        "",
    ],
)
async def test_apple_refuses_a_contact_that_others_let_pass(
    service: PushService, sender: Sender, contact: str | None
) -> None:
    subscriber = await apple(service)
    header = authorization(origin_of(url(subscriber)), contact=contact)
    answer = await send(sender, subscriber, authorization=header)
    assert (answer.status_code, answer.json()) == (403, {"reason": "BadJwtToken"})
    other = await service.subscribe(KEY.public_bytes)
    header = authorization(origin_of(url(other)), contact=contact)
    assert (await send(sender, other, authorization=header)).status_code == 201


@pytest.mark.parametrize("contact", ["mailto:a@example.com", "https://example.com", "https://example.com:8443/a?b"])
async def test_apple_takes_a_plain_contact(service: PushService, sender: Sender, contact: str) -> None:
    subscriber = await apple(service)
    header = authorization(origin_of(url(subscriber)), contact=contact)
    assert (await send(sender, subscriber, authorization=header)).status_code == 201


@pytest.mark.parametrize(
    ("audience", "expires_in"),
    [("https://web.push.apple.com/", 60), ("https://web.push.apple.com", -1), ("https://web.push.apple.com", 86_460)],
)
async def test_apple_calls_a_wrong_audience_or_expiry_a_bad_token(
    service: PushService, sender: Sender, audience: str, expires_in: int
) -> None:
    header = authorization(audience, expires_in=expires_in)
    answer = await send(sender, await apple(service), authorization=header)
    assert (answer.status_code, answer.json()["reason"]) == (403, "BadJwtToken")


async def test_apples_other_reasons(service: PushService, sender: Sender) -> None:
    subscriber = await apple(service)
    large = await sender.post(url(subscriber), body=sealed(subscriber.subscription, b"x" * 3993) + b"x")
    assert (large.status_code, large.json()["reason"]) == (413, "PayloadTooLarge")
    get = await sender.request("GET", url(subscriber))
    assert (get.status_code, get.json()["reason"]) == (405, "MethodNotAllowed")
    path = await sender.post("https://web.push.apple.com/a/b")
    assert (path.status_code, path.json()["reason"]) == (404, "BadPath")
    await subscriber.unsubscribe()
    gone = await send(sender, subscriber)
    assert (gone.status_code, gone.json()["reason"]) == (410, "Unregistered")


async def test_apple_keeps_only_the_newest_undelivered_message(service: PushService, sender: Sender) -> None:
    subscriber, other = await apple(service), await apple(service)
    subscriber.disconnect()
    other.disconnect()
    for payload in (b"one", b"two", b"three"):
        await sender.send(subscriber.subscription, payload)
    await sender.send(other.subscription, b"untouched")
    # Now or never, and there is nobody: it takes no place.
    await sender.send(subscriber.subscription, b"lost", ttl="0")
    subscriber.connect()
    other.connect()
    assert (await subscriber.receive(5)).data == b"three"
    assert (await other.receive(5)).data == b"untouched"
    reasons = [event.reason for event in service.events() if isinstance(event, Dropped)]
    assert reasons == ["replaced", "replaced", "offline"]
    assert service.messages() == []


# WNS


async def wns(service: PushService) -> LocalSubscriber:
    return await service.subscribe(KEY.public_bytes, vendor="wns")


async def test_wns_says_everything_in_headers(service: PushService, sender: Sender) -> None:
    subscriber = await wns(service)
    answer = await send(sender, subscriber)
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["x-wns-status"] == answer.headers["x-wns-notificationstatus"] == "received"
    assert re.fullmatch("[0-9A-F]{16}", answer.headers["x-wns-msg-id"])
    assert re.fullmatch(r"[\w-]{22}\.0", answer.headers["ms-cv"])
    refused = await send(sender, subscriber, authorization=None)
    assert (refused.status_code, refused.content) == (401, b"")
    assert refused.headers["x-wns-status"] == "dropped"
    assert "JWT Authentication Failed" in refused.headers["x-wns-error-description"]


@pytest.mark.parametrize(
    ("ttl", "policy", "status"),
    [("0", None, 400), ("0", "cache", 400), ("0", "no-cache", 201), ("60", None, 201), ("60", "cache", 201)],
)
async def test_wns_ttl_0_needs_the_cache_policy(
    service: PushService, sender: Sender, ttl: str, policy: str | None, status: int
) -> None:
    answer = await send(sender, await wns(service), ttl=ttl, x_wns_cache_policy=policy)
    assert answer.status_code == status
    if status == 400:
        assert answer.headers["x-wns-error-description"] == "Ttl value conflicts with X-WNS-Cache-Policy."


async def test_wns_wants_its_query_back_undecoded(service: PushService, sender: Sender) -> None:
    subscriber = await wns(service)
    for lost in (url(subscriber).partition("?")[0], url(subscriber).replace("token=", "Token=")):
        assert (await sender.post(lost)).status_code == 400
    assert (await sender.post(url(subscriber).replace("%2f", "/"))).status_code == 404
    # What Python's requests makes of it, with which many have sent to WNS for years.
    assert (await sender.post(url(subscriber).replace("%2f", "%2F").replace("%2b", "%2B"))).status_code == 201


async def test_wns_takes_no_chunks_and_5000_octets(service: PushService, sender: Sender) -> None:
    subscriber = await wns(service)
    largest = sealed(subscriber.subscription, b"x")
    endpoint = url(subscriber)
    assert (await sender.post(endpoint, body=largest + b"x" * (5000 - len(largest)))).status_code == 201
    large = await sender.post(endpoint, body=largest + b"x" * (5001 - len(largest)))
    assert (large.status_code, large.content) == (413, b"")

    async def chunks() -> object:
        yield largest

    old = Sender(service, http2=False)
    async with old.client:
        headers = {"host": "wns2-ln2p.notify.windows.com", "ttl": "60", "content-encoding": "aes128gcm"}
        target = service.url + endpoint.removeprefix("https://wns2-ln2p.notify.windows.com")
        answer = await old.client.post(target, headers=headers, content=chunks())  # type: ignore[arg-type]
        assert answer.status_code == 411
        assert (await old.send(subscriber.subscription, b"x")).status_code == 201


async def test_wns_answers_200_where_asked_to() -> None:
    async with PushService(quirks=Quirks(wns_status=200)) as service:
        sender = Sender(service)
        async with sender.client:
            assert (await send(sender, await wns(service))).status_code == 200


async def test_wns_may_be_without_http2() -> None:
    async with PushService(quirks=Quirks(wns_http1_only=True)) as service:
        versions: list[str] = []
        service.observe(lambda request, _: versions.append(request.version))
        subscriber, other = await wns(service), await apple(service)
        async with PushClient(
            key=KEY, contact="mailto:push@acme-news.org", origin_map=service.origin_map_entries()
        ) as client:
            for receiver in (subscriber, other):
                assert (await client.send(receiver.subscription, b"x")).verdict == "accepted"
        assert versions == ["1.1", "2"]


# UnifiedPush


async def test_unifiedpush_needs_no_key_and_answers_ttl_0(service: PushService, sender: Sender) -> None:
    subscriber = await service.subscribe(vendor="unifiedpush")
    answer = await send(sender, subscriber, authorization=None, ttl=None, topic="not a topic!", urgency="x")
    assert (answer.status_code, answer.headers["ttl"]) == (201, "0")
    message = await subscriber.receive(5)
    assert (message.data, message.topic, message.urgency) == (b"hello", None, "normal")


async def test_unifiedpush_bound_to_a_key_does_without_but_checks_one(service: PushService, sender: Sender) -> None:
    subscriber = await service.subscribe(KEY.public_bytes, vendor="unifiedpush")
    assert (await send(sender, subscriber, authorization=None)).status_code == 201
    assert (await sender.send(subscriber.subscription, b"x", key=OTHER_KEY)).status_code == 403
    assert (await send(sender, subscriber, authorization="vapid t=x, k=y")).status_code == 401


async def test_unifiedpush_can_be_discovered(service: PushService, sender: Sender) -> None:
    subscriber = await service.subscribe(vendor="unifiedpush")
    answer = await sender.request("GET", url(subscriber))
    assert (answer.status_code, answer.json()) == (200, {"unifiedpush": {"version": 1}})
    assert (await sender.request("PUT", url(subscriber))).status_code == 405


@pytest.mark.parametrize(("size", "status"), [(0, 400), (1, 201), (4096, 201), (4097, 413)])
async def test_unifiedpush_takes_1_to_4096_octets(service: PushService, sender: Sender, size: int, status: int) -> None:
    subscriber = await service.subscribe(vendor="unifiedpush")
    assert (await sender.post(url(subscriber), body=b"x" * size)).status_code == status


async def test_ntfy_answers_200_and_507_while_nobody_listens() -> None:
    async with PushService(quirks=Quirks(ntfy=True)) as service:
        sender = Sender(service)
        subscriber = await service.subscribe(vendor="unifiedpush")
        async with sender.client:
            answer = await send(sender, subscriber)
            assert (answer.status_code, answer.json()["event"]) == (200, "message")
            assert (await subscriber.receive(5)).data == b"hello"
            subscriber.disconnect()
            nobody = await send(sender, subscriber)
            assert (nobody.status_code, nobody.json()["code"]) == (507, 50701)
            subscriber.connect()
            assert (await send(sender, subscriber)).status_code == 200
            large = await sender.post(url(subscriber), body=b"x" * 4097)
            assert (large.status_code, large.json()["code"]) == (413, 41301)


# Mozilla and FCM


async def test_firefox_on_android_has_a_lower_limit_that_does_not_show(service: PushService, sender: Sender) -> None:
    phone = await service.subscribe(KEY.public_bytes, device="android")
    assert "/wpush/v2/" in url(phone)
    assert (await sender.send(phone.subscription, b"x" * 2912, ttl="5")).status_code == 201
    assert (await phone.receive(5)).ttl == 60
    answer = await sender.send(phone.subscription, b"x" * 2913)
    assert (answer.status_code, answer.json()["errno"]) == (413, 104)


async def test_the_version_may_be_left_out_of_an_unrestricted_mozilla_endpoint(
    service: PushService, sender: Sender
) -> None:
    subscriber = await service.subscribe()
    assert (await sender.post(url(subscriber).replace("/v1/", "/"))).status_code == 201


async def test_a_fresh_fcm_subscription_may_be_gone_for_some_seconds() -> None:
    clock = [1_000_000.0]
    async with PushService(quirks=Quirks(fcm_settling_seconds=3), now=lambda: clock[0]) as service:
        sender = Sender(service)
        subscriber = await service.subscribe(KEY.public_bytes, vendor="fcm")
        header = authorization(origin_of(url(subscriber)), now=clock[0])
        async with sender.client:
            answer = await send(sender, subscriber, authorization=header)
            assert (answer.status_code, "has unsubscribed or expired" in answer.text) == (410, True)
            clock[0] += 3
            assert (await send(sender, subscriber, authorization=header)).status_code == 201


@pytest.mark.parametrize("vendor", ["mozilla", "fcm"])
@pytest.mark.parametrize("scheme", ["WebPush", "Bearer"])
async def test_draft_tokens_and_standard_base64_are_tolerated(
    service: PushService, sender: Sender, vendor: str, scheme: str
) -> None:
    subscriber = await service.subscribe(KEY.public_bytes, vendor=vendor)
    token = authorization(origin_of(url(subscriber))).split("t=")[1].split(",")[0]
    standard = KEY.public_b64.replace("-", "+").replace("_", "/") + "="
    for header, crypto_key in (
        (f"{scheme} {token}", f"p256ecdsa={standard}"),
        (f"vapid t={token}, k={standard}", None),
    ):
        answer = await send(sender, subscriber, authorization=header, crypto_key=crypto_key)
        assert answer.status_code == 201


# Answers made on purpose


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("status", [400, 401, 404, 410, 413, 418, 429, 500, 502, 503])
def test_any_status_can_be_said_in_a_vendors_words(vendor: str, status: int) -> None:
    answer = PERSONALITIES[vendor].fail(status, retry_after="7")
    assert answer.status == status
    assert [value for name, value in answer.headers if name == "retry-after"] == ["7"]
    if dict(answer.headers).get("content-type") == "application/json" and vendor == "mozilla":
        assert json.loads(answer.body)["code"] == status


def test_apple_and_wns_throttle_in_their_own_way() -> None:
    apple_answer, wns_answer = PERSONALITIES["apple"].fail(429), PERSONALITIES["wns"].fail(406)
    assert json.loads(apple_answer.body) == {"reason": "TooManyRequests"}
    headers = dict(wns_answer.headers)
    assert headers["x-wns-status"] == "channelthrottled"
    assert int(headers["x-wns-continue-after"]) > 0
