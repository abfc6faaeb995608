from __future__ import annotations

import hashlib
import random
import string
from urllib.parse import quote, unquote, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.pushservice.tokens import Tokens

TOKENS = Tokens(b"s" * 32, random.Random(1).randbytes)
KEY = b"\x04" + b"k" * 64
VENDORS = ["mozilla", "fcm", "apple", "wns", "unifiedpush"]


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("key", [None, KEY])
def test_a_token_says_whose_it_is_and_which_key_it_is_bound_to(vendor: str, key: bytes | None) -> None:
    claims = TOKENS.open_endpoint_token(vendor, TOKENS.endpoint_token(vendor, key))
    assert claims is not None
    assert claims.vendor == vendor
    assert claims.key_hash == (hashlib.sha256(key).digest() if key else None)


def test_a_token_is_for_one_vendor_and_one_secret() -> None:
    token = TOKENS.endpoint_token("mozilla", KEY)
    assert TOKENS.open_endpoint_token("fcm", token) is None
    assert Tokens(b"t" * 32, random.Random(1).randbytes).open_endpoint_token("mozilla", token) is None


@pytest.mark.parametrize("vendor", VENDORS)
@given(data=st.data())
def test_one_changed_character_makes_a_token_unknown(vendor: str, data: st.DataObject) -> None:
    token = Tokens(b"s" * 32, random.Random(1).randbytes).endpoint_token(vendor, KEY)  # the same for every example
    position = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda character: character != token[position]))
    assert TOKENS.open_endpoint_token(vendor, token[:position] + other + token[position + 1 :]) is None


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("key", [None, KEY])
def test_the_same_octets_in_another_spelling_are_no_token(vendor: str, key: bytes | None) -> None:
    """Unused bits of the last character, padding, the other alphabet."""
    token = TOKENS.endpoint_token(vendor, key)
    others = {token[:-1] + last for last in string.ascii_letters + string.digits} | {token + "=", token + "=="}
    for spelling in (others | {token.translate(str.maketrans("-_", "+/"))}) - {token}:
        assert TOKENS.open_endpoint_token(vendor, spelling) is None


def test_a_wns_token_is_recognised_in_its_own_spelling_only() -> None:
    token = TOKENS.endpoint_token("wns", KEY)
    assert "%2f" in token
    assert "%2b" in token
    assert "+" not in token
    for mangled in (unquote(token), token.replace("%2f", "%2F"), quote(token), unquote_plus(token)):
        assert TOKENS.open_endpoint_token("wns", mangled) is None


@given(st.text(max_size=300))
def test_any_text_is_read_without_a_crash(text: str) -> None:
    for vendor in VENDORS:
        assert TOKENS.open_endpoint_token(vendor, text) is None
    assert TOKENS.is_device(text, text) is False
    TOKENS.is_message_id(text)


def test_device_credentials_are_recognised_and_fit_a_signed_64_bit_number() -> None:
    for _ in range(100):
        android_id, security_token = TOKENS.device()
        assert 0 < android_id < 2**63
        assert 0 < security_token < 2**63
        assert TOKENS.is_device(str(android_id), str(security_token))
        assert not TOKENS.is_device(str(android_id), str(security_token + 1))


def test_repr_shows_no_secret() -> None:
    assert "sss" not in repr(TOKENS)
