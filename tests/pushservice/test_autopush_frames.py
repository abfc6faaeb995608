from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput
from pushkeep.pushservice import autopush_frames as frames
from pushkeep.pushservice.core import Client, Draft, Message, Subscription

from .helpers import KEY

CHANNEL = "0e3b2f5e-1111-4a4a-8b8b-0123456789ab"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
kinds = st.sampled_from(
    ["hello", "register", "unregister", "ack", "nack", "ping", "broadcast_subscribe", "notification", ""]
)
names = st.sampled_from(["channelID", "version", "updates", "code", "key", "uaid", "use_webpush"])


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        frames.parse(text)


@given(kinds, st.dictionaries(names, json_values, max_size=5))
def test_any_json_under_the_right_names_is_read_or_refused(kind: str, fields: dict[str, object]) -> None:
    with contextlib.suppress(InvalidInput):
        frames.parse(json.dumps({"messageType": kind, **fields}))


def test_nesting_and_long_numbers_are_refused() -> None:
    for text in ("[" * 100_000, '{"messageType":"ping","x":' + "9" * 5000 + "}"):
        with pytest.raises(InvalidInput, match="not JSON"):
            frames.parse(text)


def test_hello_keeps_only_an_id_of_our_form() -> None:
    assert frames.parse('{"messageType":"hello","use_webpush":true,"broadcasts":{}}') == frames.Hello(None)
    assert frames.parse(json.dumps({"messageType": "hello", "uaid": "ab" * 16})) == frames.Hello("ab" * 16)
    assert frames.parse(json.dumps({"messageType": "hello", "uaid": "AB" * 16})) == frames.Hello(None)


def test_register_takes_a_padded_key() -> None:
    text = json.dumps({"messageType": "register", "channelID": CHANNEL, "key": KEY.public_b64 + "="})
    assert frames.parse(text) == frames.Register(CHANNEL, KEY.public_bytes)


@pytest.mark.parametrize("key", ["AAAA", "!", 7, "BA" + "A" * 85])
def test_a_bad_key_fails_the_registration_and_not_the_connection(key: object) -> None:
    frame = frames.parse(json.dumps({"messageType": "register", "channelID": CHANNEL, "key": key}))
    assert isinstance(frame, frames.Register)
    assert frame.problem is not None


@pytest.mark.parametrize("channel", [None, 5, "x", CHANNEL.upper(), CHANNEL.replace("-", "")])
def test_a_channel_is_a_uuid_in_lower_case(channel: object) -> None:
    with pytest.raises(InvalidInput, match="channelID"):
        frames.parse(json.dumps({"messageType": "register", "channelID": channel}))


def test_acks_with_their_codes() -> None:
    update = {"channelID": CHANNEL, "version": "v", "code": 101}
    text = json.dumps({"messageType": "ack", "updates": [update, {**update, "code": "100"}]})
    assert frames.parse(text) == frames.AckFrame(((CHANNEL, "v", 101), (CHANNEL, "v", None)))


@pytest.mark.parametrize("updates", [None, {}, [1], [{}], [{"channelID": CHANNEL, "version": ""}], [0] * 1001])
def test_broken_acks_are_refused(updates: object) -> None:
    with pytest.raises(InvalidInput):
        frames.parse(json.dumps({"messageType": "ack", "updates": updates}))


def test_ping_in_both_spellings() -> None:
    assert frames.parse("{}") == frames.parse('{"messageType":"ping"}') == frames.PingFrame()


def notification(**changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "body": b"\xff\xfe",
        "ttl": 1,
        "urgency": "normal",
        "topic": None,
        "encoding": None,
    }
    made = Draft(**(fields | changes))  # type: ignore[arg-type]
    mailbox = Subscription("id", "t", Client("u", "firefox", 0), "mozilla", CHANNEL, None, "", 0)
    result: dict[str, object] = json.loads(frames.notification(Message("mid", mailbox, made, 0, 1)))
    return result


def test_a_notification_with_payload_has_data_and_encoding() -> None:
    frame = notification(encoding="aes128gcm")
    assert (frame["channelID"], frame["version"], frame["data"]) == (CHANNEL, "mid", "__4")
    assert frame["headers"] == {"encoding": "aes128gcm"}


def test_a_notification_of_the_old_encoding_has_its_headers() -> None:
    frame = notification(encoding="aesgcm", encryption="salt=s", crypto_key="dh=d")
    assert frame["headers"] == {"encoding": "aesgcm", "encryption": "salt=s", "crypto_key": "dh=d"}


def test_a_notification_without_payload_has_neither() -> None:
    assert {"data", "headers"}.isdisjoint(notification(body=b""))
