"""What a strict push service refuses besides: whatever any vendor or RFC forbids, and what a good sender avoids.

One row per rule, read from the top; the first that a request breaks is the answer. The rules look at one request;
those with a memory are in :mod:`.strict`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pushkeep.errors import InvalidInput
from pushkeep.protocol.contact import check_contact
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.keys import decode_point
from pushkeep.pushservice.personalities.strict_facts import SEALED_HEADER_BYTES, Facts

EXPIRY_SECONDS_MAX = 12.5 * 3600
"""12 hours and room for a clock that goes wrong; the 24 hours that RFC 8292 allows leave none."""

EXPIRY_SECONDS_MIN = 60
"""A token must still hold when the request arrives, by a clock that may go half a minute wrong."""

BODY_BYTES_MAX = 4_096
"""RFC 8030 section 7.2 promises no more, and no vendor but Microsoft takes more."""

_BODY_BYTES_MIN = 104
_SINGLE_FIELDS = frozenset(
    {"ttl", "urgency", "topic", "authorization", "content-encoding", "content-length", "crypto-key", "encryption"}
)
_URGENCIES = frozenset({"very-low", "low", "normal", "high"})
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_PLACEHOLDER = re.compile(
    r"[@./](?:example\.(?:com|org|net)|your-?(?:domain|site|company|app)\.[a-z]+|(?:test|domain|mysite|mydomain)\.com)"
    r"(?:[/?:]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row.

    Attributes:
        name: as events and the ``X-Pushkeep-Rule`` header have it.
        says: the sentence of the refusal: what is wrong, and what would be right.
        source: who asks for it.
        breaks: whether a request breaks the rule; None for rules with a memory.
        status: of the refusal.
    """

    name: str
    says: str
    source: str
    breaks: Callable[[Facts], bool] | None = None
    status: int = 400


def _is_bad_contact(facts: Facts) -> bool:
    try:
        check_contact(str(facts.claim("sub")))
    except InvalidInput:
        return True
    return False


def _is_padded(facts: Facts) -> bool:
    k, parts = facts.parameters.get("k", "A"), facts.parameters.get("t", "A").split(".")
    return not all(_BASE64URL.fullmatch(text) for text in (k, *parts))


def _is_no_point(facts: Facts) -> bool:
    if not facts.is_sealed:
        return False
    try:
        decode_point(facts.as_public, field="key id")
    except InvalidInput:
        return True
    return facts.body[20] != 65


def _is_vapid_key(facts: Facts) -> bool:
    try:
        public = b64_decode(facts.parameters.get("k"), field="k")
    except InvalidInput:
        return False
    return facts.is_sealed and facts.as_public == public


def _has_many_records(facts: Facts) -> bool:
    return facts.is_sealed and not 18 <= len(facts.body) - SEALED_HEADER_BYTES <= int.from_bytes(facts.body[16:20])


def _contradicts_ttl(facts: Facts) -> bool:
    wanted = "no-cache" if facts.ttl == 0 else "cache"
    given = (facts.value("x-wns-cache-policy") or "cache").lower()
    return facts.vendor == "wns" and facts.ttl is not None and given != wanted


