"""From an answer to a verdict: one table, first match wins, no history and no clock.

What the verdict *does* to a subscription is decided elsewhere, with its history. The default is safe for the
subscriber: only the rows that say ``gone`` can end a subscription at once, and each stands for a statement of the
push service that the subscription has ended.

Sources: RFC 8030 section 7.3; autopush-rs ``docs/src/errors.md``; Apple, "Sending web push notifications in web
apps and browsers"; Microsoft, "Push notification service request and response headers"; UnifiedPush server
specification; texts of FCM as reported by many senders.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from pushkeep.protocol.answer import Answer, PushResponse, TransportFailure
from pushkeep.protocol.vendors import Vendor


class Verdict(StrEnum):
    """What an answer means."""

    ACCEPTED = "accepted"
    GONE = "gone"
    SUSPECT = "suspect"
    KEY_MISMATCH = "key_mismatch"
    BAD_TOKEN = "bad_token"  # noqa: S105 - a name, not a password
    TOO_LARGE = "too_large"
    BAD_REQUEST = "bad_request"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    REFUSED_ENDPOINT = "refused_endpoint"


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One row: if all of its conditions hold, ``verdict`` it is. An absent condition always holds.

    Attributes:
        verdict: the row's result.
        because: why, in words for the docs.
        statuses: HTTP statuses it applies to.
        vendors: names of vendor rows it applies to.
        body: pattern searched in the body, whatever its case.
        header: name and pattern searched in that header's value, whatever its case.
        failures: kinds of transport failure; such a row never matches an HTTP answer.
    """

    verdict: Verdict
    because: str
    statuses: frozenset[int] | None = None
    vendors: frozenset[str] | None = None
    body: re.Pattern[bytes] | None = None
    header: tuple[str, re.Pattern[str]] | None = None
    failures: frozenset[str] | None = None

    def matches(self, vendor: Vendor, answer: Answer) -> bool:
        """Whether every condition of this row holds."""
        if self.vendors is not None and vendor.name not in self.vendors:
            return False
        if isinstance(answer, TransportFailure):
            return self.failures is not None and answer.kind in self.failures
        return self.failures is None and self._matches_response(answer)

    def _matches_response(self, answer: PushResponse) -> bool:
        if self.statuses is not None and answer.status not in self.statuses:
            return False
        if self.body is not None and not self.body.search(answer.body):
            return False
        if self.header is None:
            return True
        name, pattern = self.header
        return bool(pattern.search(answer.headers.get(name, "")))


def _text(*phrases: str) -> re.Pattern[bytes]:
    return re.compile("|".join(re.escape(phrase) for phrase in phrases).encode(), re.IGNORECASE)


