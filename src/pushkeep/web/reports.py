"""From the application's values to the bodies of the API's answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from pushkeep.app.notify import NotificationResult, RecipientResult
from pushkeep.app.subscribe import Page
from pushkeep.domain.action import Action
from pushkeep.domain.subscription import EndReason, SubscriptionRecord
from pushkeep.web.schemas import (
    EndReport,
    NotificationReport,
    RecipientReport,
    ServiceExplanation,
    SubscriptionPage,
    SubscriptionReport,
)

ACTION_WORDS: Mapping[Action, str] = MappingProxyType(
    {
        Action.DONE: "done",
        Action.END: "dropped",
        Action.RETRY: "kept",
        Action.HOLD: "kept",
        Action.FAIL: "kept",
        Action.FAIL_BLAMELESS: "kept",
        Action.NEEDS_RENEWAL: "kept",
        Action.QUARANTINE: "kept",
    }
)
"""What was done, as a caller has to know it: whether the subscription is still there."""


def notification_report(result: NotificationResult) -> NotificationReport:
    """The answer to a notification."""
    reports = [recipient_report(one) for one in result.results]
    counts = Counter(report.verdict for report in reports if report.verdict is not None)
    skipped = Counter(report.skipped for report in reports if report.skipped is not None)
    return NotificationReport(result.id, "sent", len(reports), dict(counts), dict(skipped), reports)


def recipient_report(result: RecipientResult) -> RecipientReport:
    """What became of it for one recipient."""
    outcome = result.outcome
    said = outcome.explanation if outcome else None
    return RecipientReport(
        id=result.public_id,
        short_id=result.short_id,
        contact=result.external_id,
        verdict=outcome.verdict.value if outcome else None,
        status=outcome.status if outcome else None,
        explanation=ServiceExplanation(said.text, said.code, said.errno, said.more_info) if said else None,
        retry_after=outcome.retry_after if outcome else None,
        duration_ms=round(outcome.duration_ms, 1) if outcome else None,
        action=ACTION_WORDS[result.action] if result.action else None,
        skipped=result.skipped,
    )


def subscription_report(record: SubscriptionRecord) -> SubscriptionReport:
    """A stored subscription as callers see it."""
    return SubscriptionReport(
        id=record.public_id,
        short_id=record.short_id,
        contact=record.contact_external_id,
        push_service=record.origin,
        vendor=record.vendor,
        state=record.state.value,
        created_at=_rfc3339(record.created_at),
        last_seen_at=_rfc3339(record.last_seen_at),
        last_accepted_at=None if record.last_accepted_at is None else _rfc3339(record.last_accepted_at),
        consecutive_failures=record.consecutive_failures,
        ended=_end(record.end_reason) if record.end_reason else None,
    )


def subscription_page(page: Page) -> SubscriptionPage:
    """A page of them."""
    return SubscriptionPage([subscription_report(record) for record in page.items], page.next_after)


def _end(reason: EndReason) -> EndReport:
    return EndReport(
        cause=reason.cause.value,
        at=_rfc3339(reason.at),
        text=reason.text,
        status=reason.status,
        code=reason.code,
        errno=reason.errno,
        more_info=reason.more_info,
    )


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
