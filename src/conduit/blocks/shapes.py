"""Shapes: what a Python type is in a table, and how its values travel there and back.

DuckDB takes rows fastest as one JSON text a column, so ``encode`` makes values that are exact in JSON, and refuses
those that DuckDB would silently change (a fraction for an integer, digits that a DECIMAL has no room for). Pure:
nothing here opens a database. How a type is read into a shape is in ``columns``.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from types import NoneType
from typing import Any

from pydantic_core import to_jsonable_python


class Misfit(ValueError):
    """A value does not fit its column."""


@dataclass(frozen=True)
class Shape(ABC):
    """One type in a table.

    Attributes:
        sql: DuckDB's type.
        wire: The type that the JSON text is read as before it is cast to ``sql``.
    """

    sql: str
    wire: str

    @abstractmethod
    def encode(self, value: Any) -> Any:
        """The value for JSON; None stays None."""

    def decode(self, value: Any) -> Any:
        """What a row's record is made from, given what a database returned."""
        if isinstance(value, str):
            with suppress(ValueError):  # text that is no JSON is left to the record's own validation
                return json.loads(value)
        return value


@dataclass(frozen=True)
class ScalarShape(Shape):
    """One plain value.

    Attributes:
        accepts: The exact Python types that fit.
        convert: Makes what is exact in JSON of a value; None where the value is that itself.
        direct: Whether a value that is not None and fits exactly has the right JSON without ``convert``.
    """

    accepts: tuple[type, ...]
    convert: Callable[[Any], Any] | None = None
    direct: Callable[[Any], bool] | None = None

    def fits_as_it_is(self, values: Sequence[Any]) -> bool:
        """Whether no value needs a check or a change on its way to JSON, told by the types of all at once."""
        if not set(map(type, values)) <= {*self.accepts, NoneType}:
            return False
        direct = self.direct
        if self.convert is None or direct is None:
            return self.convert is None
        return all(value is None or direct(value) for value in values)

    def encode(self, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, enum.Enum):
            value = value.value
        kind = type(value)
        # bool is an int to Python, and datetime a date; neither is to a table.
        strict = kind in self.accepts or (
            isinstance(value, self.accepts)
            and not isinstance(value, bool)
            and not isinstance(value, dt.datetime)
        )
        if not strict:
            raise Misfit(f"{kind.__name__} {_short(value)} is no {self.sql}")
        return value if self.convert is None else self.convert(value)

    def decode(self, value: Any) -> Any:
        return value


@dataclass(frozen=True)
class JsonShape(Shape):
    """Any value, kept as JSON."""

    def encode(self, value: Any) -> Any:
        try:
            return to_jsonable_python(value, by_alias=False, bytes_mode="base64", inf_nan_mode="strings")
        except ValueError as error:
            raise Misfit(f"{type(value).__name__} {_short(value)} cannot be JSON: {error}") from error


