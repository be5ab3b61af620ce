"""Blocks on a SQLite file: read rows, run statements, insert typed rows in bulk. Values are parameters.

Each call opens the file and closes it, so that threads and processes share it by SQLite's own locks. In a
transaction the file stays open, and locked for other writers, until that ends.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import sqlite3
import threading
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any, cast

from pydantic import AnyUrl
from pydantic_core import PydanticSerializationError, to_json

from conduit.blocks.columns import Column, columns_for, encoded
from conduit.blocks.records import LOCK_TIMEOUT_S, InsertResult, Parameters, named_rows, typed_rows
from conduit.blocks.shapes import JsonShape, ScalarShape, quoted
from conduit.blocks.signatures import QueryBlock, shown
from conduit.blocks.taking_part import known
from conduit.dataflow import block, transactions
from conduit.errors import DatabaseLocked, SqlError

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
# The codes of statements that begin and end transactions, which the sqlite3 module names only as error codes.
_TRANSACTION, _SAVEPOINT = 22, 32
# Columns of other types have none, so that SQLite leaves their values as they are.
_TYPES = {
    "BIGINT": "INTEGER",
    "DOUBLE": "REAL",
    "BOOLEAN": "BOOLEAN",
    "BLOB": "BLOB",
    **dict.fromkeys(
        ("VARCHAR", "DECIMAL", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "DATE", "TIME", "INTERVAL", "UUID"),
        "TEXT",
    ),
}


@dataclass(frozen=True)
class ExecuteResult:
    """What a statement did; ``last_row_id`` is None where it inserted nothing."""

    rows: int
    last_row_id: int | None


def _sqlite_query(
    database: str | Path,
    sql: str,
    parameters: Parameters = (),
    *,
    row_type: Any = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> list[Any]:
    """Reads rows from a SQLite file.

    Args:
        database: The file, which must exist, or ``:memory:``.
        sql: One statement that reads; ``?`` or ``:name`` stand for parameters.
        parameters: Their values, in order or by name. Dates and times become ISO text, Decimal and UUID text, lists
            and records JSON.
        row_type: A record type for the rows (a list or record in it is read from JSON text), or the type of the
            only column's values; dicts without it.
        lock_timeout_s: How long to wait for another process's lock.

    Raises:
        DatabaseLocked: Another process held the file all that time.
        SqlError: The statement failed, writes, or gives rows that do not fit.
    """
    with _connected(database, sql, lock_timeout_s, writes=False) as connection:
        connection.execute("PRAGMA query_only = ON")
        try:
            cursor = connection.execute(sql, _plain(parameters))
        finally:
            connection.execute("PRAGMA query_only = OFF")
        if cursor.description is None:
            raise SqlError(
                "The statement gives no rows",
                hint="sqlite_execute runs statements that write.",
                database=str(database),
                statement=sql,
            )
        names = [column[0] for column in cursor.description]
        rows = named_rows(names, cursor.fetchall(), sql)
    return typed_rows(rows, row_type, sql, json_columns=False)


sqlite_query = cast(QueryBlock, shown(_sqlite_query))


@block
def sqlite_execute(
    database: str | Path,
    sql: str,
    parameters: Parameters = (),
    *,
    many: Sequence[Parameters] | None = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> ExecuteResult:
    """Runs one statement on a SQLite file, which is made where it is missing.

    Args:
        database: The file.
        sql: One statement; ``?`` or ``:name`` stand for parameters.
        parameters: Their values, as in ``sqlite_query``.
        many: Instead of ``parameters``: one set for each run of the statement, all in one transaction.
        lock_timeout_s: How long to wait for another process's lock.

    Raises:
        DatabaseLocked: Another process held the file all that time.
        SqlError: The statement failed; nothing of it is in the file.
    """
    if many is not None and parameters:
        raise SqlError("Both parameters and many are given", hint="Give one.", statement=sql)
    with _connected(database, sql, lock_timeout_s, writes=True) as connection:
        within = connection.in_transaction
        before = connection.total_changes
        if many is None:
            cursor = connection.execute(sql, _plain(parameters))
            cursor.fetchall()  # a RETURNING statement works only as far as it is read
        else:
            with _whole(connection):
                cursor = connection.executemany(sql, [_plain(one) for one in many])
        if connection.in_transaction and not within:
            raise SqlError(
                "The statement opened a transaction, which ends with this call; nothing was changed",
                hint="Leave BEGIN out: each statement, and each `many`, is one transaction.",
                database=str(database),
                statement=sql,
            )
        rows = connection.total_changes - before
    return ExecuteResult(rows=rows, last_row_id=cursor.lastrowid if rows else None)


@block
def sqlite_insert(
    database: str | Path,
    table: str,
    rows: Sequence[Any],
    *,
    row_type: Any = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> InsertResult:
    """Inserts rows into a table of a SQLite file, all of them or none.

    File and table are made where they are missing; columns follow the row type. Dates and times become ISO text,
    Decimal and UUID text, lists and records JSON: ``sqlite_query`` with the same ``row_type`` gives equal rows.

    Args:
        database: The file.
        table: The table's name, as it is: it is quoted.
        rows: Dataclasses, pydantic models, named tuples, or dicts.
        row_type: The rows' type, for TypedDicts and for rows that may be none. Without it the first row's class
            counts; plain dicts get the columns that their values show.
        lock_timeout_s: How long to wait for another process's lock.

    Raises:
        DatabaseLocked: Another process held the file all that time.
        SqlError: A row does not fit, or the table has other columns. Nothing was inserted.
    """
    statement = f"INSERT INTO {quoted(table)}"
    if not table or "\0" in table:
        raise SqlError(f"{table!r} is no name of a table", database=str(database))
    columns = columns_for(rows, row_type)
    if not columns:  # no rows, and no type that would say what a table of them looks like
        return InsertResult(str(database), table, 0, created=False)
    values = [_column_values(column, rows) for column in columns]
    with _connected(database, statement, lock_timeout_s, writes=True) as connection, _whole(connection):
        created = _prepare_table(connection, table, columns, str(database))
        names = ", ".join(quoted(column.name) for column in columns)
        marks = ", ".join("?" * len(columns))
        connection.executemany(f"{statement} ({names}) VALUES ({marks})", zip(*values, strict=True))
    return InsertResult(str(database), table, len(rows), created)


def _prepare_table(
    connection: sqlite3.Connection, table: str, columns: Sequence[Column], database: str
) -> bool:
    """Makes the table, or checks the one that is there; True when it was made."""
    found = connection.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
    if not found:
        definitions = ", ".join(
            f"{quoted(c.name)} {_TYPES.get(c.shape.sql.partition('(')[0], '')}{'' if c.nullable else ' NOT NULL'}"
            for c in columns
        )
        connection.execute(f"CREATE TABLE {quoted(table)} ({definitions})")
        return True
    ours, theirs = {c.name.lower() for c in columns}, {name.lower() for _, name, *_ in found}
    odd = [f"{c.name} is missing in the table" for c in columns if c.name.lower() not in theirs]
    for _, name, _, not_null, default, key in found:
        if name.lower() not in ours and not_null and default is None and not key:
            odd.append(f"{name}, which may not be null, is missing in the rows")
    if odd:
        raise SqlError(
            f"Table {table!r} of {database} has other columns: {'; '.join(odd)}",
            hint="Insert into another table, or alter this one.",
            database=database,
        )
    return False


def _column_values(column: Column, rows: Sequence[Any]) -> list[Any]:
    """One column as SQLite keeps it, each value checked against the column's shape."""
    values, shape = column.values(rows), column.shape
    if isinstance(shape, ScalarShape) and shape.fits_as_it_is(values):
        return values if shape.convert is None else [_value(value) for value in values]
    encoded(values, column)
    # Of values that are kept as JSON a text is JSON too: it could not be told from other JSON else.
    return [
        json.dumps(v) if isinstance(shape, JsonShape) and isinstance(v, str) else _value(v) for v in values
    ]


