"""Consent, purposes, keys that rotate under a master key, imports.

Runs before the new code. The old code cannot go on beside it: the lookup key has moved.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from pushkeep.errors import ConfigurationError

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add what is new. The lookup key becomes the first of the sealing keys; data keys are made when it is opened."""
    _create_keys()
    _create_wordings()
    _create_consents()
    op.create_table(
        "imports",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("format", sa.String(length=24), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("position", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_imports_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_imports"),
        sa.UniqueConstraint("project_id", "digest", name="uq_imports_project_id_digest"),
        sqlite_autoincrement=True,
    )
    op.add_column("subscriptions", sa.Column("lookup_key_id", _ID, server_default=sa.text("1"), nullable=False))
    op.add_column("notifications", sa.Column("purpose_id", _ID, nullable=True))
    op.add_column("notifications", sa.Column("erased_at", sa.Double(), nullable=True))
    op.add_column("shards", sa.Column("skipped_consent", sa.Integer(), server_default=sa.text("0"), nullable=False))


def _create_keys() -> None:
    op.create_table(
        "sealing_keys",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("key_id", sa.LargeBinary(length=4), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("retiring_at", sa.Double(), nullable=True),
        sa.Column("cursor", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sealing_keys"),
        sa.UniqueConstraint("kind", "key_id", name="uq_sealing_keys_kind_key_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_sealing_keys_active", "sealing_keys", ["kind"], unique=True, sqlite_where=sa.text("state = 'active'")
    )
    op.create_table(
        "key_wraps",
        sa.Column("sealing_key_id", _ID, nullable=False),
        sa.Column("master_key_id", sa.LargeBinary(length=4), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["sealing_key_id"], ["sealing_keys.id"], name="fk_key_wraps_sealing_key_id"),
        sa.PrimaryKeyConstraint("sealing_key_id", "master_key_id", name="pk_key_wraps"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO sealing_keys (id, kind, key_id, state, created_at) "
        "SELECT 1, 'lookup', x'00000001', 'active', created_at FROM installation"
    )
    op.execute("INSERT INTO key_wraps SELECT 1, master_key_id, lookup_key, created_at FROM installation")
    op.drop_column("installation", "lookup_key")
    op.drop_column("installation", "master_key_id")
    for name in ("keys_version", "erasures_applied"):
        op.add_column("installation", sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("installation", sa.Column("next_master_key_id", sa.LargeBinary(length=4), nullable=True))


def _create_wordings() -> None:
    op.create_table(
        "purposes",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("basis", sa.String(length=24), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_purposes_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_purposes"),
        sa.UniqueConstraint("project_id", "name", name="uq_purposes_project_id_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "wordings",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("purpose_id", _ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("locale", sa.String(length=35), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("policy_version", sa.String(length=40), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_wordings_project_id"),
        sa.ForeignKeyConstraint(["purpose_id"], ["purposes.id"], name="fk_wordings_purpose_id"),
        sa.PrimaryKeyConstraint("id", name="pk_wordings"),
        sa.UniqueConstraint("project_id", "digest", name="uq_wordings_project_id_digest"),
        sa.UniqueConstraint("purpose_id", "locale", "version", name="uq_wordings_purpose_id_locale_version"),
        sqlite_autoincrement=True,
    )


def _create_consents() -> None:
    op.create_table(
        "consents",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(length=32), nullable=False),
        sa.Column("erased_at", sa.Double(), nullable=True),
        sa.Column("over_at", sa.Double(), nullable=True),
        sa.Column("subscription_id", _ID, nullable=True),
        sa.Column("contact_id", _ID, nullable=True),
        sa.Column("purpose_id", _ID, nullable=True),
        sa.Column("given", sa.Boolean(), nullable=True),
        sa.Column("at", sa.Double(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_consents_project_id"),
        sa.ForeignKeyConstraint(["purpose_id"], ["purposes.id"], name="fk_consents_purpose_id"),
        sa.PrimaryKeyConstraint("id", name="pk_consents"),
        sa.UniqueConstraint("project_id", "number", name="uq_consents_project_id_number"),
        sqlite_autoincrement=True,
    )
    for name in ("subscription", "contact"):
        column = f"{name}_id"
        op.create_index(
            f"ix_consents_{name}", "consents", [column], unique=False, sqlite_where=sa.text(f"{column} IS NOT NULL")
        )
    op.create_table(
        "consent_seals",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("previous", sa.LargeBinary(length=32), nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sealed_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_consent_seals_project_id"),
        sa.PrimaryKeyConstraint("project_id", "number", name="pk_consent_seals"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "consent_states",
        sa.Column("subject", sa.String(length=1), nullable=False),
        sa.Column("subject_id", _ID, nullable=False),
        sa.Column("purpose_id", _ID, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("given", sa.Boolean(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("contact_id", _ID, nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_consent_states_project_id"),
        sa.ForeignKeyConstraint(["purpose_id"], ["purposes.id"], name="fk_consent_states_purpose_id"),
        sa.PrimaryKeyConstraint("subject", "subject_id", "purpose_id", name="pk_consent_states"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_consent_states_purpose", "consent_states", ["purpose_id", "given"], unique=False)


def downgrade() -> None:
    """Only of a database that this version's code has not opened yet: the old code knows no data keys.

    Raises:
        ConfigurationError: it has keys that the code before does not know.
    """
    connection = op.get_bind()
    if connection.execute(sa.text("SELECT count(*) FROM sealing_keys WHERE id <> 1")).scalar_one():
        raise ConfigurationError(
            "The version before cannot open what was sealed since; restore the backup made before the upgrade.",
            field="database_path",
        )
    _restore_installation()
    op.drop_column("shards", "skipped_consent")
    op.drop_column("notifications", "erased_at")
    op.drop_column("notifications", "purpose_id")
    op.drop_column("subscriptions", "lookup_key_id")
    for table in ("imports", "consent_states", "consent_seals", "consents", "wordings", "purposes"):
        op.drop_table(table)
    op.drop_table("key_wraps")
    op.drop_table("sealing_keys")


def _restore_installation() -> None:
    op.rename_table("installation", "installation_since")
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("master_key_id", sa.LargeBinary(length=4), nullable=False),
        sa.Column("lookup_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.CheckConstraint("id = 1", name="ck_installation_one_row"),
        sa.PrimaryKeyConstraint("id", name="pk_installation"),
    )
    op.execute(
        "INSERT INTO installation SELECT i.id, w.master_key_id, w.wrapped, i.created_at "
        "FROM installation_since AS i JOIN key_wraps AS w ON w.sealing_key_id = 1"
    )
    op.drop_table("installation_since")
