"""Where values go and come from: names that get one, tuples that are taken apart, loops that repeat."""

from __future__ import annotations

import ast
import inspect
from collections import abc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Never, get_args, get_origin

from conduit.dataflow.check import shapes
from conduit.dataflow.check.narrowing import has_members, key_of
from conduit.dataflow.check.notes import Notes
from conduit.dataflow.check.shapes import generic, shown
from conduit.dataflow.check.values import NOTHING, UNKNOWN, Names, Value
from conduit.dataflow.futures import BlockFuture

FEW = 64
"""So many calls of a block in a loop are not yet many: they would be one batch of a map."""


@dataclass(frozen=True)
class Loop:
    """A loop that an expression stands in.

    Attributes:
        size: How often it runs, where that was written down.
        changed: The names that a turn leaves to the next.
    """

    size: int | None
    changed: frozenset[str] = frozenset()


class Places:
    """Gives names their values while a file is read.

    Attributes:
        notes: Where findings go.
        loops: Those around what is read, within a flow; ``None`` outside a flow.
    """

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.loops: list[Loop] | None = None

    def value(self, node: ast.expr, names: Names) -> Value:
        """What an expression gives; see ``Expressions``."""
        raise NotImplementedError

    def iterated(self, node: ast.expr, names: Names, *, asynchronous: bool = False) -> Value:
        """What iterating over an expression gives, with how many of it there are as its size."""
        value = self.value(node, names)
        if asynchronous:
            args = get_args(value.type)
            return Value(
                args[0] if get_origin(value.type) in (abc.AsyncGenerator, abc.AsyncIterator) else Any
            )
        item = value.items if value.known is NOTHING else Any
        if item is None:
            waits = get_origin(value.type) in (abc.Coroutine, BlockFuture)
            hint = "Wait for its value first: .result(), or await." if waits else None
            self.notes.add("check.not_iterable", node, f"{shown(value.type)} is not several values.", hint)
        kind: Any = value.known if inspect.isclass(value.known) else None
        if kind is not None and hasattr(kind, "__members__"):
            return Value(kind, size=len(kind))
        return Value(Any if item in (None, Never) else item, size=value.size)

    def seen(self, iterated: ast.expr, target: ast.expr, body: Sequence[ast.AST], names: Names) -> None:
        """A loop that asks of which class the items are: what follows may hang on the answer."""
        targets = {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
        asked = any(
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance"
            and node.args and isinstance(node.args[0], ast.Name) and node.args[0].id in targets
            for part in body for node in ast.walk(part)
        )  # fmt: skip
        if asked:
            for node in ast.walk(iterated):
                if isinstance(node, ast.Name) and node.id in names and has_members(names[node.id].type):
                    names[node.id] = UNKNOWN

    def assign(self, target: ast.expr, value: Value, names: Names) -> None:
        """Gives a name, or several, a value."""
        if isinstance(target, ast.Name | ast.Attribute):
            key = key_of(target)
            if isinstance(target, ast.Attribute):
                self.value(target.value, names)
            if key is not None:
                for other in [name for name in names if name.startswith(f"{key}.")]:
                    del names[other]
                names[key] = value
        elif isinstance(target, ast.Tuple | ast.List):
            self._unpack(target, value, names)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value, names)
        elif isinstance(target, ast.Subscript):
            self.value(target.value, names)
            self.value(target.slice, names)
            key = key_of(target.value)
            for other in [name for name in names if key is not None and name.startswith(f"{key}.")]:
                del names[other]
            if key is not None and names.get(key, UNKNOWN).grows:
                names[key] = UNKNOWN

    def _unpack(self, target: ast.Tuple | ast.List, value: Value, names: Names) -> None:
        parts = target.elts
        stars = [place for place, part in enumerate(parts) if isinstance(part, ast.Starred)]
        fixed = shapes.tuple_items(value.type) if value.known is NOTHING else None
        if fixed is None or stars:
            items = value.items if value.known is NOTHING else Any
            if items is None:
                self.notes.add("check.not_iterable", target, f"{shown(value.type)} is not several values.")
            for part in parts:
                item = Any if items in (None, Never) else items
                self.assign(
                    part, Value(generic(list, item) if isinstance(part, ast.Starred) else item), names
                )
            return
        if len(fixed) != len(parts):
            told = f"{shown(value.type)} has {len(fixed)} items, and {len(parts)} names take them."
            self.notes.add("check.unpack", target, told)
            fixed = tuple(Any for _ in parts)
        for part, item in zip(parts, fixed, strict=True):
            self.assign(part, Value(item), names)

    def repeated(self, node: ast.Call) -> bool:
        """Whether a call stands in a loop that runs often, and does not need what the turn before left."""
        if not self.loops:
            return False
        used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        if any(loop.changed & used for loop in self.loops):
            return False
        times = 1
        for loop in self.loops:
            if loop.size is None:
                return True
            times *= loop.size
        return times > FEW

    @contextmanager
    def looping(self, loops: Sequence[Loop]) -> Iterator[None]:
        """Within stand expressions that run in these loops."""
        before = self.loops
        if before is not None:
            self.loops = [*before, *loops]
        try:
            yield
        finally:
            self.loops = before

    @contextmanager
    def outside_loops(self) -> Iterator[None]:
        before, self.loops = self.loops, None
        try:
            yield
        finally:
            self.loops = before
