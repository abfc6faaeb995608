"""The own format's files: written line by line, and read back only as they were written.

The first line says what the file is, the last one how many records of each kind it has, and SHA-256 of all before it:
a file that was cut off or changed is known by that before anything of it is stored.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import BinaryIO

from pushkeep.adapters.formats.members import Members
from pushkeep.adapters.formats.octets import Octets
from pushkeep.adapters.formats.portable_lines import UUID_CHARACTERS, fields_of, read_record
from pushkeep.adapters.formats.rows import lines_of, parsed
from pushkeep.domain.consent import GENESIS, HASH_BYTES, link
from pushkeep.domain.ids import check_uuid
from pushkeep.domain.moving import BrokenFile, Fault, Format, MovedRecord, Numbered, Read
from pushkeep.domain.portable import (
    PORTABLE_LINE_BYTES_MAX,
    PORTABLE_VERSION,
    PortableConsent,
    PortableProject,
    PortableSeal,
    PortableSigningKey,
    PortableSubscription,
)
from pushkeep.errors import InvalidInput

_NAME = "pushkeep"
_END = "end"
_VERSION_CHARACTERS_MAX = 64
_DIGEST_CHARACTERS = 64


class PortableWriter:
    """Writes a file of the own format.

    Args:
        file: takes octets; brought to disk by whoever opened it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hashed = hashlib.sha256()
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """How many records of each kind were written."""
        return self._counts

    def begin(self, project: str, *, made_by: str, now: float, secrets: bool) -> None:
        """Write the first line.

        Args:
            project: its public id.
            made_by: version of Pushkeep.
            now: epoch seconds.
            secrets: whether the records have theirs; without them nobody can be sent to from the file.
        """
        self._put(
            {
                "format": _NAME,
                "version": PORTABLE_VERSION,
                "made_by": made_by,
                "made_at": now,
                "project": project,
                "secrets": secrets,
            }
        )

    def write(self, record: MovedRecord) -> None:
        """Write a record."""
        self._put(fields_of(record))
        self._counts[record.kind] += 1

    def end(self) -> None:
        """Write the last line."""
        self._put({"kind": _END, "counts": dict(sorted(self._counts.items())), "sha256": self._hashed.hexdigest()})

    def _put(self, fields: Mapping[str, object]) -> None:
        line = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._hashed.update(line)
        self._file.write(line)


class PortableFile:
    """:class:`pushkeep.ports.moving.Source` of a file of the own format.

    Args:
        octets: of the file.
    """

    format = Format.PUSHKEEP
    unused: tuple[str, ...] = ()

    def __init__(self, octets: Octets) -> None:
        self._octets = octets

    @property
    def size_bytes(self) -> int:
        """See the port."""
        return self._octets.size_bytes

    @property
    def position_bytes(self) -> int:
        """See the port."""
        return self._octets.position_bytes

    def digest(self) -> bytes:
        """See the port."""
        return self._octets.digest()

    def read(self) -> Read:
        """See the port."""
        reading = _Reading()
        for line, text in lines_of(self._octets, bytes_max=PORTABLE_LINE_BYTES_MAX):
            if line == 1:
                reading.begin(text)
            elif (found := reading.take(line, text)) is not None:
                yield found
        reading.end()


