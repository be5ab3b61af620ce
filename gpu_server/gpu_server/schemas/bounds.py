"""Bounds on a JSON schema, and the form in which a grammar takes it: without room for idle white space.

A schema is the caller's text and is compiled beside the sequences that run. Its size is bounded here; whether a
grammar can enforce it is found out by `check`, in a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

MAX_VALUES = 5_000
MAX_DEPTH = 64
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


class SchemaRefused(Exception):
    """No grammar can enforce this schema; the text is for the caller."""


def grammar_text(schema: Mapping[str, Any]) -> str:
    """Return the schema as a grammar takes it, without room for white space between tokens.

    A caller's own `x-guidance` options win.

    Raises:
        SchemaRefused: It is too large or too deep.
    """
    check_bounds(schema)
    return json.dumps(
        {**schema, "x-guidance": {"whitespace_flexible": False, **schema.get("x-guidance", {})}}
    )


def check_bounds(schema: Mapping[str, Any]) -> None:
    """Raise SchemaRefused when the schema is too large or too deep."""
    for count, depth in enumerate(_depths(schema), start=1):
        if count > MAX_VALUES:
            raise SchemaRefused(f"it has over {MAX_VALUES} values; split it or shorten its enums")
        if depth > MAX_DEPTH:
            raise SchemaRefused(f"it is nested deeper than {MAX_DEPTH} levels")
    if not isinstance(schema.get("x-guidance", {}), Mapping):
        raise SchemaRefused("x-guidance must be an object")


def _depths(value: object) -> Iterator[int]:
    """Yield the depth of every value inside, without recursion: the depth is not bounded yet."""
    stack: list[tuple[object, int]] = [(value, 1)]
    while stack:
        inner, depth = stack.pop()
        yield depth
        if isinstance(inner, Mapping):
            stack.extend((child, depth + 1) for child in inner.values())
        elif isinstance(inner, list):
            stack.extend((child, depth + 1) for child in inner)
