"""The store's method that hands out everything."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pushkeep.adapters.store import export_units
from pushkeep.adapters.store.base import StoreBase
from pushkeep.domain.moving import MovedRecord
from pushkeep.domain.project import Project


class ExportMethods(StoreBase):
    """:class:`pushkeep.ports.moving.ExportStore`."""

    async def export_records(self, project: Project, take: Callable[[MovedRecord], None], *, secrets: bool) -> None:
        """See the port."""
        await self._read(partial(export_units.export, vault=self._vault, project=project, take=take, secrets=secrets))
