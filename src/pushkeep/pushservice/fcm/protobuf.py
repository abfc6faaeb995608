"""The protobuf wire format, as much of it as Chromium's push client needs; pure.

Written by hand because four small messages do not justify a compiler and a run-time dependency. Source:
protobuf's "Encoding" page. A message is a list of (field number, value): varints and fixed-width values as
non-negative integers, everything else as octets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from pushkeep.errors import InvalidInput

Value: TypeAlias = int | bytes
Fields: TypeAlias = list[tuple[int, Value]]

VARINT_BYTES_MAX = 10
"""A 64-bit value in groups of seven bits."""

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIELD_NUMBER_MAX = 2**29 - 1
_FIELDS_MAX = 10_000  # a LoginRequest repeats one field per unacknowledged message; a few hundred are a lot


def encode_varint(number: int) -> bytes:
    """A non-negative integer below 2**64, or a negative one from -2**63 as its two's complement."""
    if not -(2**63) <= number < 2**64:
        raise InvalidInput(f"A varint holds 64 bits, {number} does not fit.", field="varint")
    rest = number % 2**64
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def decode_varint(data: bytes, start: int = 0) -> tuple[int, int] | None:
    """The integer at ``start`` and the position after it; None if the data ends inside it.

    Raises:
        InvalidInput: more than ten octets, or more than 64 bits.
    """
    number = 0
    for index in range(VARINT_BYTES_MAX):
        if start + index >= len(data):
            return None
        octet = data[start + index]
        number |= (octet & 0x7F) << (7 * index)
        if octet < 0x80:
            if number >= 2**64:
                break
            return number, start + index + 1
    raise InvalidInput("A varint has more than 64 bits.", field="varint")


def integer(number: int, value: int) -> bytes:
    """A varint field: int32, int64, bool, enum."""
    return encode_varint(number << 3 | _VARINT) + encode_varint(value)


def fixed64(number: int, value: int) -> bytes:
    """A fixed64 field, little-endian."""
    return encode_varint(number << 3 | _FIXED64) + value.to_bytes(8, "little")


def octets(number: int, value: bytes | str) -> bytes:
    """A bytes, string or message field."""
    data = value.encode() if isinstance(value, str) else value
    return encode_varint(number << 3 | _LENGTH) + encode_varint(len(data)) + data


def parse(data: bytes) -> Fields:
    """Read a message; repeated fields stay repeated, unknown ones are included.

    Raises:
        InvalidInput: the octets are not a protobuf message, or have more than 10,000 fields.
    """
    fields: Fields = []
    position = 0
    while position < len(data):
        if len(fields) >= _FIELDS_MAX:
            raise InvalidInput(f"The message has more than {_FIELDS_MAX} fields.", field="protobuf")
        key, position = _varint(data, position)
        number, kind = key >> 3, key & 7
        if not 0 < number <= _FIELD_NUMBER_MAX:
            raise InvalidInput("The message has an impossible field number.", field="protobuf")
        value, position = _value(data, position, kind)
        fields.append((number, value))
    return fields


def _varint(data: bytes, position: int) -> tuple[int, int]:
    found = decode_varint(data, position)
    if found is None:
        raise InvalidInput("The message ends inside a varint.", field="protobuf")
    return found


def _value(data: bytes, position: int, kind: int) -> tuple[Value, int]:
    if kind == _VARINT:
        return _varint(data, position)
    if kind == _LENGTH:
        length, position = _varint(data, position)
    elif kind in (_FIXED64, _FIXED32):
        length = 8 if kind == _FIXED64 else 4
    else:
        raise InvalidInput("The message uses groups or an unknown wire type.", field="protobuf")
    end = position + length
    if end > len(data):
        raise InvalidInput("The message ends inside a field.", field="protobuf")
    chunk = data[position:end]
    return (chunk if kind == _LENGTH else int.from_bytes(chunk, "little")), end


def last_text(fields: Iterable[tuple[int, Value]], number: int) -> str:
    """The last value of a string field (protobuf's rule for a field given twice); empty if absent."""
    text = ""
    for found, value in fields:
        if found == number and isinstance(value, bytes):
            text = value.decode("utf-8", errors="replace")
    return text


def last_integer(fields: Iterable[tuple[int, Value]], number: int) -> int | None:
    """The last value of an integer field, or None."""
    found: int | None = None
    for key, value in fields:
        if key == number and isinstance(value, int):
            found = value
    return found


def all_text(fields: Iterable[tuple[int, Value]], number: int) -> list[str]:
    """Every value of a repeated string field."""
    return [
        value.decode("utf-8", errors="replace")
        for found, value in fields
        if found == number and isinstance(value, bytes)
    ]
