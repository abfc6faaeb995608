"""What a browser fetches that was told only that there is something: the whole of a notification."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

from pushkeep.app.accept import kept_content
from pushkeep.app.context import Services
from pushkeep.app.joined import Joined
from pushkeep.domain.compiled import compile_fetched
from pushkeep.domain.notification import Content
from pushkeep.domain.project import Project
from pushkeep.errors import InvalidInput

MESSAGES_MAX = 100
"""Notifications kept compiled, of at most 64 KB each: 6 MB. A broadcast's browsers all come for the same one."""

REMEMBERED_SECONDS = 30.0
"""How long one is kept: a notification that was taken away is not handed out for longer than that."""


class FetchedMessages:
    """Compiles notifications for browsers that come for them, each once for many.

    Args:
        services: the ports.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept: OrderedDict[tuple[int, str], tuple[float, bytes | None]] = OrderedDict()
        self._reading: Joined[tuple[int, str], bytes | None] = Joined()

    async def get(self, project: Project, notification: str) -> bytes | None:
        """The whole notification in the form of a payload; None where there is none, or none that we compiled.

        Whoever asks has shown a receipt token of the notification.

        Raises:
            Unavailable: the store does not answer.
        """
        place = (project.id, notification)
        kept = self._kept.get(place)
        if kept is not None and self._services.clock.monotonic() < kept[0]:
            return kept[1]
        return await self._reading.read(place, lambda: self._read(project, notification))

    async def _read(self, project: Project, notification: str) -> bytes | None:
        until = self._services.clock.monotonic() + REMEMBERED_SECONDS
        stored = await self._services.store.content_of(project, notification)
        whole = None
        # What was compiled once may not be any more: the site has moved to an address that is not secure, or a later
        # version has another rule.
        with suppress(InvalidInput):
            content = None if stored is None else kept_content(stored, tag=notification)
            if isinstance(content, Content):
                whole = compile_fetched(content, notification_id=notification, site_url=project.site_url)
        self._kept[project.id, notification] = (until, whole)
        self._kept.move_to_end((project.id, notification))
        if len(self._kept) > MESSAGES_MAX:
            self._kept.popitem(last=False)
        return whole
