"""Units of work that say words by hand, and list what was said: plain functions on a connection in a transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Select, bindparam, literal_column, select

from pushkeep.adapters.store.consent_rows import record_from
from pushkeep.adapters.store.consent_units import (
    CONTACT,
    SUBSCRIPTION,
    Voice,
    known_of,
    record_words,
    voice_of,
)
from pushkeep.adapters.store.contact_units import contact_id_of, find_contact_id
from pushkeep.adapters.store.purpose_units import all_purposes, find_purpose
from pushkeep.adapters.store.rows import AnyRow
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.subscription_units import by_row_id, find, note_sequence
from pushkeep.adapters.store.tables import consents
from pushkeep.domain.consent import ConsentWord
from pushkeep.domain.project import Project
from pushkeep.errors import Conflict, NotFound
from pushkeep.ports.consents import ConsentRecord, HeldWord, Speaker

RECORDS = select(
    consents.c.number,
    consents.c.commitment,
    consents.c.content,
    consents.c.erased_at,
    consents.c.subscription_id,
    consents.c.contact_id,
    consents.c.purpose_id,
    consents.c.given,
    consents.c.at,
)
_PAGE: Select[tuple[object, ...]] = (
    RECORDS.where(consents.c.number > bindparam("after")).order_by(consents.c.number).limit(bindparam("most"))
)
_ALL = _PAGE.where(consents.c.project_id == bindparam("project_id"))
# Added to zero so that SQLite takes the index on whose they are, and sorts the few there are.
_OF = _PAGE.where(consents.c.project_id + literal_column("0") == bindparam("project_id"))
_OF_SUBSCRIPTION = _OF.where(consents.c.subscription_id == bindparam("of_subscription"))
_OF_CONTACT = _OF.where(consents.c.contact_id == bindparam("of_contact"))
_ONE = RECORDS.where(consents.c.project_id == bindparam("project_id"), consents.c.number == bindparam("of_number"))


def say(
    connection: Connection,
    vault: Vault,
    project: Project,
    speaker: Speaker,
    words: Sequence[ConsentWord],
    *,
    sequence: int | None,
    now: float,
    living: bool,
) -> Mapping[str, bool]:
    """See :meth:`pushkeep.ports.ConsentStore.say`."""
    heard = False
    if speaker.contact is not None:
        number = contact_id_of(connection, project, speaker.contact, now)
        voice = Voice(None, None, number, speaker.contact)
    else:
        record = None if speaker.subscription is None else find(connection, project, speaker.subscription)
        if record is None:
            raise NotFound("The project has no such subscription.")
        voice = voice_of(connection, record)
        newest = by_row_id(connection, voice.subscription_id or record.id)
        if living and not newest.living:
            raise Conflict("This subscription has ended; register the one that the browser has now.", reason="ended")
        # By an old token it is held against what has been said by the newer one since: it may have been on its way for
        # long.
        heard = sequence is not None and sequence == newest.sync_sequence
        note_sequence(connection, newest, sequence)
    return record_words(connection, vault, project, voice, words, now=now, heard=heard)


def held(connection: Connection, vault: Vault, project: Project, speaker: Speaker) -> tuple[HeldWord, ...]:
    """See :meth:`pushkeep.ports.ConsentStore.held`."""
    voice = _find_voice(connection, project, speaker)
    if voice is None:
        return ()
    known = known_of(connection, voice)
    found = []
    for purpose in sorted(all_purposes(connection, project), key=lambda purpose: purpose.name):
        word = known.counts(purpose.id)
        if word is not None:
            row = connection.execute(_ONE, {"project_id": project.id, "of_number": word.number}).one()
            content = record_from(vault, project.public_id, row).content
            found.append(HeldWord(purpose.name, word.given, word.number, content))
    return tuple(found)


def _find_voice(connection: Connection, project: Project, speaker: Speaker) -> Voice | None:
    if speaker.contact is not None:
        number = find_contact_id(connection, project, speaker.contact)
        return None if number is None else Voice(None, None, number, speaker.contact)
    record = None if speaker.subscription is None else find(connection, project, speaker.subscription)
    return None if record is None else voice_of(connection, record)


def page(
    connection: Connection,
    vault: Vault,
    project: Project,
    *,
    speaker: Speaker | None,
    purpose: str | None,
    limit: int,
    after: int,
) -> tuple[ConsentRecord, ...]:
    """See :meth:`pushkeep.ports.ConsentStore.list_consents`."""
    named: dict[str, int] = {"project_id": project.id, "after": after, "most": limit}
    statement = _ALL
    if speaker is not None:
        voice = _find_voice(connection, project, speaker)
        if voice is None:
            return ()
        subject, number = voice.subject
        statement = {SUBSCRIPTION: _OF_SUBSCRIPTION, CONTACT: _OF_CONTACT}[subject]
        named[{SUBSCRIPTION: "of_subscription", CONTACT: "of_contact"}[subject]] = number
    if purpose is not None:
        statement = statement.where(consents.c.purpose_id == bindparam("of_purpose"))
        named["of_purpose"] = find_purpose(connection, project, purpose).id
    return tuple(record_from(vault, project.public_id, row) for row in connection.execute(statement, named))


def rows_after(connection: Connection, project: Project, *, limit: int, after: int) -> Sequence[AnyRow]:
    """Rows with a number above ``after``, as they are."""
    return connection.execute(_ALL, {"project_id": project.id, "after": after, "most": limit}).all()
