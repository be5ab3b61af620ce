"""Unions, collections and records of pydantic, one by one."""

# The older spellings of types are features as well:
# ruff: noqa: UP007, UP045

import datetime as dt
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypeVar,
    Union,
)

import pydantic
from _decode_feature import FEATURES, feature
from _decode_scalars import Color, Level
from pydantic import BaseModel, ConfigDict, Discriminator, Field, RootModel, Tag
from typing_extensions import TypeAliasType, TypedDict

__all__ = ["FEATURES"]  # all of them: those of plain values are loaded with Color


# Unions
class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    good: bool


def _which(value: Any) -> str:
    return "cat" if (value.get("kind") if isinstance(value, dict) else value.kind) == "cat" else "dog"


feature("Union of plain values", Union[int, str, None], ["1", '"1"', "null"], ["1.5", "[]", "true"])
feature("Union of int and float", Union[int, float], ["1", "1.5"], ['"1"'])
feature(
    "Union of records",
    Union[Cat, Dog],
    ['{"kind":"cat","lives":9}', '{"kind":"dog","good":true}'],
    ['{"kind":"cow"}', '{"kind":"cat"}'],
)
feature(
    "discriminated union",
    Annotated[Cat | Dog, Field(discriminator="kind")],
    ['{"kind":"cat","lives":9}', '{"kind":"dog","good":true}'],
    ['{"kind":"cow","lives":9}', '{"kind":"cat","good":true}', "{}"],
)
feature(
    "union with a callable discriminator",
    Annotated[Annotated[Cat, Tag("cat")] | Annotated[Dog, Tag("dog")], Discriminator(_which)],
    ['{"kind":"cat","lives":9}', '{"kind":"dog","good":false}'],
    ['{"kind":"cat","good":true}', '{"kind":"cow"}'],
)
feature("left to right", Annotated[str | int, Field(union_mode="left_to_right")], ['"1"', "1"], ["1.5"])


# Collections
feature("list", list[int], ["[]", "[1,2]"], ["[1.5]", "{}", '["1"]', "null"])
feature(
    "conlist",
    Annotated[list[int], Field(min_length=1, max_length=3)],
    ["[1]", "[1,2,3]"],
    ["[]", "[1,2,3,4]"],
)
feature("list of lists", list[list[str | None]], ['[[null,"a"],[]]'], ["[null]", "[[1]]"])
feature("set", set[int], ["[]", "[1,2]"], ['["a"]', "1"])
feature("frozenset with lengths", Annotated[frozenset[str], Field(min_length=1)], ['["a"]'], ["[]", "[1]"])
feature("tuple", tuple[int, str], ['[1,"a"]'], ["[1]", '[1,"a",2]', '["a",1]'])
feature("tuple of one", tuple[int], ["[1]"], ["[]", "[1,2]"])
feature("tuple without end", tuple[int, ...], ["[]", "[1,2,3]"], ['["a"]'])
feature("Sequence", Sequence[int], ["[1]"], ["1"])
feature("deque", deque[int], ["[1,2]"], ['["a"]'])
feature("dict", dict[str, int], ["{}", '{"é \\n":1,"b":2}'], ['{"a":"b"}', "[]"])
feature(
    "dict with lengths",
    Annotated[dict[str, int], Field(min_length=1, max_length=2)],
    ['{"a":1}'],
    ["{}", '{"a":1,"b":2,"c":3}'],
)
feature("dict of int keys", dict[int, str], ['{"1":"a","-2":"b"}'], ['{"a":"b"}', '{"1.5":"b"}'])
feature("dict of Enum keys", dict[Color, int], ['{"blue":1,"red":2}', "{}"], ['{"green":1}'])
feature("dict of Literal keys", dict[Literal["a", "b"], int], ['{"b":1,"a":2}'], ['{"c":1}'])
feature("dict of IntEnum keys", dict[Level, int], ['{"1":1}'], ['{"3":1}', '{"a":1}'], unsaid=True)
feature("dict of patterned keys", dict[Annotated[str, Field(pattern="^k_")], int], ['{"k_a":1}'], ['{"a":1}'])
feature("dict of sized keys", dict[Annotated[str, Field(max_length=2)], int], ['{"ab":1}'], ['{"abc":1}'])
feature(
    "dict of UUID keys", dict[uuid.UUID, int], ['{"123e4567-e89b-12d3-a456-426614174000":1}'], ['{"x":1}']
)
feature("dict of date keys", dict[dt.date, int], ['{"2024-01-31":1}'], ['{"2024-13-31":1}'])
feature("Mapping", Mapping[str, list[int]], ['{"a":[1]}'], ['{"a":1}'])


# Records
class Part(BaseModel):
    name: str
    weight: float = 1.0


class Whole(BaseModel):
    parts: list[Part]
    first: Part
    second: Part | None = None


class Node(BaseModel):
    name: str
    children: list["Node"] = []


class Ping(BaseModel):
    pong: Optional["Pong"] = None


class Pong(BaseModel):
    pings: list[Ping]


Ping.model_rebuild()
T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: int | None


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Aliased(BaseModel):
    user_name: str = Field(alias="userName")
    size: int = Field(validation_alias="theSize")


class Computed(BaseModel):
    width: int

    @pydantic.computed_field
    @property
    def area(self) -> int:
        return self.width**2


