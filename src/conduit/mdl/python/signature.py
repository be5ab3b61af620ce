"""A function's signature as forms: the parameters are the input, the return type is the output."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from conduit.mdl.form import Document
from conduit.mdl.python.docstrings import argument_docs
from conduit.mdl.python.fields import FieldSource, field_source
from conduit.mdl.python.hints import hints_of
from conduit.mdl.python.read import TypeReader
from conduit.mdl.python.refusals import refusal


@dataclass(frozen=True)
class Signature:
    """A function's types.

    Attributes:
        parameters: A record of the parameters; docs are from ``Annotated``, ``Field`` and the docstring.
        types: The parameters' types by name.
        returns: The return type.
    """

    parameters: Document
    types: dict[str, Any]
    returns: Any


def read_signature(function: Callable[..., Any], names: Mapping[str, Any] | None = None) -> Signature:
    """Reads a function's signature.

    Args:
        function: Its ``self`` or ``cls`` is left out.
        names: Names for annotations that are texts, beside those of the function's module.

    Raises:
        UnsupportedType: An annotation is missing or is a type that MDL cannot express.
    """
    hints = hints_of(function, function.__qualname__, names)
    reader = TypeReader()
    parameters = reader.record(function.__name__, _fields(function, hints))
    if "return" not in hints or hints["return"] is type(None):
        raise refusal("return", "has no type", "a model's answer needs one: `-> str`, or a record")
    types = {member.name: hints[member.name] for member in parameters.members}
    return Signature(reader.document(parameters), types, hints["return"])


def _fields(function: Callable[..., Any], hints: Mapping[str, Any]) -> Iterator[FieldSource]:
    docs = argument_docs(function)
    for place, (name, parameter) in enumerate(inspect.signature(function).parameters.items()):
        if place == 0 and name in ("self", "cls") and name not in hints:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise refusal(name, "takes any number of arguments", "name each parameter, or take one list")
        if name not in hints:
            raise refusal(name, "has no annotation", f"write its type: `{name}: str`")
        if parameter.default is parameter.empty:
            info = FieldInfo.from_annotation(hints[name])
        else:
            info = FieldInfo.from_annotated_attribute(hints[name], parameter.default)
        yield field_source(name, (name,), info, docs.get(name, ""), name)
