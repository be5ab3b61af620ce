"""The steps from one layout of the tables to the next, for databases that an older Conduit made."""

from __future__ import annotations

from sqlalchemy import Connection, text, update

from conduit.store import tables

_STEPS = {
    2: ("ALTER TABLE model_call ADD COLUMN attempt_log JSON",),
}


def bring_up(connection: Connection, version: int) -> None:
    """Brings a database from its layout to this Conduit's, in the caller's transaction."""
    for step in range(version + 1, tables.LAYOUT + 1):
        for statement in _STEPS[step]:
            connection.execute(text(statement))
    connection.execute(update(tables.layout).values(version=tables.LAYOUT))