class Checked(BaseModel):
    low: int
    high: int

    @pydantic.field_validator("low")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("odd")
        return value

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> "Checked":
        if self.low > self.high:
            raise ValueError("out of order")
        return self


class Documented(BaseModel):
    """Notes of all kinds."""

    model_config = ConfigDict(title="T", json_schema_extra={"examples": [{"a": 1}]})
    a: int = Field(1, title="A", description="the a", examples=[1, 2], deprecated=True)


class Total(TypedDict):
    a: int
    b: NotRequired[str]


class Pair(NamedTuple):
    left: int
    right: str = "x"


@dataclass
class Plain:
    a: int
    b: list[str] = field(default_factory=list)


@pydantic.dataclasses.dataclass
class Limited:
    a: Annotated[int, Field(gt=0)]


class Odd(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    x: int = Field(alias='a "b"\n/~$')


class Constant(BaseModel):
    version: Literal[2]
    frozen: Annotated[str, Field(frozen=True)] = "y"


class Wide(BaseModel):
    pass


WideModel = pydantic.create_model("WideModel", **{f"field_{i}": (int, ...) for i in range(300)})
Recursive = TypeAliasType("Recursive", int | list["Recursive"])
UserId = NewType("UserId", int)
NODE = '{"name":"a","children":[{"name":"b","children":[]}]}'

feature("model", Part, ['{"name":"a","weight":2.5}', '{"name":"a"}'], ['{"weight":1}', '{"name":1}', "[]"])
feature(
    "nested models",
    Whole,
    ['{"parts":[{"name":"a"}],"first":{"name":"b"}}'],
    ['{"parts":[]}', '{"parts":[{}],"first":{"name":"b"}}'],
)
feature("recursive model", Node, [NODE, '{"name":"a"}'], ['{"name":"a","children":[1]}', '{"children":[]}'])
feature(
    "mutually recursive models",
    Ping,
    ['{"pong":{"pings":[{"pong":null}]}}', "{}"],
    ['{"pong":{}}', '{"pong":1}'],
)
feature(
    "generic model",
    Page[Part],
    ['{"items":[{"name":"a"}],"next":null}'],
    ['{"items":[1],"next":1}', '{"items":[]}'],
)
feature(
    "generic of generic",
    Page[Page[int]],
    ['{"items":[{"items":[1],"next":2}],"next":null}'],
    ['{"items":[1],"next":null}'],
)
feature("RootModel", RootModel[list[int]], ["[1]"], ['{"root":[1]}', '["a"]'])
feature(
    "RootModel in a field",
    pydantic.create_model("R", ids=(RootModel[list[int]], ...)),
    ['{"ids":[1]}'],
    ['{"ids":1}'],
)
feature("recursive alias", Recursive, ["1", "[1,[2,[]]]"], ['"a"', '["a"]'])
feature("extra forbid", Closed, ['{"a":1}'], ['{"a":1,"b":2}', "{}"])
feature("extra allow", Open, ['{"a":1}'], ['{"b":1}'], unasked=['{"a":1,"b":[2]}'])
feature(
    "extra ignore",
    Part,
    ['{"name":"a","weight":1.5}'],
    ['{"weight":1}'],
    unasked=['{"name":"a","weight":1.5,"x":1}'],
)
feature("alias", Aliased, ['{"userName":"x","theSize":1}'], ['{"user_name":"x","theSize":1}'])
feature("odd alias", Odd, ['{"a \\"b\\"\\n/~$":1}'], ["{}", '{"a":1}'], unsaid=True)
feature("computed field", Computed, ['{"width":3}'], ["{}"])
feature("validators", Checked, ['{"low":2,"high":3}'], ['{"low":1,"high":3}', '{"low":4,"high":3}'])
feature("annotations", Documented, ['{"a":3}', "{}"], ['{"a":"b"}'])
feature("TypedDict", Total, ['{"a":1,"b":"x"}', '{"a":1}'], ['{"b":"x"}', '{"a":1,"b":2}'])
feature("NamedTuple", Pair, ['[1,"a"]', "[1]"], ['["a",1]', "[]"])
feature("dataclass", Plain, ['{"a":1,"b":["x"]}', '{"a":1}'], ['{"b":[]}', '{"a":"1"}'])
feature("pydantic dataclass", Limited, ['{"a":1}'], ['{"a":0}'])
feature("constant field", Constant, ['{"version":2}', '{"version":2,"frozen":"z"}'], ['{"version":1}'])
feature("empty model", Wide, ["{}"], ["[]", "1"])
feature("300 fields", WideModel, ["{" + ",".join(f'"field_{i}":{i}' for i in range(300)) + "}"], ["{}"])
feature("NewType", UserId, ["1"], ['"1"'])
feature("Annotated after validator", Annotated[int, pydantic.AfterValidator(abs)], ["-1"], ['"1"'])
feature(
    "Callable default",
    pydantic.create_model("C", f=(int, Field(default_factory=int))),
    ['{"f":1}', "{}"],
    ['{"f":"a"}'],
)
feature("Strict", Annotated[int, pydantic.Strict()], ["1"], ['"1"', "1.0"])
feature(
    "Optional field without default",
    pydantic.create_model("O", a=(Optional[int], ...)),
    ['{"a":null}'],
    ["{}", '{"a":"x"}'],
)
feature(
    "list of discriminated",
    list[Annotated[Cat | Dog, Field(discriminator="kind")]],
    ['[{"kind":"dog","good":true}]'],
    ['[{"kind":"x"}]'],
)
