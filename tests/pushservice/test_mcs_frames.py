from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput
from pushkeep.pushservice.core import Client, Draft, Message, Subscription
from pushkeep.pushservice.fcm import mcs_frames, protobuf

from .helpers import KEY, app_data, raw_data


def frame_bytes(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + protobuf.encode_varint(len(content)) + content


def read_one(data: bytes) -> mcs_frames.Frame:
    reader = mcs_frames.FrameReader(10_000)
    reader.feed(data)
    frame = reader.next_frame()
    assert frame is not None
    return frame


def message(**changes: object) -> Message:
    fields: dict[str, object] = {
        "body": b"sealed",
        "ttl": 60,
        "urgency": "normal",
        "topic": None,
        "encoding": "aes128gcm",
    }
    made = Draft(**(fields | changes))  # type: ignore[arg-type]
    client = Client("1", "chromium", 0)
    mailbox = Subscription("id", "t", client, "fcm", "wp:x", KEY.public_bytes, "org.chromium.linux", 0)
    return Message("mid", mailbox, made, 1000.7, 1060.7)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=8), st.integers(1, 7), st.data())
def test_frames_are_found_however_the_octets_are_cut(
    frames: list[tuple[int, bytes]], size: int, data: st.DataObject
) -> None:
    contents = [(tag, protobuf.octets(1, content)) for tag, content in frames]
    stream = b"".join(frame_bytes(tag, content) for tag, content in contents)
    reader = mcs_frames.FrameReader(1000)
    found = []
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
        while (frame := reader.next_frame()) is not None:
            found.append((frame.tag, frame.fields))
    assert found == [(tag, protobuf.parse(content)) for tag, content in contents]


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_arbitrary_octets_end_in_frames_or_a_refusal(chunks: list[bytes]) -> None:
    reader = mcs_frames.FrameReader(100)
    with contextlib.suppress(InvalidInput):
        for chunk in chunks:
            reader.feed(chunk)
            while (frame := reader.next_frame()) is not None:
                assert isinstance(frame.last_stream_id_received, int)
                with contextlib.suppress(InvalidInput):
                    mcs_frames.read_login(frame)


def test_a_frame_over_the_limit_is_refused_before_its_content_came() -> None:
    reader = mcs_frames.FrameReader(100)
    reader.feed(b"\x02" + protobuf.encode_varint(101))
    with pytest.raises(InvalidInput, match="longer than 100"):
        reader.next_frame()


def test_only_a_login_request_logs_in() -> None:
    with pytest.raises(InvalidInput, match="LoginRequest"):
        mcs_frames.read_login(read_one(frame_bytes(0, b"")))


def test_a_push_has_what_chromium_looks_for() -> None:
    frame = read_one(mcs_frames.data_message(message(topic="news"), 7))
    assert frame.tag == mcs_frames.Tag.DATA_MESSAGE
    assert protobuf.last_text(frame.fields, 3) == KEY.public_b64
    assert protobuf.last_text(frame.fields, 5) == "org.chromium.linux"
    assert protobuf.last_text(frame.fields, 6) == "news"
    assert protobuf.last_text(frame.fields, 9) == "mid"
    assert protobuf.last_integer(frame.fields, 17) == 60
    assert protobuf.last_integer(frame.fields, 18) == 1000
    assert protobuf.last_integer(frame.fields, 24) == 1  # immediate ack
    assert app_data(frame) == {"subtype": "wp:x", "content-encoding": "aes128gcm"}
    assert raw_data(frame) == b"sealed"
    assert frame.last_stream_id_received == 7


def test_a_push_of_the_old_encoding_carries_its_headers() -> None:
    old = message(encoding="aesgcm", encryption="salt=s", crypto_key="dh=d")
    assert app_data(read_one(mcs_frames.data_message(old, 1))) == {
        "subtype": "wp:x",
        "content-encoding": "aesgcm",
        "encryption": "salt=s",
        "crypto-key": "dh=d",
    }


def test_a_push_without_payload_has_neither_data_nor_encoding() -> None:
    frame = read_one(mcs_frames.data_message(message(body=b"", encoding=None), 1))
    assert app_data(frame) == {"subtype": "wp:x"}
    assert raw_data(frame) is None


def test_the_login_response_confirms_the_login() -> None:
    frame = read_one(mcs_frames.login_response("chrome-1", now=5.5))
    assert protobuf.last_text(frame.fields, 1) == "chrome-1"
    assert protobuf.last_integer(frame.fields, 6) == 1
    assert protobuf.last_integer(frame.fields, 8) == 5500
    assert all(number != 3 for number, _ in frame.fields)  # no error


@pytest.mark.parametrize("build", [mcs_frames.heartbeat_ack, mcs_frames.stream_ack])
def test_every_stanza_says_what_was_received(build: object) -> None:
    assert callable(build)
    assert read_one(build(12)).last_stream_id_received == 12
