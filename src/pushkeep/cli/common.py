"""What every command shares: exit codes, output for people and for programs, settings, running a coroutine."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections.abc import Coroutine, Iterable, Mapping
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TextIO, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from pushkeep.errors import InvalidInput
from pushkeep.protocol.outcome import Outcome
from pushkeep.protocol.verdict import Verdict

if TYPE_CHECKING:
    from pushkeep.config import Settings

T = TypeVar("T")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Exit(IntEnum):
    """What a command's exit status means; the same for every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    GONE = 3
    KEY_OR_TOKEN = 4
    TRY_LATER = 5
    NOT_ACCEPTED = 6


EXIT_BY_VERDICT: Mapping[Verdict, Exit] = {
    Verdict.ACCEPTED: Exit.DONE,
    Verdict.GONE: Exit.GONE,
    Verdict.SUSPECT: Exit.NOT_ACCEPTED,
    Verdict.KEY_MISMATCH: Exit.KEY_OR_TOKEN,
    Verdict.BAD_TOKEN: Exit.KEY_OR_TOKEN,
    Verdict.TOO_LARGE: Exit.NOT_ACCEPTED,
    Verdict.BAD_REQUEST: Exit.NOT_ACCEPTED,
    Verdict.THROTTLED: Exit.TRY_LATER,
    Verdict.TRANSIENT: Exit.TRY_LATER,
    Verdict.REFUSED_ENDPOINT: Exit.NOT_ACCEPTED,
}

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Where database, master key and pushkeep.toml live. [default: PUSHKEEP_DATA_DIR, else "
        "~/.local/share/pushkeep]",
        show_default=False,
    ),
]
MapOrigin = Annotated[
    list[str] | None,
    typer.Option(
        "--map-origin",
        metavar="ORIGIN=BASE[,ca=FILE][,vendor=NAME]",
        help="Dial BASE for what is addressed to ORIGIN; may be repeated.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
IdempotencyKey = Annotated[
    str | None, typer.Option("--idempotency-key", metavar="KEY", help="The same key again sends nothing twice.")
]


def example(*lines: str) -> str:
    """The example under a command's help."""
    return "[bold]Example[/bold]\n\n" + "\n\n".join(f"  $ {line}" for line in lines)


def run(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end, on uvloop where there is one."""
    try:
        import uvloop
    except ModuleNotFoundError:  # no wheel for this platform
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def say(text: str, style: str | None = None) -> None:
    """A line for people on standard output; nothing in it is taken for markup."""
    out.print(Text(text, style=style or ""))


def more(command: str, options: Mapping[str, object]) -> None:
    """Say with which command the list goes on: all that was asked for, and where to go on."""
    given = [f"{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
    say(f"More: {' '.join([command, *given])}")


def complain(text: str, style: str | None = "red") -> None:
    """A line for people on standard error."""
    err.print(Text(text, style=style or ""))


def print_json(value: object, file: TextIO | None = None) -> None:
    """One JSON document on one line of standard output, whatever the terminal, or of a file."""
    file = sys.stdout if file is None else file
    file.write(json.dumps(value, ensure_ascii=False) + "\n")
    file.flush()


def print_report(report: object, file: TextIO | None = None) -> None:
    """A report of the HTTP API, in the API's own shape."""
    import msgspec

    print_json(msgspec.to_builtins(report), file)


def stop(status: Exit) -> NoReturn:
    """End the command with a status."""
    raise typer.Exit(int(status))


def load(data_dir: Path | None, **overrides: object) -> Settings:
    """The server's settings.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    from pushkeep.config import load_settings

    return load_settings(overrides={"data_dir": data_dir, **overrides})


EXTRAS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "alembic",
            "cronsim",
            "httptools",
            "jinja2",
            "jwt",
            "litestar",
            "msgspec",
            "prometheus_client",
            "sqlalchemy",
            "structlog",
            "uvicorn",
        ),
        "server",
    ),
    **dict.fromkeys(("dbus_fast", "h11", "h2", "playwright", "trustme", "websockets"), "testing"),
}
"""The extra that brings a package which the library alone does without, by the name it is imported by."""


def missing_package(error: ModuleNotFoundError) -> str | None:
    """What to do about an import that failed, if the package belongs to an extra."""
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    if extra is None:
        return None
    return f"This command needs the package {error.name}, which is not installed. Run: pip install 'pushkeep[{extra}]'"


def read_payload(given: str | None, *, field: str = "payload") -> bytes | None:
    """The payload of an option, or another text: itself, ``@FILE`` or ``-`` for standard input.

    Raises:
        InvalidInput: the file cannot be read.
    """
    if given is None:
        return None
    if given == "-":
        return sys.stdin.buffer.read(PAYLOAD_BYTES_READ_MAX)
    if given.startswith("@"):
        return read_file(Path(given[1:]), field=field)
    return os.fsencode(given)  # an argument is octets, and a payload need not be text


PAYLOAD_BYTES_READ_MAX = 65_536
"""More than any message holds, so that an endless input ends and is refused by its size."""


def read_file(path: Path, *, field: str) -> bytes:
    """The content of a small file; raises InvalidInput with one sentence if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(PAYLOAD_BYTES_READ_MAX)
    except OSError as error:
        raise InvalidInput(f"{field}: cannot read {path}: {error.strerror}.", field=field) from None


def complain_of(failed: str, outcome: Outcome) -> None:
    """What became of a message that was not accepted, for people on standard error, after ``failed``."""
    said = outcome.explanation.text if outcome.explanation else outcome.verdict.value
    complain(f"{failed}: {said}")
    for line in explanation_lines(outcome):
        complain(line, None)


def explanation_lines(outcome: Outcome) -> Iterable[str]:
    """What the push service said besides its sentence, a line for people where there is something."""
    said = outcome.explanation
    facts = [
        f"status {outcome.status}" if outcome.status is not None else "",
        f"code {said.code}" if said and said.code is not None else "",
        f"errno {said.errno}" if said and said.errno is not None else "",
        f"retry after {outcome.retry_after:g} s" if outcome.retry_after is not None else "",
    ]
    present = ", ".join(fact for fact in facts if fact)
    if present:
        yield f"  {present}"
    if said and said.more_info:
        yield f"  more info: {said.more_info}"
