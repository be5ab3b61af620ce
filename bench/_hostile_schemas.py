"""JSON Schemas whose keywords may hold what they must not, for the fuzzer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from _hostile import Chance, value, word

PATTERNS = (
    "^a+$", "(a+)+$", "(", "[", "(?=x)", "\\p{L}+", "a{1,99999}", "^(a|a)*$", "", "\\", "(?P<n>x)\\1", "[a-z]{3}",
    "x*" * 30,
)  # fmt: skip
TYPE_WORDS = ("string", "integer", "number", "object", "array", "null", "boolean", ["string", "null"], "x", 5)
REFERENCES = ("#", "#/$defs/a", "#/$defs/b", "#/nowhere", "http://x.test/s", "%", 5, "#/properties/x")
ENDS = ({}, True, False, {"type": "string"}, {"type": "null"}, {"$ref": "#"}, {"$ref": "#/$defs/a"})


def schema(chance: Chance, depth: int = 4) -> Any:
    """Some JSON Schema."""
    if depth == 0 or (depth < 4 and chance.random() < 0.1):
        return chance.choice(ENDS)
    inner = [schema(chance, depth - 1) for _ in range(3)]
    keywords = _keywords(chance, inner)
    chosen = chance.sample(list(keywords), chance.randrange(1, 6))
    if chance.random() < 0.6:
        chosen = ["type", *chosen]
    return {keyword: keywords[keyword]() for keyword in chosen}


def _keywords(chance: Chance, inner: list[Any]) -> dict[str, Callable[[], Any]]:
    """What each keyword may hold."""
    named = {word(chance): part for part in inner}
    pick = chance.choice
    return {
        "type": lambda: pick(TYPE_WORDS),
        "properties": lambda: named,
        "required": lambda: pick((list(named), ["absent"], "x")),
        "additionalProperties": lambda: pick((False, True, inner[0])),
        "patternProperties": lambda: {pick(PATTERNS): inner[0]},
        "propertyNames": lambda: {"pattern": pick(PATTERNS)},
        "items": lambda: pick((inner[0], inner, False)),
        "prefixItems": lambda: inner,
        "minItems": lambda: pick((0, 2, -1, 10**9, "2")),
        "maxItems": lambda: pick((0, 2, 10**9)),
        "uniqueItems": lambda: True,
        "contains": lambda: inner[0],
        "pattern": lambda: pick(PATTERNS),
        "format": lambda: pick(("date", "uri", "email", "uuid", "binary", "regex", "?", 5)),
        "minLength": lambda: pick((0, 3, 10**6, -1)),
        "maxLength": lambda: pick((0, 3, 10**9)),
        "minimum": lambda: pick((0, -1.5, 10**40, "0")),
        "exclusiveMaximum": lambda: pick((1, 1e-9, True)),
        "multipleOf": lambda: pick((1, 0.1, 0, 7)),
        "enum": lambda: pick((["a", 1, None], [], ["x"] * 3, list(range(5000)), "x")),
        "const": lambda: value(chance, 2),
        "anyOf": lambda: pick((inner, [], "x")),
        "oneOf": lambda: inner,
        "allOf": lambda: inner,
        "not": lambda: inner[0],
        "if": lambda: inner[0],
        "then": lambda: inner[1],
        "dependentRequired": lambda: {"a": ["b"]},
        "unevaluatedProperties": lambda: False,
        "$ref": lambda: pick(REFERENCES),
        "$defs": lambda: {"a": inner[0], "b": {"$ref": "#/$defs/a"}, "c": {"anyOf": [{"$ref": "#/$defs/c"}]}},
        "title": lambda: word(chance),
        "default": lambda: value(chance, 1),
        "x-own": lambda: 1,
    }