@contextmanager
def _whole(connection: sqlite3.Connection) -> Iterator[None]:
    """All of several statements or none, on a connection that is in no transaction of its own."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("COMMIT")


@contextmanager
def _connected(
    database: str | Path, statement: str, lock_timeout_s: float, *, writes: bool
) -> Iterator[sqlite3.Connection]:
    """A connection, in a transaction that of it; else each statement is final. Its errors leave as Conduit's."""
    name = str(database)
    try:
        part = _part(name, statement, lock_timeout_s, writes=writes)
        if part is not None:
            with part.piece() as connection:
                yield connection
        else:
            with closing(_open(name, lock_timeout_s, create=writes)) as connection:
                yield connection
    except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError, ValueError) as error:
        raise _typed(error, name, statement, lock_timeout_s) from error


class _Open:
    """A file that stays open until the transaction around the blocks ends."""

    may_refuse = True

    def __init__(self, name: str, statement: str, lock_timeout_s: float) -> None:
        self.name = name
        self._statement, self._lock_timeout_s = statement, lock_timeout_s
        self._lock = threading.Lock()
        self._connection = _open(name, lock_timeout_s, create=True)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._connection.close()
            raise

    @contextmanager
    def piece(self) -> Iterator[sqlite3.Connection]:
        """The connection for one block, whose changes are undone alone when it fails."""
        with self._lock:
            connection = self._connection
            if not connection.in_transaction:
                raise sqlite3.OperationalError("an earlier error ended the transaction, and undid it")
            connection.execute("SAVEPOINT conduit")
            connection.set_authorizer(_no_transactions)
            try:
                yield connection
            except BaseException:
                connection.set_authorizer(None)
                with suppress(sqlite3.Error):  # a full disk has ended the transaction itself
                    connection.execute("ROLLBACK TO conduit")
                    connection.execute("RELEASE conduit")
                raise
            connection.set_authorizer(None)
            connection.execute("RELEASE conduit")

    def prepare(self) -> None:
        if not self._connection.in_transaction:
            raise SqlError(f"{self.name}: an error ended the transaction, and undid it", database=self.name)

    def commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _typed(error, self.name, self._statement, self._lock_timeout_s) from error
        self._connection.close()

    def rollback(self) -> None:
        # Closing undoes what was not committed.
        self._connection.close()


