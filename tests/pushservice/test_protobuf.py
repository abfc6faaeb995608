from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput
from pushkeep.pushservice.fcm import protobuf

numbers = st.integers(1, 2**29 - 1)


@given(st.integers(0, 2**64 - 1))
def test_varints_round_trip(number: int) -> None:
    data = protobuf.encode_varint(number)
    assert len(data) <= protobuf.VARINT_BYTES_MAX
    assert protobuf.decode_varint(b"x" + data + b"y", 1) == (number, 1 + len(data))


def test_known_varint() -> None:
    assert protobuf.encode_varint(300) == b"\xac\x02"  # the example of protobuf's "Encoding" page
    assert protobuf.encode_varint(-1) == b"\xff" * 9 + b"\x01"


@given(st.binary(max_size=9))
def test_an_unfinished_varint_is_none_and_never_an_error(data: bytes) -> None:
    unfinished = bytes(octet | 0x80 for octet in data)
    assert protobuf.decode_varint(unfinished) is None


@pytest.mark.parametrize("data", [b"\xff" * 10, b"\xff" * 9 + b"\x02", b"\x80" * 10 + b"\x01"])
def test_more_than_64_bits_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="64 bits"):
        protobuf.decode_varint(data)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1])
def test_what_does_not_fit_is_not_written(number: int) -> None:
    with pytest.raises(InvalidInput, match="64 bits"):
        protobuf.encode_varint(number)


@given(st.lists(st.tuples(numbers, st.one_of(st.integers(0, 2**64 - 1), st.binary(max_size=50))), max_size=20))
def test_messages_round_trip(fields: list[tuple[int, int | bytes]]) -> None:
    data = b"".join(
        protobuf.integer(number, value) if isinstance(value, int) else protobuf.octets(number, value)
        for number, value in fields
    )
    assert protobuf.parse(data) == fields


@given(numbers, st.integers(0, 2**64 - 1))
def test_fixed64_round_trips(number: int, value: int) -> None:
    assert protobuf.parse(protobuf.fixed64(number, value)) == [(number, value)]


@given(st.binary(max_size=300))
def test_arbitrary_octets_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        protobuf.parse(data)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x0b", "groups"),  # start group
        (b"\x0f", "groups"),  # wire type 7
        (b"\x00\x01", "field number"),
        (b"\x0a\x05abc", "inside a field"),
        (b"\x09abc", "inside a field"),
        (b"\x0d\x01", "inside a field"),
        (b"\x08", "inside a varint"),
        (b"\x08\x01" * 10_001, "more than 10000 fields"),
    ],
)
def test_broken_messages_say_what_is_wrong(data: bytes, what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        protobuf.parse(data)


def test_reading_by_number_takes_the_last_and_ignores_other_types() -> None:
    fields = protobuf.parse(
        protobuf.octets(1, "a") + protobuf.octets(1, "b") + protobuf.integer(1, 7) + protobuf.integer(2, 8)
    )
    assert protobuf.last_text(fields, 1) == "b"
    assert protobuf.all_text(fields, 1) == ["a", "b"]
    assert protobuf.last_integer(fields, 1) == 7
    assert protobuf.last_text(fields, 2) == ""
    assert protobuf.last_integer(fields, 3) is None
