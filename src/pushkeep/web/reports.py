"""From stored subscriptions and contacts to the bodies of the API's answers."""

from __future__ import annotations

from collections.abc import Mapping

from pushkeep.app.subscribe import Page
from pushkeep.domain.moment import write_moment
from pushkeep.domain.subscription import StateReason, SubscriptionRecord
from pushkeep.ports.audiences import ContactRecord
from pushkeep.web.schemas import (
    ContactReport,
    EndReport,
    SubscriptionPage,
    SubscriptionReport,
    TagCount,
    TagList,
)


def subscription_report(record: SubscriptionRecord) -> SubscriptionReport:
    """A stored subscription as callers see it."""
    return SubscriptionReport(
        id=record.public_id,
        short_id=record.short_id,
        contact=record.contact_external_id,
        push_service=record.origin,
        vendor=record.vendor,
        state=record.state,
        created_at=write_moment(record.created_at),
        last_seen_at=write_moment(record.last_seen_at),
        last_accepted_at=None if record.last_accepted_at is None else write_moment(record.last_accepted_at),
        consecutive_failures=record.consecutive_failures,
        ended=_end(record.state_reason) if record.state_reason else None,
    )


def subscription_page(page: Page) -> SubscriptionPage:
    """A page of them."""
    return SubscriptionPage([subscription_report(record) for record in page.items], page.next_after)


def contact_report(contact: ContactRecord) -> ContactReport:
    """A contact as callers see it."""
    return ContactReport(
        external_id=contact.external_id,
        tags=list(contact.tags),
        active_subscriptions=contact.active_subscriptions,
        created_at=write_moment(contact.created_at),
    )


def tag_list(counts: Mapping[str, int]) -> TagList:
    """Every tag."""
    return TagList([TagCount(tag, contacts) for tag, contacts in sorted(counts.items())])


def _end(reason: StateReason) -> EndReport:
    return EndReport(
        cause=reason.cause.value,
        at=write_moment(reason.at),
        text=reason.text,
        status=reason.status,
        code=reason.code,
        errno=reason.errno,
        more_info=reason.more_info,
    )
