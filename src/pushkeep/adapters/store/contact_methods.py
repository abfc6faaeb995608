"""The store's methods on contacts and their tags."""

from __future__ import annotations

from pushkeep.adapters.store.base import StoreBase


class ContactMethods(StoreBase):
    """:class:`pushkeep.ports.audiences.ContactStore`."""
