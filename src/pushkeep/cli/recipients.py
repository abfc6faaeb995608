"""``pushkeep send --recipients``: many recipients from a file of JSON Lines, a result for each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from pushkeep.cli.common import EXIT_BY_VERDICT, Exit, complain, complain_of, err, print_json
from pushkeep.client import Message, SendResult, read_subscription
from pushkeep.client.asynchronous import PushClient
from pushkeep.errors import InvalidInput
from pushkeep.protocol.outcome import Outcome
from pushkeep.protocol.request import PushOptions
from pushkeep.protocol.subscription import Subscription

LINE_BYTES_MAX = 65_536
"""A subscription has under 3 KB and a payload at most 4; the rest is room, and bounds what one line can take."""

_FIELDS = ("subscription", "payload", "ttl", "urgency", "topic", "reference")


@dataclass(frozen=True, slots=True)
class Line:
    """Where a message comes from.

    Attributes:
        number: of the line in the file, from 1.
        name: what people know the recipient by: the line's own reference, else the endpoint's label.
        reference: the line's own, if it has one.
        error: what is wrong with the line, where it is no message.
    """

    number: int
    name: str
    reference: str | int | None = None
    error: InvalidInput | None = None


@dataclass(slots=True)
class Tally:
    """How it went so far."""

    verdicts: Counter[str] = field(default_factory=Counter)
    bad_lines: int = 0
    exits: set[Exit] = field(default_factory=set)

    def count(self, result: SendResult) -> None:
        """Count one more."""
        if result.outcome is not None:
            self.verdicts[result.outcome.verdict.value] += 1
            self.exits.add(EXIT_BY_VERDICT[result.outcome.verdict])
        else:
            self.bad_lines += 1
            self.exits.add(Exit.USAGE)

    @property
    def status(self) -> Exit:
        """0 if everybody accepted, the failures' own status if it is one, else 6."""
        failed = self.exits - {Exit.DONE}
        return Exit.DONE if not failed else failed.pop() if len(failed) == 1 else Exit.NOT_ACCEPTED

    def summary(self) -> str:
        """One line for people."""
        total = sum(self.verdicts.values()) + self.bad_lines
        failed = [f"{count:,} {name}" for name, count in self.verdicts.most_common() if name != "accepted"]
        if self.bad_lines:
            failed.append(f"{self.bad_lines:,} bad {'line' if self.bad_lines == 1 else 'lines'}")
        return f"Accepted {self.verdicts['accepted']:,} of {total:,}" + (f"; {', '.join(failed)}." if failed else ".")


class Recipients:
    """Reads messages from JSON Lines; what a line does not say is as the options say.

    Args:
        file: where the lines come from.
        size: octets of the file; None if it may keep us waiting for more, as standard input does.
        payload: of lines without one.
        options: of lines without their own.

    Attributes:
        size: as given.
        bytes_read: how far it has come.
    """

    def __init__(self, file: BinaryIO, size: int | None, payload: bytes | None, options: PushOptions) -> None:
        self._file = file
        self._payload = payload
        self._options = options
        self.size = size
        self.bytes_read = 0

    async def messages(self) -> AsyncIterator[Message]:
        """A message for each line, with its :class:`Line` as reference; a bad line's has no subscription."""
        number = 0
        while line := await self._read(LINE_BYTES_MAX + 1):
            number += 1
            ended = line
            while not ended.endswith(b"\n") and (ended := await self._read(LINE_BYTES_MAX)):
                pass  # the rest of a line that is too long
            if not line.strip():
                continue
            try:
                yield self._message(number, line)
            except InvalidInput as error:
                yield Message("", reference=Line(number, f"line {number}", error=error))

    async def _read(self, bytes_max: int) -> bytes:
        if self.size is None:
            line = await _read_aside(self._file, bytes_max)
        else:
            line = self._file.readline(bytes_max)
        self.bytes_read += len(line)
        return line

    def _message(self, number: int, line: bytes) -> Message:
        if len(line) > LINE_BYTES_MAX:
            raise InvalidInput(f"the line is over {LINE_BYTES_MAX} octets long.", field="line")
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError):
            raise InvalidInput("the line is not valid JSON.", field="line") from None
        if not isinstance(value, dict):
            raise InvalidInput("the line is not a JSON object.", field="line")
        given: dict[str, object] = {"subscription": value} if "endpoint" in value else value
        unknown = [name for name in given if name not in _FIELDS]
        if unknown or "subscription" not in given:
            raise InvalidInput(
                f"the line must be a subscription, or an object with one and any of {', '.join(_FIELDS[1:])}.",
                field="line",
            )
        subscription = _subscription(given["subscription"])
        reference = given.get("reference")
        if reference is not None and (isinstance(reference, bool) or not isinstance(reference, str | int)):
            raise InvalidInput("reference must be a text or a whole number.", field="reference")
        name = subscription.endpoint.label if reference is None else str(reference)
        options = self._options
        return Message(
            subscription,
            _payload(given["payload"]) if "payload" in given else self._payload,
            ttl=given.get("ttl", options.ttl),  # type: ignore[arg-type] # checked when the message's turn comes
            urgency=given.get("urgency", options.urgency),  # type: ignore[arg-type]
            topic=given.get("topic", options.topic),  # type: ignore[arg-type]
            reference=Line(number, name, reference),
        )


