"""The tables, as SQLAlchemy Core describes them, and the versions that they had. No statement runs here."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

VERSIONS = ("0001", "0002", "0003", "0004")
"""Names of the steps in ``migrations``, the current one last: a change of the tables is a new step."""

metadata = MetaData()

# Alembic's own, and so not among those that it compares. Other programs in the database may have one, too.
version = Table("conduit_version", MetaData(), Column("version_num", String(32), primary_key=True))

# Where the first two kept theirs: 1 or 2.
layout = Table("layout", MetaData(), Column("version", Integer, primary_key=True))

deployment = Table(
    "deployment",
    metadata,
    Column("key", String(128), primary_key=True),
    Column("project", Text, nullable=False, index=True),
    Column("owner", String(64), nullable=False, index=True),
    Column("provider", String(32), nullable=False),
    Column("name", Text),
    Column("spec", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("budget_usd", Double),
    Column("plan", JSON(none_as_null=True)),
    Column("kept", Boolean, nullable=False, server_default=false()),
)

node = Table(
    "node",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("deployment_key", ForeignKey("deployment.key"), nullable=False, index=True),
    Column("provider", String(32), nullable=False),
    Column("owner", String(64), nullable=False, index=True),
    Column("replica", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("handle", JSON, nullable=False),
    Column("reason", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("offering", JSON(none_as_null=True)),
    Column("expires_at", Double),
)

# One row for each node that there ever was: it stays when the node's and the deployment's rows go.
node_cost = Table(
    "node_cost",
    metadata,
    Column("node_id", String(63), primary_key=True),
    Column("deployment_key", String(128), nullable=False, index=True),
    Column("deployment_name", Text),
    Column("project", Text, nullable=False),
    Column("owner", String(64), nullable=False, index=True),
    Column("provider", String(32), nullable=False),
    Column("existed", Boolean, nullable=False),  # the provider has told of it: it had a handle
    Column("usd_per_hour", Double),
    Column("reserved_usd", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("ready_at", Double),
    Column("ended_at", Double),
    Column("billed_usd", Double),
    Column("closed", Boolean, nullable=False),  # its deployment was deleted: it counts for no budget any more
)

lease = Table(
    "lease",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("fence", BigInteger, nullable=False),
    # Empty when nobody holds it; the row stays, for the fence must never fall.
    Column("host", String(255)),
    Column("pid", Integer),
    Column("started_at", Double),
    Column("expires_at", Double, nullable=False),
)

declaration = Table(
    "declaration",
    metadata,
    Column("deployment_key", ForeignKey("deployment.key"), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("pid", Integer, primary_key=True, autoincrement=False),
    Column("started_at", Double, primary_key=True),
    Column("declared_at", Double, nullable=False),
)

model_call = Table(
    "model_call",
    metadata,
    # SQLite numbers rows by itself only in a column of type INTEGER.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("started_at", Double, nullable=False, index=True),
    Column("model_id", Text, nullable=False),
    Column("block", Text),
    Column("inputs_hash", Text),
    Column("prompt_tokens", Integer, nullable=False),
    Column("completion_tokens", Integer, nullable=False),
    Column("latency_s", Double, nullable=False),
    Column("replica", Text),
    Column("attempts", Integer, nullable=False),
    Column("repairs", Integer, nullable=False),
    Column("cost_usd", Double),
    Column("error", Text),
    Column("flow_run_id", String(64)),
    Column("deployment_key", Text),
    Column("request_id", Text),
    Column("attempt_log", JSON),
    Column("project", Text),
    Column("block_call_id", String(32)),
    Column("first_token_s", Double),
    Column("revision", Text),
    Column("engine", Text),
    Index("ix_model_call_flow_run", "flow_run_id"),
    Index("ix_model_call_deployment", "deployment_key"),
)

# What model calls cost whose rows were removed when their time was over: a row for each deployment and day.
past_calls = Table(
    "past_calls",
    metadata,
    Column("deployment_key", Text, primary_key=True),
    Column("day", Double, primary_key=True),  # when it began
    Column("calls", Integer, nullable=False),
    Column("cost_usd", Double, nullable=False),
)

block_call = Table(
    "block_call",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("project", Text, nullable=False),
    Column("block", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("duration_s", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("flow_run_id", String(64)),
    Column("task_run_id", String(64)),
    Column("map_id", String(32)),
    Column("item", Integer),
    Column("attempts", Integer, nullable=False),
    Column("inputs_hash", Text),
    Column("error", Text),
    Column("error_text", Text),
    Column("inputs", JSON(none_as_null=True)),
    Column("output", JSON(none_as_null=True)),
    Index("ix_block_call_project", "project", "started_at"),
    Index("ix_block_call_flow_run", "flow_run_id"),
)

flow_run = Table(
    "flow_run",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("project", Text, nullable=False),
    Column("flow", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("ended_at", Double),
    Column("url", Text),
    Index("ix_flow_run_project", "project", "started_at"),
)

ledger_row = Table(
    "ledger_row",
    metadata,
    Column("project", Text, primary_key=True),
    Column("ledger", Text, primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("item", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("result", LargeBinary),
    Column("error", Text),
    Column("error_text", Text),
    Column("block", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("schema_hash", Text),
    Column("model_id", Text),
    Column("revision", Text),
    Column("engine", Text),
    Column("sampling", JSON(none_as_null=True)),
    Column("attempts", Integer, nullable=False),
    Column("flow_run_id", String(64)),
    Column("finished_at", Double, nullable=False),
    Index("ix_ledger_row_item", "project", "ledger", "item"),
)
