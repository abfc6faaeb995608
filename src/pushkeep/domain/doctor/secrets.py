"""What lies about: who may read the database, its copies and its keys, where they lie, and how old the keys are.

Sources: NIST SP 800-57 part 1, table 1 (how long keys are used); sqlite.org, "Write-Ahead Logging" section 1 and
"How to corrupt an SQLite database file" section 2 (file systems of a network, copies made by somebody else).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pushkeep.domain.doctor.findings import Finding, ok, problem, warning

KEY_DAYS_MAX = 730
"""A data key or master key: NIST gives one that encrypts two years."""

SIGNING_KEY_DAYS_MAX = 1_095
"""NIST gives one that signs one to three years. Browsers have to renew for a new one, so it is the upper end."""

UNFINISHED_DAYS_MAX = 7
"""A million rows are sealed anew within minutes, and a file is exchanged on the same day."""

NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "ceph", "afs"})
"""SQLite's processes share memory beside the database; over these they cannot."""

COPYING_FOLDERS = ("Dropbox", "OneDrive", "Google Drive", "Nextcloud", "ownCloud", "Mobile Documents", "Syncthing")
"""Names of folders that a program copies elsewhere, file by file, so that database and journal never fit together."""

SERVED_FOLDERS = ("public_html", "htdocs", "wwwroot")
"""Names of folders whose files web servers give to everybody."""

_DAY = 86_400.0
_GROUP_READS, _OTHERS_READ, _GROUP_WRITES, _OTHERS_WRITE = 0o040, 0o004, 0o020, 0o002


