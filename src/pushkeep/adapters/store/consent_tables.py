"""The tables of consent, and of imports that bring it along."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from pushkeep.adapters.store.schema_base import Id, metadata

purposes = Table(
    "purposes",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
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
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("purpose_id", Id, ForeignKey("purposes.id"), nullable=False),
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
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("number", BigInteger, nullable=False),  # from 1, without a gap, in each project
    Column("commitment", LargeBinary(32), nullable=False),
    Column("erased_at", Double),
    Column("over_at", Double),  # since when nothing rests on it: kept as proof for a while
    # All below is gone once it is erased.
    Column("subscription_id", Id),
    Column("contact_id", Id),
    Column("purpose_id", Id, ForeignKey("purposes.id")),
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
    Column("project_id", Id, ForeignKey("projects.id"), primary_key=True),
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
    Column("subject_id", Id, primary_key=True),
    Column("purpose_id", Id, ForeignKey("purposes.id"), primary_key=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("given", Boolean, nullable=False),
    Column("number", BigInteger, nullable=False),  # of the record it follows from: the later word counts
    Column("contact_id", Id),  # whose the browser was when it was said
    Index("ix_consent_states_purpose", "purpose_id", "given"),
    sqlite_with_rowid=False,
)
"""What holds now of each subject's word: what a send asks."""

imports = Table(
    "imports",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("project_id", Id, ForeignKey("projects.id"), nullable=False),
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
