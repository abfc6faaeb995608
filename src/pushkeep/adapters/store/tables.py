"""The schema, in terms that SQLite and PostgreSQL share.

Times are epoch seconds as the clock port gives them. Every table that belongs to a project says so. Ids that others
refer to are never reused: SQLite would hand a deleted highest rowid to the next row, and a message still on its way
to the old one would reach a stranger.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
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

from pushkeep.domain.shard import Kind

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_BY_KEY = ("project_id", "signing_key_id", "state", "ended_at")
_Id = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up only an INTEGER PRIMARY KEY

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("keys_version", BigInteger, nullable=False, server_default=text("0")),  # rises with each change of a key
    Column("erasures_applied", BigInteger, nullable=False, server_default=text("0")),  # of the list outside
    Column("next_master_key_id", LargeBinary(4)),  # while the master key changes: to which
    CheckConstraint("id = 1", name="one_row"),
)
"""What the whole database shares: one row."""

sealing_keys = Table(
    "sealing_keys",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("kind", String(8), nullable=False),  # data: seals; lookup: hashes endpoints; erasure: the list outside
    Column("key_id", LargeBinary(4), nullable=False),
    Column("state", String(8), nullable=False),  # active, or retiring while something is still made with it
    Column("created_at", Double, nullable=False),
    Column("retiring_at", Double),
    Column("cursor", Text, nullable=False, server_default=text("''")),  # how far what it made is made anew
    UniqueConstraint("kind", "key_id"),
    Index("uq_sealing_keys_active", "kind", unique=True, sqlite_where=text("state = 'active'")),
    sqlite_autoincrement=True,
)
"""The keys that everything is sealed and hashed with; none stands here in the clear."""

key_wraps = Table(
    "key_wraps",
    metadata,
    Column("sealing_key_id", _Id, ForeignKey("sealing_keys.id"), primary_key=True),
    Column("master_key_id", LargeBinary(4), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("wrapped_at", Double, nullable=False),
    sqlite_with_rowid=False,
)
"""Each of those keys sealed by the master key; by the old and the new one while the master key changes."""

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
    Column("site_origins", Text, nullable=False, server_default=text("''")),  # separated by blanks
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
    Column("state_reason", Text),  # JSON; nothing while it is active
    Column("superseded_by", _Id, ForeignKey("subscriptions.id")),
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
    Column("lookup_key_id", _Id, nullable=False, server_default=text("1")),  # of sealing_keys: it made both hashes
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
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("subscription_id", _Id, ForeignKey("subscriptions.id"), nullable=False),
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
    Column("project_id", _Id, ForeignKey("projects.id"), primary_key=True),
    Column("day", Integer, primary_key=True),  # since the epoch, UTC
    Column("signing_key_id", _Id, ForeignKey("signing_keys.id"), primary_key=True),
    Column("event", String(24), primary_key=True),
    Column("count", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How many entries of each kind ``lifecycle`` has got on each day: what is purged stays counted."""

