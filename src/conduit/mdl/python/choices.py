"""The values of enums and literals."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from typing import Any

from conduit.mdl.form import Choice
from conduit.mdl.python.refusals import refusal

_Value = str | float | int | bool | None


def enum_choice(source: type[enum.Enum], path: str) -> Choice:
    """The values of an enum; names of members that are no values stand for theirs in answers.

    Raises:
        UnsupportedType: A value is no JSON scalar, or there are none.
    """
    members = [(name, _plain(member.value, path)) for name, member in source.__members__.items()]
    if not members:
        raise refusal(path, "has no members", "give the Enum at least one")
    values = tuple(_plain(member.value, path) for member in source)
    texts = {str(value) for value in values}
    return Choice(values, tuple((name, value) for name, value in members if name not in texts))


def literal_choice(values: Iterable[Any], path: str) -> Choice:
    """The values of a literal; an enum's member stands for its value.

    Raises:
        UnsupportedType: One is no JSON scalar.
    """
    found: dict[tuple[type, _Value], _Value] = {}
    names: dict[str, _Value] = {}
    for value in values:
        plain = _plain(value.value if isinstance(value, enum.Enum) else value, path)
        found[type(plain), plain] = plain
        if isinstance(value, enum.Enum):
            names[value.name] = plain
    texts = {str(value) for value in found.values()}
    return Choice(
        tuple(found.values()), tuple((name, value) for name, value in names.items() if name not in texts)
    )


def _plain(value: Any, path: str) -> _Value:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    raise refusal(path, f"the choice {value!r:.80} is no JSON scalar", "use strings, numbers or booleans")
