"""Keys as other tools write them, and what people paste instead of them."""

import base64
import json
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput
from pushkeep.protocol.der import read_der_key
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.key_formats import KeyFormat, read_private_key, read_public_key
from pushkeep.protocol.signing_key import SigningKey

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256 = bytes.fromhex("06082a8648ce3d030107")
P384 = bytes.fromhex("06052b81040022")
EC = bytes.fromhex("06072a8648ce3d0201")
KEY = SigningKey(ec.derive_private_key(7 << 240, ec.SECP256R1()))
OTHER = SigningKey(ec.derive_private_key(8, ec.SECP256R1()))


def scalar(key: SigningKey) -> bytes:
    return key.private.private_numbers().private_value.to_bytes(32, "big")


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    return bytes([tag, size] if size < 128 else [tag, 0x81, size]) + content


def sec1(secret: bytes, curve: bytes = P256, public: bytes = b"") -> bytes:
    parameters = tlv(0xA0, curve) if curve else b""
    point = tlv(0xA1, tlv(3, b"\0" + public)) if public else b""
    return tlv(0x30, tlv(2, b"\x01") + tlv(4, secret) + parameters + point)


def pkcs8(secret: bytes, curve: bytes = P256, public: bytes = b"") -> bytes:
    return tlv(0x30, tlv(2, b"\0") + tlv(0x30, EC + curve) + tlv(4, sec1(secret, b"", public)))


def pem(label: str, der: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n"


def jwk(**changes: object) -> dict[str, object]:
    return {name: value for name, value in (KEY.to_jwk() | changes).items() if value is not None}


def public_text(key: SigningKey, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> str:
    return key.private.public_key().public_bytes(Encoding.PEM, form).decode()


SEC1_PEM = KEY.private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
PARAMETERS = pem("EC PARAMETERS", P256)
LOCKED_SEC1 = KEY.private.private_bytes(
    Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"pw")
).decode()
LOCKED_PKCS8 = KEY.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw"))
RAW = KEY.to_raw()

READABLE = {
    "PKCS#8 PEM": (KEY.to_pem(), KeyFormat.PKCS8_PEM),
    "PKCS#8 PEM in octets": (KEY.to_pem().encode(), KeyFormat.PKCS8_PEM),
    "PEM with Windows line ends and a byte order mark": (
        b"\xef\xbb\xbf" + KEY.to_pem().replace("\n", "\r\n").encode(),
        KeyFormat.PKCS8_PEM,
    ),
    "PEM on one line, its line ends written out, in quotes": (
        '"' + KEY.to_pem().replace("\n", "\\n") + '"',
        KeyFormat.PKCS8_PEM,
    ),
    "PEM on one line, its line ends turned to spaces": (KEY.to_pem().replace("\n", " "), KeyFormat.PKCS8_PEM),
    "PEM indented": ("  " + KEY.to_pem().replace("\n", "\n    "), KeyFormat.PKCS8_PEM),
    "PEM after a comment and before its public key": (
        "my key\n" + KEY.to_pem() + public_text(KEY),
        KeyFormat.PKCS8_PEM,
    ),
    "SEC 1 PEM without EC PARAMETERS": (SEC1_PEM, KeyFormat.SEC1_PEM),
    "SEC 1 PEM with EC PARAMETERS": (PARAMETERS + SEC1_PEM, KeyFormat.SEC1_PEM),
    "SEC 1 PEM that names its curve nowhere else": (
        PARAMETERS + pem("EC PRIVATE KEY", sec1(scalar(KEY), b"")),
        KeyFormat.SEC1_PEM,
    ),
    "SEC 1 PEM with a short scalar": (pem("EC PRIVATE KEY", sec1(scalar(KEY).lstrip(b"\0"))), KeyFormat.SEC1_PEM),
    "PKCS#8 DER": (KEY.to_der(), KeyFormat.PKCS8_DER),
    "PKCS#8 DER with a short scalar": (pkcs8(scalar(KEY).lstrip(b"\0")), KeyFormat.PKCS8_DER),
    "PKCS#8 DER with a long scalar": (pkcs8(b"\0" + scalar(KEY)), KeyFormat.PKCS8_DER),
    "PKCS#8 DER without a public key": (pkcs8(scalar(KEY)), KeyFormat.PKCS8_DER),
    "PKCS#8 DER without a curve": (pkcs8(scalar(KEY), b""), KeyFormat.PKCS8_DER),
    "PKCS#8 DER with its public key": (pkcs8(scalar(KEY), P256, KEY.public_bytes), KeyFormat.PKCS8_DER),
    "PKCS#8 DER with something unknown": (tlv(0x30, KEY.to_der()[3:] + tlv(0xA1, tlv(2, b"x"))), KeyFormat.PKCS8_DER),
    "SEC 1 DER": (sec1(scalar(KEY)), KeyFormat.SEC1_DER),
    "DER in base64url, as py_vapid": (b64url_encode(KEY.to_der()), KeyFormat.PKCS8_DER),
    "JWK": (KEY.to_jwk(), KeyFormat.JWK),
    "JWK text": ("\n" + json.dumps(KEY.to_jwk()) + "\n", KeyFormat.JWK),
    "JWK without its public part": (jwk(x=None, y=None), KeyFormat.JWK),
    "JWK with a short d": (jwk(d=b64url_encode(scalar(KEY).lstrip(b"\0"))), KeyFormat.JWK),
    "raw base64url": (RAW, KeyFormat.RAW),
    "raw base64url in octets, quoted": (f"'{RAW}'\n".encode(), KeyFormat.RAW),
    "raw base64url, padded": (base64.urlsafe_b64encode(scalar(KEY)).decode(), KeyFormat.RAW),
    "raw base64": (base64.b64encode(scalar(KEY)).decode(), KeyFormat.RAW),
    "raw base64, unpadded": (base64.b64encode(scalar(KEY)).decode().rstrip("="), KeyFormat.RAW),
    "raw base64url, wrapped": (RAW[:20] + "\n" + RAW[20:], KeyFormat.RAW),
    "raw base64url with a line end written out, in quotes": (f"'{RAW}\\r\\n'", KeyFormat.RAW),
    "raw octets": (scalar(KEY), KeyFormat.RAW),
    "raw octets without the zero": (scalar(KEY)[1:], KeyFormat.RAW),
    "raw octets as Java writes a number": (b"\0" + scalar(KEY), KeyFormat.RAW),
    "what npm web-push prints": (
        json.dumps({"publicKey": KEY.public_b64, "privateKey": RAW}),
        KeyFormat.PAIR,
    ),
    "a pair without its public half": ({"privateKey": RAW}, KeyFormat.PAIR),
    "a pair with PEM in it": (json.dumps({"publicKey": KEY.public_b64, "privateKey": KEY.to_pem()}), KeyFormat.PAIR),
}


@pytest.mark.parametrize("name", READABLE)
def test_a_key_of_any_tool_just_loads(name: str) -> None:
    value, form = READABLE[name]
    found = read_private_key(value)  # type: ignore[arg-type]
    assert found.format is form
    assert SigningKey(found.private).public_b64 == KEY.public_b64
    assert SigningKey.read(value, public=KEY.public_b64).key_id == KEY.key_id  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="do not belong together"):
        SigningKey.read(value, public=OTHER.public_b64)  # type: ignore[arg-type]


