"""Blocks on a DuckDB file: read rows, insert typed rows in bulk. Values are parameters, never part of the SQL text.

Each call opens the file and closes it: DuckDB lets one process write, or several read, and a block holds the file
only while it works. A file held by another process is waited for, then a ``DatabaseLocked`` names the holder.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import duckdb
from pydantic_core import PydanticSerializationError, to_json

from conduit.blocks.columns import Column, columns_for, encoded
from conduit.blocks.records import LOCK_TIMEOUT_S, InsertResult, Parameters, named_rows, typed_rows
from conduit.blocks.shapes import TEXT, ScalarShape, quoted
from conduit.blocks.signatures import QueryBlock, shown
from conduit.blocks.taking_part import known
from conduit.dataflow import block, transactions
from conduit.errors import DatabaseLocked, SqlError

R = TypeVar("R")
BATCH_ROWS = 20_000
_POLL_S = 0.05
_READING = frozenset({"SELECT", "EXPLAIN", "MULTI", "PRAGMA", "CALL"})  # MULTI: what PIVOT becomes
_INTEGERS = frozenset(
    {
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "HUGEINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "UHUGEINT",
    }
)


def _duckdb_query(
    database: str | Path,
    sql: str,
    parameters: Parameters = (),
    *,
    row_type: Any = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> list[Any]:
    """Reads rows from a DuckDB file.

    Args:
        database: The file, which must exist, or ``:memory:`` for queries on other files.
        sql: One statement that reads; ``?`` or ``$name`` stand for parameters.
        parameters: Their values, in order or by name.
        row_type: A record type for the rows, or the type of the only column's values; dicts without it.
        lock_timeout_s: How long to wait for another process's lock.

    Raises:
        DatabaseLocked: Another process held the file all that time.
        SqlError: The statement failed, writes, or gives rows that do not fit.
    """

    def read_own(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
        _check_reading(connection, sql, str(database))
        cursor = connection.execute(sql, parameters or None)
        names = [column[0] for column in cursor.description or ()]
        return named_rows(names, cursor.fetchall(), sql)

    def read(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
        # The file may be open for writing elsewhere in this process; the transaction keeps the promise anyway.
        connection.execute("BEGIN TRANSACTION READ ONLY")
        return read_own(connection)

    target = _Target(str(database), sql, lock_timeout_s)
    own = known(("duckdb", target.path), _Open)
    rows = own.run(read_own, target) if own else _patiently(target, read, read_only=True)
    return typed_rows(rows, row_type, sql, json_columns=True)


duckdb_query = cast(QueryBlock, shown(_duckdb_query))


@block
def duckdb_insert(
    database: str | Path,
    table: str,
    rows: Sequence[Any],
    *,
    row_type: Any = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> InsertResult:
    """Inserts rows into a table of a DuckDB file, all of them or none.

    File and table are made where they are missing; the table's columns follow the row type: Optional fields may
    be null; lists, mappings and nested records become LIST, MAP and STRUCT. A plain ``datetime`` with a time zone
    is kept as UTC in a TIMESTAMP; annotate ``pydantic.AwareDatetime`` for a column with a time zone. A plain
    ``Decimal`` has 10 places; ``Field(max_digits=…, decimal_places=…)`` says otherwise.

    Args:
        database: The file.
        table: The table's name, as it is: it is quoted.
        rows: Dataclasses, pydantic models, named tuples, or dicts.
        row_type: The rows' type, for TypedDicts and for rows that may be none. Without it the first row's class
            counts; plain dicts get the columns that their values show.
        lock_timeout_s: How long to wait for another process's lock.

    Raises:
        DatabaseLocked: Another process held the file all that time.
        SqlError: A row does not fit, or the table exists with other columns. Nothing was inserted.
    """
    target = _Target(str(database), f"INSERT INTO {quoted(table)}", lock_timeout_s)
    if not table or "\0" in table:
        raise SqlError(f"{table!r} is no name of a table", database=target.database)
    columns = columns_for(rows, row_type)
    if not columns:  # no rows, and no type that would say what a table of them looks like
        return InsertResult(target.database, table, 0, created=False)

    def insert(connection: duckdb.DuckDBPyConnection) -> InsertResult:
        created = _prepare_table(connection, table, columns, target)
        insert_rows(connection, table, columns, rows)
        return InsertResult(target.database, table, len(rows), created)

    return _written(target, insert)


@dataclass(frozen=True)
class _Target:
    database: str
    statement: str
    lock_timeout_s: float

    @property
    def path(self) -> str:
        return (
            self.database if self.database == ":memory:" else str(Path(self.database).expanduser().absolute())
        )


class _Open:
    """A file that stays open until the transaction around the blocks ends."""

    may_refuse = True

    def __init__(self, target: _Target) -> None:
        self.name = target.database
        self._target = target
        self._lock = threading.Lock()
        self._failed = False
        self._connection = _again(lambda: _open(target.path, read_only=False), target)
        self._connection.execute("BEGIN TRANSACTION")

    def run(self, work: Callable[[duckdb.DuckDBPyConnection], R], target: _Target) -> R:
        """Does the work within the transaction."""
        with self._lock:
            self._check()
            try:
                return work(self._connection)
            except duckdb.Error as error:
                raise _typed(error, target) from error

    def write(self, work: Callable[[duckdb.DuckDBPyConnection], R], target: _Target) -> R:
        """As ``run``. DuckDB has no savepoints: work that fails takes the whole transaction with it."""
        try:
            return self.run(work, target)
        except BaseException:
            self._failed = True
            raise

    def prepare(self) -> None:
        self._check()

    def commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except duckdb.Error as error:
            raise _typed(error, self._target) from error
        self._connection.close()

    def rollback(self) -> None:
        # Closing undoes what was not committed.
        with suppress(duckdb.Error):
            self._connection.close()

    def _check(self) -> None:
        if self._failed:
            raise SqlError(
                f"{self.name}: a block in this transaction has failed, and DuckDB cannot keep the rest of it",
                hint="Let the block's error end the transaction.",
                database=self.name,
            )


def _written(target: _Target, work: Callable[[duckdb.DuckDBPyConnection], R]) -> R:
    """Does work that writes in a database transaction, which is the surrounding one's where there is one."""

    def alone(connection: duckdb.DuckDBPyConnection) -> R:
        connection.execute("BEGIN TRANSACTION")
        result = work(connection)
        connection.execute("COMMIT")
        return result

    scope = None if target.database == ":memory:" else transactions.current()
    if scope is None:
        return _patiently(target, alone, read_only=False)
    return scope.part(("duckdb", target.path), lambda: _Open(target)).write(work, target)


