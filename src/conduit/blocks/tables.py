"""Blocks on tables in files: Parquet and CSV, one file or folders of them, typed rows both ways.

DuckDB reads and writes them. ``read_table`` gives all rows at once, ``scan_table`` a list at a time for tables that
are larger than memory. Not for files on other machines.
"""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import duckdb

from conduit.blocks.columns import Column, columns_for, columns_of, is_record
from conduit.blocks.duckdb import BATCH_ROWS, insert_rows
from conduit.blocks.placing import hint, location, put, temporary
from conduit.blocks.records import named_rows, typed_rows
from conduit.blocks.shapes import ScalarShape, quoted
from conduit.blocks.signatures import TableBlock, TableFormat, TableInBatchesBlock, shown
from conduit.dataflow import block
from conduit.errors import FileError, SqlError

MAX_ROWS = 1_000_000
_ISO = (
    "CASE WHEN epoch_us({name}) < 0 THEN '-' ELSE '' END || 'PT' || abs(epoch_us({name})) // 1000000 || '.'"
    " || lpad((abs(epoch_us({name})) % 1000000)::VARCHAR, 6, '0') || 'S'"
)
_SUFFIXES: dict[str, TableFormat] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".csv.gz": "csv",
    ".tsv.gz": "csv",
}


@dataclass(frozen=True)
class WrittenTable:
    """A table that is on the disk; ``path`` is absolute, a file or, of a partitioned table, a folder."""

    path: str
    rows: int
    size_bytes: int


def _read_table(
    path: str | Path,
    *,
    row_type: Any = None,
    format: TableFormat | None = None,
    max_rows: int = MAX_ROWS,
) -> list[Any]:
    """Reads the rows of Parquet or CSV files.

    Args:
        path: A file, a pattern (``sales/**/*.parquet``), or a folder with files of one format in it. The names of
            folders like ``year=2026`` are columns.
        row_type: A record type for the rows: only its fields are read, in a CSV file as the types that they have.
            Or the type of the only column's values; dicts without it.
        format: ``parquet`` or ``csv``, where the names do not tell.
        max_rows: Most rows accepted; ``scan_table`` reads larger tables.

    Raises:
        FileError: There is no such file.
        SqlError: The files cannot be read, have more rows, or the rows do not fit.
    """
    rows: list[Any] = []
    for batch in _batches(path, row_type, format, BATCH_ROWS):
        rows += batch
        if len(rows) > max_rows:
            raise SqlError(
                f"{path} has more than {max_rows} rows",
                hint="Give a larger max_rows, or read it with scan_table, a batch at a time.",
                database=str(path),
            )
    return rows


read_table = cast(TableBlock, shown(_read_table))


