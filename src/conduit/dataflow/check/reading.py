"""Reads a whole file: its top level first, then each flow, block and function with what the top level made."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from typing import Any, get_origin

from conduit.dataflow.answered import Answered
from conduit.dataflow.block_base import BlockBase
from conduit.dataflow.check import calls, definitions, models, shapes
from conduit.dataflow.check.edges import settled
from conduit.dataflow.check.expressions import Expressions
from conduit.dataflow.check.fits import Fit, judge
from conduit.dataflow.check.notes import Notes
from conduit.dataflow.check.shapes import shown
from conduit.dataflow.check.source import Definition, Source
from conduit.dataflow.check.statements import Statements
from conduit.dataflow.check.values import NOTHING, UNKNOWN, Names, Value
from conduit.dataflow.contract import Kind
from conduit.errors import FlowNotChecked

_DEEPEST = 2000  # frames: an expression of many operators is a deep tree


def read(source: Source, namespace: dict[str, Any], flow: str | None) -> tuple[Notes, int]:
    """The findings of an imported file, and how many flows were read.

    Args:
        source: The file.
        namespace: What its import made.
        flow: Only this flow, or all.

    Raises:
        FlowNotChecked: There is no flow of that name.
    """
    notes = Notes(source)
    found = {name: (node, _object(namespace, name)) for name, node in source.functions()}
    flows = [name for name, (_, known) in found.items() if calls.is_flow(known)]
    if flow is not None and flow not in flows:
        raise FlowNotChecked(
            f"There is no flow {flow} in {source.name}.",
            hint=f"Its flows: {', '.join(flows) or 'none'}.",
            path=source.name,
        )
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _DEEPEST))
    for node, known in found.values():
        if isinstance(known, BlockBase) and _is_here(known, node, namespace):
            definitions.check(known, node, notes)
    for name, lm in models.of(namespace).items():
        models.check(lm, source.assignment(name), notes)
    for known in {id(known): known for _, known in found.values() if isinstance(known, BlockBase)}.values():
        models.check_block(known, source.function(known.__qualname__), notes)
    names: Names = {}
    top = Statements(Expressions(notes, names), namespace, top=True)
    if flow is None:
        top.read(source.tree.body, names)
    else:
        with notes.muted():
            top.read(source.tree.body, names)
    for name, (node, known) in found.items():
        if flow is None or name == flow or not calls.is_flow(known):
            _function(name, node, known, namespace, names, notes)
    return notes, len(flows) if flow is None else 1


def _object(namespace: dict[str, Any], qualified_name: str) -> Any:
    first, *rest = qualified_name.split(".")
    found = namespace.get(first, NOTHING)
    for name in rest:
        found = inspect.getattr_static(found, name, NOTHING) if inspect.isclass(found) else NOTHING
    return found.__func__ if isinstance(found, staticmethod | classmethod) else found


def _is_here(known: BlockBase, node: Definition, namespace: dict[str, Any]) -> bool:
    return known.__module__ == namespace.get("__name__") and known.__qualname__.endswith(node.name)


def _function(
    name: str, node: Definition, known: Any, namespace: dict[str, Any], module: Names, notes: Notes
) -> None:
    if isinstance(known, BlockBase) and isinstance(known.definition, Answered):
        return
    function = known.fn if calls.is_flow(known) or calls.is_task(known) else known
    function = function.definition.function if isinstance(function, BlockBase) else inspect.unwrap(function)
    hints = shapes.hints_of(function) if inspect.isfunction(function) else {}
    expressions = Expressions(notes, module)
    expressions.loops = [] if calls.is_flow(known) else None
    expressions.coroutine = isinstance(node, ast.AsyncFunctionDef)
    names = dict(
        _parameters(node, hints, _object(namespace, name.rpartition(".")[0]) if "." in name else NOTHING)
    )
    body = Statements(expressions, namespace)
    end = body.read(node.body, names)
    if isinstance(known, BlockBase) and known.definition.kind in (Kind.SYNC, Kind.ASYNC):
        if end is not None and not _is_left_open(node):
            body.returned.append((Value(type(None)), node))
        for value, at in body.returned:
            _returned(known, value, at, notes)


def _is_left_open(node: Definition) -> bool:
    """Whether a body may not end where it seems to: in a loop without end, or in a context."""
    return any(
        isinstance(each, ast.While | ast.With | ast.AsyncWith | ast.Try | ast.Match)
        for each in ast.walk(node)
    ) or all(isinstance(each, ast.Pass | ast.Expr) for each in node.body)


def _parameters(node: Definition, hints: dict[str, Any], owner: Any) -> Iterator[tuple[str, Value]]:
    given = node.args
    by_place = [*given.posonlyargs, *given.args]
    without = len(by_place) - len(given.defaults)
    defaults: list[ast.expr | None] = [None] * without + list(given.defaults) + list(given.kw_defaults)
    for place, (argument, default) in enumerate(zip([*by_place, *given.kwonlyargs], defaults, strict=True)):
        hint = hints.get(argument.arg, Any)
        if place == 0 and argument.arg == "self" and inspect.isclass(owner):
            hint = owner
        if isinstance(default, ast.Constant) and default.value is None:
            hint = shapes.union((hint, type(None)))
        yield argument.arg, _given(hint)
    if given.vararg is not None:
        yield given.vararg.arg, Value(shapes.generic(tuple, hints.get(given.vararg.arg, Any), ...))
    if given.kwarg is not None:
        yield given.kwarg.arg, UNKNOWN


def _given(hint: Any) -> Value:
    hint = shapes.plain(hint)
    # A class that is handed in may be any subclass of what is annotated.
    return UNKNOWN if get_origin(hint) is type else Value(hint)


def _returned(block: BlockBase, value: Value, at: ast.AST, notes: Notes) -> None:
    taker = definitions.hints(block).get("return", Any)
    if value.known is not NOTHING:
        return
    judged = judge(value.type, taker)
    if judged.fit is not Fit.NEVER:
        return
    notes.add(
        "check.result_type", at,
        f"{block.options.name} promises {shown(taker)}, and returns {shown(settled(value.type))}.",
        "Return what the annotation says, or correct it.",
    )  # fmt: skip
