"""Blocks on a Postgres database: read rows, run statements, insert typed rows in bulk. Values are parameters.

Where the database is stands in an environment variable, or in a URL that is a ``SecretStr``: its password is in no
message, log or task. Each call opens a connection and closes it; in a transaction it stays open until that ends.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from pydantic import SecretStr
from pydantic_core import to_json

from conduit.blocks.columns import Column, columns_for, encoded
from conduit.blocks.records import InsertResult, Parameters, named_rows, typed_rows
from conduit.blocks.shapes import ListShape, ScalarShape, Shape, quoted
from conduit.blocks.signatures import ServerQueryBlock, shown
from conduit.blocks.sqlite import ExecuteResult
from conduit.blocks.taking_part import known
from conduit.dataflow import block, transactions
from conduit.errors import DatabaseLocked, SqlError
from conduit.optional import require

TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 10
_CONTROL = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(begin|start|commit|end|rollback|abort|savepoint|release|prepare\s+transaction)\b",
    re.IGNORECASE | re.DOTALL,
)
_TYPES = {
    "BIGINT": "bigint",
    "DOUBLE": "double precision",
    "BOOLEAN": "boolean",
    "BLOB": "bytea",
    "VARCHAR": "text",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "DATE": "date",
    "TIME": "time",
    "INTERVAL": "interval",
    "UUID": "uuid",
}


def _postgres_query(
    database: str | SecretStr,
    sql: str,
    parameters: Parameters = (),
    *,
    row_type: Any = None,
    timeout_s: float = TIMEOUT_S,
) -> list[Any]:
    """Reads rows from a Postgres database.

    Args:
        database: The name of an environment variable that holds the URL, or the URL as a ``SecretStr``.
        sql: One statement that reads; ``%s`` or ``%(name)s`` stand for parameters. With parameters a percent sign
            is written ``%%``.
        parameters: Their values, in order or by name.
        row_type: A record type for the rows, or the type of the only column's values; dicts without it.
        timeout_s: Limit of the statement, waiting for locks included.

    Raises:
        DatabaseLocked: It waited for a lock all that time.
        SqlError: The database cannot be reached, the statement failed, writes, or gives rows that do not fit.
    """
    target = _Target(database, sql, timeout_s)
    own = known(target.key, _Open)
    with target.typed(), own.piece(timeout_s, keep=False) if own else _alone(target) as connection:
        connection.execute("SET TRANSACTION READ ONLY")
        cursor = connection.execute(sql, _plain(parameters))
        if cursor.description is None:
            raise SqlError(
                "The statement gives no rows",
                hint="postgres_execute runs statements that write.",
                database=target.shown,
                statement=sql,
            )
        rows = named_rows([column.name for column in cursor.description], cursor.fetchall(), sql)
    return typed_rows(rows, row_type, sql, json_columns=None)


postgres_query = cast(ServerQueryBlock, shown(_postgres_query))


@block
def postgres_execute(
    database: str | SecretStr,
    sql: str,
    parameters: Parameters = (),
    *,
    many: Sequence[Parameters] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> ExecuteResult:
    """Runs one statement on a Postgres database; ``last_row_id`` of the result is always None.

    Args:
        database: The name of an environment variable that holds the URL, or the URL as a ``SecretStr``.
        sql: One statement; ``%s`` or ``%(name)s`` stand for parameters.
        parameters: Their values, as in ``postgres_query``.
        many: Instead of ``parameters``: one set for each run of the statement, all in one transaction.
        timeout_s: Limit of one run of the statement, waiting for locks included.

    Raises:
        DatabaseLocked: It waited for a lock all that time.
        SqlError: The statement failed; nothing of it is in the database.
    """
    if many is not None and parameters:
        raise SqlError("Both parameters and many are given", hint="Give one.", statement=sql)
    target = _Target(database, sql, timeout_s)
    if _CONTROL.match(sql):
        raise SqlError(
            "A statement cannot begin or end a transaction",
            hint="Each statement, and each `many`, is one; `with transaction():` makes one of several blocks.",
            database=target.shown,
            statement=sql,
        )
    with _writing(target) as connection:
        if many is None:
            rows = connection.execute(sql, _plain(parameters)).rowcount
        else:
            cursor = connection.cursor()
            cursor.executemany(sql, [_plain(one) or () for one in many])
            rows = cursor.rowcount
    return ExecuteResult(rows=max(0, rows), last_row_id=None)


@block
def postgres_insert(
    database: str | SecretStr,
    table: str,
    rows: Sequence[Any],
    *,
    row_type: Any = None,
    timeout_s: float = TIMEOUT_S,
) -> InsertResult:
    """Inserts rows into a table of a Postgres database with COPY, all of them or none.

    The table is made where it is missing; its columns follow the row type: Optional fields may be null, lists of
    plain values become arrays, records and mappings jsonb. ``postgres_query`` with the same ``row_type`` gives
    equal rows.

    Args:
        database: The name of an environment variable that holds the URL, or the URL as a ``SecretStr``.
        table: The table's name, as it is: it is quoted; it is looked for where the database's search path says.
        rows: Dataclasses, pydantic models, named tuples, or dicts.
        row_type: The rows' type, for TypedDicts and for rows that may be none. Without it the first row's class
            counts; plain dicts get the columns that their values show.
        timeout_s: Limit of the whole insert, waiting for locks included.

    Raises:
        DatabaseLocked: It waited for a lock all that time.
        SqlError: A row does not fit, or the table has other columns. Nothing was inserted.
    """
    target = _Target(database, f"COPY {quoted(table)}", timeout_s)
    if not table or "\0" in table:
        raise SqlError(f"{table!r} is no name of a table", database=target.shown)
    columns = columns_for(rows, row_type)
    if not columns:  # no rows, and no type that would say what a table of them looks like
        return InsertResult(target.shown, table, 0, created=False)
    types = [_type(column.shape) for column in columns]
    values = [_column_values(column, kind, rows) for column, kind in zip(columns, types, strict=True)]
    with _writing(target) as connection:
        found = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
            [quoted(table)],
        ).fetchall()
        there = {name: kind.partition("(")[0] for name, kind in found}
        if not there:
            definitions = ", ".join(
                f"{quoted(column.name)} {kind}{'' if column.nullable else ' NOT NULL'}"
                for column, kind in zip(columns, types, strict=True)
            )
            connection.execute(f"CREATE TABLE {quoted(table)} ({definitions})")
        elif odd := [column.name for column in columns if column.name not in there]:
            raise SqlError(
                f"Table {table!r} of {target.shown} lacks columns: {', '.join(odd)}",
                hint="Insert into another table, or alter this one.",
                database=target.shown,
                statement=target.statement,
            )
        names = ", ".join(quoted(column.name) for column in columns)
        cursor = connection.cursor()
        with cursor.copy(f"COPY {quoted(table)} ({names}) FROM STDIN") as copy:
            for row in zip(*values, strict=True):
                copy.write_row(row)
    return InsertResult(target.shown, table, len(rows), created=not there)


class _Target:
    """Where a statement runs, and how that may be shown."""

    def __init__(self, database: str | SecretStr, statement: str, timeout_s: float) -> None:
        self.psycopg = require("psycopg", extra="postgres", user="A postgres block")
        self.statement, self.timeout_s = statement, timeout_s
        if timeout_s <= 0:
            raise SqlError(f"timeout_s={timeout_s:g}", hint="It is above 0.", statement=statement)
        if isinstance(database, SecretStr):
            url = database.get_secret_value()
        elif "://" in database:
            raise SqlError(
                "The database is given as a plain text with its URL, which may be shown anywhere",
                hint="Give SecretStr(url), or the name of an environment variable that holds the URL.",
            )
        elif database in os.environ:
            url = os.environ[database]
        else:
            raise SqlError(
                f"There is no environment variable {database[:80]!r}",
                hint="Set it to the database's URL, such as postgresql://user:password@host/name.",
            )
        # SQLAlchemy's way of naming the driver, which Conduit's own settings take.
        self.url = re.sub(r"^postgresql\+\w+://", "postgresql://", url)
        try:
            parts = self.psycopg.conninfo.conninfo_to_dict(self.url)
        except self.psycopg.Error:
            raise SqlError(  # without its cause, which quotes the URL
                "The database's URL cannot be read",
                hint="Write postgresql://user:password@host:port/name; in a password %40, %2F, %3A for @, /, :.",
            ) from None
        self._password = str(parts.get("password") or "")
        self.shown = f"{parts.get('dbname', 'the default database')} at {parts.get('host', 'this machine')}"
        self.key = ("postgres", self.url)

    @contextmanager
    def typed(self) -> Iterator[None]:
        """Raises psycopg's errors as Conduit's."""
        try:
            yield
        except (self.psycopg.Error, UnicodeError) as error:
            raise self.error(error) from self._cause(error)

    def error(self, error: Exception) -> SqlError:
        """A driver's error as Conduit's."""
        code: str = getattr(error, "sqlstate", None) or ""
        if code in ("55P03", "57014"):
            return DatabaseLocked(
                f"{self.shown}: the statement did not end in {self.timeout_s:g} s",
                hint="Another connection may hold a lock; look into pg_stat_activity, or give a larger timeout_s.",
                database=self.shown,
                statement=self.statement,
            )
        hint = None
        if code == "25006":
            hint = "postgres_query only reads; postgres_execute writes."
        elif not code and isinstance(error, self.psycopg.OperationalError):
            hint = "Check the URL, the password, and whether the server runs."
        elif code.startswith(("22", "23")):
            hint = "Nothing of it is in the database."
        return SqlError(
            f"{self.shown}: {self._without_password(' '.join(str(error).split()))}",
            hint=hint,
            database=self.shown,
            statement=self.statement,
        )

    def _cause(self, error: Exception) -> Exception | None:
        # An error of a connection that failed holds that connection, with the password.
        hidden = getattr(error, "pgconn", None) is not None or (
            self._password and self._password in str(error)
        )
        return None if hidden else error

    def _without_password(self, text: str) -> str:
        return text.replace(self._password, "***") if self._password else text


class _Open:
    """A connection that stays open until the transaction around the blocks ends."""

    may_refuse = True

    def __init__(self, target: _Target) -> None:
        self.name = target.shown
        self._target = target
        self._lock = threading.Lock()
        self._connection = _connect(target)

    @contextmanager
    def piece(self, timeout_s: float, *, keep: bool = True) -> Iterator[Any]:
        """The connection for one block, whose changes are undone alone when it fails or does not ``keep`` them."""
        with self._lock, self._connection.transaction(force_rollback=not keep):
            _limit(self._connection, timeout_s)
            yield self._connection

    def prepare(self) -> None:
        # What the database would check at the end it checks now, while everything can still be undone.
        with self._target.typed():
            self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")

    def commit(self) -> None:
        with self._target.typed():
            self._connection.commit()
        self._connection.close()

    def rollback(self) -> None:
        with suppress(self._target.psycopg.Error):
            self._connection.rollback()
        self._connection.close()


@contextmanager
def _writing(target: _Target) -> Iterator[Any]:
    """A connection in a database transaction, which is the surrounding one's where there is one."""
    scope = transactions.current()
    with target.typed():
        if scope is None:
            with _alone(target) as connection:
                yield connection
        else:
            part = scope.part(target.key, lambda: _Open(target))
            with part.piece(target.timeout_s) as connection:
                yield connection


