"""What every request of a browser needs to know of its project, remembered for a moment.

Visitors confirm their subscriptions with every page they load. Project, signing keys and secrets are the same for all
of them, and asking the store each time would cost several times what is to be done.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pushkeep.app.remembered import Remembered
from pushkeep.domain.project import Project, ProjectSigningKey, is_publishable_key
from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import NotFound
from pushkeep.ports import Clock, ProjectSecrets, Store

PROJECTS_MAX = 1000
"""Projects remembered; only existing ones are, so the bound is never met by guessing."""


@dataclass(frozen=True, slots=True)
class KnownProject:
    """A project as browsers need it.

    Attributes:
        project: the project.
        keys: every key that signs, the active one first.
        secrets: what its tokens are made with.
        origins: of the pages that may use it.
    """

    project: Project
    keys: tuple[ProjectSigningKey, ...]
    secrets: ProjectSecrets = field(repr=False)
    origins: frozenset[str]


class KnownProjects:
    """Remembers projects by publishable key; see :class:`~pushkeep.app.remembered.Remembered`.

    Args:
        store: has them.
        clock: tells the time.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._remembered = Remembered(store, clock, self._read, PROJECTS_MAX)

    def last_known(self, publishable_key: str) -> KnownProject | None:
        """What was read last of a project, however old: for who is not worth a question."""
        return self._remembered.last(publishable_key)

    async def find(self, publishable_key: str) -> KnownProject | None:
        """The project of a ``pk_…`` key; None for a wrong key.

        Raises:
            Unavailable: the store does not answer.
        """
        if self._remembered.last(publishable_key) is None and not is_publishable_key(publishable_key):
            return None
        return await self._remembered.of(publishable_key)

    async def of(self, project: Project) -> KnownProject:
        """What is known of a project.

        Raises:
            NotFound: it is not there any more.
            Unavailable: the store does not answer.
        """
        known = await self.find(project.publishable_key)
        if known is None:
            raise NotFound("The project is not there any more.")
        return known

    async def _read(self, publishable_key: str) -> KnownProject | None:
        project = await self._store.project_by_publishable_key(publishable_key)
        if project is None:
            return None
        keys = await self._store.signing_keys(project)
        secrets = await self._store.project_secrets(project)
        origins = project.site_origins | {SiteUrl.parse(project.site_url, field="site_url").origin}
        return KnownProject(project, keys, secrets, origins)
