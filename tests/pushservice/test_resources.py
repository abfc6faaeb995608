"""RFC 8030 over https: what a sender sees, as each vendor answers."""

from __future__ import annotations

import time

import httpx
import pytest

from pushkeep.errors import InvalidToken
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.vapid import sign
from pushkeep.pushservice import Limits, LocalSubscriber, PushService
from pushkeep.pushservice.events import Accepted, Dropped, Refused
from pushkeep.pushservice.resources import VerifiedTokens

from .helpers import KEY, OTHER_KEY, Sender, authorization, origin_of, sealed

VENDORS = ("mozilla", "fcm")


async def subscriber(service: PushService, vendor: str) -> LocalSubscriber:
    return await service.subscribe(KEY.public_bytes, vendor=vendor)


def assert_refused(answer: httpx.Response, vendor: str, status: int, errno: int | None, text: str) -> None:
    assert answer.status_code == status, answer.text
    assert text in answer.text
    if vendor == "mozilla":
        content = answer.json()
        assert set(content) == {"code", "errno", "error", "message", "more_info"}
        assert (content["code"], content["errno"]) == (status, errno)
        assert content["error"] == httpx.codes.get_reason_phrase(status)
    else:
        assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("http2", [True, False], ids=["h2", "h1"])
async def test_a_message_is_taken_and_received(service: PushService, vendor: str, http2: bool) -> None:
    receiver, sender = await subscriber(service, vendor), Sender(service, http2=http2)
    async with sender.client:
        answer = await sender.send(receiver.subscription, b"hello", ttl="120", urgency="high", topic="a_-Z9")
    assert answer.status_code == 201
    assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    assert answer.headers["ttl"] == "120"
    origin = origin_of(receiver.subscription.endpoint.url)
    assert answer.headers["location"].startswith(f"{origin}/m/")
    message = await receiver.receive(5)
    assert (message.data, message.ttl, message.urgency, message.topic) == (b"hello", 120, "high", "a_-Z9")
    assert answer.headers["location"].endswith("/" + message.message_id)
    assert (await service.wait_for_ack(answer.headers["location"], 5)).code == 100


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_message_without_payload_is_received_as_none(service: PushService, sender: Sender, vendor: str) -> None:
    receiver = await subscriber(service, vendor)
    assert (await sender.post(receiver.subscription.endpoint.url)).status_code == 201
    assert (await receiver.receive(5)).data is None


@pytest.mark.parametrize(("vendor", "days"), [("mozilla", 30), ("fcm", 28)])
async def test_the_ttl_is_cut_and_the_granted_one_answered(
    service: PushService, sender: Sender, vendor: str, days: int
) -> None:
    receiver = await subscriber(service, vendor)
    answer = await sender.post(receiver.subscription.endpoint.url, ttl="99999999999999999999")
    assert (answer.status_code, answer.headers["ttl"]) == (201, str(days * 86_400))


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("headers", "errno"),
    [
        ({"ttl": None}, 111),
        ({"ttl": "soon"}, 111),
        ({"ttl": ""}, 111),
        ({"ttl": "-1"}, 114),
        ({"topic": "a" * 33}, 113),
        ({"topic": "a b"}, 113),
        ({"urgency": "urgent"}, None),
        ({"content_encoding": None}, 110),
        ({"content_encoding": "gzip"}, 110),
        ({"content_encoding": "aesgcm"}, 110),
        ({"content_encoding": "aesgcm", "encryption": "salt=a", "crypto_key": "dh=" + "x" * 2000}, 110),
        ({"encryption": "salt=AAAA"}, 110),
        ({"crypto_key": "dh=AAAA"}, 110),
    ],
)
async def test_a_bad_header_is_a_400(
    service: PushService, sender: Sender, vendor: str, headers: dict[str, str | None], errno: int | None
) -> None:
    receiver = await subscriber(service, vendor)
    answer = await sender.send(receiver.subscription, b"x", key=KEY, **headers)
    assert_refused(answer, vendor, 400, errno, "")
    assert service.messages() == []


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(("position", "octet"), [(18, 0), (20, 64), (21, 2)])
async def test_a_body_that_is_not_aes128gcm_is_a_400(
    service: PushService, sender: Sender, vendor: str, position: int, octet: int
) -> None:
    receiver = await subscriber(service, vendor)
    body = bytearray(sealed(receiver.subscription, b"x"))
    body[position] = octet
    if position == 18:
        body[19] = 17  # a record size of 17
    answer = await sender.post(receiver.subscription.endpoint.url, body=bytes(body))
    assert_refused(answer, vendor, 400, 110, "shape")


