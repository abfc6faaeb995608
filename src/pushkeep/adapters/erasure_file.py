"""The erasure list as a file beside the database: one JSON object a line, added at its end and never changed.

Whoever reads it learns how many were erased, and when: it has keyed hashes in place of names. It must outlive the
database that it belongs to, so it is no part of a backup, and a backup that is put back does not put it back.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pushkeep.adapters.disk import FILE_MODE, sync
from pushkeep.domain.project import Project
from pushkeep.errors import Unavailable
from pushkeep.ports.privacy import ErasedKind, ErasedName, Erasure, ErasureListStanding

DIGEST_BYTES = 32

LINE_BYTES_MAX = 1_000
"""An entry has about 200 octets."""

NUMBER_MAX = 2**53 - 1
"""Of an entry: what every reader of JSON has as a whole number."""

_TAIL_BYTES = 2 * LINE_BYTES_MAX


class ErasureFile:
    """:class:`pushkeep.ports.privacy.ErasureList` in a file; nothing is opened or made before it is needed.

    Args:
        path: where; its directory is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()

    async def append(self, project: Project, names: Sequence[ErasedName], *, at: float, after: int) -> tuple[int, int]:
        """See the port."""
        return await asyncio.to_thread(self._append, project.public_id, names, at, after)

    async def read(self, *, after: int) -> Sequence[Erasure]:
        """See the port."""
        return await asyncio.to_thread(self._read, after)

    async def standing(self) -> ErasureListStanding:
        """See the port."""
        return await asyncio.to_thread(self._standing)

    def _append(self, project: str, names: Sequence[ErasedName], at: float, after: int) -> tuple[int, int]:
        try:
            with self._locked() as descriptor:
                end, last = _end_of(descriptor)
                first = max(last, after) + 1
                lines = [_line(number, at, project, name) for number, name in enumerate(names, first)]
                try:
                    os.ftruncate(descriptor, end)  # a line that was cut off by a crash erased nobody yet
                    _write_all(descriptor, "".join(lines).encode(), end)
                    os.fsync(descriptor)
                except OSError:
                    with contextlib.suppress(OSError):
                        os.ftruncate(descriptor, end)
                    raise
        except OSError as error:
            raise Unavailable(
                f"The erasure list {self._path} cannot be written ({error.strerror}), so nothing was erased: a backup "
                "would bring back who is not in it. Make room, or let this user write it, and try again."
            ) from None
        return first, first + len(names) - 1

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        is_new = not self._path.exists()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # held for an fsync by whoever else erases
            yield descriptor
            if is_new:
                sync(self._path.parent)
        finally:
            os.close(descriptor)

    def _read(self, after: int) -> Sequence[Erasure]:
        return [line.entry for line in self._lines() if line.entry is not None and line.entry.number > after]

    def _standing(self) -> ErasureListStanding:
        last, last_at, entries = 0, None, 0
        damaged = []
        for line in self._lines():
            if line.entry is None:
                damaged.append(line.number)
                continue
            entries += 1
            last, last_at = line.entry.number, line.entry.at
        return ErasureListStanding(str(self._path), last, last_at, last - entries, tuple(damaged))

    def _lines(self) -> Iterator[_Line]:
        try:
            with self._path.open("rb") as file:
                number = 0
                while text := file.readline(LINE_BYTES_MAX):
                    number += 1
                    if not text.endswith(b"\n") and len(text) < LINE_BYTES_MAX:
                        return  # cut off by a crash, before anything was erased
                    yield _Line(number, _entry(text))
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unavailable(
                f"The erasure list {self._path} cannot be read ({error.strerror}); let this user read it."
            ) from None


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    entry: Erasure | None


def _line(number: int, at: float, project: str, name: ErasedName) -> str:
    entry = {"number": number, "at": at, "project": project, "kind": name.kind.value, "hash": name.digest.hex()}
    return json.dumps(entry, separators=(",", ":")) + "\n"


def _entry(text: bytes) -> Erasure | None:
    try:
        found = json.loads(text)
        digest = bytes.fromhex(found["hash"])
        if len(digest) != DIGEST_BYTES:
            return None
        name = ErasedName(ErasedKind(found["kind"]), digest)
        number, at = int(found["number"]), float(found["at"])
        if not 1 <= number <= NUMBER_MAX or not math.isfinite(at):
            return None
        return Erasure(number, at, str(found["project"]), name)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None


def _end_of(descriptor: int) -> tuple[int, int]:
    """Where the last whole line ends, and the highest number up to there."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - _TAIL_BYTES)
    tail = os.pread(descriptor, size - start, start)
    whole = tail[: tail.rfind(b"\n") + 1]
    numbers = [entry.number for line in whole.splitlines() if (entry := _entry(line)) is not None]
    return start + len(whole), max(numbers, default=0)


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
