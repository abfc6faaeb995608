"""Bringing a database to the schema of this version."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from pushkeep.adapters.store import migrations
from pushkeep.errors import ConfigurationError

MIGRATIONS_DIR = Path(migrations.__file__).parent


def current_revision(connection: Connection) -> str | None:
    """Where the schema stands; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def migrate(connection: Connection, revision: str = migrations.HEAD) -> None:
    """Upgrade inside the caller's transaction, which must already hold the database's write lock.

    Whoever comes second finds the work done: the revision is read again under the lock.

    Raises:
        ConfigurationError: the database was written by a newer Pushkeep.
    """
    found = current_revision(connection)
    if found == revision:
        return
    # Alembic takes a fifth of a second to import: only those who need it pay.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR).replace("%", "%%"))
    config.attributes["connection"] = connection
    if found is not None:
        try:
            ScriptDirectory.from_config(config).get_revision(found)
        except CommandError:
            raise ConfigurationError(
                f"The database has schema {found}, which this version of Pushkeep does not know; install the version "
                f"that wrote it, or a newer one.",
                field="database_path",
            ) from None
    command.upgrade(config, revision)


def migrate_down(connection: Connection, revision: str) -> None:
    """Downgrade to a revision, or to nothing with ``base``, inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.downgrade(config, revision)
