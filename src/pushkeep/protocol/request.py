"""One push request, built and parsed: RFC 8030 section 5 with the headers of RFC 8188 and 8292."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from pushkeep.errors import InvalidInput, PushkeepError
from pushkeep.protocol.aesgcm import crypto_key_header, encryption_header, header_parameters, seal_legacy
from pushkeep.protocol.ece import OVERHEAD_BYTES, seal
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.keys import encode_point
from pushkeep.protocol.padding import PaddingPolicy, no_padding
from pushkeep.protocol.sizes import check_size, plaintext_bytes_max, size_warning
from pushkeep.protocol.subscription import Subscription
from pushkeep.protocol.vapid import draft_headers
from pushkeep.protocol.vendors import UNKNOWN, Vendor

TTL_SECONDS_MAX = 2**31
"""RFC 8030 section 5.2 reads at least 31 bits and takes anything larger as 2,147,483,648."""

TTL_SECONDS_DEFAULT = 28 * 86_400
"""Four weeks, the longest that every known push service keeps a message. Zero, the default of other libraries,
drops the message for every browser that is not connected this second, and Microsoft refuses it."""

_DIGITS = re.compile(r"[0-9]+")
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_ENCODINGS = ("aes128gcm", "aesgcm")


class Urgency(StrEnum):
    """How much the message is worth to a device on battery (RFC 8030 section 5.3)."""

    VERY_LOW = "very-low"
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


_URGENCIES = frozenset(item.value for item in Urgency)


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How the push service shall treat one message.

    Attributes:
        ttl: seconds to keep it for a browser that is not connected; 0 is now or never.
        urgency: None leaves the header out, which means ``normal``.
        topic: replaces an undelivered message of the same topic; up to 32 characters of ``A-Z a-z 0-9 _ -``.
    """

    ttl: int = TTL_SECONDS_DEFAULT
    urgency: Urgency | None = None
    topic: str | None = None

    @classmethod
    def of(cls, *, ttl: int = TTL_SECONDS_DEFAULT, urgency: str | None = None, topic: str | None = None) -> PushOptions:
        """Check plain values.

        Raises:
            InvalidInput: ``ttl`` is not a whole number from 0 to 2^31, ``urgency`` is none of the four, ``topic``
                has other characters or more than 32.
        """
        if isinstance(ttl, bool) or not isinstance(ttl, int) or not 0 <= ttl <= TTL_SECONDS_MAX:
            raise InvalidInput(f"ttl must be whole seconds from 0 to {TTL_SECONDS_MAX}.", field="ttl")
        if urgency is not None and (not isinstance(urgency, str) or urgency not in _URGENCIES):
            raise InvalidInput(f"urgency must be one of {', '.join(Urgency)}.", field="urgency")
        if topic is not None and (not isinstance(topic, str) or not _TOPIC.fullmatch(topic)):
            raise InvalidInput("topic must be 1 to 32 characters of A-Z a-z 0-9 _ -.", field="topic")
        return cls(ttl, None if urgency is None else Urgency(urgency), topic)


@dataclass(frozen=True, slots=True, repr=False)
class PushRequest:
    """A POST, ready for any HTTP client.

    Attributes:
        endpoint: where to; the URL goes on the wire byte for byte.
        headers: names in their usual spelling, without Host and Content-Length.
        body: the encrypted message, or nothing.
        warnings: what the sender should know about it although it can be sent, a sentence each.
    """

    endpoint: Endpoint
    headers: tuple[tuple[str, str], ...]
    body: bytes
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<PushRequest {self.endpoint.label} {len(self.body)} octets>"


