"""Looks through a directory for files that hold secrets: which there are, and who may read them.

A file is known by how it begins, not by its name: a copy of a database has any name.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from pushkeep.domain.doctor.secrets import Folder, LyingFile

FILES_LOOKED_AT_MAX = 2_000
"""A directory of ours has a dozen; one with years of daily backups has a thousand."""

HEAD_BYTES = 4_096
"""What tells a file's kind stands in its first line or lines."""

MOUNTS = Path("/proc/self/mounts")
"""Which file systems there are; only Linux has it, and without it nothing is said about them."""

_SQLITE = b"SQLite format 3\0"
_SQLITE_JOURNALS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""How a write-ahead log begins; sqlite.org, "Database File Format" section 4.1."""

_KINDS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"), "a private key"),
    (re.compile(rb"\A[A-Za-z0-9_+/-]{43}=?\s*\Z"), "a key"),  # 32 octets in base64, such as a master key
    (re.compile(rb"(?m)^\s*master_key\s*="), "the settings, with the master key in them"),
    (re.compile(rb'\A\{[^\n]*"pushkeep'), "an export"),
    (re.compile(rb'\A\{[^\n]*"auth"\s*:'), "subscriptions"),
)


def look_at_folder(path: Path) -> Folder:
    """See :class:`pushkeep.ports.Surroundings`; a directory that is not there or not ours to read has no mode."""
    try:
        where = path.resolve()
        mode = stat.S_IMODE(where.stat().st_mode) if os.name == "posix" and where.is_dir() else None
        paths = sorted(where.iterdir()) if mode is not None else []
    except (OSError, RuntimeError):  # RuntimeError: links that lead in a circle
        return Folder(str(path), None)
    files = tuple(_secret_files(paths[:FILES_LOOKED_AT_MAX]))
    return Folder(str(where), mode, _file_system(where), files, len(paths) > FILES_LOOKED_AT_MAX)


def _secret_files(paths: list[Path]) -> Iterator[LyingFile]:
    for path in paths:
        try:
            entry = path.lstat()
            # Not what SQLite has its locks in: closing it would drop them, if this process has the database open, too.
            if stat.S_ISREG(entry.st_mode) and not path.name.endswith("-shm"):
                holds = _holds(path)
                if holds is not None:
                    yield LyingFile(str(path), holds, stat.S_IMODE(entry.st_mode))
        except OSError:  # gone meanwhile, or not ours
            continue


def _holds(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(_SQLITE):
        return "a database"
    if head.startswith(_SQLITE_JOURNALS):
        return "a database's journal"
    return next((holds for pattern, holds in _KINDS if pattern.search(head)), None)


def _file_system(path: Path) -> str | None:
    """The kind of the file system that a directory lies on: of the mount point that is nearest above it."""
    try:
        lines = MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return None
    # Blanks in a path stand there as octal numbers; fstab(5).
    points = [(_unescaped(fields[1]), fields[2]) for line in lines if len(fields := line.split()) > 2]
    above = [(len(point), kind) for point, kind in points if path.is_relative_to(point)]
    return max(above, default=(0, None))[1]


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
