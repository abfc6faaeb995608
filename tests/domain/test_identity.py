import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.domain.identity import AHEAD_SECONDS_MAX, LIFETIME_SECONDS_MAX, Identity, sign_identity, verify_identity
from pushkeep.errors import InvalidInput, InvalidToken

SECRET = b"s" * 32
NOW = 1_800_000_000.0


def signed(text: str, secret: bytes = SECRET) -> str:
    tag = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(tag).rstrip(b'=').decode()}"


def with_claims(claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return signed(f"v1.{payload}")


names = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=200)


@given(names, st.integers(1, LIFETIME_SECONDS_MAX))
def test_a_signed_name_is_read_back(name: str, lifetime: int) -> None:
    token = sign_identity(SECRET, external_id=name, expires_at=NOW + lifetime)
    assert verify_identity(SECRET, token, now=NOW) == Identity(name, None)


def test_a_site_can_sign_with_its_own_tools() -> None:
    assert verify_identity(SECRET, with_claims({"sub": "ann", "exp": NOW + 60, "extra": 1}), now=NOW) == Identity("ann")


@given(st.data())
def test_any_changed_character_is_noticed(data: st.DataObject) -> None:
    token = sign_identity(SECRET, external_id="ann", expires_at=NOW + 60)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_.!").filter(lambda character: character != token[at]))
    changed = token[:at] + other + token[at + 1 :]
    # The tag's last character carries two bits that decoding drops, but the tag is compared as text.
    with pytest.raises(InvalidToken):
        verify_identity(SECRET, changed, now=NOW)


@given(st.text(max_size=300))
def test_nonsense_is_an_invalid_token(text: str) -> None:
    with pytest.raises(InvalidToken):
        verify_identity(SECRET, text, now=NOW)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (with_claims({"sub": "ann", "exp": NOW}), "expired"),
        (with_claims({"sub": "ann", "exp": NOW + LIFETIME_SECONDS_MAX + 1}), "expires_too_late"),
        (with_claims({"sub": "ann"}), "malformed"),
        (with_claims({"sub": "ann", "exp": True}), "malformed"),
        (with_claims({"sub": "ann", "exp": "tomorrow"}), "malformed"),
        (with_claims({"sub": "ann", "exp": float("inf")}), "malformed"),
        (with_claims({"sub": "ann", "exp": 10**400}), "malformed"),
        (with_claims({"exp": NOW + 60}), "malformed"),
        (with_claims({"sub": "", "exp": NOW + 60}), "malformed"),
        (with_claims({"sub": "a\nb", "exp": NOW + 60}), "malformed"),
        (with_claims(["ann"]), "malformed"),
        (signed("v1.not-json"), "malformed"),
        (signed("v1.!!!"), "malformed"),
        (signed("v2." + base64.urlsafe_b64encode(b"{}").decode().rstrip("=")), "malformed"),
        (signed("v1." + base64.urlsafe_b64encode(b"[" * 3000).decode().rstrip("=")), "malformed"),
        (sign_identity(b"t" * 32, external_id="ann", expires_at=NOW + 60), "bad_signature"),
        ("x" * 5000, "malformed"),
        (None, "malformed"),
        (b"v1", "malformed"),
    ],
)
def test_what_does_not_hold(token: object, reason: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        verify_identity(SECRET, token, now=NOW)
    assert (caught.value.reason, caught.value.field) == (reason, "identity")


def test_a_name_that_cannot_be_stored_is_not_signed() -> None:
    with pytest.raises(InvalidInput):
        sign_identity(SECRET, external_id="", expires_at=NOW)


def test_when_the_site_said_so_is_read_back() -> None:
    token = sign_identity(SECRET, external_id="ann", expires_at=NOW + 60, issued_at=NOW - 0.5)
    assert verify_identity(SECRET, token, now=NOW) == Identity("ann", NOW - 1), "whole seconds, never later than it was"


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_token_of_the_future_is_not_valid_yet(claim: str) -> None:
    near = with_claims({"sub": "ann", "exp": NOW + 600, claim: NOW + AHEAD_SECONDS_MAX})
    assert verify_identity(SECRET, near, now=NOW).external_id == "ann", "clocks differ a little"
    with pytest.raises(InvalidToken) as caught:
        verify_identity(SECRET, with_claims({"sub": "ann", "exp": NOW + 600, claim: NOW + 61}), now=NOW)
    assert caught.value.reason == "not_yet_valid"
    with pytest.raises(InvalidToken) as caught:
        verify_identity(SECRET, with_claims({"sub": "ann", "exp": NOW + 600, claim: "then"}), now=NOW)
    assert caught.value.reason == "malformed"