UNREADABLE = {
    "nothing": ("", "has 0 octets"),
    "a file's name": ("vapid.pem", "name is no key"),
    "another type": (7, "must be text"),
    "too much": ("x" * 10_000, "8192"),
    "too much DER": (b"\x30\x82" + bytes(9000), "8192"),
    "a public PEM": (public_text(KEY), "is a public key"),
    "a public DER": (
        KEY.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "is a public key",
    ),
    "a public key as the browser gets it": (KEY.public_b64, "is a public key"),
    "a compressed public key": (b"\x02" + KEY.public_bytes[1:33], "is a public key"),
    "a public JWK": (jwk(d=None), "without d"),
    "a locked PKCS#8 PEM": (pem("ENCRYPTED PRIVATE KEY", LOCKED_PKCS8), "password"),
    "a locked PKCS#8 DER": (LOCKED_PKCS8, "password"),
    "a locked SEC 1 PEM": (LOCKED_SEC1, "password"),
    "a certificate PEM": (pem("CERTIFICATE", b"\x30\x00"), "certificate"),
    "a certificate DER": (tlv(0x30, tlv(0x30, b"") + tlv(0x30, b"") + tlv(3, bytes(40))), "certificate"),
    "an OpenSSH key": (pem("OPENSSH PRIVATE KEY", b"openssh"), "ssh-keygen"),
    "two keys": (KEY.to_pem() + OTHER.to_pem(), "2 private keys"),
    "half a PEM": (KEY.to_pem()[:-30], "complete PEM"),
    "an empty PEM": (pem("PRIVATE KEY", b""), "damaged"),
    "PEM of no base64": ("-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----", "damaged"),
    "parameters alone": (PARAMETERS, "complete PEM"),
    "P-384": (ec.generate_private_key(ec.SECP384R1()), "P-256"),
    "P-384 in SEC 1": (sec1(scalar(KEY), P384), "P-256"),
    "secp256k1": (ec.generate_private_key(ec.SECP256K1()), "P-256"),
    "RSA": (rsa.generate_private_key(65537, 2048), "P-256"),
    "Ed25519": (ed25519.Ed25519PrivateKey.generate(), "P-256"),
    "a curve spelled out badly": (sec1(scalar(KEY), tlv(0x30, b"")), "P-256"),
    "a curve that is no curve": (sec1(scalar(KEY), tlv(2, b"\1")), "P-256"),
    "a JWK of another kind": (jwk(crv="P-384"), "kty EC"),
    "a JWK set": ({"keys": [KEY.to_jwk()]}, "JWK set"),
    "a JWK whose x is another's": (jwk(x=OTHER.to_jwk()["x"]), "belong together"),
    "a JWK whose y is another's": (jwk(y=OTHER.to_jwk()["y"]), "belong together"),
    "a JWK whose d is no text": (jwk(d=7), "d must be"),
    "a JWK whose d is no base64": (jwk(d="!"), "d is not"),
    "a JWK whose x is no text": (jwk(x=[]), "x must be"),
    "broken JSON": ('{"kty":', "valid JSON"),
    "nested JSON": ('{"a":' * 1500, "valid JSON"),
    "a pair that is none": ({"privateKey": RAW, "publicKey": OTHER.public_b64}, "belong together"),
    "a pair with PEM in it that is none": (
        json.dumps({"privateKey": KEY.to_pem(), "publicKey": OTHER.public_b64}),
        "belong together",
    ),
    "a pair with half a public key": ({"privateKey": RAW, "publicKey": KEY.public_b64[:-1]}, "public key is none"),
    "a pair with an odd public key": ({"privateKey": RAW, "publicKey": 7}, "publicKey must be"),
    "a pair with an odd private key": ({"privateKey": None}, "privateKey must be"),
    "DER whose public half is no bit string": (
        tlv(0x30, tlv(2, b"\1") + tlv(4, scalar(KEY)) + tlv(0xA1, tlv(4, KEY.public_bytes))),
        "damaged",
    ),
    "DER whose public half is empty": (tlv(0x30, tlv(2, b"\1") + tlv(4, scalar(KEY)) + tlv(0xA1, b"")), "damaged"),
    "DER with a member of no meaning": (tlv(0x30, tlv(2, b"\1") + tlv(4, scalar(KEY)) + tlv(0xA2, b"")), "damaged"),
    "DER with another's public key": (sec1(scalar(KEY), P256, OTHER.public_bytes), "belong together"),
    "DER with a public key off the curve": (sec1(scalar(KEY), P256, b"\x04" + bytes(64)), "belong together"),
    "an authentication secret": (b64url_encode(bytes(16)), "has 16 octets"),
    "a raw key in hexadecimal": (scalar(KEY).hex(), "has 48 octets"),
    "33 octets": (b"\x07" + scalar(KEY), "has 33 octets"),
    "zero": (bytes(32), "zero or not below"),
    "the order": (ORDER.to_bytes(32, "big"), "zero or not below"),
    "above the order": (b"\xff" * 32, "zero or not below"),
    "zero in DER": (pkcs8(bytes(32)), "zero or not below"),
    "a scalar too long": (pkcs8(b"\1" + bytes(32)), "zero or not below"),
    "DER with something behind it": (KEY.to_der() + b"\0\0", "damaged"),
    "DER cut short": (KEY.to_der()[:-1], "damaged"),
    "DER of open length": (b"\x30\x80" + KEY.to_der(), "damaged"),
    "DER with a length of lengths": (b"\x30\x84" + bytes(40), "damaged"),
    "DER of another shape": (tlv(0x30, tlv(1, b"\1") * 20), "damaged"),
    "PKCS#8 of another shape": (
        tlv(0x30, tlv(2, b"\0") + tlv(0x30, EC + P256) + tlv(4, tlv(0x30, bytes(20)))),
        "damaged",
    ),
}


