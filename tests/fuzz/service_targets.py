"""What a receiver reads: push requests, sealed bodies, tokens, and the frames of Firefox and Chromium."""

from __future__ import annotations

import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pushkeep.protocol.aesgcm import (
    crypto_key_header,
    encryption_header,
    open_legacy,
    seal_legacy,
)
from pushkeep.protocol.ece import PLAINTEXT_BYTES_MAX, derive, open_sealed, seal
from pushkeep.protocol.encoding import b64_decode, b64url_encode
from pushkeep.protocol.request import TTL_SECONDS_MAX, Urgency, parse_request
from pushkeep.protocol.vapid import authorization_header, parse_authorization, verify
from pushkeep.pushservice import autopush_frames
from pushkeep.pushservice.fcm import mcs_frames, protobuf
from pushkeep.pushservice.limits import Limits
from tests.fuzz.sender_targets import KEY, NOW
from tests.fuzz.target import Target, lines_of, text_of
from tests.protocol.vectors import (
    AS_PRIVATE,
    AS_PUBLIC,
    AUTH,
    BODY,
    ECDH_SECRET,
    SALT,
    UA_PRIVATE,
    UA_PUBLIC,
    VAPID_HEADER,
    WALRUS_TWO_RECORDS,
    Legacy,
)

AUDIENCE = "https://push.example.net"
FRAME_BYTES_MAX = 4096


def sealed(data: bytes) -> None:
    opened = open_sealed(data, ua_private=UA_PRIVATE, auth=AUTH)
    assert len(opened) < len(data)


def sealed_record(data: bytes) -> None:
    """The record is rightly encrypted, so that whatever it holds is looked at."""
    cipher, nonce = derive(ECDH_SECRET, auth=AUTH, ua_public=UA_PUBLIC, as_public=AS_PUBLIC, salt=SALT)
    record = AESGCM(cipher).encrypt(nonce, data, None)
    opened = open_sealed(BODY[:86] + record, ua_private=UA_PRIVATE, auth=AUTH)
    assert data.startswith(opened + b"\x02")
    assert len(opened) <= PLAINTEXT_BYTES_MAX


def legacy(data: bytes) -> None:
    """Lines: Encryption, Crypto-Key, then the body."""
    encryption, crypto_key, body = lines_of(data, 3)
    opened = open_legacy(
        body,
        encryption=text_of(encryption),
        crypto_key=text_of(crypto_key),
        ua_private=Legacy.UA_PRIVATE,
        auth=Legacy.AUTH,
    )
    assert len(opened) < len(body)


def authorization(data: bytes) -> None:
    header = text_of(data)
    _, public = parse_authorization(header)
    assert len(public) == 65
    verify(header, audience=AUDIENCE, now=NOW)


def claims(data: bytes) -> None:
    """The signature holds, so that whatever the token says is looked at."""
    head, _, said = data.partition(b"\n")
    signed = f"{b64url_encode(head)}.{b64url_encode(said)}"
    found = verify(authorization_header(_signed(signed), KEY), audience=AUDIENCE, now=NOW)
    assert NOW < found.expires_at <= NOW + 86_400
    assert found.audience == AUDIENCE


def push_request(data: bytes) -> None:
    """A header field to each line, then an empty line and the body; no more of either than HTTP lets through."""
    limits = Limits()
    head, _, body = data[: limits.request_line_and_header_bytes_max].partition(b"\n\n")
    fields = [tuple(line.decode("latin-1").partition(":")[::2]) for line in head.split(b"\n")]
    push = parse_request([(name, value) for name, value in fields], body)
    assert 0 <= push.ttl <= TTL_SECONDS_MAX
    assert push.urgency in Urgency
    assert push.topic is None or 0 < len(push.topic) <= 32


def base64(data: bytes) -> None:
    decoded = b64_decode(text_of(data), field="value", length_max=1000)
    assert len(decoded) <= 1000
    assert b64_decode(b64url_encode(decoded), field="value") == decoded


def autopush(data: bytes) -> None:
    autopush_frames.parse(text_of(data))


