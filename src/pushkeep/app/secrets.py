"""Changing the keys that everything is sealed and hashed with, and making anew what the old ones made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pushkeep.app.context import Services
from pushkeep.app.desk import Shown
from pushkeep.app.duties import Duty
from pushkeep.domain.project import Project
from pushkeep.ports.secrets import SecretKind, SecretsStatus

RESEAL = "reseal"
"""The chore's name."""

PAGE_ROWS = 500
"""Rows made anew in one transaction: some ten milliseconds, in which nobody else writes."""

LOOK_AGAIN_SECONDS = 86_400.0
"""Where something keeps an old key (ended subscriptions, a damaged row): it changes in days, and a look counts all."""


@dataclass(frozen=True, slots=True)
class Reseal(Duty):
    """Makes anew what retiring keys made.

    The keys are the whole database's. It is a chore of the project because chores are.
    """

    name = RESEAL
    every_seconds = LOOK_AGAIN_SECONDS

    async def wanted(self, services: Services, project: Project, due_at: float) -> bool:
        """See :class:`pushkeep.app.duties.Duty`."""
        over = await services.store.remaking_over()
        return over is False or (over is True and due_at <= services.clock.now())

    async def do(self, services: Services, project: Project, desk: Shown) -> Mapping[str, object]:
        """Go on until nothing is left to make anew; what came of it.

        Raises:
            Conflict: another process has taken it over.
            Unavailable: the store does not answer.
        """
        began = services.clock.monotonic()
        total = sum(_total(await services.store.secrets_status()))
        looked = remade = left = 0
        removed: list[str] = []
        while True:
            page = await services.store.remake_page(limit=PAGE_ROWS)
            looked, remade, left = looked + page.looked, remade + page.remade, page.left
            if page.removed is not None:
                removed.append(page.removed)
            elif page.kind is None or page.left:
                break
            desk.show("sealing anew", looked, max(total, looked))
            await desk.keep()
        seconds = round(services.clock.monotonic() - began, 3)
        return {"looked": looked, "remade": remade, "removed": removed, "left": left, "seconds": seconds}


def _total(status: SecretsStatus) -> list[int]:
    return [key.remaking.total - key.remaking.looked for key in status.retiring if key.remaking is not None]


async def rotate_secret(services: Services, project: Project, kind: SecretKind) -> str:
    """Use a fresh key from now on, and have what the old one made made anew soon; id of the new one.

    Raises:
        Conflict: an old one of this kind is still on its way out, or the master key is being changed.
    """
    now = services.clock.now()
    made = await services.store.rotate_secret(kind, now=now)
    await services.store.plan_chore(project, RESEAL, now)
    return made


async def forget_tombstones(services: Services, desk: Shown) -> int:
    """Give up what keeps an old lookup key: ended subscriptions are no longer known again by their endpoints.

    Whoever of them comes back is somebody new. Ids and logs stay.

    Returns:
        how many were forgotten.
    """
    forgotten, after = 0, 0
    while True:
        page = await services.store.forget_tombstones(after=after, limit=PAGE_ROWS)
        forgotten += page.moved
        desk.show("forgetting", forgotten, None)
        if page.last is None:
            return forgotten
        after = page.last
        await desk.keep()
