"""One database: its tables made, its two kinds of transaction, and its errors as Conduit's. No table's meaning.

A transaction that reads before it writes must hold the write lock from its first statement on, or two
processes act on the same reading: ``write()`` is ``BEGIN IMMEDIATE`` on SQLite. On Postgres the reading
statements ask for row locks themselves.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Table, TextClause, bindparam, func, insert, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from conduit.errors import StoreUnavailable
from conduit.store import connecting, tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LAY_OUT_LOCK = 0x636F6E64756974
"""Number of the advisory lock under which tables are made and changed: "conduit" in ASCII."""

_FOLDER = "Set CONDUIT_DATA_DIR to a folder that you can write to"
_HINTS = (
    (("readonly", "read-only", "unable to open"), f"{_FOLDER}."),
    (("disk is full", "no space left"), "Free some space, or set CONDUIT_DATA_DIR to another disk."),
    (("is locked", "lock timeout"), "Another program holds it; end that program, or try again."),
    (("not a database", "malformed"), "It is damaged: move it away; a new one is made at the next start."),
    (("connection failed", "connection is bad"), "Is the server up, and is CONDUIT_DB_URL right?"),
    (("permission denied for",), "Let the user of CONDUIT_DB_URL make tables in that database."),
    (("already exists",), "It has another program's tables: give Conduit a database of its own."),
)


class Database:
    """An open database with Conduit's tables in it."""

    def __init__(self, url: str) -> None:
        """Opens the database, and makes it and its tables when they are missing.

        Raises:
            StoreUnavailable: It cannot be opened, or was made by a newer Conduit.
            MissingDependency: The driver that the URL names is not installed.
        """
        parsed = connecting.parse(url)
        self._sqlite = parsed.get_backend_name() == "sqlite"
        file = parsed.database if self._sqlite else None
        self.location = file or connecting.place(parsed)
        # Two processes that both turn a new file to WAL can fail at once, whatever the lock wait.
        with self._translated(), self._alone(file):
            self._engine = connecting.engine(parsed)
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
        options = {connecting.BEGIN: "BEGIN IMMEDIATE"}
        with self._translated(), self._engine.execution_options(**options).begin() as connection:
            yield connection

    def close(self) -> None:
        """Closes all connections; the next transaction opens new ones."""
        self._engine.dispose()

    def drop_after_fork(self) -> None:
        """Forgets the parent process's connections without closing them."""
        self._engine.dispose(close=False)

    def _lay_out(self) -> None:
        with self.read() as connection:
            if _version(connection) == tables.VERSIONS[-1]:
                return
        with self.write() as connection:
            if not self._sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(_LAY_OUT_LOCK)))
            version = _version(connection)  # another process may have been faster
            if version is None:
                tables.version.create(connection, checkfirst=True)
                # Not over a table of the same name: it is another program's.
                tables.metadata.create_all(connection, checkfirst=False)
                connection.execute(insert(tables.version).values(version_num=tables.VERSIONS[-1]))
            elif version not in tables.VERSIONS:
                raise StoreUnavailable(
                    f"{self.location} has version {version}; this Conduit knows up to {tables.VERSIONS[-1]}.",
                    hint="Upgrade Conduit, or set CONDUIT_DATA_DIR to another folder.",
                    path=self.location,
                )
            elif version != tables.VERSIONS[-1]:
                from conduit.store import migrations

                migrations.bring_up(connection, version, location=self.location)

    @contextmanager
    def _alone(self, file: str | None) -> Iterator[None]:
        if not file or file.startswith((":", "file:")):
            lock: Any = nullcontext()  # in memory, or a URI that says itself how it is opened
        else:
            Path(file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(f"{file}.lock", timeout=connecting.LOCK_WAIT_S, mode=0o600)
        with lock:
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError, Timeout) as error:
            cause = getattr(error, "orig", None) or error
            said = " ".join(str(cause).split())
            # What cannot be opened or made is, next to always, a folder without the right to write.
            hint = f"{_FOLDER}, or CONDUIT_DB_URL to a database."
            for signs, remedy in _HINTS:
                if any(sign in said.lower() for sign in signs):
                    hint = remedy
            raise StoreUnavailable(
                f"Conduit's records at {self.location} cannot be used: {said}.", hint=hint, path=self.location
            ) from error


def insert_unless_taken(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Inserts a row; False when its key is taken, also by a transaction that ran at the same time."""
    kind = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = kind(table).values(**values).on_conflict_do_nothing()
    options = {"preserve_rowcount": True}  # SQLAlchemy keeps it by itself only of changes
    return connection.execute(statement, execution_options=options).rowcount > 0


@cache
def upsert(table: Table, *, adding: tuple[str, ...] = ()) -> TextClause:
    """A statement that inserts a row, or writes over the one of the same key; figures may be added to its own.

    As text, which SQLite and Postgres read alike: what SQLAlchemy has for it is compiled anew at each use.
    """
    names = [column.name for column in table.c]
    key = [column.name for column in table.primary_key]
    changes = [
        f"{name} = {table.name}.{name} + excluded.{name}" if name in adding else f"{name} = excluded.{name}"
        for name in names
        if name not in key
    ]
    statement = text(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"  # noqa: S608 - own names
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(changes)}"
    )
    return statement.bindparams(*(bindparam(column.name, type_=column.type) for column in table.c))


def _version(connection: Connection) -> str | None:
    present = inspect(connection)
    if present.has_table(tables.version.name):
        version: str | None = connection.scalar(select(tables.version.c.version_num))
        return version
    if present.has_table(tables.layout.name):
        return f"{connection.scalar(select(tables.layout.c.version)) or 0:04}"
    return None
