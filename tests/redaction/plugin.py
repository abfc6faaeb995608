"""Searches everything that is written while the tests run for every secret that they made.

Read: what tests and the code under test print and log, formatted log records, messages of our errors, bodies of
problems, whatever Python processes that tests start write, log files and databases in tests' own directories, and files
under ``test-output``. A secret is noticed where its type is made (``child/watched_secrets.py``). Allowed are only the
rows of ``allowed.py``. A find fails the session, whichever tests were chosen, and is told by kind, place and test.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.capture import MultiCapture

from tests.redaction.allowed import ALLOWED
from tests.redaction.child.watched_secrets import PAYLOAD_MARK, Watch
from tests.redaction.children import Children
from tests.redaction.needles import Found, Needles

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "test-output"

LOOKED_AT_SUFFIXES = frozenset({".log", ".out", ".err", ".html", ".db", ".db-wal", ".sqlite3", ".sqlite3-wal"})
FILE_BYTES_MAX = 4_000_000
"""Of one file. The largest that tests leave are databases of a million rows, all written in one way."""

DEPTH_MAX = 3
"""Below a test's own directory."""

BROWSERS_OWN = "profile"
"""Directories of this name are browsers': what they are subscribed to is theirs to know, and is in their databases."""

LEAKS_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret that was written.

    Attributes:
        kind: of secret.
        place: where it was written.
        before: the text before it.
        test: the test that ran.
        command: of the process that wrote it; empty for the tests' own.
    """

    kind: str
    place: str
    before: str
    test: str
    command: tuple[str, ...] = ()

    def __str__(self) -> str:
        command = f", by {' '.join(self.command)[:200]}" if self.command else ""
        return f"{self.kind} in {self.place}{command}, in {self.test}: …{self.before!r}▒▒▒"


class Redaction:
    """The search, for one session.

    Attributes:
        leaks: what was found.
        seconds: how long it has searched.
        characters: how much it has searched.
        directory: of the test that ends, if it has one.
    """

    def __init__(self) -> None:
        self.directory: Path | None = None
        self.needles = Needles()
        self.needles.add("payload", PAYLOAD_MARK)
        self.leaks: list[Leak] = []
        self.seconds = 0.0
        self.characters = 0
        self._test = "the start of the session"
        self._module = ""
        self._written: list[tuple[str, str, tuple[str, ...]]] = []
        self._kept: list[tuple[str, str]] = []
        self._watch = Watch(self.note)
        self._directory = Path(tempfile.mkdtemp(prefix="transcripts-"))
        self._children = Children(self._directory)
        self._began = time.time()

    def install(self) -> None:
        """Begin to watch and to listen."""
        self._watch.install()
        self._children.install()
        self._listen(
            MultiCapture, "readouterr", lambda result: (("standard output", result.out), ("error", result.err))
        )
        self._listen(logging.Formatter, "format", lambda line: (("log", line),))

    def _listen(self, cls: Any, name: str, texts: Any) -> None:
        original = getattr(cls, name)

        def listening(*args: Any, **named: Any) -> Any:
            result = original(*args, **named)
            for place, text in texts(result):
                if text:
                    self.write(place, text if isinstance(text, str) else text.decode("utf-8", "replace"))
            return result

        setattr(cls, name, listening)

    def note(self, kind: str, value: str | bytes) -> None:
        """Look for one more secret, or in one more text."""
        if kind.startswith("~"):
            self.write(kind[1:], value if isinstance(value, str) else value.decode("utf-8", "replace"))
        else:
            self.needles.add(kind, value)

    def write(self, place: str, text: str, command: tuple[str, ...] = ()) -> None:
        """Something was written."""
        self._written.append((place, text, command))

    def begin_test(self, name: str) -> None:
        """What is written from here on is this test's."""
        self._test = name
        self._watch.begin_test()
        module = name.partition("::")[0]
        if module != self._module:
            self._module = module
            self.needles.begin()
            self._watch.begin_module()

    def search(self) -> None:
        """Look at what has been written since the last look, and at the files of the test's directory."""
        began = time.perf_counter()
        for line in self._children.news():
            if line.sort == "written":
                self.write(line.kind, line.octets.decode("utf-8", "replace"), line.command)
            else:
                self.needles.add(line.kind, line.octets if line.sort == "octets" else line.octets.decode())
        if self.directory is not None:
            self._kept += self._files(self.directory, since=0.0)
            self.directory = None
        written, self._written = self._written, []
        for place, text, command in dict.fromkeys(written):
            self.characters += len(text)
            for found in self.needles.find(text):
                self._found(found, place, command)
        # Chance that is drawn by a seed makes a secret of one module's octets, and of another's a name.
        kept, self._kept = self._kept, []
        for place, text in kept:
            self.characters += len(text)
            for found in self.needles.find(text, latest=True):
                self._found(found, place, ())
        self.seconds += time.perf_counter() - began

    def _found(self, found: Found, place: str, command: tuple[str, ...]) -> None:
        if not any(row.covers(found.kind, command=command, test=self._test) for row in ALLOWED):
            self.leaks.append(Leak(found.kind, place, found.before, self._test, command))

    def _files(self, directory: Path, *, since: float) -> Iterator[tuple[str, str]]:
        for path in files_below(directory, depth_max=DEPTH_MAX):
            if path.suffix in LOOKED_AT_SUFFIXES:
                try:
                    if path.stat().st_mtime >= since:
                        with path.open("rb") as file:
                            yield str(path), file.read(FILE_BYTES_MAX).decode("latin-1")
                except OSError:  # gone, or not to be read by us
                    continue

    def finish(self) -> Sequence[Leak]:
        """The last look, and all that was found."""
        self._test = "the whole session"
        if OUTPUT.is_dir():
            for place, text in self._files(OUTPUT, since=self._began):
                self.write(place, text)
        self.search()
        shutil.rmtree(self._directory, ignore_errors=True)
        return self.leaks