@pytest.mark.parametrize("vendor", VENDORS)
async def test_4096_octets_pass_and_one_more_is_a_413(service: PushService, sender: Sender, vendor: str) -> None:
    receiver = await subscriber(service, vendor)
    largest = sealed(receiver.subscription, b"x" * 3993)
    assert len(largest) == 4096
    endpoint = receiver.subscription.endpoint.url
    assert (await sender.post(endpoint, body=largest)).status_code == 201
    assert (await receiver.receive(5)).data == b"x" * 3993
    for body in (largest + b"x", largest * 10, largest * 500):  # also over what is kept of a body
        assert_refused(await sender.post(endpoint, body=body), vendor, 413, 104, "")


@pytest.mark.parametrize(
    ("vendor", "status", "text"),
    [("mozilla", 401, "VAPID public key mismatch"), ("fcm", 403, "do not correspond to the credentials")],
)
async def test_another_key_is_a_mismatch_and_the_subscription_stays(
    service: PushService, sender: Sender, vendor: str, status: int, text: str
) -> None:
    receiver = await subscriber(service, vendor)
    answer = await sender.send(receiver.subscription, b"x", key=OTHER_KEY)
    assert_refused(answer, vendor, status, 109, text)
    assert (await sender.send(receiver.subscription, b"x")).status_code == 201


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("case", "mozilla_text", "fcm_text"),
    [
        ("missing", "Missing VAPID token", "authorization header"),
        ("basic", "InvalidToken", "invalid JWT"),
        ("garbage", "InvalidToken", "invalid JWT"),
        ("expired", "ExpiredSignature", "invalid JWT"),
        ("too_late", "expiration is too long", "invalid JWT"),
        ("audience", "Invalid VAPID audience", "aud claim"),
        ("audience_slash", "Invalid VAPID audience", "aud claim"),
        ("signature", "InvalidSignature", "invalid JWT"),
        ("key", "Invalid VAPID public key", "invalid JWT"),
    ],
)
async def test_a_token_that_does_not_hold(
    service: PushService, sender: Sender, vendor: str, case: str, mozilla_text: str, fcm_text: str
) -> None:
    receiver = await subscriber(service, vendor)
    origin = origin_of(receiver.subscription.endpoint.url)
    good = sign(KEY, audience=origin, contact=None, expires_at=int(time.time()) + 60)
    header = {
        "missing": None,
        "basic": "Basic YTpi",
        "garbage": "vapid t=a.b.c, k=" + KEY.public_b64,
        "expired": authorization(origin, expires_in=-1),
        "too_late": authorization(origin, expires_in=86_400 + 60),
        "audience": authorization("https://push.example.net"),
        "audience_slash": authorization(origin + "/"),
        "signature": f"vapid t={good}, k={OTHER_KEY.public_b64}",
        "key": f"vapid t={good}, k={b64url_encode(b'x' * 65)}",
    }[case]
    answer = await sender.send(receiver.subscription, b"x", authorization=header)
    status = 401 if vendor == "mozilla" or case == "missing" else 403
    assert_refused(answer, vendor, status, 109, mozilla_text if vendor == "mozilla" else fcm_text)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_an_ended_subscription_is_gone(service: PushService, sender: Sender, vendor: str) -> None:
    receiver = await subscriber(service, vendor)
    await receiver.unsubscribe()
    answer = await sender.send(receiver.subscription, b"x")
    text = "No such subscription" if vendor == "mozilla" else "push subscription has unsubscribed or expired."
    assert_refused(answer, vendor, 410, 106, text)
    if vendor == "mozilla":
        assert answer.headers["cache-control"] == "max-age=86400"


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_bad_token_hides_a_dead_subscription(service: PushService, sender: Sender, vendor: str) -> None:
    receiver = await subscriber(service, vendor)
    await receiver.unsubscribe()
    answer = await sender.send(receiver.subscription, b"x", authorization=None, ttl=None)
    assert answer.status_code == 401
    assert (await sender.send(receiver.subscription, b"x", key=OTHER_KEY)).status_code in (401, 403)
    assert (await sender.send(receiver.subscription, b"x", ttl=None)).status_code == 410


