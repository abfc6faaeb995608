"""Units of work that erase a person: first nothing more is sent, then what is known goes, a page in a transaction.

Nothing here looks through a whole table for a person: outcomes and receipts are found by their primary key, for each
notification and subscription, all else by an index. Each unit can be repeated, so an erasure that was interrupted is
begun again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, exists, or_, select, text, update

from pushkeep.adapters.store import subscription_units
from pushkeep.adapters.store.contact_units import find_contact_id
from pushkeep.adapters.store.move_units import move_all
from pushkeep.adapters.store.rows import AnyRow, json_values
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.tables import (
    consent_states,
    consents,
    contact_tags,
    contacts,
    installation,
    lifecycle,
    notifications,
    subscriptions,
    tags,
)
from pushkeep.adapters.store.writer import ERASED
from pushkeep.domain.ids import AnyId
from pushkeep.domain.lifecycle import By
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import Event, StateReason
from pushkeep.ports.privacy import ErasedCounts, ErasedKind, ErasedName, ErasedPage, MatchPage, Subject

# Of a contact also what its browsers had while they were nobody's, as far as one replaced the other.
_THEIRS = text(
    """
    WITH RECURSIVE theirs (id) AS (
        SELECT id FROM subscriptions WHERE contact_id = :contact_id
        UNION
        SELECT s.id FROM theirs CROSS JOIN subscriptions AS s INDEXED BY ix_subscriptions_successor
            ON s.superseded_by = theirs.id
        WHERE s.contact_id IS NULL OR s.contact_id = :contact_id
    )
    SELECT s.id, s.public_id FROM theirs CROSS JOIN subscriptions AS s ON s.id = theirs.id ORDER BY s.id
    """
).columns(subscriptions.c.id, subscriptions.c.public_id)
_ONE_BROWSERS = text(
    """
    WITH RECURSIVE theirs (id) AS (
        SELECT :first
        UNION
        SELECT s.id FROM theirs CROSS JOIN subscriptions AS s INDEXED BY ix_subscriptions_successor
            ON s.superseded_by = theirs.id
        WHERE s.contact_id IS (SELECT contact_id FROM subscriptions WHERE id = :first) OR s.contact_id IS NULL
        UNION
        SELECT s.id FROM theirs CROSS JOIN subscriptions AS e CROSS JOIN subscriptions AS s
        WHERE e.id = theirs.id AND s.id = e.superseded_by
            AND (s.contact_id IS (SELECT contact_id FROM subscriptions WHERE id = :first) OR s.contact_id IS NULL)
    )
    SELECT s.id, s.public_id FROM theirs CROSS JOIN subscriptions AS s ON s.id = theirs.id ORDER BY s.id
    """
).columns(subscriptions.c.id, subscriptions.c.public_id)
_LIVING = select(subscriptions.c.id).where(
    subscriptions.c.id.in_(json_values("ids")), subscriptions.c.ended_at.is_(None)
)
# Seen by whoever writes outcomes and receipts: none is added behind the page that takes them away.
_MARK = text("UPDATE subscriptions SET keys_hash = zeroblob(16) WHERE id IN (SELECT value FROM json_each(:ids))")
_STILL_THERE = (
    select(subscriptions.c.id)
    .where(subscriptions.c.id.in_(json_values("ids")))
    .order_by(subscriptions.c.id)
    .limit(bindparam("most"))
)
_LOG = delete(lifecycle).where(lifecycle.c.subscription_id.in_(json_values("ids")))
# A chain that leads through an erased row leads around it; what ended in one ends before it.
_JOIN_AROUND = text(
    """
    UPDATE subscriptions SET superseded_by = (SELECT e.superseded_by FROM subscriptions AS e
        WHERE e.id = subscriptions.superseded_by)
    WHERE superseded_by IN (SELECT value FROM json_each(:ids))
    """
)
_CHAINED = (
    select(subscriptions.c.id)
    .where(subscriptions.c.superseded_by.in_(json_values("ids")), subscriptions.c.id.not_in(json_values("ids")))
    .limit(1)
)
_NEIGHBOURS = text(
    """
    SELECT superseded_by FROM subscriptions
    WHERE id IN (SELECT value FROM json_each(:ids)) AND superseded_by IS NOT NULL
    UNION SELECT id FROM subscriptions WHERE superseded_by IN (SELECT value FROM json_each(:ids))
    """
)
_UNNAME = text(
    """
    UPDATE lifecycle SET evidence = json_remove(evidence, '$.predecessor', '$.successor')
    WHERE subscription_id IN (SELECT value FROM json_each(:neighbours)) AND EXISTS (
        SELECT 1 FROM json_each(:ids) AS e CROSS JOIN subscriptions AS s ON s.id = e.value
        WHERE s.public_id IN (replace(json_extract(lifecycle.evidence, '$.predecessor'), '-', ''),
            replace(json_extract(lifecycle.evidence, '$.successor'), '-', ''))
    )
    """
)
_ROWS = delete(subscriptions).where(subscriptions.c.id.in_(json_values("ids")))
EMPTY_CONSENT = {
    "subscription_id": None,
    "contact_id": None,
    "purpose_id": None,
    "given": None,
    "at": None,
    "over_at": None,
    "content": None,
}
# What somebody else said in a browser that was theirs once is theirs still.
_CONSENTS_OF_SUBSCRIPTIONS = (
    update(consents)
    .where(
        consents.c.subscription_id.in_(json_values("ids")),
        or_(
            bindparam("of_contact").is_(None),
            consents.c.contact_id.is_(None),
            consents.c.contact_id == bindparam("of_contact"),
        ),
    )
    .values(**EMPTY_CONSENT, erased_at=bindparam("now"))
)
_STATES_OF_SUBSCRIPTIONS = delete(consent_states).where(
    consent_states.c.subject == "s", consent_states.c.subject_id.in_(json_values("ids"))
)
# Whatever has replaced those that a query begins with, and whatever has replaced that.
_AND_LATER = "UNION SELECT s.superseded_by FROM later CROSS JOIN subscriptions AS s WHERE s.id = later.id"
_RECORD_IS_EMPTY = """EXISTS (
        SELECT 1 FROM consents AS c
        WHERE c.project_id = consent_states.project_id AND c.number = consent_states.number AND c.erased_at IS NOT NULL
    )"""
# What a contact said is handed on to whatever replaces the browser's subscription, whosever that is; so is what nobody
# in particular agreed to there. Neither may be rested on once its record is empty.
_STATES_HANDED_ON = text(
    f"""
    WITH RECURSIVE later (id) AS (
        SELECT s.superseded_by FROM subscriptions AS s WHERE s.id IN (SELECT value FROM json_each(:ids))
        {_AND_LATER}
    )
    DELETE FROM consent_states
    WHERE subject = 's' AND subject_id IN (SELECT id FROM later)
        AND (contact_id = :of_contact OR given AND {_RECORD_IS_EMPTY})
    RETURNING subject_id, purpose_id, given
    """  # noqa: S608 - of constants only
)
# What somebody else said there before holds again, as if the erased contact had never spoken.
_HOLDS_AGAIN = text(
    """
    WITH RECURSIVE spoke (holder, id) AS (
        SELECT value, value FROM json_each(:ids)
        UNION
        SELECT spoke.holder, s.id FROM spoke CROSS JOIN subscriptions AS s INDEXED BY ix_subscriptions_successor
            ON s.superseded_by = spoke.id
    )
    INSERT INTO consent_states (subject, subject_id, purpose_id, project_id, given, number, contact_id)
    SELECT 's', spoke.holder, c.purpose_id, c.project_id, c.given, max(c.number), c.contact_id
    FROM spoke CROSS JOIN consents AS c ON c.subscription_id = spoke.id
    WHERE c.purpose_id IS NOT NULL AND (:of_contact IS NULL OR c.contact_id IS NOT :of_contact)
    GROUP BY spoke.holder, c.purpose_id
    ON CONFLICT (subject, subject_id, purpose_id) DO NOTHING
    RETURNING project_id, number, subject_id, purpose_id, given, contact_id
    """
)
# But for what nobody in particular agreed to before the erased contact withdrew in the same browser: that was them, as
# likely as not, and whoever was not told before somebody is erased is not told for it.
_BEFORE_THEM = text(
    """
    WITH RECURSIVE spoke (id) AS (
        SELECT :browser
        UNION
        SELECT s.id FROM spoke CROSS JOIN subscriptions AS s INDEXED BY ix_subscriptions_successor
            ON s.superseded_by = spoke.id
    )
    SELECT c.id, spoke.id AS holder FROM spoke CROSS JOIN consents AS c ON c.subscription_id = spoke.id
    WHERE c.purpose_id = :purpose AND c.contact_id IS NULL AND c.given
    """
)
_STOPPED = text(
    f"""
    WITH RECURSIVE later (id) AS (
        SELECT value FROM json_each(:browsers)
        {_AND_LATER}
    )
    UPDATE consent_states SET given = 0
    WHERE subject = 's' AND subject_id IN (SELECT id FROM later) AND given AND {_RECORD_IS_EMPTY}
    """  # noqa: S608 - of constants only
)
EMPTY_RECORDS = (
    update(consents).where(consents.c.id.in_(json_values("ids"))).values(**EMPTY_CONSENT, erased_at=bindparam("now"))
)
"""Takes away what consent records say."""

_NOT_OVER = text("UPDATE consents SET over_at = NULL WHERE project_id = :of_project AND number = :of_number AND given")
# What was said on a browser that has become another's since: found by the records, there and at what has replaced it.
_STATES_ELSEWHERE = text(
    f"""
    WITH RECURSIVE later (id) AS (
        SELECT subscription_id FROM consents WHERE contact_id = :of_contact AND subscription_id IS NOT NULL
        {_AND_LATER}
    )
    DELETE FROM consent_states WHERE subject = 's' AND subject_id IN (SELECT id FROM later) AND contact_id = :of_contact
    RETURNING subject_id, purpose_id, given
    """  # noqa: S608 - of constants only
)
_CONSENTS_OF_CONTACT = (
    update(consents)
    .where(consents.c.contact_id == bindparam("of_contact"))
    .values(**EMPTY_CONSENT, erased_at=bindparam("now"))
)
_STATES_OF_CONTACT = delete(consent_states).where(
    consent_states.c.subject == "c", consent_states.c.subject_id == bindparam("of_contact")
)
_HAS_SUBSCRIPTION = select(subscriptions.c.id).where(subscriptions.c.contact_id == bindparam("contact_id")).limit(1)
_TAGS_OF = select(contact_tags.c.tag_id).where(contact_tags.c.contact_id == bindparam("contact_id"))
_UNTAG = delete(contact_tags).where(contact_tags.c.contact_id == bindparam("of_contact"))
_DROP_TAGS = delete(tags).where(
    tags.c.id.in_(json_values("ids")),
    ~exists().where(contact_tags.c.tag_id == tags.c.id),
    ~exists().where(notifications.c.tag_id == tags.c.id),
)
_CONTACT_ROW = delete(contacts).where(contacts.c.id == bindparam("of_contact"))
_APPLIED = select(installation.c.erasures_applied)
_NOTE = (
    update(installation)
    .where(
        installation.c.erasures_applied >= bindparam("before"),
        installation.c.erasures_applied < bindparam("last"),
    )
    .values(erasures_applied=bindparam("last"))
)
_CONTACTS_AFTER = (
    select(contacts.c.id, contacts.c.external_id, contacts.c.created_at)
    .where(contacts.c.project_id + 0 == bindparam("project_id"), contacts.c.id > bindparam("after"))
    .order_by(contacts.c.id)
    .limit(bindparam("most"))
)
_SUBSCRIPTIONS_AFTER = (
    select(subscriptions.c.id, subscriptions.c.public_id, subscriptions.c.created_at)
    .where(subscriptions.c.project_id == bindparam("project_id"), subscriptions.c.id > bindparam("after"))
    .order_by(subscriptions.c.id)
    .limit(bindparam("most"))
)


def find_subject(
    connection: Connection, vault: Vault, project: Project, *, contact: str | None, subscription: AnyId | None
) -> Subject | None:
    """See :meth:`pushkeep.ports.privacy.PrivacyStore.find_subject`."""
    own: tuple[ErasedName, ...] = ()
    if contact is not None:
        contact_id = find_contact_id(connection, project, contact)
        if contact_id is None:
            return None
        rows = connection.execute(_THEIRS, {"contact_id": contact_id}).all()
        own = (_name(vault, project, ErasedKind.CONTACT, contact),)
    else:
        record = None if subscription is None else subscription_units.find(connection, project, subscription)
        if record is None:
            return None
        contact_id = None
        rows = connection.execute(_ONE_BROWSERS, {"first": record.id}).all()
    names = (_name(vault, project, ErasedKind.SUBSCRIPTION, str(row.public_id)) for row in rows)
    return Subject(contact_id, tuple(row.id for row in rows), (*own, *names))


def _name(vault: Vault, project: Project, kind: ErasedKind, value: str) -> ErasedName:
    return ErasedName(kind, vault.erasure_hash(project.public_id, kind.value, value))


def stop(connection: Connection, project: Project, subject: Subject, *, now: float) -> None:
    """See :meth:`pushkeep.ports.privacy.PrivacyStore.stop_subject`."""
    found = {"ids": json.dumps(subject.subscriptions)}
    living = connection.execute(_LIVING, found).scalars().all()
    move_all(connection, project.id, living, Event.REMOVED, StateReason(Event.REMOVED, now), By.OPERATOR)
    connection.execute(_MARK, found)


def erase_rows(connection: Connection, subject: Subject, *, limit: int, now: float) -> ErasedPage:
    """See :meth:`pushkeep.ports.privacy.PrivacyStore.erase_subscriptions`."""
    named = {"ids": json.dumps(subject.subscriptions), "most": limit}
    ids = connection.execute(_STILL_THERE, named).scalars().all()
    if not ids:
        return ErasedPage(ErasedCounts(), None)
    found = {"ids": json.dumps(ids)}
    _forget_neighbours(connection, found)
    connection.execute(_LOG, found)
    said = {**found, "of_contact": subject.contact_id, "now": now}
    records = connection.execute(_CONSENTS_OF_SUBSCRIPTIONS, said).rowcount
    _hold_again(connection, connection.execute(_STATES_HANDED_ON, said).all(), subject.contact_id, now)
    connection.execute(_STATES_OF_SUBSCRIPTIONS, found)
    for _ in ids:  # one round for each erased row in a line
        if connection.execute(_CHAINED, found).first() is None:
            break
        connection.execute(_JOIN_AROUND, found)
    connection.execute(_ROWS, found)
    connection.info[ERASED] = True
    counts = ErasedCounts(subscriptions=len(ids), consents=records)
    return ErasedPage(counts, ids[-1] if len(ids) == limit else None)


def _forget_neighbours(connection: Connection, found: dict[str, str]) -> None:
    """Take their names out of the stories of those whom they replaced, or who replaced them."""
    neighbours = connection.execute(_NEIGHBOURS, found).scalars().all()
    if neighbours:
        connection.execute(_UNNAME, {**found, "neighbours": json.dumps(neighbours)})


def _hold_again(connection: Connection, silenced: Sequence[AnyRow], contact_id: int | None, now: float) -> None:
    if not silenced:
        return
    browsers = sorted({row.subject_id for row in silenced})
    withdrawn = {(row.subject_id, row.purpose_id) for row in silenced if not row.given}
    for row in connection.execute(_HOLDS_AGAIN, {"ids": json.dumps(browsers), "of_contact": contact_id}).all():
        if row.given and row.contact_id is None and (row.subject_id, row.purpose_id) in withdrawn:
            of_browser = {"browser": row.subject_id, "purpose": row.purpose_id}
            before = connection.execute(_BEFORE_THEM, of_browser).all()
            connection.execute(EMPTY_RECORDS, {"ids": json.dumps([one.id for one in before]), "now": now})
            holders = [row.subject_id, *(one.holder for one in before)]
            connection.execute(_STOPPED, {"browsers": json.dumps(holders)})
        else:
            connection.execute(_NOT_OVER, {"of_project": row.project_id, "of_number": row.number})


def erase_subject(connection: Connection, subject: Subject, *, numbers: tuple[int, int], now: float) -> ErasedPage:
    """See :meth:`pushkeep.ports.privacy.PrivacyStore.erase_subject`."""
    if subject.contact_id is None:
        note(connection, *numbers)
        return ErasedPage(ErasedCounts(), None)
    named = {"contact_id": subject.contact_id}
    if connection.execute(_HAS_SUBSCRIPTION, named).first() is not None:
        return ErasedPage(ErasedCounts(), 0)
    of_contact = {"of_contact": subject.contact_id}
    had = connection.execute(_TAGS_OF, named).scalars().all()
    connection.execute(_UNTAG, of_contact)
    dropped = connection.execute(_DROP_TAGS, {"ids": json.dumps(had)}).rowcount
    silenced = connection.execute(_STATES_ELSEWHERE, of_contact).all()
    _hold_again(connection, silenced, subject.contact_id, now)
    connection.execute(_STATES_OF_CONTACT, of_contact)
    records = connection.execute(_CONSENTS_OF_CONTACT, {**of_contact, "now": now}).rowcount
    rows = connection.execute(_CONTACT_ROW, of_contact).rowcount
    note(connection, *numbers)
    connection.info[ERASED] = True
    return ErasedPage(ErasedCounts(contacts=rows, consents=records, tags=dropped), None)


def applied(connection: Connection) -> int:
    """See :meth:`pushkeep.ports.privacy.PrivacyStore.erasures_applied`."""
    return int(connection.execute(_APPLIED).scalar_one())


def note(connection: Connection, first: int, last: int) -> None:
    """See :meth:`pushkeep.ports.privacy.PrivacyStore.note_erasures`."""
    connection.execute(_NOTE, {"before": first - 1, "last": last})


def match(
    connection: Connection,
    vault: Vault,
    project: Project,
    kind: ErasedKind,
    erased: Mapping[bytes, float],
    *,
    after: int,
    limit: int,
) -> MatchPage:
    """See :meth:`pushkeep.ports.privacy.PrivacyStore.match_erased`."""
    statement = _CONTACTS_AFTER if kind is ErasedKind.CONTACT else _SUBSCRIPTIONS_AFTER
    rows = connection.execute(statement, {"project_id": project.id, "after": after, "most": limit}).all()
    found = []
    for row in rows:
        value = str(row[1])
        at = erased.get(vault.erasure_hash(project.public_id, kind.value, value))
        if at is not None and row.created_at <= at:
            found.append(value)
    return MatchPage(tuple(found), rows[-1].id if len(rows) == limit else None)
