"""Explanations of answers about our token or the message itself."""

from __future__ import annotations

from pushkeep.domain.explanations.rows import (
    APPLE_PAGE,
    AUTOPUSH,
    FCM_REPORTS,
    UNIFIEDPUSH_PAGE,
    WNS_PAGE,
    ExplanationRow,
    only,
    said,
    status,
)
from pushkeep.protocol.verdict import Verdict

_CLOCK = "this machine's clock is wrong, so that exp lies in the past or more than 24 hours ahead"
_AUDIENCE = "aud is not the endpoint's origin: with a path, a slash at its end, or another push service's"
_PAIR = "the public key in k does not belong to the private key that signed"

_BAD_TOKEN = (
    ExplanationRow(
        Verdict.BAD_TOKEN,
        "Apple refuses the token. This is the usual reason for “works on Chrome, silent on iPhone”: Google does not "
        "look at the contact, Apple does.",
        (
            "the contact (sub) is not a real address: missing, on localhost, .local or .invalid, a bare mail address, "
            "mailto: with a space, brackets or doubled",
            "exp is more than a day ahead, or past",
            _CLOCK,
            _AUDIENCE,
            _PAIR,
        ),
        "Set the contact to mailto:you@your-domain.org or https://your-domain.org/contact, then run `pushkeep doctor` "
        "for clock and key. No subscription has to be made anew.",
        f"{APPLE_PAGE}; Apple forums 725473",
        only("apple"),
        said=said("BadJwtToken"),
    ),
    ExplanationRow(
        Verdict.BAD_TOKEN,
        "Apple cannot read the Authorization header.",
        (
            "it is not of the form `vapid t=TOKEN, k=PUBLIC_KEY`",
            "the old form `WebPush TOKEN` with Crypto-Key was sent, which Apple does not take",
        ),
        "Send `Authorization: vapid t=…, k=…` (RFC 8292 section 3), as Pushkeep does.",
        f"{APPLE_PAGE}; RFC 8292 section 3",
        only("apple"),
        said=said("BadAuthorizationHeader"),
    ),
    ExplanationRow(
        Verdict.BAD_TOKEN,
        "Apple cannot read the public key.",
        ("k is not the 65 octets of a P-256 point in base64url without padding", _PAIR),
        "Take the public key from the private one: `pushkeep keys show FILE` prints it as it must be.",
        APPLE_PAGE,
        only("apple"),
        said=said("BadVapidPublicKey"),
    ),
    ExplanationRow(
        Verdict.BAD_TOKEN,
        "Google refuses the token.",
        (_PAIR, _AUDIENCE, _CLOCK),
        "Run `pushkeep doctor --key FILE` for key and clock; sign a token of its own for each push service.",
        f"{FCM_REPORTS}; zaru/webpush issue 82",
        only("fcm"),
        said=said("jwt|aud claim|token"),
    ),
    ExplanationRow(
        Verdict.BAD_TOKEN,
        "Google does not accept the sender (UnauthorizedRegistration).",
        (
            "the subscription was made with another key, if only this one is refused",
            "the key or the token is wrong, if all are refused",
            "the subscription is of a page that used a GCM sender id",
        ),
        "Send to another subscription: if that is taken, have this one's page subscribe again; if not, run "
        "`pushkeep doctor --key FILE`.",
        FCM_REPORTS,
        only("fcm"),
        said=said("UnauthorizedRegistration"),
    ),
    ExplanationRow(
        Verdict.BAD_TOKEN,
        "Mozilla refuses the token (errno 109).",
        (
            _PAIR,
            _AUDIENCE,
            _CLOCK,
            "there is no token although the endpoint (/wpush/v2/) needs one",
        ),
        "Run `pushkeep doctor --key FILE` for key and clock; sign a token of its own for each push service.",
        AUTOPUSH,
        only("mozilla"),
    ),
    ExplanationRow(
        Verdict.BAD_TOKEN,
        "Microsoft does not accept the sender for this channel.",
        (
            "the subscription was made with another key, if only this one is refused",
            "the signature, the audience or the clock is wrong, if all are refused",
        ),
        "Look at X-WNS-ERROR-DESCRIPTION, send to another subscription to see whether all are refused, then run "
        "`pushkeep doctor --key FILE`.",
        WNS_PAGE,
        only("wns"),
    ),
    ExplanationRow(
        Verdict.BAD_TOKEN,
        "The push service refuses our token.",
        (
            "the contact (sub) is missing or no real address",
            _PAIR,
            _AUDIENCE,
            _CLOCK,
            "a proxy or firewall on the way answers in the push service's place",
        ),
        "Run `pushkeep doctor --key FILE --contact ADDRESS`; if nothing is found, look whether a proxy answers.",
        f"RFC 8292 section 4.2; {UNIFIEDPUSH_PAGE}",
    ),
)

