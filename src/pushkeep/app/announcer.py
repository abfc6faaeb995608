"""Tells listeners what happened, so that who does the work need not know who is curious."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

from pushkeep.domain.event import Event

_log = logging.getLogger("pushkeep.app")


class Announcer:
    """Passes each fact on to every listener, in the order in which they came.

    Listeners are called within the work and must be quick; one that raises is logged, once for each kind of fact, and
    stops neither the work nor the other listeners.
    """

    __slots__ = ("_failed", "_listeners")

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[Event], None], ...] = ()
        self._failed: set[tuple[int, type]] = set()

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``listener`` with every fact from now on; what is returned ends that."""
        self._listeners = (*self._listeners, listener)

        def leave() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

        return leave

    def announce(self, event: Event) -> None:
        """Tell everybody; nothing is raised."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:
                self._note(listener, event, error)

    def _note(self, listener: Callable[[Event], None], event: Event, error: Exception) -> None:
        known = (id(listener), type(event))
        if known not in self._failed:
            self._failed.add(known)
            place = traceback.extract_tb(error.__traceback__)[-1]
            # Without the exception's text, which may quote what it was given.
            _log.error(
                "A listener failed at %s: %s in %s, line %s.",
                type(event).__name__,
                type(error).__name__,
                place.filename,
                place.lineno,
            )
