"""``enum`` and ``const``, and the checks on plain JSON that stands in schemas."""

from __future__ import annotations

import math
from typing import Any

from conduit.mdl.lowering.base import Ledger, Schema, unsupported
from conduit.mdl.lowering.keywords import TYPES
from conduit.mdl.lowering.rules import Rules

_DEEPEST = 50
# Engines hold numbers as doubles and write ranges as digits: beyond these they are wrong or refuse.
LARGEST = 2**53
_SMALLEST = 1e-15
_NOTE = "numbers of more than 53 bits, or too close to 0"


def exact_number(value: float) -> bool:
    """An engine can tell this number from its neighbours."""
    return abs(value) <= LARGEST and (value == 0 or abs(value) >= _SMALLEST)


def is_finite(value: float) -> bool:
    """JSON can write the number: whole numbers of any size, but no infinity."""
    return isinstance(value, int) or math.isfinite(value)


def lower_choice(
    schema: Schema, types: tuple[str, ...], path: str, rules: Rules, ledger: Ledger, spent: int
) -> tuple[Schema, int]:
    """``const`` or ``enum``, limited to ``types``; also how many characters it took of the allowance."""
    keyword = "const" if "const" in schema else "enum"
    values = [schema["const"]] if keyword == "const" else schema["enum"]
    if not isinstance(values, list) or not values:
        raise unsupported(f"{path}.{keyword}", "is not a list of values", "give it at least one")
    size, exact = _measure(values, f"{path}.{keyword}")
    kept = [value for value in values if any(has_type(value, type_) for type_ in types)]
    if keyword == "const" and "enum" in schema:
        ledger.validation(path, "enum", "left to validation beside const")
    if not kept:
        raise unsupported(f"{path}.{keyword}", f"none of its values is of type {types[0]}", "correct `type`")
    if not exact or spent + size > rules.most_literal_characters:
        why = _NOTE if not exact else f"{len(values)} values of {size} characters"
        ledger.validation(path, keyword, f"{why}: only their types are kept, the rest is left to validation")
        found = [type_ for type_ in TYPES if any(has_type(value, type_) for value in kept)]
        found = [
            type_ for type_ in found if type_ != "number" or not all(has_type(v, "integer") for v in kept)
        ]
        if "number" in found and "integer" in found:
            found.remove("integer")
        return {"type": found[0] if len(found) == 1 else found}, 0
    ledger.mask(path, keyword)
    return {"const": kept[0]} if keyword == "const" else {"enum": kept}, size


def has_type(value: Any, type_: str) -> bool:
    """A JSON value is of a type, as JSON Schema counts: 1.0 is an integer."""
    match value:
        case None:
            return type_ == "null"
        case bool():
            return type_ == "boolean"
        case int():
            return type_ in ("integer", "number")
        case float():
            return type_ == "number" or (type_ == "integer" and value.is_integer())
        case str():
            return type_ == "string"
        case list():
            return type_ == "array"
    return type_ == "object"


def _measure(values: list[Any], path: str) -> tuple[int, bool]:
    """Characters of JSON values, and whether an engine can tell all their numbers; refuses what is not JSON."""
    size, exact = 0, True
    waiting = [(value, 1) for value in values]
    while waiting:
        value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise unsupported(path, f"nests deeper than {_DEEPEST} levels", "use a plainer value")
        match value:
            case None | bool():
                size += 5
            case str():
                size += len(value) + 2
                check_text(value, path)
            case int() | float():
                if not is_finite(value):
                    raise unsupported(path, f"{value} is not JSON", "use a finite number")
                size += 20
                exact = exact and exact_number(value)
            case list():
                waiting += [(part, depth + 1) for part in value]
            case dict():
                for key, part in value.items():
                    if not isinstance(key, str):
                        raise unsupported(path, f"the key {key!r} is not text", "use text")
                    size += len(key) + 3
                    check_text(key, path)
                    waiting.append((part, depth + 1))
            case _:
                raise unsupported(path, f"{type(value).__name__} is not JSON", "use a JSON value")
    return size, exact


def check_text(text: str, path: str) -> None:
    """Refuses text that JSON in UTF-8 cannot hold."""
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise unsupported(path, f"{text[:40]!r} holds half a surrogate pair", "use valid Unicode")
