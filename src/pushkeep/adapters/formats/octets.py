"""A file to import as octets and as text: what it may be at all, and whether it stays the same."""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pushkeep.domain.moving import BrokenFile

CHUNK_BYTES = 65_536
"""Read at a time."""

_ARCHIVES = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
)
_OTHERS = (
    (b"SQLite format 3\x00", "is a SQLite database; export the table from it as CSV or JSON"),
    (b"%PDF-", "is a PDF document; export the table as CSV or JSON"),
    (b"PGDMP", "is a PostgreSQL dump; export the table with \\copy … TO … CSV HEADER"),
)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Octets:
    """A regular file that is read several times from its beginning.

    Args:
        path: where it is.

    Raises:
        BrokenFile: it cannot be read, is no regular file, is empty, or no text.
    """

    def __init__(self, path: Path) -> None:
        self._file = _opened(path)
        self.position_bytes = 0
        self._digest: bytes | None = None
        self._stamp = self._now()
        self.size_bytes = self._stamp[0]
        self._begin = self._beginning()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @property
    def beginning(self) -> str:
        """Its first 64 KB as text, without a byte order mark; what is not UTF-8 is replaced."""
        return self._begin.decode("utf-8", "replace").removeprefix("\ufeff")

    def digest(self) -> bytes:
        """SHA-256 of all of it.

        Raises:
            BrokenFile: it cannot be read.
        """
        self._digest = None
        found = hashlib.sha256()
        for chunk in self._chunks():
            found.update(chunk)
        self._digest = found.digest()
        return self._digest

    def text(self) -> Iterator[str]:
        """All of it from the beginning, in pieces, without a byte order mark.

        Raises:
            BrokenFile: it is not UTF-8, has NUL octets, or has changed since :meth:`digest`.
        """
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        hashed, lines = hashlib.sha256(), 1
        for chunk in self._chunks():
            hashed.update(chunk)
            try:
                text = decoder.decode(chunk)
            except UnicodeDecodeError as error:
                lines += chunk[: error.start].count(b"\n")
                raise BrokenFile(f"line {lines}: the file is not UTF-8 text; save it as UTF-8.", field="file") from None
            lines += chunk.count(b"\n")
            if "\0" in text:
                raise BrokenFile(f"the file has NUL characters up to line {lines}; it is no text.", field="file")
            yield text
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise BrokenFile(f"line {lines}: the file ends within a UTF-8 character.", field="file") from None
        if self._digest is not None and hashed.digest() != self._digest:
            raise _changed()

    def _chunks(self) -> Iterator[bytes]:
        try:
            self._file.seek(0)
            self.position_bytes = 0
            while chunk := self._file.read(CHUNK_BYTES):
                if self._now() != self._stamp:
                    raise _changed()
                self.position_bytes += len(chunk)
                yield chunk
        except OSError as error:
            raise BrokenFile(f"the file cannot be read: {error.strerror}.", field="file") from None

    def _now(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns

    def _beginning(self) -> bytes:
        begin = self._file.read(CHUNK_BYTES)
        if not begin.removeprefix(codecs.BOM_UTF8).strip():
            raise BrokenFile("the file is empty.", field="file")
        for mark, name in _ARCHIVES:
            if begin.startswith(mark):
                raise BrokenFile(f"the file is a {name} archive; unpack it first.", field="file")
        for mark, words in _OTHERS:
            if begin.startswith(mark):
                raise BrokenFile(f"the file {words}.", field="file")
        if begin.startswith(_UTF16) or b"\0" in begin[:4]:
            raise BrokenFile("the file is UTF-16 or UTF-32 text; save it as UTF-8.", field="file")
        return begin


def _opened(path: Path) -> BinaryIO:
    if str(path) == "-":
        raise BrokenFile("the file is read twice, so it cannot come from standard input; name a file.", field="file")
    try:
        # Without blocking: a pipe that nobody writes to would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise BrokenFile(f"cannot read {path}: {error.strerror}.", field="file") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BrokenFile(f"{path} is no regular file; it is read twice.", field="file")
    return os.fdopen(descriptor, "rb", buffering=0)


def _changed() -> BrokenFile:
    return BrokenFile("the file has changed while it was read; run the same command again.", field="file")
