"""The days on which a push service doubted a subscription.

Runs before the new code: the old code does not read the column, and a row it adds has no such day.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("subscriptions", sa.Column("suspect_days", sa.Text(), server_default=sa.text("''"), nullable=False))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("subscriptions", "suspect_days")
