"""A function's signature as forms: the parameters are the input, the return type is the output."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from conduit.mdl.docstrings import argument_docs
from conduit.mdl.form import Document, Record
from conduit.mdl.read import TypeReader, hints_of
from conduit.mdl.refusals import refusal


def read_parameters(function: Callable[..., Any]) -> Document:
    """Reads a function's parameters as a record; docs come from ``Annotated`` and the docstring's ``Args:``.

    Raises:
        UnsupportedType: A parameter has no annotation or one that MDL cannot express.
    """
    reader = TypeReader()
    hints = hints_of(function, function.__qualname__)
    docs = argument_docs(function)
    members = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "self":
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise refusal(name, "takes any number of arguments", "name each parameter, or take one list")
        if name not in hints:
            raise refusal(name, "has no annotation", f"write its type: `{name}: str`")
        default = None if parameter.default is parameter.empty else parameter.default
        has_default = parameter.default is not parameter.empty
        members.append(reader.member(name, hints[name], docs.get(name, ""), has_default, default, name))
    return reader.document(Record(function.__name__, tuple(members)))


def read_return(function: Callable[..., Any]) -> Any:
    """The annotated return type of a function.

    Raises:
        UnsupportedType: It has none.
    """
    hints = hints_of(function, function.__qualname__)
    if "return" not in hints or hints["return"] is type(None):
        raise refusal("return", "has no type", "a model's answer needs one: `-> str`, or a record")
    return hints["return"]
