"""The schema, in terms that SQLite and PostgreSQL share.

Times are epoch seconds as the clock port gives them. Every table that belongs to a project says so. Ids that others
refer to are never reused: SQLite would hand a deleted highest rowid to the next row, and a message still on its way
to the old one would reach a stranger.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from pushkeep.adapters.store.consent_tables import consent_seals, consent_states, consents, imports, purposes, wordings
from pushkeep.adapters.store.key_tables import installation, key_wraps, sealing_keys
from pushkeep.adapters.store.schema_base import Id, metadata
from pushkeep.adapters.store.work_tables import (
    circuits,
    notifications,
    origin_rests,
    receipt_totals,
    receipts,
    recipient_outcomes,
    shards,
    workers,
)

__all__ = [
    "api_keys",
    "chores",
    "circuits",
    "consent_seals",
    "consent_states",
    "consents",
    "contact_tags",
    "contacts",
    "imports",
    "installation",
    "key_wraps",
    "lifecycle",
    "lifecycle_days",
    "metadata",
    "notifications",
    "origin_rests",
    "projects",
    "purposes",
    "push_services",
    "receipt_totals",
    "receipts",
    "recipient_outcomes",
    "sealing_keys",
    "shards",
    "signing_keys",
    "subscriptions",
    "tags",
    "wordings",
    "workers",
]

_BY_KEY = ("project_id", "signing_key_id", "state", "ended_at")

projects = Table(
    "projects",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("public_id", Uuid, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("site_url", Text, nullable=False),
    Column("contact", Text, nullable=False),
    Column("publishable_key", String(32), nullable=False, unique=True),
    Column("identity_secret", LargeBinary, nullable=False),  # sealed
    Column("sync_secret", LargeBinary, nullable=False),  # sealed
    Column("created_at", Double, nullable=False),
    Column("site_origins", Text, nullable=False, server_default=text("''")),  # separated by blanks
    sqlite_autoincrement=True,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False, index=True),
    Column("key_id", String(12), nullable=False, unique=True),
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256 of the whole key
    Column("label", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    sqlite_autoincrement=True,
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("key_id", String(12), nullable=False),
    Column("public_key", LargeBinary(65), nullable=False),
    Column("private_key", LargeBinary, nullable=False),  # PKCS#8 PEM, sealed; nothing once it is retired
    Column("state", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("activated_at", Double),
    Column("retiring_at", Double),
    Column("retired_at", Double),
    Column("leaked_at", Double),
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
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("external_id", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("project_id", "external_id"),
    sqlite_autoincrement=True,
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("public_id", Uuid, nullable=False, unique=True),
    Column("short_id", String(8), nullable=False),
    Column("contact_id", Id, ForeignKey("contacts.id")),
    Column("signing_key_id", Id, ForeignKey("signing_keys.id"), nullable=False),
    Column("origin", Text, nullable=False),
    Column("vendor", String(16), nullable=False),
    Column("endpoint_hash", LargeBinary(16), nullable=False),  # keyed: says nothing without the lookup key
    Column("keys_hash", LargeBinary(16), nullable=False),
    Column("sealed", LargeBinary),  # endpoint, p256dh, auth; erased when the subscription ends
    Column("state", String(16), nullable=False),
    Column("state_reason", Text),  # JSON; nothing while it is active
    Column("superseded_by", Id, ForeignKey("subscriptions.id")),
    Column("created_at", Double, nullable=False),
    Column("last_seen_at", Double, nullable=False),
    Column("last_accepted_at", Double),
    Column("consecutive_failures", Integer, nullable=False, server_default=text("0")),
    Column("suspect_days", Text, nullable=False, server_default=text("''")),  # epoch days, separated by blanks
    Column("abilities", Text, nullable=False, server_default=text("''")),  # what its worker can do, e.g. deflate
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("ended_at", Double),  # nothing while it is living
    Column("last_displayed_at", Double),
    Column("last_verdict", String(24)),
    Column("last_verdict_at", Double),
    Column("owner_since", Double),
    Column("sync_sequence", BigInteger, nullable=False, server_default=text("0")),
    Column("probe_at", Double),
    Column("probes", Integer, nullable=False, server_default=text("0")),
    Column("lookup_key_id", Id, nullable=False, server_default=text("1")),  # of sealing_keys: it made both hashes
    UniqueConstraint("project_id", "endpoint_hash", "signing_key_id"),
    UniqueConstraint("project_id", "short_id"),
    Index("ix_subscriptions_project", "project_id", "id"),
    Index("ix_subscriptions_living", "project_id", "id", sqlite_where=text("ended_at IS NULL")),
    Index("ix_subscriptions_state", "project_id", "state", "id"),
    # With its end, which it has none, or SQLite would look that up in the row.
    Index("ix_subscriptions_key", *_BY_KEY, sqlite_where=text("ended_at IS NULL")),
    Index("ix_subscriptions_contact", "contact_id", "ended_at"),
    Index("ix_subscriptions_ended", "ended_at", sqlite_where=text("ended_at IS NOT NULL")),
    Index("ix_subscriptions_successor", "superseded_by", sqlite_where=text("superseded_by IS NOT NULL")),
    sqlite_autoincrement=True,
)

lifecycle = Table(
    "lifecycle",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("subscription_id", Id, ForeignKey("subscriptions.id"), nullable=False),
    Column("at", Double, nullable=False),
    Column("event", String(24), nullable=False),
    Column("state_before", String(16)),
    Column("state", String(16), nullable=False),
    Column("evidence", Text, nullable=False),  # JSON
    Index("ix_lifecycle_subscription", "subscription_id", "id"),
    sqlite_autoincrement=True,
)
"""What happened to each subscription: rows are added, never changed, and go with their subscription."""

lifecycle_days = Table(
    "lifecycle_days",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id"), primary_key=True),
    Column("day", Integer, primary_key=True),  # since the epoch, UTC
    Column("signing_key_id", Id, ForeignKey("signing_keys.id"), primary_key=True),
    Column("event", String(24), primary_key=True),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How many entries of each kind ``lifecycle`` has got on each day: what is purged stays counted."""

chores = Table(
    "chores",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id"), primary_key=True),
    Column("name", String(24), primary_key=True),
    Column("due_at", Double, nullable=False),
    Column("lease_owner", Text),
    Column("lease_expires_at", Double),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("result", Text),  # JSON
    sqlite_with_rowid=False,
)
"""What is done regularly, by one process at a time, and how it went the last time."""

tags = Table(
    "tags",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

contact_tags = Table(
    "contact_tags",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("contact_id", Id, ForeignKey("contacts.id"), primary_key=True),
    Column("tag_id", Id, ForeignKey("tags.id"), primary_key=True),
    Index("ix_contact_tags_tag", "tag_id", "contact_id"),
    sqlite_with_rowid=False,
)

push_services = Table(
    "push_services",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id"), primary_key=True),
    Column("origin", Text, primary_key=True),
    Column("vendor", String(16), nullable=False),
    sqlite_with_rowid=False,
)
"""Every push service that a project has had a subscription at: whose limits a message to everybody must keep."""
