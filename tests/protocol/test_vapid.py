import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import InvalidToken
from pushkeep.protocol.encoding import b64_decode, b64url_encode
from pushkeep.protocol.signing_key import SigningKey
from pushkeep.protocol.vapid import authorization_header, parse_authorization, sign, verify
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
    assert isinstance(verify(header(), audience=ORIGIN, now=NOW).expires_at, int)
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


def test_a_key_with_leading_zeros_signs() -> None:
    small = SigningKey(ec.derive_private_key(7, ec.SECP256R1()))
    now = int(time.time())
    assert verify(
        authorization_header(sign(small, audience=ORIGIN, contact=None, expires_at=now + 60), small),
        audience=ORIGIN,
        now=now,
    )
