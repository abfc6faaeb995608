"""Bringing a database to the schema of this version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from pushkeep.adapters.store import migrations
from pushkeep.errors import ConfigurationError

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS_DIR = Path(migrations.__file__).parent


class MigrationPending(ConfigurationError):
    """The database has an older schema than this version of Pushkeep works with."""


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
    from alembic import command

    config = _config(connection)
    _check_known(config, found)
    command.upgrade(config, revision)


def check_migrated(connection: Connection) -> None:
    """Look whether the schema is this version's, and change nothing.

    Raises:
        MigrationPending: the next start of a server or of another command brings it up to date.
        ConfigurationError: the database was written by a newer Pushkeep.
    """
    found = current_revision(connection)
    if found == migrations.HEAD:
        return
    _check_known(_config(connection), found)
    raise MigrationPending(
        f"The database has schema {found or 'none'}, and this version of Pushkeep works with {migrations.HEAD}.",
        field="database_path",
    )


def migrate_down(connection: Connection, revision: str) -> None:
    """Downgrade to a revision, or to nothing with ``base``, inside the caller's transaction."""
    from alembic import command

    command.downgrade(_config(connection), revision)


def _config(connection: Connection) -> Config:
    # Alembic takes a fifth of a second to import: only those who need it pay.
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _check_known(config: Config, found: str | None) -> None:
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    if found is None:
        return
    try:
        ScriptDirectory.from_config(config).get_revision(found)
    except CommandError:
        raise ConfigurationError(
            f"The database has schema {found}, which this version of Pushkeep does not know; install the version "
            f"that wrote it, or a newer one.",
            field="database_path",
        ) from None
