"""A new database gets its tables at once: those that the migrations make, which are run once for the whole session.

Alembic takes a fifth of a second for what thousands of tests begin with. The migrations have their own tests, and every
process that a test starts runs them.
"""

from __future__ import annotations

import functools

from sqlalchemy import Connection

from pushkeep.adapters.store import migrations, sqlite
from pushkeep.adapters.store.migrate import current_revision, migrate


@functools.cache
def statements() -> tuple[str, ...]:
    """What makes a database as the migrations make it, in the same order."""
    engine = sqlite._engine(":memory:", "BEGIN IMMEDIATE", 1)
    with engine.begin() as connection:
        migrate(connection)
        schema = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
        made = [row[0] for row in connection.exec_driver_sql(schema)]
        raw = connection.connection.driver_connection
        assert raw is not None
        made += [line for line in raw.iterdump() if line.startswith("INSERT INTO")]
    engine.dispose()
    return tuple(made)


def migrate_at_once(connection: Connection, revision: str = migrations.HEAD) -> None:
    """As :func:`migrate`, for a store that is opened."""
    if revision != migrations.HEAD or current_revision(connection) is not None:
        migrate(connection, revision)
        return
    for statement in statements():
        connection.exec_driver_sql(statement)


def install() -> None:
    """From here on stores of this process are opened so."""
    sqlite.migrate = migrate_at_once  # type: ignore[attr-defined]
