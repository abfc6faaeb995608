"""From stored subscriptions and contacts to the bodies of the API's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from msgspec import UNSET

from pushkeep.app.consents import Asked
from pushkeep.app.subscribe import Page, Registered, Standing
from pushkeep.app.visitor import Own
from pushkeep.domain.consent import Wording
from pushkeep.domain.moment import write_moment
from pushkeep.domain.subscription import State, StateReason, SubscriptionRecord
from pushkeep.ports.audiences import ContactRecord
from pushkeep.ports.consents import HeldWord
from pushkeep.web.schemas import (
    BrowserReceipt,
    ContactReport,
    EndReport,
    OwnConsent,
    OwnHealth,
    OwnReport,
    RegistrationReceipt,
    ShownPurpose,
    ShownPurposes,
    ShownWording,
    StoryLine,
    SubscriptionPage,
    SubscriptionReport,
    TagCount,
    TagList,
    WordsHeard,
)
from pushkeep.web.schemas import Standing as StandingReport


def standing_report(standing: Standing, grace_seconds: int) -> StandingReport:
    """How a subscription stands, for its browser."""
    return StandingReport(**_standing(standing, grace_seconds))


def registration_receipt(registered: Registered, grace_seconds: int) -> RegistrationReceipt:
    """The answer to a registration by the site's own server."""
    return RegistrationReceipt(**_standing(registered.standing, grace_seconds), sync_token=registered.sync_token)


def browser_receipt(registered: Registered, grace_seconds: int, held: Sequence[HeldWord] | None) -> BrowserReceipt:
    """The answer to a registration by its browser; with what the visitor agrees to, where that was asked."""
    return BrowserReceipt(
        **_standing(registered.standing, grace_seconds),
        sync_token=registered.sync_token,
        consents=UNSET if held is None else _holds(held),
        since=UNSET if held is None else _since(held),
    )


def words_heard(held: Sequence[HeldWord]) -> WordsHeard:
    """What holds once a visitor was heard."""
    return WordsHeard(_holds(held), _since(held))


def shown_purposes(asked: Sequence[Asked]) -> ShownPurposes:
    """What a page may ask its visitors."""
    return ShownPurposes(
        [
            ShownPurpose(
                name=one.purpose.name,
                description=one.purpose.description,
                basis=one.purpose.basis.value,
                wording=None if one.wording is None else _wording(one.wording),
            )
            for one in asked
        ]
    )


def own_report(own: Own) -> OwnReport:
    """What a visitor may know."""
    record, health = own.standing.record, own.health
    return OwnReport(
        id=record.public_id,
        short_id=record.short_id,
        state=record.state,
        reason=_cause(record),
        created_at=write_moment(record.created_at),
        last_seen_at=write_moment(record.last_seen_at),
        last_accepted_at=_moment(record.last_accepted_at),
        last_displayed_at=_moment(record.last_displayed_at),
        renew=own.standing.renew,
        health=OwnHealth(health.score, health.likely_dead, list(health.reasons)),
        consents=[_own_consent(word, wording) for word, wording in own.consents],
        story=[StoryLine(write_moment(told.at), told.words) for told in own.story],
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
        last_accepted_at=_moment(record.last_accepted_at),
        consecutive_failures=record.consecutive_failures,
        reason=_cause(record),
        ended=None if record.living or record.state_reason is None else _end(record.state_reason),
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


def _holds(held: Sequence[HeldWord]) -> dict[str, bool]:
    return {word.purpose: word.given for word in held}


def _since(held: Sequence[HeldWord]) -> dict[str, str]:
    # Browsers compare it with what they were told before, and two words may be said within a second.
    known = {word.purpose: word.content.at for word in held if word.content is not None}
    return {purpose: write_moment(at, precision="milliseconds") for purpose, at in known.items()}


def _own_consent(word: HeldWord, wording: Wording | None) -> OwnConsent:
    content = word.content
    return OwnConsent(
        purpose=word.purpose,
        given=word.given,
        at=None if content is None else write_moment(content.at),
        method=None if content is None else content.method,
        wording=None if wording is None else _wording(wording),
    )


def _wording(wording: Wording) -> ShownWording:
    return ShownWording(
        digest=wording.digest.hex(),
        locale=wording.locale,
        version=wording.version,
        policy_version=wording.policy_version,
        text=wording.text,
    )


class _StandingFields(TypedDict):
    id: str
    short_id: str
    state: State
    renew: bool
    application_server_key: str
    grace_seconds: int
    owned: bool
    sequence: int


def _standing(standing: Standing, grace_seconds: int) -> _StandingFields:
    record = standing.record
    return {
        "id": record.public_id,
        "short_id": record.short_id,
        "state": record.state,
        "renew": standing.renew,
        "application_server_key": standing.key.public_b64,
        "grace_seconds": grace_seconds,
        "owned": record.contact_external_id is not None,
        "sequence": record.sync_sequence,
    }


def _cause(record: SubscriptionRecord) -> str | None:
    return None if record.state_reason is None else record.state_reason.cause.value


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else write_moment(seconds)


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