@dataclass(frozen=True)
class ListShape(Shape):
    """Any number of one shape."""

    item: Shape

    def encode(self, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, list | tuple | set | frozenset):
            raise Misfit(f"{type(value).__name__} {_short(value)} is no list")
        return [self.item.encode(item) for item in value]

    def decode(self, value: Any) -> Any:
        value = super().decode(value)
        return [self.item.decode(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class MapShape(Shape):
    """Free keys, one shape of values."""

    key: Shape
    value: Shape

    def encode(self, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise Misfit(f"{type(value).__name__} {_short(value)} is no mapping")
        return {self.key.encode(name): self.value.encode(item) for name, item in value.items()}

    def decode(self, value: Any) -> Any:
        value = super().decode(value)
        if not isinstance(value, dict):
            return value
        return {self.key.decode(name): self.value.decode(item) for name, item in value.items()}


@dataclass(frozen=True)
class RecordShape(Shape):
    """Named fields. ``record`` is the class of its values; a TypedDict's are plain dicts."""

    record: type
    fields: tuple[tuple[str, Shape], ...]

    def encode(self, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, dict):
            if extra := value.keys() - {name for name, _ in self.fields}:
                raise Misfit(f"field {min(map(str, extra))!r} is unknown to {self.record.__name__}")
            return {name: shape.encode(value.get(name)) for name, shape in self.fields}
        if not isinstance(value, self.record):
            raise Misfit(f"{type(value).__name__} {_short(value)} is no {self.record.__name__}")
        return {name: shape.encode(getattr(value, name)) for name, shape in self.fields}

    def decode(self, value: Any) -> Any:
        value = super().decode(value)
        if not isinstance(value, dict):
            return value
        shapes = dict(self.fields)
        return {name: shapes[name].decode(v) if name in shapes else v for name, v in value.items()}


def scalar(
    sql: str,
    *accepts: type,
    convert: Callable[[Any], Any] | None = None,
    direct: Callable[[Any], bool] | None = None,
) -> ScalarShape:
    """A scalar whose JSON is read as ``sql`` directly."""
    return ScalarShape(sql, sql, accepts, convert, direct)


def list_of(item: Shape) -> ListShape:
    """A list column."""
    return ListShape(f"{item.sql}[]", f"{item.wire}[]", item)


def map_of(key: Shape, value: Shape) -> MapShape:
    """A column of free keys."""
    return MapShape(f"MAP({key.sql}, {value.sql})", f"MAP({key.wire}, {value.wire})", key, value)


def record_of(record: type, fields: tuple[tuple[str, Shape], ...]) -> RecordShape:
    """A column of records."""
    inner = ", ".join(f"{quoted(name)} {shape.sql}" for name, shape in fields)
    wire = ", ".join(f"{quoted(name)} {shape.wire}" for name, shape in fields)
    return RecordShape(f"STRUCT({inner})", f"STRUCT({wire})", record, fields)


def decimal_of(digits: int = 38, places: int = 10) -> ScalarShape:
    """A DECIMAL that refuses what it would have to round."""

    def convert(value: Decimal) -> str:
        if not value.is_finite():
            raise Misfit(f"Decimal {value} is no number for a table")
        _, figures, exponent = value.normalize().as_tuple()
        assert isinstance(exponent, int)
        if -exponent > places or len(figures) + exponent > digits - places:
            raise Misfit(f"Decimal {value} does not fit DECIMAL({digits},{places})")
        return f"{value:f}"

    return ScalarShape(f"DECIMAL({digits},{places})", "VARCHAR", (Decimal,), convert)


def quoted(identifier: str) -> str:
    """An SQL identifier in quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def _utc(value: dt.datetime) -> str:
    # DuckDB's cast to TIMESTAMP drops an offset without applying it.
    return (value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)).isoformat()


def _instant(value: dt.datetime) -> str:
    if value.tzinfo is None:
        raise Misfit(f"datetime {value} has no time zone")
    return value.isoformat()


def _clock(value: dt.time) -> str:
    if value.tzinfo is not None:
        raise Misfit(f"time {value} has a time zone, which a TIME cannot keep")
    return value.isoformat()


def _interval(value: dt.timedelta) -> str:
    return f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"


def _bytes(value: bytes) -> str:
    text = value.hex()
    return "".join(f"\\x{text[i : i + 2]}" for i in range(0, len(text), 2))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


BOOL = scalar("BOOLEAN", bool)
INT = scalar("BIGINT", int)
FLOAT = scalar("DOUBLE", float, int)
TEXT = scalar("VARCHAR", str)
JSON = JsonShape("JSON", "JSON")
DECIMAL = decimal_of()
# pydantic writes these as fast as numbers, and as DuckDB reads them.
TIMESTAMP = scalar("TIMESTAMP", dt.datetime, convert=_utc, direct=lambda value: value.tzinfo is None)
INSTANT = scalar(
    "TIMESTAMP WITH TIME ZONE", dt.datetime, convert=_instant, direct=lambda value: value.tzinfo is not None
)
SCALARS: dict[type, Shape] = {
    bool: BOOL,
    int: INT,
    float: FLOAT,
    str: TEXT,
    bytes: ScalarShape("BLOB", "VARCHAR", (bytes,), _bytes),
    dt.datetime: TIMESTAMP,
    dt.date: scalar("DATE", dt.date, convert=dt.date.isoformat, direct=lambda _: True),
    dt.time: scalar("TIME", dt.time, convert=_clock),
    dt.timedelta: scalar("INTERVAL", dt.timedelta, convert=_interval),
    Decimal: DECIMAL,
    uuid.UUID: scalar("UUID", uuid.UUID, convert=str, direct=lambda _: True),
}