def build_request(
    subscription: Subscription,
    payload: bytes | None,
    *,
    options: PushOptions,
    authorization: str | None,
    as_private: EllipticCurvePrivateKey | None,
    salt: bytes,
    padding: PaddingPolicy = no_padding,
    vendor: Vendor = UNKNOWN,
) -> PushRequest:
    """Encrypt and dress one message.

    The encoding is negotiated from what the subscription lists. With the legacy one the VAPID header takes the form of
    its time, draft-ietf-webpush-vapid-01.

    Args:
        subscription: whom to send to.
        payload: the plaintext; None or empty sends a message without payload, which wakes the worker.
        options: TTL, urgency and topic.
        authorization: the VAPID header's value; None for services that need none.
        as_private: a key pair made for this message; may be None without payload.
        salt: 16 random octets made for this message.
        padding: decides how many zeros to add.
        vendor: the push service's row, for what it wants spelled differently and for its limits.

    Raises:
        PayloadTooLarge: the payload exceeds 3,993 octets, or what the push service takes.
        InvalidInput: the subscription lists no encoding we know.
        InvalidToken: with the legacy encoding, ``authorization`` is not of the form of RFC 8292.
    """
    ttl = ttl_for(vendor, options.ttl)
    headers = [("TTL", str(ttl))]
    warnings: tuple[str, ...] = ()
    if ttl < options.ttl:
        warnings = (f"ttl was cut to {ttl} seconds, the longest that {vendor.title} keeps a message.",)
    if vendor.cache_policy:
        headers.append(("X-WNS-Cache-Policy", "cache" if ttl else "no-cache"))
    if options.urgency is not None:
        headers.append(("Urgency", options.urgency.value))
    if options.topic is not None:
        headers.append(("Topic", topic_for(vendor, options.topic)))
    if not payload:
        if authorization is not None:
            headers.append(("Authorization", authorization))
        return PushRequest(subscription.endpoint, tuple(headers), b"", warnings)
    if as_private is None:
        raise InvalidInput("as_private is needed to encrypt a payload.", field="as_private")
    legacy = choose_encoding(subscription.encodings) == "aesgcm"
    check_size(vendor, len(payload), legacy=legacy)
    room = plaintext_bytes_max(vendor, legacy=legacy) - len(payload)
    zeros = padding(len(payload), room) if room else 0
    body = (seal_legacy if legacy else seal)(
        payload, ua_public=subscription.p256dh, auth=subscription.auth, as_private=as_private, salt=salt, padding=zeros
    )
    if legacy:
        headers += _legacy_headers(authorization, salt, encode_point(as_private.public_key()))
    else:
        if authorization is not None:
            headers.append(("Authorization", authorization))
        headers.append(("Content-Encoding", "aes128gcm"))
    headers.append(("Content-Type", "application/octet-stream"))
    warning = size_warning(vendor, len(payload) + zeros)
    return PushRequest(
        subscription.endpoint, tuple(headers), body, warnings if warning is None else (*warnings, warning)
    )


def _legacy_headers(authorization: str | None, salt: bytes, as_public: bytes) -> list[tuple[str, str]]:
    """What stands in the body of ``aes128gcm`` and in the one header of RFC 8292, as the drafts before had it."""
    headers, vapid_public = [], None
    if authorization is not None:
        authorization, vapid_public = draft_headers(authorization)
        headers.append(("Authorization", authorization))
    return [
        *headers,
        ("Content-Encoding", "aesgcm"),
        ("Encryption", encryption_header(salt)),
        ("Crypto-Key", crypto_key_header(as_public, vapid_public)),
    ]


def choose_encoding(listed: Sequence[str]) -> str:
    """The content encoding for a browser that lists these: ``aes128gcm`` wherever it can be.

    Raises:
        InvalidInput: it lists some, but none that is known.
    """
    if not listed or "aes128gcm" in listed:
        return "aes128gcm"
    if "aesgcm" in listed:
        return "aesgcm"
    raise InvalidInput(
        "subscription lists no encoding that is known, which are aes128gcm and aesgcm; its browser must subscribe "
        "again or get messages without payload.",
        field="encodings",
    )


def ttl_for(vendor: Vendor, ttl: int) -> int:
    """The TTL as this push service takes it.

    A longer one than the service keeps is cut here: Mozilla would cut it itself, and what Google and Apple answer to it
    is not documented. Apple's documentation wants a positive number, so 0 is sent as one second, which is as good as
    now or never.
    """
    ttl = max(ttl, vendor.ttl_seconds_min)
    return ttl if vendor.ttl_seconds_max is None else min(ttl, vendor.ttl_seconds_max)


def topic_for(vendor: Vendor, topic: str) -> str:
    """The topic as this push service takes it.

    Apple decodes the topic as base64url and refuses lengths that no encoded text has, one more than a multiple of 4.
    Such a topic is sent as a hash: the same for equal topics, which is all that a topic has to be.
    """
    return derive_topic(topic) if vendor.topic_must_decode and len(topic) % 4 == 1 else topic


