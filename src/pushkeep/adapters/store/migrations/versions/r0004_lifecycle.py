"""The subscription's life: its log, its health, ends with a time, signing keys that rotate, chores.

Runs before the new code. The old code cannot go on beside it: a column is renamed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_HEALTH: tuple[tuple[str, sa.types.TypeEngine[float] | sa.types.TypeEngine[str]], ...] = (
    ("ended_at", sa.Double()),
    ("last_displayed_at", sa.Double()),
    ("last_verdict", sa.String(length=24)),
    ("last_verdict_at", sa.Double()),
    ("owner_since", sa.Double()),
    ("probe_at", sa.Double()),
)
_COUNTS = (("sync_sequence", sa.BigInteger()), ("probes", sa.Integer()))
_KEY_TIMES = ("activated_at", "retiring_at", "retired_at", "leaked_at")
_SKIPPED_BEFORE = {"skipped_quarantined": "skipped_ended", "skipped_renewal": "skipped_key"}
"""Kinds of recipients that are new, and what they count as for the code before."""


def upgrade() -> None:
    """Add what is new, and bring what is there into the new states."""
    op.execute("ALTER TABLE subscriptions RENAME COLUMN end_reason TO state_reason")
    for name, kind in _HEALTH:
        op.add_column("subscriptions", sa.Column(name, kind, nullable=True))
    for name, count in _COUNTS:
        op.add_column("subscriptions", sa.Column(name, count, server_default=sa.text("0"), nullable=False))
    for name in _KEY_TIMES:
        op.add_column("signing_keys", sa.Column(name, sa.Double(), nullable=True))
    for name in _SKIPPED_BEFORE:
        op.add_column("shards", sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("projects", sa.Column("site_origins", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.execute(
        "UPDATE subscriptions SET ended_at = coalesce(json_extract(state_reason, '$.at'), last_seen_at) "
        "WHERE state <> 'active'"
    )
    op.execute(
        "UPDATE subscriptions SET state = 'failing', state_reason = json_object('cause', 'failed', 'at', last_seen_at) "
        "WHERE state = 'active' AND consecutive_failures > 0"
    )
    op.execute("UPDATE subscriptions SET owner_since = created_at WHERE contact_id IS NOT NULL")
    op.execute("UPDATE signing_keys SET activated_at = created_at")
    op.drop_index("ix_subscriptions_contact", "subscriptions")
    op.create_index("ix_subscriptions_contact", "subscriptions", ["contact_id", "ended_at"], unique=False)
    op.create_index(
        "ix_subscriptions_living",
        "subscriptions",
        ["project_id", "id"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_subscriptions_key",
        "subscriptions",
        ["project_id", "signing_key_id", "state", "ended_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_subscriptions_ended",
        "subscriptions",
        ["ended_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NOT NULL"),
    )
    _create_log()
    _create_chores()


def _create_log() -> None:
    op.create_table(
        "lifecycle",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("subscription_id", _ID, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("event", sa.String(length=24), nullable=False),
        sa.Column("state_before", sa.String(length=16), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_lifecycle_project_id"),
        sa.ForeignKeyConstraint(["subscription_id"], ["subscriptions.id"], name="fk_lifecycle_subscription_id"),
        sa.PrimaryKeyConstraint("id", name="pk_lifecycle"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_lifecycle_subscription", "lifecycle", ["subscription_id", "id"], unique=False)
    op.create_table(
        "lifecycle_days",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("signing_key_id", _ID, nullable=False),
        sa.Column("event", sa.String(length=24), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_lifecycle_days_project_id"),
        sa.ForeignKeyConstraint(["signing_key_id"], ["signing_keys.id"], name="fk_lifecycle_days_signing_key_id"),
        sa.PrimaryKeyConstraint("project_id", "day", "signing_key_id", "event", name="pk_lifecycle_days"),
        sqlite_with_rowid=False,
    )


def _create_chores() -> None:
    op.create_table(
        "chores",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("name", sa.String(length=24), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", sa.Double(), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_chores_project_id"),
        sa.PrimaryKeyConstraint("project_id", "name", name="pk_chores"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Go back. Who was failing, quarantined or in need of renewal is sent to again."""
    op.drop_table("chores")
    op.drop_table("lifecycle_days")
    op.drop_table("lifecycle")
    _go_back_to_what_was_known()
    op.drop_index("ix_subscriptions_ended", "subscriptions")
    op.drop_index("ix_subscriptions_key", "subscriptions")
    op.drop_index("ix_subscriptions_living", "subscriptions")
    op.drop_index("ix_subscriptions_contact", "subscriptions")
    op.create_index("ix_subscriptions_contact", "subscriptions", ["contact_id", "state"], unique=False)
    op.drop_column("projects", "site_origins")
    for name in _SKIPPED_BEFORE:
        op.drop_column("shards", name)
    for name in _KEY_TIMES:
        op.drop_column("signing_keys", name)
    for name, _ in (*_HEALTH, *_COUNTS):
        op.drop_column("subscriptions", name)
    op.execute("ALTER TABLE subscriptions RENAME COLUMN state_reason TO end_reason")


def _go_back_to_what_was_known() -> None:
    """What the code before has no word for gets the nearest one it has: it would fail at a word it does not know."""
    # With three days of doubt the code before would end it at the next one, and it has not been probed.
    op.execute("UPDATE subscriptions SET suspect_days = '' WHERE state = 'quarantined'")
    op.execute(
        "UPDATE subscriptions SET state = 'active', state_reason = NULL "
        "WHERE state IN ('failing', 'quarantined', 'needs_renewal')"
    )
    op.execute(
        "UPDATE subscriptions SET state_reason = json_set(json_remove(state_reason, '$.verdict'), '$.cause', "
        "CASE json_extract(state_reason, '$.cause') WHEN 'lost' THEN 'said_gone' WHEN 'expired' THEN 'said_gone' "
        "ELSE json_extract(state_reason, '$.cause') END) WHERE state_reason IS NOT NULL"
    )
    for new, old in _SKIPPED_BEFORE.items():
        # Added up, so that the account of a notification balances.
        op.execute(f"UPDATE shards SET {old} = {old} + {new} WHERE {new} <> 0")  # noqa: S608 - names from above
        op.execute(f"UPDATE recipient_outcomes SET kind = '{old}' WHERE kind = '{new}'")  # noqa: S608 - alike
