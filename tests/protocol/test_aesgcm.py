import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput, PayloadTooLarge, Undecryptable
from pushkeep.protocol.aesgcm import (
    LEGACY_OVERHEAD_BYTES,
    LEGACY_PLAINTEXT_BYTES_MAX,
    crypto_key_header,
    derive_legacy,
    encryption_header,
    open_legacy,
    parse_crypto_key_header,
    parse_encryption_header,
    seal_legacy,
)
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.keys import encode_point
from tests.protocol.vectors import UA_PUBLIC
from tests.protocol.vectors import Legacy as v

SALT_HEADER = "salt=lngarbyKfMoi9Z75xYXmkg"
KEY_HEADER = f"dh={b64url_encode(v.AS_PUBLIC)}"


def sealed(plaintext: bytes, padding: int = 0) -> bytes:
    return seal_legacy(
        plaintext, ua_public=v.UA_PUBLIC, auth=v.AUTH, as_private=v.AS_PRIVATE, salt=v.SALT, padding=padding
    )


def opened(body: bytes, encryption: str = SALT_HEADER, crypto_key: str = KEY_HEADER, auth: bytes = v.AUTH) -> bytes:
    return open_legacy(body, encryption=encryption, crypto_key=crypto_key, ua_private=v.UA_PRIVATE, auth=auth)


def test_the_drafts_example() -> None:
    keys = derive_legacy(v.ECDH_SECRET, auth=v.AUTH, ua_public=v.UA_PUBLIC, as_public=v.AS_PUBLIC, salt=v.SALT)
    assert keys == (v.CEK, v.NONCE)
    assert sealed(v.PLAINTEXT) == v.BODY
    assert opened(v.BODY) == v.PLAINTEXT
    assert encryption_header(v.SALT) == SALT_HEADER
    assert crypto_key_header(v.AS_PUBLIC) == KEY_HEADER


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=1, max_size=LEGACY_PLAINTEXT_BYTES_MAX),
    st.integers(0, 4096),
    st.binary(min_size=16, max_size=16),
)
def test_sealing_then_opening_is_the_identity(plaintext: bytes, padding: int, secret: bytes) -> None:
    padding = min(padding, LEGACY_PLAINTEXT_BYTES_MAX - len(plaintext))
    browser, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    body = seal_legacy(
        plaintext,
        ua_public=encode_point(browser.public_key()),
        auth=secret,
        as_private=server,
        salt=secret,
        padding=padding,
    )
    assert len(body) == len(plaintext) + padding + LEGACY_OVERHEAD_BYTES
    headers = {
        "encryption": encryption_header(secret),
        "crypto_key": crypto_key_header(encode_point(server.public_key()), UA_PUBLIC),
    }
    assert open_legacy(body, ua_private=browser, auth=secret, **headers) == plaintext


def test_another_implementation_opens_it_and_is_opened() -> None:
    theirs = {"salt": v.SALT, "version": "aesgcm", "auth_secret": v.AUTH}
    body = http_ece.encrypt(b"hello", private_key=v.AS_PRIVATE, dh=v.UA_PUBLIC, **theirs)
    assert opened(body) == b"hello"
    assert http_ece.decrypt(sealed(b"hello", 9), private_key=v.UA_PRIVATE, dh=v.AS_PUBLIC, **theirs) == b"hello"


def test_the_largest_payload_fits_into_4096_octets() -> None:
    assert len(sealed(b"x" * 4077)) == 4095
    for length, padding, excess in ((4078, 0, 1), (4000, 100, 23)):
        with pytest.raises(PayloadTooLarge, match=f"{excess} octets too large") as caught:
            sealed(b"x" * length, padding)
        assert caught.value.excess_bytes == excess


def test_an_empty_message_is_never_encrypted_unpadded() -> None:
    with pytest.raises(InvalidInput, match="without payload"):
        sealed(b"")
    with pytest.raises(InvalidInput):
        sealed(b"x", padding=-1)
    assert opened(sealed(b"", padding=1)) == b""


