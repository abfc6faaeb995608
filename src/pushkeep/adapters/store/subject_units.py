"""Units of work that read what is kept of a person, so that they can be given it."""

from __future__ import annotations

import json
from collections import defaultdict

from sqlalchemy import Connection, bindparam, select, union

from pushkeep.adapters.store.consent_rows import record_from as consent_from
from pushkeep.adapters.store.rows import json_values, record_from, select_records
from pushkeep.adapters.store.sealing import SealBroken, Vault
from pushkeep.adapters.store.tables import consents, notifications, receipts, recipient_outcomes, subscriptions
from pushkeep.domain.project import Project
from pushkeep.domain.shard import Kind
from pushkeep.domain.subscription import SubscriptionRecord
from pushkeep.ports.consents import ConsentRecord
from pushkeep.ports.privacy import Subject, ToldMessage, ToldOutcome, ToldPage

_RECORDS = (
    select_records()
    .where(
        subscriptions.c.id.in_(json_values("ids")),
        subscriptions.c.project_id + 0 == bindparam("project_id"),
    )
    .order_by(subscriptions.c.id)
)
# What somebody else said in a browser that is theirs by now is not theirs. By both indexes, whatever there is.
_THEIR_CONSENTS = union(
    select(consents.c.id).where(
        consents.c.subscription_id.in_(json_values("ids")),
        consents.c.subscription_id.is_not(None),
        consents.c.contact_id.is_(None),
    ),
    select(consents.c.id).where(consents.c.contact_id == bindparam("of_contact")),
).subquery()
_CONSENTS = (
    select(consents.c.number, consents.c.commitment, consents.c.content, consents.c.erased_at)
    .where(consents.c.id.in_(select(_THEIR_CONSENTS.c.id)), consents.c.content.is_not(None))
    .order_by(consents.c.id)
)
_PAGE = (
    select(notifications.c.id, notifications.c.high_water)
    .where(notifications.c.project_id == bindparam("project_id"), notifications.c.id > bindparam("after"))
    .order_by(notifications.c.id)
    .limit(bindparam("most"))
)
_OUTCOMES = select(
    recipient_outcomes.c.notification_id,
    recipient_outcomes.c.subscription_id,
    recipient_outcomes.c.kind,
    recipient_outcomes.c.at,
).where(
    recipient_outcomes.c.notification_id.in_(json_values("notifications")),
    recipient_outcomes.c.subscription_id.in_(json_values("subscriptions")),
)
_RECEIPTS = select(receipts.c.notification_id, receipts.c.subscription_id, receipts.c.kind, receipts.c.at).where(
    receipts.c.notification_id.in_(json_values("notifications")),
    receipts.c.subscription_id.in_(json_values("subscriptions")),
)
_SAID = select(
    notifications.c.id, notifications.c.public_id, notifications.c.accepted_at, notifications.c.content
).where(notifications.c.id.in_(json_values("ids")))
_NAMES = select(subscriptions.c.id, subscriptions.c.public_id).where(subscriptions.c.id.in_(json_values("ids")))


def records(connection: Connection, project: Project, subject: Subject) -> tuple[SubscriptionRecord, ...]:
    """See :meth:`pushkeep.ports.privacy.PrivacyStore.subject_records`."""
    named = {"ids": json.dumps(subject.subscriptions), "project_id": project.id}
    return tuple(record_from(row) for row in connection.execute(_RECORDS, named))


def consents_of(connection: Connection, vault: Vault, project: Project, subject: Subject) -> tuple[ConsentRecord, ...]:
    """See :meth:`pushkeep.ports.privacy.PrivacyStore.subject_consents`."""
    named = {"ids": json.dumps(subject.subscriptions), "of_contact": subject.contact_id}
    return tuple(consent_from(vault, project.public_id, row) for row in connection.execute(_CONSENTS, named))


def messages(
    connection: Connection, vault: Vault, project: Project, subject: Subject, *, after: int, limit: int
) -> ToldPage:
    """See :meth:`pushkeep.ports.privacy.PrivacyStore.subject_messages`."""
    page = connection.execute(_PAGE, {"project_id": project.id, "after": after, "most": limit}).all()
    ids = json.dumps(subject.subscriptions)
    first = min(subject.subscriptions, default=0)
    named = {"notifications": json.dumps([row.id for row in page if row.high_water >= first]), "subscriptions": ids}
    outcomes = {(row[0], row[1]): (Kind(row[2]), row[3]) for row in connection.execute(_OUTCOMES, named)}
    reported: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
    for notification, subscription, kind, at in connection.execute(_RECEIPTS, named):
        reported[notification, subscription][kind] = at
    names = {row[0]: str(row[1]) for row in connection.execute(_NAMES, {"ids": ids})}
    by_notification: dict[int, list[ToldOutcome]] = defaultdict(list)
    for place in sorted(outcomes.keys() | reported.keys()):
        kind, at = outcomes.get(place, (None, None))
        told = ToldOutcome(names.get(place[1], ""), kind, at, dict(sorted(reported.get(place, {}).items())))
        by_notification[place[0]].append(told)
    said = connection.execute(_SAID, {"ids": json.dumps(sorted(by_notification))}).all()
    told_messages = tuple(
        ToldMessage(
            str(row.public_id),
            row.accepted_at,
            _content(vault, project, str(row.public_id), row.content),
            tuple(by_notification[row.id]),
        )
        for row in sorted(said, key=lambda row: int(row.id))
    )
    return ToldPage(told_messages, page[-1].id if len(page) == limit else None)


def _content(vault: Vault, project: Project, public_id: str, sealed: bytes) -> bytes | None:
    """What it said; nothing of what is erased, or damaged, which must not keep the rest from being read."""
    if not sealed:
        return None
    try:
        return vault.open_notification(project.public_id, public_id, "content", sealed)
    except SealBroken:
        return None
