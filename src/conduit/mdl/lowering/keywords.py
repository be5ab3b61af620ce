"""JSON Schema's keywords by what they do, and the schemas inside a schema. All drafts from 4 to 2020-12."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

ANNOTATIONS = frozenset(
    """
    title description default examples example deprecated readOnly writeOnly $comment contentEncoding
    contentMediaType contentSchema discriminator externalDocs xml $schema $id id $anchor $dynamicAnchor
    $recursiveAnchor $vocabulary $defs definitions components
    """.split()
)
IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
LEFT_TO_VALIDATION = frozenset(
    """
    not if then else dependentRequired dependentSchemas dependencies unevaluatedItems unevaluatedProperties
    contains minContains maxContains uniqueItems
    """.split()
)
STRING = ("minLength", "maxLength", "pattern", "format")
NUMBER = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf")
ARRAY = ("prefixItems", "items", "additionalItems", "minItems", "maxItems")
OBJECT = (
    "properties", "patternProperties", "additionalProperties", "propertyNames", "required", "minProperties",
    "maxProperties",
)  # fmt: skip
OF_TYPE = {
    **dict.fromkeys(STRING, ("string",)),
    **dict.fromkeys(NUMBER, ("integer", "number")),
    **dict.fromkeys(ARRAY, ("array",)),
    **dict.fromkeys(OBJECT, ("object",)),
}
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
ASSERTIONS = frozenset(
    {"type", "enum", "const", "$ref", "$dynamicRef", "$recursiveRef", *IN_PLACE_LISTS, *LEFT_TO_VALIDATION}
    | set(OF_TYPE)
)
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")

_IN_PLACE = frozenset({"not", "if", "then", "else"})
_SINGLE = _IN_PLACE | {
    "additionalProperties", "items", "additionalItems", "contains", "propertyNames", "unevaluatedItems",
    "unevaluatedProperties",
}  # fmt: skip
_LISTS = frozenset({*IN_PLACE_LISTS, "prefixItems", "items"})
_MAPS = frozenset({"properties", "patternProperties", "dependentSchemas", "dependencies"})


def is_annotation(keyword: str) -> bool:
    """It says something about the schema and enforces nothing."""
    return keyword in ANNOTATIONS or keyword.startswith("x-")


def subschemas(schema: dict[str, Any], *, in_place: bool = False) -> Iterator[tuple[str, Any, int]]:
    """The schemas inside a schema: path behind the schema's own, the schema, and how much deeper JSON nests there.

    Definitions are not among them: they count when something refers to them.

    Args:
        schema: Where to look.
        in_place: Only those that apply to the same value.
    """
    for keyword, value in schema.items():
        if keyword in _LISTS and isinstance(value, list) and (not in_place or keyword in IN_PLACE_LISTS):
            for i, part in enumerate(value):
                yield f".{keyword}[{i}]", part, 2
        elif keyword in _SINGLE and not isinstance(value, list) and (not in_place or keyword in _IN_PLACE):
            yield f".{keyword}", value, 1
        elif (
            keyword in _MAPS and isinstance(value, dict) and (not in_place or keyword.startswith("dependen"))
        ):
            for name, part in value.items():
                if keyword != "dependencies" or not isinstance(part, list):
                    yield f".{keyword}.{name}", part, 2
