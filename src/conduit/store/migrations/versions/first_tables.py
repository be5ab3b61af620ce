"""The tables of the first Conduit: what is deployed, who wants it, and the run log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    layout = op.create_table(
        "layout", sa.Column("version", sa.Integer, primary_key=True, autoincrement=False)
    )
    op.bulk_insert(layout, [{"version": 1}])
    op.create_table(
        "deployment",
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("project", sa.Text, nullable=False, index=True),
        sa.Column("owner", sa.String(64), nullable=False, index=True),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_table(
        "node",
        sa.Column("id", sa.String(63), primary_key=True),
        sa.Column(
            "deployment_key", sa.String(128), sa.ForeignKey("deployment.key"), nullable=False, index=True
        ),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False, index=True),
        sa.Column("replica", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("handle", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
    )
    op.create_table(
        "declaration",
        sa.Column("deployment_key", sa.String(128), sa.ForeignKey("deployment.key"), primary_key=True),
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("pid", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("started_at", sa.Double, primary_key=True),
        sa.Column("declared_at", sa.Double, nullable=False),
    )
    op.create_table(
        "model_call",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("started_at", sa.Double, nullable=False, index=True),
        sa.Column("model_id", sa.Text, nullable=False),
        sa.Column("block", sa.Text),
        sa.Column("inputs_hash", sa.Text),
        sa.Column("prompt_tokens", sa.Integer, nullable=False),
        sa.Column("completion_tokens", sa.Integer, nullable=False),
        sa.Column("latency_s", sa.Double, nullable=False),
        sa.Column("replica", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("repairs", sa.Integer, nullable=False),
        sa.Column("cost_usd", sa.Double),
        sa.Column("error", sa.Text),
        sa.Column("flow_run_id", sa.String(64)),
        sa.Column("deployment_key", sa.Text),
        sa.Column("request_id", sa.Text),
    )
    op.create_index("ix_model_call_flow_run", "model_call", ["flow_run_id"])


def downgrade() -> None:
    """Removes the tables and all that is in them."""
    for table in ("model_call", "declaration", "node", "deployment", "layout"):
        op.drop_table(table)
