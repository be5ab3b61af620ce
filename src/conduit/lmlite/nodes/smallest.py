"""The smallest value that fits a decoding schema: what a fake model answers when a test does not care.

Covers the keywords that ``mdl`` writes, not JSON Schema at large.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from conduit.errors import UnsupportedType

Schema = Mapping[str, Any]

_FORMATS = {
    "date": "1970-01-01",
    "date-time": "1970-01-01T00:00:00Z",
    "duration": "PT0S",
    "email": "a@example.com",
    "time": "00:00:00Z",
    "uri": "http://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_PROBES = ("", "0", "a", "A", "x", "00", "aa", "AA", "a0", "A0", "A-0", "a@a.aa", "1970-01-01", "000", "0000")


class _EndlessError(Exception):
    """A record leads back to itself on this way."""


def smallest(schema: Schema) -> Any:
    """A value as JSON would hold it, as short as the schema allows.

    Raises:
        UnsupportedType: No value was found, such as for an intricate pattern.
    """
    try:
        return _value(schema, schema.get("$defs", {}), ())
    except _EndlessError:
        raise UnsupportedType("The type has no finite value: a record always holds itself.") from None


def _value(schema: Schema, definitions: Schema, via: tuple[str, ...]) -> Any:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        if name in via:
            raise _EndlessError
        return _value(definitions[name], definitions, (*via, name))
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return _first(options, definitions, via)
    match schema.get("type"):
        case "null" | None:
            return None
        case "boolean":
            return False
        case "integer":
            return int(_number(schema, whole=True))
        case "number":
            return _number(schema, whole=False)
        case "string":
            return _string(schema)
        case "array":
            return _array(schema, definitions, via)
        case "object":
            return _object(schema, definitions, via)
    raise UnsupportedType(f"No smallest value is known for the schema {dict(schema)}.")


def _first(options: Sequence[Schema], definitions: Schema, via: tuple[str, ...]) -> Any:
    for option in sorted(options, key=lambda o: o.get("type") != "null"):
        try:
            return _value(option, definitions, via)
        except _EndlessError:
            continue
    raise _EndlessError


def _number(schema: Schema, *, whole: bool) -> float | int:
    step: float | None = schema.get("multipleOf", 1 if whole else None)
    low: float = schema.get("minimum", -math.inf)
    high: float = schema.get("maximum", math.inf)
    gap = step if step is not None else 1e-3
    if (above := schema.get("exclusiveMinimum")) is not None:
        low = max(low, math.floor(above / gap) * gap + gap if step else above + gap)
    if (below := schema.get("exclusiveMaximum")) is not None:
        high = min(high, math.ceil(below / gap) * gap - gap if step else below - gap)
    if low <= 0 <= high:
        return 0
    if low > 0:
        return low if step is None else math.ceil(low / step) * step
    return high if step is None else math.floor(high / step) * step


def _string(schema: Schema) -> str:
    if "format" in schema:
        return _FORMATS.get(schema["format"], "x")
    least: int = schema.get("minLength", 0)
    most: float = schema.get("maxLength", math.inf)
    if (pattern := schema.get("pattern")) is None:
        return "x" * least
    probes = (*_PROBES, *("x" * least, "0" * least, "A" * least))
    for text in probes:
        if least <= len(text) <= most and re.search(pattern, text):
            return text
    raise UnsupportedType(
        f"No text was found for the pattern {pattern!r}.",
        hint="Give the fake an answer for this block: FakeLM({'block': value}).",
    )


def _array(schema: Schema, definitions: Schema, via: tuple[str, ...]) -> list[Any]:
    if prefix := schema.get("prefixItems"):
        return [_value(item, definitions, via) for item in prefix]
    count = schema.get("minItems", 0)
    if not count:
        return []
    item = schema["items"]
    if not schema.get("uniqueItems") or count == 1:
        return [_value(item, definitions, via)] * count
    if "enum" in item:
        return list(item["enum"][:count])
    start = _value(item, definitions, via)
    if isinstance(start, int | float) and not isinstance(start, bool):
        return [start + i * item.get("multipleOf", 1) for i in range(count)]
    if isinstance(start, str) and "pattern" not in item and "format" not in item:
        return [start + "x" * i for i in range(count)]
    raise UnsupportedType(
        f"No {count} different values were found for {dict(item)}.",
        hint="Give the fake an answer for this block: FakeLM({'block': value}).",
    )


def _object(schema: Schema, definitions: Schema, via: tuple[str, ...]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    value = {name: _value(properties[name], definitions, via) for name in schema.get("required", ())}
    missing = schema.get("minProperties", 0) - len(value)
    if missing <= 0:
        return value
    spare = [name for name in properties if name not in value]
    if spare:
        return value | {name: _value(properties[name], definitions, via) for name in spare[:missing]}
    patterns = schema.get("patternProperties", {})
    item = next(iter(patterns.values()), None) or schema.get("additionalProperties")
    if not isinstance(item, Mapping):
        raise UnsupportedType(f"No {missing} keys more were found for {dict(schema)}.")
    return value | {str(i): _value(item, definitions, via) for i in range(missing)}
