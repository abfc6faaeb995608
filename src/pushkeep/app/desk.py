"""Who does a chore, and whether it is still theirs: shown to people, and kept under a lease."""

from __future__ import annotations

from collections.abc import Callable

from pushkeep.app.context import Services
from pushkeep.domain.project import Project
from pushkeep.errors import Conflict

LEASE_SECONDS = 120.0
"""How long a chore of a process that died waits. Its steps take well under a second each."""

NEVER = 253_402_300_799.0
"""The end of the year 9999, the last that RFC 3339 can write."""


class Shown:
    """Shows how far it is, and keeps nothing; a :class:`pushkeep.app.sweep.Desk`.

    Args:
        show: is told how far it is.
    """

    def __init__(self, show: Callable[[str, int, int | None], None] | None = None) -> None:
        self._show = show

    async def keep(self) -> None:
        """See :class:`~pushkeep.app.sweep.Desk`."""

    def show(self, phase: str, done: int, total: int | None) -> None:
        """See :class:`~pushkeep.app.sweep.Desk`."""
        if self._show is not None:
            self._show(phase, done, total)


class LeaseKept(Shown):
    """Keeps the lease of a chore for as long as it is done; a :class:`pushkeep.app.sweep.Desk`.

    Args:
        services: the ports.
        project: whose chore.
        name: which.
        owner: who does it.
        show: is told how far it is.
    """

    def __init__(
        self,
        services: Services,
        project: Project,
        name: str,
        owner: str,
        show: Callable[[str, int, int | None], None] | None = None,
    ) -> None:
        self._services = services
        self._project = project
        self._name = name
        self._owner = owner
        super().__init__(show)
        self._renewed_at = services.clock.monotonic()

    async def keep(self) -> None:
        """See :class:`~pushkeep.app.sweep.Desk`."""
        now = self._services.clock.monotonic()
        if now - self._renewed_at < LEASE_SECONDS / 3:
            return
        self._renewed_at = now
        expires_at = self._services.clock.now() + LEASE_SECONDS
        if not await self._services.store.renew_chore(self._project, self._name, self._owner, expires_at=expires_at):
            raise Conflict("This process stood still for so long that another one took over; it goes on there.")
