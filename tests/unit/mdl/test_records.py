"""Which fields a record has, in which order, under which names, with which docs and defaults."""

from __future__ import annotations

import datetime as dt
import enum
import itertools
import json
from collections import deque
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, Optional, TypeVar

import pydantic
import pytest
import typing_extensions
from pydantic import (
    AliasChoices,
    AliasGenerator,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    RootModel,
    TypeAdapter,
    computed_field,
)
from pydantic.alias_generators import to_camel
from typing_extensions import Doc, NotRequired, ReadOnly, Required, Self, TypedDict

from conduit.mdl import from_text, render
from conduit.mdl.form import Record
from conduit.mdl.python.read import read

T = TypeVar("T")
U = TypeVar("U")


def names_of(type_: Any) -> dict[str, tuple[str, ...]]:
    root = read(type_).root
    assert isinstance(root, Record)
    return {member.name: member.aliases for member in root.members}


def test_a_dataclass_has_the_fields_that_its_constructor_takes() -> None:
    @dataclass
    class Part:
        a: int
        seed: InitVar[int]
        kind: ClassVar[str] = "part"
        made: int = field(init=False, default=4)
        _: KW_ONLY
        b: str = "x"
        c: str = Field("y", alias="cc", description="the c")

    assert render(Part) == 'a: int\nseed: int\nb: str = "x"\ncc: str = "y"  # the c'


def test_a_pydantic_dataclass_reads_like_a_model() -> None:
    @pydantic.dataclasses.dataclass
    class Part:
        a: Annotated[int, Field(ge=1, description="the a")]
        b: list[Part] = Field(default_factory=list, alias="bs")
        made: int = Field(0, init=False)

    assert render(Part) == 'Part = Dict{a: int(>=1) # "the a", bs: List[Part] = []}\n-> Part'


def test_a_model_has_neither_computed_nor_private_fields() -> None:
    class Square(BaseModel):
        model_config = ConfigDict(extra="allow")
        side: float
        _secret: int = PrivateAttr(3)

        @computed_field
        def area(self) -> float:
            return self.side**2

    assert render(Square) == "side: float"


def test_a_typed_dict_marks_what_may_be_missing() -> None:
    class Base(TypedDict):
        a: int
        b: NotRequired[Annotated[str, "the b"]]

    class Part(Base, total=False):
        c: Required[int]
        d: ReadOnly[str]

    assert render(Part) == "a: int\nb?: str  # the b\nc: int\nd?: str"
    assert from_text(render(Part)) == read(Part)


def test_a_closed_typed_dict_is_a_record_like_another() -> None:
    class Part(TypedDict, closed=True):
        a: int

    assert render(Part) == "a: int"


def test_a_named_tuple_is_a_record() -> None:
    class Pair(NamedTuple):
        """A pair.

        Attributes:
            left: the left one.
        """

        left: int
        right: Annotated[str, Field(max_length=3)] = "r"

    assert render(Pair) == 'left: int  # the left one.\nright: str(len<=3) = "r"'


def test_names_are_those_that_validation_takes() -> None:
    class Renamed(BaseModel):
        model_config = ConfigDict(alias_generator=to_camel)
        first_name: str
        own: int = Field(alias="Own")
        read_as: int = Field(validation_alias="in", serialization_alias="out")
        several: int = Field(
            validation_alias=AliasChoices(AliasPath("x", 0), "one", "two", AliasPath("three"))
        )

    assert names_of(Renamed) == {"firstName": (), "Own": (), "in": (), "one": ("two", "three")}
    value = {"firstName": "a", "Own": 1, "in": 2, "one": 3}
    assert Renamed.model_validate(value).several == 3


