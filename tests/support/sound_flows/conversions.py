"""What pydantic converts: whole numbers into fractions, tuples into lists, dicts into records, texts into paths."""

import datetime
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import pydantic
from prefect import flow

from conduit import block
from conduit.blocks import duckdb_query, read_file, write_file

Sku = NewType("Sku", str)
Percent = Annotated[float, pydantic.Field(ge=0, le=100)]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Row:
    topic: str
    messages: int


class Point(pydantic.BaseModel):
    x: float
    y: float = 0


class Trimmed(pydantic.BaseModel):
    text: str

    @pydantic.model_validator(mode="before")
    @classmethod
    def from_text(cls, given: Any) -> Any:
        return {"text": given} if isinstance(given, str) else given


@block
def average(values: list[float]) -> Percent:
    return sum(values) / len(values)


@block
def corners(points: list[Point]) -> tuple[Point, Point]:
    return points[0], points[-1]


@block
def painted(colour: Colour, kind: Literal["car", "bike"] = "car") -> str:
    return f"{kind} in {colour.value}"


@block
def kept(text: Trimmed, to: Path) -> str:
    return write_file.raw(to, text.text).path


@block
def priced(sku: Sku, price: Decimal, day: datetime.datetime) -> str:
    return f"{sku} {price} {day}"


@block
def shown(rows: list[Row]) -> set[str]:
    return {row.topic for row in rows}


@block
def counted(words: set[str] | frozenset[str], most: int | None = None) -> int:
    return min(len(words), most or 100)


@flow
def converted(folder: str, day: datetime.date) -> int:
    average((1, 2, 3))
    average([counted({"a"}), 2.5])
    first, _ = corners([{"x": 1}, {"x": 2, "y": 3}])
    corners([first, first])
    painted("red", kind="bike")
    painted(Colour.BLUE)
    path = kept("a text", folder)
    text = read_file(path).text
    priced(Sku(text), 3, day)
    priced("a", 2.5, "2026-01-01")
    rows = duckdb_query("a.duckdb", "SELECT 1", row_type=Row)
    shown(duckdb_query("a.duckdb", "SELECT 1"))
    return counted(shown(rows)) + counted(text.split(), None)


@block
def orders(numbers: list[int], by_name: dict[str, float]) -> int:
    return len(numbers) + len(by_name)


@flow
def written_down() -> int:
    return orders(["1", "2"], {"a": 1, "b": "2.5"}) + orders(["7"] * 3, {})