def derive_topic(name: str) -> str:
    """A topic for a name of any length and alphabet: 32 characters that every push service takes, always the same."""
    # Half a surrogate pair, as JSON can hold it, is a name like any other.
    return b64url_encode(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:24])


class RequestProblem(PushkeepError):
    """A push request breaks a rule that push services check.

    Attributes:
        problem: ``missing_ttl``, ``bad_ttl``, ``negative_ttl``, ``bad_urgency``, ``bad_topic``, ``bad_encoding``,
            ``legacy_headers`` or ``body_too_short``.
    """

    code = "bad_push_request"

    def __init__(self, problem: str, message: str, *, field: str) -> None:
        super().__init__(message, field=field)
        self.problem = problem


@dataclass(frozen=True, slots=True, repr=False)
class ReceivedPush:
    """A push request as a push service reads it.

    Attributes:
        ttl: seconds, at most 2^31.
        urgency: ``normal`` where the header is absent.
        topic: or None.
        encoding: ``aes128gcm`` or ``aesgcm``; None without a body.
        authorization: the header's value, unchecked.
        encryption: the ``Encryption`` header of ``aesgcm``.
        crypto_key: the ``Crypto-Key`` header of ``aesgcm``.
        body: still encrypted.
    """

    ttl: int
    urgency: Urgency
    topic: str | None
    encoding: str | None
    authorization: str | None
    encryption: str | None
    crypto_key: str | None
    body: bytes


def parse_request(headers: Sequence[tuple[str, str]], body: bytes) -> ReceivedPush:
    """Read a push request's headers and body as RFC 8030 section 5 asks of a push service.

    Raises:
        RequestProblem: the first broken rule, in the order TTL, urgency, topic, encoding.
    """
    lines: dict[str, list[str]] = {}
    for name, value in headers:
        lines.setdefault(name.lower(), []).append(value.strip())
    ttl = _read_ttl(lines.get("ttl", []))
    urgency = _read_urgency(lines.get("urgency", []))
    topics = lines.get("topic", [])
    if len(topics) > 1 or any(not _TOPIC.fullmatch(topic) for topic in topics):
        raise RequestProblem("bad_topic", "Topic must be up to 32 characters of the base64url alphabet", field="Topic")
    encoding = _read_encoding(lines, body)
    first = {name: values[0] for name, values in lines.items()}
    return ReceivedPush(
        ttl,
        urgency,
        topics[0] if topics else None,
        encoding,
        first.get("authorization"),
        first.get("encryption"),
        first.get("crypto-key"),
        body,
    )


def _read_ttl(values: list[str]) -> int:
    if not values:
        raise RequestProblem("missing_ttl", "TTL header is missing", field="TTL")
    text = values[0]
    if len(values) == 1 and _DIGITS.fullmatch(text):
        return TTL_SECONDS_MAX if len(text) > 10 else min(int(text), TTL_SECONDS_MAX)
    if text.startswith("-") and _DIGITS.fullmatch(text[1:]):
        raise RequestProblem("negative_ttl", "TTL must not be negative", field="TTL")
    raise RequestProblem("bad_ttl", "TTL must be a whole number of seconds", field="TTL")


def _read_urgency(values: list[str]) -> Urgency:
    if not values:
        return Urgency.NORMAL
    if len(values) > 1 or values[0] not in _URGENCIES:
        raise RequestProblem("bad_urgency", f"Urgency must be one of {', '.join(Urgency)}", field="Urgency")
    return Urgency(values[0])


def _read_encoding(lines: dict[str, list[str]], body: bytes) -> str | None:
    if not body:
        return None
    values = lines.get("content-encoding", [])
    if len(values) != 1 or values[0] not in _ENCODINGS:
        raise RequestProblem("bad_encoding", "Content-Encoding must be aes128gcm or aesgcm", field="Content-Encoding")
    if values[0] == "aes128gcm":
        legacy_key = next(header_parameters(",".join(lines.get("crypto-key", [])), "dh"), None)
        if "encryption" in lines or legacy_key is not None:
            raise RequestProblem(
                "legacy_headers",
                "aes128gcm must not come with Encryption or Crypto-Key: dh",
                field="Encryption",
            )
        if len(body) < OVERHEAD_BYTES:
            raise RequestProblem(
                "body_too_short", f"an aes128gcm body has at least {OVERHEAD_BYTES} octets", field="body"
            )
    return values[0]
