"""Blocks on a SQLite file: read rows, run statements. Values are parameters, never part of the SQL text.

Each call opens the file and closes it, so that threads and processes share it by SQLite's own locks.
"""

from __future__ import annotations

import datetime as dt
import enum
import sqlite3
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any, cast

from pydantic_core import PydanticSerializationError, to_json

from conduit.blocks.records import LOCK_TIMEOUT_S, Parameters, QueryBlock, named_rows, typed_rows
from conduit.dataflow import block
from conduit.errors import DatabaseLocked, SqlError

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


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
    with _connected(database, sql, lock_timeout_s, create=False) as connection:
        connection.execute("PRAGMA query_only = ON")
        cursor = connection.execute(sql, _plain(parameters))
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


sqlite_query = cast(QueryBlock, block(name="sqlite_query")(_sqlite_query))


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
    with _connected(database, sql, lock_timeout_s, create=True) as connection:
        before = connection.total_changes
        if many is None:
            cursor = connection.execute(sql, _plain(parameters))
            cursor.fetchall()  # a RETURNING statement works only as far as it is read
        else:
            connection.execute("BEGIN IMMEDIATE")
            cursor = connection.executemany(sql, [_plain(one) for one in many])
            connection.execute("COMMIT")
        if connection.in_transaction:
            raise SqlError(
                "The statement opened a transaction, which ends with this call; nothing was changed",
                hint="Leave BEGIN out: each statement, and each `many`, is one transaction.",
                database=str(database),
                statement=sql,
            )
        rows = connection.total_changes - before
    return ExecuteResult(rows=rows, last_row_id=cursor.lastrowid if rows else None)


@contextmanager
def _connected(
    database: str | Path, statement: str, lock_timeout_s: float, *, create: bool
) -> Iterator[sqlite3.Connection]:
    """A connection that commits each statement by itself; its errors leave as Conduit's."""
    name = str(database)
    try:
        with closing(_open(name, lock_timeout_s, create=create)) as connection:
            yield connection
    except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError, ValueError) as error:
        raise _typed(error, name, statement, lock_timeout_s) from error


def _open(name: str, lock_timeout_s: float, *, create: bool) -> sqlite3.Connection:
    if name == ":memory:":
        return sqlite3.connect(name, isolation_level=None)
    path = Path(name).expanduser().absolute()
    uri = f"file:{urllib.parse.quote(str(path))}?mode={'rwc' if create else 'rw'}"
    return sqlite3.connect(uri, timeout=max(0.0, lock_timeout_s), isolation_level=None, uri=True)


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
    if code == sqlite3.SQLITE_CANTOPEN:
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
    if isinstance(value, Decimal | uuid.UUID | PurePath):
        return str(value)
    try:
        return to_json(value, by_alias=False, bytes_mode="base64", inf_nan_mode="strings").decode()
    except PydanticSerializationError as error:
        raise ValueError(f"a parameter of type {type(value).__name__} has no form in SQLite") from error
