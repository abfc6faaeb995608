"""The store's methods on projects."""

from __future__ import annotations

from functools import partial

from pushkeep.adapters.store import project_units
from pushkeep.adapters.store.base import Ground, StoreBase
from pushkeep.domain.project import ApiKeyRecord, NewProject, Project, ProjectSigningKey
from pushkeep.ports import ProjectSecrets


class ProjectMethods(StoreBase):
    """:class:`pushkeep.ports.ProjectStore`."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._keys: project_units.KeyCache = {}

    @property
    def project_changes(self) -> int:
        """See the port."""
        return self._project_changes

    async def ensure_project(self, new: NewProject) -> Project:
        """See the port."""
        return await self._change_project(partial(project_units.ensure_project, vault=self._vault, new=new))

    async def default_project(self) -> Project | None:
        """See the port."""
        return await self._read(project_units.default_project)

    async def project_by_id(self, id: int) -> Project | None:
        """See the port."""
        return await self._read(partial(project_units.project_by_id, id=id))

    async def project_by_publishable_key(self, key: str) -> Project | None:
        """See the port."""
        return await self._read(partial(project_units.project_by_publishable_key, key=key))

    async def add_api_key(self, project: Project, *, key_id: str, digest: bytes, label: str, now: float) -> None:
        """See the port."""
        await self._write(
            partial(
                project_units.add_api_key,
                project=project,
                key_id=key_id,
                digest=digest,
                label=label,
                now=now,
            )
        )

    async def api_key_digest(self, key_id: str) -> tuple[Project, bytes] | None:
        """See the port."""
        return await self._read(partial(project_units.api_key_digest, key_id=key_id))

    async def list_api_keys(self, project: Project) -> tuple[ApiKeyRecord, ...]:
        """See the port."""
        return await self._read(partial(project_units.list_api_keys, project=project))

    async def revoke_api_key(self, project: Project, key_id: str) -> bool:
        """See the port."""
        return await self._write(partial(project_units.revoke_api_key, project=project, key_id=key_id))

    async def signing_keys(self, project: Project) -> tuple[ProjectSigningKey, ...]:
        """See the port."""
        return await self._read(
            partial(project_units.load_signing_keys, vault=self._vault, cache=self._keys, project=project)
        )

    async def project_secrets(self, project: Project) -> ProjectSecrets:
        """See the port."""
        return await self._read(partial(project_units.project_secrets, vault=self._vault, project=project))
