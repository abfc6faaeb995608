"""What became of one message, as a value: a bad answer is not an exception."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pushkeep.protocol.answer import Answer, PushResponse, TransportFailure, parse_retry_after
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.quotation import CUT, without_endpoint
from pushkeep.protocol.remedy import Remedy, remedy_for
from pushkeep.protocol.vendors import Vendor
from pushkeep.protocol.verdict import Verdict, classify

EXPLANATION_CHARACTERS_MAX = 300
"""Enough for every sentence seen in the field; the rest is HTML."""

_USEFUL_HEADERS = frozenset(
    {
        "apns-id",
        "content-type",
        "date",
        "ms-cv",
        "retry-after",
        "ttl",
        "x-wns-continue-after",
        "x-wns-debug-trace",
        "x-wns-error-description",
        "x-wns-msg-id",
        "x-wns-notificationstatus",
        "x-wns-status",
    }
)
_HEADER_CHARACTERS_MAX = 1024
_TAG = re.compile(r"<[^<>]{0,1000}>")
# One that never ends hides the rest: looking for the end of each of a thousand such openings would take 45 ms.
_HIDDEN = re.compile(r"<(script|style)\b.*?(?:</\1>|\Z)", re.IGNORECASE | re.DOTALL)
# Controls, and what is invisible or turns the writing direction: a terminal or log would show something else.
_UNPRINTABLE = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]+"
)
_URL = re.compile(r"https?://[!-~]+")  # Mozilla still gives its link with http
# An answer can quote the endpoint or the token it got. Neither may reach a log, so long unbroken runs are cut out.
_SECRET = re.compile(r"[A-Za-z0-9_:%.~+/=-]{60,}")
# Endpoints of UnifiedPush can be much shorter, so of every URL only the origin and a few characters' path are shown.
_PATH = re.compile(r"(https?://[^\s/?#]+)[/?#][!-~]{12,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the push service said about it, cleaned of markup and control characters.

    Attributes:
        text: at most 300 characters.
        code: the status repeated in Mozilla's body.
        errno: Mozilla's error number.
        more_info: a link for people, from Mozilla's body.
    """

    text: str
    code: int | None = None
    errno: int | None = None
    more_info: str | None = None

    def to_dict(self) -> dict[str, object]:
        """The fields that have a value."""
        fields = {"text": self.text, "code": self.code, "errno": self.errno, "more_info": self.more_info}
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message.

    Attributes:
        verdict: what the answer means.
        status: the HTTP status; None when there was no answer.
        headers: the useful ones, lower-case names.
        explanation: the service's own words, or what failed on the way.
        retry_after: seconds to wait before trying again, when the service said so.
        location: the message's URL at the push service; deleting it recalls an undelivered message.
        duration_ms: from handing over to answer, in milliseconds.
        reference: whatever the caller gave, unchanged.
        remedy: what to change before sending once more, where the answer names it; see
            :func:`~pushkeep.protocol.remedy.apply_remedy`.
        warnings: what the sender should know about the message although it could be sent, a sentence each.
        attempts: how often it was tried; this is what came of the last attempt.
    """

    verdict: Verdict
    status: int | None
    headers: Mapping[str, str]
    explanation: Explanation | None
    retry_after: float | None
    location: str | None
    duration_ms: float
    reference: object = None
    remedy: Remedy | None = None
    warnings: tuple[str, ...] = ()
    attempts: int = 1

    @property
    def accepted(self) -> bool:
        """Whether the push service took the message. Nobody but the browser knows whether it arrived."""
        return self.verdict is Verdict.ACCEPTED

    def to_dict(self) -> dict[str, object]:
        """A JSON object. The location is a capability and the reference the caller's own: both are left out."""
        return {
            "verdict": self.verdict.value,
            "status": self.status,
            "headers": dict(self.headers),
            "explanation": self.explanation.to_dict() if self.explanation else None,
            "retry_after": self.retry_after,
            "duration_ms": round(self.duration_ms, 3),
            "attempts": self.attempts,
            "remedy": self.remedy.value if self.remedy else None,
            "warnings": list(self.warnings),
        }


