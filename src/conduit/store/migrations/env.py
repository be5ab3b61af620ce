"""What Alembic runs for each command: the steps, on the connection and in the transaction of who asked."""

from __future__ import annotations

from alembic import context

from conduit.store import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    version_table=tables.version.name,
)
with context.begin_transaction():
    context.run_migrations()
