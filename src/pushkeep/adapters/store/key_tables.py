"""The tables of the keys that everything is sealed and hashed with."""

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
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from pushkeep.adapters.store.schema_base import Id, metadata

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
    Column("id", Id, primary_key=True, autoincrement=True),
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
    Column("sealing_key_id", Id, ForeignKey("sealing_keys.id"), primary_key=True),
    Column("master_key_id", LargeBinary(4), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("wrapped_at", Double, nullable=False),
    sqlite_with_rowid=False,
)
"""Each of those keys sealed by the master key; by the old and the new one while the master key changes."""
