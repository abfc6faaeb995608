"""Receipts on their way in: checked as they come, collected, and written with one insert at a time.

A large broadcast brings hundreds of thousands of receipts within minutes, each of them a request of its own. A
transaction for each would keep the database from the messages; so they wait here for a second, in memory. Those of the
last second are lost if the process is killed: they are figures, nothing else is decided by them.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

from pushkeep.app.context import Services
from pushkeep.app.joined import Joined
from pushkeep.domain.event import ReceiptsDropped, ReceiptsKept
from pushkeep.domain.project import Project, is_publishable_key
from pushkeep.domain.receipt import Receipt, ReceiptKind, ReceiptTokens, receipt_key
from pushkeep.errors import Unavailable

BUFFER_RECEIPTS_MAX = 20_000
"""Four seconds of the 5,000 a second that one core takes in, at some 200 octets each: 4 MB. A database that rests for
longer than that loses figures and no messages."""

FLUSH_RECEIPTS_MAX = 5_000
"""As many as come in a second; one insert of them holds the database for about 20 ms."""

FLUSH_SECONDS = 1.0
"""How old the figures of a notification may be."""

PROJECTS_MAX = 100
"""Projects whose keys are held; only those that exist, so guessing does not fill it."""

LOOK_UPS_PER_SECOND_MAX = 20
"""Publishable keys not known here that are looked up; a flood of made-up ones must not keep the database busy."""

TOKENS_MAX = 1_000
"""Notifications whose token keys are held; only those a good token came for."""

_Place: TypeAlias = tuple[str, int, ReceiptKind]


@dataclass(frozen=True, slots=True)
class ReceiptProject:
    """A project as its browsers' receipts need it.

    Attributes:
        project: the project.
        key: of its receipt tokens.
    """

    project: Project
    key: bytes = field(repr=False)


class ReceiptProjects:
    """Finds projects by publishable key and subscriptions by token, mostly without asking the store."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: OrderedDict[str, ReceiptProject] = OrderedDict()
        self._reading: Joined[str, ReceiptProject | None] = Joined()
        self._tokens: OrderedDict[tuple[int, str], ReceiptTokens] = OrderedDict()
        self._second, self._look_ups = 0, 0

    def known(self, publishable_key: str) -> ReceiptProject | None:
        """The project of a key that was looked up before."""
        return self._known.get(publishable_key)

    async def find(self, publishable_key: str) -> ReceiptProject | None:
        """The project of a key; None for a wrong key, and while too many unknown ones are asked for.

        Raises:
            Unavailable: the store does not answer.
        """
        known = self._known.get(publishable_key)
        if known is not None or not is_publishable_key(publishable_key):
            return known
        # Browsers that all come at once, just after a start, ask the database one question.
        if publishable_key not in self._reading and not self._may_look_up():
            return None
        return await self._reading.read(publishable_key, lambda: self._read(publishable_key))

    def subscription_of(self, found: ReceiptProject, notification: str, token: bytes) -> int | None:
        """The internal number of the subscription that a token is of; None for what is no token of the notification."""
        place = (found.project.id, notification)
        tokens = self._tokens.get(place)
        fresh = tokens is None
        if tokens is None:
            tokens = ReceiptTokens(found.key, notification)
        subscription_id = tokens.check(token)
        if fresh and subscription_id is not None:
            self._tokens[place] = tokens
            if len(self._tokens) > TOKENS_MAX:
                self._tokens.popitem(last=False)
        return subscription_id

    def _may_look_up(self) -> bool:
        second = int(self._services.clock.monotonic())
        if second != self._second:
            self._second, self._look_ups = second, 0
        self._look_ups += 1
        return self._look_ups <= LOOK_UPS_PER_SECOND_MAX

    async def _read(self, publishable_key: str) -> ReceiptProject | None:
        store = self._services.store
        project = await store.project_by_publishable_key(publishable_key)
        if project is None:
            return None
        found = ReceiptProject(project, receipt_key((await store.project_secrets(project)).sync))
        self._known[publishable_key] = found
        if len(self._known) > PROJECTS_MAX:
            self._known.popitem(last=False)
        return found


