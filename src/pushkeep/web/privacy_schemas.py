"""The bodies of the routes on privacy, and how they are made from what is stored."""

from __future__ import annotations

import json
from typing import Annotated

from msgspec import Meta, Struct

from pushkeep.app.export_contact import ContactExport
from pushkeep.domain.consent import Wording
from pushkeep.domain.moment import write_moment
from pushkeep.domain.story import Told
from pushkeep.domain.subscription import SubscriptionRecord
from pushkeep.ports.consents import ConsentRecord
from pushkeep.ports.privacy import ErasedCounts, ErasureListStanding, ToldMessage
from pushkeep.web.reports import contact_report, subscription_report
from pushkeep.web.schemas import AnyJson, ContactReport, SubscriptionReport


class ErasureReport(Struct, frozen=True):
    """What was erased; all zero where nothing was stored."""

    contacts: int
    subscriptions: int
    consents: Annotated[int, Meta(description="Consent records whose content is gone; the chain still holds.")]
    notifications: Annotated[int, Meta(description="Notifications that were for nobody else: what they said is gone.")]
    outcomes: int
    receipts: int
    tags: Annotated[int, Meta(description="Tags that nobody else had.")]


class ErasureListReport(Struct, frozen=True):
    """The list of who was erased. It names nobody."""

    entries_until: Annotated[int, Meta(description="Number of the last entry.")]
    last_at: Annotated[str | None, Meta(description="When that was; RFC 3339.")]
    applied_until: Annotated[int, Meta(description="Up to which number it is applied to this database.")]
    missing: Annotated[int, Meta(description="Numbers before the last one that have no entry.")]
    damaged_lines: int


class SayingReport(Struct, frozen=True):
    """A sentence of a story."""

    at: Annotated[str, Meta(description="RFC 3339.")]
    words: str


class ExportedSubscription(Struct, frozen=True):
    """A subscription with its story."""

    subscription: SubscriptionReport
    story: list[SayingReport]


class ExportedConsent(Struct, frozen=True):
    """A consent record."""

    number: Annotated[int, Meta(description="Its place in the chain.")]
    commitment: Annotated[str, Meta(description="64 hexadecimal digits; with the salt it proves the content.")]
    salt: str | None
    content: dict[str, AnyJson] | None


class ExportedWording(Struct, frozen=True):
    """A wording as it was shown."""

    digest: str
    purpose: str
    locale: str
    version: str
    policy_version: str
    text: str


class ExportedOutcome(Struct, frozen=True):
    """What became of a message at one browser."""

    subscription: Annotated[str, Meta(description="UUID.")]
    kind: Annotated[str | None, Meta(description="Null where it is kept for nobody that they were reached.")]
    at: Annotated[str | None, Meta(description="RFC 3339.")]
    receipts: Annotated[dict[str, str], Meta(description="What the browser reported, and when; RFC 3339.")]


class ExportedMessage(Struct, frozen=True):
    """A notification that they were told."""

    id: str
    accepted_at: Annotated[str, Meta(description="RFC 3339.")]
    content: Annotated[
        object, Meta(extra_json_schema={"description": "What it said, any JSON; null once that is erased."})
    ]
    outcomes: list[ExportedOutcome]


class ContactExportReport(Struct, frozen=True):
    """Everything that is kept of a contact."""

    exported_at: Annotated[str, Meta(description="RFC 3339.")]
    contact: ContactReport
    subscriptions: list[ExportedSubscription]
    consents: list[ExportedConsent]
    wordings: list[ExportedWording]
    messages: list[ExportedMessage]


def erasure_report(counts: ErasedCounts) -> ErasureReport:
    """What was erased."""
    return ErasureReport(
        counts.contacts,
        counts.subscriptions,
        counts.consents,
        counts.notifications,
        counts.outcomes,
        counts.receipts,
        counts.tags,
    )


def erasure_list_report(standing: ErasureListStanding, applied: int) -> ErasureListReport:
    """How the erasure list is."""
    last_at = None if standing.last_at is None else write_moment(standing.last_at)
    return ErasureListReport(standing.last, last_at, applied, standing.missing, len(standing.damaged))


def contact_export_report(export: ContactExport) -> ContactExportReport:
    """Everything that is kept of a contact."""
    return ContactExportReport(
        exported_at=write_moment(export.at),
        contact=contact_report(export.contact),
        subscriptions=[_subscription(record, story) for record, story in export.subscriptions],
        consents=[_consent(record) for record in export.consents],
        wordings=[_wording(wording) for wording in export.wordings],
        messages=[_message(message) for message in export.messages],
    )


def _subscription(record: SubscriptionRecord, story: tuple[Told, ...]) -> ExportedSubscription:
    return ExportedSubscription(
        subscription_report(record), [SayingReport(write_moment(told.at), told.words) for told in story]
    )


def _consent(record: ConsentRecord) -> ExportedConsent:
    return ExportedConsent(
        record.number,
        record.commitment.hex(),
        None if record.salt is None else record.salt.hex(),
        None if record.content is None else json.loads(record.content.canonical()),
    )


def _wording(wording: Wording) -> ExportedWording:
    return ExportedWording(
        wording.digest.hex(), wording.purpose, wording.locale, wording.version, wording.policy_version, wording.text
    )


def _message(message: ToldMessage) -> ExportedMessage:
    return ExportedMessage(
        message.public_id,
        write_moment(message.accepted_at),
        None if message.content is None else json.loads(message.content),
        [
            ExportedOutcome(
                outcome.subscription,
                None if outcome.kind is None else outcome.kind.value,
                None if outcome.at is None else write_moment(outcome.at),
                {kind: write_moment(at) for kind, at in outcome.receipts.items()},
            )
            for outcome in message.outcomes
        ],
    )
