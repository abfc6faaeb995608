"""The schema is a contract: what the migrations make is what the code believes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, text

from pushkeep.adapters.store import migrations
from pushkeep.adapters.store.migrate import MIGRATIONS_DIR, current_revision, migrate, migrate_down
from pushkeep.adapters.store.rows import AnyRow
from pushkeep.adapters.store.sqlite import _engine
from pushkeep.adapters.store.tables import metadata


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = _engine(":memory:", "BEGIN IMMEDIATE", 1)
    yield engine
    engine.dispose()


def schema(connection: Connection) -> dict[str, list[str]]:
    """Every table and index as SQLite keeps it; the order of a table's parts means nothing."""
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")).all()
    return {name: parts(sql) for name, sql in rows if not name.startswith(("alembic", "sqlite"))}


def parts(sql: str) -> list[str]:
    """What stands before and after the outer brackets, and the sorted columns and constraints between them."""
    head, _, rest = re.sub(r"\s+", " ", sql).partition("(")
    inner, _, tail = rest.rpartition(")")
    found, depth = [""], 0
    for character in inner:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [head.strip(), *sorted(part.strip() for part in found), tail.strip()]


def test_migrated_is_what_the_code_believes(engine: Engine) -> None:
    with engine.begin() as connection:
        migrate(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        migrated = schema(connection)
    fresh = create_engine("sqlite://")
    with fresh.begin() as connection:
        metadata.create_all(connection)
        created = schema(connection)
    assert migrated == created


def test_up_down_and_up_again(engine: Engine) -> None:
    with engine.begin() as connection:
        migrate(connection)
        first = schema(connection)
        assert current_revision(connection) == migrations.HEAD
    with engine.begin() as connection:
        migrate_down(connection, "base")
        assert schema(connection) == {}
        assert current_revision(connection) is None
    with engine.begin() as connection:
        migrate(connection)
        assert schema(connection) == first


def fill(connection: Connection, table: str, **values: object) -> None:
    """A row; what is not given and must not be null is 1, or one octet of it."""
    columns = {column["name"]: column for column in inspect(connection).get_columns(table)}
    needed = {name for name, column in columns.items() if not column["nullable"] and column["default"] is None}
    row = dict.fromkeys(needed - {"id"}, 1) | values
    names = ", ".join(row)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({', '.join(':' + name for name in row)})"), row)


def test_a_database_of_the_version_before_keeps_its_subscriptions_up_and_down(engine: Engine) -> None:
    with engine.begin() as connection:
        migrate(connection, "0002")
        fill(connection, "projects")
        fill(connection, "signing_keys", state="active")
        fill(connection, "contacts")
        new = {"state": "active", "sealed": b"sealed"}
        for number, origin in enumerate(["https://one.example", "https://two.example", "https://one.example"]):
            named = {"public_id": f"{number:032x}", "short_id": f"{number:08}", "endpoint_hash": bytes([number])}
            fill(connection, "subscriptions", contact_id=1, origin=origin, vendor="unknown", **named, **new)
        connection.execute(text("UPDATE subscriptions SET state = 'superseded', superseded_by = 3 WHERE id = 1"))
        connection.execute(text("UPDATE subscriptions SET consecutive_failures = 2 WHERE id = 2"))
        before = connection.execute(text("SELECT * FROM subscriptions")).all()
    for _ in range(2):
        with engine.begin() as connection:
            migrate(connection)
            _kept_and_brought_into_the_states_of_today(connection, before)
            services = connection.execute(text("SELECT origin, vendor FROM push_services ORDER BY origin")).all()
            assert services == [("https://one.example", "unknown"), ("https://two.example", "unknown")]
            _use_every_table(connection)
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        with engine.begin() as connection:
            migrate_down(connection, "0002")
            assert connection.execute(text("SELECT * FROM subscriptions")).all() == before
            assert "shards" not in inspect(connection).get_table_names()
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []


def _kept_and_brought_into_the_states_of_today(connection: Connection, before: Sequence[AnyRow]) -> None:
    after = connection.execute(text("SELECT * FROM subscriptions")).all()
    changed = {"state", "end_reason"}
    for old, new in zip(before, after, strict=True):
        there = dict(new._mapping)
        assert there == there | {name: value for name, value in old._mapping.items() if name not in changed}
        assert (there["abilities"], there["sync_sequence"], there["probes"]) == ("", 0, 0)
        assert there["owner_since"] == there["created_at"]
    states = [(row.state, row.ended_at, row.state_reason) for row in after]
    assert states == [
        ("superseded", 1.0, None),
        ("failing", None, '{"cause":"failed","at":1.0}'),
        ("active", None, None),
    ]


def _use_every_table(connection: Connection) -> None:
    fill(connection, "tags")
    fill(connection, "contact_tags")
    fill(connection, "notifications", tag_id=1)
    fill(connection, "notifications", public_id=2, retry_of=1)
    fill(connection, "shards")
    about = ("recipient_outcomes", "receipts", "receipt_totals", "lifecycle", "lifecycle_days", "chores")
    fill(connection, "purposes")
    fill(connection, "sealing_keys", kind="data")
    new = ("wordings", "consents", "consent_seals", "consent_states", "imports", "key_wraps")
    for table in (*about, "origin_rests", "circuits", "workers", *new):
        fill(connection, table)
    assert all(
        connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
        for name in metadata.tables
        if name not in ("installation", "api_keys")
    )


def test_going_back_leaves_no_word_that_the_code_before_does_not_know(engine: Engine) -> None:
    reasons = {
        "quarantined": '{"cause":"quarantined","at":5.0,"verdict":"suspect"}',
        "needs_renewal": '{"cause":"key_retired","at":5.0}',
        "gone": '{"cause":"lost","at":5.0}',
        "superseded": '{"cause":"replaced","at":5.0}',
        "unsubscribed": '{"cause":"removed","at":5.0,"text":"spam"}',
    }
    with engine.begin() as connection:
        migrate(connection, "0004")
        fill(connection, "projects")
        fill(connection, "signing_keys", state="active")
        for number, (state, reason) in enumerate((*reasons.items(), ("gone", '{"cause":"expired","at":5.0}'))):
            named = {"public_id": f"{number:032x}", "short_id": f"{number:08}", "endpoint_hash": bytes([number])}
            rest = {"state": state, "state_reason": reason, "suspect_days": "1 2 3"}
            fill(connection, "subscriptions", **named, **rest)
        fill(connection, "notifications")
        fill(connection, "shards", count=9, settled=9, skipped_ended=1, skipped_quarantined=5, skipped_renewal=3)
        for number, kind in enumerate(("skipped_quarantined", "skipped_renewal", "gone"), 1):
            fill(connection, "recipient_outcomes", subscription_id=number, kind=kind)
    with engine.begin() as connection:
        migrate_down(connection, "0003")
        rows = connection.execute(text("SELECT state, suspect_days, end_reason FROM subscriptions ORDER BY id")).all()
        shard = connection.execute(text("SELECT skipped_ended, skipped_key, settled FROM shards")).one()
        kinds = connection.execute(text("SELECT kind FROM recipient_outcomes ORDER BY subscription_id")).scalars().all()
    assert rows == [
        ("active", "", None),
        ("active", "1 2 3", None),
        ("gone", "1 2 3", '{"cause":"said_gone","at":5.0}'),
        ("superseded", "1 2 3", '{"cause":"replaced","at":5.0}'),
        ("unsubscribed", "1 2 3", '{"cause":"removed","at":5.0,"text":"spam"}'),
        ("gone", "1 2 3", '{"cause":"said_gone","at":5.0}'),
    ]
    assert shard == (6, 3, 9)
    assert kinds == ["skipped_ended", "skipped_key", "gone"]


def test_migrating_twice_does_nothing(engine: Engine) -> None:
    for _ in range(2):
        with engine.begin() as connection:
            migrate(connection)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar_one() == 1


def test_a_migration_that_fails_leaves_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE subscriptions (mine TEXT)"))
    with pytest.raises(Exception, match="already exists"), engine.begin() as connection:
        migrate(connection)
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == ["subscriptions"]


def test_the_newest_revision_is_the_one_named() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR))
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.HEAD]


