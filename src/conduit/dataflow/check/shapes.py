"""What a type is made of: its plain form, a union's options, a collection's items, a record's fields.

Types are what ``typing`` has at run time. What cannot be told is ``Any``, of which nothing is ever said.
"""

from __future__ import annotations

import collections
import dataclasses
import inspect
import types
import typing
from collections import abc
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Never, NewType, TypeVar, Union, get_args, get_origin

import annotated_types
import pydantic
import typing_extensions
from pydantic.fields import FieldInfo

from conduit.dataflow.futures import BlockFuture
from conduit.dataflow.mapping.stored import StoredResults

_QUALIFIERS = (
    typing.Final, typing.ClassVar, typing.Required, typing.NotRequired, typing_extensions.ReadOnly,
)  # fmt: skip
_ALIASES = tuple(
    {typing_extensions.TypeAliasType, getattr(typing, "TypeAliasType", typing_extensions.TypeAliasType)}
)
_CONSTRAINTS = (
    annotated_types.BaseMetadata, annotated_types.GroupedMetadata, FieldInfo, pydantic.AfterValidator,
    pydantic.Strict, str,
)  # fmt: skip
LISTS: tuple[Any, ...] = (
    list, set, frozenset, collections.deque, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Set,
    abc.MutableSet, abc.Iterable, abc.Iterator, abc.Generator, abc.KeysView, abc.ValuesView,
)  # fmt: skip
MAPS: tuple[Any, ...] = (
    dict, collections.OrderedDict, collections.defaultdict, abc.Mapping, abc.MutableMapping,
)  # fmt: skip
_MOST_OPTIONS = 12


def plain(source: Any, *, taken: bool = False) -> Any:
    """A type without what changes nothing here: constraints, aliases, qualifiers.

    Args:
        source: The type.
        taken: It is an argument's: a validator that looks before conversion takes anything. Else it is a result's,
            and any validator may make something else of it.
    """
    while True:
        origin = get_origin(source)
        if origin is Annotated:
            inner, *metadata = get_args(source)
            if not all(_is_constraint(item, taken) for item in metadata):
                return Any
            source = inner
        elif origin in _QUALIFIERS:
            source = get_args(source)[0]
        elif isinstance(source, NewType):
            source = source.__supertype__
        elif isinstance(source, _ALIASES):
            source = source.__value__
        elif source is None:
            return type(None)
        elif (
            isinstance(source, TypeVar | str | typing.ForwardRef)
            or isinstance(origin, _ALIASES)
            or source in (object, typing.Self, typing_extensions.Self, typing.LiteralString)
        ):
            return Any
        else:
            return source


def _is_constraint(item: Any, taken: bool) -> bool:
    if isinstance(item, pydantic.AfterValidator):
        return taken
    if isinstance(item, _CONSTRAINTS):
        return True
    return not hasattr(item, "__get_pydantic_core_schema__") and not callable(item)


def options(source: Any) -> tuple[Any, ...]:
    """The members of a union; of any other type itself."""
    if get_origin(source) in (Union, types.UnionType):
        return tuple(inner for option in get_args(source) for inner in options(plain(option)))
    return (source,)


def union(members: Iterable[Any]) -> Any:
    """The type of a value that has one of these; ``Any`` where one is unknown or there are very many."""
    found: list[Any] = []
    written: list[Any] = []
    for member in members:
        for option in options(plain(member)):
            if option is Any:
                return Any
            if get_origin(option) is Literal:
                written += get_args(option)
            elif option is not Never and option not in found:
                found.append(option)
    written = [value for value in written if type(value) not in found]
    if len(written) > _MOST_OPTIONS:
        found += dict.fromkeys(map(type, written))
    elif written:
        found.append(Literal[tuple(written)])  # made at run time
    if len(found) > _MOST_OPTIONS:
        return Any
    if not found:
        return Never
    try:
        return Union[tuple(found)]  # noqa: UP007 # made at run time
    except TypeError:
        return Any


def generic(kind: Any, *parts: Any) -> Any:
    """``kind[parts]``, made at run time."""
    return kind[parts[0] if len(parts) == 1 else parts]


def tuple_of(parts: Iterable[Any]) -> Any:
    """The type of a tuple with these parts."""
    return tuple[tuple(parts)]  # type: ignore[misc] # made at run time


def is_class(source: Any) -> bool:
    """Whether it is a class and not a generic one with its arguments."""
    return inspect.isclass(source) and get_origin(source) is None


def is_named_tuple(source: Any) -> bool:
    """Whether it is a class made by ``NamedTuple`` or ``namedtuple``."""
    return is_class(source) and issubclass(source, tuple) and hasattr(source, "_fields")


def is_typed_dict(source: Any) -> bool:
    """Whether it is a ``TypedDict``, of either module."""
    return typing.is_typeddict(source) or typing_extensions.is_typeddict(source)