def given_as(value: object) -> object:
    if isinstance(value, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        return value.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return value


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_key_gets_one_sentence_without_the_key(name: str) -> None:
    value, said = UNREADABLE[name]
    with pytest.raises(InvalidInput, match=said) as caught:
        SigningKey.read(given_as(value))  # type: ignore[arg-type]
    assert caught.value.field == "key"
    assert caught.value.message.count(".") <= 3
    assert RAW[:10] not in caught.value.message


def test_rsa_in_its_old_form_is_on_no_curve() -> None:
    old = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    with pytest.raises(InvalidInput, match="P-256"):
        SigningKey.from_pem(old)


@pytest.mark.parametrize("options", [[], ["-noout"], ["-param_enc", "explicit"]])
@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1"])
def test_openssl_ecparam_output_loads_if_it_is_on_the_curve(curve: str, options: list[str]) -> None:
    command = ["openssl", "ecparam", "-name", curve, "-genkey", *options]
    made = subprocess.run(command, capture_output=True, check=True, timeout=20).stdout
    assert (b"EC PARAMETERS" in made) == (options != ["-noout"])
    if curve == "prime256v1":
        key = SigningKey.read(made)
        derived = subprocess.run(
            ["openssl", "ec", "-pubout", "-param_enc", "named_curve"], input=made, capture_output=True, check=True
        )
        assert read_public_key(derived.stdout) == key.public_bytes
    else:
        with pytest.raises(InvalidInput, match="P-256"):
            SigningKey.read(made)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, ORDER - 1) | st.integers(1, 2**240) | st.sampled_from([1, ORDER - 1]))