_HEADER_RULES = (
    Rule(
        "header_repeated",
        "A header field comes twice: send TTL, Urgency, Topic, Authorization and those of the content once each.",
        "RFC 8030 section 5.3, RFC 9110 section 5.3",
        lambda f: any(len(values) > 1 and name in _SINGLE_FIELDS for name, values in f.fields.items()),
    ),
    Rule(
        "body_chunked",
        "The body is chunked: send it whole, with a Content-Length.",
        "Microsoft, push request headers",
        lambda f: f.value("transfer-encoding") is not None,
    ),
    Rule(
        "length_missing",
        "Content-Length is missing: send it, also over HTTP/2.",
        "Microsoft, push request headers",
        lambda f: f.value("content-length") is None,
        411,
    ),
    Rule(
        "expect_sent",
        "Expect: 100-continue costs a round trip and not every service answers it: leave it out.",
        "Microsoft, push request headers",
        lambda f: f.value("expect") is not None,
    ),
    Rule("ttl_missing", "TTL is missing: send it, in seconds.", "RFC 8030 section 5.2", lambda f: not f.value("ttl")),
    Rule(
        "ttl_malformed",
        "TTL is not a whole number of seconds, in digits alone.",
        "RFC 8030 section 5.2",
        lambda f: f.ttl is None,
    ),
    Rule(
        "ttl_over_limit",
        "TTL is over what this service keeps a message: 28 days at Google, 30 at Mozilla and Apple.",
        "Mozilla's and Apple's documentation, autopush-rs' settings for FCM",
        lambda f: f.ttl is not None and f.ttl_seconds_max is not None and f.ttl > f.ttl_seconds_max,
    ),
    Rule(
        "ttl_zero",
        "TTL is 0, and Apple asks for a positive one: send at least 1.",
        "Apple, sending web push notifications",
        lambda f: f.vendor == "apple" and f.ttl == 0,
    ),
    Rule(
        "ttl_cache_policy",
        "X-WNS-Cache-Policy must be no-cache with TTL 0, and cache or left out with any other.",
        "reported by senders (Edge on Windows)",
        _contradicts_ttl,
    ),
    Rule(
        "urgency_unknown",
        "Urgency must be very-low, low, normal or high, in small letters.",
        "RFC 8030 section 5.3",
        lambda f: f.value("urgency") is not None and f.value("urgency") not in _URGENCIES,
    ),
    Rule(
        "topic_malformed",
        "Topic must be 1 to 32 characters of A-Z a-z 0-9 _ -, without padding.",
        "RFC 8030 section 5.4",
        lambda f: f.value("topic") is not None and not _TOPIC.fullmatch(f.value("topic") or ""),
    ),
    Rule(
        "topic_undecodable",
        "Topic has a length that no base64url text has: not 1, 5, 9, … 29 characters at Apple.",
        "reported by senders (BadWebPushTopic)",
        lambda f: f.vendor == "apple" and len(f.value("topic") or "") % 4 == 1,
    ),
    Rule(
        "receipt_asked",
        "Prefer: respond-async and Link ask for a delivery receipt, which no push service gives.",
        "Mozilla's documentation",
        lambda f: f.value("prefer") is not None or f.value("link") is not None,
    ),
)

_TOKEN_RULES = (
    Rule(
        "token_missing",
        "Authorization is missing: sign the request, `vapid t=<token>, k=<public key>`.",
        "RFC 8292 section 3",
        lambda f: f.vendor != "unifiedpush" and f.value("authorization") is None,
        401,
    ),
    Rule(
        "token_scheme",
        "Authorization is not of the scheme vapid; WebPush and Bearer are from drafts.",
        "RFC 8292 section 3",
        lambda f: f.value("authorization") is not None and not f.parameters,
        401,
    ),
    Rule(
        "base64_padded",
        "k and t must be base64url without padding: no + / =.",
        "RFC 8292 section 3.2, RFC 7515 section 2",
        lambda f: bool(f.parameters) and _is_padded(f),
        401,
    ),
    Rule(
        "aud_not_origin",
        "aud must be the endpoint's origin and nothing more: no path, no final slash, no :443, no list.",
        "RFC 8292 section 2, RFC 6454 section 6.1",
        lambda f: f.claims is not None and f.claim("aud") != f.origin,
        401,
    ),
    Rule(
        "exp_malformed",
        "exp is missing or not a number of seconds since 1970.",
        "RFC 8292 section 2, RFC 7519 section 4.1.4",
        lambda f: f.claims is not None and f.expires_in is None,
        401,
    ),
    Rule(
        "exp_fractional",
        "exp has a decimal point, which JWT allows and Mozilla refuses: send a whole number of seconds.",
        "autopush-rs, headers/vapid.rs (errno 109)",
        lambda f: isinstance(f.claim("exp"), float),
        401,
    ),
    Rule(
        "exp_too_far",
        "exp is more than 12.5 hours ahead: sign for 12 hours, so that a clock that goes wrong does no harm.",
        "web-push's default, py_vapid's trap",
        lambda f: f.expires_in is not None and f.expires_in > EXPIRY_SECONDS_MAX,
        401,
    ),
    Rule(
        "exp_too_near",
        "exp is less than a minute ahead or past: renew tokens early, and also for a retry.",
        "RFC 8292 section 5",
        lambda f: f.expires_in is not None and f.expires_in < EXPIRY_SECONDS_MIN,
        401,
    ),
    Rule(
        "sub_missing",
        "sub is missing: name a mailto: or https: contact, which Apple demands.",
        "Apple, sending web push notifications",
        lambda f: f.claims is not None and not f.claim("sub"),
        401,
    ),
    Rule(
        "sub_malformed",
        "sub must be mailto: with one plain address or an https: URL, at a host that is reachable from outside.",
        "Apple, and reported by senders (BadJwtToken)",
        lambda f: f.claims is not None and _is_bad_contact(f),
        401,
    ),
    Rule(
        "sub_placeholder",
        "sub is the placeholder of an example: put in a contact that exists.",
        "RFC 8292 section 2.1",
        lambda f: bool(_PLACEHOLDER.search(str(f.claim("sub")))),
        401,
    ),
)

