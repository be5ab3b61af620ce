"""What docstrings tell a model: an instruction, and docs of arguments and fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import docstring_parser
import pydantic

from conduit.mdl.text.words import folded

_ABOUT_THE_FUNCTION = frozenset(
    {"param", "attribute", "returns", "yields", "raises", "see_also", "references", "warns", "deprecated"}
)


def instruction(function: Callable[..., Any]) -> str:
    """What a docstring tells the model: all of it but the sections on arguments, results and errors."""
    parsed = docstring_parser.parse(inspect.getdoc(function) or "")
    parts = [parsed.short_description, parsed.long_description]
    for section in parsed.meta:
        title = section.args[0] if section.args else ""
        if title not in _ABOUT_THE_FUNCTION and section.description:
            parts.append(f"{title.capitalize()}:\n{section.description}" if title else section.description)
    return "\n\n".join(part for part in parts if part)


def argument_docs(function: Any) -> dict[str, str]:
    """Docs of arguments or attributes, by name, from a docstring in any of the usual styles."""
    return _docs(inspect.getdoc(function) or "")


def attribute_docs(record: type) -> dict[str, str]:
    """Docs of a record's fields, from its own docstring and those of the records that it extends."""
    found: dict[str, str] = {}
    for base in reversed(record.__mro__):
        if base.__module__ != "builtins" and base is not pydantic.BaseModel:
            found |= _docs(inspect.cleandoc(base.__dict__.get("__doc__") or ""))
    return found


def _docs(text: str) -> dict[str, str]:
    return {param.arg_name: folded(param.description or "") for param in docstring_parser.parse(text).params}