def is_record(source: Any) -> bool:
    """Whether it has typed fields: a dataclass, a pydantic model, a named tuple or a typed dict."""
    if is_typed_dict(source) or is_named_tuple(source):
        return True
    return is_class(source) and (dataclasses.is_dataclass(source) or issubclass(source, pydantic.BaseModel))


def hints_of(source: Any) -> dict[str, Any]:
    """The annotations of a class or function as types; none where they cannot be read."""
    try:
        return typing_extensions.get_type_hints(source, include_extras=True)
    except Exception:
        return {}


def attribute(source: Any, name: str) -> Any:
    """The type of an attribute; ``None`` where there certainly is none, ``Any`` where it cannot be told."""
    kind = get_origin(source) or source
    if kind is Literal:
        return union(attribute(type(value), name) or Any for value in get_args(source))
    if not inspect.isclass(kind) or kind is Any:
        return Any
    if get_origin(source) is None and not is_typed_dict(kind):
        hints = hints_of(kind)
        if name in hints:
            return plain(hints[name])
    elif not is_typed_dict(kind) and name in hints_of(kind):
        return Any  # of a generic class: in its variables
    static = inspect.getattr_static(dict if is_typed_dict(kind) else kind, name, None)
    if isinstance(static, property):
        return plain(hints_of(static.fget).get("return", Any)) if get_origin(source) is None else Any
    if static is not None or name.startswith("__"):
        return Any
    return None if _is_closed(kind, name) else Any


def _is_closed(kind: type, name: str) -> bool:
    """Whether instances can have no attributes beyond those that the class shows."""
    if kind in (str, int, float, bool, bytes, list, tuple, dict, set, frozenset, type(None), BlockFuture):
        return True
    if kind in (abc.Coroutine, abc.Generator, abc.AsyncGenerator) or is_typed_dict(kind):
        return True
    if not is_record(kind) or kind.__subclasses__():
        return False
    if hasattr(kind, "__getattr__") and not issubclass(kind, pydantic.BaseModel):
        return False
    if issubclass(kind, pydantic.BaseModel):
        own = [base for base in kind.__mro__ if base not in (pydantic.BaseModel, object)]
        if kind.model_config.get("extra") == "allow" or any("__getattr__" in vars(base) for base in own):
            return False
    methods = [value for base in kind.__mro__ for value in vars(base).values() if inspect.isfunction(value)]
    return not any(name in method.__code__.co_names for method in methods)


def items_of(source: Any) -> Any:
    """The type of what iterating gives; ``None`` where it certainly cannot be iterated, ``Any`` if unknown."""
    source = plain(source)
    if source is Any:
        return Any
    if len(parts := options(source)) > 1:
        items = [items_of(part) for part in parts]
        return Any if None in items else union(items)
    origin, args = get_origin(source), get_args(source)
    if origin is Literal:
        return union(items_of(type(value)) or Any for value in args)
    if source in (str, bytes):
        return str if source is str else int
    if origin is tuple:
        return union(args[:1] if len(args) == 2 and args[1] is ... else args)
    if origin in LISTS or origin in MAPS or origin is StoredResults:
        return plain(args[0]) if args else Any
    if source is range:
        return int
    if is_typed_dict(source):
        return str
    if is_named_tuple(source):
        return union(hints_of(source).get(name, Any) for name in source._fields)
    kind = origin or source
    if inspect.isclass(kind) and not hasattr(kind, "__iter__") and not hasattr(kind, "__getitem__"):
        certain = kind in (int, float, bool, type(None), BlockFuture, abc.Coroutine, abc.AsyncGenerator)
        return None if certain or (is_record(kind) and not kind.__subclasses__()) else Any
    return Any


def tuple_items(source: Any) -> tuple[Any, ...] | None:
    """The types of a tuple whose length is known."""
    source = plain(source)
    if get_origin(source) is tuple:
        args = get_args(source)
        return None if ... in args else args
    if is_named_tuple(source):
        hints = hints_of(source)
        return tuple(hints.get(name, Any) for name in source._fields)
    return None


def shown(source: Any) -> str:
    """A type as a reader would write it."""
    if source is type(None) or source is None:
        return "None"
    if source is Any:
        return "Any"
    if source is ...:
        return "..."
    origin, args = get_origin(source), get_args(source)
    if origin in (Union, types.UnionType):
        return " | ".join(shown(arg) for arg in args)
    if origin is Annotated:
        return shown(args[0])
    if origin is Literal:
        text = ", ".join(repr(arg) for arg in args)
        return f"Literal[{text if len(text) <= 60 else text[:57] + '...'}]"
    if origin is abc.Coroutine:
        return f"a coroutine of {shown(args[2])}"
    if origin is not None:
        name = getattr(origin, "__name__", str(origin))
        return f"{name}[{', '.join(shown(arg) for arg in args)}]" if args else name
    return getattr(source, "__name__", str(source))
