"""Traps 6 to 12: encryption, keys and padding."""

from __future__ import annotations

import base64

import pytest

from pushkeep import (
    InvalidInput,
    PayloadTooLarge,
    PushClient,
    SigningKey,
    Subscription,
    no_padding,
    pad_to_buckets,
    pad_to_multiple,
)
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.vapid import authorization_header, sign, verify
from tests.transport.servers import Server

from .conftest import CONTACT, FCM, MOZILLA, ORIGINS, UA, header, led_to

WHOM = UA.to_dict(f"{MOZILLA}/x")


@pytest.fixture
async def sender(wire: Server, key: SigningKey) -> PushClient:
    return PushClient(key=key, contact=CONTACT, origin_map=led_to(wire))


async def test_trap_06_no_nonce_is_ever_used_twice(wire: Server, sender: PushClient) -> None:
    """A nonce follows from salt and key pair: both are new for every message, and every message is one record."""
    for size in (1, 1000, 3993) * 10:
        await sender.send(WHOM, b"x" * size)
    bodies = [seen.body for seen in wire.requests]
    assert len({body[:16] for body in bodies}) == len({body[21:86] for body in bodies}) == 30
    for body in bodies:
        assert len(body) - 86 <= int.from_bytes(body[16:20], "big")
    await sender.aclose()


@pytest.mark.parametrize(("encoding", "size", "body_size"), [("aes128gcm", 3993, 4096), ("aesgcm", 4077, 4095)])
async def test_trap_07_what_does_not_fit_into_one_record_is_an_error_that_says_by_how_much(
    wire: Server, sender: PushClient, encoding: str, size: int, body_size: int
) -> None:
    whom = WHOM | {"encodings": [encoding]}
    await sender.send(whom, b"x" * size)
    assert len(wire.requests[-1].body) == body_size
    with pytest.raises(PayloadTooLarge) as caught:
        await sender.send(whom, b"x" * (size + 7))
    assert caught.value.excess_bytes == 7
    assert len(wire.requests) == 1
    await sender.aclose()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("p256dh", b"\x02" + UA.public[1:]),  # 65 octets without the prefix of an uncompressed point
        ("p256dh", UA.public[:-1] + bytes([UA.public[-1] ^ 1])),  # off the curve
        ("p256dh", UA.public[:33]),
        ("p256dh", bytes(65)),
        ("auth", b"abc"),
        ("auth", b"a" * 17),
        ("auth", b""),
    ],
)
def test_trap_08_a_browsers_keys_are_checked_when_it_subscribes(name: str, value: bytes) -> None:
    damaged = UA.to_dict()
    keys = damaged["keys"]
    assert isinstance(keys, dict)
    with pytest.raises(InvalidInput) as caught:
        Subscription.from_dict(damaged | {"keys": keys | {name: b64url_encode(value)}})
    assert caught.value.field == f"keys.{name}"


@pytest.mark.parametrize("zeros", [1, 2])
def test_trap_09_short_numbers_are_padded_with_zero_octets(zeros: int) -> None:
    scalar = bytes(zeros) + b"\x7f" * (32 - zeros)
    short, full = b64url_encode(scalar[zeros:]), b64url_encode(scalar)
    key = SigningKey.read(full)
    assert key.to_raw() == full
    assert SigningKey.read(short, public=key.public_b64).public_bytes == key.public_bytes
    assert SigningKey.read(key.to_pem()).to_raw() == full
    assert SigningKey.read(key.to_jwk()).public_bytes == key.public_bytes


def test_trap_09_so_are_those_of_a_signature(key: SigningKey) -> None:
    """One signature in 128 has a short number in it."""
    for second in range(600):
        token = sign(key, audience=FCM, contact=None, expires_at=1000 + second)
        assert verify(authorization_header(token, key), audience=FCM, now=999).public_bytes == key.public_bytes


@pytest.mark.parametrize("url_safe", [True, False])
@pytest.mark.parametrize("padded", [True, False])
def test_trap_10_all_four_spellings_of_base64_are_read_and_one_is_written(url_safe: bool, padded: bool) -> None:
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    spelt = {name: encode(value).decode() for name, value in {"p256dh": UA.public, "auth": UA.auth}.items()}
    keys = {name: text if padded else text.rstrip("=") for name, text in spelt.items()}
    found = Subscription.from_dict(UA.to_dict() | {"keys": keys})
    assert (found.p256dh, found.auth) == (UA.public, UA.auth)
    assert found.to_dict()["keys"] == UA.to_dict()["keys"]
    assert not set("+/=") & set(found.to_dict()["keys"]["p256dh"])  # type: ignore[index]


@pytest.mark.parametrize("damage", ["=", "===", "!", " ", "\n", "A=A", "\u212a"])
def test_trap_10_but_what_is_not_base64_is_refused(damage: str) -> None:
    damaged = UA.to_dict()
    keys = damaged["keys"]
    assert isinstance(keys, dict)
    with pytest.raises(InvalidInput, match=r"keys\.auth"):
        Subscription.from_dict(damaged | {"keys": keys | {"auth": keys["auth"] + damage}})


@pytest.mark.parametrize(
    ("listed", "written"),
    [
        ({}, "aes128gcm"),
        ({"supportedContentEncodings": ["aesgcm", "aes128gcm"]}, "aes128gcm"),
        ({"encodings": ["aes128gcm", "future"]}, "aes128gcm"),
        ({"contentEncoding": "aesgcm"}, "aesgcm"),
        ({"supportedContentEncodings": ["aesgcm"]}, "aesgcm"),
    ],
)
async def test_trap_11_the_legacy_encoding_is_written_only_where_nothing_better_is_read(
    wire: Server, sender: PushClient, listed: dict[str, object], written: str
) -> None:
    await sender.send(WHOM | listed, "x")
    assert header(wire.requests[-1], "content-encoding") == written
    await sender.aclose()


async def test_trap_11_and_none_is_guessed(wire: Server, sender: PushClient) -> None:
    with pytest.raises(InvalidInput):
        await sender.send(WHOM | {"encodings": ["aesgcm128"]}, "x")
    assert wire.requests == []
    await sender.aclose()


ANDROID_FIREFOX_BYTES = 2912
"""Plaintext with padding that its bridge takes."""


def test_trap_12_padding_is_a_policy_and_never_makes_a_message_undeliverable() -> None:
    for policy in (no_padding, pad_to_multiple(1000), pad_to_multiple(4096), pad_to_buckets(), pad_to_buckets(3993)):
        for length in range(1, 3994):
            padded = length + policy(length, 3993 - length)
            assert length <= padded <= 3993
            assert length > ANDROID_FIREFOX_BYTES or padded <= ANDROID_FIREFOX_BYTES
    assert len({length + pad_to_buckets()(length, 3993 - length) for length in range(1, 3994)}) < 10


async def test_trap_12_no_padding_is_forced_and_buckets_hide_the_length(wire: Server, key: SigningKey) -> None:
    for padding, sizes in ((no_padding, [104, 603]), (pad_to_buckets(), [359, 615])):
        async with PushClient(key=key, contact=CONTACT, origin_map=led_to(wire, *ORIGINS), padding=padding) as client:
            for payload in (b"x", b"x" * 500):
                await client.send(WHOM, payload)
        assert [len(seen.body) for seen in wire.requests[-2:]] == sizes