def test_every_table_belongs_to_a_project() -> None:
    apart = {"installation", "sealing_keys", "key_wraps", "projects"}
    apart |= {"origin_rests", "circuits", "workers"}  # which are not about people
    for name, table in metadata.tables.items():
        if name not in apart:
            assert "project_id" in table.c, name
            assert not table.c.project_id.nullable, name


def test_ids_count_up_for_ever(engine: Engine) -> None:
    with engine.begin() as connection:
        migrate(connection)
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")).all()
    statements = {row.name: row.sql for row in rows}
    for name, table in metadata.tables.items():
        if "id" in table.c and name != "installation":
            assert "AUTOINCREMENT" in statements[name], name
            assert table.c.id.primary_key


def test_an_endpoint_is_unique_for_a_project_and_key(engine: Engine) -> None:
    with engine.begin() as connection:
        migrate(connection)
        unique = {tuple(item["column_names"]) for item in inspect(connection).get_unique_constraints("subscriptions")}
    assert ("project_id", "endpoint_hash", "signing_key_id") in unique
    assert ("project_id", "short_id") in unique


def test_the_library_of_the_machine_is_new_enough() -> None:
    assert sqlite3.sqlite_version_info >= (3, 35), "RETURNING"


def test_migrations_lie_in_the_package() -> None:
    assert (Path(MIGRATIONS_DIR) / "env.py").is_file()
