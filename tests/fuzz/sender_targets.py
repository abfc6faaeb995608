"""What a sender reads: subscriptions, endpoints, origin maps, contacts, keys, answers of push services."""

from __future__ import annotations

import json
import unicodedata

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from pushkeep import SigningKey
from pushkeep.adapters.http2_reply import Reply
from pushkeep.domain.identity import sign_identity, verify_identity
from pushkeep.domain.origin_map import OriginMap
from pushkeep.protocol.answer import RETRY_AFTER_SECONDS_MAX, PushResponse, parse_retry_after
from pushkeep.protocol.contact import check_contact
from pushkeep.protocol.endpoint import Endpoint, parse_origin
from pushkeep.protocol.outcome import EXPLANATION_CHARACTERS_MAX, read_answer
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.vendors import VENDORS
from tests.fuzz.target import Target, lines_of, text_of
from tests.protocol.vectors import AS_PRIVATE, AUTH, UA_PUBLIC

_HIDDEN = ("Cc", "Zl", "Zp")  # of Cf a few are letters' own signs, which may stay
NOW = 1_800_000_000.0
ENDPOINT = "https://updates.push.services.mozilla.com/wpush/v2/gAAAAABf"
WNS_ENDPOINT = "https://wns2-ln2p.notify.windows.com/w/?token=BQYAAAC%2f%2bA%3d"
SUBSCRIPTION = Subscription(Endpoint.parse(ENDPOINT), UA_PUBLIC, AUTH)
KEY = SigningKey(AS_PRIVATE)


def subscription(data: bytes) -> None:
    found = Subscription.from_json(data)
    assert Subscription.from_json(found.to_json()).to_dict() == found.to_dict()
    assert found.endpoint.target not in repr(found) or found.endpoint.target in ("", "/")


def endpoint(data: bytes) -> None:
    text = text_of(data)
    found = Endpoint.parse(text)
    assert found.url == text
    assert parse_origin(found.origin) == found.origin
    assert Endpoint.parse(found.origin + (found.target or "/")).origin == found.origin
    assert found.host == found.host.lower()
    assert 0 < found.port < 65536


def origin_map(data: bytes) -> None:
    parsed = OriginMap.parse(text_of(data).split())
    for entry in parsed:
        again = OriginMap.parse([entry.to_text()])
        assert list(again) == [entry]


def contact(data: bytes) -> None:
    text = text_of(data)
    assert check_contact(text) == text
    assert text.isprintable()
    assert " " not in text


def key(data: bytes) -> None:
    found = SigningKey.read(data)
    assert len(found.public_bytes) == 65
    for written in (found.to_pem(), found.to_raw(), found.to_jwk()):
        assert SigningKey.read(written, public=found.public_b64).public_bytes == found.public_bytes


def public_key(data: bytes) -> None:
    assert SigningKey.read(KEY.to_raw(), public=data).public_bytes == KEY.public_bytes


def retry_after(data: bytes) -> None:
    seconds = parse_retry_after(text_of(data), NOW)
    assert seconds is None or 0 <= seconds <= RETRY_AFTER_SECONDS_MAX


def answer(data: bytes) -> None:
    """Lines: vendor and status, four header values, then the body."""
    first, *values, body = lines_of(data, 6)
    vendors = list(VENDORS.values())
    names = ("retry-after", "x-wns-error-description", "x-wns-status", "location")
    headers = {name: value.decode("latin-1") for name, value in zip(names, values, strict=True) if value}
    vendor, status = vendors[sum(first[:1]) % len(vendors)], int.from_bytes(first[1:3], "big") % 1000
    outcome = read_answer(vendor, PushResponse(status, headers, body), now=NOW, duration_ms=1.0)
    assert outcome.accepted or outcome.explanation is not None
    if outcome.explanation is not None:
        assert len(outcome.explanation.text) <= EXPLANATION_CHARACTERS_MAX
        assert not any(unicodedata.category(character) in _HIDDEN for character in outcome.explanation.text)
    assert outcome.retry_after is None or 0 <= outcome.retry_after <= RETRY_AFTER_SECONDS_MAX
    assert len(json.dumps(outcome.to_dict())) < 100_000


