"""A JSON Schema as a Python type, for peers that validate with pydantic. Only the keywords that the rows use."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ForwardRef, Literal, Union

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, create_model

_PLAIN: Mapping[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "null": None}
_FORMATS: Mapping[str, Any] = {
    "date": dt.date,
    "date-time": dt.datetime,
    "time": dt.time,
    "duration": dt.timedelta,
    "uuid": uuid.UUID,
}
_LIMITS = {
    "minimum": "ge",
    "exclusiveMinimum": "gt",
    "maximum": "le",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
    "pattern": "pattern",
}


def adapter_of(schema: Mapping[str, Any]) -> TypeAdapter[Any]:
    """A validator, lax as pydantic's own."""
    return TypeAdapter(_Types(schema).root())


def _one_of(options: Iterable[Any]) -> Any:
    return Union.__getitem__(tuple(options))


class _Types:
    """One schema's types; records of ``$defs`` are made once and may refer to each other."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})
        self._models: dict[str, type[BaseModel]] = {}
        self._open: set[str] = set()
        self._aliases: dict[str, Any] = {}

    def root(self) -> Any:
        root = self._type(self._schema, "Root")
        for model in self._models.values():
            model.model_rebuild(_types_namespace={**self._models, **self._aliases})
        return self._models.get(root.__forward_arg__) if isinstance(root, ForwardRef) else root

    def _type(self, schema: Mapping[str, Any], name: str) -> Any:
        if "$ref" in schema:
            return self._referred(schema["$ref"].rpartition("/")[2])
        if "const" in schema:
            return Literal[schema["const"]]
        if "enum" in schema:
            return self._choice(schema)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return _one_of(self._type(option, f"{name}{i}") for i, option in enumerate(schema[keyword]))
        kind = schema.get("type")
        if isinstance(kind, list):
            return _one_of(self._type({**schema, "type": one}, name) for one in kind)
        if kind == "array":
            return self._limited(self._array(schema, name), schema, skip="prefixItems" in schema)
        if kind == "object" or "properties" in schema:
            return self._object(schema, name)
        if kind is None:
            return Any
        plain = _FORMATS.get(schema.get("format", ""), str) if kind == "string" else _PLAIN[kind]
        return self._limited(plain, schema)

    def _referred(self, name: str) -> Any:
        if name in self._models:
            return self._models[name]
        if name in self._open:
            return ForwardRef(name)
        self._open.add(name)
        made = self._type(self._definitions[name], name)
        self._open.discard(name)
        if not (isinstance(made, type) and issubclass(made, BaseModel)):
            self._aliases[name] = made
        return made

    def _array(self, schema: Mapping[str, Any], name: str) -> Any:
        if "prefixItems" in schema:
            return tuple[
                tuple(self._type(item, f"{name}{i}") for i, item in enumerate(schema["prefixItems"]))
            ]
        item = self._type(schema.get("items", {}), f"{name}Item")
        return list[item]

    def _object(self, schema: Mapping[str, Any], name: str) -> Any:
        if "properties" not in schema:
            values = schema.get("additionalProperties")
            inner = self._type(values, f"{name}Value") if isinstance(values, Mapping) else Any
            return dict[str, inner]
        required = set(schema.get("required", ()))
        fields: dict[str, Any] = {}
        for number, (key, value) in enumerate(schema["properties"].items()):
            type_ = self._type(value, f"{name}{number}")
            names = [key, value["x-alias"]] if "x-alias" in value else [key]
            default = ... if key in required else value.get("default")
            fields[f"field_{number}"] = (
                type_ if key in required else _one_of((type_, None)),
                Field(default, validation_alias=AliasChoices(*names), serialization_alias=key),
            )
        model = create_model(name, __config__=ConfigDict(protected_namespaces=()), **fields)
        self._models[name] = model
        return model

    def _choice(self, schema: Mapping[str, Any]) -> Any:
        values = Literal[tuple(schema["enum"])]
        aliases = {name: value for value, names in schema.get("x-enum-alias", {}).items() for name in names}
        if not aliases:
            return values
        return Annotated[
            values,
            BeforeValidator(lambda given: aliases.get(given, given) if isinstance(given, str) else given),
        ]

    def _limited(self, type_: Any, schema: Mapping[str, Any], *, skip: bool = False) -> Any:
        limits = {_LIMITS[key]: value for key, value in schema.items() if key in _LIMITS}
        return Annotated[type_, Field(**limits)] if limits and not skip else type_
