"""Annotations as types: texts are evaluated where their names can be found."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Mapping
from typing import Any

import pydantic
import pydantic.dataclasses
import typing_extensions

from conduit.mdl.python.refusals import refusal

ALIASES: tuple[type, ...] = (
    typing_extensions.TypeAliasType,
    getattr(typing, "TypeAliasType", typing_extensions.TypeAliasType),
)
"""The kinds of objects that ``type X = ...`` makes."""
_UNRESOLVED = (NameError, AttributeError, SyntaxError, TypeError, pydantic.errors.PydanticUndefinedAnnotation)


def hints_of(source: Any, path: str, names: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The resolved annotations of a class or function, with their metadata.

    Args:
        source: A class or function.
        path: Where it stands.
        names: More names, where those of its module do not suffice.

    Raises:
        UnsupportedType: A name in them does not resolve.
    """
    try:
        try:
            return typing.get_type_hints(source, include_extras=True)
        except NameError:
            return typing.get_type_hints(source, localns=_names_near(source, names), include_extras=True)
    except _UNRESOLVED as error:
        raise _unresolved(path, error) from error
    except RecursionError as error:
        raise refusal(path, "is nested too deeply", "name the inner part as a record") from error


def _names_near(source: Any, names: Mapping[str, Any] | None) -> dict[str, Any]:
    """Names that ``get_type_hints`` does not know: the class itself, its type parameters, a function's closure."""
    near = {parameter.__name__: parameter for parameter in getattr(source, "__type_params__", ())}
    if inspect.isclass(source):
        return {**near, **vars(source), source.__name__: source, **(names or {})}
    closure = inspect.getclosurevars(source).nonlocals if inspect.isfunction(source) else {}
    return {**near, **(names or {}), **closure}


def resolved(source: Any, module: str | None, names: Mapping[str, Any], path: str) -> Any:
    """A type, or the text of one, with all texts inside replaced by the types that they name.

    Args:
        source: The type.
        module: The name of the module that knows the names.
        names: More names.
        path: Where it stands.

    Raises:
        UnsupportedType: A text names nothing there.
    """

    class Holder:
        pass

    Holder.__annotations__ = {"value": source}
    Holder.__module__ = module if module in sys.modules else __name__
    try:
        return typing.get_type_hints(Holder, localns=dict(names), include_extras=True)["value"]
    except _UNRESOLVED as error:
        raise _unresolved(path, error) from error


def alias_value(alias: Any, path: str) -> Any:
    """What a type alias stands for.

    Raises:
        UnsupportedType: A name in it does not resolve.
    """
    try:
        value = alias.__value__
    except _UNRESOLVED as error:
        raise _unresolved(path, error) from error
    parameters = {parameter.__name__: parameter for parameter in alias.__type_params__}
    return resolved(value, alias.__module__, {alias.__name__: alias, **parameters}, path)


def completed(source: Any, path: str) -> None:
    """Has a pydantic model or dataclass resolve its annotations, if it has not yet.

    Raises:
        UnsupportedType: A name in them does not resolve.
    """
    if source.__dict__.get("__pydantic_complete__"):
        return
    try:
        if issubclass(source, pydantic.BaseModel):
            source.model_rebuild()
        else:
            pydantic.dataclasses.rebuild_dataclass(source)
    except _UNRESOLVED as error:
        raise _unresolved(path, error) from error
    except pydantic.errors.PydanticSchemaGenerationError:
        return  # Some field's type is foreign to pydantic; reading that field says so, with its path.
    except pydantic.PydanticUserError as error:
        raise refusal(
            path, f"pydantic refuses it ({error.message})", "define it so that pydantic takes it"
        ) from error
    except RecursionError as error:
        raise refusal(path, "is nested too deeply", "name the inner part as a record") from error


def _unresolved(path: str, error: Exception) -> Exception:
    return refusal(path, f"an annotation does not resolve ({error})", "define the type at module level")
