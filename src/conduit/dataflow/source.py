"""A fingerprint of what a function does: of its code as it runs, not of the file, which may have changed since.

Comments and empty lines are no part of it; the names and values that it took from an enclosing function are.
What it calls or reads elsewhere is not: for that a block has ``version``.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import types
from collections.abc import Callable
from typing import Any

from conduit.dataflow.canonical import Codec, Unwritable

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def fingerprint(function: Callable[..., Any]) -> str:
    """32 hex digits.

    Raises:
        Unwritable: It is no function, or holds something of an enclosing function that is no plain value.
    """
    parts: list[str] = []
    _function(function, parts, set(), getattr(function, "__module__", None) or "")
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def holds_values(function: Callable[..., Any]) -> bool:
    """Whether the fingerprint may change while the program runs."""
    return bool(getattr(function, "__closure__", None))


def placed(kind: type, module: str) -> str:
    """A class by its place; one of the same module by its name alone, whatever the module is called in this run."""
    return kind.__qualname__ if kind.__module__ == module else f"{kind.__module__}:{kind.__qualname__}"


def _function(function: Any, parts: list[str], seen: set[int], module: str) -> None:
    if id(function) in seen:
        return
    seen.add(id(function))
    function = getattr(function, "__func__", function)
    if not isinstance(function, types.FunctionType):
        raise Unwritable(f"{type(function).__name__} has no source of its own")
    for name, annotation in function.__annotations__.items():
        text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
        parts.append(f"{name}: {_ADDRESS.sub('', text).replace(f'{module}.', '')}")
    _code(function.__code__, parts)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        parts.append(f"from outside: {name}")
        try:
            value = cell.cell_contents
        except ValueError:  # nothing was put there yet
            continue
        _held(name, value, parts, seen, module)


def _held(name: str, value: Any, parts: list[str], seen: set[int], module: str) -> None:
    while hasattr(value, "__wrapped__") and not isinstance(value, types.FunctionType):
        value = value.__wrapped__  # a block is what its function is
    if isinstance(value, types.FunctionType):
        _function(value, parts, seen, module)
    elif isinstance(value, type):
        parts.append(placed(value, module))
    elif isinstance(value, types.ModuleType | types.BuiltinFunctionType):
        parts.append(value.__name__)
    else:
        try:
            parts.append(f"{type(value).__qualname__} {Codec(type(value)).key(value)}")
        except Exception as error:
            raise Unwritable(
                f"its function uses {name!r} of the function around it, a {type(value).__name__}"
            ) from error


def _code(code: types.CodeType, parts: list[str]) -> None:
    parts.append(f"{code.co_name} {code.co_flags} {code.co_argcount} {code.co_kwonlyargcount}")
    parts.append(code.co_code.hex())
    parts.append(code.co_exceptiontable.hex())
    parts.extend(map(repr, (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _code(constant, parts)
        else:
            parts.append(_constant(constant))


def _constant(value: Any) -> str:
    # The order of a set's items differs from process to process.
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(_constant, value))) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_constant, value)) + ")"
    return f"{type(value).__name__} {value!r}"
