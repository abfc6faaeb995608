"""One row of the explanations: what an answer means, why it comes, what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pushkeep.protocol.answer import Answer, TransportFailure
from pushkeep.protocol.verdict import Verdict


@dataclass(frozen=True, slots=True)
class ExplanationRow:
    """An explanation and the answers it is for. An absent condition always holds.

    Attributes:
        verdict: the verdict of the answers it explains.
        meaning: one sentence in plain words.
        causes: what may be behind it, the most likely first.
        remedy: what to do.
        source: where this is known from.
        vendors: names of vendor rows it applies to.
        statuses: HTTP statuses it applies to.
        said: searched in the body and in Microsoft's error headers, whatever its case.
        failure: kind of transport failure; such a row explains no HTTP answer.
    """

    verdict: Verdict
    meaning: str
    causes: tuple[str, ...]
    remedy: str
    source: str
    vendors: frozenset[str] | None = None
    statuses: frozenset[int] | None = None
    said: re.Pattern[str] | None = None
    failure: str | None = None

    def explains(self, vendor: str, answer: Answer) -> bool:
        """Whether every condition of this row holds for an answer of its verdict."""
        if self.vendors is not None and vendor not in self.vendors:
            return False
        if isinstance(answer, TransportFailure):
            specific = self.statuses is not None or self.said is not None
            return answer.kind == self.failure if self.failure else not specific
        if self.failure is not None or (self.statuses is not None and answer.status not in self.statuses):
            return False
        return self.said is None or bool(self.said.search(words_of(answer.headers, answer.body)))


def words_of(headers: Mapping[str, str], body: bytes) -> str:
    """Everything in an answer that carries words."""
    return "\n".join(
        [value for name, value in headers.items() if name.startswith("x-wns-")] + [body.decode("utf-8", "replace")]
    )


def only(*vendors: str) -> frozenset[str]:
    """These vendors and no others."""
    return frozenset(vendors)


def status(*codes: int) -> frozenset[int]:
    """These statuses and no others."""
    return frozenset(codes)


def said(pattern: str) -> re.Pattern[str]:
    """Words of the push service."""
    return re.compile(pattern, re.IGNORECASE)


APPLE_PAGE = "Apple, Sending web push notifications in web apps and browsers"
AUTOPUSH = "Mozilla, autopush-rs docs/src/errors.md and autoendpoint"
FCM_REPORTS = "answers of FCM as reported by many senders"
WNS_PAGE = "Microsoft, Push notification service request and response headers"
UNIFIEDPUSH_PAGE = "UnifiedPush, server specification"
