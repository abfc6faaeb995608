"""Units of work that record what somebody says about consent: plain functions on a connection in a transaction.

Who writes a record writes what holds now beside it (``consent_states``), which is all that a send asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import BigInteger, Connection, Text, bindparam, func, insert, select, text, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from pushkeep.adapters.store.consent_rows import open_content
from pushkeep.adapters.store.purpose_units import all_purposes
from pushkeep.adapters.store.rows import AnyRow, PublicId
from pushkeep.adapters.store.sealing import Vault
from pushkeep.adapters.store.tables import consent_states, consents, wordings
from pushkeep.domain.consent import SALT_BYTES, ConsentContent, ConsentWord, Method, Purpose, commitment
from pushkeep.domain.consent_words import Standing, effective, unknown_purpose, unknown_wording
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import SubscriptionRecord

SUBSCRIPTION = "s"
CONTACT = "c"
"""What ``consent_states.subject`` says."""

_STATES = select(
    consent_states.c.purpose_id, consent_states.c.given, consent_states.c.number, consent_states.c.contact_id
).where(consent_states.c.subject == bindparam("of_subject"), consent_states.c.subject_id == bindparam("of_id"))
_LAST_NUMBER = select(func.coalesce(func.max(consents.c.number), 0)).where(
    consents.c.project_id == bindparam("project_id")
)
_RECORD = select(consents.c.number, consents.c.content, consents.c.commitment, consents.c.at).where(
    consents.c.project_id == bindparam("project_id"), consents.c.number == bindparam("of_number")
)
_WORDING = select(wordings.c.purpose_id, wordings.c.version, wordings.c.locale, wordings.c.policy_version).where(
    wordings.c.project_id == bindparam("project_id"), wordings.c.digest == bindparam("of_digest")
)
_SPEAKS = text(
    """
    WITH RECURSIVE chain (id, next) AS (
        SELECT id, CASE WHEN ended_at IS NOT NULL THEN superseded_by END FROM subscriptions WHERE id = :first
        UNION ALL
        SELECT s.id, CASE WHEN s.ended_at IS NOT NULL THEN s.superseded_by END
        FROM chain CROSS JOIN subscriptions AS s WHERE s.id = chain.next
    )
    SELECT s.id, s.public_id, s.contact_id, c.external_id
    FROM chain CROSS JOIN subscriptions AS s LEFT JOIN contacts AS c ON c.id = s.contact_id
    WHERE chain.next IS NULL AND s.id = chain.id
    """
).columns(id=BigInteger, public_id=PublicId(), contact_id=BigInteger, external_id=Text)
# Of a withdrawal whose record was erased nobody knows any more when it was said, but that it was before that.
_WITHDRAWN_SINCE = text(
    """
    WITH theirs (subject, subject_id) AS (
        SELECT 's', :browser
        UNION ALL SELECT 'c', :contact
        UNION ALL SELECT 's', s.id FROM subscriptions AS s WHERE :browser IS NULL AND s.contact_id = :contact
    )
    SELECT 1 FROM theirs CROSS JOIN consent_states AS t
        ON t.subject = theirs.subject AND t.subject_id = theirs.subject_id AND t.purpose_id = :purpose
    CROSS JOIN consents AS r ON r.project_id = t.project_id AND r.number = t.number
    WHERE NOT t.given AND (t.contact_id IS NULL OR t.contact_id = :contact) AND coalesce(r.at, r.erased_at) >= :at
    LIMIT 1
    """
)
_INSERT = insert(consents)
# What held before is proof of what was sent until now, and kept as such for a while.
_OVER = (
    update(consents)
    .where(
        consents.c.project_id == bindparam("of_project"),
        consents.c.number == bindparam("of_number"),
        consents.c.over_at.is_(None),
    )
    .values(over_at=bindparam("over"))
)
_STATE = sqlite_insert(consent_states)
SET_STATE = _STATE.on_conflict_do_update(
    index_elements=[consent_states.c.subject, consent_states.c.subject_id, consent_states.c.purpose_id],
    set_={name: getattr(_STATE.excluded, name) for name in ("given", "number", "contact_id")},
)
_HAND_ON = text(
    """
    INSERT INTO consent_states (subject, subject_id, purpose_id, project_id, given, number, contact_id)
    SELECT 's', :successor, purpose_id, project_id, given, number, contact_id FROM consent_states
    WHERE subject = 's' AND subject_id = :replaced
    ON CONFLICT (subject, subject_id, purpose_id) DO UPDATE
    SET given = excluded.given, number = excluded.number, contact_id = excluded.contact_id
    WHERE excluded.number > consent_states.number
    """
)


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks, with numbers and names.

    Attributes:
        subscription_id: the row of the browser's subscription; None where a contact speaks as such.
        subscription: its public id.
        contact_id: the contact, or the browser's owner; None for nobody.
        contact: its external id.
    """

    subscription_id: int | None
    subscription: str | None
    contact_id: int | None
    contact: str | None

    @property
    def subject(self) -> tuple[str, int]:
        """Whose state a word changes."""
        if self.subscription_id is not None:
            return SUBSCRIPTION, self.subscription_id
        return CONTACT, self.contact_id or 0


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a voice's words, by the number of the purpose.

    Attributes:
        own: of the subscription, or of the contact where it speaks as such.
        of_contact: of the subscription's owner.
        owner_id: the owner.
    """

    own: Mapping[int, Standing]
    of_contact: Mapping[int, Standing]
    owner_id: int | None

    def counts(self, purpose_id: int) -> Standing | None:
        """The word that counts about a purpose."""
        return effective(self.own.get(purpose_id), self.of_contact.get(purpose_id), self.owner_id)

    def own_counts(self, purpose_id: int) -> Standing | None:
        """The voice's own word, if it is one that counts."""
        return effective(self.own.get(purpose_id), None, self.owner_id)


