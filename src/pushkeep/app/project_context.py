"""What the messages of one project have in common: contact, signing keys, the secret of its receipts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pushkeep.app.context import Services
from pushkeep.app.joined import Joined
from pushkeep.app.send import Sender
from pushkeep.domain.receipt import receipt_key
from pushkeep.domain.shard import CHECKPOINT_SECONDS
from pushkeep.errors import NotFound

PROJECTS_MAX = 100
"""Projects whose keys are held at a time."""


@dataclass(frozen=True, slots=True)
class ProjectContext:
    """A project as its messages need it.

    Attributes:
        project_id: internal number.
        senders: what signs and encrypts, by the signing key's number, in the order in which keys are tried.
        receipt_key: see :func:`pushkeep.domain.receipt.receipt_key`.
        loaded_at: monotonic seconds, before it was read.
        leaked: numbers of the keys among them that are in other hands.
    """

    project_id: int
    senders: Mapping[int, Sender]
    receipt_key: bytes = field(repr=False)
    loaded_at: float
    leaked: frozenset[int] = frozenset()


class ProjectContexts:
    """Reads them when they are older than a checkpoint, so that a key that is taken away is used no longer.

    Args:
        services: the ports.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: dict[int, ProjectContext] = {}
        self._reading: Joined[int, ProjectContext] = Joined()

    async def get(self, project_id: int) -> ProjectContext:
        """The context of a project, no older than a checkpoint.

        Raises:
            NotFound: there is no such project.
            Unavailable: the store does not answer.
        """
        known = self._known.get(project_id)
        if known is not None and self._services.clock.monotonic() - known.loaded_at <= CHECKPOINT_SECONDS / 2:
            return known
        return await self._reading.read(project_id, lambda: self._read(project_id))

    async def read_again(self, project_id: int) -> ProjectContext:
        """The context as it is from now on: for who has met a key that is not in the one it has.

        Raises:
            NotFound, Unavailable: as :meth:`get`.
        """
        if project_id in self._reading:  # it may have looked before that key came into use
            await self._reading.read(project_id, lambda: self._read(project_id))
        return await self._reading.read(project_id, lambda: self._read(project_id))

    async def _read(self, project_id: int) -> ProjectContext:
        services = self._services
        loaded_at = services.clock.monotonic()
        project = await services.store.project_by_id(project_id)
        if project is None:
            raise NotFound("The project of a notification is not there any more.")
        keys = await services.store.signing_keys(project)
        secrets = await services.store.project_secrets(project)
        senders = {
            key.id: Sender(key.key, project.contact, services.tokens, services.clock, services.entropy) for key in keys
        }
        if len(self._known) >= PROJECTS_MAX:
            self._known.clear()
        leaked = frozenset(key.id for key in keys if key.leaked_at is not None)
        found = ProjectContext(project_id, senders, receipt_key(secrets.sync), loaded_at, leaked)
        self._known[project_id] = found
        return found