def _scan_table(
    path: str | Path,
    *,
    row_type: Any = None,
    format: TableFormat | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[list[Any]]:
    """Reads the rows of Parquet or CSV files a batch at a time: only one batch is in memory.

    Args:
        path: As in ``read_table``.
        row_type: As in ``read_table``.
        format: As in ``read_table``.
        batch_rows: Rows of one batch; the last has what is left.

    Raises:
        FileError: There is no such file.
        SqlError: The files cannot be read, or the rows do not fit.
    """
    if batch_rows < 1:
        raise SqlError(f"batch_rows={batch_rows}", hint="It is 1 or more.", database=str(path))
    yield from _batches(path, row_type, format, batch_rows)


scan_table = cast(TableInBatchesBlock, shown(_scan_table))


@block
def write_table(
    path: str | Path,
    rows: Sequence[Any] | Iterable[Any],
    *,
    row_type: Any = None,
    format: TableFormat | None = None,
    partition_by: Sequence[str] = (),
    make_folders: bool = False,
) -> WrittenTable:
    """Writes rows as a Parquet or CSV file, or as a folder of them, in place of what is there.

    The table is there complete or not at all. Durations are written as ISO 8601 text; in CSV, lists and records as
    JSON.

    Args:
        path: The file, or with ``partition_by`` the folder; ``~`` is the user's home.
        rows: Dataclasses, pydantic models, named tuples, or dicts. An iterator is written as it comes, so that the
            rows need not fit in memory together.
        row_type: The rows' type, for TypedDicts, for rows that may be none, and for dicts from an iterator.
        format: ``parquet`` or ``csv``, where the name does not tell.
        partition_by: Columns whose values name folders, as in ``year=2026/data_0.parquet``; their values are text
            to a reader without a row type.
        make_folders: Make the folders above it where they are missing.

    Raises:
        FileError: It cannot be written.
        SqlError: A row does not fit.
    """
    place = location(path)
    form = _format_of(place, format)
    try:
        target = place.resolve()
        if target.is_dir() and not partition_by:
            raise FileError(
                f"{place} is a folder", hint="Give a file's path, or partition_by.", path=str(place)
            )
        if make_folders:
            target.parent.mkdir(parents=True, exist_ok=True)
        with temporary(target) as work:
            work.mkdir()
            made = work / ("table" if partition_by else f"table.{form}")
            with _database(place, work / "rows.duckdb") as connection:
                count = _fill(connection, rows, row_type, place, form)
                connection.execute(*_copy(connection, made, place, form, partition_by))
            size_bytes = sum(file.stat().st_size for file in (made.rglob("*") if made.is_dir() else [made]))
            put(made, target)
    except (OSError, RuntimeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise FileError(
            f"{place} was not written: {reason}", hint=hint(error, place), path=str(place)
        ) from error
    return WrittenTable(str(target), count, size_bytes)


def _fill(
    connection: duckdb.DuckDBPyConnection, rows: Iterable[Any], row_type: Any, place: Path, form: TableFormat
) -> int:
    """Puts the rows into a table of DuckDB's, which is on the disk and not in memory."""
    columns: tuple[Column, ...] = ()
    count = 0
    iterator = iter(rows)
    while batch := list(itertools.islice(iterator, BATCH_ROWS)):
        found = columns_for(batch, row_type)
        if not columns:
            columns, row_type = found, row_type or _kind(batch[0])
            _create(connection, columns)
        elif found != columns:
            raise SqlError(
                f"Rows from {count} on show other columns than those before them",
                hint="Give row_type: dicts from an iterator get the columns that the first of them show.",
                database=str(place),
            )
        insert_rows(connection, "rows", columns, batch, count)
        count += len(batch)
    if not columns:
        if row_type is None:
            raise SqlError(
                f"There are no rows for {place}, and no type that says what a table of them looks like",
                hint="Give row_type.",
                database=str(place),
            )
        columns = columns_for([], row_type)
        _create(connection, columns)
    for column in columns:
        name = quoted(column.name)
        if form == "csv" and not isinstance(column.shape, ScalarShape):
            connection.execute(f"ALTER TABLE rows ALTER {name} TYPE JSON")
        elif column.shape.sql == "INTERVAL":  # Parquet's has milliseconds, and no sign
            connection.execute(f"ALTER TABLE rows ALTER {name} TYPE VARCHAR USING {_ISO.format(name=name)}")
    return count


def _kind(row: Any) -> Any:
    return None if isinstance(row, dict) else type(row)


def _create(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> None:
    definitions = ", ".join(f"{quoted(column.name)} {column.shape.sql}" for column in columns)
    connection.execute(f"CREATE TABLE rows ({definitions})")


def _copy(
    connection: duckdb.DuckDBPyConnection,
    made: Path,
    place: Path,
    form: TableFormat,
    partition_by: Sequence[str],
) -> tuple[str, list[str]]:
    there = [name for name, *_ in connection.execute("DESCRIBE rows").fetchall()]
    if missing := [name for name in partition_by if name not in there]:
        raise SqlError(f"partition_by names no column: {', '.join(missing)}", database=str(place))
    options = [f"FORMAT {form}"]
    if form == "csv":
        options.append("HEADER")
        if ".tsv" in place.suffixes:
            options.append("DELIMITER '\t'")
        if place.suffix == ".gz":
            options.append("COMPRESSION gzip")
    if partition_by:
        options.append(f"PARTITION_BY ({', '.join(map(quoted, partition_by))})")
    # COPY takes no parameter as its target; the name is of our making up to the folder, which is quoted.
    return f"COPY rows TO {_literal(str(made))} ({', '.join(options)})", []


def _batches(
    path: str | Path, row_type: Any, format: TableFormat | None, batch_rows: int
) -> Iterator[list[Any]]:
    place = location(path)
    pattern, form = _pattern(place, format)
    with _database(place) as connection:
        columns = columns_of(row_type) if is_record(row_type) else ()
        source, there = _source(connection, pattern, form, columns)
        typed = {column.name: column for column in columns if column.name in there}
        wanted = list(typed) or there
        chosen = ", ".join(_read(typed.get(name), name, form) for name in wanted)
        sql = f"SELECT {chosen} FROM {source}"  # noqa: S608 # names are quoted
        cursor = connection.execute(sql)
        while found := cursor.fetchmany(batch_rows):
            rows = named_rows(wanted, found, sql)
            yield typed_rows(rows, row_type, f"the rows of {place}", json_columns=True)


def _source(
    connection: duckdb.DuckDBPyConnection, pattern: str, form: TableFormat, columns: Sequence[Column]
) -> tuple[str, list[str]]:
    """The files as SQL names them, and their columns."""
    # Texts like 007 in folders' names stay texts where a row type says what they are.
    options = ["union_by_name = true", f"hive_types_autocast = {'false' if columns else 'true'}"]
    if form == "csv":
        # A file that starts with a line of texts has a header; all that is read here must have one.
        options += [
            "header = true",
            "allow_quoted_nulls = false",
            *(["all_varchar = true"] if columns else []),
        ]
    source = f"read_{form}({_literal(pattern)}, {', '.join(options)})"
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608 # as above
    there = [name for name, *_ in described]
    return source, there


def _read(column: Column | None, name: str, form: TableFormat) -> str:
    """A column of the files as SQL reads it; a CSV file's are texts, where a row type says what they are."""
    if form == "parquet" or column is None or not isinstance(column.shape, ScalarShape):
        return quoted(name)
    # What is written as ISO text is read so by the row type itself.
    return (
        quoted(name)
        if column.shape.sql == "INTERVAL"
        else f"CAST({quoted(name)} AS {column.shape.sql}) AS {quoted(name)}"
    )


def _pattern(place: Path, format: TableFormat | None) -> tuple[str, TableFormat]:
    """The files that are meant, as DuckDB's pattern, and their format."""
    if place.is_dir():
        for form in (format,) if format else ("parquet", "csv"):
            suffixes = [suffix for suffix, known in _SUFFIXES.items() if known == form]
            for suffix in suffixes:
                if next(place.rglob(f"*{suffix}"), None) is not None:
                    return f"{glob.escape(str(place))}/**/*{suffix}", form
        raise FileError(
            f"There is no {format or 'Parquet or CSV'} file in {place}",
            hint="Check the folder.",
            path=str(place),
        )
    # Not Path.glob, which takes no absolute pattern.
    if place.exists():
        return glob.escape(str(place)), _format_of(place, format)
    if next(glob.iglob(str(place), recursive=True), None) is None:  # noqa: PTH207
        raise FileError(f"There is no file {place}", hint="Check the path.", path=str(place))
    return str(place), _format_of(place, format)


def _format_of(place: Path, format: TableFormat | None) -> TableFormat:
    if format is not None:
        return format
    for suffix, form in _SUFFIXES.items():
        if place.name.lower().endswith(suffix):
            return form
    raise FileError(
        f"The name {place.name} does not tell the table's format",
        hint='Give format="parquet" or format="csv".',
        path=str(place),
    )


@contextmanager
def _database(
    place: Path, file: Path | Literal[":memory:"] = ":memory:"
) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        # Nothing in a file's name may fetch code or data from elsewhere.
        connection = duckdb.connect(str(file), config={"autoinstall_known_extensions": "false"})
        try:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()
    except duckdb.Error as error:
        text = " ".join(str(error).split("\n\nLINE")[0].split())
        if isinstance(error, duckdb.IOException):
            raise FileError(f"{place}: {text}", hint="Is the disk full?", path=str(place)) from error
        raise SqlError(f"{place}: {text}", database=str(place)) from error


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
