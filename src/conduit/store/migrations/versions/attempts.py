"""A model call tells of each of its attempts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the attempts."""
    op.add_column("model_call", sa.Column("attempt_log", sa.JSON))
    op.execute("UPDATE layout SET version = 2")


def downgrade() -> None:
    """Forgets the attempts."""
    op.drop_column("model_call", "attempt_log")
    op.execute("UPDATE layout SET version = 1")
