import struct

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput, PayloadTooLarge, Undecryptable
from pushkeep.protocol import ece
from pushkeep.protocol.ece import PLAINTEXT_BYTES_MAX, derive, open_sealed, seal
from pushkeep.protocol.keys import encode_point
from tests.protocol import vectors as v


def sealed(plaintext: bytes, padding: int = 0) -> bytes:
    return seal(plaintext, ua_public=v.UA_PUBLIC, auth=v.AUTH, as_private=v.AS_PRIVATE, salt=v.SALT, padding=padding)


def opened(body: bytes) -> bytes:
    return open_sealed(body, ua_private=v.UA_PRIVATE, auth=v.AUTH)


def test_rfc_8291_appendix_a() -> None:
    assert derive(v.ECDH_SECRET, auth=v.AUTH, ua_public=v.UA_PUBLIC, as_public=v.AS_PUBLIC, salt=v.SALT) == (
        v.CEK,
        v.NONCE,
    )
    assert sealed(v.PLAINTEXT) == v.BODY
    assert v.BODY.endswith(v.CIPHERTEXT)
    assert opened(v.BODY) == v.PLAINTEXT


@pytest.mark.parametrize("body", [v.WALRUS_ONE_RECORD, v.WALRUS_TWO_RECORDS])
def test_rfc_8188_examples_are_no_push_messages(body: bytes) -> None:
    with pytest.raises(Undecryptable):
        opened(body)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=PLAINTEXT_BYTES_MAX), st.integers(0, 4000), st.binary(min_size=16, max_size=16))
def test_sealing_then_opening_is_the_identity(plaintext: bytes, padding: int, secret: bytes) -> None:
    padding = min(padding, PLAINTEXT_BYTES_MAX - len(plaintext))
    browser, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ua_public = encode_point(browser.public_key())
    body = seal(plaintext, ua_public=ua_public, auth=secret, as_private=server, salt=secret, padding=padding)
    assert len(body) == len(plaintext) + padding + ece.OVERHEAD_BYTES
    assert open_sealed(body, ua_private=browser, auth=secret) == plaintext


def test_zeros_at_the_end_of_a_payload_survive() -> None:
    assert opened(sealed(b"\x00\x02\x00", padding=3)) == b"\x00\x02\x00"


def test_the_largest_payload_fills_4096_octets() -> None:
    assert len(sealed(b"x" * 3993)) == 4096
    assert opened(sealed(b"x" * 3993)) == b"x" * 3993


@pytest.mark.parametrize(("length", "padding", "excess"), [(3994, 0, 1), (5000, 0, 1007), (3990, 10, 7)])
def test_too_large_says_by_how_many_octets(length: int, padding: int, excess: int) -> None:
    with pytest.raises(PayloadTooLarge, match=f"{excess} octets too large") as caught:
        sealed(b"x" * length, padding)
    assert caught.value.excess_bytes == excess


def test_an_empty_message_is_never_encrypted_unpadded() -> None:
    with pytest.raises(InvalidInput, match="without payload"):
        sealed(b"")
    assert opened(sealed(b"", padding=1)) == b""
    with pytest.raises(InvalidInput):
        sealed(b"x", padding=-1)


def test_keys_and_salt_must_have_their_lengths() -> None:
    good = {"ua_public": v.UA_PUBLIC, "auth": v.AUTH, "as_private": v.AS_PRIVATE, "salt": v.SALT}
    for bad, field in [
        ({"auth": b"abc"}, "auth"),
        ({"salt": b"abc"}, "salt"),
        ({"ua_public": v.UA_PUBLIC[:10]}, "keys.p256dh"),
        ({"ua_public": b"\x04" + bytes(64)}, "keys.p256dh"),
    ]:
        with pytest.raises(InvalidInput) as caught:
            seal(b"x", **(good | bad))  # type: ignore[arg-type]
        assert caught.value.field == field


def test_every_flipped_bit_is_noticed() -> None:
    for at in range(len(v.BODY)):
        # A larger record size still admits the one record: the header's size is not authenticated (RFC 8188).
        if at in (16, 17, 18, 19):
            continue
        broken = bytearray(v.BODY)
        broken[at] ^= 1
        with pytest.raises(Undecryptable):
            opened(bytes(broken))


def test_wrong_secrets_do_not_open() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(Undecryptable):
        open_sealed(v.BODY, ua_private=other, auth=v.AUTH)
    with pytest.raises(Undecryptable):
        open_sealed(v.BODY, ua_private=v.UA_PRIVATE, auth=bytes(16))


@given(st.binary(max_size=300))
def test_arbitrary_octets_are_refused(body: bytes) -> None:
    for candidate in (body, v.BODY[:20] + body, v.BODY[:86] + body):
        with pytest.raises(Undecryptable):
            opened(candidate)


def test_record_size_bounds() -> None:
    small = v.BODY[:16] + struct.pack("!I", 17) + v.BODY[20:]
    with pytest.raises(Undecryptable, match="18"):
        opened(small)
    two_records = v.BODY[:16] + struct.pack("!I", 40) + v.BODY[20:]
    with pytest.raises(Undecryptable, match="one record"):
        opened(two_records)


@pytest.mark.parametrize("tail", [b"\x01", b"", b"\x00\x00", b"\x02\x01"])
def test_only_the_delimiter_of_a_last_record_is_accepted(tail: bytes) -> None:
    record = AESGCM(v.CEK).encrypt(v.NONCE, b"x" + tail, None)
    with pytest.raises(Undecryptable, match="delimiter"):
        opened(v.BODY[:86] + record)
