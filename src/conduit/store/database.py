"""One database: its engine, its two kinds of transaction, and its errors as Conduit's. No table's meaning.

A transaction that reads before it writes must hold the write lock from its first statement on, or two
processes act on the same reading: ``write()`` is ``BEGIN IMMEDIATE`` on SQLite. On other databases the
reading statements ask for row locks themselves.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, create_engine, event, insert, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from conduit.errors import MissingDependency, StoreUnavailable
from conduit.store import tables, upgrades

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK_WAIT_S = 30.0
_BEGIN = "conduit_begin"

_HINTS = (
    (("readonly", "read-only", "unable to open"), "Set CONDUIT_DATA_DIR to a folder that you can write to."),
    (("disk is full", "no space left"), "Free some space, or set CONDUIT_DATA_DIR to another disk."),
    (("is locked",), "Another program holds it; end that program, or try again."),
    (("not a database", "malformed"), "It is damaged: move it away; a new one is made at the next start."),
)


class Database:
    """An open database with Conduit's tables in it."""

    def __init__(self, url: str) -> None:
        """Opens the database, and makes it and its tables when they are missing.

        Raises:
            StoreUnavailable: It cannot be opened, or was made by a newer Conduit.
            MissingDependency: The driver that the URL names is not installed.
        """
        parsed = _parse(url)
        self._sqlite = parsed.get_backend_name() == "sqlite"
        file = parsed.database if self._sqlite else None
        self.location = file or parsed.render_as_string(hide_password=True)
        # Two processes that both turn a new file to WAL can fail at once, whatever the lock wait.
        with self._translated(), self._alone(file):
            self._engine = _engine(parsed, sqlite=self._sqlite)
            try:
                self._lay_out()
            except BaseException:
                self.close()
                raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads.

        Raises:
            StoreUnavailable: The database failed.
        """
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write; committed at the end of the block, undone by an exception.

        Raises:
            StoreUnavailable: The database failed.
        """
        options = {_BEGIN: "BEGIN IMMEDIATE"}
        with self._translated(), self._engine.execution_options(**options).begin() as connection:
            yield connection

    def close(self) -> None:
        """Closes all connections; the next transaction opens new ones."""
        self._engine.dispose()

    def drop_after_fork(self) -> None:
        """Forgets the parent process's connections without closing them."""
        self._engine.dispose(close=False)

    def _lay_out(self) -> None:
        with self.write() as connection:
            tables.metadata.create_all(connection)
            version = connection.scalar(select(tables.layout.c.version).with_for_update())
            if version is None:
                connection.execute(insert(tables.layout).values(version=tables.LAYOUT))
            elif version > tables.LAYOUT:
                raise StoreUnavailable(
                    f"{self.location} has layout {version}; this Conduit knows up to {tables.LAYOUT}.",
                    hint="Upgrade Conduit, or set CONDUIT_DATA_DIR to another folder.",
                    path=self.location,
                )
            elif version < tables.LAYOUT:
                upgrades.bring_up(connection, version)

    @contextmanager
    def _alone(self, file: str | None) -> Iterator[None]:
        if not file or file.startswith((":", "file:")):
            lock: Any = nullcontext()  # in memory, or a URI that says itself how it is opened
        else:
            Path(file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(f"{file}.lock", timeout=_LOCK_WAIT_S, mode=0o600)
        with lock:
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError, Timeout) as error:
            cause = getattr(error, "orig", None) or error
            text = " ".join(str(cause).split())
            # What cannot be opened or made is, next to always, a folder without the right to write.
            hint = "Set CONDUIT_DATA_DIR to a folder that you can write to, or CONDUIT_DB_URL to a database."
            for signs, remedy in _HINTS:
                if any(sign in text.lower() for sign in signs):
                    hint = remedy
            raise StoreUnavailable(
                f"Conduit's records at {self.location} cannot be used: {text}.", hint=hint, path=self.location
            ) from error


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except SQLAlchemyError as error:
        # The URL may hold a password, so it is not repeated.
        raise StoreUnavailable(
            "CONDUIT_DB_URL is no database URL.",
            hint="Write it as sqlite:////folder/conduit.db or postgresql+psycopg://user@host/database.",
        ) from error


def _engine(url: URL, *, sqlite: bool) -> Any:
    try:
        engine = create_engine(url, connect_args={"timeout": _LOCK_WAIT_S} if sqlite else {})
    except ImportError as error:
        package = error.name or url.drivername
        raise MissingDependency(
            f"The database of CONDUIT_DB_URL needs the package {package}, which is not installed.",
            hint=f"pip install {package}",
            package=package,
        ) from error
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


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
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
