"""Each type that MDL takes, and what it is called in the text. What the text says also comes back from it."""

import collections
import datetime as dt
import decimal
import enum
import ipaddress
import os
import pathlib
import re
import sys
import typing
import uuid
import zoneinfo
from collections import abc
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar, Union

import annotated_types
import pydantic
import pytest
import typing_extensions
from pydantic import Field, StringConstraints

from conduit.mdl import from_text, render
from conduit.mdl.python.read import read

UserId = NewType("UserId", int)
Bound = TypeVar("Bound", bound=int)
Either = TypeVar("Either", int, str)
Default = typing_extensions.TypeVar("Default", default=float)
Alias = typing_extensions.TypeAliasType("Alias", Annotated[str, Field(max_length=9)])
Pair = typing_extensions.TypeAliasType("Pair", tuple[Either, Either], type_params=(Either,))


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    A = "a"


class Share(enum.Enum):
    HALF = 0.5
    ALL = 1


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (str, "str"),
        (int, "int"),
        (float, "float"),
        (bool, "bool"),
        (dt.datetime, "datetime"),
        (pydantic.AwareDatetime, "datetime"),
        (pydantic.NaiveDatetime, "datetime"),
        (pydantic.PastDatetime, "datetime"),
        (pydantic.FutureDatetime, "datetime"),
        (dt.date, "date"),
        (pydantic.PastDate, "date"),
        (pydantic.FutureDate, "date"),
        (dt.time, "time"),
        (dt.timedelta, "duration"),
        (uuid.UUID, "uuid"),
        (pydantic.UUID1, "uuid"),
        (pydantic.UUID5, "uuid"),
        (decimal.Decimal, "decimal"),
        (pydantic.AnyUrl, "url"),
        (pydantic.HttpUrl, "url"),
        (pydantic.FileUrl, "url"),
        (pydantic.PostgresDsn, "url"),
        (pydantic.RedisDsn, "url"),
        (pydantic.MongoDsn, "url"),
        (pydantic.EmailStr, "email"),
        (pydantic.NameEmail, "str"),
        (ipaddress.IPv4Address, "ipv4"),
        (ipaddress.IPv6Address, "ipv6"),
        (ipaddress.IPv4Network, "str"),
        (pydantic.IPvAnyAddress, "str"),
        (pathlib.Path, "str"),
        (pydantic.FilePath, "str"),
        (pydantic.NewPath, "str"),
        (os.PathLike[str], "str"),
        (pydantic.SecretStr, "str"),
        (pydantic.Secret[int], "int"),
        (re.Pattern[str], "str"),
        (zoneinfo.ZoneInfo, "str"),
        (pydantic.Json[list[int]], "str"),
        (pydantic.Base64Str, "str"),
        (pydantic.ByteSize, "int"),
        (pydantic.StrictInt, "int"),
        (pydantic.PositiveInt, "int(>0)"),
        (pydantic.FiniteFloat, "float"),
        (pydantic.conint(ge=1, multiple_of=5), "int(>=1, %5)"),
        (pydantic.constr(min_length=1, max_length=3), "str(len>=1, len<=3)"),
        (pydantic.conlist(int, max_length=3), "List[int](len<=3)"),
        (pydantic.condecimal(gt=decimal.Decimal("0.5"), max_digits=4), "decimal(>0.5)"),
        (Annotated[decimal.Decimal, Field(le=decimal.Decimal(100))], "decimal(<=100)"),
        (Annotated[float, annotated_types.Interval(ge=0, lt=1)], "float(>=0, <1)"),
        (Annotated[float, Field(gt=float("-inf"), le=2)], "float(<=2)"),
        (Annotated[str, annotated_types.Len(1, 2)], "str(len>=1, len<=2)"),
        (Annotated[str, StringConstraints(pattern=re.compile("^a/b$"))], r"str(/^a\/b$/)"),
        (Annotated[Annotated[int, Field(ge=1, le=9)], Field(ge=0, le=5)], "int(>=1, <=5)"),
        (Annotated[dt.date, Field(ge=dt.date(2020, 1, 1))], "date"),
        (Annotated[Optional[int], Field(ge=1)], "Optional[int(>=1)]"),
        (Annotated[Optional[Alias], Field(max_length=5)], "Optional[str(len<=5)]"),
        (Literal["a", 2, True, None], 'Literal["a", 2, true, null]'),
        (Literal[Colour.RED, "x"], 'Literal["red", "x"]'),
        (Colour, 'Literal["red", "blue"]'),
        (Level, "Literal[1, 2]"),
        (Word, 'Literal["a"]'),
        (Share, "Literal[0.5, 1]"),
        (list[int], "List[int]"),
        (abc.Sequence[int], "List[int]"),
        (abc.Collection[int], "List[int]"),
        (collections.deque[int], "List[int]"),
        (typing.Deque[int], "List[int]"),
        (set[int], "List[int](unique)"),
        (frozenset[int], "List[int](unique)"),
        (abc.Set[int], "List[int](unique)"),
        (tuple[int, str], "Tuple[int, str]"),
        (tuple[int, ...], "Tuple[int, ...]"),
        (tuple[()], "Tuple[]"),
        (typing.Tuple[()], "Tuple[]"),
        (dict[str, int], "Dict[str, int]"),
        (dict[int, str], "Dict[int, str]"),
        (dict[Colour, int], 'Dict[Literal["red", "blue"], int]'),
        (dict[uuid.UUID, int], "Dict[uuid, int]"),
        (dict[Alias, int], "Dict[str(len<=9), int]"),
        (abc.Mapping[str, int], "Dict[str, int]"),
        (collections.defaultdict[str, int], "Dict[str, int]"),
        (collections.OrderedDict[str, int], "Dict[str, int]"),
        (collections.Counter[str], "Dict[str, int]"),
        (Optional[int], "Optional[int]"),
        (None | int | None, "Optional[int]"),
        (int | None | str, "Optional[Union[int, str]]"),
        (Union[int, Union[str, None]], "Optional[Union[int, str]]"),
        (Union[Literal[1], Literal[True]], "Union[Literal[1], Literal[true]]"),  # noqa: PYI030 - two options
        (UserId, "int"),
        (Bound, "int"),
        (Either, "Union[int, str]"),
        (Default, "float"),
        (Alias, "str(len<=9)"),
        (Pair[bool], "Tuple[bool, bool]"),
        (typing.Final[int], "int"),
    ],
)
def test_a_type_is_written_by_its_name(type_: Any, text: str) -> None:
    assert render(type_) == f"-> {text}"
    assert from_text(f"-> {text}") == read(type_)


def test_names_of_enum_members_are_known_where_they_are_no_values() -> None:
    assert read(Level).root.aliases == (("LOW", 1), ("HIGH", 2))
    assert read(Colour).root.aliases == (("RED", "red"), ("BLUE", "blue"))

    class Swapped(enum.Enum):
        A = "B"
        B = "A"
        SAME = A

    assert read(Swapped).root.values == ("B", "A")
    assert read(Swapped).root.aliases == (("SAME", "B"),)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement is new in Python 3.12")
def test_the_type_statement_makes_aliases() -> None:
    names: dict[str, Any] = {"__name__": __name__}
    exec(
        "type Tree = dict[str, Tree] | str\n"
        "type Two[T] = tuple[T, T]\n"
        "class Box[T]:\n    value: T\n    boxes: list['Box[T]']\n"
        "import dataclasses\n"
        "Box = dataclasses.dataclass(Box)\n",
        names,
    )
    assert render(names["Tree"]) == "Tree = Union[Dict[str, Tree], str]\n-> Tree"
    assert render(names["Two"][int]) == "-> Tuple[int, int]"
    assert render(names["Box"][int]) == "Box = Dict{value: int, boxes: List[Box]}\n-> Box"
