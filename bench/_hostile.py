"""What the fuzzer feeds: types of every kind, and values and texts of them that are nearly right.

All comes from the ``random.Random`` that is passed in, so that a case can be made again from its seed.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import random
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypeVar, Union

import typing_extensions
from pydantic import BaseModel, EmailStr, Field, HttpUrl

T = TypeVar("T")
Chance = random.Random


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Node(BaseModel):
    name: str = Field(alias="nodeName", max_length=40)
    size: Size = Size.SMALL
    children: list[Node] = Field(default_factory=list)


class Left(BaseModel):
    kind: Literal["left"]
    right: Right | None = None


class Right(BaseModel):
    kind: Literal["right"]
    lefts: list[Left]


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: str | None


class Loose(typing_extensions.TypedDict, total=False):
    day: dt.date
    note: Annotated[str, "one line"]


class Pair(NamedTuple):
    left: int
    right: decimal.Decimal = decimal.Decimal("1.5")


@dataclasses.dataclass
class Ticket:
    topic: Literal["billing", "bug", "other"]
    urgent: bool
    summary: Annotated[str, Field(min_length=1, max_length=200)]
    amount: float | None
    tags: set[str]
    at: dt.datetime | None = None


TYPES: tuple[Any, ...] = (
    Ticket, Node, Left, Page[Ticket], Page[Pair], Loose, Pair, str, int, float, bool, Size, dt.date, dt.timedelta,
    uuid.UUID, decimal.Decimal, list[int], dict[str, Ticket], tuple[int, str, bool], tuple[float, ...], set[str],
    Ticket | None, Left | Right, int | str, list[Pair | str], dict[int, list[bool]], HttpUrl,
    EmailStr, Annotated[str, Field(pattern=r"^[A-Z]{2}\d+$")], Annotated[int, Field(ge=0, lt=10)],
)  # fmt: skip

WORDS = (
    "billing",
    "Bug",
    "left",
    "s",
    "x",
    "naïve",
    "数量",
    "true",
    "None",
    "null",
    "2024-01-02",
    "1,234",
    "-0",
    "😀",
    "",
)
KEYS = ("key", "class", "a b", "é")
JUNK = (
    "{", "}", "[", "]", '"', "'", "`", "\\", ":", ",", "\n", "\t", "\0", "```", "```json\n", "<think>", "</think>",
    "//", "/*", "*/", "#", "\\u", "\\ud83d", "\\x", "\ud83d", "NaN", "Infinity", "1e999", "-", "0x1F", "1_000",
    "\u201c", "\u201d", "\u2018", "\u2019", "\uff1a", "(", ")", "=", "->", "Sure, here it is: ", "[1]", "{}",
    "\ufeff", "\u2028", "9" * 400, " " * 50, '"""', "Dict{", "List[", "Optional[", "Literal[", "Union[", "Tuple[",
    "...", "(>=0)", "/(a+)+$/", " = ", "  # ", "str", "int",
)  # fmt: skip


