"""The intermediate form of a type: the one tree that text, schema, prompt and hash are made from.

It says what JSON Schema 2020-12 says, plus the order of fields and the names of records. It holds no Python
types: whoever reads a type (``read``) is separate from whoever writes the form down (``text``, ``schema``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

ScalarKind = Literal[
    "str", "int", "float", "bool", "datetime", "date", "time", "duration", "uuid", "decimal", "url", "email",
    "ipv4", "ipv6",
]  # fmt: skip
TEXT_KINDS = frozenset(
    {"str", "datetime", "date", "time", "duration", "uuid", "url", "email", "ipv4", "ipv6"}
)


@dataclass(frozen=True)
class Limits:
    """Constraints of one type; ``None`` where there is none.

    ``ge`` to ``multiple_of`` limit numbers, ``min_length`` to ``unique`` limit strings and collections.
    """

    ge: float | int | None = None
    gt: float | int | None = None
    le: float | int | None = None
    lt: float | int | None = None
    multiple_of: float | int | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    unique: bool = False


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Scalar:
    """One plain value."""

    kind: ScalarKind
    limits: Limits = NO_LIMITS


@dataclass(frozen=True)
class Null:
    """JSON's null."""


@dataclass(frozen=True)
class Choice:
    """One of these JSON scalars. ``aliases`` are other texts that mean one of them, for reading answers only."""

    values: tuple[str | float | int | bool | None, ...]
    aliases: tuple[tuple[str, str | float | int | bool | None], ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Anything:
    """Any JSON value. Only a bare JSON Schema has such places; no Python type that MDL takes does."""


@dataclass(frozen=True)
class ListOf:
    """Any number of one type."""

    item: Form
    limits: Limits = NO_LIMITS


@dataclass(frozen=True)
class TupleOf:
    """Fixed places, or any number of the first one's type when ``variadic``."""

    items: tuple[Form, ...]
    variadic: bool = False
    limits: Limits = NO_LIMITS


@dataclass(frozen=True)
class MapOf:
    """An object with free keys."""

    key: Form
    value: Form
    limits: Limits = NO_LIMITS


@dataclass(frozen=True)
class UnionOf:
    """One of several types; with ``Null`` among them it is optional."""

    options: tuple[Form, ...]


@dataclass(frozen=True)
class Ref:
    """A definition of the document, by name."""

    name: str


@dataclass(frozen=True)
class Member:
    """One field of a record. ``default`` counts when ``has_default``; it is a JSON value.

    ``aliases`` are other names that an answer may use for it, for reading answers only.
    """

    name: str
    form: Form
    doc: str = ""
    required: bool = True
    has_default: bool = False
    default: Any = field(default=None, hash=False)
    aliases: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Record:
    """An object with named fields, in the order of their definition. Its name has no part in its meaning.

    ``positional`` is a named tuple's: an answer may write it as a list of its values.
    """

    name: str = field(compare=False)
    members: tuple[Member, ...]
    positional: bool = field(default=False, compare=False)


Form = Scalar | Null | Choice | Anything | ListOf | TupleOf | MapOf | UnionOf | Ref | Record


@dataclass(frozen=True)
class Document:
    """A root form and what it refers to by name: recursive forms, and long ones that come up twice or more."""

    root: Form
    definitions: tuple[tuple[str, Form], ...] = ()


def children(form: Form) -> Iterator[Form]:
    """The forms directly inside ``form``."""
    match form:
        case ListOf(item=item):
            yield item
        case TupleOf(items=items):
            yield from items
        case MapOf(key=key, value=value):
            yield key
            yield value
        case UnionOf(options=options):
            yield from options
        case Record(members=members):
            yield from (member.form for member in members)
        case Scalar() | Null() | Choice() | Anything() | Ref():
            return


def walk(form: Form) -> Iterator[Form]:
    """``form`` and all forms inside it, outermost first."""
    yield form
    for child in children(form):
        yield from walk(child)
