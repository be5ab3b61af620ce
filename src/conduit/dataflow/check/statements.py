"""Reads statements in their order: branches are joined, loops are read until they say nothing new."""

from __future__ import annotations

import ast
import sys
from collections import abc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_origin

from conduit.dataflow.check import block_calls, shapes, syntax
from conduit.dataflow.check.expressions import Expressions
from conduit.dataflow.check.narrowing import key_of, narrowed
from conduit.dataflow.check.parts import of_object
from conduit.dataflow.check.places import Loop
from conduit.dataflow.check.source import Definition
from conduit.dataflow.check.values import NOTHING, UNKNOWN, Method, Names, Value, forgotten, joined, same

_TURNS = 2


class Statements:
    """Reads the statements of one body.

    Attributes:
        expressions: Reads what is in them.
        returned: What the body returns, and where.
    """

    def __init__(self, expressions: Expressions, namespace: dict[str, Any], *, top: bool = False) -> None:
        self.expressions = expressions
        self.notes = expressions.notes
        self.returned: list[tuple[Value, ast.AST]] = []
        self._namespace = namespace
        self._top = top
        self._leaves: list[list[Names]] = []

    def read(self, body: Sequence[ast.stmt], names: Names | None) -> Names | None:
        """The names after a body; ``None`` when its end is not reached."""
        for statement in body:
            if names is None:
                return None
            read = getattr(self, f"_{type(statement).__name__.lower()}", None)
            if read is None:
                self._parts(statement, names)
            else:
                names = read(statement, names)
        return names

    def _parts(self, statement: ast.stmt, names: Names) -> None:
        for child in ast.iter_child_nodes(statement):
            if isinstance(child, ast.expr):
                self.expressions.value(child, names)

    # Each of the methods below reads the kind of statement that it is named after.

    def _expr(self, node: ast.Expr, names: Names) -> Names:
        value = self.expressions.value(node.value, names)
        called = node.value
        if not isinstance(called, ast.Call):
            return names
        if get_origin(value.type) is abc.Coroutine:
            self.notes.add(
                "check.never_runs",
                called,
                "The call gives a coroutine that nobody awaits: it does nothing.",
                "Put `await` before it.",
            )
        elif get_origin(value.type) in (abc.Generator, abc.AsyncGenerator):
            self.notes.add(
                "check.never_runs", called, "The call gives an iterator that nobody reads: it does nothing.",
                "Iterate over it, or let .submit(…).result() run it to its end.",
            )  # fmt: skip
        self._thrown_away(called, names)
        return names

    def _thrown_away(self, called: ast.Call, names: Names) -> None:
        if not isinstance(called.func, ast.Attribute) or called.func.attr not in block_calls.MAPS:
            return
        with self.notes.muted():
            of = self.expressions.value(called.func, dict(names))
        collects = any(
            word.arg == "errors" and isinstance(word.value, ast.Constant) and word.value.value == "collect"
            for word in called.keywords
        )
        kept = any(word.arg in ("ledger", None) for word in called.keywords)
        if collects and not kept and isinstance(of.known, Method) and called.func.attr == "map":
            self.notes.add(
                "check.failures_unseen", called, "The map collects its failures, and nobody looks at them.",
                'Keep the results, or use errors="finish", which fails at the end.',
            )  # fmt: skip

    def _assign(self, node: ast.Assign, names: Names) -> Names:
        value = self.expressions.value(node.value, names)
        for target in node.targets:
            self.expressions.assign(target, self._object(target) or value, names)
        return names

    def _object(self, target: ast.expr) -> Value | None:
        """What the top level of a file made, where it is a block, an LMLite or a flow."""
        if not self._top or not isinstance(target, ast.Name):
            return None
        found = of_object(self._namespace.get(target.id))
        return found if found.known is not NOTHING else None

    def _annassign(self, node: ast.AnnAssign, names: Names) -> Names:
        value = UNKNOWN if node.value is None else self.expressions.value(node.value, names)
        stated = self._annotation(node.annotation)
        if stated is not Any:
            value = Value(stated, size=value.size)
        self.expressions.assign(node.target, self._object(node.target) or value, names)
        return names

    def _annotation(self, node: ast.expr) -> Any:
        try:
            found = eval(ast.unparse(node), self._namespace)  # noqa: S307 # the file's own annotation, as typing reads it
        except Exception:
            return Any
        return shapes.plain(found)

    def _augassign(self, node: ast.AugAssign, names: Names) -> Names:
        value = self.expressions.value(node.value, names)
        key = key_of(node.target)
        if key is None:
            return names
        before = names.get(key, UNKNOWN)
        both = before.type, value.type
        if get_origin(before.type) is list and before.grows and isinstance(node.op, ast.Add):
            names[key] = Value(
                shapes.generic(list, shapes.union((shapes.items_of(before.type), value.items or Any))),
                grows=True,
            )
        else:
            names[key] = Value(str) if both == (str, str) else UNKNOWN
        return names

    def _return(self, node: ast.Return, names: Names) -> None:
        value = Value(type(None)) if node.value is None else self.expressions.value(node.value, names)
        self.returned.append((value, node.value or node))

    def _raise(self, node: ast.Raise, names: Names) -> None:
        self._parts(node, names)

    def _continue(self, _: ast.Continue, names: Names) -> None:
        self._leave(names)

    def _break(self, _: ast.Break, names: Names) -> None:
        self._leave(names)

    def _leave(self, names: Names) -> None:
        if self._leaves:
            self._leaves[-1].append(names)

    def _assert(self, node: ast.Assert, names: Names) -> Names:
        return narrowed(node.test, names, self.expressions.value)[0]

    def _delete(self, node: ast.Delete, names: Names) -> Names:
        return {name: value for name, value in names.items() if name not in {key_of(t) for t in node.targets}}

    def _if(self, node: ast.If, names: Names) -> Names | None:
        holds, fails = narrowed(node.test, names, self.expressions.value)
        if syntax.is_type_checking(node.test):
            return self.read(node.orelse, fails)
        return joined([self.read(node.body, holds), self.read(node.orelse, fails)])

    def _while(self, node: ast.While, names: Names) -> Names | None:
        def turn(on: Names) -> tuple[Names | None, Names]:
            holds, fails = narrowed(node.test, on, self.expressions.value)
            return self.read(node.body, holds), fails

        after, fails = self._turns(node, names, turn)
        return self.read(node.orelse, joined([after, fails]))

    def _for(self, node: ast.For | ast.AsyncFor, names: Names) -> Names | None:
        iterated = self.expressions.iterated(node.iter, names, asynchronous=isinstance(node, ast.AsyncFor))
        self.expressions.seen(node.iter, node.target, node.body, names)
        changed = frozenset(syntax.assigned(node.body) - syntax.assigned([node.target]))

        def turn(on: Names) -> tuple[Names | None, Names]:
            inner = dict(on)
            self.expressions.assign(node.target, Value(iterated.type), inner)
            with self.expressions.looping([Loop(iterated.size, syntax.carried(node.body, changed))]):
                return self.read(node.body, inner), on

        after, fails = self._turns(node, names, turn)
        return self.read(node.orelse, joined([after, fails]))

    _asyncfor = _for

    def _turns(
        self,
        node: ast.For | ast.AsyncFor | ast.While,
        names: Names,
        turn: abc.Callable[[Names], tuple[Names | None, Names]],
    ) -> tuple[Names | None, Names]:
        """Reads a loop's body for what it changes, and then once more for what is wrong with it."""
        entry = dict(names)
        changing: set[str] = set()
        with self.notes.muted():
            for _ in range(_TURNS):
                after = self._turn(turn, entry)
                now = joined([entry, after]) or entry
                changing = same(entry, now)
                entry = now
        sizes = {
            name: replace(value, size=None)
            if name in syntax.assigned(node.body) | syntax.touched(node.body)
            else value
            for name, value in entry.items()
        }
        entry = forgotten(sizes, changing)
        self._leaves.append([])
        after, fails = turn(dict(entry))
        return joined([after, *self._leaves.pop()]), fails

    def _turn(self, turn: abc.Callable[[Names], tuple[Names | None, Names]], names: Names) -> Names | None:
        self._leaves.append([])
        kept = len(self.returned)
        after, _ = turn(dict(names))
        del self.returned[kept:]
        return joined([after, *self._leaves.pop()])

    def _with(self, node: ast.With | ast.AsyncWith, names: Names) -> Names | None:
        expected = False
        for item in node.items:
            value = self.expressions.value(item.context_expr, names)
            expected = expected or syntax.expects(item.context_expr)
            if item.optional_vars is not None:
                is_lm = value.known is not NOTHING and not isinstance(value.known, Method)
                self.expressions.assign(item.optional_vars, value if is_lm else UNKNOWN, names)
        if expected:
            with self.notes.muted():
                return joined([names, self.read(node.body, dict(names))])
        after = self.read(node.body, names)
        # Some contexts swallow what is raised in them.
        return (
            after
            if after is not None or self._ends(node.body)
            else forgotten(names, syntax.assigned(node.body))
        )

    _asyncwith = _with

    def _ends(self, body: Sequence[ast.stmt]) -> bool:
        return any(isinstance(node, ast.Return) for part in body for node in ast.walk(part))

    def _try(self, node: ast.Try, names: Names) -> Names | None:
        """A body that may end anywhere, what follows that, and what follows its end."""
        before = dict(names)
        if any(syntax.expects(handler.type) for handler in node.handlers if handler.type is not None):
            with self.notes.muted():
                after = self.read(node.body, names)
        else:
            after = self.read(node.body, names)
        ended = self.read(node.orelse, after)
        broken = forgotten(before, syntax.assigned(node.body))
        branches = [ended]
        for handler in node.handlers:
            inner = dict(broken)
            if handler.name is not None:
                inner[handler.name] = UNKNOWN
            branches.append(self.read(handler.body, inner))
        left = joined(branches)
        if not node.finalbody:
            return left
        last = self.read(
            node.finalbody, joined([left, broken]) if left is None or node.handlers else dict(left)
        )
        return None if left is None else last

    _trystar = _try

    def _match(self, node: ast.Match, names: Names) -> Names | None:
        self.expressions.value(node.subject, names)
        inner = dict(names)
        for each in ast.walk(node.subject):
            if isinstance(each, ast.Name):
                inner[each.id] = UNKNOWN
        branches: list[Names | None] = [dict(inner)]
        for case in node.cases:
            taken = forgotten(inner, syntax.captured(case.pattern))
            if case.guard is not None:
                taken, _ = narrowed(case.guard, taken, self.expressions.value)
            branches.append(self.read(case.body, taken))
        return joined(branches)

    def _import(self, node: ast.Import, names: Names) -> Names:
        for alias in node.names:
            bound = alias.asname or alias.name.split(".")[0]
            module = sys.modules.get(alias.name if alias.asname else bound)
            names[bound] = UNKNOWN if module is None else Value(known=module)
        return names

    def _importfrom(self, node: ast.ImportFrom, names: Names) -> Names:
        module = sys.modules.get(node.module or "") if not node.level else None
        for alias in node.names:
            bound = alias.asname or alias.name
            if self._top and bound in self._namespace:
                names[bound] = of_object(self._namespace[bound])
            else:
                try:
                    names[bound] = of_object(getattr(module, alias.name)) if module is not None else UNKNOWN
                except Exception:
                    names[bound] = UNKNOWN
        return names

    def _definition(self, node: Definition, names: Names) -> Names:
        if self._top:
            names[node.name] = of_object(self._namespace.get(node.name))
            return names
        # What is defined within a function runs later, when its names may be others.
        given = node.args
        parameters = (
            *given.posonlyargs,
            *given.args,
            *given.kwonlyargs,
            *filter(None, (given.vararg, given.kwarg)),
        )
        inner = forgotten(dict.fromkeys(names, UNKNOWN), (each.arg for each in parameters))
        within = Statements(self.expressions, self._namespace)
        before = self.expressions.loops, self.expressions.coroutine
        self.expressions.loops, self.expressions.coroutine = None, False
        within.read(node.body, inner)
        self.expressions.loops, self.expressions.coroutine = before
        names[node.name] = UNKNOWN
        return names

    _functiondef = _definition
    _asyncfunctiondef = _definition

    def _classdef(self, node: ast.ClassDef, names: Names) -> Names:
        names[node.name] = of_object(self._namespace.get(node.name)) if self._top else UNKNOWN
        return names

    def _global(self, node: ast.Global | ast.Nonlocal, names: Names) -> Names:
        return forgotten(names, node.names)

    _nonlocal = _global
