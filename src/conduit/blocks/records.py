"""Rows of a query as the records that a caller asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from conduit.blocks.columns import columns_of, is_record
from conduit.blocks.shapes import JsonShape, Shape
from conduit.errors import SqlError

Parameters = Sequence[Any] | Mapping[str, Any]
LOCK_TIMEOUT_S = 5.0
_ERRORS_SHOWN = 3


@dataclass(frozen=True)
class InsertResult:
    """Rows that were inserted; ``created`` when the table was made for them."""

    database: str
    table: str
    rows: int
    created: bool


@dataclass(frozen=True)
class BadLine:
    """A line of a file that is no row; ``number`` counts from 1, ``text`` is its beginning."""

    number: int
    text: str
    error: str


def named_rows(names: Sequence[str], rows: Sequence[Sequence[Any]], statement: str) -> list[dict[str, Any]]:
    """Rows as dicts.

    Raises:
        SqlError: Two columns have one name, so that one would be lost.
    """
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SqlError(
            f"The query has {names.count(twice)} columns named {twice!r}; a row keeps one",
            hint=f"Name them: select a.{twice} as first_{twice}, …",
            statement=statement,
        )
    return [dict(zip(names, row, strict=True)) for row in rows]


def typed_rows(
    rows: list[dict[str, Any]], row_type: Any, statement: str, *, json_columns: bool | None
) -> list[Any]:
    """Rows as records, or the values of a one-column query as plain values.

    Args:
        rows: What the database gave.
        row_type: None leaves the rows as they are.
        statement: For messages.
        json_columns: Whether the database has a JSON type, so that a JSON column's text is always JSON; None where
            its driver has read the JSON already.

    Raises:
        SqlError: A row does not fit.
    """
    if row_type is None:
        return rows
    adapter = _adapter(row_type)
    values: list[Any] = rows
    if is_record(row_type) and json_columns is not None:
        shapes = {column.name: column.shape for column in columns_of(row_type)}
        values = [{name: _decoded(shapes.get(name), v, json_columns) for name, v in r.items()} for r in rows]
    elif not is_record(row_type) and not _is_mapping(row_type):
        if rows and len(rows[0]) != 1:
            raise SqlError(
                f"The query has {len(rows[0])} columns, and {_name(row_type)} holds one value",
                hint="Select one column, or give a record as row_type.",
                statement=statement,
            )
        values = [next(iter(row.values())) for row in rows]
    try:
        return adapter.validate_python(values, by_alias=True, by_name=True)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        lines = [
            f"row {'.'.join(str(part) for part in p['loc'])}: {p['msg']}" for p in problems[:_ERRORS_SHOWN]
        ]
        more = f" and {len(problems) - len(lines)} more" if len(problems) > len(lines) else ""
        raise SqlError(
            f"Rows do not fit {_name(row_type)}: {'; '.join(lines)}{more}",
            hint="Name the columns as the fields are named (select x as field), or change the type.",
            statement=statement,
        ) from error


def _decoded(shape: Shape | None, value: Any, json_columns: bool) -> Any:
    if shape is None:
        return value
    if isinstance(shape, JsonShape) and not json_columns and not str(value).startswith(("{", "[", '"')):
        return value
    return shape.decode(value)


@lru_cache(maxsize=256)
def _adapter(row_type: Any) -> TypeAdapter[list[Any]]:
    try:
        return TypeAdapter(list[row_type])
    except (PydanticSchemaGenerationError, PydanticUserError, NameError) as error:
        raise SqlError(
            f"{_name(row_type)} cannot be the type of rows: {str(error).partition(chr(10))[0]}",
            hint="Rows are dataclasses, pydantic models, TypedDicts, named tuples or plain values.",
        ) from error


def _is_mapping(row_type: Any) -> bool:
    kind = getattr(row_type, "__origin__", row_type)
    return isinstance(kind, type) and issubclass(kind, Mapping)


def _name(row_type: Any) -> str:
    return getattr(row_type, "__name__", None) or str(row_type)
