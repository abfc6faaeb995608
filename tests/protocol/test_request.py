import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput, PayloadTooLarge
from pushkeep.protocol.aesgcm import open_legacy
from pushkeep.protocol.ece import open_sealed
from pushkeep.protocol.encoding import b64_decode, b64url_encode
from pushkeep.protocol.padding import pad_to_multiple
from pushkeep.protocol.request import (
    TTL_SECONDS_MAX,
    PushOptions,
    PushRequest,
    RequestProblem,
    Urgency,
    build_request,
    derive_topic,
    parse_request,
    topic_for,
)
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.vendors import VENDORS
from tests.protocol import vectors as v

SUBSCRIPTION = Subscription.from_dict(
    {
        "endpoint": "https://push.example.net/secret",
        "keys": {"p256dh": b64url_encode(v.UA_PUBLIC), "auth": b64url_encode(v.AUTH)},
    }
)
SHORT = PushOptions(60)
SEALED = ("Content-Encoding", "aes128gcm")


def build(payload: bytes | None, options: PushOptions = SHORT, **more: object) -> PushRequest:
    values: dict[str, object] = {"authorization": None, "as_private": v.AS_PRIVATE, "salt": v.SALT} | more
    return build_request(SUBSCRIPTION, payload, options=options, **values)  # type: ignore[arg-type]


def test_a_request_carries_what_rfc_8030_and_8292_ask() -> None:
    request = build(v.PLAINTEXT, PushOptions.of(ttl=60, urgency="high", topic="inbox1"), authorization="vapid t=a, k=b")
    assert dict(request.headers) == {
        "TTL": "60",
        "Urgency": "high",
        "Topic": "inbox1",
        "Authorization": "vapid t=a, k=b",
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
    }
    assert request.body == v.BODY
    assert "secret" not in repr(request)


@pytest.mark.parametrize("payload", [None, b""])
def test_no_payload_means_no_body_and_no_encoding(payload: bytes | None) -> None:
    request = build(payload, as_private=None)
    assert request.body == b""
    assert dict(request.headers) == {"TTL": "60"}
    assert parse_request(request.headers, request.body).encoding is None


def test_padding_is_the_policys_and_never_too_much() -> None:
    assert len(build(b"x", padding=pad_to_multiple(256)).body) == 256 + 103
    assert len(build(b"x" * 3990, padding=pad_to_multiple(256)).body) == 4096
    assert len(build(b"x" * 3993, padding=pad_to_multiple(256)).body) == 4096
    with pytest.raises(PayloadTooLarge):
        build(b"x" * 3994, padding=pad_to_multiple(256))


def test_a_payload_needs_a_key() -> None:
    with pytest.raises(InvalidInput, match="as_private"):
        build(b"x", as_private=None)


def headers_of(vendor: str, options: PushOptions, payload: bytes | None = None) -> dict[str, str]:
    return dict(build(payload, options, vendor=VENDORS[vendor]).headers)


def listing(*encodings: str) -> Subscription:
    return Subscription(SUBSCRIPTION.endpoint, v.UA_PUBLIC, v.AUTH, None, encodings)


def build_for(encodings: tuple[str, ...], payload: bytes | None, **more: object) -> PushRequest:
    values: dict[str, object] = {"authorization": None, "as_private": v.AS_PRIVATE, "salt": v.SALT} | more
    return build_request(listing(*encodings), payload, options=SHORT, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("listed", "chosen"),
    [
        ((), "aes128gcm"),
        (("aes128gcm",), "aes128gcm"),
        (("aesgcm", "aes128gcm"), "aes128gcm"),
        (("aesgcm",), "aesgcm"),
        (("aesgcm128", "aesgcm"), "aesgcm"),
        (("future", "aes128gcm"), "aes128gcm"),
    ],
)
def test_the_encoding_is_the_best_that_the_browser_lists(listed: tuple[str, ...], chosen: str) -> None:
    assert dict(build_for(listed, b"x").headers)["Content-Encoding"] == chosen


def test_a_browser_that_lists_no_known_encoding_gets_no_payload() -> None:
    with pytest.raises(InvalidInput, match="aes128gcm and aesgcm") as caught:
        build_for(("aesgcm128",), b"x")
    assert caught.value.field == "encodings"
    assert build_for(("aesgcm128",), None, authorization=v.VAPID_HEADER).headers[-1] == (
        "Authorization",
        v.VAPID_HEADER,
    )