class ReceiptBuffer:
    """Collects receipts and writes them down every second, or sooner when there are many.

    Args:
        services: the ports.
        size_max: receipts that wait at most; further ones are dropped and counted.
        flush_max: receipts in one insert.
        flush_seconds: how long a receipt waits for others.
    """

    def __init__(
        self,
        services: Services,
        *,
        size_max: int = BUFFER_RECEIPTS_MAX,
        flush_max: int = FLUSH_RECEIPTS_MAX,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        self._services = services
        self._size_max = size_max
        self._flush_max = flush_max
        self._flush_seconds = flush_seconds
        self._waiting: dict[int, tuple[Project, dict[_Place, Receipt]]] = {}
        self._size = 0
        self._dropped: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._refused = False  # the last insert: the next one waits its second, however many come
        self._closed = False

    def add(self, project: Project, notification: str, subscription_id: int, kind: ReceiptKind) -> None:
        """Take a receipt whose token was checked, or drop it if too many wait."""
        if self._size >= self._size_max or self._closed:
            self.drop("full")
            return
        waiting = self._waiting.get(project.id)
        if waiting is None:
            waiting = self._waiting[project.id] = (project, {})
        place = (notification, subscription_id, kind)
        if place in waiting[1]:
            return  # so that the holder of one token cannot fill the buffer
        waiting[1][place] = Receipt(notification, subscription_id, kind, self._services.clock.now())
        self._size += 1
        if self._size >= self._flush_max and not self._refused:
            self._flush_now()
        else:
            self._flush_later()

    def drop(self, reason: str) -> None:
        """Count one that is not kept; see :class:`pushkeep.domain.event.ReceiptsDropped` for reasons."""
        self._dropped[reason] += 1
        if not self._closed:
            self._flush_later()

    async def aclose(self) -> None:
        """Write down what waits; nothing is taken after that."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._flushing is not None:
            await self._flushing
        while self._size and await self._flush_once():
            pass
        if self._size:
            self._dropped["unavailable"] += self._size
            self._waiting, self._size = {}, 0
        self._announce_dropped()

    def _flush_later(self) -> None:
        if self._timer is None and self._flushing is None:
            self._timer = asyncio.get_running_loop().call_later(self._flush_seconds, self._flush_now)

    def _flush_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flushing is None and not self._closed:
            self._flushing = asyncio.ensure_future(self._flush())

    async def _flush(self) -> None:
        """Write until fewer wait than one insert takes, and what came before a quiet second in any case."""
        try:
            written = True
            while written and self._size:
                written = await self._flush_once()
                if self._size < self._flush_max:
                    break
            self._announce_dropped()
        finally:
            self._flushing = None
            if (self._size or self._dropped) and not self._closed:
                self._flush_later()

    async def _flush_once(self) -> bool:
        """Write some receipts of one project; false if the store does not take them: they go on waiting."""
        services = self._services
        project_id, (project, receipts) = next(iter(self._waiting.items()))
        some = dict(islice(receipts.items(), self._flush_max))
        began = services.clock.monotonic()
        try:
            counts = await services.store.add_receipts(project, tuple(some.values()))
        except Unavailable:
            self._refused = True
            return False
        self._refused = False
        for place in some:  # only now: what could not be written goes on waiting
            del receipts[place]
        self._size -= len(some)
        if not receipts:
            del self._waiting[project_id]
        services.announcer.announce(ReceiptsKept(counts, services.clock.monotonic() - began))
        return True

    def _announce_dropped(self) -> None:
        for reason, count in self._dropped.items():
            self._services.announcer.announce(ReceiptsDropped(reason, count))
        self._dropped.clear()
