"""What the functions and methods that every flow uses give: Python's own, by the types of what they are given."""

from __future__ import annotations

import builtins
import types
from collections import abc
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Literal, Never, get_args, get_origin

from conduit.dataflow.check import shapes
from conduit.dataflow.check.shapes import generic, tuple_of
from conduit.dataflow.check.values import NOTHING, UNKNOWN, Value

_FIXED: dict[Any, Any] = {
    len: int, str: str, int: int, float: float, bool: bool, bytes: bytes, repr: str, input: str, isinstance: bool,
    hasattr: bool, callable: bool, any: bool, all: bool, ord: int, chr: str, format: str, print: type(None),
    id: int, hash: int, ascii: str, issubclass: bool,
}  # fmt: skip
_TEXT: dict[str, Any] = {
    **dict.fromkeys(
        ("strip lstrip rstrip lower upper title capitalize casefold replace join format removeprefix removesuffix"
         " center ljust rjust zfill swapcase expandtabs translate format_map").split(), str),
    **dict.fromkeys(("split", "rsplit", "splitlines"), list[str]),
    **dict.fromkeys(("partition", "rpartition"), tuple[str, str, str]),
    **dict.fromkeys(
        ("startswith endswith isdigit isalpha isalnum isspace isupper islower isidentifier isnumeric istitle"
         " isdecimal isprintable isascii").split(), bool),
    **dict.fromkeys(("count", "find", "rfind", "index", "rindex"), int),
    "encode": bytes,
}  # fmt: skip
PURE: frozenset[Any] = frozenset(
    (*_FIXED, list, tuple, set, frozenset, dict, sorted, enumerate, zip, reversed, min, max, sum, iter, next, map,
     filter, range, round, abs, type)
)  # fmt: skip
"""They keep nothing of what they are given and change nothing of it."""


def function(known: Any, args: Sequence[Value]) -> Value | None:
    """The result of one of Python's functions; ``None`` for any other."""
    if getattr(builtins, getattr(known, "__name__", ""), NOTHING) is not known:
        return None
    if known in _FIXED:
        return Value(_FIXED[known])
    first = args[0] if args else None
    item = UNKNOWN.type if first is None else first.items or Any
    size = None if first is None else first.size
    if known in (list, sorted):
        return Value(
            generic(list, item) if first else list[Never], size=size if first else 0, grows=first is None
        )
    if known in (set, frozenset):
        return Value(generic(known, item if first else Never), size=size, grows=first is None)
    if known is tuple:
        fixed = None if first is None else shapes.tuple_items(first.type)
        return (
            Value(generic(tuple, item, ...) if fixed is None else first.type, size=size)
            if first
            else Value(tuple)
        )
    if known is dict:
        return Value(dict[Never, Never], grows=True) if first is None else UNKNOWN
    if known is enumerate:
        return Value(generic(abc.Iterator, generic(tuple, int, item)), size=size)
    if known in (reversed, iter):
        return Value(generic(abc.Iterator, item), size=size)
    if known is zip:
        sizes = [arg.size for arg in args if arg.size is not None]
        items = tuple(arg.items or Any for arg in args)
        return Value(
            generic(abc.Iterator, tuple_of(items)) if items else Any, size=min(sizes) if sizes else None
        )
    if known is range:
        return Value(range, size=_length(args))
    if known in (min, max, next):
        return Value(item) if len(args) == 1 else UNKNOWN
    return UNKNOWN


def _length(args: Sequence[Value]) -> int | None:
    numbers: list[Any] = [get_args(arg.type)[0] if get_origin(arg.type) is Literal else None for arg in args]
    if not numbers or not all(isinstance(number, int) for number in numbers):
        return None
    try:
        return len(range(*numbers))
    except (TypeError, ValueError):
        return None


def method(of: Value, name: str, args: Sequence[Value]) -> Value | None:
    """The result of a method of Python's own types; ``None`` for any other."""
    source = shapes.plain(of.type)
    kind = get_origin(source) or source
    if kind is Literal:
        kind = type(get_args(source)[0])
        kind = kind if all(type(value) is kind for value in get_args(source)) else object
    if kind is str:
        return Value(_TEXT[name]) if name in _TEXT else UNKNOWN
    if kind is bytes and name == "decode":
        return Value(str)
    if shapes.is_typed_dict(kind):
        return UNKNOWN
    if kind in shapes.MAPS:
        return _of_map(source, name, args)
    if kind in (list, set, frozenset, tuple) and name in ("copy", "pop", "index", "count"):
        item = shapes.items_of(source) or Any
        made: dict[str, Any] = {"copy": source, "pop": item, "index": int, "count": int}
        return Value(Any if made[name] is Never else made[name])
    if isinstance(kind, type) and issubclass(kind, PurePath) and name in ("read_text", "read_bytes"):
        return Value(str if name == "read_text" else bytes)
    return None


def _of_map(source: Any, name: str, args: Sequence[Value]) -> Value:
    parts = get_args(source)
    key, value = parts if len(parts) == 2 else (Any, Any)
    if Never in (key, value):
        key = value = Any
    if name == "get":
        other = args[1].type if len(args) > 1 else type(None)
        return Value(shapes.union((value, other)))
    made: dict[str, Any] = {
        "keys": generic(abc.KeysView, key),
        "values": generic(abc.ValuesView, value),
        "items": generic(abc.Iterable, generic(tuple, key, value)),
        "copy": source,
    }
    if name == "pop":
        return Value(shapes.union((value, *(arg.type for arg in args[1:]))))
    return Value(made.get(name, Any))


def grown(of: Value, name: str, args: Sequence[Value]) -> Value | None:
    """A list, set or dict that was written down, after a method that adds to it."""
    kind = get_origin(of.type)
    if not of.grows or len(args) == 0:
        return None
    item = shapes.items_of(of.type)
    if (kind is list and name == "append") or (kind is set and name == "add"):
        return Value(generic(kind, shapes.union((item, args[0].type))), grows=True)
    if kind is list and name == "insert" and len(args) == 2:
        return Value(generic(list, shapes.union((item, args[1].type))), grows=True)
    if (kind is list and name == "extend") or (kind is set and name == "update"):
        return Value(generic(kind, shapes.union((item, args[0].items or Any))), grows=True)
    return None


def is_plain_function(known: Any) -> bool:
    """Whether a function's annotations can be believed: one that was wrapped may give something else."""
    return isinstance(known, types.FunctionType) and not hasattr(known, "__wrapped__")