def read_answer(
    vendor: Vendor,
    answer: Answer,
    *,
    now: float,
    duration_ms: float,
    endpoint: Endpoint | None = None,
    reference: object = None,
    warnings: tuple[str, ...] = (),
) -> Outcome:
    """Make the outcome of an answer.

    Args:
        vendor: the push service's row.
        answer: what the transport returned.
        now: seconds since the epoch, for a Retry-After that is a date.
        duration_ms: how long it took.
        endpoint: whose answer it is: what it quotes of it is cut out. None where the answer is nobody's.
        reference: the caller's own.
        warnings: those of the request.
    """
    verdict = classify(vendor, answer)
    if isinstance(answer, TransportFailure):
        failed = Explanation(_clean(answer.detail))
        return Outcome(verdict, None, {}, failed, None, None, duration_ms, reference, None, warnings)
    return Outcome(
        verdict,
        answer.status,
        _useful_headers(answer.headers, endpoint),
        None if verdict is Verdict.ACCEPTED else explain(answer, endpoint),
        _retry_after(answer.headers, now),
        answer.headers.get("location"),
        duration_ms,
        reference,
        remedy_for(vendor, answer),
        warnings,
    )


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The first wait that can be read; most answers name none."""
    for name in ("retry-after", "x-wns-continue-after"):
        value = headers.get(name)
        if value is not None and (wait := parse_retry_after(value, now)) is not None:
            return wait
    return None


def _useful_headers(headers: Mapping[str, str], endpoint: Endpoint | None) -> dict[str, str]:
    found = {name: value[:_HEADER_CHARACTERS_MAX] for name, value in headers.items() if name in _USEFUL_HEADERS}
    if endpoint is None:
        return found
    return {name: _SECRET.sub(CUT, without_endpoint(value, endpoint)) for name, value in found.items()}


def explain(answer: PushResponse, endpoint: Endpoint | None = None) -> Explanation:
    """What the service says about a message it did not take: Mozilla's and Apple's JSON, WNS's headers, or text."""
    described = answer.headers.get("x-wns-error-description") or answer.headers.get("x-wns-status")
    if described:
        return Explanation(_clean(described, endpoint))
    text = answer.body.decode("utf-8", "replace")
    found = _json_object(text)
    if found is None:
        return Explanation(_clean(text, endpoint) or f"HTTP status {answer.status} without an explanation")
    words = next(
        (value for name in ("message", "reason", "error") if isinstance(value := found.get(name), str) and value),
        "",
    )
    link = found.get("more_info")
    return Explanation(
        _clean(words, endpoint) or f"HTTP status {answer.status}",
        _number(found.get("code")),
        _number(found.get("errno")),
        link if isinstance(link, str) and _is_public_link(link, endpoint) else None,
    )


def _is_public_link(link: str, endpoint: Endpoint | None) -> bool:
    """Whether it is a link for people, and not the endpoint given back as one."""
    if len(link) > EXPLANATION_CHARACTERS_MAX or not _URL.fullmatch(link) or _SECRET.search(link):
        return False
    return endpoint is None or without_endpoint(link, endpoint) == link


def _json_object(text: str) -> dict[str, object] | None:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**6 else None


def _clean(text: str, endpoint: Endpoint | None = None) -> str:
    if endpoint is not None:
        text = without_endpoint(text[:8192], endpoint)
    plain = _TAG.sub(" ", _HIDDEN.sub(" ", text[:8192]))
    plain = _SECRET.sub(CUT, _PATH.sub(r"\1/[…]", _UNPRINTABLE.sub(" ", plain))).strip()
    return plain if len(plain) <= EXPLANATION_CHARACTERS_MAX else plain[: EXPLANATION_CHARACTERS_MAX - 1] + "…"
