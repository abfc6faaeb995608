"""Privacy: what is erased and how that outlives a backup, what is kept for how long, and what a person may be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.domain.shard import Kind
from pushkeep.domain.subscription import SubscriptionRecord
from pushkeep.ports.consents import ConsentRecord


class ErasedKind(StrEnum):
    """What an entry of the erasure list is about."""

    CONTACT = "contact"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, slots=True)
class ErasedName:
    """Somebody in the erasure list: known again only by who has both the database's keys and the id.

    Attributes:
        kind: what was erased.
        digest: keyed hash (HMAC-SHA-256) of project and external or public id; 32 octets.
    """

    kind: ErasedKind
    digest: bytes


@dataclass(frozen=True, slots=True)
class Erasure:
    """An entry of the erasure list.

    Attributes:
        number: from 1; rises by one.
        at: epoch seconds; what was created later is another story.
        project: public id of the project.
        name: of whom.
    """

    number: int
    at: float
    project: str
    name: ErasedName


@dataclass(frozen=True, slots=True)
class ErasureListStanding:
    """How the erasure list is.

    Attributes:
        path: where it is.
        last: number of its last entry; 0 where there is none.
        last_at: epoch seconds of that; None where there is none.
        missing: how many numbers before the last one it has no entry for.
        damaged: numbers of lines that cannot be read.
    """

    path: str
    last: int
    last_at: float | None
    missing: int = 0
    damaged: tuple[int, ...] = ()


class ErasureList(Protocol):
    """The list of who was erased, outside of the database: a backup that is put back does not bring them back."""

    async def append(self, project: Project, names: Sequence[ErasedName], *, at: float, after: int) -> tuple[int, int]:
        """Write entries; they are on disk when this returns.

        Args:
            project: whose contact or visitor.
            names: of all that goes together; at least one.
            at: epoch seconds.
            after: the highest number that was ever applied: a list that was lost goes on behind it.

        Returns:
            the first and the last number.

        Raises:
            Unavailable: it cannot be written; nothing is in it then.
        """
        ...

    async def read(self, *, after: int) -> Sequence[Erasure]:
        """Every entry with a number above ``after`` that can be read, in order; none where there is no list.

        Raises:
            Unavailable: it is there and cannot be read.
        """
        ...

    async def standing(self) -> ErasureListStanding:
        """How it is.

        Raises:
            Unavailable: it is there and cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is erased: a contact with everything, or the browser of a visitor.

    Attributes:
        contact_id: internal number of the contact; None for a visitor's browser alone.
        subscriptions: internal numbers of the subscriptions, ended ones too.
        names: for the erasure list.
    """

    contact_id: int | None
    subscriptions: tuple[int, ...]
    names: tuple[ErasedName, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ErasedCounts:
    """What was erased.

    Attributes:
        contacts: rows of contacts.
        subscriptions: subscriptions, with the story of each.
        consents: consent records whose content is gone.
        notifications: notifications that were for nobody else, and lost what they said.
        outcomes: what became of messages to them.
        receipts: what their browsers reported.
        tags: tags that nobody else had.
    """

    contacts: int = 0
    subscriptions: int = 0
    consents: int = 0
    notifications: int = 0
    outcomes: int = 0
    receipts: int = 0
    tags: int = 0

    def __add__(self, other: ErasedCounts) -> ErasedCounts:
        return ErasedCounts(
            self.contacts + other.contacts,
            self.subscriptions + other.subscriptions,
            self.consents + other.consents,
            self.notifications + other.notifications,
            self.outcomes + other.outcomes,
            self.receipts + other.receipts,
            self.tags + other.tags,
        )


@dataclass(frozen=True, slots=True)
class ErasedPage:
    """What one transaction of an erasure did.

    Attributes:
        counts: of this transaction.
        after: where the next page begins; None where this was the last one.
    """

    counts: ErasedCounts
    after: int | None


@dataclass(frozen=True, slots=True)
class MatchPage:
    """Who of a page of contacts or subscriptions is in the erasure list.

    Attributes:
        found: external ids of contacts, or public ids of subscriptions, that were created before they were erased.
        after: where the next page begins; None where this was the last one.
    """

    found: tuple[str, ...]
    after: int | None


@dataclass(frozen=True, slots=True)
class ToldOutcome:
    """What became of a notification at one of a subject's subscriptions, and what its browser reported.

    Attributes:
        subscription: public id.
        kind: what became of it; None where that is not kept, as for those whom a large send reached.
        at: epoch seconds of that.
        receipts: what the browser reported, with the time of each.
    """

    subscription: str
    kind: Kind | None
    at: float | None
    receipts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ToldMessage:
    """A notification that a subject was told, as far as it is kept.

    Attributes:
        public_id: of the notification.
        accepted_at: epoch seconds.
        content: JSON of what it said; None once that is erased.
        outcomes: at each of their subscriptions of which something is kept.
    """

    public_id: str
    accepted_at: float
    content: bytes | None = field(repr=False)
    outcomes: tuple[ToldOutcome, ...]


@dataclass(frozen=True, slots=True)
class ToldPage:
    """What a subject was told, of a page of notifications.

    Attributes:
        messages: in the order in which they were accepted.
        after: where the next page begins; None where this was the last one.
    """

    messages: tuple[ToldMessage, ...]
    after: int | None


class Kept(StrEnum):
    """What has a time after which it is erased."""

    NOTIFICATIONS = "notifications"
    """Title, text and all else that a notification said, once it has finished."""
    OUTCOMES = "outcomes"
    """What became of it for each recipient, and what their browsers reported; totals stay."""
    CONSENTS = "consents"
    """What a consent record says, after the withdrawal or the end of its subscription; the commitment stays."""


@dataclass(frozen=True, slots=True)
class RetentionPage:
    """What one transaction of retention erased.

    Attributes:
        erased: how many notifications, rows or records.
        after: where the next page begins; None where this was the last one.
    """

    erased: int
    after: int | None


class PrivacyStore(Protocol):
    """Erases people, and what is over its time; shows a person what is kept. Every method is one unit of work."""

    async def find_subject(
        self, project: Project, *, contact: str | None = None, subscription: AnyId | None = None
    ) -> Subject | None:
        """Who is meant, with every subscription that is theirs; None where nothing is stored of them.

        A contact's subscriptions are those that are theirs now, or were when they ended, and what these replaced while
        it was nobody's. A visitor's are that one and what it replaced, as far as it had the same owner.
        """
        ...

    async def subject_records(self, project: Project, subject: Subject) -> tuple[SubscriptionRecord, ...]:
        """A subject's subscriptions, oldest first."""
        ...

    async def subject_consents(self, project: Project, subject: Subject) -> tuple[ConsentRecord, ...]:
        """Every record of what a subject said that is not erased, oldest first."""
        ...

    async def subject_messages(self, project: Project, subject: Subject, *, after: int, limit: int) -> ToldPage:
        """What is kept of what a subject was told, of the next ``limit`` notifications."""
        ...

    async def stop_subject(self, project: Project, subject: Subject) -> None:
        """End what is living of a subject, endpoint and keys included: nothing is sent to them from now on."""
        ...

    async def erase_messages(self, project: Project, subject: Subject, *, after: int, limit: int) -> ErasedPage:
        """Of the next ``limit`` notifications erase what is about a subject.

        Outcomes and receipts go. A notification that was for nobody else is cancelled if it has not ended, and loses
        its content, payload, idempotency key and tag.
        """
        ...

    async def erase_subscriptions(self, project: Project, subject: Subject, *, limit: int) -> ErasedPage:
        """Erase the next ``limit`` subscriptions of a subject: row, story, consents' content and what they add up to.

        What others' rows say of them goes, too: a chain is joined around them.
        """
        ...

    async def erase_subject(self, project: Project, subject: Subject, *, numbers: tuple[int, int]) -> ErasedPage:
        """Erase the contact itself, and note that these entries of the list are applied.

        Nothing is done, and the page has an ``after``, where the contact got a subscription meanwhile.
        """
        ...

    async def erasures_applied(self) -> int:
        """Up to which number the erasure list is applied to this database."""
        ...

    async def note_erasures(self, first: int, last: int) -> None:
        """Note that these entries are applied; nothing is noted while one before them is not."""
        ...

    async def match_erased(
        self, project: Project, kind: ErasedKind, erased: Mapping[bytes, float], *, after: int, limit: int
    ) -> MatchPage:
        """Who of the next ``limit`` contacts or subscriptions is in a list of digests with the time of each."""
        ...

    async def erase_old(self, project: Project, kept: Kept, *, before: float, after: int, limit: int) -> RetentionPage:
        """Erase what is over its time, a page in one transaction.

        Args:
            project: whose.
            kept: what.
            before: epoch seconds; for notifications and outcomes of the notification's end, for consents of the
                withdrawal, or of the subscription's end.
            after: 0, then what the page before says.
            limit: how many notifications or records are looked at.
        """
        ...
