"""Checks on a lowered schema as a whole: that it has a value at all, and that following it does not go too deep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conduit.mdl.lowering.base import Schema, unsupported
from conduit.mdl.lowering.keywords import subschemas
from conduit.mdl.lowering.rules import Rules

_CONTAINERS = frozenset({"object", "array"})


def check_finite(root: Schema, definitions: dict[str, Schema]) -> None:
    """Refuses a schema whose every value would be endless: a model that is held to it writes without end.

    Raises:
        SchemaUnsupported: It is so.
    """
    finite: set[str] = set()
    # Definitions stand in the order of their use, so that the last ones need the fewest others.
    open_ones = list(reversed(definitions))
    before = -1
    while before != len(finite):
        before = len(finite)
        for name in open_ones:
            if _has_value(definitions[name], finite):
                finite.add(name)
        open_ones = [name for name in open_ones if name not in finite]
    if not _has_value(root, finite):
        names = ", ".join(sorted(open_ones)[:5])
        raise unsupported(
            "$",
            f"no finite value fits it: {names} cannot do without itself" if names else "no value fits it",
            "make the field that leads back optional, or a list",
        )


def _has_value(schema: Any, finite: set[str]) -> bool:
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema and schema["$ref"].rsplit("/", 1)[-1] not in finite:
        return False
    if "anyOf" in schema and not any(_has_value(option, finite) for option in schema["anyOf"]):
        return False
    if not all(_has_value(part, finite) for part in schema.get("allOf", ())):
        return False
    types = schema.get("type")
    if types is None or not _CONTAINERS.issuperset(types if isinstance(types, list) else (types,)):
        return True
    if "object" in types and all(
        _has_value(schema["properties"][name], finite) for name in schema.get("required", ())
    ):
        return True
    return "array" in types and _has_items(schema, finite)


def _has_items(schema: Schema, finite: set[str]) -> bool:
    least = schema.get("minItems", 0)
    places = schema.get("prefixItems", [])
    if not all(_has_value(place, finite) for place in places[:least]):
        return False
    return least <= len(places) or _has_value(schema.get("items", True), finite)


def check_depth(root: Schema, definitions: dict[str, Schema], rules: Rules) -> None:
    """Refuses a schema in which an engine that goes through every reference at once would run out of stack.

    Raises:
        SchemaUnsupported: A chain of references is too long.
    """
    seen: set[str] = set()
    trail: list[Iterator[Any]] = [iter((root,))]
    while trail:
        part = next(trail[-1], None)
        if part is None:
            trail.pop()
        elif len(trail) > rules.most_levels:
            raise unsupported(
                "$",
                f"its definitions refer to one another over more than {rules.most_levels} levels, and "
                f"{rules.engine} follows them all at once",
                "shorten the chain, or split the type",
            )
        elif isinstance(part, dict):
            inner = [schema for _, schema, _ in subschemas(part)]
            name = part["$ref"].rsplit("/", 1)[-1] if "$ref" in part else None
            if name is not None and name not in seen:
                seen.add(name)
                inner.append(definitions[name])
            trail.append(iter(inner))
