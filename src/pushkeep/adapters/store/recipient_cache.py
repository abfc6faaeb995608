"""Subscriptions opened a moment ago: the same few people are told something again and again.

What a database hands over of a subscription is sealed; opening it costs more than finding it. This keeps what was
opened, by the row's number and version. Number and version are read from the database each time, so another process
that changes a row, which raises its version, changes what is found here, too. Nothing is ever answered from here alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from pushkeep.protocol.subscription import Subscription

RECIPIENTS_MAX = 10_000
"""About 12 MB; the people who are active on a large site at a time."""


class RecipientCache:
    """The last subscriptions that were opened; used by several threads.

    Args:
        recipients_max: the one unused for longest goes.
    """

    def __init__(self, recipients_max: int = RECIPIENTS_MAX) -> None:
        self._recipients_max = recipients_max
        self._opened: OrderedDict[int, tuple[int, Subscription]] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = 0
        """How often what was asked for was there."""
        self.misses = 0
        """How often it was not, or of an older version."""

    def __len__(self) -> int:
        return len(self._opened)

    def find(self, row_id: int, version: int) -> Subscription | None:
        """What was opened of this version of the row; an older version is forgotten."""
        with self._lock:
            kept = self._opened.get(row_id)
            if kept is not None and kept[0] == version:
                self._opened.move_to_end(row_id)
                self.hits += 1
                return kept[1]
            if kept is not None:
                del self._opened[row_id]
            self.misses += 1
            return None

    def keep(self, row_id: int, version: int, subscription: Subscription) -> None:
        """Remember what was opened."""
        with self._lock:
            self._opened[row_id] = (version, subscription)
            self._opened.move_to_end(row_id)
            if len(self._opened) > self._recipients_max:
                self._opened.popitem(last=False)

    def forget(self, row_id: int) -> None:
        """Forget a row that has ended: what is erased in the database does not stay here."""
        with self._lock:
            self._opened.pop(row_id, None)
