"""OpenAI's strict mode, as its guide to structured outputs describes it.

The root is an object and no union; every property is required and no other may come; there are no tuples, no free
keys and no lengths of strings. At most 5,000 properties, 10 levels of objects, 1,000 values in all ``enum``
together, and 120,000 characters of names and values.
"""

from __future__ import annotations

from typing import Any

from conduit.mdl.lowering.base import Ledger, Schema, unsupported
from conduit.mdl.lowering.dialects import ECMA
from conduit.mdl.lowering.rules import Rules

_MOST_PROPERTIES = 5_000
_MOST_LEVELS = 10
_MOST_VALUES = 1_000
_MOST_CHARACTERS = 120_000
_LONG_ENUM = 250
_MOST_CHARACTERS_OF_LONG_ENUM = 15_000


def _finish(schema: Schema, ledger: Ledger) -> Schema:  # noqa: ARG001 - the shape of all engines' finish
    definitions = schema.get("$defs", {})
    for _ in range(len(definitions)):
        if "$ref" not in schema:
            break
        schema = {**definitions[schema["$ref"].rsplit("/", 1)[-1]], "$defs": definitions}
    if schema.get("type") != "object":
        raise unsupported(
            "$", "is not an object, and the engine wants one", "ask for a record with one field"
        )
    properties = values = 0
    characters = sum(len(name) for name in definitions)
    waiting: list[tuple[Any, int]] = [(schema, 0), *((part, 0) for part in definitions.values())]
    while waiting:
        part, levels = waiting.pop()
        named = part.get("properties", {})
        levels += bool(named)
        if levels > _MOST_LEVELS:
            raise unsupported("$", f"objects nest deeper than {_MOST_LEVELS} levels", "flatten the type")
        properties += len(named)
        characters += sum(len(name) for name in named) + _characters(part)
        values += len(part.get("enum", ()))
        waiting += [(inner, levels) for inner in named.values()]
        waiting += [(inner, levels) for inner in part.get("anyOf", ())]
        if "items" in part:
            waiting.append((part["items"], levels))
    for what, count, most in (
        ("properties", properties, _MOST_PROPERTIES),
        ("values in `enum`", values, _MOST_VALUES),
        ("characters of names and values", characters, _MOST_CHARACTERS),
    ):
        if count > most:
            raise unsupported("$", f"it has {count} {what}, the engine takes {most}", "split the type")
    return schema


def _characters(part: Schema) -> int:
    values = part.get("enum", [part["const"]] if "const" in part else [])
    count = sum(len(value) for value in values if isinstance(value, str))
    if len(values) > _LONG_ENUM and count > _MOST_CHARACTERS_OF_LONG_ENUM:
        raise unsupported(
            "$",
            f"an `enum` has {len(values)} values of {count} characters; above {_LONG_ENUM} values the engine "
            f"takes {_MOST_CHARACTERS_OF_LONG_ENUM}",
            "shorten the values",
        )
    return count


RULES = Rules(
    engine="openai",
    dialect=ECMA,
    most_depth=60,
    most_levels=120,
    most_schemas=12_000,
    most_options=500,
    most_optional=0,
    most_literal_characters=_MOST_CHARACTERS,
    most_length=0,
    most_items=1_000_000,
    largest_factor=1_000_000,
    fractions=True,
    factor_in_range=True,
    lengths=False,
    lengths_beside_pattern=False,
    siblings=False,
    free_keys=False,
    tuples=False,
    optional=False,
    descriptions=True,
    finish=_finish,
)
