"""Columns: a row type, or rows without one, read into the columns of a table.

Row types are dataclasses, pydantic models, TypedDicts and named tuples. Rows that are plain dicts get the columns
that their values show. What a table cannot express as a type of its own (a union, a mapping of anything, a type
that contains itself) becomes a JSON column.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from pathlib import PurePath
from typing import Annotated, Any, Literal, NewType, NotRequired, Required, Union

import typing_extensions
from pydantic import AnyUrl, AwareDatetime, BaseModel, FutureDatetime, NaiveDatetime, PastDatetime
from pydantic.fields import FieldInfo

from conduit.blocks.shapes import (
    FLOAT,
    INSTANT,
    INT,
    JSON,
    SCALARS,
    TEXT,
    TIMESTAMP,
    Misfit,
    Shape,
    decimal_of,
    list_of,
    map_of,
    record_of,
    scalar,
)
from conduit.errors import SqlError

_MARKERS = {
    AwareDatetime: INSTANT,
    NaiveDatetime: TIMESTAMP,
    PastDatetime: TIMESTAMP,
    FutureDatetime: TIMESTAMP,
}
_LISTS = (list, tuple, set, frozenset, Sequence, AbstractSet, Iterable)


@dataclass(frozen=True)
class Column:
    """One column; ``inferred`` when no type but only values spoke for it."""

    name: str
    shape: Shape
    nullable: bool
    inferred: bool = False

    def values(self, rows: Sequence[Any]) -> list[Any]:
        """The column's values in rows of one kind."""
        if rows and isinstance(rows[0], dict):
            return [row.get(self.name) for row in rows]
        return list(map(attrgetter(self.name), rows))


def columns_for(rows: Sequence[Any], row_type: Any) -> tuple[Column, ...]:
    """The columns of a table for rows of one type; none where there are neither rows nor a type.

    Args:
        rows: Records or dicts.
        row_type: Their type; without it the first row's class counts.

    Raises:
        SqlError: A row is not of that type, or lacks a field.
    """
    if row_type is None and rows:
        row_type = type(rows[0])
    if row_type is None:
        return ()
    plain = (
        isinstance(row_type, type) and issubclass(row_type, Mapping) and not hasattr(row_type, "__total__")
    )
    columns = () if plain else columns_of(row_type)
    kind = dict if plain or hasattr(row_type, "__total__") else row_type
    required = {column.name for column in columns if not column.nullable}
    known = {column.name for column in columns}
    if kind is not dict and set(map(type, rows)) <= {kind}:
        return columns
    for index, row in enumerate(rows):
        if not isinstance(row, kind):
            raise SqlError(
                f"Row {index} is a {type(row).__name__}, not a {row_type.__name__}",
                hint="All rows of one insert have one type.",
            )
        if kind is dict and columns and not (required <= row.keys() <= known):
            odd = sorted(map(str, (required - row.keys()) | (row.keys() - known)))
            raise SqlError(f"Row {index} and {row_type.__name__} differ in: {', '.join(odd)}")
    return columns_in(rows) if plain and rows else columns


def encoded(values: Sequence[Any], column: Column, first: int = 0) -> list[Any]:
    """A column's values for JSON.

    Raises:
        SqlError: One does not fit; ``first`` is the number of the first of these rows.
    """
    found = []
    for index, value in enumerate(values, first):
        try:
            found.append(column.shape.encode(value))
        except Misfit as error:
            raise SqlError(
                f"Row {index}, column {column.name!r}: {error}", hint="The whole insert was undone."
            ) from error
    return found


def is_record(row_type: Any) -> bool:
    """Whether a type has named fields that are columns."""
    return isinstance(row_type, type) and (
        dataclasses.is_dataclass(row_type)
        or issubclass(row_type, BaseModel)
        or typing_extensions.is_typeddict(row_type)
        or (issubclass(row_type, tuple) and hasattr(row_type, "_fields"))
    )


def columns_of(row_type: Any) -> tuple[Column, ...]:
    """The columns of a row type, in the order of its fields.

    Raises:
        SqlError: It is no record, has no fields, or two of them differ in case only.
    """
    if not is_record(row_type):
        raise SqlError(
            f"{getattr(row_type, '__name__', row_type)} is no row type",
            hint="Rows are dataclasses, pydantic models, TypedDicts, named tuples or dicts.",
        )
    return _distinct(row_type.__name__, _fields(row_type, ()))