def _prepare_table(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[Column], target: _Target
) -> bool:
    """Makes the table, or checks the one that is there; True when it was made."""
    found = connection.execute(
        "SELECT column_name, data_type, is_nullable OR column_default IS NOT NULL FROM duckdb_columns()"
        " WHERE lower(table_name) = lower(?) AND schema_name = current_schema()"
        " AND database_name = current_database()",
        [table],
    ).fetchall()
    if not found:
        definitions = ", ".join(
            f"{quoted(column.name)} {column.shape.sql}{'' if column.nullable else ' NOT NULL'}"
            for column in columns
        )
        connection.execute(f"CREATE TABLE {quoted(table)} ({definitions})")
        return True
    there = {name.lower(): (name, kind) for name, kind, _ in found}
    ours = _types(connection, columns)
    differences = [f"{name} is missing in the rows" for key, (name, _) in there.items() if key not in ours]
    for column in columns:
        kind = ours[column.name.lower()]
        if column.name.lower() not in there:
            differences.append(f"{column.name} ({kind}) is missing in the table")
        elif not _fits(column, kind, there[column.name.lower()][1]):
            differences.append(
                f"{column.name} is {there[column.name.lower()][1]} in the table, {kind} in the rows"
            )
    if differences:
        raise SqlError(
            f"Table {table!r} of {target.database} has other columns: {'; '.join(differences)}",
            hint="Insert into another table, or alter this one.",
            database=target.database,
            statement=target.statement,
        )
    return False


def _types(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> dict[str, str]:
    """The columns' types as DuckDB writes them, by lower-case name."""
    casts = ", ".join(f"CAST(NULL AS {column.shape.sql}) AS {quoted(column.name)}" for column in columns)
    described = connection.execute(f"DESCRIBE SELECT {casts}").fetchall()
    return {name.lower(): kind for name, kind, *_ in described}


def _fits(column: Column, ours: str, theirs: str) -> bool:
    """Whether DuckDB takes our values into that type without changing any silently."""
    if ours == theirs or (column.inferred and column.shape is TEXT):
        return True
    if ours == "BIGINT":
        return theirs in _INTEGERS or (column.inferred and theirs == "DOUBLE")
    if ours == "VARCHAR":
        return theirs.startswith("ENUM(")
    ours_decimal, theirs_decimal = (re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind) for kind in (ours, theirs))
    if ours_decimal and theirs_decimal:
        (digits, places), (their_digits, their_places) = (
            map(int, found.groups()) for found in (ours_decimal, theirs_decimal)
        )
        return their_places >= places and their_digits - their_places >= digits - places
    return False


