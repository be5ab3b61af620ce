"""The parts of a value: its attributes and its items, by its type, or by the object where that is known."""

from __future__ import annotations

import ast
import inspect
import types
from collections import abc
from typing import Any, Literal, Never, get_args, get_origin

from conduit.dataflow.block_base import BlockBase
from conduit.dataflow.check import calls, shapes
from conduit.dataflow.check.notes import Notes
from conduit.dataflow.check.shapes import generic, shown
from conduit.dataflow.check.values import NOTHING, UNKNOWN, Method, Value, one_of
from conduit.dataflow.futures import BlockFuture
from conduit.lmlite import LMLiteResource

_OWN = (BlockBase, LMLiteResource)


def attribute(of: Value, name: str, at: ast.AST, notes: Notes) -> Value:
    """What an attribute of a value is; one that there is not is noted."""
    if isinstance(of.known, Method):
        return UNKNOWN
    if of.known is not NOTHING:
        return _of_known(of, name)
    source = shapes.plain(of.type)
    if source is Any:
        return UNKNOWN
    found = [_of_type(part, of, name) for part in shapes.options(source) if part is not type(None)]
    if len(found) == 1 and found[0] is None:
        hint = None
        if get_origin(source) is abc.Coroutine:
            hint = "Put `await` before the call that gives it."
        elif get_origin(source) is BlockFuture:
            hint = "It is the handle of a submitted call: .result() waits for its value."
        elif (item := shapes.items_of(source)) not in (None, Any) and shapes.attribute(
            item, name
        ) is not None:
            hint = f"Each item has one: [x.{name} for x in …]."
        elif shapes.is_record(source):
            hint = f"It has {', '.join(sorted(n for n in shapes.hints_of(source) if n[0] != '_'))}."
        notes.add("check.attribute", at, f"{shown(source)} has no attribute {name}.", hint)
        return UNKNOWN
    return one_of([each or UNKNOWN for each in found])


def _of_known(of: Value, name: str) -> Value:
    known = of.known
    if isinstance(known, _OWN) or calls.is_flow(known) or calls.is_task(known):
        return Value(known=Method(of, name))
    if isinstance(known, types.ModuleType) or inspect.isclass(known):
        try:
            found = getattr(known, name)
        except Exception:
            return UNKNOWN
        return of_object(found)
    return UNKNOWN


def _of_type(part: Any, of: Value, name: str) -> Value | None:
    kind = get_origin(part) or part
    if inspect.isclass(kind):
        static = inspect.getattr_static(kind, name, None)
        if isinstance(static, BlockBase):
            return Value(type(static), known=static.__get__(object(), kind))  # type: ignore[attr-defined] # all have it
    found = shapes.attribute(part, name)
    if found is None:
        return None
    if found is Any:
        return Value(known=Method(Value(part, size=of.size, grows=of.grows), name))
    return Value(found)


def item(of: Value, index: Value, node: ast.Subscript, notes: Notes) -> Value:
    """What an item of a value is; a key that there is not is noted."""
    source = shapes.plain(of.type)
    if of.known is not NOTHING:
        if inspect.isclass(of.known) and index.known is not NOTHING:
            return _subscripted(of.known, index.known)
        return UNKNOWN
    if get_origin(source) is Literal:
        return Value(str) if all(isinstance(value, str) for value in get_args(source)) else UNKNOWN
    if isinstance(node.slice, ast.Slice):
        if (fixed := shapes.tuple_items(source)) is not None:
            return Value(generic(tuple, shapes.union(fixed), ...))
        known = get_origin(source) is list or source in (str, bytes)
        return Value(of.type, size=_length(node.slice)) if known else UNKNOWN
    written = get_args(index.type)[0] if get_origin(index.type) is Literal else NOTHING
    if shapes.is_typed_dict(source):
        hints = shapes.hints_of(source)
        if isinstance(written, str) and written not in hints:
            notes.add(
                "check.key",
                node,
                f"{shown(source)} has no key {written!r}.",
                f"It has {', '.join(hints)}.",
            )
            return UNKNOWN
        return Value(shapes.plain(hints[written])) if isinstance(written, str) else UNKNOWN
    if (fixed := shapes.tuple_items(source)) is not None:
        inside = isinstance(written, int) and -len(fixed) <= written < len(fixed)
        return Value(fixed[written]) if inside else UNKNOWN
    args = get_args(source)
    if get_origin(source) in shapes.MAPS:
        return Value(args[1]) if len(args) == 2 and args[1] is not Never else UNKNOWN
    if get_origin(source) in (list, tuple, abc.Sequence):
        return Value(shapes.items_of(source) if shapes.items_of(source) is not Never else Any)
    return Value(str) if source is str else UNKNOWN


def _length(part: ast.Slice) -> int | None:
    """How many items a slice has at most, where that is written down."""
    bounds = [0 if part.lower is None else part.lower, part.upper]
    numbers = [bound.value if isinstance(bound, ast.Constant) else bound for bound in bounds]
    first, last = numbers
    if isinstance(first, int) and isinstance(last, int) and 0 <= first <= last:
        return last - first
    return None


def _subscripted(generic: Any, argument: Any) -> Value:
    try:
        return Value(known=generic[argument])
    except Exception:
        return UNKNOWN


def of_object(found: Any) -> Value:
    """What is known of an object that an import or a definition gave."""
    certain = isinstance(found, BlockBase | LMLiteResource | types.ModuleType) or inspect.isroutine(found)
    if certain or inspect.isclass(found) or calls.is_flow(found) or calls.is_task(found):
        return Value(type(found), known=found)
    if get_origin(found) is not None:
        return Value(known=found)
    kind = type(found)
    if kind in (list, dict, set, tuple, frozenset) or found is None:
        return UNKNOWN
    return Value(kind)