def test_the_name_in_python_is_an_alias_where_validation_takes_it() -> None:
    class Both(BaseModel):
        model_config = ConfigDict(validate_by_name=True)
        first_name: str = Field(alias="firstName")

    class Populated(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        first_name: str = Field(alias="firstName")

    class ByName(BaseModel):
        model_config = ConfigDict(validate_by_name=True, validate_by_alias=False)
        first_name: str = Field(alias="firstName")

    assert names_of(Both) == names_of(Populated) == {"firstName": ("first_name",)}
    assert names_of(ByName) == {"first_name": ()}


def test_plain_records_inside_a_model_take_over_its_names() -> None:
    @dataclass
    class Inner:
        the_name: str

    class Upper(BaseModel):
        model_config = ConfigDict(alias_generator=AliasGenerator(validation_alias=str.upper))
        inner: Inner

    class Plain(BaseModel):
        inner: Inner
        upper: Upper

    class Knot(BaseModel):
        model_config = ConfigDict(alias_generator=to_camel)
        other_knots: list[Knot]

    assert render(Plain) == "inner: Dict{the_name: str}\nupper: Dict{INNER: Dict{THE_NAME: str}}"
    assert render(Knot) == "Knot = Dict{otherKnots: List[Knot]}\n-> Knot"
    TypeAdapter(Plain).validate_python({"inner": {"the_name": "a"}, "upper": {"INNER": {"THE_NAME": "b"}}})


def test_a_doc_stands_on_one_line_wherever_it_comes_from() -> None:
    class Documented(BaseModel):
        """A record.

        Attributes:
            a: from the
                docstring.
            b: not this one.
        """

        a: int
        b: int = Field(description="from\n the\tfield")
        c: Annotated[int, "from the annotation"]
        d: Annotated[int, Doc("from Doc")]
        e: Annotated[int, Field(description="inside")]
        f: Annotated[int, Field(description="lone \ud800")]

    assert render(Documented).splitlines() == [
        "a: int  # from the docstring.",
        "b: int  # from the field",
        "c: int  # from the annotation",
        "d: int  # from Doc",
        "e: int  # inside",
        "f: int  # lone \ufffd",
    ]


def test_docs_are_inherited_but_not_from_pydantic() -> None:
    class Base(BaseModel):
        """A base.

        Attributes:
            a: the a
        """

        a: int

    class Child(Base):
        b: int

    assert render(Child) == "a: int  # the a\nb: int"


class Colour(enum.Enum):
    RED = "red"


class Inner(BaseModel):
    n: int = Field(3, alias="N")


def test_a_default_is_written_as_json() -> None:
    class Defaults(BaseModel):
        a: Colour = Colour.RED
        b: dt.date = dt.date(2024, 1, 2)
        c: Inner = Inner()
        d: tuple[int, ...] = (1, 2)
        e: frozenset[str] = frozenset({"b", "a", "c"})
        f: Optional[int] = None
        g: float = 1.0
        h: str = "\ud800 é"

    assert [json.dumps(member.default) for member in read(Defaults).root.members] == [
        '"red"', '"2024-01-02"', '{"N": 3}', "[1, 2]", '["a", "b", "c"]', "null", "1.0", '"\\ud800 \\u00e9"',
    ]  # fmt: skip
    assert render(Defaults).endswith('h: str = "\\ud800 é"')
    render(Defaults).encode()


def test_only_factories_that_always_make_the_same_are_called() -> None:
    counter = itertools.count()

    @dataclass
    class Made:
        a: list[int] = field(default_factory=list)
        b: dict[str, int] = field(default_factory=dict)
        c: set[int] = field(default_factory=set)
        d: deque[int] = field(default_factory=deque)
        e: str = field(default_factory=str)
        f: dt.datetime = field(default_factory=lambda: dt.datetime.now(tz=dt.UTC))
        g: int = field(default_factory=lambda: next(counter))

    class Model(BaseModel):
        a: int = Field(default_factory=lambda: next(counter))
        b: int = Field(default_factory=lambda data: data["a"])

    assert render(Made).splitlines() == [
        "a: List[int] = []",
        "b: Dict[str, int] = {}",
        "c: List[int](unique) = []",
        "d: List[int] = []",
        'e: str = ""',
        "f?: datetime",
        "g?: int",
    ]
    assert render(Model) == "a?: int\nb?: int"
    assert next(counter) == 0


class Page(BaseModel, Generic[T]):
    items: list[T]
    size: int = 0


@dataclass
class Box(Generic[T]):
    value: T
    inside: Optional[Box[T]] = None


@dataclass
class Both(Generic[T, U]):
    left: Box[T]
    right: list[Box[U]]


@dataclass
class IntBox(Box[int]):
    label: str = ""


class Keyed(TypedDict, Generic[T]):
    key: T


class Leaf(BaseModel):
    name: str


def test_type_variables_stand_for_their_arguments() -> None:
    assert render(Page[Leaf]) == "items: List[Dict{name: str}]\nsize: int = 0"
    assert render(Box[int]) == "Box = Dict{value: int, inside: Optional[Box] = null}\n-> Box"
    assert render(Both[int, Leaf]).splitlines() == [
        "Box = Dict{value: int, inside: Optional[Box] = null}",
        "Box2 = Dict{value: Dict{name: str}, inside: Optional[Box2] = null}",
        "left: Box",
        "right: List[Box2]",
    ]
    assert render(IntBox).splitlines()[1:] == [
        "value: int",
        "inside: Optional[Box] = null",
        'label: str = ""',
    ]
    assert render(Keyed[list[int]]) == "key: List[int]"


ByName = TypeVar("ByName", bound="Leaf")


def test_a_type_variable_that_nobody_set_is_its_bound() -> None:
    assert render(list[ByName]) == "-> List[Dict{name: str}]"


class Tree(RootModel[dict[str, "Tree"]]):
    pass


class Branch(BaseModel):
    leaf: Optional[Twig] = None
    same: list[Self]


class Twig(BaseModel):
    branches: list[Branch]


Json = typing_extensions.TypeAliasType("Json", "dict[str, Json] | list[Json] | str | None")


def test_recursive_types_are_named() -> None:
    assert render(Tree) == "Tree = Dict[str, Tree]\n-> Tree"
    assert render(Json) == "Json = Optional[Union[Dict[str, Json], List[Json], str]]\n-> Json"
    assert render(list[Branch]).splitlines() == [
        "Branch = Dict{leaf: Optional[Dict{branches: List[Branch]}] = null, same: List[Branch]}",
        "-> List[Branch]",
    ]


def test_a_root_model_is_its_root() -> None:
    class Names(RootModel[Annotated[list[str], Field(min_length=1)]]):
        pass

    assert render(Names) == "-> List[str](len>=1)"


def test_types_of_a_function_are_found_when_they_need_no_other_local_name() -> None:
    @dataclass
    class Local:
        name: str
        others: list[Local]

    class Model(BaseModel):
        locals: list[Local]

    assert render(Local) == "Local = Dict{name: str, others: List[Local]}\n-> Local"
    assert render(Model).endswith("locals: List[Local]")


class Deferred(BaseModel):
    model_config = ConfigDict(defer_build=True)
    later: Later


@pydantic.dataclasses.dataclass
class DeferredPart:
    later: list[Later]


class Later(BaseModel):
    name: str


def test_types_that_are_defined_later_are_found() -> None:
    assert render(Deferred) == "later: Dict{name: str}"
    assert render(DeferredPart) == "later: List[Dict{name: str}]"


class Cat(BaseModel):
    kind: Literal["cat"]
    name: str


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


def test_discriminated_unions_are_unions() -> None:
    by_name = Annotated[Cat | Dog, Field(discriminator="kind")]
    by_function = Annotated[
        Annotated[Cat, pydantic.Tag("cat")] | Annotated[Dog, pydantic.Tag("dog")],
        pydantic.Discriminator(lambda value: value["kind"]),
    ]
    text = '-> Union[Dict{kind: Literal["cat"], name: str}, Dict{kind: Literal["dog"], name: str}]'
    assert render(by_name) == render(by_function) == text


@pytest.mark.parametrize("kind", [BaseModel, dataclass])
def test_an_empty_record_is_an_empty_text(kind: Any) -> None:
    empty = type("Empty", (BaseModel,), {}) if kind is BaseModel else dataclass(type("Empty", (), {}))
    assert render(empty) == ""
    assert from_text("") == read(empty)
    assert render(list[empty]) == "-> List[Dict{}]"
