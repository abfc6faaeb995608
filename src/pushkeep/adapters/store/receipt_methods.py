"""The store's methods on receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from pushkeep.adapters.store import receipt_units
from pushkeep.adapters.store.base import StoreBase
from pushkeep.domain.project import Project
from pushkeep.domain.receipt import Receipt


class ReceiptMethods(StoreBase):
    """:class:`pushkeep.ports.audiences.ReceiptStore`."""

    async def add_receipts(self, project: Project, receipts: Sequence[Receipt]) -> Mapping[str, int]:
        """See the port."""
        return await self._write(partial(receipt_units.add, project=project, receipts=receipts))

    async def receipt_counts(self, project: Project, notification_id: int) -> Mapping[str, int]:
        """See the port."""
        return await self._read(partial(receipt_units.counts, project=project, notification_id=notification_id))
