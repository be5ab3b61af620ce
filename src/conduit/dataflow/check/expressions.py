"""Reads expressions: what each gives, and what is wrong with the calls in it. It runs nothing of them."""

from __future__ import annotations

import ast
import builtins
import inspect
from collections import abc
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from conduit.dataflow.block_base import BlockBase
from conduit.dataflow.check import calls, known_calls, parts, shapes
from conduit.dataflow.check.call import Argument, Call
from conduit.dataflow.check.narrowing import has_members, key_of, narrowed
from conduit.dataflow.check.notes import Notes
from conduit.dataflow.check.places import Loop, Places
from conduit.dataflow.check.shapes import generic, tuple_of
from conduit.dataflow.check.values import NOTHING, UNKNOWN, Method, Names, Value, constant, one_of
from conduit.dataflow.futures import BlockFuture

_NUMBERS = (int, float)


class Expressions(Places):
    """Reads the expressions of one file.

    Attributes:
        module: The names of the file's top level.
        coroutine: Whether what is read runs in an event loop.
    """

    def __init__(self, notes: Notes, module: Names) -> None:
        super().__init__(notes)
        self.module = module
        self.coroutine = False

    def value(self, node: ast.expr, names: Names) -> Value:
        """What an expression gives. Assignments within it change ``names``."""
        read = getattr(self, f"_{type(node).__name__.lower()}", None)
        if read is not None:
            made: Value = read(node, names)
            return made
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child, names)
        return UNKNOWN

    def looked_up(self, name: str, names: Names) -> Value:
        """What a name stands for."""
        if name in names:
            return names[name]
        if name in self.module:
            return self.module[name]
        known = getattr(builtins, name, NOTHING)
        return UNKNOWN if known is NOTHING else Value(type(known), known=known)

    # Each of the methods below reads the kind of node that it is named after.

    def _constant(self, node: ast.Constant, _: Names) -> Value:
        return constant(node.value)

    def _joinedstr(self, node: ast.JoinedStr, names: Names) -> Value:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.value(part.value, names)
        return Value(str)

    def _name(self, node: ast.Name, names: Names) -> Value:
        return self.looked_up(node.id, names)

    def _namedexpr(self, node: ast.NamedExpr, names: Names) -> Value:
        names[node.target.id] = value = self.value(node.value, names)
        return value

    def _await(self, node: ast.Await, names: Names) -> Value:
        value = self.value(node.value, names)
        origin, args = get_origin(value.type), get_args(value.type)
        if origin is abc.Coroutine:
            return Value(args[2], size=value.size)
        return Value(args[0]) if origin is BlockFuture else UNKNOWN

    def _attribute(self, node: ast.Attribute, names: Names) -> Value:
        key = key_of(node)
        if key is not None and key in names:
            return names[key]
        return parts.attribute(self.value(node.value, names), node.attr, node, self.notes)

    def _subscript(self, node: ast.Subscript, names: Names) -> Value:
        key = key_of(node)
        if key is not None and key in names:
            return names[key]
        of, index = self.value(node.value, names), self.value(node.slice, names)
        return parts.item(of, index, node, self.notes)

    def _slice(self, node: ast.Slice, names: Names) -> Value:
        for part in (node.lower, node.upper, node.step):
            if part is not None:
                self.value(part, names)
        return UNKNOWN

    def _list(self, node: ast.List, names: Names) -> Value:
        item, size = self._elements(node.elts, names)
        return Value(generic(list, item), size=size, grows=True)

    def _set(self, node: ast.Set, names: Names) -> Value:
        item, size = self._elements(node.elts, names)
        return Value(generic(set, item), size=size, grows=True)

    def _tuple(self, node: ast.Tuple, names: Names) -> Value:
        if any(isinstance(part, ast.Starred) for part in node.elts):
            item, _ = self._elements(node.elts, names)
            return Value(generic(tuple, item, ...))
        parts = [self.value(part, names) for part in node.elts]
        objects = tuple(part.known for part in parts)
        known = objects if parts and all(inspect.isclass(part) for part in objects) else NOTHING
        return Value(tuple_of(_written(part) for part in parts), size=len(parts), known=known)

    def _elements(self, nodes: Sequence[ast.expr], names: Names) -> tuple[Any, int | None]:
        kinds: list[Any] = []
        size: int | None = 0
        for node in nodes:
            if isinstance(node, ast.Starred):
                kinds.append(self.value(node.value, names).items or Any)
                size = None
            else:
                kinds.append(_written(self.value(node, names)))
                size = None if size is None else size + 1
        return shapes.union(kinds), size

    def _dict(self, node: ast.Dict, names: Names) -> Value:
        keys = [UNKNOWN if key is None else self.value(key, names) for key in node.keys]
        values = [self.value(value, names) for value in node.values]
        if None in node.keys:
            return Value(dict[Any, Any])
        made = generic(dict, shapes.union(map(_written, keys)), shapes.union(map(_written, values)))
        return Value(made, size=len(values), grows=True)

    def _ifexp(self, node: ast.IfExp, names: Names) -> Value:
        holds, fails = narrowed(node.test, names, self.value)
        return one_of([self.value(node.body, holds), self.value(node.orelse, fails)])

    def _boolop(self, node: ast.BoolOp, names: Names) -> Value:
        found: list[Value] = []
        on = dict(names)
        for place, part in enumerate(node.values):
            value = self.value(part, on)
            last = place == len(node.values) - 1
            if not last:
                with self.notes.muted():
                    holds, fails = narrowed(part, on, self.value)
                on = holds if isinstance(node.op, ast.And) else fails
                if isinstance(node.op, ast.Or):
                    value = Value(
                        shapes.union(
                            o for o in shapes.options(shapes.plain(value.type)) if o is not type(None)
                        )
                    )
            found.append(value)
        made = one_of(found)
        return made if isinstance(node.op, ast.Or) or not has_members(made.type) else UNKNOWN

    def _unaryop(self, node: ast.UnaryOp, names: Names) -> Value:
        value = self.value(node.operand, names)
        if isinstance(node.op, ast.Not):
            return Value(bool)
        written: Any = get_args(value.type)[0] if get_origin(value.type) is Literal else None
        if isinstance(node.op, ast.USub) and type(written) in _NUMBERS:
            return constant(-written)
        return value if value.type in _NUMBERS else UNKNOWN

    def _compare(self, node: ast.Compare, names: Names) -> Value:
        for part in (node.left, *node.comparators):
            self.value(part, names)
        return UNKNOWN if any(isinstance(part, ast.Name) for part in node.comparators) else Value(bool)

    def _binop(self, node: ast.BinOp, names: Names) -> Value:
        left, right = self.value(node.left, names), self.value(node.right, names)
        if isinstance(node.op, ast.BitOr) and inspect.isclass(left.known):
            try:
                return Value(known=left.known | right.known)
            except TypeError:
                return UNKNOWN
        one, two = _widest(left), _widest(right)
        if isinstance(node.op, ast.Add):
            if one is str and two is str:
                return Value(str)
            if get_origin(one) is list and get_origin(two) is list:
                return Value(generic(list, shapes.union((get_args(one)[0], get_args(two)[0]))))
        if isinstance(node.op, ast.Mod) and one is str:
            return Value(str)
        if (
            one in _NUMBERS
            and two in _NUMBERS
            and isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.FloorDiv)
        ):
            return Value(int if one is two is int else float)
        if one in _NUMBERS and two in _NUMBERS and isinstance(node.op, ast.Div):
            return Value(float)
        return UNKNOWN

    def _lambda(self, node: ast.Lambda, names: Names) -> Value:
        given = node.args
        inner = {**names, **{a.arg: UNKNOWN for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)}}
        with self.outside_loops():
            self.value(node.body, inner)
        return UNKNOWN

    def _starred(self, node: ast.Starred, names: Names) -> Value:
        self.value(node.value, names)
        return UNKNOWN

    def _listcomp(self, node: ast.ListComp, names: Names) -> Value:
        item, size = self._comprehension([node.elt], node.generators, names)
        return Value(generic(list, item[0]), size=size, grows=True)

    def _setcomp(self, node: ast.SetComp, names: Names) -> Value:
        item, size = self._comprehension([node.elt], node.generators, names)
        return Value(generic(set, item[0]), size=size, grows=True)

    def _generatorexp(self, node: ast.GeneratorExp, names: Names) -> Value:
        item, size = self._comprehension([node.elt], node.generators, names)
        return Value(generic(abc.Generator, item[0], None, None), size=size)

    def _dictcomp(self, node: ast.DictComp, names: Names) -> Value:
        item, size = self._comprehension([node.key, node.value], node.generators, names)
        return Value(generic(dict, *item), size=size, grows=True)

    def _comprehension(
        self, parts: list[ast.expr], generators: list[ast.comprehension], names: Names
    ) -> tuple[list[Any], int | None]:
        inner = dict(names)
        size: int | None = 1
        loops: list[Loop] = []
        for generator in generators:
            iterated = self.iterated(generator.iter, inner, asynchronous=bool(generator.is_async))
            size = None if size is None or iterated.size is None else size * iterated.size
            self.assign(generator.target, Value(iterated.type), inner)
            with self.looping([*loops, Loop(iterated.size)]):
                for test in generator.ifs:
                    inner, _ = narrowed(test, inner, self.value)
            self.seen(generator.iter, generator.target, generator.ifs, names)
            loops.append(Loop(iterated.size))
        with self.looping(loops):
            return [_widest(self.value(part, inner)) for part in parts], size

    def _call(self, node: ast.Call, names: Names) -> Value:
        callee = self.value(node.func, names)
        args: list[Argument] = []
        spread = False
        for argument in node.args:
            value = self.value(argument, names)
            spread = spread or isinstance(argument, ast.Starred)
            if not spread:
                args.append(Argument(value, argument))
        keywords: dict[str, Argument] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, names)
            if keyword.arg is None:
                spread = True
            else:
                keywords[keyword.arg] = Argument(value, keyword.value)
        repeated = self.repeated(node)
        made = calls.result(callee, Call(node, args, keywords, spread, repeated), self.notes)
        self._changed(node, callee, args, names)
        if (
            self.coroutine
            and getattr(callee.known, "__module__", None) == "time"
            and callee.known.__name__ == "sleep"
        ):
            self.notes.add(
                "check.blocking_sleep", node, "time.sleep holds up everything else that runs in this event loop.",
                "Use `await asyncio.sleep(…)`.",
            )  # fmt: skip
        return made

    def _changed(self, node: ast.Call, callee: Value, args: list[Argument], names: Names) -> None:
        """What a call does to lists that were written down and may get further items by it."""
        if isinstance(callee.known, Method) and isinstance(node.func, ast.Attribute):
            key = key_of(node.func.value)
            if key in names and names[key].grows:
                grown = known_calls.grown(names[key], node.func.attr, [argument.value for argument in args])
                pure = node.func.attr in (
                    "copy",
                    "index",
                    "count",
                    "keys",
                    "values",
                    "items",
                    "get",
                    "pop",
                    "sort",
                )
                names[key] = grown or (names[key] if pure else UNKNOWN)
        takes_copies = isinstance(callee.known, BlockBase) or (
            isinstance(callee.known, Method) and isinstance(callee.known.of.known, BlockBase)
        )
        if takes_copies or _is_pure(callee.known):
            return
        for given in (*node.args, *(keyword.value for keyword in node.keywords)):
            key = key_of(given)
            if key is not None and names.get(key, UNKNOWN).grows:
                names[key] = Value(_opened(names[key].type))


def _is_pure(known: Any) -> bool:
    try:
        return known in known_calls.PURE
    except TypeError:
        return False


def _opened(source: Any) -> Any:
    """A collection that may have got items of any type."""
    kind = get_origin(source)
    return kind[Any, Any] if kind is dict else kind[Any] if kind in (list, set) else Any


def _written(value: Value) -> Any:
    """The type of a value among others that are written down: a literal stays one."""
    return value.type if value.known is NOTHING else Any


def _widest(value: Value) -> Any:
    """The type of a value among others: of a literal that of all like it."""
    if value.known is not NOTHING:
        return Any
    if get_origin(value.type) is Literal:
        return shapes.union(type(each) for each in get_args(value.type))
    return value.type
