import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from pushkeep.domain.identity import LIFETIME_SECONDS_MAX, TOKEN_CHARACTERS_MAX, Identity
from pushkeep.domain.identity_jwt import verify_jwt
from pushkeep.domain.identity_keys import IdentityRules, read_verifying_keys
from pushkeep.errors import InvalidToken
from pushkeep.protocol.encoding import b64url_encode

SECRET = b"s" * 32
NOW = 1_800_000_000.0
CLAIMS = {"sub": "ann", "exp": NOW + 60, "iat": NOW - 1}
P256, OTHER_P256 = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()


def pem(private: Any) -> str:
    public = private.public_key()
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


RULES = IdentityRules(read_verifying_keys("".join(map(pem, (P256, RSA, ED25519))), field="keys"))


def part(value: object) -> str:
    return b64url_encode(json.dumps(value).encode())


def by_hand(header: object, claims: object = CLAIMS, secret: bytes = SECRET) -> str:
    """A token with an HMAC that is right, whatever the header says."""
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{b64url_encode(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def reason_of(token: object, rules: IdentityRules = RULES) -> str:
    with pytest.raises(InvalidToken) as caught:
        verify_jwt(SECRET, rules, token, now=NOW)
    assert caught.value.field == "identity"
    return caught.value.reason


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(SECRET, "HS256"), (P256, "ES256"), (RSA, "RS256"), (ED25519, "EdDSA")],
    ids=["HS256", "ES256", "RS256", "EdDSA"],
)
def test_what_other_libraries_sign_is_read(key: Any, algorithm: str) -> None:
    token = jwt.encode({**CLAIMS, "name": "Ann", "roles": [1]}, key, algorithm=algorithm, headers={"kid": "any"})
    assert verify_jwt(SECRET, RULES, token, now=NOW) == Identity("ann", NOW - 1)


def test_a_hand_made_one_is_read_and_needs_no_iat() -> None:
    token = by_hand({"alg": "HS256"}, {"sub": "ann", "exp": NOW + 60})
    assert verify_jwt(SECRET, IdentityRules(), token, now=NOW) == Identity("ann", None)


def test_a_public_key_is_no_secret() -> None:
    """Algorithm confusion: the verifier's public key, which everybody has, used as the HMAC's secret."""
    for private in (P256, RSA, ED25519):
        for known in (pem(private).encode(), pem(private).strip().encode()):
            assert reason_of(by_hand({"alg": "HS256"}, secret=known)) == "bad_signature"
            for algorithm in ("ES256", "RS256", "EdDSA"):
                assert reason_of(by_hand({"alg": algorithm}, secret=known)) == "bad_signature"
    asymmetric = IdentityRules(RULES.keys)
    assert reason_of(by_hand({"alg": "HS256"}, secret=b""), asymmetric) == "bad_signature"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "hs256"},
        {"alg": "HS512"},
        {"alg": "PS256"},
        {"alg": "ES384"},
        {"alg": ["HS256"]},
        {"alg": None},
        {},
        {"typ": "JWT"},
    ],
    ids=str,
)
def test_an_algorithm_that_no_key_is_for(header: dict[str, object]) -> None:
    assert reason_of(by_hand(header)) == "algorithm"
    assert reason_of(by_hand(header).rpartition(".")[0] + ".") == "algorithm"


def test_an_algorithm_that_would_do_with_a_key_that_is_not_configured() -> None:
    token = jwt.encode(CLAIMS, P256, algorithm="ES256")
    assert reason_of(token, IdentityRules()) == "algorithm"
    assert reason_of(jwt.encode(CLAIMS, OTHER_P256, algorithm="ES256")) == "bad_signature"


def test_a_token_brings_no_key_of_its_own() -> None:
    stranger = jwt.algorithms.ECAlgorithm.to_jwk(OTHER_P256.public_key(), as_dict=True)
    for extra in ({"jwk": stranger}, {"jku": "https://evil.example/keys"}, {"x5u": "https://evil.example"}):
        assert reason_of(jwt.encode(CLAIMS, OTHER_P256, algorithm="ES256", headers=extra)) == "bad_signature"


