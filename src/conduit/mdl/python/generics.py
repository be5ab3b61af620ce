"""Type variables: what they stand for inside a parametrised class or alias."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, Union, get_args, get_origin

import pydantic

from conduit.mdl.python.naming import Naming


@dataclass(frozen=True)
class Scope:
    """What surrounds a field.

    Attributes:
        variables: The types that type variables (and ``Self``) stand for.
        naming: How the record around names its fields, which plain records inside take over.
    """

    variables: Mapping[Any, Any] = field(default_factory=dict)
    naming: Naming = field(default_factory=Naming)


def closed(source: Any, variables: Mapping[Any, Any]) -> Any:
    """The type with its variables replaced; those that are unknown stay."""
    if isinstance(source, TypeVar) or source is typing.Self:
        return variables.get(source, source)
    parameters = _free(source)
    if not any(parameter in variables for parameter in parameters):
        return source
    return source[tuple(variables.get(parameter, parameter) for parameter in parameters)]


def _free(source: Any) -> tuple[Any, ...]:
    if not isinstance(source, type):
        return tuple(getattr(source, "__parameters__", ()))
    if issubclass(source, pydantic.BaseModel):
        generic = source.__pydantic_generic_metadata__
        return generic["parameters"] if generic["args"] else ()
    return ()


def bindings(source: Any) -> dict[Any, Any]:
    """What the type variables of a class or of a parametrised alias stand for, those of its bases too."""
    origin = get_origin(source) or source
    names = getattr(origin, "__type_params__", ()) or getattr(origin, "__parameters__", ())
    found: dict[Any, Any] = dict(zip(names, get_args(source), strict=False))
    for base in getattr(origin, "__orig_bases__", ()):
        if isinstance(get_origin(base), type) and get_origin(base) is not typing.Generic:
            for name, argument in bindings(base).items():
                found.setdefault(name, closed(argument, found))
    return found


def stand_in(variable: TypeVar) -> Any:
    """The type that pydantic takes for a variable that nobody set: default, constraints or bound; else ``None``."""
    if getattr(variable, "has_default", bool)():
        return getattr(variable, "__default__", None)
    if variable.__constraints__:
        return Union[variable.__constraints__]  # noqa: UP007 - a tuple of types
    return variable.__bound__
