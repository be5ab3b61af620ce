"""What is known of a value while a flow is read: its type, at times the object itself, and its number of items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from conduit.dataflow.check import shapes


class _Nothing:
    """Stands for an object that is not known."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING: Any = _Nothing()
_CONSTANTS = (str, bytes, int, bool, float)


@dataclass(frozen=True)
class Method:
    """A method, or another attribute that can be called, of a value."""

    of: Value
    name: str


@dataclass(frozen=True, eq=False)
class Value:
    """What is known of a value.

    Attributes:
        type: Its type; ``Any`` where it is not known, ``Never`` for the items of what is empty.
        known: The object itself: a block, a class, a function, a module, or a ``Method``.
        size: How many items it has, where it was written down.
        grows: A list, set or dict that was written down and may get more items.
    """

    type: Any = Any
    known: Any = NOTHING
    size: int | None = None
    grows: bool = False

    @property
    def items(self) -> Any:
        """The type of what iterating gives; ``None`` where it cannot be iterated."""
        return shapes.items_of(self.type)


UNKNOWN = Value()
Names = dict[str, Value]
"""The values by the names that a place in the code sees; a dotted name is an attribute that was looked at."""


def constant(value: Any) -> Value:
    """What is known of something written in the code."""
    if value is None:
        return Value(type(None))
    if isinstance(value, _CONSTANTS):
        return Value(Literal[value], size=len(value) if isinstance(value, str | bytes) else None)
    return Value(type(value))


def one_of(values: Iterable[Value]) -> Value:
    """What is known of a value that is one of these."""
    values = list(values)
    if not values:
        return UNKNOWN
    first = values[0]
    if all(value is first for value in values):
        return first
    sizes = [value.size for value in values]
    return Value(
        shapes.union(value.type for value in values),
        known=first.known if all(value.known is first.known for value in values) else NOTHING,
        size=None if None in sizes else max(size for size in sizes if size is not None),
        grows=any(value.grows for value in values),
    )


def joined(branches: Iterable[Names | None]) -> Names | None:
    """The names after branches of which one was taken; a branch that ended elsewhere is ``None``."""
    living = [branch for branch in branches if branch is not None]
    if not living:
        return None
    if len(living) == 1:
        return living[0]
    made: Names = {}
    for name in dict.fromkeys(name for branch in living for name in branch):
        found = [branch[name] for branch in living if name in branch]
        if "." in name and len(found) < len(living):
            continue  # what was learned of an attribute in one branch holds there only
        made[name] = one_of(found)
    return made


def forgotten(names: Names, changed: Iterable[str]) -> Names:
    """The names, of which some may have any value now."""
    return {**names, **dict.fromkeys(changed, UNKNOWN)}


def same(before: Mapping[str, Value], after: Mapping[str, Value]) -> set[str]:
    """The names whose types are not what they were."""
    return {name for name, value in after.items() if name in before and before[name].type != value.type}


def without_size(value: Value) -> Value:
    """The value, of which it is not known how many items it has."""
    return replace(value, size=None)
