"""Holding consent records to their commitments, and commitments to the chain: the same for a database and for a file.

Fed with seals, then with records in their order, it says exactly what is wrong: a record that is missing, comes twice
or out of order, says something else than it is held to, or was changed since it was sealed; and a chain that was cut
or made anew, where somebody outside kept a head of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pushkeep.domain.consent import GENESIS, HASH_BYTES, SEAL_RECORDS_MAX, Seal, commitment, link
from pushkeep.errors import InvalidInput

FAULTS_KEPT_MAX = 100
"""Said one by one; of a table that was lost nobody reads more."""

_ANCHOR = re.compile(rf"([1-9][0-9]{{0,17}}):([0-9a-fA-F]{{{HASH_BYTES * 2}}})")


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head that somebody kept outside.

    Attributes:
        number: of the seal.
        head: 32 octets.
    """

    number: int
    head: bytes

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """Read ``NUMBER:HEX``, as ``consents head`` prints it.

        Raises:
            InvalidInput: it is none.
        """
        match = _ANCHOR.fullmatch(text.strip())
        if match is None:
            raise InvalidInput(
                "head must be the number of a seal, a colon, and 64 hexadecimal digits, as `pushkeep consents head` "
                "prints it.",
                field="head",
            )
        return cls(int(match[1]), bytes.fromhex(match[2]))


@dataclass(frozen=True, slots=True)
class Findings:
    """What an audit came to.

    Attributes:
        records: how many were looked at.
        erased: of these, those whose content is gone.
        sealed: the number of the last record that is sealed.
        seals: how many seals.
        head: the last one; None before the first.
        faults: what is wrong, in sentences; the first hundred.
        fault_count: how many there are.
    """

    records: int
    erased: int
    sealed: int
    seals: int
    head: bytes | None
    faults: tuple[str, ...]
    fault_count: int

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault_count == 0


class Audit:
    """Looks at one project's records.

    Args:
        links: every seal, in its order.
        anchors: heads that were kept outside.
    """

    def __init__(self, links: Iterable[Seal], anchors: Iterable[Anchor] = ()) -> None:
        self._faults: list[str] = []
        self._fault_count = 0
        self._links = self._checked(links)
        self._check_anchors(anchors)
        self._batch: list[bytes] = []
        self._at = 0
        self._number = 0
        self._records = self._erased = 0

    def fault(self, text: str) -> None:
        """Something is wrong."""
        self._fault_count += 1
        if len(self._faults) < FAULTS_KEPT_MAX:
            self._faults.append(text)

    def record(
        self, number: int, committed: bytes, salt: bytes | None, canonical: bytes | None, *, erased: bool = False
    ) -> None:
        """The next record.

        Args:
            number: its number.
            committed: what it is held to.
            salt, canonical: what it says, as :meth:`pushkeep.domain.consent.ConsentContent.canonical` writes it; None
                for both once it is erased, or where it does not open, which the caller says as a fault.
            erased: whether it is.
        """
        if number <= self._number:
            self.fault(f"Record {number} comes after record {self._number}: it is there twice, or out of order.")
            return
        if number > self._number + 1:
            first, last = self._number + 1, number - 1
            missing = f"Record {first} is" if first == last else f"Records {first} to {last} are"
            self.fault(f"{missing} missing.")
            self._batch = []
        self._number = number
        self._records += 1
        self._erased += erased
        if salt is not None and canonical is not None and commitment(salt, canonical) != committed:
            self.fault(f"Record {number} says something else than its commitment holds it to.")
        self._hold_to_the_chain(number, committed)

    def finish(self) -> Findings:
        """What it came to, once every record was given."""
        last = self._links[-1] if self._links else None
        if last is not None and self._number < last.last:
            self.fault(f"Records {self._number + 1} to {last.last} are sealed, and missing.")
        return Findings(
            self._records,
            self._erased,
            0 if last is None else last.last,
            len(self._links),
            None if last is None else last.head,
            tuple(self._faults),
            self._fault_count,
        )

    def _checked(self, links: Iterable[Seal]) -> list[Seal]:
        kept: list[Seal] = []
        for seal in links:
            before = kept[-1] if kept else None
            number, first = (1, 1) if before is None else (before.number + 1, before.last + 1)
            if seal.number != number:
                self.fault(f"Seal {number} is missing, or out of order: seal {seal.number} stands in its place.")
            if seal.first != first or not 0 <= seal.last - seal.first < SEAL_RECORDS_MAX:
                self.fault(f"Seal {seal.number} is over records {seal.first} to {seal.last}; it must begin at {first}.")
            if seal.previous != (GENESIS if before is None else before.head):
                self.fault(f"Seal {seal.number} does not follow from the seal before it.")
            kept.append(seal)
        return kept

    def _check_anchors(self, anchors: Iterable[Anchor]) -> None:
        known: Mapping[int, Seal] = {seal.number: seal for seal in self._links}
        for anchor in anchors:
            seal = known.get(anchor.number)
            if seal is None:
                self.fault(f"The head of seal {anchor.number} was kept outside, and there is no such seal any more.")
            elif seal.head != anchor.head:
                self.fault(
                    f"The head of seal {anchor.number} is not the one that was kept outside: something up to record "
                    f"{seal.last} was changed, and the chain made anew."
                )

    def _hold_to_the_chain(self, number: int, committed: bytes) -> None:
        while self._at < len(self._links) and self._links[self._at].last < number:
            self._close()
        if self._at < len(self._links):
            self._batch.append(committed)
            if number == self._links[self._at].last:
                self._close()

    def _close(self) -> None:
        seal, batch = self._links[self._at], self._batch
        self._at += 1
        self._batch = []
        if len(batch) != seal.last - seal.first + 1:
            self.fault(
                f"Seal {seal.number} cannot be checked: not all of records {seal.first} to {seal.last} are there."
            )
        elif link(seal.previous, seal.number, seal.first, seal.sealed_at, batch) != seal.head:
            self.fault(
                f"Seal {seal.number} does not hold: the commitment of one of records {seal.first} to {seal.last}, or "
                "the seal itself, was changed."
            )
