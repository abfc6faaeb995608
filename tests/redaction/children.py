"""What the processes that tests start write and hold secret, as ``child/sitecustomize.py`` keeps it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from base64 import b64decode
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHILD = Path(__file__).parent / "child"
VARIABLE = "TRANSCRIPTS_OF_TESTS"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a transcript.

    Attributes:
        sort: ``written``, or of a secret ``text`` or ``octets``.
        kind: of secret, or where it was written to.
        octets: what was written, or the secret.
        command: what the process was started with.
    """

    sort: str
    kind: str
    octets: bytes
    command: tuple[str, ...]


@dataclass(slots=True)
class _Transcript:
    read: int = 0
    command: tuple[str, ...] = ()


@dataclass(slots=True)
class Children:
    """Has every Python process that is started from here on write a transcript.

    Attributes:
        directory: where the transcripts are.
    """

    directory: Path
    _transcripts: dict[str, _Transcript] = field(default_factory=dict)

    def install(self) -> None:
        """Begin: also for processes that get an environment of their own."""
        self._add_to(os.environ)
        original = subprocess.Popen.__init__

        def init(popen: Any, *args: Any, **named: Any) -> None:
            if isinstance(named.get("env"), Mapping):
                named["env"] = dict(named["env"])
                self._add_to(named["env"])
            original(popen, *args, **named)

        subprocess.Popen.__init__ = init  # type: ignore[method-assign]

    def _add_to(self, environment: MutableMapping[str, str]) -> None:
        environment[VARIABLE] = str(self.directory)
        paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
        # Behind the others, which a test has put there for a reason; all of them come before the installed packages.
        environment["PYTHONPATH"] = os.pathsep.join([*(path for path in paths if path != str(CHILD)), str(CHILD)])

    def news(self) -> Iterator[Line]:
        """What has come since the last look."""
        for entry in os.scandir(self.directory):
            transcript = self._transcripts.setdefault(entry.name, _Transcript())
            # Before it is read: what it writes in between, and ends, is read the next time.
            runs = _runs(int(entry.name.partition("-")[0]))
            with Path(entry.path).open("rb") as file:
                file.seek(transcript.read)
                whole = file.read().rpartition(b"\n")[0]
            transcript.read += len(whole) + 1 if whole else 0
            for line in whole.splitlines():
                yield from self._lines(line, transcript)
            if not runs:
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()
                    del self._transcripts[entry.name]

    def _lines(self, line: bytes, transcript: _Transcript) -> Iterator[Line]:
        head, _, encoded = line.decode("ascii", "replace").partition(" ")
        sort, _, kind = head.partition(":")
        try:
            octets = b64decode(encoded, validate=True)
        except ValueError:
            # Killed in the middle of it, and a process forked from it wrote on; the search must not end the session.
            return
        if sort == "argv":
            transcript.command = tuple(octets.decode("utf-8", "replace").split("\0"))
        elif sort in ("written", "text", "octets"):
            yield Line(sort, kind.replace("_", " "), octets, transcript.command)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