def test_writing_then_reading_is_the_identity(number: int) -> None:
    key = SigningKey(ec.derive_private_key(number, ec.SECP256R1()))
    raw = key.to_raw()
    assert len(raw) == 43
    copies = [
        SigningKey.from_pem(key.to_pem()),
        SigningKey.from_der(key.to_der()),
        SigningKey.from_jwk(key.to_jwk()),
        SigningKey.from_jwk(json.dumps(key.to_jwk())),
        SigningKey.from_raw(raw),
        SigningKey.from_raw(raw.encode()),
        SigningKey.from_raw(number.to_bytes(32, "big")),
    ]
    copies += [SigningKey.read(form) for form in (key.to_pem(), key.to_der(), key.to_jwk(), raw)]
    assert {copy.to_raw() for copy in copies} == {raw}
    assert {copy.public_b64 for copy in copies} == {key.public_b64}


@pytest.mark.parametrize(
    "form",
    [
        KEY.public_bytes,
        KEY.public_b64,
        KEY.public_b64.encode(),
        base64.b64encode(KEY.public_bytes).decode(),
        KEY.private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
        public_text(KEY),
        public_text(KEY).encode(),
        "'" + public_text(KEY).replace("\n", "\\n") + "'",
        KEY.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ],
)
def test_the_public_key_is_compared_in_any_form(form: str | bytes) -> None:
    assert read_public_key(form) == KEY.public_bytes
    assert SigningKey.read(RAW, public=form).key_id == KEY.key_id


@pytest.mark.parametrize(
    "form",
    [
        "",
        7,
        "x" * 10_000,
        "!",
        b"\x04" + bytes(64),
        b"\x30\x00",
        rsa.generate_private_key(65537, 2048)
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        ec.generate_private_key(ec.SECP384R1())
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ],
)
def test_what_is_no_public_key_is_refused(form: object) -> None:
    with pytest.raises(InvalidInput):
        read_public_key(form)  # type: ignore[arg-type]


def test_each_reader_takes_its_own_form_only() -> None:
    for reader, foreign in (
        (SigningKey.from_pem, RAW),
        (SigningKey.from_jwk, KEY.to_pem()),
        (SigningKey.from_raw, KEY.to_pem()),
        (SigningKey.from_raw, b64url_encode(KEY.to_der())),
    ):
        with pytest.raises(InvalidInput):
            reader(foreign)  # type: ignore[operator]


def refused_field(value: str | bytes) -> str | None:
    """The field that is blamed; None where the key was read."""
    try:
        SigningKey.read(value)
    except InvalidInput as error:
        return error.field
    return None


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    text = data.decode("latin-1")
    for value in (data, b"\x30" + data, text, "{" + text, pem("PRIVATE KEY", data)):
        assert refused_field(value) in (None, "key")


@given(st.integers(0, 200), st.binary(min_size=1, max_size=4))
def test_damaged_der_is_read_or_refused(at: int, damage: bytes) -> None:
    data = bytearray(pkcs8(scalar(KEY), P256, KEY.public_bytes))
    data[at : at + len(damage)] = damage
    assert refused_field(bytes(data)) in (None, "key")


def test_nothing_shows_a_secret() -> None:
    assert RAW not in repr(KEY)
    assert KEY.key_id in repr(KEY)
    for held in (read_der_key(KEY.to_der()), read_private_key(KEY.to_pem())):
        assert "scalar" not in repr(held)
    assert len(KEY.public_b64) == 87
    assert len(KEY.key_id) == 12
