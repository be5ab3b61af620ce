"""What docstrings tell a model: an instruction, and docs of arguments and fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import docstring_parser


def instruction(function: Callable[..., Any]) -> str:
    """What a docstring tells the model: all of it but the sections on arguments and results."""
    parsed = docstring_parser.parse(inspect.getdoc(function) or "")
    return "\n\n".join(part for part in (parsed.short_description, parsed.long_description) if part)


def argument_docs(function: Any) -> dict[str, str]:
    """Docs of arguments or attributes, by name, from a docstring in any of the usual styles."""
    parsed = docstring_parser.parse(inspect.getdoc(function) or "")
    return {param.arg_name: " ".join((param.description or "").split()) for param in parsed.params}
