"""From a database's URL to an engine for it: what SQLite and Postgres each need. No statement of Conduit's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from conduit.errors import MissingDependency, StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

LOCK_WAIT_S = 30.0
_CONNECT_TIMEOUT_S = 10

BEGIN = "conduit_begin"
"""Execution option: the statement that begins a transaction on SQLite."""


def parse(url: str) -> URL:
    """The URL with the driver that Conduit uses where it names none.

    Raises:
        StoreUnavailable: It is no URL of a database that Conduit keeps records in.
    """
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):
        parsed = None
    # The URL may hold a password, so neither it nor the error about it is repeated.
    if parsed is None or parsed.drivername.split("+")[0] not in ("sqlite", "postgresql", "postgres"):
        raise StoreUnavailable(
            "CONDUIT_DB_URL is no URL of an SQLite or Postgres database.",
            hint="Write it as sqlite:////folder/conduit.db or postgresql://user@host/database.",
        )
    if "@" in (parsed.host or ""):
        raise StoreUnavailable(
            "CONDUIT_DB_URL has more than one @ before the host's name.", hint="Write a password's @ as %40."
        )
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def place(url: URL) -> str:
    """The URL for messages: without a password, which may stand in the query, too."""
    return url.set(query={}).render_as_string(hide_password=True)


def engine(url: URL) -> Engine:
    """An engine for the URL; it has not connected yet.

    Raises:
        MissingDependency: The driver that the URL names is not installed.
    """
    try:
        return _sqlite(url) if url.get_backend_name() == "sqlite" else _postgres(url)
    except ImportError as error:
        package = error.name or url.drivername
        raise MissingDependency(
            f"The database of CONDUIT_DB_URL needs the package {package}, which is not installed.",
            hint="pip install 'conduit-dataflow[postgres]'"
            if package == "psycopg"
            else f"pip install {package}",
            package=package,
        ) from error


def _sqlite(url: URL) -> Engine:
    made = create_engine(url, connect_args={"timeout": LOCK_WAIT_S})
    event.listen(made, "connect", _prepare_sqlite)
    event.listen(made, "begin", _begin_sqlite)
    return made


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    try:
        # The driver must not begin transactions on its own terms: _begin_sqlite does.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()
    except BaseException:
        connection.close()  # the engine does not know it yet, so nobody else would
        raise


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(BEGIN, "BEGIN"))


def _postgres(url: URL) -> Engine:
    made = create_engine(
        url,
        # After a row's lock was waited for, the next statement must see what its last holder wrote.
        isolation_level="READ COMMITTED",
        # The server may have dropped a connection that was long idle: it is tried before it is used.
        pool_pre_ping=True,
        connect_args={} if "connect_timeout" in url.query else {"connect_timeout": _CONNECT_TIMEOUT_S},
    )
    event.listen(made, "connect", _prepare_postgres)
    return made


def _prepare_postgres(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LOCK_WAIT_S:.0f}s'")
    connection.commit()
