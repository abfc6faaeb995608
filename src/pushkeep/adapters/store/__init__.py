"""Where everything is kept: SQLite now; the same tables and units of work serve other databases."""

from pushkeep.adapters.store.sqlite import SqliteStore, open_store, open_store_inline

__all__ = ["SqliteStore", "open_store", "open_store_inline"]
