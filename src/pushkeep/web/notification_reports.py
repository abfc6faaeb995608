"""From what is known of notifications to the bodies of the API's answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from msgspec.structs import asdict

from pushkeep.app.health import SILENT_PROBE
from pushkeep.app.progress import NotificationPage as ProgressPage
from pushkeep.app.progress import OutcomePage as RecipientPage
from pushkeep.app.progress import Progress, status_of
from pushkeep.domain.action import Action
from pushkeep.domain.moment import write_moment
from pushkeep.domain.receipt import ReceiptKind
from pushkeep.domain.sending import Account
from pushkeep.domain.shard import FINAL_KINDS, KIND_WORDS
from pushkeep.domain.subscription import State
from pushkeep.ports.notifications import Accepted, AudienceCount, RecipientOutcome
from pushkeep.ports.sweeps import AudienceHealth
from pushkeep.web.notification_schemas import (
    AcceptedNotification,
    AcceptedOptions,
    AudienceHealthReport,
    DryRun,
    NotificationPage,
    NotificationReport,
    NotificationSummary,
    OutcomePage,
    OutcomeReport,
    PushServiceCount,
    ServiceExplanation,
    VendorProgress,
)

ACTION_WORDS: Mapping[Action, Literal["done", "dropped", "kept"]] = MappingProxyType(
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


def accepted_report(accepted: Accepted, *, now: float) -> AcceptedNotification:
    """The answer to a notification."""
    record = accepted.record
    return AcceptedNotification(record.public_id, status_of(record, now), accepted.targeted, list(accepted.unknown))


def dry_run_report(count: AudienceCount, health: AudienceHealth) -> DryRun:
    """Whom it would reach, the push service with the most recipients first, and what is known of them."""
    services = sorted(count.by_origin.items(), key=lambda item: (-item[1], item[0]))
    return DryRun(
        targeted=sum(count.by_origin.values()),
        push_services=[PushServiceCount(origin, vendor, recipients) for (origin, vendor), recipients in services],
        skipped={kind.value: recipients for kind, recipients in count.skipped.items() if recipients},
        unknown=list(count.unknown),
        health=audience_health_report(health),
    )


def audience_health_report(found: AudienceHealth) -> AudienceHealthReport:
    """What is known of an audience."""
    return AudienceHealthReport(
        living=sum(found.by_state.values()),
        failing=found.by_state.get(State.FAILING, 0),
        quarantined=found.by_state.get(State.QUARANTINED, 0),
        probes=found.probes,
        needs_renewal=found.by_state.get(State.NEEDS_RENEWAL, 0),
        likely_dead=found.likely_dead,
        note=SILENT_PROBE,
    )


def notification_report(found: Progress) -> NotificationReport:
    """A notification, and how far it is."""
    return NotificationReport(
        **asdict(_summary(found)),
        vendors={
            vendor: VendorProgress(account.targeted, _counts(account), account.undone)
            for vendor, account in sorted(found.by_vendor.items())
        },
        receipts={kind.value: found.receipts.get(kind.value, 0) for kind in ReceiptKind},
    )


def notification_page(page: ProgressPage) -> NotificationPage:
    """A page of them."""
    return NotificationPage([_summary(found) for found in page.items], page.next_before)


def outcome_page(page: RecipientPage) -> OutcomePage:
    """A page of recipients."""
    return OutcomePage([_outcome_report(outcome) for outcome in page.items], page.next_after)


def _summary(found: Progress) -> NotificationSummary:
    record, account = found.record, found.account
    options = record.options
    return NotificationSummary(
        id=record.public_id,
        status=found.status,
        priority=record.priority.name.lower(),
        to=record.target_kind,
        purpose=record.purpose,
        retry_of=record.retry_of,
        options=AcceptedOptions(options.ttl, options.urgency, options.topic),
        accepted_at=write_moment(record.accepted_at),
        send_at=write_moment(record.send_at),
        deadline=write_moment(record.deadline),
        paused_at=None if record.paused_at is None else write_moment(record.paused_at),
        finished_at=None if record.finished_at is None else write_moment(record.finished_at),
        targeted=account.targeted,
        counts=_counts(account),
        waiting=account.undone,
        set_aside=account.set_aside,
    )


def _counts(account: Account) -> dict[str, int]:
    return {kind.value: account.counts[kind] for kind in FINAL_KINDS if account.counts.get(kind)}


def _outcome_report(outcome: RecipientOutcome) -> OutcomeReport:
    said = outcome.explanation
    return OutcomeReport(
        id=outcome.public_id,
        short_id=outcome.short_id,
        contact=outcome.contact,
        kind=outcome.kind.value,
        meaning=KIND_WORDS[outcome.kind],
        action=ACTION_WORDS[Action(outcome.action)] if outcome.action else None,
        status=outcome.status,
        explanation=ServiceExplanation(said.text, said.code, said.errno, said.more_info) if said else None,
        retry_after=outcome.retry_after,
        duration_ms=None if outcome.duration_ms is None else round(outcome.duration_ms, 1),
        attempts=outcome.attempts,
        at=write_moment(outcome.at),
    )
