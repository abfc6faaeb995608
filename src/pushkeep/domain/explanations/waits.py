"""Explanations of answers that pass, and of none at all."""

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

_THROTTLED = (
    ExplanationRow(
        Verdict.THROTTLED,
        "Apple wants fewer messages to this one device in a row.",
        ("many messages were sent to the same device within seconds",),
        "Join messages, give them a common Topic, and wait before the next one to this device.",
        APPLE_PAGE,
        only("apple"),
    ),
    ExplanationRow(
        Verdict.THROTTLED,
        "Microsoft throttles; the message was not delivered, whatever the status (406, or channelthrottled with 2xx).",
        ("too many messages to the channel or from this sender; it was seen to last from an hour to a day",),
        "Wait for X-WNS-CONTINUE-AFTER, or a minute and then twice as long each time; send less to WNS at once.",
        f"{WNS_PAGE}; Microsoft Q&A 940324",
        only("wns"),
    ),
    ExplanationRow(
        Verdict.THROTTLED,
        "ntfy has no app connected for this endpoint (507, code 50701).",
        ("the phone is off or its ntfy app has not connected since the server's start",),
        "Wait and try again later; the subscription lives.",
        "ntfy server/server.go",
        only("unifiedpush"),
        status(507),
    ),
    ExplanationRow(
        Verdict.THROTTLED,
        "The push service wants fewer messages.",
        ("too many messages to this endpoint", "too many messages from this sender within seconds"),
        "Wait for Retry-After, or a minute and then twice as long each time; join messages by a common Topic.",
        f"RFC 8030 section 8.4; {UNIFIEDPUSH_PAGE}; {FCM_REPORTS}",
    ),
)

_TRANSIENT = (
    ExplanationRow(
        Verdict.TRANSIENT,
        "Microsoft took the request and dropped the message.",
        ("Edge is not running and the message was not to be kept (TTL 0)", "the channel's queue is full"),
        "Send with a TTL of at least a day, and once more later.",
        WNS_PAGE,
        only("wns"),
        said=said("dropped"),
    ),
    ExplanationRow(
        Verdict.TRANSIENT,
        "Mozilla could not store or pass on the message (errno 201, 202, 900 to 903).",
        ("a fault at Mozilla that passes", "the bridge to Android does not answer"),
        "Wait for Retry-After (Mozilla says 120 s with 503) and send once more.",
        AUTOPUSH,
        only("mozilla"),
        said=said(r'"errno"\s*:\s*(20[12]|90[0-3])\b'),
    ),
    ExplanationRow(
        Verdict.TRANSIENT,
        "Apple has a fault or restarts (InternalServerError, ServiceUnavailable, Shutdown, IdleTimeout).",
        ("a fault at Apple that passes", "a connection that was idle for long was used"),
        "Open a new connection, and send once more after some seconds, then more slowly.",
        APPLE_PAGE,
        only("apple"),
        status(500, 503),
    ),
    ExplanationRow(
        Verdict.TRANSIENT,
        "The push service's name cannot be resolved.",
        ("this machine has no DNS or no way to the internet", "the endpoint's host does not exist any more"),
        "Run `pushkeep doctor`: it resolves the push services' names.",
        "RFC 8030 section 5",
        failure="resolve",
    ),
    ExplanationRow(
        Verdict.TRANSIENT,
        "No connection to the push service can be made.",
        ("a firewall lets nothing out to port 443", "a proxy must be used and is not set", "the push service is down"),
        "Run `pushkeep doctor`; set push_proxy if this machine reaches the internet through a proxy.",
        "RFC 8030 section 5",
        failure="connect",
    ),
    ExplanationRow(
        Verdict.TRANSIENT,
        "The push service's certificate cannot be verified, or there is no common TLS.",
        (
            "a proxy that opens TLS stands in between",
            "the system's certificates are old or missing",
            "a self-hosted push service uses its own authority",
        ),
        "Install ca-certificates, or name the authority of a private push service (--map-origin …,ca=FILE). "
        "Verification cannot be switched off.",
        "RFC 8030 section 8",
        failure="tls",
    ),
    ExplanationRow(
        Verdict.TRANSIENT,
        "The push service did not answer in time; it may have taken the message.",
        ("the push service is slow or down", "something on the way drops packets"),
        "Send once more with the same Topic and notification tag, so that a second copy replaces the first.",
        "RFC 8030 section 5",
        failure="timeout",
    ),
    ExplanationRow(
        Verdict.TRANSIENT,
        "The connection broke; the push service may have taken the message.",
        ("the push service restarts", "something on the way closes idle connections"),
        "Send once more with the same Topic and notification tag, so that a second copy replaces the first.",
        "RFC 9113 section 9.1",
        failure="reset",
    ),
    ExplanationRow(
        Verdict.TRANSIENT,
        "What answered does not speak proper HTTP.",
        ("a proxy or another program answers at that address",),
        "Look what listens there; run `pushkeep doctor --service ORIGIN`.",
        "RFC 9113 section 3",
        failure="protocol",
    ),
    ExplanationRow(
        Verdict.TRANSIENT,
        "A fault at the push service, or on the way to it, that passes.",
        ("the push service is overloaded or restarts", "a proxy on the way has a fault"),
        "Send once more after Retry-After, or after some seconds and then more slowly.",
        f"RFC 9110 section 15.6; {AUTOPUSH}",
    ),
)

_REFUSED_ENDPOINT = (
    ExplanationRow(
        Verdict.REFUSED_ENDPOINT,
        "The endpoint leads to an address that is not public, so no connection was made.",
        (
            "somebody registered an endpoint that points into your network",
            "your own push service stands there",
            "this machine's DNS answers with private addresses",
        ),
        "If the push service is yours, add it to the origin map (--map-origin); if not, remove the subscription.",
        "OWASP, Server-Side Request Forgery; RFC 8030 section 8",
    ),
)

WAITS = _THROTTLED + _TRANSIENT + _REFUSED_ENDPOINT
"""In the order in which they are read."""
