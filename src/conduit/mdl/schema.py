"""JSON Schema 2020-12 of a form, and its lowering to what an engine's grammar can take.

The decoding schema asks for more than validation does: every field is required and none may be added, so that a
model writes all of a record, in order. A missing field that has a default is still accepted by validation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from conduit.mdl.form import (
    Choice,
    Document,
    Form,
    Limits,
    ListOf,
    MapOf,
    Null,
    Record,
    Ref,
    Scalar,
    TupleOf,
    UnionOf,
)

Schema = dict[str, Any]
Engine = Literal["llguidance"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SCALARS: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "duration": {"type": "string", "format": "duration"},
    "uuid": {"type": "string", "format": "uuid"},
    "decimal": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
    "url": {"type": "string", "format": "uri"},
    "email": {"type": "string", "format": "email"},
}


def decoding_schema(document: Document) -> Schema:
    """The schema that a model's answer is decoded under."""
    schema = _schema(document.root)
    if document.definitions:
        schema["$defs"] = {name: _schema(record) for name, record in document.definitions}
    return schema


def full_schema(document: Document) -> Schema:
    """The decoding schema with its dialect, for other tools."""
    return {"$schema": _DIALECT, **decoding_schema(document)}


def _schema(form: Form) -> Schema:
    match form:
        case Scalar(kind=kind, limits=limits):
            return {**_SCALARS[kind], **_limits(limits, "Length", kind)}
        case Null():
            return {"type": "null"}
        case Choice(values=values):
            return {"enum": list(values)}
        case ListOf(item=item, limits=limits):
            return {"type": "array", "items": _schema(item), **_limits(limits, "Items")}
        case TupleOf(items=items, variadic=True, limits=limits):
            return {"type": "array", "items": _schema(items[0]), **_limits(limits, "Items")}
        case TupleOf(items=items):
            count = len(items)
            return {
                "type": "array",
                "prefixItems": [_schema(item) for item in items],
                "items": False,
                "minItems": count,
                "maxItems": count,
            }
        case MapOf(key=key, value=value, limits=limits):
            return {"type": "object", **_keys(key, _schema(value)), **_limits(limits, "Properties")}
        case UnionOf(options=options):
            return {"anyOf": [_schema(option) for option in options]}
        case Ref(name=name):
            return {"$ref": f"#/$defs/{name}"}
        case Record(members=members):
            properties = {
                member.name: _schema(member.form) | ({"description": member.doc} if member.doc else {})
                for member in members
            }
            return {
                "type": "object",
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }


def _keys(key: Form, value: Schema) -> Schema:
    match key:
        case Scalar(kind="int"):
            return {"patternProperties": {"^-?[0-9]+$": value}, "additionalProperties": False}
        case Choice(values=values):
            return {"properties": {str(name): value for name in values}, "additionalProperties": False}
        case Scalar(kind="str", limits=Limits(pattern=str(pattern))):
            return {"patternProperties": {pattern: value}, "additionalProperties": False}
        case Scalar(kind="str"):
            return {"additionalProperties": value}
    return {"propertyNames": _schema(key), "additionalProperties": value}


def _limits(limits: Limits, size: str, kind: str = "") -> Schema:
    pairs = {
        "minimum": limits.ge,
        "exclusiveMinimum": limits.gt,
        "maximum": limits.le,
        "exclusiveMaximum": limits.lt,
        "multipleOf": limits.multiple_of,
        f"min{size}": limits.min_length,
        f"max{size}": limits.max_length,
        "pattern": limits.pattern,
        "uniqueItems": limits.unique or None,
    }
    # A Decimal travels as text, so its numeric limits are for validation alone.
    return {name: value for name, value in pairs.items() if value is not None and kind != "decimal"}


@dataclass(frozen=True)
class Lowered:
    """A schema that an engine can take.

    ``changes`` names what the mask no longer enforces, or enforces otherwise; validation still does.
    """

    schema: Schema
    changes: tuple[str, ...]


def lower(schema: Schema, engine: Engine) -> Lowered:
    """Rewrites what the engine's grammar would refuse.

    Facts for llguidance 1.9: it refuses ``uniqueItems``, ``propertyNames``, the formats ``uri`` and ``binary``
    and look-around, and ``oneOf`` where branches overlap. Free white space is switched off, because a model may
    write it without end.
    """
    if engine != "llguidance":
        raise ValueError(f"unknown engine {engine!r}")
    changes: list[str] = []
    lowered = _lower(schema, "$", changes.append)
    lowered["x-guidance"] = {"whitespace_flexible": False, "lenient": True, "coerce_one_of": True}
    return Lowered(lowered, tuple(changes))


_DROPPED = {"uniqueItems", "propertyNames"}
_DROPPED_FORMATS = {"uri", "binary"}
_LOOK_AROUND = re.compile(r"\(\?<?[=!]")
_NAMED = {"properties", "patternProperties", "$defs"}  # keywords whose keys are names, not keywords


def _lower(schema: Any, path: str, note: Callable[[str], None]) -> Any:
    if isinstance(schema, list):
        return [_lower(item, f"{path}[{i}]", note) for i, item in enumerate(schema)]
    if not isinstance(schema, dict):
        return schema
    result: Schema = {}
    for keyword, value in schema.items():
        where = f"{path}.{keyword}"
        if keyword in _DROPPED or (keyword == "format" and value in _DROPPED_FORMATS):
            note(f"{where}: left to validation")
        elif keyword == "pattern" and _LOOK_AROUND.search(value):
            note(f"{where}: look-around, left to validation")
        elif keyword in _NAMED:
            result[keyword] = {name: _lower(part, f"{where}.{name}", note) for name, part in value.items()}
        elif keyword == "oneOf":
            note(f"{where}: any of them")
            result["anyOf"] = _lower(value, where, note)
        elif keyword in ("pattern", "enum", "const", "default", "examples"):
            result[keyword] = value
        else:
            result[keyword] = _lower(value, where, note)
    return result
