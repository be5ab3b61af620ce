"""Types as takers: whether a class decides for itself what it takes, and what a record cannot do without."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from abc import ABCMeta
from typing import Any, Literal, get_origin

import pydantic

from conduit.dataflow.check import scalars, shapes
from conduit.dataflow.check.shapes import LISTS, MAPS


def has_own_will(taker: Any) -> bool:
    """Whether the taker has a will of its own, which only its code knows."""
    kind: Any = get_origin(taker) or taker
    if not is_class(kind) or scalars.is_known(kind) or kind in LISTS or kind in MAPS or kind is tuple:
        return kind is not Literal and not is_class(kind)
    if is_sub(kind, enum.Enum):
        return "_missing_" in {name for base in kind.__mro__[:-1] for name in vars(base)} - {
            *vars(enum.Enum)
        } or any("_missing_" in vars(base) for base in kind.__mro__ if base.__module__ != "enum")
    if is_sub(kind, pydantic.BaseModel):
        config = kind.model_config
        return bool(config.get("from_attributes")) or _has_validators(kind) or _has_own_schema(kind)
    if dataclasses.is_dataclass(kind) or shapes.is_typed_dict(kind) or shapes.is_named_tuple(kind):
        return _has_validators(kind) or hasattr(kind, "__get_pydantic_core_schema__")
    if is_sub(kind, pydantic.AnyUrl):
        return False
    own = ("__get_pydantic_core_schema__", "__get_validators__", "__subclasshook__", "__instancecheck__")
    return isinstance(kind, ABCMeta) or any(name in vars(base) for name in own for base in kind.__mro__[:-1])


def _has_own_schema(kind: type[pydantic.BaseModel]) -> bool:
    return any(
        "__get_pydantic_core_schema__" in vars(base)
        for base in kind.__mro__
        if base not in (pydantic.BaseModel, pydantic.RootModel, object)
        and not base.__module__.startswith("pydantic.")
    )


def _has_validators(kind: Any) -> bool:
    decorators = getattr(kind, "__pydantic_decorators__", None)
    if decorators is None:
        return False
    return bool(decorators.model_validators or decorators.field_validators or decorators.validators)


def required(taker: Any) -> dict[str, Any] | None:
    """The fields that a record cannot do without, by name; ``None`` where they go by other names."""
    if shapes.is_typed_dict(taker):
        hints = shapes.hints_of(taker)
        return {name: hints.get(name, Any) for name in taker.__required_keys__}
    if is_sub(taker, pydantic.BaseModel):
        infos = taker.model_fields
        if any(info.alias or info.validation_alias for info in infos.values()):
            return None
        hints = shapes.hints_of(taker)
        return {name: hints.get(name, Any) for name, info in infos.items() if info.is_required()}
    if hasattr(taker, "__pydantic_fields__"):
        return None
    hints = shapes.hints_of(taker)
    return {
        field.name: hints.get(field.name, Any)
        for field in dataclasses.fields(taker)
        if field.init
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    }


def is_class(source: Any) -> bool:
    """``inspect.isclass`` that lets a checker think of the class what it likes."""
    return inspect.isclass(source)


def is_sub(kind: Any, of: Any) -> bool:
    """``issubclass``, which a typed dict and what is no class refuse to answer."""
    try:
        return issubclass(kind, of)
    except TypeError:
        return False
