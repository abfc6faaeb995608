"""What visitors are asked, remembered for a moment.

Every page that asks wants it before it can ask, and whoever knows the key in a page's source may want it as often as
they like. Reading every version of every text each time would cost a project with many languages milliseconds a call.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from pushkeep.app.joined import Joined
from pushkeep.domain.consent import Purpose, Wording
from pushkeep.domain.consent_words import still_shown
from pushkeep.domain.project import Project
from pushkeep.ports import Clock, Store

REMEMBERED_SECONDS = 0.5
"""How late it may be seen here what another process has declared; as with everything else that browsers need."""

PROJECTS_MAX = 100
"""Projects remembered; a project in thirty languages with ten purposes has 100 KB of texts."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a project has declared.

    Attributes:
        purposes: in the order in which they were declared.
        wordings: those that may still be shown, of every purpose.
        changes: of projects by this process, when this was read.
        read_at: monotonic seconds, before it was read.
    """

    purposes: tuple[Purpose, ...]
    wordings: tuple[Wording, ...]
    changes: int
    read_at: float


class KnownPurposes:
    """Remembers purposes and wordings by project.

    What another process has declared is seen after :data:`REMEMBERED_SECONDS`, what this one has declared at once.

    Args:
        store: has them.
        clock: tells the time.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[int, Declared] = OrderedDict()
        self._reading: Joined[tuple[int, int], Declared] = Joined()

    async def of(self, project: Project) -> Declared:
        """What a project has declared.

        Raises:
            Unavailable: the store does not answer.
        """
        known, changes = self._known.get(project.id), self._store.project_changes
        now = self._clock.monotonic()
        if known is not None and known.changes == changes and now - known.read_at < REMEMBERED_SECONDS:
            return known
        # Whoever joins has come after the last change, and so has the reading.
        return await self._reading.read((project.id, changes), lambda: self._read(project, changes))

    async def _read(self, project: Project, changes: int) -> Declared:
        read_at = self._clock.monotonic()
        # Wordings last: one of a purpose that is not among them is not shown, and never the other way round.
        purposes = await self._store.purposes(project)
        wordings = still_shown(await self._store.wordings(project))
        self._known[project.id] = found = Declared(purposes, wordings, changes, read_at)
        self._known.move_to_end(project.id)
        while len(self._known) > PROJECTS_MAX:
            self._known.popitem(last=False)
        return found