def columns_in(rows: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The columns that plain dicts show, in the order in which the keys appear first; all may be null."""
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            values.setdefault(name, []).append(value)
    for name in values:
        if not isinstance(name, str):
            raise SqlError(f"The key {name!r} of a row is no column name", hint="Keys of rows are strings.")
    columns = [
        Column(name, _shape_in([v for v in seen if v is not None]), nullable=True, inferred=True)
        for name, seen in values.items()
    ]
    return _distinct("the rows", columns)


def _distinct(owner: str, columns: Sequence[Column]) -> tuple[Column, ...]:
    if not columns:
        raise SqlError(f"{owner} has no fields, so a table of it has no columns")
    by_name: dict[str, str] = {}
    for column in columns:
        other = by_name.setdefault(column.name.lower(), column.name)
        if other is not column.name:
            raise SqlError(
                f"{owner} has fields {other!r} and {column.name!r}; to a database they are the same",
                hint="Rename one.",
            )
    return tuple(columns)


def _fields(record: type, above: tuple[type, ...]) -> list[Column]:
    above = (*above, record)
    columns = []
    for name, annotation, metadata, may_miss in _annotations(record):
        annotation, metadata, nullable = _unwrapped(annotation, metadata)  # noqa: PLW2901 - peeled, not replaced
        columns.append(Column(name, _shape(annotation, metadata, above), nullable or may_miss))
    return columns


def _annotations(record: type) -> list[tuple[str, Any, list[Any], bool]]:
    """Name, annotation, metadata, and whether a row may lack it."""
    if issubclass(record, BaseModel):
        return [
            (name, info.annotation, list(info.metadata), False) for name, info in record.model_fields.items()
        ]
    try:
        hints = typing_extensions.get_type_hints(record, include_extras=True)
    except NameError as error:
        raise SqlError(
            f"A field of {record.__name__} has a type that cannot be found: {error}",
            hint="Define the type at the top of its module.",
        ) from error
    if dataclasses.is_dataclass(record):
        return [(field.name, hints[field.name], [], False) for field in dataclasses.fields(record)]
    optional: frozenset[str] = getattr(record, "__optional_keys__", frozenset())
    return [(name, hint, [], name in optional) for name, hint in hints.items()]


def _unwrapped(annotation: Any, metadata: Sequence[Any] = ()) -> tuple[Any, list[Any], bool]:
    """The type inside Annotated, aliases, Required and Optional; its metadata; whether None is allowed."""
    found = list(metadata)
    nullable = False
    while True:
        origin = typing.get_origin(annotation)
        if origin is Annotated:
            annotation, *extra = typing.get_args(annotation)
            found += extra
        elif origin in (Required, NotRequired, typing_extensions.ReadOnly):
            (annotation,) = typing.get_args(annotation)
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif isinstance(annotation, typing_extensions.TypeAliasType):
            annotation = annotation.__value__
        elif origin in (Union, types.UnionType):
            options = typing.get_args(annotation)
            others = tuple(option for option in options if option is not type(None))
            if len(others) == len(options):
                return annotation, found, nullable
            nullable = True
            annotation = Union[others]  # noqa: UP007 - of a tuple of any length
        elif origin is Literal and None in typing.get_args(annotation):
            nullable = True
            others = tuple(value for value in typing.get_args(annotation) if value is not None)
            annotation = Literal[others] if others else type(None)
        else:
            return annotation, found, nullable or annotation in (None, type(None), Any, object)


def _shape(annotation: Any, metadata: Sequence[Any], above: tuple[type, ...]) -> Shape:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return _common([_scalar_of(type(v.value if isinstance(v, enum.Enum) else v)) for v in arguments])
    if origin in (Union, types.UnionType):
        return _common([_inner(option, above) for option in arguments])
    if origin in _LISTS:
        if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
            return JSON
        return list_of(_inner(arguments[0], above))
    if origin in (dict, Mapping):
        key, value = (_inner(argument, above) for argument in arguments)
        return map_of(key, value) if key in (TEXT, INT) and value != JSON else JSON
    if annotation in _MARKERS:
        return _MARKERS[annotation]
    if not isinstance(annotation, type) or annotation in above:
        return JSON
    if is_record(annotation):
        fields = _distinct(annotation.__name__, _fields(annotation, above))
        return record_of(annotation, tuple((field.name, field.shape) for field in fields))
    if issubclass(annotation, Decimal):
        return decimal_of(*_digits(metadata))
    return _scalar_of(annotation)


def _inner(annotation: Any, above: tuple[type, ...]) -> Shape:
    annotation, metadata, _ = _unwrapped(annotation)
    return _shape(annotation, metadata, above)


def _scalar_of(kind: type) -> Shape:
    if kind in SCALARS:
        return SCALARS[kind]
    if issubclass(kind, enum.Enum):
        return _common([_scalar_of(type(member.value)) for member in kind])
    if issubclass(kind, PurePath | AnyUrl):
        return scalar("VARCHAR", kind, str, convert=str)
    if kind is type(None):
        return TEXT
    # A subclass, such as pydantic's EmailStr, travels as what it is made from.
    for base in (str, int, float, bytes):
        if issubclass(kind, base):
            return SCALARS[base]
    return JSON


def _common(shapes: Sequence[Shape]) -> Shape:
    """One shape for all of them."""
    if not shapes or any(shape != shapes[0] for shape in shapes):
        return FLOAT if shapes and all(shape in (INT, FLOAT) for shape in shapes) else JSON
    return shapes[0]


def _digits(metadata: Iterable[Any]) -> tuple[int, int]:
    digits = places = None
    for item in metadata:
        for part in (item, *(item.metadata if isinstance(item, FieldInfo) else ())):
            digits = getattr(part, "max_digits", None) or digits
            found = getattr(part, "decimal_places", None)
            places = places if found is None else found
    if digits is not None and digits > 38:
        raise SqlError(f"A DECIMAL has at most 38 digits, not {digits}", hint="Lower max_digits.")
    if places is None:
        places = 10 if digits is None else min(10, digits)
    return digits or 38, places


def _shape_in(values: Sequence[Any]) -> Shape:
    """One shape for all these values, none of which is None."""
    kinds = {type(value) for value in values}
    if not kinds:
        return TEXT
    if kinds == {dt.datetime} and all(value.tzinfo is not None for value in values):
        return INSTANT
    if kinds <= {list, tuple, set, frozenset}:
        items = [item for value in values for item in value if item is not None]
        item_shape = _shape_in(items)
        return JSON if item_shape == JSON else list_of(item_shape)
    if len(kinds) == 1 and is_record(kind := next(iter(kinds))):
        return record_of(kind, tuple((c.name, c.shape) for c in columns_of(kind)))
    return _common([_scalar_of(kind) for kind in kinds])