def reply(data: bytes) -> None:
    """Header lines as libcurl hands them over, behind a status line, and the body in pieces."""
    head, _, body = data.partition(b"\r\n\r\n")
    collected = Reply(body_bytes_max=1000, header_bytes_max=2000, header_lines_max=20)
    for line in (b"HTTP/2 201 \r\n", *(part + b"\r\n" for part in head.split(b"\r\n")), b"\r\n"):
        if collected.on_header(line) is not None:
            break
    for start in range(0, len(body), 300):
        if collected.on_body(body[start : start + 300]) is not None:
            break
    if collected.answered:
        response = collected.response()
        assert len(response.body) <= 1000
        assert sum(len(name) + len(value) for name, value in response.headers.items()) <= 2000


def identity(data: bytes) -> None:
    assert 0 < len(verify_identity(b"s" * 32, text_of(data), now=NOW).external_id) <= 200


_ANSWERS = (
    b"\x01\x01\x9a\n120\n\n\n\n" + b'{"code":410,"errno":106,"error":"Gone","message":"x","more_info":"http://a.b/c"}',
    b"\x02\x01\x90\n\n\n\n\n" + b'{"reason":"BadJwtToken"}',
    b"\x03\x01\x96\nSun, 06 Nov 2094 08:49:37 GMT\nTtl value conflicts\nchannelthrottled\n\n",
    b"\x00\x01\x93\n\n\n\n\n" + b"<HTML><script>x</script><h1>permission denied: invalid JWT provided</h1>",
    b"\x00\x00\xc9\n\n\n\nhttps://push.example.net/m/1\n",
)

_PRIVATE_BYTES = KEY.private.private_bytes
_KEYS = (
    KEY.to_pem().encode(),
    KEY.to_raw().encode(),
    json.dumps(KEY.to_jwk()).encode(),
    json.dumps({"publicKey": KEY.public_b64, "privateKey": KEY.to_raw()}).encode(),
    *(
        _PRIVATE_BYTES(encoding, form, NoEncryption())
        for encoding in (Encoding.PEM, Encoding.DER)
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
    ),
)
_PUBLIC = tuple(
    KEY.private.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    for encoding in (Encoding.PEM, Encoding.DER)
)

SENDER_TARGETS = (
    Target(
        "subscription",
        subscription,
        (
            SUBSCRIPTION.to_json().encode(),
            json.dumps({**SUBSCRIPTION.to_dict(), "expirationTime": 1e12, "encodings": ["aesgcm"]}).encode(),
            json.dumps(
                {**SUBSCRIPTION.to_dict(), "contentEncoding": "aesgcm", "supportedContentEncodings": []}
            ).encode(),
        ),
    ),
    Target(
        "endpoint",
        endpoint,
        (ENDPOINT.encode(), WNS_ENDPOINT.encode(), b"https://[2001:db8::1]:8443/x?y=%2f", b"https://1.2.3.4:443"),
    ),
    Target(
        "origin_map",
        origin_map,
        (
            b"https://push.example.net=https://127.0.0.1:8443,ca=/tmp/ca.pem,vendor=fcm",
            b"https://a.b=http://localhost:1 https://c.d:8443=https://[::1]:2,vendor=wns",
        ),
    ),
    Target("contact", contact, (b"mailto:ops@example.org", b"https://example.org/contact?a=b")),
    Target("key", key, _KEYS),
    Target("public_key", public_key, (KEY.public_b64.encode(), KEY.public_bytes, *_PUBLIC)),
    Target("retry_after", retry_after, (b"120", b"Sun, 06 Nov 2094 08:49:37 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT")),
    Target("answer", answer, _ANSWERS),
    Target("reply", reply, (b"ttl: 60\r\nlocation: https://a.b/m\r\n\r\nbody", b"HTTP/2 103 \r\n\r\n")),
    Target("identity", identity, (sign_identity(b"s" * 32, external_id="ann", expires_at=NOW + 60).encode(),)),
)