def test_the_legacy_encoding_comes_with_the_headers_of_its_time() -> None:
    request = build_for(("aesgcm",), v.PLAINTEXT, authorization=v.VAPID_HEADER, padding=pad_to_multiple(64))
    token, _, key = v.VAPID_HEADER.removeprefix("vapid t=").partition(", k=")
    assert dict(request.headers) == {
        "TTL": "60",
        "Authorization": f"WebPush {token}",
        "Content-Encoding": "aesgcm",
        "Encryption": f"salt={b64url_encode(v.SALT)}",
        "Crypto-Key": f"dh={b64url_encode(v.AS_PUBLIC)};p256ecdsa={key}",
        "Content-Type": "application/octet-stream",
    }
    received = parse_request(request.headers, request.body)
    assert received.encryption is not None
    assert received.crypto_key is not None
    opened = open_legacy(
        received.body,
        encryption=received.encryption,
        crypto_key=received.crypto_key,
        ua_private=v.UA_PRIVATE,
        auth=v.AUTH,
    )
    assert opened == v.PLAINTEXT
    assert len(request.body) == 64 + 18


def test_the_legacy_encoding_needs_no_token_either() -> None:
    request = build_for(("aesgcm",), b"x")
    assert dict(request.headers)["Crypto-Key"] == f"dh={b64url_encode(v.AS_PUBLIC)}"
    assert "Authorization" not in dict(request.headers)
    with pytest.raises(PayloadTooLarge, match="holds 4077"):
        build_for(("aesgcm",), b"x" * 4078)


@pytest.mark.parametrize(("ttl", "policy"), [(0, "no-cache"), (1, "cache"), (60, "cache")])
def test_microsoft_gets_the_cache_policy_that_agrees_with_the_ttl(ttl: int, policy: str) -> None:
    for payload in (None, b"x"):
        assert headers_of("wns", PushOptions(ttl), payload)["X-WNS-Cache-Policy"] == policy
        assert "X-WNS-Cache-Policy" not in headers_of("fcm", PushOptions(ttl), payload)


@pytest.mark.parametrize(
    ("vendor", "ttl", "sent"),
    [
        ("fcm", TTL_SECONDS_MAX, 28 * 86_400),
        ("mozilla", TTL_SECONDS_MAX, 30 * 86_400),
        ("apple", TTL_SECONDS_MAX, 30 * 86_400),
        ("wns", TTL_SECONDS_MAX, TTL_SECONDS_MAX),
        ("unknown", TTL_SECONDS_MAX, TTL_SECONDS_MAX),
        ("apple", 0, 1),
        ("fcm", 0, 0),
    ],
)
def test_a_ttl_is_brought_into_what_the_service_takes(vendor: str, ttl: int, sent: int) -> None:
    request = build(None, PushOptions(ttl), vendor=VENDORS[vendor])
    assert dict(request.headers)["TTL"] == str(sent)
    assert [sentence for sentence in request.warnings if "ttl was cut" in sentence] == list(request.warnings)
    assert bool(request.warnings) == (sent < ttl)


def test_the_default_ttl_is_cut_by_nobody() -> None:
    for vendor in VENDORS.values():
        assert build(None, PushOptions(), vendor=vendor).warnings == ()


def test_what_firefox_on_android_will_not_get_is_warned_of() -> None:
    mozilla = VENDORS["mozilla"]
    assert build(b"x" * 2912, vendor=mozilla).warnings == ()
    assert build(b"x" * 2913, vendor=VENDORS["fcm"]).warnings == ()
    (warning,) = build(b"x" * 2800, vendor=mozilla, padding=lambda length, room: 200).warnings
    assert "3000 octets" in warning
    assert "2912" in warning
    both = build(b"x" * 2913, PushOptions(TTL_SECONDS_MAX), vendor=mozilla).warnings
    assert len(both) == 2


@given(st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True), st.sampled_from(sorted(VENDORS)))
def test_every_topic_is_sent_as_its_service_takes_it(topic: str, vendor: str) -> None:
    row = VENDORS[vendor]
    sent = topic_for(row, topic)
    assert PushOptions.of(topic=sent).topic == sent
    if row.topic_must_decode:
        b64_decode(sent, field="topic")
    if len(topic) % 4 != 1 or not row.topic_must_decode:
        assert sent == topic


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_name_makes_a_topic(one: str, other: str) -> None:
    assert len(derive_topic(one)) == 32
    assert topic_for(VENDORS["apple"], derive_topic(one)) == PushOptions.of(topic=derive_topic(one)).topic
    assert (derive_topic(one) == derive_topic(other)) == (one == other)


def test_half_a_surrogate_pair_makes_a_topic_too() -> None:
    assert len(derive_topic("\ud83d")) == 32
    assert derive_topic("\ud83d") != derive_topic("?")


