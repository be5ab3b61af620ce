"""Flow runs, block calls and ledgers; a model call tells of its block's call, first token and engine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_NEW_COLUMNS = (
    ("project", sa.Text),
    ("block_call_id", sa.String(32)),
    ("first_token_s", sa.Double),
    ("revision", sa.Text),
    ("engine", sa.Text),
)


def upgrade() -> None:
    """Adds tables and columns; calls that there are belong to their deployment's project."""
    for name, kind in _NEW_COLUMNS:
        op.add_column("model_call", sa.Column(name, kind))
    op.execute(
        "UPDATE model_call SET project = (SELECT max(node_cost.project) FROM node_cost"
        " WHERE node_cost.deployment_key = model_call.deployment_key)"
    )
    op.create_table(
        "past_calls",
        sa.Column("deployment_key", sa.Text, primary_key=True),
        sa.Column("day", sa.Double, primary_key=True),
        sa.Column("calls", sa.Integer, nullable=False),
        sa.Column("cost_usd", sa.Double, nullable=False),
    )
    op.create_table(
        "block_call",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("block", sa.Text, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("duration_s", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("flow_run_id", sa.String(64)),
        sa.Column("task_run_id", sa.String(64)),
        sa.Column("map_id", sa.String(32)),
        sa.Column("item", sa.Integer),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("inputs_hash", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("error_text", sa.Text),
        sa.Column("inputs", sa.JSON),
        sa.Column("output", sa.JSON),
    )
    op.create_index("ix_block_call_project", "block_call", ["project", "started_at"])
    op.create_index("ix_block_call_flow_run", "block_call", ["flow_run_id"])
    op.create_table(
        "flow_run",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("project", sa.Text, nullable=False),
        sa.Column("flow", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("url", sa.Text),
    )
    op.create_index("ix_flow_run_project", "flow_run", ["project", "started_at"])
    op.create_table(
        "ledger_row",
        sa.Column("project", sa.Text, primary_key=True),
        sa.Column("ledger", sa.Text, primary_key=True),
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("item", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("result", sa.LargeBinary),
        sa.Column("error", sa.Text),
        sa.Column("error_text", sa.Text),
        sa.Column("block", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("schema_hash", sa.Text),
        sa.Column("model_id", sa.Text),
        sa.Column("revision", sa.Text),
        sa.Column("engine", sa.Text),
        sa.Column("sampling", sa.JSON),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("flow_run_id", sa.String(64)),
        sa.Column("finished_at", sa.Double, nullable=False),
    )
    op.create_index("ix_ledger_row_item", "ledger_row", ["project", "ledger", "item"])


def downgrade() -> None:
    """Removes them, and all that is in them."""
    for table in ("ledger_row", "flow_run", "block_call", "past_calls"):
        op.drop_table(table)
    for name, _kind in reversed(_NEW_COLUMNS):
        op.drop_column("model_call", name)
