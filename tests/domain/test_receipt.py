"""Receipt tokens: bound to project, notification and subscription, and alike in length."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.receipt import RECEIPT_TOKEN_CHARACTERS, ReceiptTokens, receipt_key

ONE = "01a20069-9469-7f10-87df-063c7022572e"
OTHER = "01a20069-9469-7f10-87df-063c7022572f"
KEY = receipt_key(b"s" * 32)

numbers = st.integers(min_value=1, max_value=2**63 - 1)
notifications = st.uuids().map(str)
secrets = st.binary(min_size=32, max_size=32)


@given(secrets, notifications, numbers)
def test_a_token_names_its_subscription_to_its_notification(secret: bytes, notification: str, number: int) -> None:
    tokens = ReceiptTokens(receipt_key(secret), notification)
    token = tokens.make(number)
    assert re.fullmatch(rb"[A-Za-z0-9_-]{27}", token)
    assert len(token) == RECEIPT_TOKEN_CHARACTERS
    assert tokens.check(token) == number


@given(notifications, notifications, numbers)
def test_a_token_says_nothing_to_another_notification(one: str, other: str, number: int) -> None:
    token = ReceiptTokens(KEY, one).make(number)
    assert (ReceiptTokens(KEY, other).check(token) == number) is (one == other)


@given(secrets, secrets, numbers)
def test_a_token_says_nothing_to_another_project(one: bytes, other: bytes, number: int) -> None:
    token = ReceiptTokens(receipt_key(one), ONE).make(number)
    assert (ReceiptTokens(receipt_key(other), ONE).check(token) == number) is (one == other)


@given(numbers, numbers)
def test_no_two_subscriptions_have_the_same_token(one: int, other: int) -> None:
    tokens = ReceiptTokens(KEY, ONE)
    assert (tokens.make(one) == tokens.make(other)) is (one == other)


@given(numbers, st.integers(min_value=0, max_value=26), st.sampled_from(b"AZaz09-_"))
def test_a_changed_character_makes_no_token_of_anybody(number: int, place: int, character: int) -> None:
    tokens = ReceiptTokens(KEY, ONE)
    token = bytearray(tokens.make(number))
    before, token[place] = token[place], character
    # The last character has two bits that no octet comes from: even these have one value.
    assert tokens.check(bytes(token)) == (number if before == character else None)


@given(st.binary(max_size=64))
def test_whatever_is_no_token_is_refused_without_an_error(text: bytes) -> None:
    assert ReceiptTokens(KEY, ONE).check(text) is None


@given(st.text(alphabet="AZaz09-_.=+/ \n", min_size=27, max_size=27))
def test_whatever_looks_like_a_token_is_refused_without_an_error(text: str) -> None:
    assert ReceiptTokens(KEY, ONE).check(text.encode()) is None


def test_tokens_do_not_tell_how_far_apart_their_subscriptions_are() -> None:
    # Two colleagues who compare their tokens must not find out that they are numbers 1 and 2, then 2 and 3.
    from base64 import urlsafe_b64decode

    masked = [int.from_bytes(urlsafe_b64decode(ReceiptTokens(KEY, ONE).make(n) + b"=")[:8], "big") for n in (1, 2, 3)]
    assert masked[0] ^ masked[1] not in range(256)
    assert masked[0] ^ masked[1] ^ masked[1] ^ masked[2] not in range(256)


def test_the_key_is_not_the_secret_it_comes_from() -> None:
    assert receipt_key(b"s" * 32) != b"s" * 32
    assert len(receipt_key(b"s" * 32)) == 32
    assert ReceiptTokens(KEY, ONE).make(7) != ReceiptTokens(KEY, OTHER).make(7)
