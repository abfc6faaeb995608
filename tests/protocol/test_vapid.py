import json
import subprocess
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput, InvalidToken
from pushkeep.protocol.encoding import b64_decode, b64url_encode
from pushkeep.protocol.vapid import SigningKey, authorization_header, parse_authorization, sign, verify
from tests.protocol.vectors import VAPID_AUDIENCE, VAPID_EXPIRES_AT, VAPID_HEADER

KEY = SigningKey.generate()
NOW = 1_800_000_000.0
ORIGIN = "https://push.example.net:8443"


def header(key: SigningKey = KEY, **changes: object) -> str:
    values: dict[str, object] = {"audience": ORIGIN, "contact": "mailto:a@b.org", "expires_at": int(NOW) + 3600}
    return authorization_header(sign(key, **(values | changes)), key)  # type: ignore[arg-type]


def reason(value: str, *, audience: str = ORIGIN, now: float = NOW) -> str:
    with pytest.raises(InvalidToken) as caught:
        verify(value, audience=audience, now=now)
    return caught.value.reason


def signed_claims(claims: object, *, alg: str = "ES256") -> str:
    """A token with arbitrary claims and a signature that holds."""
    head = b64url_encode(json.dumps({"typ": "JWT", "alg": alg}).encode())
    signed = f"{head}.{b64url_encode(json.dumps(claims).encode())}"
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(KEY.private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return authorization_header(f"{signed}.{b64url_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}", KEY)


def test_rfc_8292_example_verifies() -> None:
    claims = verify(VAPID_HEADER, audience=VAPID_AUDIENCE, now=VAPID_EXPIRES_AT - 3600)
    assert (claims.contact, claims.expires_at) == ("mailto:push@example.com", VAPID_EXPIRES_AT)


def test_what_we_sign_verifies() -> None:
    claims = verify(header(), audience=ORIGIN, now=NOW)
    assert (claims.audience, claims.contact, claims.public_bytes) == (ORIGIN, "mailto:a@b.org", KEY.public_bytes)
    assert verify(header(contact=None), audience=ORIGIN, now=NOW).contact is None


def test_a_token_is_a_jws_with_a_raw_signature() -> None:
    token, public = parse_authorization(header())
    head, _, signature = token.split(".")
    assert json.loads(b64_decode(head, field="x")) == {"typ": "JWT", "alg": "ES256"}
    assert len(b64_decode(signature, field="x")) == 64
    assert public == KEY.public_bytes


def test_each_wrong_claim_has_its_reason() -> None:
    assert reason(header(), audience="https://push.example.net") == "wrong_audience"
    assert reason(header(expires_at=int(NOW))) == "expired"
    assert reason(header(expires_at=int(NOW) + 86_402)) == "expires_too_late"
    token, _ = parse_authorization(header())
    assert reason(authorization_header(token, SigningKey.generate())) == "bad_signature"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer x",
        "vapid t=x",
        "vapid k=x",
        "vapid t=a, t=b, k=c",
        "vapid t",
        "vapid " + "t=" + "x" * 5000,
        header().replace("t=", "t=.."),
        header().replace("t=", "t=!"),
        header().replace("t=ey", "t=e!"),
        signed_claims([]),
        signed_claims({"aud": ORIGIN, "exp": NOW}, alg="none"),
        signed_claims({"aud": ORIGIN}),
        signed_claims({"aud": ORIGIN, "exp": "soon"}),
        signed_claims({"aud": ORIGIN, "exp": True}),
        signed_claims({"aud": ORIGIN, "exp": float("nan")}),
        signed_claims({"aud": ORIGIN, "exp": 10**400}),
        signed_claims({"aud": ORIGIN, "exp": NOW, "sub": 7}),
    ],
)
def test_a_malformed_header_says_so(value: str) -> None:
    assert reason(value) == "malformed"


def test_a_key_that_is_no_point_says_so() -> None:
    assert reason("vapid t=x, k=" + b64url_encode(b"\x04" + bytes(64))) == "bad_key"
    assert reason("vapid t=x, k=abc") == "bad_key"


def test_unknown_parameters_and_quotes_are_ignored() -> None:
    token, _ = parse_authorization(header())
    value = f'vapid x=1, t="{token}",k={KEY.public_b64}'
    assert verify(value, audience=ORIGIN, now=NOW).audience == ORIGIN


@given(st.text(max_size=200))
def test_any_header_is_verified_or_refused(text: str) -> None:
    for value in (text, "vapid " + text, f"vapid t={text}, k={KEY.public_b64}"):
        with pytest.raises(InvalidToken):
            verify(value, audience=ORIGIN, now=NOW)


def pem(key: ec.EllipticCurvePrivateKey, form: PrivateFormat) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def test_a_key_survives_export_and_load() -> None:
    for text in (KEY.to_pem(), KEY.to_pem().encode(), pem(KEY.private, PrivateFormat.TraditionalOpenSSL)):
        assert SigningKey.from_pem(text).public_b64 == KEY.public_b64
    assert len(KEY.public_b64) == 87
    assert len(KEY.key_id) == 12
    assert KEY.key_id in repr(KEY)


def test_openssl_ecparam_output_loads() -> None:
    made = subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey"], capture_output=True, check=True, timeout=20
    ).stdout
    assert b"EC PARAMETERS" in made
    assert len(SigningKey.from_pem(made).public_bytes) == 65


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a PEM"),
        ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "not a PEM"),
        ("x" * 10_000, "8192"),
        (pem(ec.generate_private_key(ec.SECP384R1()), PrivateFormat.PKCS8), "P-256"),
        (
            rsa.generate_private_key(65537, 2048)
            .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            .decode(),
            "P-256",
        ),
        (
            KEY.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw")).decode(),
            "password",
        ),
        (
            KEY.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
            "not a PEM",
        ),
    ],
)
def test_a_wrong_key_file_gets_one_sentence(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        SigningKey.from_pem(text)
    assert caught.value.field == "key"


def test_a_short_scalar_is_padded_with_zeros() -> None:
    small = SigningKey(ec.derive_private_key(7, ec.SECP256R1()))
    assert SigningKey.from_pem(small.to_pem()).public_b64 == small.public_b64
    now = int(time.time())
    assert verify(
        authorization_header(sign(small, audience=ORIGIN, contact=None, expires_at=now + 60), small),
        audience=ORIGIN,
        now=now,
    )