class _Reading:
    """One reading: what was said so far."""

    def __init__(self) -> None:
        self._hashed = hashlib.sha256()
        self._counts: Counter[str] = Counter()
        self._ended = False
        self._first_fault = ""
        self._number = 0
        self._project = ""
        self._signing_keys: set[str] = set()
        self._commitments = bytearray()  # of all consent records: 32 MB for a million
        self._head, self._seals, self._sealed = GENESIS, 0, 0

    def begin(self, text: str) -> None:
        """The first line."""
        self._hashed.update(text.encode())
        try:
            members = Members(parsed(text))
            version = members.whole("version") if members.text("format", _VERSION_CHARACTERS_MAX) == _NAME else None
        except ValueError:  # InvalidInput is one
            version = None
        if version is None:
            raise BrokenFile("line 1: the file is no export of Pushkeep.", field="file")
        if version != PORTABLE_VERSION:
            raise BrokenFile(
                f"the file has version {version} of the format, and this Pushkeep reads version {PORTABLE_VERSION}; "
                "install the version that wrote it, or a newer one.",
                field="file",
            )
        try:
            members.text("made_by", _VERSION_CHARACTERS_MAX)
            members.time("made_at")
            self._project = check_uuid(members.text("project", UUID_CHARACTERS), field="project")
            secrets = members.flag("secrets")
            members.end()
        except InvalidInput as error:
            raise BrokenFile(f"line 1: {error.message}", field="file") from None
        if not secrets:
            raise BrokenFile(
                "the file was made with --without-secrets: nobody could be sent to with what it says; export it again.",
                field="file",
            )

    def take(self, line: int, text: str) -> Numbered | Fault | None:
        """Any other line; None for the last one."""
        if self._ended:
            raise BrokenFile(f"line {line}: something stands behind the last line.", field="file")
        try:
            value = parsed(text)
        except ValueError:
            value = None
        if isinstance(value, dict) and value.get("kind") == _END:
            self._check_end(line, Members(value))
            return None
        self._hashed.update(text.encode())
        self._number += 1
        try:
            if value is None:
                raise InvalidInput("the line is no JSON.")
            record = read_record(value)
            self._check_named(record)
        except InvalidInput as error:
            fault = Fault.of(self._number, line, error)
            self._first_fault = self._first_fault or f" ({str(fault).rstrip('.')})"
            return fault
        self._counts[record.kind] += 1
        return Numbered(self._number, line, record)

    def end(self) -> None:
        """Behind the last line."""
        if not self._ended:
            raise BrokenFile("the file has no end: it was cut off; export it again.", field="file")

    def _check_named(self, record: MovedRecord) -> None:
        """Project and signing keys come before those that name them."""
        if isinstance(record, PortableProject) != (self._number == 1):
            raise InvalidInput("the project must stand in the second line, and nowhere else.", field="kind")
        if isinstance(record, PortableProject) and record.public_id != self._project:
            raise InvalidInput("the project is another one than the first line says.", field="id")
        if isinstance(record, PortableSigningKey):
            self._signing_keys.add(record.key_id)
        if isinstance(record, PortableSubscription) and record.signing_key not in self._signing_keys:
            raise InvalidInput("signing_key is none of those before.", field="signing_key")
        if isinstance(record, PortableConsent):
            if record.number != len(self._commitments) // HASH_BYTES + 1:
                raise InvalidInput("number does not follow the record before; they begin with 1.", field="number")
            self._commitments += record.commitment
        if isinstance(record, PortableSeal):
            self._check_seal(record)

    def _check_seal(self, seal: PortableSeal) -> None:
        """Each link holds its records and the one before."""
        low, high = (seal.first - 1) * HASH_BYTES, seal.last * HASH_BYTES
        batch = bytes(self._commitments[low:high])
        parts = [batch[at : at + HASH_BYTES] for at in range(0, len(batch), HASH_BYTES)]
        follows = (seal.number, seal.first, seal.previous) == (self._seals + 1, self._sealed + 1, self._head)
        holds = link(self._head, seal.number, seal.first, seal.sealed_at, parts) == seal.head
        if not follows or len(parts) != seal.last - seal.first + 1 or not holds:
            raise InvalidInput("head is not that of the consent records before it.", field="head")
        self._seals, self._sealed, self._head = seal.number, seal.last, seal.head

    def _check_end(self, line: int, members: Members) -> None:
        self._ended = True
        try:
            members.text("kind", _VERSION_CHARACTERS_MAX)
            same = members.text("sha256", _DIGEST_CHARACTERS) == self._hashed.hexdigest()
            counts = members.object_or_none("counts") or {}
            members.end()
        except InvalidInput as error:
            raise BrokenFile(f"line {line}: {error.message}", field="file") from None
        if not same or (sum(self._counts.values()) == self._number and counts != dict(self._counts)):
            raise BrokenFile(
                "the file is not as it was written: it was changed or damaged, and its last line does not fit the "
                f"others{self._first_fault}; export it again.",
                field="file",
            )


def is_portable(octets: Octets) -> bool:
    """Whether a file begins as one of the own format."""
    try:
        value = parsed(octets.beginning.partition("\n")[0])
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("format") == _NAME
