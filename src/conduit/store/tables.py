"""The tables, as SQLAlchemy Core describes them, and the version of their layout. No statement runs here."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

LAYOUT = 2
"""Raised with every change of the tables, together with the step in ``upgrades`` that leads up to it."""

metadata = MetaData()

layout = Table("layout", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

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
    Index("ix_model_call_flow_run", "flow_run_id"),
)