_TOO_LARGE = (
    ExplanationRow(
        Verdict.TOO_LARGE,
        "The message is too large for this Firefox (errno 104): Firefox for Android takes 2,912 octets of plaintext.",
        (
            "the payload is over 2,912 octets and the browser is Firefox for Android, which no endpoint shows",
            "padding to 4 KB makes every message too large for it",
            "the body is over 4,096 octets",
        ),
        "Keep payloads at 2,800 octets or less, padding included; send an id and let the worker fetch the rest.",
        AUTOPUSH,
        only("mozilla"),
    ),
    ExplanationRow(
        Verdict.TOO_LARGE,
        "The message is over the push service's limit, 4,096 octets of body (3,993 of plaintext) at most of them.",
        ("the payload with its padding is too large", "it was sent in more than one record"),
        "Keep payloads at 2,800 octets or less, padding included; send an id and let the worker fetch the rest.",
        f"RFC 8030 section 7.2; {APPLE_PAGE}; {WNS_PAGE}",
    ),
)

_BAD_REQUEST = (
    ExplanationRow(
        Verdict.BAD_REQUEST,
        "Apple cannot decode the Topic: it must be base64url text of at most 32 characters, its length modulo 4 not 1.",
        ("a readable name was used as Topic, such as one of 13 characters", "the Topic has more than 32 characters"),
        "Make the Topic of a hash: base64url(SHA-256(name)) cut to 32 characters; sent once more without Topic, the "
        "message is taken.",
        f"{APPLE_PAGE}; reported three times independently",
        only("apple"),
        said=said("BadWebPushTopic"),
    ),
    ExplanationRow(
        Verdict.BAD_REQUEST,
        "Apple does not accept the TTL.",
        ("TTL is missing or no number", "TTL is 0: Apple's page asks for a positive number"),
        "Send a TTL of at least a day (86400) to Apple.",
        APPLE_PAGE,
        only("apple"),
        said=said("BadTtl"),
    ),
    ExplanationRow(
        Verdict.BAD_REQUEST,
        "Apple does not accept the Urgency.",
        (
            "Urgency is none of very-low, low, normal, high",
            "a fault at Apple: it was seen for valid values, too",
        ),
        "Send one of the four values, or none.",
        f"{APPLE_PAGE}; zaru/webpush issue 110",
        only("apple"),
        said=said("BadUrgency"),
    ),
    ExplanationRow(
        Verdict.BAD_REQUEST,
        "Apple cannot make sense of encryption or headers (BadWebPushRequest).",
        ("Content-Encoding is not aes128gcm", "the body is no single record", "headers contradict each other"),
        "Encrypt with aes128gcm in one record, and send no Encryption or Crypto-Key header with it.",
        APPLE_PAGE,
        only("apple"),
        said=said("BadWebPushRequest"),
    ),
    ExplanationRow(
        Verdict.BAD_REQUEST,
        "Microsoft found TTL and X-WNS-Cache-Policy in conflict.",
        ("TTL is 0 and the header does not say no-cache", "a library sends TTL 0 where none was given"),
        "Send a TTL of at least a day; with TTL 0 send `X-WNS-Cache-Policy: no-cache`.",
        f"{WNS_PAGE}; pywebpush issue 162; webpush-go issue 66",
        only("wns"),
        said=said("ttl value conflicts|cache-?policy"),
    ),
    ExplanationRow(
        Verdict.BAD_REQUEST,
        "Microsoft does not accept the request; its headers say why.",
        (
            "headers contradict each other",
            "the query of the endpoint was lost or decoded on the way (its %2f must stay as it is)",
            "the body was sent in chunks or without Content-Length",
        ),
        "Read X-WNS-ERROR-DESCRIPTION; post to the endpoint byte for byte as the browser gave it.",
        f"{WNS_PAGE}; rpush issue 714",
        only("wns"),
    ),
    ExplanationRow(
        Verdict.BAD_REQUEST,
        "Mozilla does not accept TTL or Topic (errno 111, 112, 113 or 114).",
        (
            "TTL is missing, negative or no number",
            "Topic has more than 32 characters, or others than letters, digits, - and _",
        ),
        "Send TTL as digits; make the Topic of a hash: base64url(SHA-256(name)) cut to 32 characters.",
        AUTOPUSH,
        only("mozilla"),
        said=said(r'"errno"\s*:\s*11[1-4]\b'),
    ),
    ExplanationRow(
        Verdict.BAD_REQUEST,
        "Mozilla cannot make sense of the encryption headers (errno 110 or 101).",
        (
            "an Encryption or Crypto-Key header with dh was sent together with aes128gcm",
            "Content-Encoding is neither aes128gcm nor aesgcm",
        ),
        "Encrypt with aes128gcm and send no Encryption or Crypto-Key header with it.",
        AUTOPUSH,
        only("mozilla"),
        said=said(r'"errno"\s*:\s*(110|101)\b'),
    ),
    ExplanationRow(
        Verdict.BAD_REQUEST,
        "Mozilla cannot route to this device (errno 108, or none).",
        ("the device's registration at Mozilla is damaged", "a message id or bridge token is wrong"),
        "Nothing to change in the message: have the browser subscribe again if it stays so.",
        AUTOPUSH,
        only("mozilla"),
        status(400),
        said(r'"errno"\s*:\s*(108|null)\b'),
    ),
    ExplanationRow(
        Verdict.BAD_REQUEST,
        "The push service sent a redirect, which is never followed: it would hand the message to somebody else.",
        ("the push server was moved", "a proxy, firewall or log-in page on the way answers"),
        "Have the browser or app subscribe again at the new address; look whether a proxy answers.",
        f"RFC 8030 section 7.1; {UNIFIEDPUSH_PAGE}",
        statuses=frozenset(range(300, 400)),
    ),
    ExplanationRow(
        Verdict.BAD_REQUEST,
        "The endpoint was not asked with POST, or the push service does not take what was posted.",
        ("the request was not a POST", "a redirect was followed and became a GET", "Content-Length is missing"),
        "POST to the endpoint itself with Content-Length, and follow no redirect.",
        f"{APPLE_PAGE}; {WNS_PAGE}",
        statuses=status(405, 411, 415),
    ),
    ExplanationRow(
        Verdict.BAD_REQUEST,
        "The push service does not accept the request.",
        (
            "TTL is missing or no number",
            "Topic has more than 32 characters, or others than letters, digits, - and _",
            "Urgency is none of very-low, low, normal, high",
            "the body is not encrypted as the browser asked for",
        ),
        "Compare the request with one that `pushkeep send` makes for the same subscription.",
        f"RFC 8030 section 5; {FCM_REPORTS}",
    ),
)

REFUSALS = _BAD_TOKEN + _TOO_LARGE + _BAD_REQUEST
"""In the order in which they are read."""