def mcs(data: bytes) -> None:
    """In pieces of many sizes; what is kept for the next frame never exceeds what was fed."""
    reader = mcs_frames.FrameReader(FRAME_BYTES_MAX)
    step = max(1 + sum(data[:1]) % 64, len(data) // 256)
    for start in range(1, len(data), step):
        reader.feed(data[start : start + step])
        while (frame := reader.next_frame()) is not None:
            assert frame.last_stream_id_received >= 0
            if frame.tag == mcs_frames.Tag.LOGIN_REQUEST:
                mcs_frames.read_login(frame)


def protobuf_message(data: bytes) -> None:
    for number, value in protobuf.parse(data):
        assert number > 0
        assert not isinstance(value, int) or 0 <= value < 2**64


def _signed(signed: str) -> str:
    r, s = decode_dss_signature(KEY.private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{b64url_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


_CHANNEL = "d9b74644-4f97-46aa-b8fa-9393985cd6cd"
_FRAMES: tuple[dict[str, object], ...] = (
    {"messageType": "hello", "use_webpush": True, "uaid": "0" * 32, "broadcasts": {}},
    {"messageType": "register", "channelID": _CHANNEL, "key": KEY.public_b64},
    {"messageType": "unregister", "channelID": _CHANNEL, "code": 200},
    {"messageType": "ack", "updates": [{"channelID": _CHANNEL, "version": "v", "code": 100}]},
    {"messageType": "nack", "version": "v", "code": 301},
    {"messageType": "broadcast_subscribe", "broadcasts": {}},
    {},
)
_LOGIN = (
    protobuf.octets(3, "1")
    + protobuf.octets(5, "2")
    + protobuf.octets(10, "id")
    + protobuf.fixed64(7, 3)
    + protobuf.integer(16, 1)
)
MCS_LOGIN = bytes([7, 2]) + protobuf.encode_varint(len(_LOGIN)) + _LOGIN + bytes([0, 2, 16, 5])
_HEADERS = b"ttl: 60\nurgency: high\ntopic: news\ncontent-encoding: aes128gcm\n\n" + BODY
_LEGACY = encryption_header(Legacy.SALT).encode() + b";rs=4096\n" + crypto_key_header(Legacy.AS_PUBLIC).encode()

SERVICE_TARGETS = (
    Target(
        "sealed",
        sealed,
        (BODY, WALRUS_TWO_RECORDS, seal(b"x", ua_public=UA_PUBLIC, auth=AUTH, as_private=AS_PRIVATE, salt=SALT)),
    ),
    Target("sealed_record", sealed_record, (b"hello\x02\x00\x00", b"\x02", b"hello\x01", b"\x00\x00")),
    Target(
        "legacy",
        legacy,
        (
            _LEGACY + b"\n" + Legacy.BODY,
            _LEGACY
            + b"\n"
            + seal_legacy(
                b"x",
                ua_public=Legacy.UA_PUBLIC,
                auth=Legacy.AUTH,
                as_private=Legacy.AS_PRIVATE,
                salt=Legacy.SALT,
                padding=9,
            ),
        ),
    ),
    Target("authorization", authorization, (VAPID_HEADER.encode(),)),
    Target(
        "claims",
        claims,
        (
            b'{"typ":"JWT","alg":"ES256"}\n'
            + json.dumps({"aud": AUDIENCE, "exp": NOW + 60, "sub": "mailto:a@b.c"}).encode(),
        ),
    ),
    Target("push_request", push_request, (_HEADERS, b"ttl: 0\ncontent-encoding: aesgcm\nencryption: salt=a\n\nx")),
    Target("base64", base64, (b"AAAA", b"-_-_AA==", b"+/+/AA")),
    Target("autopush", autopush, tuple(json.dumps(frame).encode() for frame in _FRAMES)),
    Target("mcs", mcs, (MCS_LOGIN, b"\x00" + MCS_LOGIN[1:])),
    Target("protobuf", protobuf_message, (_LOGIN, protobuf.integer(2**29 - 1, 2**64 - 1))),
)