def _part(name: str, statement: str, lock_timeout_s: float, *, writes: bool) -> _Open | None:
    if name == ":memory:":
        return None
    key = ("sqlite", str(Path(name).expanduser().absolute()))
    if not writes:
        return known(key, _Open)
    scope = transactions.current()
    return None if scope is None else scope.part(key, lambda: _Open(name, statement, lock_timeout_s))


def _no_transactions(action: int, *_: str | None) -> int:
    # A COMMIT within would take the surrounding transaction's end out of its hands.
    return sqlite3.SQLITE_DENY if action in (_TRANSACTION, _SAVEPOINT) else sqlite3.SQLITE_OK


def _open(name: str, lock_timeout_s: float, *, create: bool) -> sqlite3.Connection:
    if name == ":memory:":
        return sqlite3.connect(name, isolation_level=None, check_same_thread=False)
    path = Path(name).expanduser().absolute()
    uri = f"file:{urllib.parse.quote(str(path))}?mode={'rwc' if create else 'rw'}"
    # A transaction may end in another thread than that of the block which opened the file.
    return sqlite3.connect(
        uri, timeout=max(0.0, lock_timeout_s), isolation_level=None, uri=True, check_same_thread=False
    )


def _typed(error: Exception, database: str, statement: str, lock_timeout_s: float) -> SqlError:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _BUSY:
        return DatabaseLocked(
            f"{database} stayed locked by another connection for {lock_timeout_s:g} s",
            hint="Wait for the other writer, or give a larger lock_timeout_s.",
            database=database,
            statement=statement,
        )
    hint = None
    if code == sqlite3.SQLITE_AUTH:
        hint = "In a transaction a statement cannot begin or end one."
    elif code == sqlite3.SQLITE_CANTOPEN:
        folder = Path(database).expanduser().absolute().parent
        hint = "sqlite_execute makes it." if folder.is_dir() else f"There is no folder {folder}."
    elif code is not None and code & 0xFF == sqlite3.SQLITE_READONLY:
        hint = "sqlite_query only reads; sqlite_execute writes, where the file's permissions allow it."
    return SqlError(f"{database}: {error}", hint=hint, database=database, statement=statement)


def _plain(parameters: Parameters) -> Sequence[Any] | Mapping[str, Any]:
    if isinstance(parameters, Mapping):
        return {name: _value(value) for name, value in parameters.items()}
    return [_value(value) for value in parameters]


def _value(value: Any) -> Any:
    """A value as SQLite keeps it. Python's own adapters for dates are deprecated, so this is explicit."""
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Decimal | uuid.UUID | PurePath | AnyUrl):
        return str(value)
    if isinstance(value, dt.timedelta):
        return to_json(value).decode().strip('"')
    try:
        return to_json(value, by_alias=False, bytes_mode="base64", inf_nan_mode="strings").decode()
    except PydanticSerializationError as error:
        raise ValueError(f"a parameter of type {type(value).__name__} has no form in SQLite") from error
