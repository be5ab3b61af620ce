"""Generic records, typed dicts, aliases, unions that both sides know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

import pydantic
from prefect import flow
from typing_extensions import NotRequired, TypedDict

from conduit import block

T = TypeVar("T")
Text: TypeAlias = "str | bytes"


@runtime_checkable
class Named(Protocol):
    name: str


class Base(pydantic.BaseModel):
    name: str


class Child(Base):
    age: int = 0


class Row(TypedDict):
    name: str
    age: NotRequired[int]


@dataclass
class Page(Generic[T]):
    items: list[T]
    more: str | None


@block
def page(number: int) -> Page[Row]:
    return Page([{"name": "a"}], None)


@block
def names(rows: Sequence[Row]) -> dict[str, int]:
    return {row["name"]: row.get("age", 0) for row in rows}


@block
def named(who: Base) -> str:
    return who.name


@block
def either(value: Base | Row | str) -> Child | Base:
    return Child(name="a")


@block
def total(ages: Mapping[str, float]) -> float:
    return sum(ages.values())


@block
def told(text: Text) -> str:
    return str(text)


@block
def anything(value: object, of: type[Base] = Base) -> Named:
    return Child(name=str(value))


@flow
def pages() -> float:
    found = page(1)
    rows = found.items
    ages = names(rows)
    who = Child(name="a")
    named(who)
    named({"name": "b"})
    named(either(who))
    either(either("a"))
    told(told(b"a"))
    anything(found, of=Child)
    row: Row = {"name": "c"}
    either(row)
    names([row, {"name": "d", "age": 3}])
    return total(ages)