async def _read_aside(file: BinaryIO, bytes_max: int) -> bytes:
    """A line, for which answers need not wait. If we are interrupted, its thread is left behind, as no pool would."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[bytes] = loop.create_future()

    def tell(read: bytes, error: OSError | None) -> None:
        if line.done():
            return
        if error is None:
            line.set_result(read)
        else:
            line.set_exception(error)

    def read() -> None:
        octets, failure = b"", None
        try:
            octets = file.readline(bytes_max)
        except OSError as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(tell, octets, failure)

    threading.Thread(target=read, name="pushkeep-recipients", daemon=True).start()
    return await line


def _subscription(value: object) -> Subscription:
    if not isinstance(value, dict):
        raise InvalidInput("subscription must be a JSON object.", field="subscription")
    return read_subscription(value)


def _payload(value: object) -> str | dict[str, object] | None:
    if value is None or isinstance(value, str | dict):
        return value
    raise InvalidInput("payload must be a text, an object or null.", field="payload")


async def send_to_all(client: PushClient, recipients: Recipients, *, as_json: bool) -> Tally:
    """Send, print what became of each, and say at the end how it went.

    Args:
        client: open.
        recipients: the messages.
        as_json: a line of JSON for each result, in place of failures for people.
    """
    tally = Tally()
    columns = TextColumn("{task.fields[summary]}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=recipients.size, summary="")
        async for result in client.send_many(recipients.messages()):
            line = result.reference
            assert isinstance(line, Line)
            tally.count(result)
            _tell(line, result.outcome, line.error or result.error, as_json=as_json)
            bar.update(task, completed=recipients.bytes_read, summary=tally.summary())
    err.print(Text(tally.summary()))
    return tally


def _tell(line: Line, outcome: Outcome | None, error: InvalidInput | None, *, as_json: bool) -> None:
    about: dict[str, object] = {"line": line.number, "reference": line.reference, "recipient": line.name}
    if outcome is not None:
        if as_json:
            print_json({**about, **outcome.to_dict()})
        elif not outcome.accepted:
            complain_of(f"Line {line.number}: failed to send to {line.name}", outcome)
    elif error is not None:
        if as_json:
            print_json({**about, "error": {"field": error.field, "message": error.message}})
        else:
            complain(f"Line {line.number}: {error.message}")


@contextmanager
def opened(path: Path, payload: bytes | None, options: PushOptions) -> Iterator[Recipients]:
    """The recipients in a file, or from standard input for ``-``.

    Raises:
        InvalidInput: the file cannot be read.
    """
    if str(path) == "-":
        # A file of our own, not closed: neither sys.stdin nor this one can be while a thread left behind is reading it.
        yield Recipients(open(sys.stdin.fileno(), "rb", closefd=False), None, payload, options)  # noqa: SIM115
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInput(f"recipients: cannot read {path}: {error.strerror}.", field="recipients") from None
    with file:
        yield Recipients(file, path.stat().st_size if path.is_file() else None, payload, options)
