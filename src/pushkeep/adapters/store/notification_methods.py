"""The store's methods on notifications."""

from __future__ import annotations

from pushkeep.adapters.store.base import StoreBase


class NotificationMethods(StoreBase):
    """:class:`pushkeep.ports.notifications.NotificationStore`."""
