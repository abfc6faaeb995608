"""The strict service: every rule is reached by a request, and a good sender breaks none."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from pywebpush import WebPushException

from pushkeep import PushClient
from pushkeep.errors import InvalidInput, Undecryptable
from pushkeep.protocol.ece import seal
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.subscription import Subscription
from pushkeep.pushservice import LocalSubscriber, PushService
from pushkeep.pushservice.events import Refused
from pushkeep.pushservice.http.message import Request
from pushkeep.pushservice.personalities import PERSONALITIES
from pushkeep.pushservice.personalities.routes import Route
from pushkeep.pushservice.personalities.strict import StrictService
from pushkeep.pushservice.personalities.strict_facts import Facts
from pushkeep.pushservice.personalities.strict_rules import RULES

from .helpers import KEY, Sender, authorization, origin_of, sealed
from .test_subscriber import send_with_pywebpush

CONTACT = "mailto:push@acme-news.org"


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with PushService(strict=True) as running:
        yield running


@dataclass
class Case:
    """How a right request is spoiled. ``claims`` go into the token; a header of None is left out."""

    rule: str
    vendor: str = "mozilla"
    headers: dict[str, str | None] = field(default_factory=dict)
    twice: tuple[str, str] | None = None
    claims: dict[str, object] = field(default_factory=dict)
    body: bytes | None = None
    status: int = 400

    def __str__(self) -> str:
        return f"{self.rule}-{self.vendor}"


AESGCM: dict[str, str | None] = {"content-encoding": "aesgcm", "encryption": "salt=AA", "crypto-key": "dh=AA"}
CASES = [
    Case("header_repeated", twice=("urgency", "low"), headers={"urgency": "low"}),
    Case("expect_sent", headers={"expect": "100-continue"}),
    Case("ttl_missing", headers={"ttl": None}),
    Case("ttl_missing", "unifiedpush", headers={"ttl": None}),
    Case("ttl_malformed", headers={"ttl": "+5"}),
    Case("ttl_over_limit", "fcm", headers={"ttl": str(28 * 86_400 + 1)}),
    Case("ttl_over_limit", "apple", headers={"ttl": str(30 * 86_400 + 1)}),
    Case("ttl_zero", "apple", headers={"ttl": "0"}),
    Case("ttl_cache_policy", "wns", headers={"ttl": "0"}),
    Case("ttl_cache_policy", "wns", headers={"x-wns-cache-policy": "no-cache"}),
    Case("urgency_unknown", "unifiedpush", headers={"urgency": "High"}),
    Case("topic_malformed", headers={"topic": "YWJjZA=="}),
    Case("topic_malformed", headers={"topic": "a" * 33}),
    Case("topic_undecodable", "apple", headers={"topic": "frenz-ai-done"}),
    Case("receipt_asked", headers={"prefer": "respond-async"}),
    Case("token_missing", headers={"authorization": None}, status=401),
    Case("token_scheme", headers={"authorization": "WebPush a.b.c"}, status=401),
    Case("aud_not_origin", "apple", claims={"aud": "https://web.push.apple.com/"}, status=401),
    Case("aud_not_origin", "fcm", claims={"aud": "https://fcm.googleapis.com:443"}, status=401),
    Case("aud_not_origin", "fcm", claims={"aud": ["https://fcm.googleapis.com"]}, status=401),
    Case("exp_malformed", claims={"exp": None}, status=401),
    Case("exp_malformed", claims={"exp": "3600"}, status=401),
    Case("exp_malformed", claims={"exp": True}, status=401),
    Case("exp_malformed", claims={"exp": 2.0**53}, status=401),
    Case("exp_malformed", claims={"exp": float("nan")}, status=401),
    Case("exp_fractional", claims={"exp": int(time.time()) + 3600.5}, status=401),
    Case("exp_fractional", "apple", claims={"exp": int(time.time()) + 3600.0}, status=401),
    Case("exp_too_far", claims={"exp": int(time.time()) + 24 * 3600}, status=401),
    Case("exp_too_near", claims={"exp": int(time.time()) + 30}, status=401),
    Case("sub_missing", claims={"sub": None}, status=401),
    Case("sub_malformed", claims={"sub": "mailto:a@localhost"}, status=401),
    Case("sub_malformed", claims={"sub": "push@acme-news.org"}, status=401),
    Case("sub_placeholder", claims={"sub": "mailto:sender@example.com"}, status=401),
    Case("sub_placeholder", claims={"sub": "https://example.org/contact"}, status=401),
    Case("sub_placeholder", claims={"sub": "mailto:you@your-domain.org"}, status=401),
    Case("sub_placeholder", claims={"sub": "mailto:test@test.com"}, status=401),
    Case("encoding_without_body", headers={"content-encoding": "aes128gcm"}, body=b""),
    Case("encoding_legacy", headers=AESGCM, body=b"x" * 40),
    Case("encoding_missing", "unifiedpush", headers={"content-encoding": None}),
    Case("legacy_headers", headers={"crypto-key": "p256ecdsa=AA"}),
    Case("body_too_large", "wns", body=bytes(20) + b"A\x04" + bytes(4075), status=413),
    Case("body_too_short", body=b"x" * 103),
    Case("key_off_curve", body=bytes(16) + b"\0\0\x10\0A\x04" + bytes(100)),
    Case("payload_missing", "apple", headers={"content-encoding": None}, body=b""),
]
TESTED_ALONE = {
    "base64_padded",
    "body_chunked",
    "key_for_both",
    "key_reused",
    "length_missing",
    "payload_blank",
    "records_many",
    "salt_reused",
    "token_refreshed",
}


def test_every_rule_is_reached_by_a_case() -> None:
    assert {case.rule for case in CASES} | TESTED_ALONE == {rule.name for rule in RULES}


def jwt(claims: dict[str, object]) -> str:
    """``Authorization`` with any claims; those of None are left out."""
    good = authorization("https://x.example")
    parts = good.split("t=")[1].split(",")[0].split(".")
    text = json.dumps({name: value for name, value in claims.items() if value is not None}).encode()
    middle = base64.urlsafe_b64encode(text).rstrip(b"=").decode()
    # The signature does not hold; strictness looks before the vendor does.
    return f"vapid t={parts[0]}.{middle}.{parts[2]}, k={KEY.public_b64}"


def signed(claims: dict[str, object]) -> str:
    """``Authorization`` with any claims, and a signature that holds."""
    parts = [b64url_encode(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ES256"}, claims)]
    r, s = decode_dss_signature(KEY.private.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256())))
    return f"vapid t={'.'.join(parts)}.{b64url_encode(r.to_bytes(32) + s.to_bytes(32))}, k={KEY.public_b64}"


async def subscribe(service: PushService, vendor: str = "mozilla") -> LocalSubscriber:
    return await service.subscribe(KEY.public_bytes, vendor=vendor)


async def right(sender: Sender, subscriber: LocalSubscriber, token: str | None = None, **changes: str | None) -> str:
    """The headers of a right request's token, or the given one, sent with a fresh body; the answer's rule."""
    url = subscriber.subscription.endpoint.url
    header = token or authorization(origin_of(url), contact=CONTACT)
    answer = await sender.post(
        url, body=sealed(subscriber.subscription, b"hello"), key=KEY, authorization=header, **changes
    )
    return str(answer.headers.get("x-pushkeep-rule", answer.status_code))


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_rule_refuses_with_its_sentence_and_names_itself(
    service: PushService, sender: Sender, case: Case
) -> None:
    subscriber = await subscribe(service, case.vendor)
    url = subscriber.subscription.endpoint.url
    body = sealed(subscriber.subscription, b"x") if case.body is None else case.body
    claims: dict[str, object] = {"aud": origin_of(url), "exp": int(time.time()) + 3600, "sub": CONTACT}
    headers: dict[str, str | None] = {"ttl": "60", "authorization": jwt(claims | case.claims)}
    headers |= {"content-encoding": "aes128gcm"} if body else {}
    headers |= {"host": origin_of(url).removeprefix("https://")} | case.headers
    pairs = [(name, value) for name, value in headers.items() if value is not None]
    target = service.url + url.removeprefix(origin_of(url))
    answer = await sender.client.post(target, headers=pairs + ([case.twice] if case.twice else []), content=body)
    assert (answer.status_code, answer.headers.get("x-pushkeep-rule")) == (case.status, case.rule), answer.text
    rule = next(rule for rule in RULES if rule.name == case.rule)
    assert answer.text == f"strict: {rule.name}: {rule.says} ({rule.source})\n"
    refused = await service.wait_for(Refused, 5)
    assert (refused.reason, refused.rule, refused.status) == ("strict", case.rule, case.status)
    assert (refused.vendor, refused.subscription_id) == (case.vendor, subscriber.subscription_id)
    assert service.messages() == []


async def test_padded_or_standard_base64_is_refused(service: PushService, sender: Sender) -> None:
    subscriber = await subscribe(service)
    token = authorization(service.url, contact=CONTACT)
    assert await right(sender, subscriber, token + "=") == "base64_padded"
    assert await right(sender, subscriber, token) == "201"


async def test_a_chunked_body_and_a_missing_length_are_refused(service: PushService) -> None:
    subscriber = await subscribe(service)
    body = sealed(subscriber.subscription, b"x")

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    for http2, rule in ((False, "body_chunked"), (True, "length_missing")):
        sender = Sender(service, http2=http2)
        async with sender.client:
            headers = {"ttl": "60", "content-encoding": "aes128gcm"}
            answer = await sender.client.post(subscriber.subscription.endpoint.url, headers=headers, content=chunks())
        assert answer.headers["x-pushkeep-rule"] == rule


def seal_with(
    subscription: Subscription, payload: bytes, *, key: ec.EllipticCurvePrivateKey | None = None, salt: bytes = b""
) -> bytes:
    return seal(
        payload,
        ua_public=subscription.p256dh,
        auth=subscription.auth,
        as_private=key or ec.generate_private_key(ec.SECP256R1()),
        salt=salt or os.urandom(16),
    )


async def test_keys_and_salts_are_for_one_message(service: PushService, sender: Sender) -> None:
    subscriber = await subscribe(service)
    url, subscription = subscriber.subscription.endpoint.url, subscriber.subscription
    token = authorization(service.url, contact=CONTACT)

    async def post(body: bytes) -> str:
        answer = await sender.post(url, body=body, authorization=token)
        return str(answer.headers.get("x-pushkeep-rule", answer.status_code))

    own, salt = ec.generate_private_key(ec.SECP256R1()), b"s" * 16
    first = seal_with(subscription, b"1", key=own, salt=salt)
    assert await post(first) == "201"
    assert await post(first) == "201"  # the same message again is a retry
    assert await post(seal_with(subscription, b"2", salt=salt)) == "salt_reused"
    assert await post(seal_with(subscription, b"2", key=own)) == "key_reused"
    assert await post(seal_with(subscription, b"2", key=KEY.private)) == "key_for_both"


def facts(key: bytes, *, salt: bytes = b"", token: str = "t", k: str = "k") -> Facts:
    body = (salt or os.urandom(16)) + b"\0\0\x10\0A" + key + os.urandom(40)
    headers = (("content-encoding", "aes128gcm"), ("authorization", f"vapid t={token}, k={k}"))
    request = Request("POST", "https", "a.example", "/", headers, body, len(body), "2")
    return Facts(request, Route("mozilla", "https://a.example"), 0.0)


def test_what_is_remembered_is_bounded_and_can_be_forgotten() -> None:
    judge = StrictService(remembered_max=2)
    points = [bytes([4]) + os.urandom(64) for _ in range(3)]
    assert [judge.objection_to_repetition(facts(point, k=str(n))) for n, point in enumerate(points)] == [None] * 3
    assert judge.objection_to_repetition(facts(points[0], k="0", token="new")) is None  # the oldest is gone
    again = judge.objection_to_repetition(facts(points[2], k="2"))
    assert again is not None
    assert again.name == "key_reused"
    judge.forget()
    assert judge.objection_to_repetition(facts(points[2], k="2")) is None


async def test_a_body_that_does_not_decrypt_is_for_the_subscriber_to_say(service: PushService, sender: Sender) -> None:
    subscriber = await subscribe(service, "apple")
    body = bytearray(sealed(subscriber.subscription, b"hello"))
    body[-1] ^= 1
    url = subscriber.subscription.endpoint.url
    token = authorization(origin_of(url), contact=CONTACT)
    assert (await sender.post(url, body=bytes(body), authorization=token)).status_code == 201
    with pytest.raises(Undecryptable):
        await subscriber.receive(5)


async def test_a_token_that_cannot_be_read_is_for_the_vendor_to_refuse(service: PushService, sender: Sender) -> None:
    subscriber = await subscribe(service)
    answer = await sender.send(subscriber.subscription, b"x", authorization=f"vapid t=a.b.c, k={KEY.public_b64}")
    assert (answer.status_code, answer.json()["errno"]) == (401, 109)


async def test_a_fraction_in_exp_is_right_where_mozilla_does_not_matter() -> None:
    """RFC 7519 section 2 (NumericDate) allows it."""
    async with PushService(strict=True, strict_except=("exp_fractional",)) as lenient:
        own = Sender(lenient)
        async with own.client:
            subscriber = await subscribe(lenient, "fcm")
            url = subscriber.subscription.endpoint.url
            for ahead, answer in ((3600.5, "201"), (30.5, "exp_too_near"), (24 * 3600.5, "exp_too_far")):
                token = signed({"aud": origin_of(url), "exp": time.time() + ahead, "sub": CONTACT})
                assert await right(own, subscriber, token, ttl="60") == answer


async def test_mozilla_refuses_a_fraction_in_exp_without_being_strict() -> None:
    """autopush-rs reads exp as an unsigned integer; 3600.0 is none either."""
    async with PushService() as service:
        own = Sender(service)
        async with own.client:
            for vendor, statuses in (("mozilla", (401, 201)), ("fcm", (201, 201))):
                subscriber = await subscribe(service, vendor)
                url = subscriber.subscription.endpoint.url
                for exp, status in zip((int(time.time()) + 3600.0, int(time.time()) + 3600), statuses, strict=True):
                    token = signed({"aud": origin_of(url), "exp": exp, "sub": CONTACT})
                    answer = await own.send(subscriber.subscription, b"x", authorization=token)
                    assert answer.status_code == status, vendor


async def test_two_records_are_refused(service: PushService, sender: Sender) -> None:
    subscriber = await subscribe(service)
    body = bytearray(sealed(subscriber.subscription, b"x" * 100))
    body[16:20] = (100).to_bytes(4, "big")
    token = authorization(service.url, contact=CONTACT)
    answer = await sender.post(subscriber.subscription.endpoint.url, body=bytes(body), authorization=token)
    assert answer.headers["x-pushkeep-rule"] == "records_many"


async def test_a_token_is_kept_for_an_hour_per_key_and_origin() -> None:
    clock = [time.time()]
    async with PushService(strict=True, now=lambda: clock[0]) as service:
        sender = Sender(service)
        async with sender.client:
            here, there = await subscribe(service), await subscribe(service, "fcm")

            def token(subscriber: LocalSubscriber) -> str:
                origin = origin_of(subscriber.subscription.endpoint.url)
                return authorization(origin, contact=CONTACT, now=clock[0], expires_in=12 * 3600)

            first = token(here)
            assert await right(sender, here, first) == "201"
            assert await right(sender, there, token(there)) == "201"
            assert await right(sender, here, first) == "201"
            other = token(here)
            assert await right(sender, here, other) == "token_refreshed"
            for known in (first, other, first):  # as from two workers, each with its own
                assert await right(sender, here, known) == "201"
            clock[0] += 3600
            assert await right(sender, here, token(here)) == "201"


@pytest.mark.parametrize(
    ("payload", "rule"),
    [
        (b"  ", "payload_blank"),
        (b"{}", "payload_blank"),
        (b'{"web_push":8030,"notification":{"title":"x"}}', "payload_blank"),
        (b'{"web_push":8030,"notification":{"title":"","navigate":"https://a.example"}}', "payload_blank"),
        (b'{"web_push":8030,"notification":{"title":"x","navigate":"https://a.example"}}', "201"),
        (b'{"web_push":8030,"notification":{"title":"x","navigate":"/news"}}', "201"),
        (b'{"title":"x"}', "201"),
        (b"hello", "201"),
        (b"[" * 3000, "201"),
    ],
)
async def test_a_payload_that_shows_nothing_is_refused_for_apple(
    service: PushService, sender: Sender, payload: bytes, rule: str
) -> None:
    for vendor, expected in (("apple", rule), ("mozilla", "201")):
        subscriber = await subscribe(service, vendor)
        url = subscriber.subscription.endpoint.url
        token = authorization(origin_of(url), contact=CONTACT)
        answer = await sender.post(url, body=sealed(subscriber.subscription, payload), authorization=token)
        assert str(answer.headers.get("x-pushkeep-rule", answer.status_code)) == expected


async def test_what_only_the_vendor_knows_is_answered_by_the_vendor(service: PushService, sender: Sender) -> None:
    subscriber = await subscribe(service, "apple")
    token = authorization("https://web.push.apple.com", contact=CONTACT)
    garbled = token.replace("k=B", "k=C")
    url = subscriber.subscription.endpoint.url
    assert (await sender.post(url, authorization=garbled, body=b"x" * 200)).status_code == 400
    await subscriber.unsubscribe()
    answer = await sender.post(url, body=sealed(subscriber.subscription, b"x"), authorization=token)
    assert (answer.status_code, answer.json()) == (410, {"reason": "Unregistered"})


async def test_rules_can_be_left_out_by_name() -> None:
    async with PushService(strict=True, strict_except=("sub_placeholder", "token_refreshed")) as service:
        sender = Sender(service)
        async with sender.client:
            subscriber = await subscribe(service)
            for _ in range(3):
                assert (await sender.send(subscriber.subscription, b"x")).status_code == 201
    with pytest.raises(InvalidInput, match="strict_except goes with strict"):
        PushService(strict_except=("sub_placeholder",))
    with pytest.raises(InvalidInput, match="no_such_rule, which is no rule"):
        PushService(strict=True, strict_except=("no_such_rule",))


async def test_without_strictness_nothing_of_it_is_looked_at() -> None:
    async with PushService() as service:
        sender = Sender(service)
        async with sender.client:
            subscriber = await subscribe(service)
            for _ in range(2):
                answer: httpx.Response = await sender.send(subscriber.subscription, b"x", urgency=None, ttl="99999999")
                assert answer.status_code == 201


@pytest.mark.parametrize("vendor", sorted(PERSONALITIES))
async def test_our_own_sender_breaks_no_rule(service: PushService, vendor: str) -> None:
    subscriber = await subscribe(service, vendor)
    async with PushClient(key=KEY, contact=CONTACT, origin_map=service.origin_map_entries()) as client:
        for number, options in enumerate(({}, {"topic": "thirteen-char"}, {"urgency": "high"}, {"ttl": 40 * 86_400})):
            outcome = await client.send(subscriber.subscription, b"message %d" % number, **options)  # type: ignore[arg-type]
            assert outcome.verdict == "accepted", outcome
            assert (await subscriber.receive(5)).data == b"message %d" % number


async def test_another_library_is_told_what_to_do_better(service: PushService, tmp_path: Path) -> None:
    subscriber = await subscribe(service)
    with pytest.raises(WebPushException, match="strict: sub_placeholder: sub is the placeholder of an example"):
        await asyncio.to_thread(send_with_pywebpush, subscriber, service.ca_file, tmp_path)
