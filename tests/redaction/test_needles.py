"""A secret is found in whatever form it was written, and what is none is not."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.protocol.signing_key import SigningKey
from tests.redaction.child.watched_secrets import NOTED_MAX, Watch
from tests.redaction.needles import Needles

SECRET = bytes.fromhex("9a1f03e7c4b85d2260719e8f34adcb05f1d2837e6b4c9a5810e3f7264bd8a9c0")
TOKEN = "st_0190f1d2-8a7b-4c3d-9e5f-1234567890ab.k3Jv9QmZ-7xW2_pLr8TnYb4HsDfGcVa1"  # made up here


def kinds(needles: Needles, text: str) -> list[str]:
    return [found.kind for found in needles.find(text)]


@pytest.mark.parametrize(
    "form",
    [
        lambda octets: urlsafe_b64encode(octets).decode().rstrip("="),
        lambda octets: b64encode(octets).decode(),
        lambda octets: b64encode(b"x" + octets + b"yz").decode(),
        lambda octets: urlsafe_b64encode(b"xy" + octets).decode(),
        lambda octets: octets.hex(),
        lambda octets: octets.hex().upper(),
        lambda octets: repr(octets),
        lambda octets: str(int.from_bytes(octets, "big")),
        lambda octets: b64encode(octets).decode()[:20] + "\n" + b64encode(octets).decode()[20:],
    ],
)
def test_octets_are_found_in_every_form(form: Callable[[bytes], str]) -> None:
    needles = Needles()
    needles.add("key", SECRET)
    assert set(kinds(needles, f"INFO the key is {form(SECRET)}, to be kept")) == {"key"}


@given(octets=st.binary(min_size=16, max_size=64).filter(lambda octets: len(set(octets)) > 12), cut=st.integers(0, 40))
def test_any_octets_are_found_inside_anything_encoded(octets: bytes, cut: int) -> None:
    needles = Needles()
    needles.add("key", octets)
    whole = bytes(cut) + octets + b"and more"
    assert kinds(needles, urlsafe_b64encode(whole).decode()) == ["key"]


def test_a_key_in_a_pem_file_is_found() -> None:
    key, needles = SigningKey.generate(), Needles()
    needles.add("private key", key.private.private_numbers().private_value.to_bytes(32, "big"))
    assert kinds(needles, key.to_pem())[:1] == kinds(needles, json.dumps(key.to_jwk())) == ["private key"]
    assert kinds(needles, key.public_b64 + key.key_id) == []


def test_text_is_found_by_its_end_and_in_a_url() -> None:
    needles = Needles()
    needles.add("token", TOKEN)
    needles.add("endpoint", "/w/?token=BQYAAAB%2fhW0sD%2bKq9xT4z")
    assert kinds(needles, f"Authorization: Bearer {TOKEN}") == ["token"]
    assert kinds(needles, f"GET /?token={quote(TOKEN)}") == ["token"]
    assert kinds(needles, f"GET /?to={quote('/w/?token=BQYAAAB%2fhW0sD%2bKq9xT4z', safe='')}") == ["endpoint"]


def test_what_is_no_secret_is_not_found() -> None:
    needles = Needles()
    needles.add("key", bytes(32))  # its base64 is that of any zeros
    needles.add("key", b"short")
    needles.add("endpoint", "/w/1")
    needles.add("key", SECRET)
    assert kinds(needles, f"{'A' * 60} {'0' * 64} /w/1 short {SECRET[16:].hex()[:15]}") == []


def test_a_find_does_not_tell_the_secret_again() -> None:
    needles = Needles()
    needles.add("token", TOKEN)
    (found,) = needles.find(f"the token is {TOKEN}")
    assert found.before == f"the token is {TOKEN[:8]}"


def test_a_type_is_watched_until_enough_of_it_were_noted_and_again_in_the_next_test() -> None:
    noted: list[bytes] = []

    class Key:
        def __init__(self, value: bytes) -> None:
            self.value = value

    watch = Watch(lambda _kind, value: noted.append(bytes(value, "utf-8") if isinstance(value, str) else value))
    watch._wrap_type(Key, lambda made, *_args: [("key", made.value)])
    for number in range(NOTED_MAX + 10):
        Key(number.to_bytes(16, "big"))
    assert len(noted) == NOTED_MAX
    watch.begin_test()
    Key(b"of the next test")
    assert noted[-1] == b"of the next test"
