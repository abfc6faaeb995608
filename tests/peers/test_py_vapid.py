"""py_vapid verifies our tokens and we verify those it signs; keys go over in both directions."""

from __future__ import annotations

import time

import pytest
from py_vapid import Vapid01, Vapid02

from pushkeep import SigningKey
from pushkeep.protocol.vapid import authorization_header, sign, verify

from .conftest import CONTACT

AUDIENCE = "https://push.example.net"


def holds(token: str, key: SigningKey) -> bool:
    """Its parser cuts at the last space, so that the one RFC 9110 allows behind the comma is too much for it."""
    return bool(Vapid02.verify(authorization_header(token, key).replace(", ", ",")))


@pytest.mark.parametrize("contact", [CONTACT, "https://example.org/contact"])
def test_py_vapid_verifies_our_header(key: SigningKey, contact: str) -> None:
    token = sign(key, audience=AUDIENCE, contact=contact, expires_at=int(time.time()) + 3600)
    assert holds(token, key)


def test_py_vapid_refuses_our_token_under_another_key(key: SigningKey) -> None:
    token = sign(key, audience=AUDIENCE, contact=CONTACT, expires_at=int(time.time()) + 3600)
    assert not holds(token, SigningKey.generate())


def test_we_verify_the_header_of_py_vapid(raw_key: str, key: SigningKey) -> None:
    now = time.time()
    signer = Vapid02.from_string(raw_key)
    claims = {"aud": AUDIENCE, "sub": CONTACT, "exp": int(now) + 3600}
    found = verify(signer.sign(claims)["Authorization"], audience=AUDIENCE, now=now)
    assert (found.public_bytes, found.contact, found.expires_at) == (key.public_bytes, CONTACT, now // 1 + 3600)


def test_a_key_that_py_vapid_made_is_ours_too() -> None:
    made = Vapid01()
    made.generate_keys()
    ours = SigningKey.from_pem(made.private_pem())
    token = sign(ours, audience=AUDIENCE, contact=CONTACT, expires_at=int(time.time()) + 3600)
    assert holds(token, ours)
    assert SigningKey.from_pem(ours.to_pem()).public_bytes == ours.public_bytes


def test_a_key_that_we_made_is_py_vapids_too(key: SigningKey) -> None:
    theirs = Vapid02.from_pem(key.to_pem().encode())
    claims = {"aud": AUDIENCE, "sub": CONTACT, "exp": int(time.time()) + 3600}
    found = verify(theirs.sign(claims)["Authorization"], audience=AUDIENCE, now=time.time())
    assert found.public_bytes == key.public_bytes


def test_and_in_the_raw_form_it_prefers(key: SigningKey) -> None:
    claims = {"aud": AUDIENCE, "sub": CONTACT, "exp": int(time.time()) + 3600}
    header = Vapid02.from_string(key.to_raw()).sign(claims)["Authorization"]
    assert verify(header, audience=AUDIENCE, now=time.time()).public_bytes == key.public_bytes
