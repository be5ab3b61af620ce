"""The steps from one layout of the tables to the next, run by Alembic for databases that an older Conduit made.

A new database is made at once as ``tables`` describes it, and one that is up to date is never looked at from here:
Alembic is imported only when there is a step to go.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from conduit.errors import StoreUnavailable
from conduit.store import tables

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Alembic's `op` and `context` are one for the whole process.
_one_at_a_time = threading.Lock()


def bring_up(connection: Connection, version: str, *, location: str) -> None:
    """Brings a database from its version to this Conduit's, in the caller's transaction.

    Raises:
        StoreUnavailable: The database is not as its version says.
    """
    config = configuration(connection)
    try:
        with _one_at_a_time:
            # The first layouts kept their number in a table of their own.
            command.stamp(config, version)
            command.upgrade(config, "head")
    except CommandError as error:
        raise StoreUnavailable(
            f"Conduit's records at {location} cannot be brought from version {version} to {tables.VERSIONS[-1]}:"
            f" {error}.",
            hint="They were changed by other hands: restore a copy, or move them away; new ones are made.",
            path=location,
        ) from error


def configuration(connection: Connection) -> Config:
    """What Alembic's commands need to act on an open connection; no ini file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