def _value(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _statuses(*codes: int | range) -> frozenset[int]:
    return frozenset(code for item in codes for code in (item if isinstance(item, range) else (item,)))


_WNS, _UNIFIEDPUSH = frozenset({"wns"}), frozenset({"unifiedpush"})
_WNS_STATUS_HEADERS = ("x-wns-status", "x-wns-notificationstatus")
_SUCCESS = _statuses(range(200, 300))
_CLIENT_ERRORS = _statuses(range(400, 500))

VERDICT_TABLE: tuple[VerdictRow, ...] = (
    *(
        VerdictRow(
            Verdict.THROTTLED,
            "WNS took the request but says that the channel is throttled",
            statuses=_SUCCESS,
            vendors=_WNS,
            header=(name, _value("channelthrottled")),
        )
        for name in _WNS_STATUS_HEADERS
    ),
    *(
        VerdictRow(
            Verdict.TRANSIENT,
            "WNS took the request but says that it dropped the message",
            statuses=_SUCCESS,
            vendors=_WNS,
            header=(name, _value("dropped")),
        )
        for name in _WNS_STATUS_HEADERS
    ),
    VerdictRow(Verdict.ACCEPTED, "the push service took the message", statuses=_SUCCESS),
    VerdictRow(Verdict.GONE, "410 is every service's word for an ended subscription", statuses=_statuses(410)),
    VerdictRow(
        Verdict.GONE,
        "404 is RFC 8030's word for it, and these services mean it",
        statuses=_statuses(404),
        vendors=frozenset({"mozilla", "apple", "wns"}),
    ),
    VerdictRow(
        Verdict.SUSPECT,
        "404 from FCM flaps on living subscriptions, and from strangers it can be a wrong path",
        statuses=_statuses(404),
    ),
    VerdictRow(
        Verdict.SUSPECT,
        "FCM says this of ended and, for a day at a time, of living subscriptions",
        statuses=_statuses(403),
        body=_text("invalid push subscription endpoint"),
    ),
    VerdictRow(
        Verdict.KEY_MISMATCH,
        "the subscription was made with another application server key",
        statuses=_CLIENT_ERRORS,
        body=_text(
            "VapidPkHashMismatch",
            "do not correspond to the credentials",
            "VAPID public key mismatch",
            "MismatchSenderId",
        ),
    ),
    VerdictRow(
        Verdict.KEY_MISMATCH,
        "WNS names the public key or the channel in its error header when they do not belong together",
        statuses=_statuses(401, 403),
        vendors=_WNS,
        header=("x-wns-error-description", _value("public ?key|channel")),
    ),
    VerdictRow(
        Verdict.BAD_TOKEN,
        "our own token was refused: signature, aud, exp or contact",
        statuses=_CLIENT_ERRORS,
        body=_text("BadJwtToken", "BadAuthorizationHeader", "BadVapidPublicKey", "UnauthorizedRegistration"),
    ),
    VerdictRow(
        Verdict.BAD_TOKEN,
        "every other refusal of our authority is about our token",
        statuses=_statuses(401, 403),
    ),
    VerdictRow(Verdict.TOO_LARGE, "the message is over this service's limit", statuses=_statuses(413)),
    VerdictRow(
        Verdict.TOO_LARGE,
        "Apple's name for a message over its limit",
        statuses=_CLIENT_ERRORS,
        body=_text("PayloadTooLarge"),
    ),
    VerdictRow(Verdict.THROTTLED, "too many requests", statuses=_statuses(429)),
    VerdictRow(Verdict.THROTTLED, "WNS throttles with 406", statuses=_statuses(406), vendors=_WNS),
    VerdictRow(
        Verdict.THROTTLED,
        "ntfy answers 507 while no subscriber is connected",
        statuses=_statuses(507),
        vendors=_UNIFIEDPUSH,
    ),
    VerdictRow(
        Verdict.TRANSIENT,
        "a fault on the way or in the push service, which passes",
        statuses=_statuses(408, 425, range(500, 600)),
    ),
    VerdictRow(
        Verdict.BAD_REQUEST,
        "a redirect is never followed: the endpoint itself must answer",
        statuses=_statuses(range(300, 400)),
    ),
    VerdictRow(Verdict.BAD_REQUEST, "the message or our request is wrong", statuses=_CLIENT_ERRORS),
    VerdictRow(
        Verdict.REFUSED_ENDPOINT,
        "the address check did not let us connect",
        failures=frozenset({"refused_address"}),
    ),
    VerdictRow(
        Verdict.TRANSIENT,
        "no answer: name, connection, TLS, time limit, or not HTTP",
        failures=frozenset({"resolve", "connect", "tls", "timeout", "reset", "protocol"}),
    ),
)
"""The table, in the order in which it is read."""

_ELSE = Verdict.TRANSIENT  # a status outside 200-599: whoever sent it is broken, the subscription is not


@lru_cache(maxsize=256)
def _rows_for(vendor: str, status: int) -> tuple[VerdictRow, ...]:
    """The rows whose vendor and status hold: one of thirty for most answers, and so for every accepted message."""
    return tuple(
        row
        for row in VERDICT_TABLE
        if row.failures is None
        and (row.statuses is None or status in row.statuses)
        and (row.vendors is None or vendor in row.vendors)
    )


def classify(vendor: Vendor, answer: Answer) -> Verdict:
    """The verdict of the first matching row; ``transient`` for a status that no row knows."""
    rows = VERDICT_TABLE if isinstance(answer, TransportFailure) else _rows_for(vendor.name, answer.status)
    for row in rows:
        if row.matches(vendor, answer):
            return row.verdict
    return _ELSE
