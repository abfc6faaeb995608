"""http_ece of the encryption's author opens what we seal, and we open what it seals, in both encodings."""

from __future__ import annotations

import os

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from pushkeep.errors import Undecryptable
from pushkeep.protocol.aesgcm import (
    LEGACY_PLAINTEXT_BYTES_MAX,
    crypto_key_header,
    encryption_header,
    open_legacy,
    seal_legacy,
)
from pushkeep.protocol.ece import PLAINTEXT_BYTES_MAX, open_sealed, seal
from pushkeep.protocol.keys import encode_point

from .browser import Browser

examples = settings(max_examples=40, deadline=None)
UA = Browser()


def ephemeral() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@examples
@given(st.binary(min_size=1, max_size=PLAINTEXT_BYTES_MAX), st.integers(0, 200))
def test_http_ece_opens_our_aes128gcm(plaintext: bytes, padding: int) -> None:
    padding = min(padding, PLAINTEXT_BYTES_MAX - len(plaintext))
    body = seal(
        plaintext, ua_public=UA.public, auth=UA.auth, as_private=ephemeral(), salt=os.urandom(16), padding=padding
    )
    assert http_ece.decrypt(body, private_key=UA.private, auth_secret=UA.auth, version="aes128gcm") == plaintext


@examples
@given(st.binary(min_size=1, max_size=PLAINTEXT_BYTES_MAX))  # of nothing it makes no record at all
def test_we_open_the_aes128gcm_of_http_ece(plaintext: bytes) -> None:
    body = http_ece.encrypt(plaintext, private_key=ephemeral(), dh=UA.public, auth_secret=UA.auth, version="aes128gcm")
    assert open_sealed(body, ua_private=UA.private, auth=UA.auth) == plaintext


@examples
@given(st.binary(min_size=1, max_size=LEGACY_PLAINTEXT_BYTES_MAX), st.integers(0, 200))
def test_http_ece_opens_our_aesgcm(plaintext: bytes, padding: int) -> None:
    padding = min(padding, LEGACY_PLAINTEXT_BYTES_MAX - len(plaintext))
    sender, salt = ephemeral(), os.urandom(16)
    body = seal_legacy(plaintext, ua_public=UA.public, auth=UA.auth, as_private=sender, salt=salt, padding=padding)
    opened = http_ece.decrypt(
        body,
        salt=salt,
        private_key=UA.private,
        dh=encode_point(sender.public_key()),
        auth_secret=UA.auth,
        version="aesgcm",
    )
    assert opened == plaintext


@examples
@given(st.binary(max_size=LEGACY_PLAINTEXT_BYTES_MAX))
def test_we_open_the_aesgcm_of_http_ece(plaintext: bytes) -> None:
    sender, salt = ephemeral(), os.urandom(16)
    body = http_ece.encrypt(
        plaintext, salt=salt, private_key=sender, dh=UA.public, auth_secret=UA.auth, version="aesgcm"
    )
    opened = open_legacy(
        body,
        encryption=encryption_header(salt),
        crypto_key=crypto_key_header(encode_point(sender.public_key())),
        ua_private=UA.private,
        auth=UA.auth,
    )
    assert opened == plaintext


@pytest.mark.parametrize("size", [3994, 5000, 9000])
def test_we_refuse_what_http_ece_spreads_over_several_records(size: int) -> None:
    """It writes them without a word; browsers give no event for them."""
    modern = http_ece.encrypt(
        bytes(size), private_key=ephemeral(), dh=UA.public, auth_secret=UA.auth, version="aes128gcm", rs=2000
    )
    with pytest.raises(Undecryptable, match="one record"):
        open_sealed(modern, ua_private=UA.private, auth=UA.auth)
    sender, salt = ephemeral(), os.urandom(16)
    legacy = http_ece.encrypt(
        bytes(size), salt=salt, private_key=sender, dh=UA.public, auth_secret=UA.auth, version="aesgcm", rs=2000
    )
    with pytest.raises(Undecryptable, match="one record"):
        open_legacy(
            legacy,
            encryption=encryption_header(salt) + ";rs=2000",
            crypto_key=crypto_key_header(encode_point(sender.public_key())),
            ua_private=UA.private,
            auth=UA.auth,
        )
