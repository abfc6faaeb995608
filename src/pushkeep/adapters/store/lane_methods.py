"""The store's methods on what workers share."""

from __future__ import annotations

from pushkeep.adapters.store.base import StoreBase


class LaneMethods(StoreBase):
    """:class:`pushkeep.ports.lanes.LaneStore`."""
