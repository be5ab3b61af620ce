"""The JSON schema on its way to the grammar: bounded, and told to write no idle white space.

A schema is the caller's text and is compiled beside the sequences that run. Its size is bounded here so that
none can hold up the batch; what the grammar itself refuses is reported by the engine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gpu_server.engines.base import SchemaRefused

MAX_VALUES = 5_000
MAX_DEPTH = 64
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


def grammar_text(schema: Mapping[str, Any]) -> str:
    """Return the schema as the engine takes it, without room for white space between tokens.

    A caller's own `x-guidance` options win.

    Raises:
        SchemaRefused: It is too large or too deep.
    """
    for count, depth in enumerate(_depths(schema), start=1):
        if count > MAX_VALUES:
            raise SchemaRefused(f"it has over {MAX_VALUES} values; split it or shorten its enums")
        if depth > MAX_DEPTH:
            raise SchemaRefused(f"it is nested deeper than {MAX_DEPTH} levels")
    options = schema.get("x-guidance", {})
    if not isinstance(options, Mapping):
        raise SchemaRefused("x-guidance must be an object")
    return json.dumps({**schema, "x-guidance": {"whitespace_flexible": False, **options}})


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
