import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from pushkeep.domain.identity_keys import KEYS_MAX, read_verifying_keys
from pushkeep.errors import InvalidInput
from pushkeep.protocol.encoding import b64url_encode

P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()


def pem(private: Any) -> str:
    public = private.public_key()
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def private_pem(private: Any) -> str:
    return str(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def number(value: int) -> str:
    return b64url_encode(value.to_bytes((value.bit_length() + 7) // 8))


def jwk(private: Any, **more: object) -> dict[str, object]:
    public = private.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_numbers()
        x, y = (b64url_encode(value.to_bytes(32)) for value in (point.x, point.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y, **more}
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e), **more}
    return {"kty": "OKP", "crv": "Ed25519", "x": b64url_encode(public.public_bytes_raw()), **more}


def key_set(*keys: object) -> str:
    return json.dumps({"keys": keys})


@pytest.mark.parametrize(
    ("private", "algorithm"), [(P256, "ES256"), (RSA, "RS256"), (ED25519, "EdDSA")], ids=["ES256", "RS256", "EdDSA"]
)
def test_a_key_is_for_one_algorithm_however_it_is_written(private: Any, algorithm: str) -> None:
    (written,) = read_verifying_keys(pem(private), field="keys")
    (listed,) = read_verifying_keys(key_set(jwk(private, kid="one", alg="HS256")), field="keys")
    assert (written.algorithm, listed.algorithm) == (algorithm, algorithm), "whatever the set claims"
    assert (written.name, listed.name) == (None, "one")
    assert written.key == listed.key


def test_a_file_may_have_several_and_words_between_them() -> None:
    text = f"the old one\n{pem(P256)}\nthe new one\n{pem(ED25519)}"
    assert [key.algorithm for key in read_verifying_keys(text, field="keys")] == ["ES256", "EdDSA"]
    both = key_set(jwk(P256), jwk(RSA, use="enc"), jwk(ED25519, use="sig"))
    assert [key.algorithm for key in read_verifying_keys(both, field="keys")] == ["ES256", "EdDSA"]


SMALL = rsa.generate_private_key(65537, 1024)
OTHER_CURVE = ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (lambda: "", "has 0 public keys"),
        (lambda: "nothing", "has 0 public keys"),
        (lambda: pem(P256) * (KEYS_MAX + 1), f"has {KEYS_MAX + 1} public keys"),
        (lambda: key_set(), "has 0 public keys"),
        (lambda: private_pem(P256), "private or secret key"),
        (lambda: key_set(jwk(P256, d="AAAA")), "private or secret key"),
        (lambda: key_set({"kty": "oct", "k": "AAAA"}), "private or secret key"),
        (lambda: pem(SMALL), "2048 to 8192 bits"),
        (lambda: key_set(jwk(SMALL)), "2048 to 8192 bits"),
        (lambda: pem(OTHER_CURVE), "use P-256"),
        (lambda: key_set(jwk(P256) | {"crv": "P-384"}), "use P-256"),
        (lambda: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "no public key"),
        (lambda: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "no public key"),
        (lambda: key_set(jwk(P256) | {"x": "AAAA"}), "not a valid public key"),
        (lambda: key_set(jwk(P256) | {"x": 7}), "not a valid public key"),
        (lambda: key_set(jwk(ED25519) | {"x": "AAAA"}), "not a valid public key"),
        (lambda: "{", "not valid JSON"),
        (lambda: '{"keys": 7}', "list of keys"),
        (lambda: '{"keys": [7]}', "list of keys"),
        (lambda: '{"kty": "EC"}', "list of keys"),
    ],
)
def test_what_is_no_public_key_says_what_would_be(text: Callable[[], str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        read_verifying_keys(text(), field="identity_keys_file")
    assert caught.value.field == "identity_keys_file"
    assert "AAAA" not in caught.value.message
