"""Projects, their keys, contacts and subscriptions.

Runs before the new code: an empty database has no old code.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("master_key_id", sa.LargeBinary(4), nullable=False),
        sa.Column("lookup_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_installation"),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_one_row")),
    )
    _create_projects()
    _create_keys()
    op.create_table(
        "contacts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_contacts"),
        sa.UniqueConstraint("project_id", "external_id", name="uq_contacts_project_id_external_id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_contacts_project_id"),
        sqlite_autoincrement=True,
    )
    _create_subscriptions()


def _create_projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", _ID, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("site_url", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("publishable_key", sa.String(32), nullable=False),
        sa.Column("identity_secret", sa.LargeBinary(), nullable=False),
        sa.Column("sync_secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.UniqueConstraint("public_id", name="uq_projects_public_id"),
        sa.UniqueConstraint("publishable_key", name="uq_projects_publishable_key"),
        sqlite_autoincrement=True,
    )


def _create_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", _ID, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("key_id", sa.String(12), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_api_keys_project_id"),
        sa.UniqueConstraint("key_id", name="uq_api_keys_key_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_api_keys_project_id", "api_keys", ["project_id"])
    op.create_table(
        "signing_keys",
        sa.Column("id", _ID, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("key_id", sa.String(12), nullable=False),
        sa.Column("public_key", sa.LargeBinary(65), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_signing_keys"),
        sa.UniqueConstraint("project_id", "key_id", name="uq_signing_keys_project_id_key_id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_signing_keys_project_id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_signing_keys_active",
        "signing_keys",
        ["project_id"],
        unique=True,
        sqlite_where=sa.text("state = 'active'"),
        postgresql_where=sa.text("state = 'active'"),
    )


def _create_subscriptions() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("short_id", sa.String(8), nullable=False),
        sa.Column("contact_id", _ID, nullable=True),
        sa.Column("signing_key_id", _ID, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("vendor", sa.String(16), nullable=False),
        sa.Column("endpoint_hash", sa.LargeBinary(16), nullable=False),
        sa.Column("keys_hash", sa.LargeBinary(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("superseded_by", _ID, nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("last_seen_at", sa.Double(), nullable=False),
        sa.Column("last_accepted_at", sa.Double(), nullable=True),
        sa.Column("consecutive_failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subscriptions"),
        sa.UniqueConstraint(
            "project_id",
            "endpoint_hash",
            "signing_key_id",
            name="uq_subscriptions_project_id_endpoint_hash_signing_key_id",
        ),
        sa.UniqueConstraint("project_id", "short_id", name="uq_subscriptions_project_id_short_id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_subscriptions_project_id"),
        sa.UniqueConstraint("public_id", name="uq_subscriptions_public_id"),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name="fk_subscriptions_contact_id"),
        sa.ForeignKeyConstraint(["signing_key_id"], ["signing_keys.id"], name="fk_subscriptions_signing_key_id"),
        sa.ForeignKeyConstraint(["superseded_by"], ["subscriptions.id"], name="fk_subscriptions_superseded_by"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_subscriptions_project", "subscriptions", ["project_id", "id"])
    op.create_index("ix_subscriptions_state", "subscriptions", ["project_id", "state", "id"])
    op.create_index("ix_subscriptions_contact", "subscriptions", ["contact_id", "state"])


def downgrade() -> None:
    """Drop every table, and everything in them."""
    for table in ("subscriptions", "contacts", "signing_keys", "api_keys", "projects", "installation"):
        op.drop_table(table)
