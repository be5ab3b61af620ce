"""MDL/1 text carries docs, defaults and constraints, and names what repeats."""

import enum
import re
from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict

import annotated_types
import pytest
import typing_extensions
from pydantic import BaseModel, Field, StringConstraints
from typing_extensions import TypeAliasType

from conduit.mdl import from_text, render
from conduit.mdl.python.read import read

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

    assert render(Part) == "name: str\nnote?: str"
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


def test_a_record_used_twice_within_one_definition_is_named_once() -> None:
    @dataclass
    class Place:
        street: str
        city: str
        country: str

    @dataclass
    class Person:
        name: str
        home: Place
        work: Place

    @dataclass
    class Deal:
        seller: Person
        buyer: Person

    assert render(Deal).splitlines() == [
        "Person = Dict{name: str, home: Place, work: Place}",
        "Place = Dict{street: str, city: str, country: str}",
        "seller: Person",
        "buyer: Person",
    ]


def test_a_record_used_once_stands_inside_the_definition_that_uses_it() -> None:
    @dataclass
    class Place:
        street: str
        city: str
        country: str

    @dataclass
    class Person:
        home: Place

    @dataclass
    class Deal:
        seller: Person
        buyer: Person

    assert render(Deal).splitlines() == [
        "Person = Dict{home: Dict{street: str, city: str, country: str}}",
        "seller: Person",
        "buyer: Person",
    ]


def test_long_enums_and_aliases_that_come_up_again_are_named() -> None:
    Status = enum.Enum("Status", {"A": "waiting for parts", "B": "on its way"})
    Short = enum.Enum("Short", {"A": "a", "B": "b"})
    Name = TypeAliasType("Name", Annotated[str, Field(min_length=1, max_length=80)])

    @dataclass
    class Order:
        a: Status
        b: Optional[Status]
        c: Short
        d: Short
        e: Name
        f: list[Name]
        g: dict[Status, int]
        h: Annotated[Name, Field(max_length=9)]

    assert render(Order).splitlines() == [
        'Status = Literal["waiting for parts", "on its way"]',
        "a: Status",
        "b: Optional[Status]",
        'c: Literal["a", "b"]',
        'd: Literal["a", "b"]',
        "e: str(len>=1, len<=80)",
        "f: List[str(len>=1, len<=80)]",
        'g: Dict[Literal["waiting for parts", "on its way"], int]',
        "h: str(len>=1, len<=9)",
    ]


def test_a_repeated_part_is_named_from_24_characters_on() -> None:
    def twice(field_name: str) -> str:
        part = make_dataclass("Part", [(field_name, int)])
        return render(make_dataclass("Holder", [("a", part), ("b", part)]))

    assert twice("x" * 12) == f"a: Dict{{{'x' * 12}: int}}\nb: Dict{{{'x' * 12}: int}}"
    assert len(f"Dict{{{'x' * 13}: int}}") == 24
    assert twice("x" * 13) == f"Part = Dict{{{'x' * 13}: int}}\na: Part\nb: Part"


def test_a_part_is_named_from_17_levels_on() -> None:
    def inside(levels: int) -> str:
        type_: type = int
        for _ in range(levels - 2):
            type_ = list[type_]
        return render(list[make_dataclass("Part", [("x", type_)])])

    assert "Part" not in inside(16)
    assert inside(17).endswith("-> List[Part]")


def test_a_chain_of_records_is_cut_before_it_gets_too_deep() -> None:
    record: type = int
    for number in range(200):
        record = make_dataclass(f"R{number}", [("next", list[record])])
    text = render(record)
    assert max(line.count("Dict{") for line in text.splitlines()) == 8
    assert render(from_text(text)) == text


@pytest.mark.parametrize("name", ["List", "Any", "Literal", "str", "datetime", "Dict"])
def test_no_definition_takes_a_word_of_the_language(name: str) -> None:
    record = dataclass(type(name, (), {"__annotations__": {"inside": list[typing_extensions.Self]}}))
    assert render(record) == f"{name}2 = Dict{{inside: List[{name}2]}}\n-> {name}2"


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        ("^[A-Z/]+$", r"/^[A-Z\/]+$/"),
        (r"a\/b", r"/a\/b/"),
        (r"a\\/b", r"/a\\\/b/"),
        ("a\nb", r"/a\nb/"),
        ('#"[)]', '/#"[)]/'),
    ],
)
def test_a_pattern_ends_at_its_slash(pattern: str, written: str) -> None:
    type_ = Annotated[str, Field(pattern=pattern)]
    assert render(type_) == f"-> str({written})"
    assert from_text(render(type_)) == read(type_)
    found = read(type_).root.limits.pattern
    assert [bool(re.fullmatch(found, text)) for text in ("a/b", "a\nb", "Z", '#")')] == [
        bool(re.fullmatch(pattern, text)) for text in ("a/b", "a\nb", "Z", '#")')
    ]
