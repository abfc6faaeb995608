"""The tests' way to a new database leads to the one that the migrations make."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from pushkeep.adapters.store.migrate import check_migrated, migrate
from pushkeep.adapters.store.sqlite import _engine
from tests.migrated import migrate_at_once


def made(by: Callable[[Connection], None]) -> list[object]:
    """All that is there, in its order: by that, too, SQLite chooses its plans."""
    engine = _engine(":memory:", "BEGIN IMMEDIATE", 1)
    with engine.begin() as connection:
        by(connection)
        check_migrated(connection)
        found = [
            tuple(row) for row in connection.exec_driver_sql("SELECT type, name, tbl_name, sql FROM sqlite_master")
        ]
        raw = connection.connection.driver_connection
        assert raw is not None
        rows = [line for line in raw.iterdump() if line.startswith("INSERT INTO")]
    engine.dispose()
    return [*found, *rows]


def test_it_is_the_same_database() -> None:
    assert made(migrate_at_once) == made(migrate)
