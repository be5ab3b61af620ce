"""From any JSON Schema to what one engine can decode under, with a verdict on every keyword."""

from __future__ import annotations

from typing import Any

from conduit.mdl.lowering import llguidance, openai, xgrammar
from conduit.mdl.lowering.base import Engine, Ledger, Lowered, Schema, unsupported
from conduit.mdl.lowering.references import References
from conduit.mdl.lowering.rules import Rules
from conduit.mdl.lowering.walk import Walker
from conduit.mdl.lowering.whole import check_depth, check_finite

_RULES: dict[str, Rules] = {rules.engine: rules for rules in (llguidance.RULES, xgrammar.RULES, openai.RULES)}


def lower(schema: Any, engine: Engine) -> Lowered:
    """Rewrites a schema for an engine's grammar, and says of every keyword who enforces it.

    The result takes all that the schema takes, but for what the report calls narrowed. It is sent as it is:
    nothing in it is unknown to the engine.

    Args:
        schema: JSON Schema of any draft from 4 on, such as ``json_schema(T)`` or pydantic's own.
        engine: ``llguidance``, ``xgrammar`` or ``openai``.

    Raises:
        SchemaUnsupported: The schema cannot be kept to, is too large, or is no schema.
        ValueError: There is no such engine.
    """
    if engine not in _RULES:
        raise ValueError(f"unknown engine {engine!r}: use {', '.join(_RULES)}")
    rules = _RULES[engine]
    if not isinstance(schema, dict):
        raise unsupported("$", "is not an object", "write the schema as an object")
    references = References(schema, rules)
    ledger = Ledger()
    walker = Walker(references, rules, ledger)
    root: Schema | None = None
    if all(definition.schema is not schema for definition in references.definitions):
        root = walker.lower(schema, "$")
    lowered: dict[str, Schema] = {}
    for definition in references.definitions:
        lowered[definition.name] = walker.lower(definition.schema, definition.path)
        if definition.schema is schema:
            root = {"$ref": f"#/$defs/{definition.name}"}
    assert root is not None
    check_depth(root, lowered, rules)
    check_finite(root, lowered)
    if lowered:
        root = {**root, "$defs": lowered}
    return Lowered(rules.finish(root, ledger), rules.engine, tuple(ledger))