@dataclass(frozen=True, slots=True)
class LyingFile:
    """A file that should be its owner's alone.

    Attributes:
        path: where.
        holds: what it holds, such as "a database".
        mode: its permission bits.
    """

    path: str
    holds: str
    mode: int


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory with secrets in it.

    Attributes:
        path: where, all links followed.
        mode: its permission bits; None where the system has none or it is not there.
        file_system: of what kind, as the system names it; None where that is not known.
        files: those in it that hold secrets.
        cut: whether there were more files than were looked at.
    """

    path: str
    mode: int | None
    file_system: str | None = None
    files: tuple[LyingFile, ...] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True)
class AgedKey:
    """A key in use.

    Attributes:
        name: such as "data key 1a2b3c4d".
        since: epoch seconds since when it has been used.
        days_max: how long it is good for.
        rotate: the command that changes it.
        retiring_since: epoch seconds since when another one is used in its place; None for one in use.
        finish: the command that brings a change to its end.
    """

    name: str
    since: float
    days_max: int
    rotate: str
    retiring_since: float | None = None
    finish: str = ""


@dataclass(frozen=True, slots=True)
class ErasedStanding:
    """How the list of who was erased compares with the database.

    Attributes:
        path: of the list.
        last: number of its last entry; 0 where it is not there.
        applied: number of the last entry that this database knows of.
        missing: how many numbers it has no entry for.
        damaged: lines that cannot be read.
    """

    path: str
    last: int
    applied: int
    missing: int = 0
    damaged: int = 0


def folder_findings(folder: Folder, what: str) -> Iterator[Finding]:
    """Whether a directory, and each file in it that holds secrets, is kept from others.

    Args:
        folder: as it is.
        what: what it is for, such as "data directory".
    """
    if folder.mode is None:
        return
    octal = f"{folder.path} has mode {folder.mode:04o}"
    close = f"Run: chmod go-w {folder.path}"
    if folder.mode & _OTHERS_WRITE:
        yield problem("shared_folder", f"Everybody on this machine can put files into the {what}", octal, close)
    elif folder.mode & _GROUP_WRITES:
        yield warning("shared_folder", f"The group can put files into the {what}", octal, close)
    else:
        yield ok("shared_folder", f"Only its owner writes to the {what}", octal)
    yield from _place_findings(folder, what)
    for file in folder.files:
        yield from _file_findings(file)
    if folder.cut:
        yield warning(
            "secret_files",
            f"The {what} has too many files to look at",
            f"not every file in {folder.path} was looked at",
            "Keep backups in a directory of their own, and give that: --backups DIR",
        )


def _place_findings(folder: Folder, what: str) -> Iterator[Finding]:
    if folder.file_system in NETWORK_FILE_SYSTEMS:
        yield problem(
            "shared_folder",
            f"The {what} lies on a file system of the network ({folder.file_system})",
            f"{folder.path}: processes cannot share SQLite's journal there, and other machines can read it",
            "Move it to a disk of this machine; make backups to the network instead: pushkeep backup FILE",
        )
    names = folder.path.split("/")
    copying = next((name for name in COPYING_FOLDERS if name in names), None)
    if copying is not None:
        yield problem(
            "shared_folder",
            f"The {what} lies in a folder that is copied elsewhere ({copying})",
            f"{folder.path}: file by file, so a copy does not open, and it lies with somebody else",
            "Move it out of there; `pushkeep backup FILE` makes a copy that opens.",
        )
    served = next((name for name in SERVED_FOLDERS if name in names), None)
    if served is not None:
        yield problem(
            "shared_folder",
            f"The {what} lies where a web server finds its files ({served})",
            f"{folder.path}: whoever guesses the name can fetch it",
            "Move it out of there.",
        )


def _file_findings(file: LyingFile) -> Iterator[Finding]:
    if file.mode & (_OTHERS_READ | _OTHERS_WRITE):
        who, level = "Everybody on this machine", problem
    elif file.mode & (_GROUP_READS | _GROUP_WRITES):
        who, level = "The file's group", warning
    else:
        return
    seen = f"{file.path} has mode {file.mode:04o}"
    yield level("secret_files", f"{who} can get at {file.holds}", seen, f"Run: chmod 600 {file.path}")


def age_findings(keys: Sequence[AgedKey], *, now: float) -> Iterator[Finding]:
    """Whether keys are due to be changed, and whether a change that was begun has come to its end.

    Args:
        keys: those in use and those on their way out.
        now: epoch seconds.
    """
    for key in keys:
        days = int((now - key.since) // _DAY)
        if key.retiring_since is not None:
            stood = int((now - key.retiring_since) // _DAY)
            if stood > UNFINISHED_DAYS_MAX:
                yield warning(
                    "key_age",
                    f"The change of the {key.name} has not come to its end",
                    f"it was begun {stood} days ago",
                    f"Run: {key.finish}",
                )
        elif days > key.days_max:
            yield warning(
                "key_age",
                f"The {key.name} is old",
                f"it has been in use for {days} days; {key.days_max} are advised",
                f"Change it; nothing stops meanwhile: {key.rotate}",
            )
        else:
            yield ok("key_age", f"Age of the {key.name}", f"in use for {days} days, of {key.days_max}")


def change_finding(old: str, new: str) -> Finding:
    """That the master key is being changed: until it is finished, whoever has the old one opens everything."""
    return warning(
        "key_age",
        "The master key is being changed",
        f"the keys open with {old} and with {new}",
        "When every process has the new one, let go of the old: pushkeep secrets rotate-master --finish",
    )


def erasure_findings(standing: ErasedStanding) -> Iterator[Finding]:
    """Whether the list of who was erased is whole: after a restore, people come back whom it does not name."""
    where = standing.path
    if standing.last < standing.applied:
        title = "The list of who was erased is missing" if not standing.last else "The list of who was erased is short"
        yield problem(
            "erasure_list",
            title,
            f"{where} has entries up to number {standing.last}, and {standing.applied} were applied to this database; "
            "a backup that is restored brings those people back",
            "Put the list back from where you copy it to, and copy it whenever a backup is made.",
        )
    elif standing.missing or standing.damaged:
        yield problem(
            "erasure_list",
            "The list of who was erased has holes",
            f"{where}: {standing.missing} missing entries and {standing.damaged} lines that cannot be read",
            "Put the list back from where you copy it to.",
        )
    else:
        seen = f"{where} has every entry, {standing.last} of them" if standing.last else "nobody has been erased yet"
        yield ok("erasure_list", "List of who was erased", seen)