async def test_an_unknown_token_is_mozillas_empty_404(service: PushService, sender: Sender) -> None:
    receiver = await subscriber(service, "mozilla")
    endpoint = receiver.subscription.endpoint.url
    for url in (
        endpoint + "A",
        endpoint.replace("/v2/", "/v1/"),
        service.url + "/wpush/v3/x",
        service.url + "/",
    ):
        answer = await sender.post(url)
        assert (answer.status_code, answer.content) == (404, b"")


async def test_an_unknown_token_is_googles_404_text(service: PushService, sender: Sender) -> None:
    receiver = await subscriber(service, "fcm")
    answer = await sender.post(receiver.subscription.endpoint.url.replace("/send/", "/send/a"))
    assert_refused(answer, "fcm", 404, None, "A valid push subscription endpoint should be specified")


@pytest.mark.parametrize(
    "prefix",
    [
        "https://jmt17.google.com/fcm/send/",
        "https://fcm.googleapis.com/fcm/send/",
        "https://fcm.googleapis.com/wp/",
        "https://fcm.google.com/preprod/wp/",
    ],
)
async def test_every_google_prefix_leads_to_the_subscription(service: PushService, sender: Sender, prefix: str) -> None:
    receiver = await subscriber(service, "fcm")
    endpoint = prefix + receiver.subscription.endpoint.url.rpartition("/")[2]
    answer = await sender.post(endpoint)
    assert answer.status_code == 201
    assert answer.headers["location"].startswith(origin_of(prefix) + "/m/")
    # The audience is the origin the sender addresses, not another of the same service.
    elsewhere = await sender.post(endpoint, authorization=authorization("https://fcm.example.com"))
    assert elsewhere.status_code == 403


async def test_a_host_that_is_not_ours_is_misdirected(service: PushService, sender: Sender) -> None:
    answer = await sender.post("https://push.example.net/wpush/v2/x")
    assert answer.status_code == 421


async def test_an_unrestricted_subscription_needs_no_token_but_checks_one(service: PushService, sender: Sender) -> None:
    receiver = await service.subscribe()
    endpoint = receiver.subscription.endpoint.url
    assert "/wpush/v1/" in endpoint
    assert (await sender.post(endpoint, authorization=None)).status_code == 201
    assert (await sender.post(endpoint, key=OTHER_KEY)).status_code == 201
    assert (await sender.post(endpoint, authorization="vapid t=x, k=y")).status_code == 401


async def test_aesgcm_is_taken_with_its_headers_and_its_draft_token(service: PushService, sender: Sender) -> None:
    receiver = await subscriber(service, "mozilla")
    receiver.disconnect()
    endpoint = receiver.subscription.endpoint.url
    token = sign(KEY, audience=origin_of(endpoint), contact=None, expires_at=int(time.time()) + 60)
    answer = await sender.post(
        endpoint,
        body=b"legacy",
        content_encoding="aesgcm",
        encryption="salt=lngarbyKfMoi9Z75xYXmkg",
        crypto_key=f"dh={KEY.public_b64};p256ecdsa={KEY.public_b64}",
        authorization=f"WebPush {token}",
    )
    assert answer.status_code == 201
    assert [message.encoding for message in service.messages()] == ["aesgcm"]


