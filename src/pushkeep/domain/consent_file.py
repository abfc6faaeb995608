"""The file that consent records are exported to: whoever has it verifies it without the database and its keys.

JSON Lines: a header, every purpose, wording and seal, then the records with their salts, then how many there were.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

from pushkeep.domain.consent import HASH_BYTES, ConsentContent, Purpose, Seal, Wording
from pushkeep.domain.consent_audit import Anchor, Audit, Findings
from pushkeep.errors import InvalidInput

FORMAT = "consents"
VERSION = 1
NO_SUCH_FILE = "This is no file of consent records as `pushkeep consents export` writes it."
LINE_BYTES_MAX = 65_536
"""The longest line is a wording: 4,000 characters, each of up to 12 octets once it is escaped."""

_NUMBER_END = 2**63
"""What the database's numbers end at."""


@dataclass(frozen=True, slots=True)
class Written:
    """A record as the file has it.

    Attributes:
        number: from 1, without a gap.
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


def header_line(project: str, name: str, exported_at: float) -> str:
    """The first line."""
    return _line({"pushkeep": FORMAT, "version": VERSION, "project": project, "name": name, "exported_at": exported_at})


def purpose_line(purpose: Purpose) -> str:
    """A purpose."""
    kept = {
        "name": purpose.name,
        "description": purpose.description,
        "basis": purpose.basis.value,
        "created_at": purpose.created_at,
    }
    return _line({"purpose": kept})


def wording_line(wording: Wording) -> str:
    """A wording, word for word."""
    return _line({"wording": {**asdict(wording), "digest": wording.digest.hex()}})


def seal_line(seal: Seal) -> str:
    """A link of the chain."""
    return _line({"seal": {**asdict(seal), "previous": seal.previous.hex(), "head": seal.head.hex()}})


def record_line(record: Written) -> str:
    """A record."""
    kept = {
        "number": record.number,
        "commitment": record.commitment.hex(),
        "erased_at": record.erased_at,
        "salt": None if record.salt is None else record.salt.hex(),
        "content": None if record.content is None else asdict(record.content),
    }
    return _line({"record": kept})


def end_line(records: int) -> str:
    """The last line."""
    return _line({"end": {"records": records}})


def verify_file(lines: Iterable[bytes], anchors: Iterable[Anchor] = ()) -> Findings:
    """Hold every record of a file to its commitment, and all of them to the chain.

    Args:
        lines: of the file, in their order, with or without their line ends.
        anchors: heads that were kept outside.

    Raises:
        InvalidInput: it is no such file; the message says in which line.
    """
    reading = _Reading(anchors)
    for number, line in enumerate(lines, start=1):
        reading.take(number, line)
    return reading.finish()


class _Reading:
    def __init__(self, anchors: Iterable[Anchor]) -> None:
        self._anchors = tuple(anchors)
        self._seals: list[Seal] = []
        self._audit: Audit | None = None
        self._digests: dict[str, Wording] = {}
        self._wrong_wordings: list[str] = []
        self._records = 0
        self._line = 0
        self._ended: int | None = None

    def take(self, number: int, line: bytes) -> None:
        self._line = number
        if self._ended is not None:
            raise self._wrong("stands behind the file's end")
        value = self._object(line)
        if number == 1:
            if value.get("pushkeep") != FORMAT or value.get("version") != VERSION:
                raise InvalidInput(NO_SUCH_FILE, field="file")
            return
        try:
            self._part(value)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._wrong("is not as `pushkeep consents export` writes it") from None

    def finish(self) -> Findings:
        if self._line == 0:
            raise InvalidInput("The file is empty.")
        audit = self._begun()
        for fault in self._wrong_wordings:
            audit.fault(fault)
        if self._ended is None:
            audit.fault("The file has no end: it was cut.")
        elif self._ended != self._records:
            audit.fault(f"The file has {self._records} records, and says that it has {self._ended}.")
        return audit.finish()

    def _part(self, value: Mapping[str, object]) -> None:
        (kind,) = value
        part = value[kind]
        if not isinstance(part, dict):
            raise TypeError
        if kind == "seal":
            if self._audit is not None:
                raise ValueError
            self._seals.append(_seal(part))
        elif kind == "wording":
            self._wording(part)
        elif kind == "record":
            self._record(part)
        elif kind == "end":
            self._ended = _number(part["records"])
        elif kind != "purpose":
            raise ValueError

    def _wording(self, part: dict[str, object]) -> None:
        digest = str(part.pop("digest"))
        wording = Wording(**part)  # type: ignore[arg-type]  # what is no wording has another digest
        if wording.digest.hex() != digest:
            self._wrong_wordings.append(f"The wording in line {self._line} is not the one that its digest names.")
        self._digests[digest] = wording

    def _record(self, part: dict[str, object]) -> None:
        audit, number = self._begun(), _number(part["number"])
        self._records += 1
        committed, salt, content = _octets(part["commitment"]), part["salt"], part["content"]
        erased = part["erased_at"] is not None
        if (salt is None, content is None) != (erased, erased):
            audit.fault(
                f"Record {number} is {'' if erased else 'not '}marked as erased, and its content says otherwise."
            )
        if not isinstance(content, dict) or salt is None:
            audit.record(number, committed, None, None, erased=erased)
            return
        said = ConsentContent(**content)
        audit.record(number, committed, _octets(salt), said.canonical())
        if said.wording is not None and said.wording not in self._digests:
            audit.fault(f"Record {number} refers to a wording that is not in the file.")

    def _begun(self) -> Audit:
        if self._audit is None:
            self._audit = Audit(self._seals, self._anchors)
        return self._audit

    def _object(self, line: bytes) -> Mapping[str, object]:
        if len(line) > LINE_BYTES_MAX:
            raise self._wrong(f"has over {LINE_BYTES_MAX} octets")
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise self._wrong("is no JSON object") if self._line > 1 else InvalidInput(NO_SUCH_FILE, field="file")
        return value

    def _wrong(self, what: str) -> InvalidInput:
        return InvalidInput(f"Line {self._line} {what}.", field="file")


def _seal(part: Mapping[str, object]) -> Seal:
    sealed_at = part["sealed_at"]
    if not isinstance(sealed_at, float):
        raise TypeError
    number, first, last = _number(part["number"]), _number(part["first"]), _number(part["last"])
    return Seal(number, first, last, _octets(part["previous"]), _octets(part["head"]), sealed_at)


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _NUMBER_END:
        raise TypeError
    return value


def _octets(value: object) -> bytes:
    if not isinstance(value, str) or len(value) != HASH_BYTES * 2:
        raise ValueError
    octets = bytes.fromhex(value)
    if octets.hex() != value:
        raise ValueError
    return octets


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def lines_of(
    header: str, purposes: Iterable[Purpose], wordings: Iterable[Wording], seals: Iterable[Seal]
) -> Iterator[str]:
    """Everything that stands before the records."""
    yield header
    yield from map(purpose_line, purposes)
    yield from map(wording_line, wordings)
    yield from map(seal_line, seals)
