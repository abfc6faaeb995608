"""Where browsers say that they displayed a notification, and that it was clicked or closed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pushkeep.app.receipts import ReceiptBuffer, ReceiptProjects
from pushkeep.domain.receipt import RECEIPT_TOKEN_CHARACTERS, ReceiptKind
from pushkeep.errors import PushkeepError
from pushkeep.web.direct import Answer

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TOKEN = rf"[A-Za-z0-9_-]{{{RECEIPT_TOKEN_CHARACTERS}}}"
TOKEN_LINE = re.compile(rf"({_UUID}) ({_TOKEN})".encode())
"""A notification's id and a receipt token of it."""

RECEIPT_LINE = re.compile(rf"(displayed|clicked|closed) ({_UUID}) ({_TOKEN})".encode())
"""What became of it, and these two."""

_KINDS = {kind.value.encode(): kind for kind in ReceiptKind}
_TAKEN: Answer = (204, (), b"")


class ReceiptBeacon:
    """Takes receipts: ``displayed``, ``clicked`` or ``closed``, the notification's id and the token, between blanks.

    Whatever comes is answered 204: a page cannot read it anyway, and it tells a forger nothing.

    Args:
        projects: finds projects and checks tokens.
        buffer: collects what is good and counts what is not.
    """

    def __init__(self, projects: ReceiptProjects, buffer: ReceiptBuffer) -> None:
        self._projects = projects
        self._buffer = buffer

    async def __call__(self, key: str, body: bytes, _headers: Mapping[bytes, bytes]) -> Answer:
        """Take one."""
        line = RECEIPT_LINE.fullmatch(body)
        if line is None:
            self._buffer.drop("invalid")
            return _TAKEN
        found = self._projects.known(key)
        if found is None:
            try:
                found = await self._projects.find(key)
            except PushkeepError:  # the database is away or damaged
                self._buffer.drop("unavailable")
                return _TAKEN
        kind, uuid, token = line.groups()
        notification = uuid.decode("ascii")
        subscription_id = None if found is None else self._projects.subscription_of(found, notification, token)
        if found is None or subscription_id is None:
            self._buffer.drop("invalid")
        else:
            self._buffer.add(found.project, notification, subscription_id, _KINDS[kind])
        return _TAKEN
