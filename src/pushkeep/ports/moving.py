"""Moving in: a file that is read twice, and the store that takes what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pushkeep.domain.moving import Fault, Format, ImportAsked, MovedRecord, NewNames, Numbered, Read
from pushkeep.domain.project import Project
from pushkeep.protocol.signing_key import SigningKey


class Source(Protocol):
    """A file of one format. Its octets must stay as they are until the import has ended."""

    @property
    def format(self) -> Format:
        """What it is."""
        ...

    @property
    def size_bytes(self) -> int:
        """Of the whole file."""
        ...

    @property
    def position_bytes(self) -> int:
        """How far the present reading has come."""
        ...

    @property
    def unused(self) -> tuple[str, ...]:
        """Columns that mean nothing to the format, in the order of the file, as far as it was read."""
        ...

    def digest(self) -> bytes:
        """SHA-256 of its octets and of everything that it was said to be read by; reads it once for that.

        Raises:
            BrokenFile: it cannot be read.
        """
        ...

    def read(self) -> Read:
        """Read it from its beginning, a second time as well as the first; records come in their order.

        Raises:
            BrokenFile: it cannot be read, or has changed since :meth:`digest`; while it is read, too.
        """
        ...


class Seen(Protocol):
    """What a first reading remembers of all records, outside of this process's memory."""

    def first(self, key: bytes, rest: bytes, line: int) -> tuple[int, bool] | None:
        """Remember a record.

        Args:
            key: by which records are the same.
            rest: what must be the same of them, too.
            line: where it stands.

        Returns:
            None for the first; else the first one's line, and whether its rest is the same.
        """
        ...

    def count(self, name: bytes) -> int:
        """Count a name; how often it has been counted by now."""
        ...


@dataclass(frozen=True, slots=True)
class ImportJournal:
    """How far an import has come.

    Attributes:
        id: internal number.
        position: number of the last record that is done.
        counts: of what became of records, by words such as ``subscriptions``, ``known``, ``contacts``.
        started_at, finished_at: epoch seconds.
    """

    id: int
    position: int
    counts: Mapping[str, int]
    started_at: float
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the store would do with records.

    Attributes:
        faults: those it cannot take, and why, in their order.
        counts: what would become of the others; as in :class:`ImportJournal`.
        joining: of the records, by number, that would be one more living subscription of their contact: how many it
            has, and the word under which they are counted.
    """

    faults: tuple[Fault, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    joining: Mapping[int, tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """What bringing a signing key along would do.

    Attributes:
        key_id: its id.
        known: whether the project has it already.
        becomes: the state it would be in, or is in.
    """

    key_id: str
    known: bool
    becomes: str


class ImportStore(Protocol):
    """Takes what is moved in. Every method is one unit of work."""

    async def find_import(self, project: Project, digest: bytes) -> ImportJournal | None:
        """The journal of an import that was begun, of the same file with the same wishes."""
        ...

    async def check_key(self, project: Project, key: SigningKey) -> KeyStanding:
        """What :meth:`begin_import` would do with a key; nothing is written.

        Raises:
            Conflict: the project has it, and it is not one that signs.
        """
        ...

    async def check_records(self, project: Project, asked: ImportAsked, records: Sequence[Numbered]) -> Standing:
        """What :meth:`import_records` would do; nothing is written. Every record has one."""
        ...

    async def begin_import(
        self, project: Project, asked: ImportAsked, key: SigningKey | None, *, now: float
    ) -> ImportJournal:
        """Open the journal, or find it as it is, and bring the signing key in.

        A key that is new becomes the active one where the project has no subscription yet; else it is retiring from the
        start: it signs for those who come with it, and their browsers move to the active one.

        Raises:
            Conflict: as :meth:`check_key`, or the project has too many keys.
        """
        ...

    async def import_records(
        self,
        project: Project,
        asked: ImportAsked,
        journal: ImportJournal,
        records: Sequence[Numbered],
        names: Sequence[NewNames],
        *,
        key: SigningKey | None,
        position: int,
        left_out: Mapping[str, int],
        now: float,
    ) -> ImportJournal:
        """Write a page and how far it came, in one transaction.

        Args:
            project: whose.
            asked: as for ``begin_import``.
            journal: as the latest call returned it.
            records: up to a page of them.
            names: as many.
            key: the one the file's subscriptions were made with; None where the file says it of each.
            position: number of the last record that is done by it, among them those that were left out.
            left_out: those, for the counts.
            now: epoch seconds.

        Returns:
            the journal after it.

        Raises:
            Conflict: a record cannot be taken (``field`` names the line), or somebody else goes on with this import
                (``reason`` ``elsewhere``). Nothing has changed then.
        """
        ...

    async def finish_import(self, project: Project, journal: ImportJournal, *, now: float) -> ImportJournal:
        """Note that everything is done."""
        ...


class ExportStore(Protocol):
    """Hands out everything a project has."""

    async def export_records(self, project: Project, take: Callable[[MovedRecord], None], *, secrets: bool) -> None:
        """Call ``take`` with each record of :mod:`pushkeep.domain.portable`, in their order, all of one moment.

        It is called in another thread, while others go on writing.

        Args:
            project: whose.
            take: must not wait long: as long as this lasts, the database's journal grows.
            secrets: without them private keys, the project's secrets, API keys, endpoints and keys of browsers are left
                out.
        """
        ...
