"""What a condition says about the names in it, where it holds and where it does not.

What is not understood widens: a name whose type has several members, handed to a function that nobody knows, may
be any of them afterwards.
"""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Never, Union, get_args, get_origin

from conduit.dataflow.check import shapes
from conduit.dataflow.check.values import NOTHING, UNKNOWN, Names, Value, joined

Evaluate = Callable[[ast.expr, Names], Value]
_TELLING_NOTHING = ("len", "print", "str", "repr", "bool", "sum", "sorted", "list", "any", "all", "range")


def key_of(node: ast.expr) -> str | None:
    """The name of a variable, or of a part of one: an attribute, or an item at a place that is written down."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := key_of(node.value)) is not None:
        return f"{owner}.{node.attr}"
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        owner = key_of(node.value)
        return None if owner is None else f"{owner}.{node.slice.value!r}"
    return None


def narrowed(test: ast.expr, names: Names, evaluate: Evaluate) -> tuple[Names, Names]:
    """The names where the condition holds, and where it does not."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        holds, fails = narrowed(test.operand, names, evaluate)
        return fails, holds
    if isinstance(test, ast.BoolOp):
        return _combined(test, names, evaluate)
    if isinstance(test, ast.NamedExpr):
        evaluate(test, names)
        return narrowed(test.target, names, evaluate)
    if isinstance(test, ast.Name | ast.Attribute | ast.Subscript):
        evaluate(test, names)
        return _with(test, names, evaluate, _without_none), dict(names)
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _compared(test, names, evaluate)
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and len(test.args) == 2:
        kinds = _classes(evaluate(test.args[1], names)) if test.func.id == "isinstance" else None
        if kinds is not None:
            evaluate(test.args[0], names)
            return (
                _with(test.args[0], names, evaluate, lambda of: _only(of, kinds)),
                _with(test.args[0], names, evaluate, lambda of: _but(of, kinds)),
            )
    evaluate(test, names)
    return _widened(test, names), _widened(test, names)


def _combined(test: ast.BoolOp, names: Names, evaluate: Evaluate) -> tuple[Names, Names]:
    """``and`` holds where all parts do, in turn; ``or`` fails where all parts do."""
    ends: list[Names | None] = []
    on = names
    for part in test.values:
        holds, fails = narrowed(part, on, evaluate)
        on, end = (holds, fails) if isinstance(test.op, ast.And) else (fails, holds)
        ends.append(end)
    left = joined(ends) or dict(names)
    return (on, left) if isinstance(test.op, ast.And) else (left, on)


def _compared(test: ast.Compare, names: Names, evaluate: Evaluate) -> tuple[Names, Names]:
    evaluate(test, names)
    left, operator, right = test.left, test.ops[0], test.comparators[0]
    if isinstance(left, ast.NamedExpr):
        left = left.target
    if isinstance(right, ast.Constant) and isinstance(operator, ast.Is | ast.IsNot | ast.Eq | ast.NotEq):
        if right.value is None:
            none = _with(left, names, evaluate, lambda of: of if of is Any else type(None))
            some = _with(left, names, evaluate, _without_none)
        else:
            some, none = dict(names), _with(left, names, evaluate, _without_none)
        return (none, some) if isinstance(operator, ast.Is | ast.Eq) else (some, none)
    return _widened(test, names), _widened(test, names)


def _with(node: ast.expr, names: Names, evaluate: Evaluate, change: Callable[[Any], Any]) -> Names:
    key = key_of(node)
    if key is None:
        return _widened(node, names)
    before = names.get(key) or evaluate(node, names)
    if before.known is not NOTHING:
        return dict(names)
    return {**names, key: replace(before, type=change(before.type))}


def _without_none(source: Any) -> Any:
    parts = [part for part in shapes.options(shapes.plain(source)) if part is not type(None)]
    return shapes.union(parts) if parts else Never


def _classes(value: Value) -> tuple[type, ...] | None:
    known = value.known
    parts = (
        known
        if isinstance(known, tuple)
        else get_args(known)
        if isinstance(known, types.UnionType)
        else (known,)
    )
    if not all(inspect.isclass(part) for part in parts):
        return None
    return tuple(parts)


def _is_kind(source: Any, kinds: tuple[type, ...]) -> bool | None:
    """Whether all values of a type are of these classes; ``None`` where only some may be."""
    kind = get_origin(source) or source
    if shapes.is_typed_dict(kind):
        kind = dict
    if not inspect.isclass(kind):
        return None
    if issubclass(kind, kinds):
        return True
    return None if any(issubclass(each, kind) for each in kinds) else False


def _only(source: Any, kinds: tuple[type, ...]) -> Any:
    if source is Any:
        return shapes.union(each if not each.__dict__.get("__parameters__") else Any for each in kinds)
    kept = [part for part in shapes.options(shapes.plain(source)) if _is_kind(part, kinds) is not False]
    if any(_is_kind(part, kinds) is None for part in kept) or not kept:
        return Any
    return shapes.union(kept)


def _but(source: Any, kinds: tuple[type, ...]) -> Any:
    if source is Any:
        return Any
    return shapes.union(
        part for part in shapes.options(shapes.plain(source)) if _is_kind(part, kinds) is not True
    )


def _widened(test: ast.AST, names: Names) -> Names:
    """The names after a condition that says of them what nobody knows."""
    made = dict(names)
    for node in ast.walk(test):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in _TELLING_NOTHING:
                continue
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
        elif isinstance(node, ast.Compare):
            given = [node.left, *node.comparators]
        else:
            continue
        for each in given:
            key = key_of(each)
            if key is not None and key in made and has_members(made[key].type):
                made[key] = UNKNOWN
    return made


def has_members(source: Any) -> bool:
    """Whether there is a union in a type, which a look at a value might narrow."""
    if get_origin(source) in (Union, types.UnionType):
        return True
    return any(has_members(part) for part in get_args(source))
