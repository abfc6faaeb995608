"""The store's methods on shards."""

from __future__ import annotations

from pushkeep.adapters.store.base import StoreBase


class ShardMethods(StoreBase):
    """:class:`pushkeep.ports.shards.ShardStore`."""