@dataclass(frozen=True, slots=True)
class _News:
    word: ConsentWord
    purpose: Purpose
    wording: AnyRow | None


def voice_of(connection: Connection, record: SubscriptionRecord) -> Voice:
    """The browser of a subscription, speaking as whoever owns it now.

    For one that was replaced it is the one that has replaced it: its browser may not have heard of that yet.
    """
    row = connection.execute(_SPEAKS, {"first": record.id}).one()
    return Voice(row.id, row.public_id, row.contact_id, row.external_id)


def known_of(connection: Connection, voice: Voice) -> Known:
    """What a voice has said before."""
    of_contact: Mapping[int, Standing] = {}
    if voice.subscription_id is not None and voice.contact_id is not None:
        of_contact = _standings(connection, CONTACT, voice.contact_id)
    return Known(_standings(connection, *voice.subject), of_contact, voice.contact_id)


def says_news(
    connection: Connection,
    vault: Vault,
    project: Project,
    voice: Voice,
    words: Sequence[ConsentWord],
    *,
    heard: bool = False,
) -> bool:
    """Whether :func:`record_words` would write anything.

    Raises:
        InvalidInput: as it does.
    """
    declared = _declared(connection, project)
    known = known_of(connection, voice)
    return bool(words) and bool(_news(connection, vault, project, voice, declared, words, known, heard))


def record_words(
    connection: Connection,
    vault: Vault,
    project: Project,
    voice: Voice,
    words: Sequence[ConsentWord],
    *,
    now: float,
    heard: bool = False,
) -> Mapping[str, bool]:
    """Record what is said, but for what is known; see :meth:`pushkeep.ports.ConsentStore.say`.

    Args:
        connection: in a transaction that writes.
        vault: seals what was said.
        project: whose.
        voice: who speaks.
        words: checked.
        now: epoch seconds.
        heard: these words come once more, or later ones have been heard already: only what nothing is known about
            is recorded.

    Returns:
        what holds after it of each purpose there was a word about.

    Raises:
        InvalidInput: a purpose or wording is not declared; nothing is recorded then.
    """
    if not words:
        return {}
    known, declared = known_of(connection, voice), _declared(connection, project)
    news = _news(connection, vault, project, voice, declared, words, known, heard)
    own = dict(known.own)
    if news:
        last = connection.execute(_LAST_NUMBER, {"project_id": project.id}).scalar_one()
        for number, said in enumerate(news, start=last + 1):
            _write(connection, vault, project, voice, said, number, now, before=own.get(said.purpose.id))
            own[said.purpose.id] = Standing(said.word.given, number, voice.contact_id)
    after = replace(known, own=own)
    found = {word.purpose: after.counts(declared[word.purpose].id) for word in words}
    return {name: standing is not None and standing.given for name, standing in found.items()}


def withdraw_all(
    connection: Connection, vault: Vault, project: Project, record: SubscriptionRecord, *, at: float
) -> None:
    """A browser leaves: what it agreed to, and what counts for it by its owner's word, is withdrawn for it."""
    voice = voice_of(connection, record)
    known = known_of(connection, voice)
    given = {id for id, standing in known.own.items() if standing.given}
    for purpose_id in known.of_contact:
        word = known.counts(purpose_id)
        if word is not None and word.given:
            given.add(purpose_id)
    if given:
        names = [purpose.name for purpose in all_purposes(connection, project) if purpose.id in given]
        words = [ConsentWord(name, False, Method.UNSUBSCRIBED) for name in names]
        record_words(connection, vault, project, voice, words, now=at)


