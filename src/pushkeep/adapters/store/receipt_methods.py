"""The store's methods on receipts."""

from __future__ import annotations

from pushkeep.adapters.store.base import StoreBase


class ReceiptMethods(StoreBase):
    """:class:`pushkeep.ports.audiences.ReceiptStore`."""