def files_below(directory: Path, *, depth_max: int) -> Iterator[Path]:
    """The files of a directory and of those below it, to a depth; without those of browsers."""
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    for entry in entries:
        if entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
        elif depth_max and entry.name != BROWSERS_OWN and entry.is_dir(follow_symlinks=False):
            yield from files_below(Path(entry.path), depth_max=depth_max - 1)


_KEY = pytest.StashKey[Redaction]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin before any test is even imported."""
    config.stash[_KEY] = redaction = Redaction()
    redaction.install()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Search once a test is over, when its fixtures have said their last word, too."""
    redaction = item.config.stash[_KEY]
    redaction.begin_test(item.nodeid)
    yield
    redaction.search()


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Remember the test's directory, which is forgotten with its fixtures."""
    directory = getattr(item, "funcargs", {}).get("tmp_path")
    item.config.stash[_KEY].directory = directory if isinstance(directory, Path) else None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A session in which a secret was shown has failed."""
    if session.config.stash[_KEY].finish() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was found."""
    redaction = config.stash[_KEY]
    leaks = list(dict.fromkeys(map(str, redaction.leaks)))
    if leaks:
        terminalreporter.section("secrets were shown", red=True)
        for leak in leaks[:LEAKS_SHOWN_MAX]:
            terminalreporter.line(leak)
        if len(leaks) > LEAKS_SHOWN_MAX:
            terminalreporter.line(f"… and {len(leaks) - LEAKS_SHOWN_MAX} more")
    terminalreporter.line(
        f"searched {redaction.characters / 1e6:.1f} MB for {len(redaction.needles)} pieces of secrets "
        f"in {redaction.seconds:.1f} s: {'nothing found' if not leaks else f'{len(leaks)} found'}"
    )


@pytest.fixture
def redaction(request: pytest.FixtureRequest) -> Redaction:
    """The search of this session."""
    return request.config.stash[_KEY]
