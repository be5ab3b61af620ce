"""What a piece of code says by its form alone: which names it sets, which it reads, which errors it waits for."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from conduit.dataflow.check.narrowing import key_of

_EXPECTED = (
    "BlockInputError",
    "BlockOutputError",
    "BlockError",
    "ConduitError",
    "Exception",
    "BaseException",
    "ValidationError",
    "TypeError",
)


def expects(node: ast.expr | None) -> bool:
    """Whether an ``except`` or a ``pytest.raises`` waits for what a wrong edge raises."""
    if node is None:
        return False
    words = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    words |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
    if isinstance(node, ast.Call):
        return bool(words & {"raises", "suppress", "assertRaises"}) and bool(words & set(_EXPECTED))
    return bool(words & {"BlockInputError", "BlockOutputError", "ValidationError"})


def is_type_checking(test: ast.expr) -> bool:
    return (key_of(test) or "").rpartition(".")[2] == "TYPE_CHECKING"


def assigned(nodes: Sequence[ast.AST]) -> set[str]:
    """The names that get a value somewhere in the code."""
    found: set[str] = set()
    for node in nodes:
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store | ast.Del):
                found.add(each.id)
            elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(each.name)
            elif isinstance(each, ast.alias):
                found.add(each.asname or each.name.split(".")[0])
    return found


def touched(nodes: Sequence[ast.AST]) -> set[str]:
    """The names of which a method is called: they may hold more items after it."""
    return {
        each.func.value.id
        for node in nodes
        for each in ast.walk(node)
        if isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and isinstance(each.func.value, ast.Name)
    }


def carried(body: Sequence[ast.stmt], changed: frozenset[str]) -> frozenset[str]:
    """The names whose value a turn of a loop takes from the turn before: read before they are set."""
    carried: set[str] = set()
    set_already: set[str] = set()
    for statement in body:
        for each in ast.walk(statement):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and each.id not in set_already:
                carried.add(each.id)
        set_already |= assigned([statement])
    return frozenset(carried & changed)


def captured(pattern: ast.pattern) -> set[str]:
    return {
        name
        for each in ast.walk(pattern)
        for name in (getattr(each, "name", None), getattr(each, "rest", None))
        if name is not None
    }
