"""What every request of a browser needs to know of its project, remembered for a moment.

Visitors confirm their subscriptions with every page they load. Project, signing keys and secrets are the same for all
of them, and asking the store each time would cost several times what is to be done.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from pushkeep.app.joined import Joined
from pushkeep.domain.project import Project, ProjectSigningKey, is_publishable_key
from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import NotFound
from pushkeep.ports import Clock, ProjectSecrets, Store

REMEMBERED_SECONDS = 0.5
"""How late it may be seen here that another process has changed something: a key that it rotated, an origin."""

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
        changes: of projects by this process, when this was read.
        read_at: monotonic seconds, before it was read.
    """

    project: Project
    keys: tuple[ProjectSigningKey, ...]
    secrets: ProjectSecrets = field(repr=False)
    origins: frozenset[str]
    changes: int
    read_at: float


class KnownProjects:
    """Remembers projects by publishable key.

    What another process has changed is seen after :data:`REMEMBERED_SECONDS`, what this one has changed at once.

    Args:
        store: has them.
        clock: tells the time.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[str, KnownProject] = OrderedDict()
        self._reading: Joined[tuple[str, int], KnownProject | None] = Joined()

    def last_known(self, publishable_key: str) -> KnownProject | None:
        """What was read last of a project, however old: for who is not worth a question."""
        return self._known.get(publishable_key)

    async def find(self, publishable_key: str) -> KnownProject | None:
        """The project of a ``pk_…`` key; None for a wrong key.

        Raises:
            Unavailable: the store does not answer.
        """
        known = self._known.get(publishable_key)
        changes = self._store.project_changes
        if known is not None and known.changes == changes:
            if self._clock.monotonic() - known.read_at < REMEMBERED_SECONDS:
                return known
        elif not is_publishable_key(publishable_key):
            return None
        # Whoever joins has come after the last change, and so has the reading.
        return await self._reading.read((publishable_key, changes), lambda: self._read(publishable_key, changes))

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

    async def _read(self, publishable_key: str, changes: int) -> KnownProject | None:
        read_at = self._clock.monotonic()
        project = await self._store.project_by_publishable_key(publishable_key)
        if project is None:
            self._known.pop(publishable_key, None)
            return None
        keys = await self._store.signing_keys(project)
        secrets = await self._store.project_secrets(project)
        origins = project.site_origins | {SiteUrl.parse(project.site_url, field="site_url").origin}
        found = KnownProject(project, keys, secrets, origins, changes, read_at)
        self._known[publishable_key] = found
        self._known.move_to_end(publishable_key)
        while len(self._known) > PROJECTS_MAX:
            self._known.popitem(last=False)
        return found