def value(chance: Chance, depth: int = 4) -> Any:
    """Some JSON value."""
    pick = chance.randrange(9 if depth else 6)
    if pick == 6:
        return [value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if pick >= 7:
        return {word(chance): value(chance, depth - 1) for _ in range(chance.randrange(4))}
    return (
        word(chance),
        chance.randrange(-9, 10 ** chance.randrange(1, 25)),
        chance.random(),
        True,
        None,
        word(chance),
    )[pick]


def word(chance: Chance) -> str:
    return chance.choice(WORDS) * chance.choice((1, 1, 1, 2, 20))


def value_of(type_: Any, chance: Chance, depth: int = 3) -> Any:
    """A JSON value that is meant to be of the type, with a mistake here and there."""
    if chance.random() < 0.04:
        return value(chance, 2)
    origin, args = typing.get_origin(type_), typing.get_args(type_)
    if origin is Annotated:
        return value_of(args[0], chance, depth)
    if origin is Literal:
        return chance.choice(args)
    if origin is Union or origin is type(int | str):
        return value_of(chance.choice(args), chance, depth)
    if origin is tuple and args[-1:] != (...,):
        return [value_of(arg, chance, depth - 1) for arg in args]
    if origin in (list, set, frozenset, tuple):
        return [value_of(args[0], chance, depth - 1) for _ in range(chance.randrange(3 if depth > 0 else 1))]
    if origin is dict:
        return {word(chance): value_of(args[1], chance, depth - 1) for _ in range(chance.randrange(3))}
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return chance.choice(list(type_)).value
    fields = _fields(type_)
    if fields is not None:
        if depth <= 0:
            return {}
        return {
            name: value_of(hint, chance, depth - 1) for name, hint in fields.items() if chance.random() < 0.9
        }
    made: Mapping[Any, Callable[[], Any]] = {
        str: lambda: word(chance),
        int: lambda: chance.randrange(-5, 500),
        float: chance.random,
        bool: lambda: chance.random() < 0.5,
        type(None): lambda: None,
        dt.date: lambda: "2024-02-29",
        dt.datetime: lambda: "2024-02-29T12:00:00Z",
        dt.timedelta: lambda: "PT1H",
        uuid.UUID: lambda: "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        decimal.Decimal: lambda: "12.50",
    }
    return made.get(type_, lambda: value(chance, 1))()


def _fields(type_: Any) -> dict[str, Any] | None:
    if isinstance(type_, type) and issubclass(type_, BaseModel):
        return {info.alias or name: info.annotation for name, info in type_.model_fields.items()}
    if dataclasses.is_dataclass(type_) or typing.is_typeddict(type_) or hasattr(type_, "_fields"):
        return typing.get_type_hints(type_)
    return None


def damaged(text: str, chance: Chance, times: int) -> str:
    """The text after some accidents."""
    for _ in range(times):
        at, end = sorted((chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)))
        near = min(end, at + chance.randrange(1, 30))
        accident = chance.randrange(8)
        if accident == 0:
            text = text[:at] + text[near:]
        elif accident in (1, 2):
            text = text[:at] + chance.choice(JUNK) + text[at:]
        elif accident == 3:
            text = text[:at] + text[at:near] * chance.choice((2, 2, 3, 40)) + text[near:]
        elif accident == 4:
            text = text[:at] + chance.choice(JUNK) * chance.choice((1, 5, 300)) + text[near:]
        elif accident == 5:
            text = chance.choice((text[:at], text[at:], text[at:] + text[:at]))
        elif accident == 6:
            text = chance.choice(
                (text.replace('"', "'"), text.replace('"', ""), json.dumps(text), text.upper())
            )
        else:
            text = (
                text[:at] + chr(chance.choice((chance.randrange(128), chance.randrange(0xD7FF)))) + text[at:]
            )
    return text[: 10_000 - 1]


def answer(type_: Any, chance: Chance) -> str:
    """What a model might write, or would never write, when asked for the type."""
    if chance.random() < 0.1:
        return damaged("".join(chance.choices(JUNK + WORDS, k=chance.randrange(60))), chance, 2)
    made = value_of(type_, chance) if chance.random() < 0.9 else value(chance)
    text = chance.choice(
        (str, lambda v: json.dumps(v, indent=chance.choice((None, 2)), ensure_ascii=chance.random() < 0.5))
    )(made)
    return damaged(text, chance, chance.choice((0, 1, 1, 2, 3, 8)))


def drawn_type(chance: Chance, depth: int = 3) -> Any:
    """Some annotation, for the most part one that MDL takes."""
    if depth == 0 or chance.random() < 0.3:
        return chance.choice(
            (*TYPES, *TYPES, Any, object, bytes, list, dict, None, complex, Callable[..., int], "Missing", T)
        )
    inner = [drawn_type(chance, depth - 1) for _ in range(chance.randrange(1, 4))]
    limits = {
        name: chance.choice((0, -1, 3, 2.5, 10**30, "^a", None))
        for name in chance.sample(("ge", "lt", "min_length", "max_length", "multiple_of", "pattern"), 1)
    }
    typed_dict: Any = chance.choice((typing.TypedDict, typing_extensions.TypedDict))
    makers: Sequence[Callable[[], Any]] = (
        lambda: list[inner[0]],
        lambda: set[inner[0]],
        lambda: dict[chance.choice((str, str, int, Size, float, inner[0])), inner[-1]],
        lambda: tuple[tuple(inner)],
        lambda: tuple[inner[0], ...],
        lambda: Optional[inner[0]],  # noqa: UP045 # what is no class may have no operator
        lambda: Union[tuple(inner)],  # noqa: UP007 # as many as were drawn
        lambda: Literal[tuple(chance.choices(("a", "b", 1, True, None, 'naïve "q"', "]", "#"), k=3))],
        lambda: Annotated[inner[0], Field(**limits)],
        lambda: Annotated[inner[0], chance.choice(("a doc", 'with "quotes" # and\nlines', ["unhashable"]))],
        lambda: dataclasses.make_dataclass("Made", [(f"f{i}", part) for i, part in enumerate(inner)]),
        lambda: typed_dict("Made", dict(zip(KEYS, inner, strict=False))),
    )
    try:
        return chance.choice(makers)()
    except TypeError:  # what Python itself does not take for a type
        return inner[0]
