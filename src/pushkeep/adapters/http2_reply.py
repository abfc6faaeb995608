"""What did the other end say? One answer, collected from libcurl's callbacks within limits."""

from __future__ import annotations

from pushkeep.protocol.answer import PushResponse

STOP = 0
"""Returned from a callback: fewer octets taken than offered, so libcurl ends the transfer with error 23."""


class Reply:
    """Collects header lines and body of one exchange.

    libcurl keeps the bound methods of the handle's own ``Reply``; the ``Reply`` knows nothing of the handle, so
    no reference cycle holds a handle alive.

    Attributes:
        answered: a final (not 1xx) header block has arrived, whole or as far as we read: there is a status to act
            on, whatever becomes of the rest.
        started: anything at all has arrived.
    """

    __slots__ = (
        "_body",
        "_body_bytes_max",
        "_header_bytes",
        "_header_bytes_max",
        "_header_lines",
        "_lines",
        "_lines_max",
        "answered",
        "started",
    )

    def __init__(self, *, body_bytes_max: int, header_bytes_max: int, header_lines_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._header_bytes_max = header_bytes_max
        self._lines_max = header_lines_max
        self._lines: list[bytes] = []
        self._body = bytearray()
        self.clear()

    def clear(self) -> None:
        """Forget everything, ready for the next exchange."""
        self._lines = []
        self._body = bytearray()
        self._header_bytes = 0
        self._header_lines = 0
        self.answered = False
        self.started = False

    def on_header(self, line: bytes) -> int | None:
        """Take one header line: a status line starts a block, an empty line ends it."""
        self.started = True
        self._header_bytes += len(line)
        self._header_lines += 1
        # Counted over all blocks: interim (1xx) answers without end are a flood too.
        if self._header_bytes > self._header_bytes_max or self._header_lines > self._lines_max:
            self.answered = _status(self._lines) >= 200  # the status stands, even if its fields never end
            return STOP
        if self.answered:
            return None  # a trailer: nothing a push service says there concerns us
        if line.startswith(b"HTTP/"):
            self._lines = [line]
        elif line in (b"\r\n", b"\n"):
            self.answered = _status(self._lines) >= 200
        else:
            self._lines.append(line)
        return None

    def on_body(self, chunk: bytes) -> int | None:
        """Take a piece of the body up to the limit; what is beyond is not waited for."""
        self.started = True
        room = self._body_bytes_max - len(self._body)
        self._body += chunk[:room]
        return STOP if len(chunk) > room else None

    def response(self) -> PushResponse:
        """The answer as a value; only when ``answered``."""
        headers: dict[str, str] = {}
        for line in self._lines[1:]:
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        version = self._lines[0][5:].split(b" ", 1)[0].decode("latin-1")
        return PushResponse(_status(self._lines), headers, bytes(self._body), version)


def _status(lines: list[bytes]) -> int:
    """The status code in a block's first line; 0 where there is none (libcurl lets no other shape through)."""
    parts = lines[0].split(None, 2) if lines else []
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
