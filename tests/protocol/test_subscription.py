import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.subscription import SUBSCRIPTION_JSON_BYTES_MAX, Subscription
from tests.protocol.vectors import AUTH, UA_PUBLIC

ENDPOINT = "https://updates.push.services.mozilla.com/wpush/v2/token"


def as_dict(**changes: object) -> dict[str, object]:
    keys = {"p256dh": b64url_encode(UA_PUBLIC), "auth": b64url_encode(AUTH)}
    return {"endpoint": ENDPOINT, "expirationTime": None, "keys": keys} | changes


def with_keys(**changes: object) -> dict[str, object]:
    return as_dict(keys={"p256dh": b64url_encode(UA_PUBLIC), "auth": b64url_encode(AUTH)} | changes)


def test_what_the_browser_gives_comes_back_the_same() -> None:
    subscription = Subscription.from_dict(as_dict())
    assert (subscription.p256dh, subscription.auth) == (UA_PUBLIC, AUTH)
    assert subscription.encodings == ("aes128gcm",)
    assert subscription.to_dict() == as_dict()
    assert Subscription.from_json(subscription.to_json()) == subscription


def test_unknown_fields_are_tolerated() -> None:
    value = as_dict(options={"userVisibleOnly": True}, colour="blue", encodings=["aes128gcm", "aesgcm"])
    assert Subscription.from_dict(value).encodings == ("aes128gcm", "aesgcm")


@pytest.mark.parametrize(
    ("fields", "encodings"),
    [
        ({"supportedContentEncodings": ["aes128gcm", "aesgcm"]}, ("aes128gcm", "aesgcm")),
        ({"encodings": ["aesgcm"]}, ("aesgcm",)),
        ({"contentEncoding": "aesgcm"}, ("aesgcm",)),
        ({"contentEncoding": "aesgcm", "encodings": ["aes128gcm"]}, ("aes128gcm",)),
        ({"supportedContentEncodings": None, "contentEncoding": None}, ("aes128gcm",)),
        ({"supportedContentEncodings": [], "contentEncoding": ""}, ("aes128gcm",)),
        ({"supportedContentEncodings": [], "contentEncoding": "aesgcm"}, ("aesgcm",)),
    ],
)
def test_encodings_are_read_under_every_name_they_go_by(fields: dict[str, object], encodings: tuple[str, ...]) -> None:
    subscription = Subscription.from_dict(as_dict(**fields))
    assert subscription.encodings == encodings
    assert Subscription.from_json(subscription.to_json()) == subscription


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padded", [True, False])
def test_keys_are_read_in_every_base64_spelling(encode: object, padded: bool) -> None:
    def spell(data: bytes) -> str:
        text = encode(data).decode()  # type: ignore[operator]
        return text if padded else text.rstrip("=")

    read = Subscription.from_dict(with_keys(p256dh=spell(UA_PUBLIC), auth=spell(AUTH)))
    assert read == Subscription.from_dict(as_dict())


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (None, "subscription"),
        ([], "subscription"),
        (as_dict(endpoint=None), "endpoint"),
        (as_dict(endpoint="http://x/"), "endpoint"),
        (as_dict(keys=None), "keys"),
        (as_dict(keys="x"), "keys"),
        (with_keys(p256dh=None), "keys.p256dh"),
        (with_keys(p256dh=b64url_encode(UA_PUBLIC[:64])), "keys.p256dh"),
        (with_keys(p256dh=b64url_encode(b"\x02" + UA_PUBLIC[1:])), "keys.p256dh"),
        (with_keys(p256dh=b64url_encode(b"\x04" + bytes(64))), "keys.p256dh"),
        (with_keys(p256dh=b64url_encode(UA_PUBLIC[:-1] + b"\x00")), "keys.p256dh"),
        (with_keys(auth=b64url_encode(AUTH + b"x")), "keys.auth"),
        (with_keys(auth=b64url_encode(b"abc")), "keys.auth"),
        (with_keys(auth=None), "keys.auth"),
        (as_dict(expirationTime="soon"), "expirationTime"),
        (as_dict(expirationTime=True), "expirationTime"),
        (as_dict(expirationTime=-1), "expirationTime"),
        (as_dict(expirationTime=float("inf")), "expirationTime"),
        (as_dict(expirationTime=float("nan")), "expirationTime"),
        (as_dict(encodings="aes128gcm"), "encodings"),
        (as_dict(encodings=[""]), "encodings"),
        (as_dict(encodings=["x" * 40]), "encodings"),
        (as_dict(encodings=[1]), "encodings"),
        (as_dict(encodings=["a"] * 9), "encodings"),
        (as_dict(supportedContentEncodings="aesgcm"), "supportedContentEncodings"),
        (as_dict(contentEncoding=7), "contentEncoding"),
    ],
)
def test_the_bad_field_is_named(value: object, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Subscription.from_dict(value)
    assert caught.value.field == field


def test_numbers_come_as_javascript_writes_them() -> None:
    assert Subscription.from_dict(as_dict(expirationTime=1.7e12)).expiration_time == 1_700_000_000_000


@pytest.mark.parametrize("text", ["", "{", "[" * 10_000, b"\xff\xfe\xfa", "null", '"x"', "{}"])
def test_text_that_is_no_subscription_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidInput):
        Subscription.from_json(text)


def test_huge_text_is_refused_unread() -> None:
    with pytest.raises(InvalidInput, match="16384"):
        Subscription.from_json(json.dumps(as_dict(filler="x" * SUBSCRIPTION_JSON_BYTES_MAX)))


def test_a_subscription_never_shows_its_secrets() -> None:
    shown = repr(Subscription.from_dict(as_dict()))
    assert "token" not in shown
    assert b64url_encode(AUTH) not in shown


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.fixed_dictionaries({}, optional={"endpoint": JSON, "keys": JSON, "expirationTime": JSON, "encodings": JSON}))
def test_any_json_is_read_or_refused(value: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        Subscription.from_dict(value)
