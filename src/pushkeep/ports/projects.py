"""Projects and their keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from pushkeep.domain.project import ApiKeyRecord, NewProject, Project, ProjectSigningKey


@dataclass(frozen=True, slots=True)
class ProjectSecrets:
    """What a project signs and verifies tokens with.

    Attributes:
        identity: shared with the site's own server, which signs identity tokens.
        sync: never leaves Pushkeep; makes sync tokens.
    """

    identity: bytes = field(repr=False)
    sync: bytes = field(repr=False)


class ProjectStore(Protocol):
    """Keeps projects and their keys. Every method is one unit of work; it is kept or it did not happen."""

    @property
    def project_changes(self) -> int:
        """Rises with every change of a project, a signing key, or what visitors are asked, that was made through this
        store object, before whoever asked for it is told: for who remembers what was read."""
        ...

    async def ensure_project(self, new: NewProject) -> Project:
        """Return the first project with its settings brought to those of ``new``; create it where there is none.

        Two processes that start at once get the same one. The secrets of ``new`` are used only to create.
        """
        ...

    async def default_project(self) -> Project | None:
        """The first project as it is stored; None before the first start."""
        ...

    async def project_by_id(self, id: int) -> Project | None:
        """The project of an internal number."""
        ...

    async def project_by_publishable_key(self, key: str) -> Project | None:
        """The project of a ``pk_…`` key."""
        ...

    async def add_api_key(self, project: Project, *, key_id: str, digest: bytes, label: str, now: float) -> None:
        """Store an API key's digest under its id, which must be new."""
        ...

    async def api_key_digest(self, key_id: str) -> tuple[Project, bytes] | None:
        """The project and digest stored under an API key's id."""
        ...

    async def list_api_keys(self, project: Project) -> tuple[ApiKeyRecord, ...]:
        """Every API key of a project, oldest first."""
        ...

    async def revoke_api_key(self, project: Project, key_id: str) -> bool:
        """Forget an API key, which opens nothing from now on; False where the project has none of this id."""
        ...

    async def signing_keys(self, project: Project) -> tuple[ProjectSigningKey, ...]:
        """Every key whose subscriptions are still sent to, the active one first. There is always an active one."""
        ...

    async def project_secrets(self, project: Project) -> ProjectSecrets:
        """What the project's tokens are made with."""
        ...
