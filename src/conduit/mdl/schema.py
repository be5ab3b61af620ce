"""JSON Schema 2020-12 of a form.

The decoding schema asks for more than validation does: every field is required and none may be added, so that a
model writes all of a record, in order. A missing field that has a default is still accepted by validation; one that
has none and may be missing, in a TypedDict, may be left out here too. In all else it takes what validation takes.
What an engine makes of it is the business of ``lowering``.
"""

from __future__ import annotations

import json
from typing import Any

from conduit.mdl.form import (
    NO_LIMITS,
    Anything,
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
    "url": {"type": "string", "format": "uri"},
    "email": {"type": "string", "format": "email"},
    "ipv4": {"type": "string", "format": "ipv4"},
    "ipv6": {"type": "string", "format": "ipv6"},
}
_INTEGER_TEXT = "^-?[0-9]+$"
_DECIMAL_TEXT = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def decoding_schema(document: Document) -> Schema:
    """The schema that a model's answer is decoded under."""
    schema = _schema(document.root)
    if document.definitions:
        schema["$defs"] = {name: _schema(form) for name, form in document.definitions}
    return schema


def full_schema(document: Document) -> Schema:
    """The decoding schema with its dialect, for other tools."""
    return {"$schema": _DIALECT, **decoding_schema(document)}


def _schema(form: Form) -> Schema:
    match form:
        case Scalar(kind="decimal", limits=limits):
            # A Decimal travels as text, so that no digit is lost, or as a number. Limits are checked on both.
            return {
                "anyOf": [
                    {"type": "string", "pattern": _DECIMAL_TEXT},
                    {"type": "number", **_limits(limits, "Length")},
                ]
            }
        case Scalar(kind=kind, limits=limits):
            return {**_SCALARS[kind], **_limits(limits, "Length")}
        case Null():
            return {"type": "null"}
        case Anything():
            return {}
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
                "required": [member.name for member in members if member.required or member.has_default],
                "additionalProperties": False,
            }


def _keys(key: Form, value: Schema) -> Schema:
    match key:
        case Scalar(kind="str", limits=limits) if limits == NO_LIMITS:
            return {"additionalProperties": value}
        case Scalar(kind="int"):
            names: Schema = {"pattern": _INTEGER_TEXT}
        case Scalar(kind="decimal"):
            names = {"pattern": _DECIMAL_TEXT}
        case Choice(values=values):
            names = {"enum": [name if isinstance(name, str) else json.dumps(name) for name in values]}
        case _:
            names = _schema(key)
    return {"propertyNames": names, "additionalProperties": value}


def _limits(limits: Limits, size: str) -> Schema:
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
    return {name: value for name, value in pairs.items() if value is not None}
