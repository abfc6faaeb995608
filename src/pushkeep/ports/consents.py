"""Purposes, what visitors are asked, and what they answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pushkeep.domain.consent import Basis, ConsentContent, ConsentWord, Purpose, Seal, Wording
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whose word it is: exactly one of these.

    Attributes:
        subscription: a browser's, by either id of its subscription.
        contact: a contact's, by external id.
    """

    subscription: AnyId | None = None
    contact: str | None = None

    def __post_init__(self) -> None:
        if (self.subscription is None) == (self.contact is None):
            raise ValueError("A word is either a subscription's or a contact's.")


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """A record as it is stored.

    Attributes:
        number: from 1, without a gap, in each project.
        commitment: 32 octets.
        salt: 32 octets; None once it is erased.
        content: what was said; None once it is erased.
        erased_at: epoch seconds.
    """

    number: int
    commitment: bytes
    salt: bytes | None = field(repr=False)
    content: ConsentContent | None
    erased_at: float | None


@dataclass(frozen=True, slots=True)
class ChainStanding:
    """How far the chain is.

    Attributes:
        records: how many there are, erased ones too.
        sealed: the number of the last record that is sealed; 0 for none.
        latest: the last seal; None before the first.
    """

    records: int
    sealed: int
    latest: Seal | None

    @property
    def waiting(self) -> int:
        """How many records wait for their seal."""
        return self.records - self.sealed


@dataclass(frozen=True, slots=True)
class HeldWord:
    """What counts for a subscription or a contact about a purpose.

    Attributes:
        purpose: its name.
        given: whether it may be told something for it by this word.
        number: of the record that says so.
        content: of that record; None where its content is erased.
    """

    purpose: str
    given: bool
    number: int
    content: ConsentContent | None


@dataclass(frozen=True, slots=True)
class StateFaults:
    """What a page of states showed.

    Attributes:
        compared: how many states were looked at.
        faults: what is wrong, in sentences.
        next_after: where the next page begins; None at the end.
    """

    compared: int
    faults: tuple[str, ...]
    next_after: tuple[str, int, int] | None


class ConsentStore(Protocol):
    """Keeps purposes, wordings and consent records. Every method is one unit of work, unless it says otherwise."""

    async def put_purpose(
        self, project: Project, name: str, *, description: str, basis: Basis, now: float
    ) -> tuple[Purpose, bool]:
        """Declare a purpose, or change its description and basis; says whether it is new.

        Raises:
            Conflict: the project has as many as it may have.
        """
        ...

    async def purposes(self, project: Project) -> tuple[Purpose, ...]:
        """All of them, in the order in which they were declared."""
        ...

    async def add_wording(self, project: Project, wording: Wording) -> tuple[Wording, bool]:
        """Declare a wording; the same again changes nothing. Says whether it is new.

        Raises:
            InvalidInput: there is no such purpose.
            Conflict: this locale and version have another text, or the purpose has too many.
        """
        ...

    async def wordings(self, project: Project, purpose: str | None = None) -> tuple[Wording, ...]:
        """Those of a purpose, or all, in the order in which they were declared; none for an unknown purpose."""
        ...

    async def say(
        self,
        project: Project,
        speaker: Speaker,
        words: Sequence[ConsentWord],
        *,
        sequence: int | None,
        now: float,
        living: bool = False,
    ) -> Mapping[str, bool]:
        """Record what somebody says; all of it, or nothing.

        The same word again, while it holds, writes nothing, nor does one that was said before what is known
        (``at``). A contact that is not known is stored.

        Args:
            project: whose.
            speaker: who; a subscription may have ended.
            words: checked.
            sequence: the browser's number of these words; None for the operator's, and browsers that give none.
            now: epoch seconds.
            living: only if the subscription lives, or the last of those that replaced it.

        Returns:
            what holds of these purposes after it.

        Raises:
            NotFound: there is no such subscription.
            InvalidInput: a purpose or wording is not declared.
            Conflict: ``stale``, the browser has said something later; ``ended``, it does not live. Nothing has changed
                then.
        """
        ...

    async def held(self, project: Project, speaker: Speaker) -> tuple[HeldWord, ...]:
        """What counts for a subscription or a contact, by purpose in the order of names; nothing for an unknown one."""
        ...

    async def list_consents(
        self,
        project: Project,
        *,
        speaker: Speaker | None = None,
        purpose: str | None = None,
        limit: int,
        after: int,
    ) -> tuple[ConsentRecord, ...]:
        """Records with a number above ``after``, in the order of their numbers; erased ones only where nothing is
        asked for in particular."""
        ...

    async def seal_consents(self, project: Project, *, now: float) -> Seal | None:
        """Seal the next batch of records; None where none waits."""
        ...

    async def chain_standing(self, project: Project) -> ChainStanding:
        """How far the chain is."""
        ...

    async def list_seals(self, project: Project, *, limit: int, after: int) -> tuple[Seal, ...]:
        """Seals with a number above ``after``, in their order."""
        ...

    async def consent_rows(
        self, project: Project, *, limit: int, after: int
    ) -> tuple[tuple[ConsentRecord, tuple[str, ...]], ...]:
        """Records with a number above ``after`` for an audit: with what is wrong with each in sentences, as far as its
        row alone shows: content that does not open, or that differs from the columns beside it."""
        ...

    async def state_faults(self, project: Project, *, limit: int, after: tuple[str, int, int]) -> StateFaults:
        """Compare a page of what sends ask with the records it follows from; all of it read in one transaction."""
        ...