chores = Table(
    "chores",
    metadata,
    Column("project_id", _Id, ForeignKey("projects.id"), primary_key=True),
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

purposes = Table(
    "purposes",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("name", String(40), nullable=False),
    Column("description", Text, nullable=False),
    Column("basis", String(24), nullable=False),  # consent, contract, legitimate_interest, legal_obligation
    Column("created_at", Double, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)
"""What a project sends for, and on what legal basis."""

wordings = Table(
    "wordings",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("purpose_id", _Id, ForeignKey("purposes.id"), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256 of all of it
    Column("locale", String(35), nullable=False),
    Column("version", String(40), nullable=False),
    Column("policy_version", String(40), nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("project_id", "digest"),
    UniqueConstraint("purpose_id", "locale", "version"),
    sqlite_autoincrement=True,
)
"""What visitors were or are asked, word for word; never changed."""

consents = Table(
    "consents",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("number", BigInteger, nullable=False),  # from 1, without a gap, in each project
    Column("commitment", LargeBinary(32), nullable=False),
    Column("erased_at", Double),
    Column("over_at", Double),  # since when nothing rests on it: kept as proof for a while
    # All below is gone once it is erased.
    Column("subscription_id", _Id),
    Column("contact_id", _Id),
    Column("purpose_id", _Id, ForeignKey("purposes.id")),
    Column("given", Boolean),
    Column("at", Double),
    Column("content", LargeBinary),  # sealed: salt, then JSON
    UniqueConstraint("project_id", "number"),
    Index("ix_consents_subscription", "subscription_id", sqlite_where=text("subscription_id IS NOT NULL")),
    Index("ix_consents_contact", "contact_id", sqlite_where=text("contact_id IS NOT NULL")),
    sqlite_autoincrement=True,
)
"""Who agreed to what, and who withdrew it: rows are added, and never changed but to erase what they say."""

consent_seals = Table(
    "consent_seals",
    metadata,
    Column("project_id", _Id, ForeignKey("projects.id"), primary_key=True),
    Column("number", BigInteger, primary_key=True),  # from 1, without a gap
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("previous", LargeBinary(32), nullable=False),
    Column("head", LargeBinary(32), nullable=False),
    Column("sealed_at", Double, nullable=False),
    sqlite_with_rowid=False,
)
"""The chain over the commitments: each link seals a batch, and the link before it."""

consent_states = Table(
    "consent_states",
    metadata,
    Column("subject", String(1), primary_key=True),  # s: a subscription, c: a contact
    Column("subject_id", _Id, primary_key=True),
    Column("purpose_id", _Id, ForeignKey("purposes.id"), primary_key=True),
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("given", Boolean, nullable=False),
    Column("number", BigInteger, nullable=False),  # of the record it follows from: the later word counts
    Column("contact_id", _Id),  # whose the browser was when it was said
    Index("ix_consent_states_purpose", "purpose_id", "given"),
    sqlite_with_rowid=False,
)
"""What holds now of each subject's word: what a send asks."""

imports = Table(
    "imports",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),  # of the file and of what was asked
    Column("format", String(24), nullable=False),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("position", BigInteger, nullable=False, server_default=text("0")),  # records that are done
    Column("counts", Text, nullable=False),  # JSON
    UniqueConstraint("project_id", "digest"),
    sqlite_autoincrement=True,
)
"""How far each import has come: written in the transaction of what it brought."""

tags = Table(
    "tags",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

contact_tags = Table(
    "contact_tags",
    metadata,
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("contact_id", _Id, ForeignKey("contacts.id"), primary_key=True),
    Column("tag_id", _Id, ForeignKey("tags.id"), primary_key=True),
    Index("ix_contact_tags_tag", "tag_id", "contact_id"),
    sqlite_with_rowid=False,
)

push_services = Table(
    "push_services",
    metadata,
    Column("project_id", _Id, ForeignKey("projects.id"), primary_key=True),
    Column("origin", Text, primary_key=True),
    Column("vendor", String(16), nullable=False),
    sqlite_with_rowid=False,
)
"""Every push service that a project has had a subscription at: whose limits a message to everybody must keep."""

notifications = Table(
    "notifications",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("public_id", Uuid, nullable=False, unique=True),
    Column("token_offset", Integer),
    Column("compress", Boolean, nullable=False),
    Column("ttl", BigInteger, nullable=False),
    Column("urgency", String(16)),
    Column("topic", String(32)),
    Column("priority", Integer, nullable=False),
    Column("target_kind", String(16), nullable=False),
    Column("tag_id", _Id, ForeignKey("tags.id")),  # of an audience by tag
    Column("retry_of", _Id, ForeignKey("notifications.id")),
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
    Column("purpose_id", _Id),  # of purposes; nothing: told without asking for consent
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
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("notification_id", _Id, ForeignKey("notifications.id"), nullable=False),
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
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("notification_id", _Id, ForeignKey("notifications.id"), primary_key=True),
    Column("subscription_id", _Id, primary_key=True),
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
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("notification_id", _Id, ForeignKey("notifications.id"), primary_key=True),
    Column("subscription_id", _Id, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("at", Double, nullable=False),
    sqlite_with_rowid=False,
)

receipt_totals = Table(
    "receipt_totals",
    metadata,
    Column("project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("notification_id", _Id, ForeignKey("notifications.id"), primary_key=True),
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
    Column("signing_key_id", _Id, ForeignKey("signing_keys.id"), primary_key=True),
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
