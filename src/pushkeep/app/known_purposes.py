"""What visitors are asked, remembered for a moment.

Every page that asks wants it before it can ask, and whoever knows the key in a page's source may want it as often as
they like. Reading every version of every text each time would cost a project with many languages milliseconds a call.
"""

from __future__ import annotations

from dataclasses import dataclass

from pushkeep.app.remembered import Remembered
from pushkeep.domain.consent import Purpose, Wording
from pushkeep.domain.consent_words import still_shown
from pushkeep.domain.project import Project
from pushkeep.ports import Clock, Store

PROJECTS_MAX = 100
"""Projects remembered; a project in thirty languages with ten purposes has 100 KB of texts."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a project has declared.

    Attributes:
        purposes: in the order in which they were declared.
        wordings: those that may still be shown, of every purpose.
    """

    purposes: tuple[Purpose, ...]
    wordings: tuple[Wording, ...]


class KnownPurposes:
    """Remembers purposes and wordings by project; see :class:`~pushkeep.app.remembered.Remembered`.

    Args:
        store: has them.
        clock: tells the time.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._remembered = Remembered(store, clock, self._read, PROJECTS_MAX)

    async def of(self, project: Project) -> Declared:
        """What a project has declared.

        Raises:
            Unavailable: the store does not answer.
        """
        return await self._remembered.of(project)

    async def _read(self, project: Project) -> Declared:
        # Wordings last: one of a purpose that is not among them is not shown, and never the other way round.
        purposes = await self._store.purposes(project)
        wordings = still_shown(await self._store.wordings(project))
        return Declared(purposes, wordings)
