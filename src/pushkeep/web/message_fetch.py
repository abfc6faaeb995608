"""Where browsers fetch the whole of a notification of which the message had only the beginning."""

from __future__ import annotations

from collections.abc import Mapping

from pushkeep.app.messages import FetchedMessages
from pushkeep.app.receipts import ReceiptProject, ReceiptProjects
from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import PushkeepError
from pushkeep.web.cors import answer_headers
from pushkeep.web.direct import Answer
from pushkeep.web.receipt_beacon import TOKEN_LINE

_NO_STORE = (b"cache-control", b"no-store")
_JSON = ((b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff"))


class MessageFetch:
    """Answers the notification's id and a receipt token of it, with a blank between, with the whole notification.

    A wrong token is answered as an unknown notification is: 404.

    Args:
        projects: finds projects and checks tokens.
        messages: has the notifications.
    """

    def __init__(self, projects: ReceiptProjects, messages: FetchedMessages) -> None:
        self._projects = projects
        self._messages = messages

    async def __call__(self, key: str, body: bytes, headers: Mapping[bytes, bytes]) -> Answer:
        """Hand one out."""
        line = TOKEN_LINE.fullmatch(body)
        try:
            found = await self._projects.find(key) if line else None
            if line is None or found is None:
                return (404, (_NO_STORE,), b"")
            notification = line[1].decode("ascii")
            known = self._projects.subscription_of(found, notification, line[2]) is not None
            whole = await self._messages.get(found.project, notification) if known else None
        except PushkeepError:  # the database is away or damaged: the beginning of the message is shown
            return (503, (_NO_STORE, (b"retry-after", b"1")), b"")
        readable = _readable(found, headers)
        if whole is None:
            return (404, (_NO_STORE, *readable), b"")
        return (200, (_NO_STORE, *_JSON, *readable), whole)


def _readable(found: ReceiptProject, headers: Mapping[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """What lets the site's own pages and workers read the answer from another origin, and nobody else's."""
    origin = headers.get(b"origin", b"").decode("latin-1")
    allowed = origin == SiteUrl.parse(found.project.site_url, field="site_url").origin
    return [(name.lower().encode(), value.encode()) for name, value in answer_headers(origin if allowed else None)]
