"""Everything once more against Node's own crypto: another language, another binding, no shared library of ours."""

from __future__ import annotations

import os
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pushkeep import SigningKey
from pushkeep.protocol.aesgcm import crypto_key_header, encryption_header, open_legacy, seal_legacy
from pushkeep.protocol.ece import open_sealed, seal
from pushkeep.protocol.encoding import b64_decode, b64url_encode
from pushkeep.protocol.keys import encode_point
from pushkeep.protocol.vapid import sign, verify

from .browser import Browser
from .conftest import CONTACT
from .node_driver import run

UA = Browser()
PLAINTEXTS = [b"x", "Grüße".encode(), bytes(3000), os.urandom(3993)]
PADDINGS = [0, 1, 900, 0]
encodings = pytest.mark.parametrize("encoding", ["aes128gcm", "aesgcm"])


@encodings
async def test_node_opens_what_we_seal(encoding: str) -> None:
    jobs = []
    for plaintext, padding in zip(PLAINTEXTS, PADDINGS, strict=True):
        sender, salt = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        sealing = seal if encoding == "aes128gcm" else seal_legacy
        body = sealing(plaintext, ua_public=UA.public, auth=UA.auth, as_private=sender, salt=salt, padding=padding)
        jobs.append(
            {
                "verb": "open",
                "encoding": encoding,
                "body": b64url_encode(body),
                "auth": b64url_encode(UA.auth),
                "uaPublic": b64url_encode(UA.public),
                "uaPrivate": UA.raw_private,
                "salt": b64url_encode(salt),
                "asPublic": b64url_encode(encode_point(sender.public_key())),
            }
        )
    opened = [b64_decode(result["plaintext"], field="plaintext") for result in await run("crypto.cjs", jobs)]
    assert opened == PLAINTEXTS


@encodings
async def test_we_open_what_node_seals(encoding: str) -> None:
    jobs = [
        {
            "verb": "seal",
            "encoding": encoding,
            "plaintext": b64url_encode(plaintext),
            "padding": padding,
            "auth": b64url_encode(UA.auth),
            "uaPublic": b64url_encode(UA.public),
        }
        for plaintext, padding in zip(PLAINTEXTS, PADDINGS, strict=True)
    ]
    for plaintext, result in zip(PLAINTEXTS, await run("crypto.cjs", jobs), strict=True):
        body = b64_decode(result["body"], field="body")
        if encoding == "aes128gcm":
            opened = open_sealed(body, ua_private=UA.private, auth=UA.auth)
        else:
            opened = open_legacy(
                body,
                encryption=encryption_header(b64_decode(result["salt"], field="salt")),
                crypto_key=crypto_key_header(b64_decode(result["asPublic"], field="dh")),
                ua_private=UA.private,
                auth=UA.auth,
            )
        assert opened == plaintext


async def test_node_verifies_our_tokens(key: SigningKey) -> None:
    expires_at = int(time.time()) + 3600
    token = sign(key, audience="https://push.example.net:8443", contact=CONTACT, expires_at=expires_at)
    (result,) = await run("crypto.cjs", [{"verb": "verify", "token": token, "public": key.public_b64}])
    assert result == {
        "holds": True,
        "header": {"typ": "JWT", "alg": "ES256"},
        "claims": {"aud": "https://push.example.net:8443", "exp": expires_at, "sub": CONTACT},
    }


async def test_we_verify_tokens_node_signs() -> None:
    now = time.time()
    claims = {"aud": "https://push.example.net", "exp": int(now) + 3600, "sub": CONTACT, "extra": [1, 2]}
    # ES256 draws a number for each signature: several, so that short ones are among them sooner or later.
    for result in await run("crypto.cjs", [{"verb": "sign", "claims": claims}] * 20):
        found = verify(str(result["header"]), audience="https://push.example.net", now=now)
        assert (found.contact, found.expires_at) == (CONTACT, claims["exp"])


async def test_a_key_that_node_made_is_read_in_every_form_it_writes() -> None:
    for made in await run("crypto.cjs", [{"verb": "keys"}] * 5):
        der, jwk = b64_decode(made["der"], field="der"), made["jwk"]
        assert isinstance(jwk, dict)
        forms: list[str | bytes | dict[str, object]] = [str(made["pkcs8"]), str(made["sec1"]), der, jwk, str(jwk["d"])]
        for form in forms:
            assert SigningKey.read(form, public=str(made["public"])).public_b64 == made["public"]
