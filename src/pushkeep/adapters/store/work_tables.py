"""The tables of notifications: what is sent, how far that is, and what became of it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
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

from pushkeep.adapters.store.schema_base import Id, metadata
from pushkeep.domain.shard import Kind

notifications = Table(
    "notifications",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("public_id", Uuid, nullable=False, unique=True),
    Column("token_offset", Integer),
    Column("compress", Boolean, nullable=False),
    Column("ttl", BigInteger, nullable=False),
    Column("urgency", String(16)),
    Column("topic", String(32)),
    Column("priority", Integer, nullable=False),
    Column("target_kind", String(16), nullable=False),
    Column("tag_id", Id, ForeignKey("tags.id")),  # of an audience by tag
    Column("retry_of", Id, ForeignKey("notifications.id")),
    Column("state", String(16), nullable=False),
    Column("paused_at", Double),
    Column("accepted_at", Double, nullable=False),
    Column("send_at", Double, nullable=False),
    Column("deadline", Double, nullable=False),
    Column("finished_at", Double),
    Column("high_water", BigInteger, nullable=False),  # the highest subscription id at acceptance
    Column("plan_cursor", BigInteger, nullable=False, server_default=text("0")),
    Column("keeps_outcomes", Boolean, nullable=False),
    Column("idempotency_key", Text),
    Column("request_hash", LargeBinary(16), nullable=False),
    Column("last_leased_at", Double, nullable=False, server_default=text("0")),
    # Long values stand last: what is in front of them is read without them.
    Column("content", LargeBinary, nullable=False),  # sealed: what was asked
    Column("payload", LargeBinary),  # sealed: what is encrypted for every recipient
    Column("purpose_id", Id),  # of purposes; nothing: told without asking for consent
    Column("erased_at", Double),  # since when content and payload are gone
    UniqueConstraint("project_id", "idempotency_key"),
    Index("ix_notifications_project", "project_id", "id"),
    Index("ix_notifications_tag", "tag_id", sqlite_where=text("tag_id IS NOT NULL")),
    Index("ix_notifications_retry", "retry_of", sqlite_where=text("retry_of IS NOT NULL")),
    # With all that sweeps ask of those that wait, or SQLite would look that up in each one's row.
    Index("ix_notifications_unfinished", "deadline", "state", "finished_at", sqlite_where=text("finished_at IS NULL")),
    Index("ix_notifications_begun", "send_at", sqlite_where=text("finished_at IS NULL")),
    sqlite_autoincrement=True,
)

shards = Table(
    "shards",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("notification_id", Id, ForeignKey("notifications.id"), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("origin", Text, nullable=False),
    Column("vendor", String(16), nullable=False),
    Column("page", Integer, nullable=False),  # of the plan; -1 in a follow-up
    Column("attempt", Integer, nullable=False, server_default=text("1")),
    Column("history", Text, nullable=False, server_default=text("''")),  # verdicts before, separated by blanks
    Column("bucket", BigInteger, nullable=False, server_default=text("0")),  # of a follow-up: when it is due
    Column("chunk", Integer, nullable=False, server_default=text("0")),
    Column("count", Integer, nullable=False),
    Column("settled", Integer, nullable=False, server_default=text("0")),  # how many of them are set, or were cut off
    Column("state", String(16), nullable=False),
    Column("not_before", Double, nullable=False),
    Column("epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("lease_owner", Text),
    Column("lease_expires_at", Double),
    Column("takeovers", Integer, nullable=False, server_default=text("0")),
    *(Column(kind.value, Integer, nullable=False, server_default=text("0")) for kind in Kind),
    # Long values stand last: counts are summed without reading 8 KB of members for each shard.
    Column("members", LargeBinary, nullable=False),  # subscription ids, 8 octets each
    Column("owners", LargeBinary, nullable=False),  # contact ids alike, or nothing
    Column("done", LargeBinary, nullable=False),  # a bit for each member
    UniqueConstraint("notification_id", "page", "origin", "attempt", "history", "bucket", "chunk"),
    Index(  # how much is due, read from the index alone: with its state, or SQLite would look that up in the row
        "ix_shards_ready",
        "priority",
        "not_before",
        "count",
        "settled",
        "state",
        sqlite_where=text("state = 'ready'"),
    ),
    Index(  # whose turn it is: the first shard of each notification at each push service is found without the others
        "ix_shards_turns",
        "priority",
        "notification_id",
        "origin",
        "not_before",
        sqlite_where=text("state = 'ready'"),
    ),
    Index("ix_shards_live", "notification_id", "state", sqlite_where=text("state <> 'closed'")),
    Index("ix_shards_leased", "lease_expires_at", sqlite_where=text("state = 'leased'")),
    sqlite_autoincrement=True,
)
"""The units of work. The totals of a notification are sums over these rows and nothing else."""

recipient_outcomes = Table(
    "recipient_outcomes",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("notification_id", Id, ForeignKey("notifications.id"), primary_key=True),
    Column("subscription_id", Id, primary_key=True),
    Column("kind", String(24), nullable=False),
    Column("action", String(24)),
    Column("status", Integer),
    Column("explanation", Text),  # JSON
    Column("retry_after", Double),
    Column("duration_ms", Double),
    Column("attempts", Integer, nullable=False),
    Column("at", Double, nullable=False),
    sqlite_with_rowid=False,
)
"""Of a small send everybody, of a large one only who was not accepted."""

receipts = Table(
    "receipts",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("notification_id", Id, ForeignKey("notifications.id"), primary_key=True),
    Column("subscription_id", Id, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("at", Double, nullable=False),
    sqlite_with_rowid=False,
)

receipt_totals = Table(
    "receipt_totals",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("notification_id", Id, ForeignKey("notifications.id"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How many rows ``receipts`` has of each: written in the same transaction, so that nobody counts a million of them."""

origin_rests = Table(
    "origin_rests",
    metadata,
    Column("origin", Text, primary_key=True),
    Column("until", Double, nullable=False),
)
"""Push services that asked for patience; for every worker. Not about people, and so without a project."""

circuits = Table(
    "circuits",
    metadata,
    Column("signing_key_id", Id, ForeignKey("signing_keys.id"), primary_key=True),
    Column("origin", Text, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("refusals", Integer, nullable=False),
    Column("probe_at", Double, nullable=False),
)
"""Where our tokens are refused; for every worker."""

workers = Table(
    "workers",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("stopping", Boolean, nullable=False),
    Column("figures", Text, nullable=False),  # JSON
)
"""Who is at work."""
