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
    """

    __slots__ = (
        "_block",
        "_body",
        "_body_bytes_max",
        "_header_bytes",
        "_header_bytes_max",
        "_lines",
        "_lines_max",
        "_status",
        "answered",
    )

    def __init__(self, *, body_bytes_max: int, header_bytes_max: int, header_lines_max: int) -> None:
        self._body_bytes_max = body_bytes_max
        self._header_bytes_max = header_bytes_max
        self._lines_max = header_lines_max
        self.clear()

    def clear(self) -> None:
        """Forget everything, ready for the next exchange."""
        self._lines: list[bytes] = []
        self._block = 0  # where the current header block begins: interim (1xx) answers have blocks of their own
        self._status = 0
        self._body = bytearray()
        self._header_bytes = 0
        self.answered = False

    @property
    def started(self) -> bool:
        """Whether anything at all has arrived."""
        return self._header_bytes > 0

    def on_header(self, line: bytes) -> int | None:
        """Take one header line: a status line begins a block, an empty line ends it."""
        lines = self._lines
        self._header_bytes += len(line)
        # Counted over all blocks: interim answers without end are a flood too.
        if self._header_bytes > self._header_bytes_max or len(lines) >= self._lines_max:
            self._end_block()  # the status stands, even if its fields never end
            return STOP
        if self.answered:
            return None  # a trailer: nothing a push service says there concerns us
        lines.append(line)
        if len(line) <= 2 and line in (b"\r\n", b"\n"):
            self._end_block()
        return None

    def on_body(self, chunk: bytes) -> int | None:
        """Take a piece of the body up to the limit; what is beyond is not waited for."""
        room = self._body_bytes_max - len(self._body)
        self._body += chunk[:room]
        return STOP if len(chunk) > room else None

    def response(self) -> PushResponse:
        """The answer as a value; only when ``answered``."""
        status_line, *fields = b"".join(self._lines[self._block :]).decode("latin-1").split("\n")
        headers: dict[str, str] = {}
        for field in fields:
            name, colon, value = field.partition(":")
            if colon:
                headers[name.rstrip().lower()] = value.strip()
        version = status_line[5:].split(" ", 1)[0]
        return PushResponse(self._status, headers, bytes(self._body), version)

    def _end_block(self) -> None:
        """Read the status of the block that ends here; after a final one we have an answer."""
        if self.answered or self._block >= len(self._lines):
            return
        parts = self._lines[self._block].split(None, 2)
        # libcurl lets no other first line through than HTTP/version and three digits; 0 is for the flood before one.
        self._status = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
        self.answered = self._status >= 200
        if not self.answered:
            self._block = len(self._lines)
