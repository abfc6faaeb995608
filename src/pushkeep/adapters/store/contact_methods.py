"""The store's methods on contacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import Connection

from pushkeep.adapters.store import contact_units
from pushkeep.adapters.store.base import StoreBase
from pushkeep.domain.project import Project
from pushkeep.ports.audiences import ContactRecord


class ContactMethods(StoreBase):
    """:class:`pushkeep.ports.ContactStore`."""

    async def put_contact(self, project: Project, external_id: str, tags: Sequence[str] | None) -> ContactRecord:
        """See the port. Sites say it at every login: what changes nothing never waits for the write lock."""
        unchanged = await self._read(
            partial(contact_units.unchanged, project=project, external_id=external_id, names=tags)
        )
        if unchanged is not None:
            return unchanged

        def unit(connection: Connection) -> ContactRecord:
            return contact_units.put(connection, project, external_id, tags, now=self._clock.now())

        return await self._write(unit)

    async def find_contact(self, project: Project, external_id: str) -> ContactRecord | None:
        """See the port."""
        return await self._read(partial(contact_units.find, project=project, external_id=external_id))

    async def tags(self, project: Project) -> Mapping[str, int]:
        """See the port."""
        return await self._read(partial(contact_units.counted_tags, project=project))