def test_a_named_key_is_the_only_one_tried() -> None:
    entry = jwt.algorithms.ECAlgorithm.to_jwk(P256.public_key(), as_dict=True)
    rules = IdentityRules(read_verifying_keys(json.dumps({"keys": [{**entry, "kid": "one"}]}), field="keys"))
    for name, held in (({"kid": "one"}, True), ({}, True), ({"kid": "two"}, False)):
        token = jwt.encode(CLAIMS, P256, algorithm="ES256", headers=name)
        if held:
            assert verify_jwt(SECRET, rules, token, now=NOW).external_id == "ann"
        else:
            assert reason_of(token, rules) == "bad_signature"
    assert reason_of(by_hand({"alg": "ES256", "kid": ["one"]}), rules) == "bad_signature"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": NOW}, "expired"),
        ({"exp": NOW + LIFETIME_SECONDS_MAX + 1}, "expires_too_late"),
        ({"exp": None}, "malformed"),
        ({"exp": "tomorrow"}, "malformed"),
        ({"exp": True}, "malformed"),
        ({"exp": float("inf")}, "malformed"),
        ({"iat": NOW + 61}, "not_yet_valid"),
        ({"iat": "now"}, "malformed"),
        ({"iat": None}, "malformed"),
        ({"iat": -1}, "malformed"),
        ({"nbf": NOW + 61}, "not_yet_valid"),
        ({"nbf": {}}, "malformed"),
        ({"sub": None}, "malformed"),
        ({"sub": 17}, "malformed"),
        ({"sub": ""}, "malformed"),
        ({"sub": "a\nb"}, "malformed"),
        ({"sub": "x" * 201}, "malformed"),
        ({"aud": "shop"}, "wrong_audience"),
        ({"aud": ["shop"]}, "wrong_audience"),
        ({"aud": 7}, "malformed"),
        ({"aud": [7]}, "malformed"),
    ],
    ids=str,
)
def test_claims_that_do_not_hold(claims: dict[str, object], reason: str) -> None:
    assert reason_of(by_hand({"alg": "HS256"}, {**CLAIMS, **claims})) == reason


def test_clocks_may_differ_a_little() -> None:
    token = by_hand({"alg": "HS256"}, {**CLAIMS, "iat": NOW + 60, "nbf": NOW + 60})
    assert verify_jwt(SECRET, RULES, token, now=NOW).issued_at == NOW + 60


@pytest.mark.parametrize("named", ["shop", ["other", "shop"]])
def test_an_audience_is_wanted_where_one_is_set(named: object) -> None:
    rules = IdentityRules(audience="shop")
    assert verify_jwt(SECRET, rules, by_hand({"alg": "HS256"}, {**CLAIMS, "aud": named}), now=NOW).external_id == "ann"
    assert reason_of(by_hand({"alg": "HS256"}, {**CLAIMS, "aud": "shop2"}), rules) == "wrong_audience"
    assert reason_of(by_hand({"alg": "HS256"}, {**CLAIMS, "aud": []}), rules) == "wrong_audience"
    assert reason_of(by_hand({"alg": "HS256"}), rules) == "wrong_audience"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "ey",
        "..",
        "a.b.c",
        "a.b.c.d.e",
        by_hand({"alg": "HS256", "crit": ["exp"], "exp": 1}),
        by_hand({"alg": "HS256", "b64": False}),
        by_hand(["HS256"]),
        by_hand({"alg": "HS256"}, ["ann"]),
        by_hand({"alg": "HS256"}) + "x" * TOKEN_CHARACTERS_MAX,
        "é",
        None,
        7,
    ],
)
def test_what_is_no_token(token: object) -> None:
    assert reason_of(token) in ("malformed", "algorithm")


@settings(deadline=None)  # the first call pays for what is loaded lazily
@given(st.data())
def test_any_changed_character_is_noticed(data: st.DataObject) -> None:
    token = by_hand({"alg": "HS256"})
    at = data.draw(st.integers(0, len(token) - 2))  # the last one has bits that decoding drops
    other = data.draw(st.sampled_from("ABCxyz019-_.").filter(lambda character: character != token[at]))
    with pytest.raises(InvalidToken):
        verify_jwt(SECRET, RULES, token[:at] + other + token[at + 1 :], now=NOW)


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=200))
def test_nonsense_is_an_invalid_token(text: str) -> None:
    with pytest.raises(InvalidToken):
        verify_jwt(SECRET, RULES, text, now=NOW)
