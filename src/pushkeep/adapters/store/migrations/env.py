"""Run by Alembic; the connection comes from :mod:`pushkeep.adapters.store.migrate`, inside a transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from pushkeep.adapters.store.tables import metadata

connection = context.config.attributes["connection"]
assert isinstance(connection, Connection)
# The whole way from one version to another is one transaction, also on SQLite, whose DDL can be rolled back.
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
