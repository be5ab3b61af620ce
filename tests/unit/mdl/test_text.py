"""MDL/1 text carries docs, defaults and constraints, and names what repeats."""

import enum
import re
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict

import annotated_types
from pydantic import BaseModel, Field, StringConstraints

from conduit.mdl import render

UserId = NewType("UserId", int)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Address(BaseModel):
    street: str = Field(description="street and number", max_length=80)
    zip_code: str = Field(pattern=r"^\d{5}$")


@dataclass
class Order:
    """An order.

    Args:
        id: the number,
            as printed.
    """

    id: UserId
    to: Address
    bill_to: Optional[Address]
    level: Level
    tags: Annotated[list[str], Field(max_length=3), "at most three"] = field(default_factory=list)
    share: Annotated[float, annotated_types.Interval(ge=0, lt=1)] = 0.5
    code: Annotated[str, StringConstraints(min_length=2, pattern=re.compile("^[A-Z/]+$"))] = "AA"
    kind: Literal["a", "b"] | None = None
    unique: set[int] = field(default_factory=set)


def test_a_rich_record_is_written_as_the_specification_says() -> None:
    assert render(Order).splitlines() == [
        'Address = Dict{street: str(len<=80) # "street and number", zip_code: str(/^\\d{5}$/)}',
        "id: int  # the number, as printed.",
        "to: Address",
        "bill_to: Optional[Address]",
        "level: Literal[1, 2]",
        "tags: List[str](len<=3) = []  # at most three",
        "share: float(>=0, <1) = 0.5",
        'code: str(len>=2, /^[A-Z\\/]+$/) = "AA"',
        'kind: Optional[Literal["a", "b"]] = null',
        "unique: List[int](unique) = []",
    ]


def test_typed_dict_and_named_tuple_are_records() -> None:
    class Part(TypedDict):
        name: str
        note: NotRequired[str]

    class Pair(NamedTuple):
        left: int
        right: str = "r"

    assert render(Part) == "name: str\nnote: str"
    assert render(Pair) == 'left: int\nright: str = "r"'


def test_short_or_single_records_stay_in_place() -> None:
    @dataclass
    class Small:
        x: int

    @dataclass
    class Holder:
        a: Small
        b: Small

    assert render(Holder) == "a: Dict{x: int}\nb: Dict{x: int}"


def test_two_records_of_one_name_keep_apart() -> None:
    def make(letter: str) -> type:
        return dataclass(type("Item", (), {"__annotations__": {f"a_long_field_{letter}": list[int]}}))

    first, second = make("a"), make("b")
    holder = dataclass(
        type("Holder", (), {"__annotations__": {"a": first, "b": second, "c": first, "d": second}})
    )
    assert render(holder).splitlines() == [
        "Item = Dict{a_long_field_a: List[int]}",
        "Item2 = Dict{a_long_field_b: List[int]}",
        "a: Item",
        "b: Item2",
        "c: Item",
        "d: Item2",
    ]
