"""Plans, budgets, offerings and what nodes cost; leases; and Alembic's own table in place of ``layout``."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds tables and columns, and opens an account for each node that there is."""
    op.add_column("deployment", sa.Column("budget_usd", sa.Double))
    op.add_column("deployment", sa.Column("plan", sa.JSON))
    op.add_column("deployment", sa.Column("kept", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("node", sa.Column("offering", sa.JSON))
    op.add_column("node", sa.Column("expires_at", sa.Double))
    op.create_table(
        "node_cost",
        sa.Column("node_id", sa.String(63), primary_key=True),
        sa.Column("deployment_key", sa.String(128), nullable=False, index=True),
        sa.Column("deployment_name", sa.Text),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("owner", sa.String(64), nullable=False, index=True),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("existed", sa.Boolean, nullable=False),
        sa.Column("usd_per_hour", sa.Double),
        sa.Column("reserved_usd", sa.Double, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("ready_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("billed_usd", sa.Double),
        sa.Column("closed", sa.Boolean, nullable=False),
    )
    # Nodes were processes of this machine until now: they have no price.
    op.execute(
        "INSERT INTO node_cost (node_id, deployment_key, deployment_name, project, owner, provider, existed,"
        " reserved_usd, created_at, ended_at, closed)"
        " SELECT node.id, deployment.key, deployment.name, deployment.project, node.owner, node.provider, true, 0,"
        " node.created_at,"
        " CASE WHEN node.state IN ('terminated', 'failed', 'lost') THEN node.updated_at END, false"
        " FROM node JOIN deployment ON deployment.key = node.deployment_key"
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("host", sa.String(255)),
        sa.Column("pid", sa.Integer),
        sa.Column("started_at", sa.Double),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index("ix_model_call_deployment", "model_call", ["deployment_key"])
    op.drop_table("layout")


def downgrade() -> None:
    """Removes them; what nodes cost is forgotten."""
    layout = op.create_table(
        "layout", sa.Column("version", sa.Integer, primary_key=True, autoincrement=False)
    )
    op.bulk_insert(layout, [{"version": 2}])
    op.drop_index("ix_model_call_deployment", "model_call")
    op.drop_table("lease")
    op.drop_table("node_cost")
    for table, column in (
        ("node", "expires_at"),
        ("node", "offering"),
        ("deployment", "kept"),
        ("deployment", "plan"),
        ("deployment", "budget_usd"),
    ):
        op.drop_column(table, column)
