"""Python types out of a hat, for laws that hold for every type that MDL takes."""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import pathlib
import uuid
from collections.abc import Sequence
from dataclasses import field, make_dataclass
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union

import pydantic
import typing_extensions
from hypothesis import strategies as st
from pydantic import Field, StringConstraints, create_model

_NAMES = ["Item", "Order", "Größe", "List", "str", "date", "Item2", "Any", "_x", "Node", "Tree"]
_UNIQUE = ["Node", "Tree"]  # names that mean nothing else where a text has them
_FIELDS = ["id", "name", "value", "items", "naïve", "List", "str", "a1", "_odd", "Item", "x", "größe", "true"]
_MODEL_FIELDS = [name for name in _FIELDS if not name.startswith("_")]
_SCALARS: list[Any] = [
    str, int, float, bool, datetime.datetime, datetime.date, datetime.time, datetime.timedelta, uuid.UUID,
    decimal.Decimal, pydantic.AnyUrl, pydantic.HttpUrl, pydantic.EmailStr, ipaddress.IPv4Address,
    ipaddress.IPv6Address, pathlib.Path, pydantic.SecretStr,
]  # fmt: skip
_PIECES = [
    "a",
    "/",
    r"\/",
    r"\\",
    "[/]",
    r"\d+",
    "\n",
    "#",
    '"',
    "é",
    r"\n",
    "[^)]",
    "(b|c)",
    ", ",
    r"\"",
    "]",
]
_ODD = "ab#\"'/\\{}[](),:=?$%\n\t\r é😀\u2028\x85\x00\x1f"


class Colour(enum.Enum):
    RED = "red"
    DARK_GREEN = "dark green"
    NONE = None


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Ratio(float, enum.Enum):
    WHOLE = 1.0
    HALF = 0.5


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(_ODD, max_size=6),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(_ODD, max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)
docs = st.one_of(st.just(""), st.text(_ODD, max_size=12))
patterns = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=5).map("".join)
_lengths = st.integers(0, 40)


@st.composite
def constrained(draw: st.DrawFn) -> Any:
    """A scalar under constraints."""
    kind = draw(st.sampled_from([str, int, float, decimal.Decimal]))
    if kind is str:
        return Annotated[
            str,
            StringConstraints(
                min_length=draw(st.none() | _lengths),
                max_length=draw(st.none() | _lengths),
                pattern=draw(st.none() | patterns),
            ),
        ]
    numbers = st.integers(-(10**20), 10**20)
    if kind is not int:
        numbers |= st.floats(-1e30, 1e30, allow_nan=False)
    bounds = draw(st.dictionaries(st.sampled_from(["ge", "gt", "le", "lt"]), numbers, max_size=2))
    return Annotated[kind, Field(**bounds)]  # type: ignore[arg-type]  # all of them take a number


literals = st.lists(
    st.one_of(st.text(_ODD, max_size=5), st.integers(-3, 3), st.booleans(), st.none()), min_size=1, max_size=4
).map(lambda values: Literal[tuple(values)])  # type: ignore[misc]  # a literal made at run time
leaves = st.one_of(
    st.sampled_from(_SCALARS), constrained(), literals, st.sampled_from([Colour, Level, Ratio])
)
keys = st.one_of(
    st.sampled_from([str, int, datetime.date, uuid.UUID, Literal["a", "b/c"]]),
    patterns.map(lambda pattern: Annotated[str, StringConstraints(pattern=pattern)]),
)


def _default(value: Any) -> Any:
    if isinstance(value, list | dict):
        return field(default_factory=type(value))
    return field(default=value)


class Hat:
    """Types for one document: records and aliases made before come up again."""

    def __init__(self, draw: st.DrawFn, kinds: Sequence[str]) -> None:
        self._draw = draw
        self._kinds = kinds
        self._made: list[Any] = []

    def type(self, depth: int) -> Any:
        """Some type, of at most so many levels of records."""
        draw = self._draw
        if self._made and draw(st.integers(0, 3)) == 0:
            return draw(st.sampled_from(self._made))
        if depth == 0 or draw(st.integers(0, 2)) == 0:
            return draw(leaves)
        if draw(st.booleans()):
            return self._collection(depth - 1)
        made = self._record(depth - 1)
        self._made.append(made)
        return made

    def _collection(self, depth: int) -> Any:
        draw = self._draw
        match draw(st.sampled_from(["list", "set", "map", "tuple", "open", "optional", "union", "sized"])):
            case "list":
                return list[self.type(depth)]
            case "set":
                return frozenset[self.type(depth)]
            case "map":
                return dict[draw(keys), self.type(depth)]
            case "tuple":
                return tuple[tuple(self.type(depth) for _ in range(draw(st.integers(0, 3))))]
            case "open":
                return tuple[self.type(depth), ...]
            case "optional":
                return Optional[self.type(depth)]
            case "union":
                return Union[tuple(self.type(depth) for _ in range(draw(st.integers(2, 3))))]
        return Annotated[list[self.type(depth)], Field(min_length=draw(_lengths)), draw(docs)]

    def _record(self, depth: int) -> Any:
        draw = self._draw
        kind = draw(st.sampled_from(self._kinds))
        name = draw(st.sampled_from(_NAMES))
        public = kind in ("model", "named tuple")
        names = draw(st.lists(st.sampled_from(_MODEL_FIELDS if public else _FIELDS), max_size=4, unique=True))
        fields = {name: Annotated[self.type(depth), draw(docs)] for name in names}
        if kind == "alias":
            inside = Union[str, list[name], dict[str, self.type(depth)]]  # type: ignore[misc]
            return typing_extensions.TypeAliasType(name, inside)
        if draw(st.booleans()):
            itself = name if kind == "dataclass" and name in _UNIQUE else typing_extensions.Self
            fields["again"] = draw(st.sampled_from([list[itself], Optional[itself], tuple[itself, ...]]))
        return getattr(self, f"_{kind.replace(' ', '_')}")(name, fields)

    def _dataclass(self, name: str, fields: dict[str, Any]) -> Any:
        return make_dataclass(
            name,
            [
                (key, hint, _default(self._draw(json_values)))
                if self._draw(st.booleans())
                else (key, hint, field())
                for key, hint in fields.items()
            ],
            kw_only=True,
        )

    def _model(self, name: str, fields: dict[str, Any]) -> Any:
        definitions: dict[str, Any] = {
            key: (hint, Field(self._draw(json_values)) if self._draw(st.booleans()) else ...)
            for key, hint in fields.items()
        }
        return create_model(name, **definitions)

    def _typed_dict(self, name: str, fields: dict[str, Any]) -> Any:
        return typing_extensions.TypedDict(name, fields, total=self._draw(st.booleans()))  # type: ignore[operator]

    def _named_tuple(self, name: str, fields: dict[str, Any]) -> Any:
        return NamedTuple(name, list(fields.items()))  # type: ignore[misc]


@st.composite
def types(draw: st.DrawFn, *kinds: str, depth: int = 3) -> Any:
    """A type whose records are of these kinds: dataclass, model, typed dict, named tuple, alias."""
    return Hat(draw, kinds).type(depth)