async def test_delete_withdraws_a_waiting_message(service: PushService, sender: Sender) -> None:
    receiver = await subscriber(service, "mozilla")
    receiver.disconnect()
    location = (await sender.post(receiver.subscription.endpoint.url)).headers["location"]
    assert (await sender.request("DELETE", location)).status_code == 204
    assert service.messages() == []
    assert (await service.wait_for(Dropped, 5)).reason == "withdrawn"
    assert (await sender.request("DELETE", location)).status_code == 204  # already gone
    assert (await sender.request("DELETE", location + "x")).status_code == 400
    assert (await sender.request("GET", location)).status_code == 405


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_a_push_resource_takes_post_only(service: PushService, sender: Sender, method: str) -> None:
    receiver = await subscriber(service, "mozilla")
    answer = await sender.request(method, receiver.subscription.endpoint.url)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_offline_ttl_and_topic(service: PushService, sender: Sender) -> None:
    receiver = await subscriber(service, "mozilla")
    receiver.disconnect()
    for payload, changes in [
        (b"never", {"ttl": "0"}),
        (b"old", {"topic": "t"}),
        (b"new", {"topic": "t"}),
        (b"last", {}),
    ]:
        assert (await sender.send(receiver.subscription, payload, key=KEY, **changes)).status_code == 201
    receiver.connect()
    assert [(await receiver.receive(5)).data for _ in range(2)] == [b"new", b"last"]
    reasons = [event.reason for event in service.events() if isinstance(event, Dropped)]
    assert reasons == ["offline", "replaced"]


async def test_events_tell_the_story_without_a_secret(service: PushService, sender: Sender) -> None:
    receiver = await subscriber(service, "mozilla")
    await sender.send(receiver.subscription, b"secret")
    await sender.send(receiver.subscription, b"secret", key=OTHER_KEY)
    accepted = await service.wait_for(Accepted, 5)
    assert accepted.subscription_id == receiver.subscription_id
    refused = await service.wait_for(Refused, 5)
    assert (refused.status, refused.reason, refused.vendor) == (401, "key_mismatch", "mozilla")
    story = repr(service.events()) + repr(service) + repr(receiver) + repr(service.subscriptions())
    assert receiver.subscription.endpoint.url.rpartition("/")[2] not in story
    assert "secret" not in story


def test_a_verified_token_is_remembered_until_it_expires() -> None:
    tokens = VerifiedTokens(entries_max=2)
    header = authorization("https://a.example", now=0, expires_in=100)
    first = tokens.verify(header, audience="https://a.example", now=0)
    assert tokens.verify(header, audience="https://a.example", now=99) is first
    for audience, now, reason in [("https://a.example", 100, "expired"), ("https://b.example", 0, "wrong_audience")]:
        with pytest.raises(InvalidToken) as refused:
            tokens.verify(header, audience=audience, now=now)
        assert refused.value.reason == reason
    for _ in range(2):
        other = authorization("https://a.example", now=0, expires_in=100)
        tokens.verify(other, audience="https://a.example", now=0)
    assert tokens.verify(header, audience="https://a.example", now=0) is not first


async def test_a_full_service_asks_to_come_back() -> None:
    for vendor in VENDORS:
        async with PushService(limits=Limits(messages_max=1)) as small:
            full_sender = Sender(small)
            receiver = await small.subscribe(KEY.public_bytes, vendor=vendor)
            receiver.disconnect()
            async with full_sender.client:
                assert (await full_sender.send(receiver.subscription, b"x")).status_code == 201
                answer = await full_sender.send(receiver.subscription, b"x")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "120")
