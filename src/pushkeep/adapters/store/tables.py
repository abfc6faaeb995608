"""The schema, in terms that SQLite and PostgreSQL share.

Times are epoch seconds as the clock port gives them. Every table that belongs to a project says so. Ids that others
refer to are never reused: SQLite would hand a deleted highest rowid to the next row, and a message still on its way
to the old one would reach a stranger.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Id = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up only an INTEGER PRIMARY KEY

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("master_key_id", LargeBinary(4), nullable=False),
    Column("lookup_key", LargeBinary, nullable=False),  # sealed by the master key
    Column("created_at", Double, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)
"""What the whole database shares: one row."""

projects = Table(
    "projects",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("public_id", Uuid, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("site_url", Text, nullable=False),
    Column("contact", Text, nullable=False),
    Column("publishable_key", String(32), nullable=False, unique=True),
    Column("identity_secret", LargeBinary, nullable=False),  # sealed
    Column("sync_secret", LargeBinary, nullable=False),  # sealed
    Column("created_at", Double, nullable=False),
    sqlite_autoincrement=True,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False, index=True),
    Column("key_id", String(12), nullable=False, unique=True),
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256 of the whole key
    Column("label", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    sqlite_autoincrement=True,
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("key_id", String(12), nullable=False),
    Column("public_key", LargeBinary(65), nullable=False),
    Column("private_key", LargeBinary, nullable=False),  # PKCS#8 PEM, sealed
    Column("state", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("project_id", "key_id"),
    Index(
        "uq_signing_keys_active",
        "project_id",
        unique=True,
        sqlite_where=text("state = 'active'"),
        postgresql_where=text("state = 'active'"),
    ),
    sqlite_autoincrement=True,
)

contacts = Table(
    "contacts",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("external_id", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("project_id", "external_id"),
    sqlite_autoincrement=True,
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("public_id", Uuid, nullable=False, unique=True),
    Column("short_id", String(8), nullable=False),
    Column("contact_id", _Id, ForeignKey("contacts.id")),
    Column("signing_key_id", _Id, ForeignKey("signing_keys.id"), nullable=False),
    Column("origin", Text, nullable=False),
    Column("vendor", String(16), nullable=False),
    Column("endpoint_hash", LargeBinary(16), nullable=False),  # keyed: says nothing without the lookup key
    Column("keys_hash", LargeBinary(16), nullable=False),
    Column("sealed", LargeBinary),  # endpoint, p256dh, auth; erased when the subscription ends
    Column("state", String(16), nullable=False),
    Column("end_reason", Text),  # JSON
    Column("superseded_by", _Id, ForeignKey("subscriptions.id")),
    Column("created_at", Double, nullable=False),
    Column("last_seen_at", Double, nullable=False),
    Column("last_accepted_at", Double),
    Column("consecutive_failures", Integer, nullable=False, server_default=text("0")),
    Column("suspect_days", Text, nullable=False, server_default=text("''")),  # epoch days, separated by blanks
    Column("version", Integer, nullable=False, server_default=text("1")),
    UniqueConstraint("project_id", "endpoint_hash", "signing_key_id"),
    UniqueConstraint("project_id", "short_id"),
    Index("ix_subscriptions_project", "project_id", "id"),
    Index("ix_subscriptions_state", "project_id", "state", "id"),
    Index("ix_subscriptions_contact", "contact_id", "state"),
    sqlite_autoincrement=True,
)
