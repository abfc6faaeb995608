import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput
from pushkeep.protocol.encoding import b64_decode, b64url_encode


@given(st.binary(max_size=200))
def test_all_four_spellings_decode_to_the_same_octets(data: bytes) -> None:
    padded, url_safe = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    for text in (padded, padded.rstrip("="), url_safe, url_safe.rstrip("=")):
        assert b64_decode(text, field="x") == data


@given(st.binary(max_size=200))
def test_what_is_written_is_unpadded_url_safe(data: bytes) -> None:
    text = b64url_encode(data)
    assert not set(text) & set("+/=")
    assert b64_decode(text, field="x", length=len(data)) == data


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "string"),
        (7, "string"),
        ("ab c", "character"),
        ("abc\n", "character"),
        ("äbcd", "character"),
        ("A", "length or padding"),
        ("AAAAA", "length or padding"),
        ("AA=", "length or padding"),
        ("AAA==", "length or padding"),
        ("AAAA=", "length or padding"),
        ("A" * 12_000, "longer than 8192"),
    ],
)
def test_anything_else_is_refused_by_name(text: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        b64_decode(text, field="keys.auth")
    assert caught.value.field == "keys.auth"
    assert "keys.auth" in caught.value.message


def test_lengths_are_exact_or_bounded() -> None:
    with pytest.raises(InvalidInput, match="must be 16 octets, got 3"):
        b64_decode("AAAA", field="x", length=16)
    with pytest.raises(InvalidInput, match="longer than 2 octets"):
        b64_decode("AAAA", field="x", length_max=2)
    assert b64_decode("", field="x") == b""