def insert_rows(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Sequence[Column],
    rows: Sequence[Any],
    first: int = 0,
) -> None:
    """Inserts rows, the next ones being prepared while DuckDB takes those before them.

    Raises:
        SqlError: A row does not fit; ``first`` is the number of the first of these rows.
    """
    # As parameters in place the lists would be constants to DuckDB, which it works out one boxed value at a time.
    given = ", ".join(f"?::VARCHAR AS c{n}" for n in range(len(columns)))
    values = ", ".join(
        f"unnest(CAST({f'c{n}::JSON' if c.shape.wire == c.shape.sql else f'CAST(c{n}::JSON AS {c.shape.wire}[])'}"
        f" AS {c.shape.sql}[]))"
        for n, c in enumerate(columns)
    )
    names = ", ".join(quoted(column.name) for column in columns)
    into = f"INSERT INTO {quoted(table)} ({names})"
    statement = f"{into} WITH given AS MATERIALIZED (SELECT {given}) SELECT {values} FROM given"  # noqa: S608 # quoted
    with ThreadPoolExecutor(1, thread_name_prefix="conduit-duckdb") as inserter:
        pending: Future[Any] | None = None
        for start in range(0, len(rows), BATCH_ROWS):
            batch = rows[start : start + BATCH_ROWS]
            texts = [_column_text(column, batch, first + start) for column in columns]
            if pending is not None:
                pending.result()
            pending = inserter.submit(connection.execute, statement, texts)
        if pending is not None:
            pending.result()


def _column_text(column: Column, rows: Sequence[Any], first: int) -> str:
    """One column of a batch as a JSON list: DuckDB reads that some 400 times faster than row parameters."""
    name, shape = column.name, column.shape
    values = column.values(rows)
    try:
        if not (isinstance(shape, ScalarShape) and shape.fits_as_it_is(values)):
            values = encoded(values, column, first)
        return to_json(values, inf_nan_mode="strings").decode()
    except (PydanticSerializationError, UnicodeError) as error:
        raise SqlError(f"Column {name!r}: {error}", hint="Text must be valid Unicode.") from error


def _check_reading(connection: duckdb.DuckDBPyConnection, sql: str, database: str) -> None:
    statements = connection.extract_statements(sql)
    kinds = [statement.type.name for statement in statements]
    if len(kinds) != 1 or kinds[0] not in _READING:
        raise SqlError(
            f"duckdb_query runs one statement that reads, not {' and '.join(kinds) or 'none'}",
            hint="duckdb_insert writes rows.",
            database=database,
            statement=sql,
        )


def _patiently(target: _Target, work: Callable[[duckdb.DuckDBPyConnection], R], *, read_only: bool) -> R:
    """Does the work on a connection, again while others are in the way and time is left."""

    def attempt() -> R:
        connection = _open(target.path, read_only=read_only)
        try:
            return work(connection)
        finally:
            # Closing undoes what was not committed.
            with suppress(duckdb.Error):
                connection.close()

    return _again(attempt, target)


def _again(attempt: Callable[[], R], target: _Target) -> R:
    deadline = time.monotonic() + target.lock_timeout_s
    while True:
        try:
            return attempt()
        except duckdb.Error as error:
            if not _in_the_way(error):
                raise _typed(error, target) from error
            if time.monotonic() >= deadline:
                raise _locked(error, target) from error
        time.sleep(_POLL_S)


def _open(path: str, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    memory = path == ":memory:"
    try:
        connection = duckdb.connect(path, read_only=read_only and not memory)
    except duckdb.ConnectionException:
        # This process has the file open for writing: then reading goes through the same door.
        if not read_only:
            raise
        connection = duckdb.connect(path)
    # Times without a zone mean UTC, whatever the machine's zone is.
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _in_the_way(error: duckdb.Error) -> bool:
    """Whether waiting can help: a lock of another process, or a clash with a thread of this one."""
    # Two threads opened the file in the same moment, or one while the other was closing it.
    if "Unique file handle conflict" in str(error):
        return True
    if isinstance(error, duckdb.IOException):
        return "lock on file" in str(error)
    if isinstance(error, duckdb.ConnectionException):
        return "different configuration" in str(error)
    return isinstance(error, duckdb.TransactionException) and "onflict" in str(error)


def _locked(error: duckdb.Error, target: _Target) -> DatabaseLocked:
    found = re.search(r"held in (.+?) \(PID (\d+)\)", str(error))
    who = f"process {found[2]} ({found[1]})" if found else "another connection"
    return DatabaseLocked(
        f"{target.database} is locked by {who}, for {target.lock_timeout_s:g} s and longer",
        hint="End that process or let it close the file; lock_timeout_s is how long to wait for it.",
        database=target.database,
        statement=target.statement,
        holder_pid=int(found[2]) if found else None,
    )


def _typed(error: duckdb.Error, target: _Target) -> SqlError:
    text = " ".join(str(error).split("\n\nLINE")[0].split())
    hint = None
    if "database does not exist" in text:
        hint = "Check the path; duckdb_insert makes the file."
    elif "read-only" in text:
        hint = "duckdb_query only reads; duckdb_insert writes rows."
    elif isinstance(error, duckdb.ConversionException | duckdb.ConstraintException):
        hint = "The whole statement was undone."
    return SqlError(
        f"{target.database}: {text}", hint=hint, database=target.database, statement=target.statement
    )