@contextmanager
def _alone(target: _Target) -> Iterator[Any]:
    # Leaving it commits, or undoes after an error, and closes.
    with _connect(target) as connection:
        _limit(connection, target.timeout_s)
        yield connection


def _connect(target: _Target) -> Any:
    connection = target.psycopg.connect(
        target.url, connect_timeout=CONNECT_TIMEOUT_S, application_name="conduit"
    )
    # Times without a zone mean UTC, whatever the server's zone is.
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _limit(connection: Any, timeout_s: float) -> None:
    connection.execute(
        "SELECT set_config('statement_timeout', %s, true)", [str(max(1, round(timeout_s * 1000)))]
    )


def _plain(parameters: Parameters) -> Sequence[Any] | Mapping[str, Any] | None:
    """Parameters as psycopg takes them; None lets a percent sign be one."""
    if not parameters:
        return None
    if isinstance(parameters, Mapping):
        return {name: _parameter(value) for name, value in parameters.items()}
    return [_parameter(value) for value in parameters]


def _parameter(value: Any) -> Any:
    if isinstance(value, dict) or hasattr(value, "__dataclass_fields__") or hasattr(value, "model_dump"):
        return to_json(value, by_alias=False).decode()
    return value


def _type(shape: Shape) -> str:
    if isinstance(shape, ScalarShape):
        return _TYPES.get(shape.sql) or shape.sql.replace("DECIMAL", "numeric")
    if isinstance(shape, ListShape) and isinstance(shape.item, ScalarShape):
        return f"{_type(shape.item)}[]"
    return "jsonb"


def _column_values(column: Column, kind: str, rows: Sequence[Any]) -> list[Any]:
    """One column as psycopg writes it, each value checked against the column's shape."""
    values, shape = column.values(rows), column.shape
    if not (isinstance(shape, ScalarShape) and shape.fits_as_it_is(values)):
        plain = encoded(values, column)
        if kind == "text":
            return plain
        values = [v.value if isinstance(v, enum.Enum) else v for v in values]
    if kind == "jsonb":
        return [None if value is None else _json(value) for value in values]
    if isinstance(shape, ListShape):
        item = shape.item
        text = isinstance(item, ScalarShape) and item.sql == "VARCHAR"
        return [
            value if value is None else [item.encode(one) for one in value] if text else list(value)
            for value in values
        ]
    if shape.sql == "TIMESTAMP":
        return [
            v if v is None or v.tzinfo is None else v.astimezone(dt.UTC).replace(tzinfo=None) for v in values
        ]
    return values


def _json(value: Any) -> str:
    return (
        json.dumps(value)
        if isinstance(value, str)
        else to_json(value, by_alias=False, bytes_mode="base64", inf_nan_mode="strings").decode()
    )