_BODY_RULES = (
    Rule(
        "encoding_without_body",
        "Content-Encoding is there and a body is not: leave the header out.",
        "RFC 8188 section 2",
        lambda f: f.request.body_bytes == 0 and f.value("content-encoding") is not None,
    ),
    Rule(
        "encoding_legacy",
        "Content-Encoding is aesgcm, a draft that only browsers of 2017 need: send aes128gcm.",
        "RFC 8291 section 4",
        lambda f: f.is_legacy,
    ),
    Rule(
        "encoding_missing",
        "A body must come with Content-Encoding: aes128gcm.",
        "RFC 8291 section 4",
        lambda f: f.request.body_bytes > 0 and not f.is_legacy and f.value("content-encoding") != "aes128gcm",
    ),
    Rule(
        "legacy_headers",
        "Encryption and Crypto-Key belong to aesgcm: leave them out with aes128gcm.",
        "RFC 8291 section 4, autopush-rs (errno 110)",
        lambda f: not f.is_legacy and not {"encryption", "crypto-key"}.isdisjoint(f.fields),
    ),
    Rule(
        "body_too_large",
        "The body is over 4096 octets, which is 3993 of plaintext: send less.",
        "RFC 8030 section 7.2",
        lambda f: f.request.body_bytes > BODY_BYTES_MAX,
        413,
    ),
    Rule(
        "body_too_short",
        "The body is under 104 octets, and Chromium drops it: pad an empty message, or send no body.",
        "Chromium, message_payload_parser.cc",
        lambda f: not f.is_legacy and 0 < f.request.body_bytes < _BODY_BYTES_MIN,
    ),
    Rule(
        "key_off_curve",
        "The body's key id is not an uncompressed point on P-256.",
        "RFC 8291 section 4",
        _is_no_point,
    ),
    Rule(
        "records_many",
        "The body is not exactly one record: its record size must be at least what follows the header.",
        "RFC 8291 section 4",
        _has_many_records,
    ),
    Rule(
        "key_for_both",
        "The body is encrypted with the VAPID key itself: make a key pair for each message.",
        "RFC 8292 section 3.2",
        _is_vapid_key,
    ),
    Rule(
        "payload_missing",
        "A push without payload shows nothing by itself, and Safari ends the subscription after three such: send one.",
        "WebKit (silent pushes)",
        lambda f: f.vendor == "apple" and f.request.body_bytes == 0,
    ),
)

REQUEST_RULES: tuple[Rule, ...] = (*_HEADER_RULES, *_TOKEN_RULES, *_BODY_RULES)
"""Those that look at one request alone, in the order in which they are read."""

TOKEN_REFRESHED = Rule(
    "token_refreshed",
    "The token was signed afresh within an hour of the one before: keep it, per key and origin, for hours.",
    "Apple, sending web push notifications; RFC 8292 section 5",
    status=401,
)
SALT_REUSED = Rule(
    "salt_reused", "The salt was used before: draw 16 random octets for each message.", "RFC 8188 section 2"
)
KEY_REUSED = Rule(
    "key_reused",
    "The body's key was used before: make a key pair for each message.",
    "RFC 8291 section 3.1",
)
PAYLOAD_BLANK = Rule(
    "payload_blank",
    "No notification can be made of the decrypted payload, and Safari ends the subscription after three such.",
    "WebKit (silent pushes, declarative messages)",
)

RULES: tuple[Rule, ...] = (*REQUEST_RULES, TOKEN_REFRESHED, SALT_REUSED, KEY_REUSED, PAYLOAD_BLANK)
"""Every rule."""