def test_apple_never_sees_a_topic_whose_length_it_refuses() -> None:
    def topic(text: str, vendor: str) -> str:
        return dict(build(None, PushOptions.of(ttl=1, topic=text), vendor=VENDORS[vendor]).headers)["Topic"]

    for text in ("inbox", "mail-batch-10", "x"):
        sent = topic(text, "apple")
        assert len(sent) % 4 != 1
        assert sent == topic(text, "apple")
        assert topic(text, "mozilla") == text
    assert topic("inbox", "apple") != topic("inbo2", "apple")
    assert topic("inbox1", "apple") == "inbox1"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"ttl": -1}, "ttl"),
        ({"ttl": TTL_SECONDS_MAX + 1}, "ttl"),
        ({"ttl": 1.5}, "ttl"),
        ({"ttl": True}, "ttl"),
        ({"urgency": "urgent"}, "urgency"),
        ({"urgency": ["high"]}, "urgency"),
        ({"topic": ""}, "topic"),
        ({"topic": "a b"}, "topic"),
        ({"topic": "x" * 33}, "topic"),
        ({"topic": 7}, "topic"),
        ({"topic": "abc="}, "topic"),
        ({"topic": "abc\n"}, "topic"),
    ],
)
def test_options_are_checked_before_anything_is_sent(values: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        PushOptions.of(**values)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_the_default_keeps_a_message_for_offline_browsers() -> None:
    assert PushOptions.of().ttl == 28 * 86_400


@given(
    st.binary(max_size=500),
    st.integers(0, TTL_SECONDS_MAX),
    st.sampled_from([None, *Urgency]),
    st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True),
)
def test_building_then_parsing_gives_everything_back(
    payload: bytes, ttl: int, urgency: str | None, topic: str | None
) -> None:
    request = build(payload, PushOptions.of(ttl=ttl, urgency=urgency, topic=topic), authorization="vapid x")
    received = parse_request(request.headers, request.body)
    assert (received.ttl, received.urgency, received.topic) == (ttl, urgency or "normal", topic)
    assert received.authorization == "vapid x"
    if payload:
        assert open_sealed(received.body, ua_private=v.UA_PRIVATE, auth=v.AUTH) == payload


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ([], "missing_ttl"),
        ([("TTL", "")], "bad_ttl"),
        ([("TTL", "soon")], "bad_ttl"),
        ([("TTL", "1.5")], "bad_ttl"),
        ([("TTL", "٣")], "bad_ttl"),
        ([("TTL", "1"), ("TTL", "2")], "bad_ttl"),
        ([("TTL", "-1")], "negative_ttl"),
        ([("TTL", "1"), ("Urgency", "now")], "bad_urgency"),
        ([("TTL", "1"), ("Urgency", "low"), ("Urgency", "high")], "bad_urgency"),
        ([("TTL", "1"), ("Topic", "x" * 33)], "bad_topic"),
        ([("TTL", "1"), ("Topic", "a"), ("Topic", "b")], "bad_topic"),
        ([("TTL", "1"), ("Topic", "a=")], "bad_topic"),
        ([("TTL", "1")], "bad_encoding"),
        ([("TTL", "1"), ("Content-Encoding", "gzip")], "bad_encoding"),
        ([("TTL", "1"), SEALED, SEALED], "bad_encoding"),
        ([("TTL", "1"), SEALED, ("Encryption", "salt=x")], "legacy_headers"),
        ([("TTL", "1"), SEALED, ("Crypto-Key", "dh=x")], "legacy_headers"),
        ([("TTL", "1"), SEALED, ("Crypto-Key", "p256ecdsa=x"), ("Crypto-Key", "DH = x")], "legacy_headers"),
        ([("TTL", "1"), SEALED, ("Crypto-Key", "p256ecdsa=xdh="), ("Crypto-Key", "width=x")], "body_too_short"),
        ([("TTL", "1"), SEALED], "body_too_short"),
    ],
)
def test_the_first_broken_rule_is_named(headers: list[tuple[str, str]], problem: str) -> None:
    with pytest.raises(RequestProblem) as caught:
        parse_request(headers, b"x" * 102)
    assert caught.value.problem == problem


def test_an_overlong_ttl_is_taken_as_the_largest() -> None:
    assert parse_request([("ttl", "9" * 40)], b"").ttl == TTL_SECONDS_MAX
    assert parse_request([("ttl", "4294967296")], b"").ttl == TTL_SECONDS_MAX


def test_legacy_headers_are_kept_for_the_receiver() -> None:
    received = parse_request(
        [("TTL", "5"), ("Content-Encoding", "aesgcm"), ("Encryption", "salt=a"), ("Crypto-Key", "dh=b")], b"x"
    )
    assert (received.encoding, received.encryption, received.crypto_key) == ("aesgcm", "salt=a", "dh=b")