def test_keys_and_salt_must_have_their_lengths() -> None:
    good = {"ua_public": v.UA_PUBLIC, "auth": v.AUTH, "as_private": v.AS_PRIVATE, "salt": v.SALT}
    for bad, field in [
        ({"auth": b"abc"}, "auth"),
        ({"salt": b"abc"}, "salt"),
        ({"ua_public": b"\x04" + bytes(64)}, "keys.p256dh"),
    ]:
        with pytest.raises(InvalidInput) as caught:
            seal_legacy(b"x", **(good | bad))  # type: ignore[arg-type]
        assert caught.value.field == field


def test_every_flipped_bit_and_wrong_secret_is_noticed() -> None:
    for at in range(len(v.BODY)):
        broken = bytearray(v.BODY)
        broken[at] ^= 1
        with pytest.raises(Undecryptable, match="does not decrypt"):
            opened(bytes(broken))
    with pytest.raises(Undecryptable):
        opened(v.BODY, auth=bytes(16))
    with pytest.raises(Undecryptable):
        opened(v.BODY, encryption=encryption_header(bytes(16)))


@given(st.binary(max_size=300), st.text(max_size=60), st.text(max_size=60))
def test_arbitrary_input_is_refused(body: bytes, encryption: str, crypto_key: str) -> None:
    for headers in ((SALT_HEADER, KEY_HEADER), (encryption, KEY_HEADER), (SALT_HEADER, crypto_key)):
        with pytest.raises(Undecryptable):
            opened(body, *headers)


@pytest.mark.parametrize("padded", [b"", b"\x00", b"\x00\x02\x00", b"\x00\x01x", b"\xff\xff" + bytes(20)])
def test_padding_must_be_what_its_length_says(padded: bytes) -> None:
    with pytest.raises(Undecryptable, match="zeros"):
        opened(AESGCM(v.CEK).encrypt(v.NONCE, padded, None))


def test_only_one_record_is_a_push_message() -> None:
    with pytest.raises(Undecryptable, match="one record"):
        opened(v.BODY, encryption=SALT_HEADER + ";rs=17")
    assert opened(v.BODY, encryption=SALT_HEADER + ";rs=18") == v.PLAINTEXT


@pytest.mark.parametrize(
    "value",
    [
        KEY_HEADER,
        f"{KEY_HEADER};p256ecdsa={b64url_encode(UA_PUBLIC)}",
        f"p256ecdsa={b64url_encode(UA_PUBLIC)},{KEY_HEADER}",
        f'keyid="p256dh"; DH="{b64url_encode(v.AS_PUBLIC)}=" , p256ecdsa=x',
    ],
)
def test_every_spelling_of_the_key_header_is_read(value: str) -> None:
    assert parse_crypto_key_header(value) == v.AS_PUBLIC


def test_the_salt_header_is_read_with_and_without_its_size() -> None:
    assert parse_encryption_header('keyid=a; salt="lngarbyKfMoi9Z75xYXmkg=="; rs=4097') == (v.SALT, 4097)
    assert parse_encryption_header(SALT_HEADER) == (v.SALT, 4096)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "salt=",
        "salt=abc",
        f"{SALT_HEADER};{SALT_HEADER}",
        f"{SALT_HEADER};rs=2",
        f"{SALT_HEADER};rs=x",
        f"{SALT_HEADER};rs=٣٣",
        f"{SALT_HEADER};rs={'9' * 11}",
        f"{SALT_HEADER};{'x' * 1024}",
    ],
)
def test_a_bad_salt_header_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput):
        parse_encryption_header(value)


@pytest.mark.parametrize("value", ["", "dh=abc", f"{KEY_HEADER},{KEY_HEADER}", f"p256ecdsa={KEY_HEADER[3:]}"])
def test_a_bad_key_header_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput):
        parse_crypto_key_header(value)


def test_the_signing_key_travels_in_the_same_header() -> None:
    value = crypto_key_header(v.AS_PUBLIC, UA_PUBLIC)
    assert value == f"{KEY_HEADER};p256ecdsa={b64url_encode(UA_PUBLIC)}"
    assert parse_crypto_key_header(value) == v.AS_PUBLIC