def hand_on(connection: Connection, replaced_id: int, successor_id: int) -> None:
    """What was said in a browser holds for the subscription that replaces its old one."""
    connection.execute(_HAND_ON, {"replaced": replaced_id, "successor": successor_id})


def _declared(connection: Connection, project: Project) -> Mapping[str, Purpose]:
    return {purpose.name: purpose for purpose in all_purposes(connection, project)}


def _news(
    connection: Connection,
    vault: Vault,
    project: Project,
    voice: Voice,
    declared: Mapping[str, Purpose],
    words: Sequence[ConsentWord],
    known: Known,
    heard: bool,
) -> list[_News]:
    found = []
    for word in words:
        purpose = declared.get(word.purpose)
        if purpose is None:
            raise unknown_purpose(word.purpose, list(declared))
        wording = None
        if word.wording is not None:
            named = {"project_id": project.id, "of_digest": word.wording}
            wording = connection.execute(_WORDING, named).one_or_none()
            if wording is None or wording.purpose_id != purpose.id:
                raise unknown_wording(purpose.name)
        if _comes_too_late(connection, voice, word, purpose):
            continue
        own = known.own_counts(purpose.id)
        if own is None or (not heard and _differs(connection, vault, project, word, own, known.counts(purpose.id))):
            found.append(_News(word, purpose, wording))
    return found


def _comes_too_late(connection: Connection, voice: Voice, word: ConsentWord, purpose: Purpose) -> bool:
    """Whether somebody agreed to this elsewhere before they withdrew: here, as a contact, or in a browser of theirs."""
    if word.at is None or not word.given:
        return False
    of = {"browser": voice.subscription_id, "contact": voice.contact_id, "purpose": purpose.id, "at": word.at}
    return connection.execute(_WITHDRAWN_SINCE, of).first() is not None


def _differs(
    connection: Connection, vault: Vault, project: Project, word: ConsentWord, own: Standing, counts: Standing | None
) -> bool:
    """Whether a word says something else than what holds, and not only earlier."""
    if word.at is None and not word.given and own.given is False and counts is not None and not counts.given:
        return False
    row = connection.execute(_RECORD, {"project_id": project.id, "of_number": own.number}).one()
    if word.at is not None and row.at is not None and word.at <= row.at:
        return False
    if own.given != word.given or counts is None or counts.given != word.given:
        return True
    if word.wording is None or row.content is None:
        return False
    _, content = open_content(vault, project.public_id, row.number, row.content, row.commitment)
    return content.wording != word.wording.hex()


def _write(
    connection: Connection,
    vault: Vault,
    project: Project,
    voice: Voice,
    said: _News,
    number: int,
    now: float,
    *,
    before: Standing | None,
) -> None:
    word, wording = said.word, said.wording
    content = ConsentContent(
        subscription=voice.subscription,
        contact=voice.contact,
        purpose=said.purpose.name,
        given=word.given,
        method=word.method.value,
        wording=None if word.wording is None else word.wording.hex(),
        wording_version=None if wording is None else wording.version,
        locale=None if wording is None else wording.locale,
        policy_version=None if wording is None else wording.policy_version,
        page=word.page,
        at=float(now if word.at is None else word.at),
    )
    salt, canonical = vault.ring.sealing.draw(SALT_BYTES), content.canonical()
    values = {
        "project_id": project.id,
        "number": number,
        "commitment": commitment(salt, canonical),
        "subscription_id": voice.subscription_id,
        "contact_id": voice.contact_id,
        "purpose_id": said.purpose.id,
        "given": word.given,
        "at": content.at,
        "content": vault.seal_consent(project.public_id, number, salt + canonical),
    }
    connection.execute(_INSERT, values)
    if before is not None:
        connection.execute(_OVER, {"of_project": project.id, "of_number": before.number, "over": now})
    subject, subject_id = voice.subject
    state = {
        "subject": subject,
        "subject_id": subject_id,
        "purpose_id": said.purpose.id,
        "project_id": project.id,
        "given": word.given,
        "number": number,
        "contact_id": voice.contact_id,
    }
    connection.execute(SET_STATE, state)


def _standings(connection: Connection, subject: str, subject_id: int) -> Mapping[int, Standing]:
    rows = connection.execute(_STATES, {"of_subject": subject, "of_id": subject_id})
    return {row.purpose_id: Standing(row.given, row.number, row.contact_id) for row in rows}
