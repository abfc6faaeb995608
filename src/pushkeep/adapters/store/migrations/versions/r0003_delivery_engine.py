"""Notifications, shards, receipts, tags, and what workers share.

Runs before the new code: the old code knows none of the new tables and does not read the new column. Push services
that it adds subscriptions at meanwhile are noted when one of them is registered or synchronised again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KINDS = (
    "accepted",
    "gone",
    "suspect",
    "key_mismatch",
    "bad_token",
    "too_large",
    "bad_request",
    "throttled",
    "transient",
    "refused_endpoint",
    "skipped_ended",
    "skipped_replaced",
    "skipped_owner",
    "skipped_key",
    "skipped_unreadable",
    "expired",
    "cancelled",
    "moved",
)


def upgrade() -> None:
    """Create the tables and the column, and note the push services that are there."""
    _create_audiences()
    _create_notifications()
    _create_shards()
    _create_results()
    _create_shared()
    op.add_column("subscriptions", sa.Column("abilities", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.create_index(
        "ix_subscriptions_successor",
        "subscriptions",
        ["superseded_by"],
        unique=False,
        sqlite_where=sa.text("superseded_by IS NOT NULL"),
    )
    op.execute(
        "INSERT INTO push_services (project_id, origin, vendor) "
        "SELECT project_id, origin, max(vendor) FROM subscriptions GROUP BY project_id, origin"
    )


def _create_audiences() -> None:
    op.create_table(
        "tags",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_tags_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_tags"),
        sa.UniqueConstraint("project_id", "name", name="uq_tags_project_id_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "contact_tags",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("contact_id", _ID, nullable=False),
        sa.Column("tag_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name="fk_contact_tags_contact_id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_contact_tags_project_id"),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name="fk_contact_tags_tag_id"),
        sa.PrimaryKeyConstraint("contact_id", "tag_id", name="pk_contact_tags"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_contact_tags_tag", "contact_tags", ["tag_id", "contact_id"], unique=False)
    op.create_table(
        "push_services",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("vendor", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_push_services_project_id"),
        sa.PrimaryKeyConstraint("project_id", "origin", name="pk_push_services"),
        sqlite_with_rowid=False,
    )


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("token_offset", sa.Integer(), nullable=True),
        sa.Column("compress", sa.Boolean(), nullable=False),
        sa.Column("ttl", sa.BigInteger(), nullable=False),
        sa.Column("urgency", sa.String(length=16), nullable=True),
        sa.Column("topic", sa.String(length=32), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("target_kind", sa.String(length=16), nullable=False),
        sa.Column("tag_id", _ID, nullable=True),
        sa.Column("retry_of", _ID, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("paused_at", sa.Double(), nullable=True),
        sa.Column("accepted_at", sa.Double(), nullable=False),
        sa.Column("send_at", sa.Double(), nullable=False),
        sa.Column("deadline", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("high_water", sa.BigInteger(), nullable=False),
        sa.Column("plan_cursor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("keeps_outcomes", sa.Boolean(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("request_hash", sa.LargeBinary(length=16), nullable=False),
        sa.Column("last_leased_at", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_notifications_project_id"),
        sa.ForeignKeyConstraint(["retry_of"], ["notifications.id"], name="fk_notifications_retry_of"),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name="fk_notifications_tag_id"),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.UniqueConstraint("project_id", "idempotency_key", name="uq_notifications_project_id_idempotency_key"),
        sa.UniqueConstraint("public_id", name="uq_notifications_public_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notifications_project", "notifications", ["project_id", "id"], unique=False)
    op.create_index(
        "ix_notifications_tag", "notifications", ["tag_id"], unique=False, sqlite_where=sa.text("tag_id IS NOT NULL")
    )
    op.create_index(
        "ix_notifications_retry",
        "notifications",
        ["retry_of"],
        unique=False,
        sqlite_where=sa.text("retry_of IS NOT NULL"),
    )
    op.create_index(
        "ix_notifications_unfinished",
        "notifications",
        ["deadline", "state", "finished_at"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        "ix_notifications_begun",
        "notifications",
        ["send_at"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NULL"),
    )


def _create_shards() -> None:
    op.create_table(
        "shards",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("notification_id", _ID, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("vendor", sa.String(length=16), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("history", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("bucket", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("chunk", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("settled", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.Double(), nullable=True),
        sa.Column("takeovers", sa.Integer(), server_default=sa.text("0"), nullable=False),
        *(sa.Column(kind, sa.Integer(), server_default=sa.text("0"), nullable=False) for kind in _KINDS),
        sa.Column("members", sa.LargeBinary(), nullable=False),
        sa.Column("owners", sa.LargeBinary(), nullable=False),
        sa.Column("done", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["notification_id"], ["notifications.id"], name="fk_shards_notification_id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_shards_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_shards"),
        sa.UniqueConstraint(
            "notification_id",
            "page",
            "origin",
            "attempt",
            "history",
            "bucket",
            "chunk",
            name="uq_shards_notification_id_page_origin_attempt_history_bucket_chunk",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_shards_leased", "shards", ["lease_expires_at"], unique=False, sqlite_where=sa.text("state = 'leased'")
    )
    op.create_index(
        "ix_shards_ready",
        "shards",
        ["priority", "not_before", "count", "settled", "state"],
        unique=False,
        sqlite_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "ix_shards_turns",
        "shards",
        ["priority", "notification_id", "origin", "not_before"],
        unique=False,
        sqlite_where=sa.text("state = 'ready'"),
    )
    op.create_index(
        "ix_shards_live",
        "shards",
        ["notification_id", "state"],
        unique=False,
        sqlite_where=sa.text("state <> 'closed'"),
    )


def _create_results() -> None:
    op.create_table(
        "recipient_outcomes",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("notification_id", _ID, nullable=False),
        sa.Column("subscription_id", _ID, nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("action", sa.String(length=24), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("retry_after", sa.Double(), nullable=True),
        sa.Column("duration_ms", sa.Double(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["notification_id"], ["notifications.id"], name="fk_recipient_outcomes_notification_id"
        ),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_recipient_outcomes_project_id"),
        sa.PrimaryKeyConstraint("notification_id", "subscription_id", name="pk_recipient_outcomes"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "receipts",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("notification_id", _ID, nullable=False),
        sa.Column("subscription_id", _ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["notification_id"], ["notifications.id"], name="fk_receipts_notification_id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_receipts_project_id"),
        sa.PrimaryKeyConstraint("notification_id", "subscription_id", "kind", name="pk_receipts"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "receipt_totals",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("notification_id", _ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["notification_id"], ["notifications.id"], name="fk_receipt_totals_notification_id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_receipt_totals_project_id"),
        sa.PrimaryKeyConstraint("notification_id", "kind", name="pk_receipt_totals"),
        sqlite_with_rowid=False,
    )


def _create_shared() -> None:
    op.create_table(
        "origin_rests",
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("origin", name="pk_origin_rests"),
    )
    op.create_table(
        "circuits",
        sa.Column("signing_key_id", _ID, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.Column("probe_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["signing_key_id"], ["signing_keys.id"], name="fk_circuits_signing_key_id"),
        sa.PrimaryKeyConstraint("signing_key_id", "origin", name="pk_circuits"),
    )
    op.create_table(
        "workers",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("stopping", sa.Boolean(), nullable=False),
        sa.Column("figures", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_workers"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index(
        "ix_subscriptions_successor",
        table_name="subscriptions",
        sqlite_where=sa.text("superseded_by IS NOT NULL"),
    )
    op.drop_column("subscriptions", "abilities")
    op.drop_index("ix_shards_ready", table_name="shards", sqlite_where=sa.text("state = 'ready'"))
    op.drop_index("ix_shards_turns", table_name="shards", sqlite_where=sa.text("state = 'ready'"))
    op.drop_index("ix_shards_leased", table_name="shards", sqlite_where=sa.text("state = 'leased'"))
    op.drop_index("ix_shards_live", table_name="shards", sqlite_where=sa.text("state <> 'closed'"))
    op.drop_table("shards")
    op.drop_table("recipient_outcomes")
    op.drop_table("receipt_totals")
    op.drop_table("receipts")
    op.drop_index("ix_notifications_project", table_name="notifications")
    op.drop_index("ix_notifications_tag", table_name="notifications", sqlite_where=sa.text("tag_id IS NOT NULL"))
    op.drop_index("ix_notifications_retry", table_name="notifications", sqlite_where=sa.text("retry_of IS NOT NULL"))
    op.drop_index(
        "ix_notifications_unfinished", table_name="notifications", sqlite_where=sa.text("finished_at IS NULL")
    )
    op.drop_index("ix_notifications_begun", table_name="notifications", sqlite_where=sa.text("finished_at IS NULL"))
    op.drop_table("notifications")
    op.drop_index("ix_contact_tags_tag", table_name="contact_tags")
    op.drop_table("contact_tags")
    op.drop_table("circuits")
    op.drop_table("tags")
    op.drop_table("push_services")
    op.drop_table("workers")
    op.drop_table("origin_rests")
