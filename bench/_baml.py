"""BAML: a JSON Schema in its language, the output format that it renders from that, and its parser.

What the schema says and BAML's types cannot (formats, limits, defaults) goes into ``@description``, as its users
would write it. Enums become unions of literals: those need fewer tokens than BAML's enums, and parse alike.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from baml_py import BamlRuntime
from pydantic import BaseModel

_PLAIN: Final = {"string": "string", "integer": "int", "number": "float", "boolean": "bool", "null": "null"}
_FORMATS: Final = {
    "date": "ISO date",
    "date-time": "ISO date-time",
    "time": "ISO time",
    "duration": "ISO duration",
    "uuid": "UUID",
    "email": "e-mail address",
    "uri": "URL",
}
_CLIENT: Final = """
client<llm> Nobody {
  provider openai
  options {
    model "none"
    api_key "none"
    base_url "http://127.0.0.1:9"
  }
}
"""


class Check(BaseModel):
    """What BAML's generated clients hold of a ``@check``."""

    name: str
    expression: str
    status: str


V = TypeVar("V")
K = TypeVar("K")


class Checked(BaseModel, Generic[V, K]):
    """A value with checks; the parser only wants the value."""

    value: V
    checks: dict[str, Check]


@dataclass(frozen=True)
class Baml:
    """Declarations and the type of the answer, in BAML."""

    type: str
    declarations: str = ""


class BamlFunction:
    """A function that answers with a type.

    Where a name of the schema is none in BAML (``class``, ``partly cloudy``), the declarations have it as an
    ``@alias``; with ``by_alias`` a parsed value says it that way too.
    """

    def __init__(self, baml: Baml) -> None:
        prompt = 'prompt #"{{ ctx.output_format(prefix=null) }}"#'
        function = f"function Answer() -> {baml.type} {{\n  client Nobody\n  {prompt}\n}}\n"
        files = {"main.baml": f"{_CLIENT}\n{baml.declarations}\n{function}"}
        self._runtime = BamlRuntime.from_files("baml", files, {})
        self._context = self._runtime.create_context_manager()
        self._client = types.ModuleType("client")
        self._client.__dict__.update(Check=Check, Checked=Checked)
        self._keys = _aliases(baml.declarations, "class")
        self._values = _aliases(baml.declarations, "enum")

    def output_format(self) -> str:
        """What BAML writes into the prompt."""
        request = self._runtime.build_request_sync("Answer", {}, self._context, None, None, {}, False)
        content = request.body.json()["messages"][0]["content"]
        return "".join(part["text"] for part in content).strip()

    def parse(self, raw: str, *, by_alias: bool) -> Any:
        """The answer's value as plain data; raises where BAML does."""
        client = self._client
        value = self._runtime.parse_llm_response(
            "Answer", raw, client, client, client, False, self._context, None, None, {}
        )
        return self._plain(value, by_alias)

    def _plain(self, value: Any, by_alias: bool) -> Any:
        match value:
            case Checked(value=inner):
                return self._plain(inner, by_alias)
            case dict():
                return {
                    self._keys.get(key, key) if by_alias else key: self._plain(item, by_alias)
                    for key, item in value.items()
                }
            case list():
                return [self._plain(item, by_alias) for item in value]
            case str() if by_alias:
                return self._values.get(value, value)
        return value


def _aliases(declarations: str, keyword: str) -> dict[str, str]:
    blocks = re.findall(rf"^{keyword} \w+ {{(.*?)^}}", declarations, re.MULTILINE | re.DOTALL)
    found = (re.findall(r'^\s*(\w+)\b.*?@alias\("([^"]*)"\)', block, re.MULTILINE) for block in blocks)
    return {name: alias for pairs in found for name, alias in pairs}


def as_baml(schema: Mapping[str, Any]) -> Baml:
    """A schema as pydantic writes it."""
    schema = with_plain_definitions_inline(schema)
    writer = _Writer(schema.get("$defs", {}))
    type_ = writer.type(schema, "Root")
    return Baml(type_, "\n\n".join(writer.declarations.values()))


@dataclass
class _Writer:
    definitions: Mapping[str, Any]
    declarations: dict[str, str] = field(default_factory=dict)

    def type(self, schema: Mapping[str, Any], name: str) -> str:
        if "$ref" in schema:
            return self._referred(schema["$ref"].rpartition("/")[2])
        if "const" in schema:
            return json.dumps(schema["const"])
        if "enum" in schema:
            return self._one_of([json.dumps(value) for value in schema["enum"]])
        if is_decimal(schema):
            return self._one_of(["float", *(["null"] if len(schema["anyOf"]) == 3 else [])])
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._one_of(
                    [self.type(option, f"{name}{i}") for i, option in enumerate(schema[keyword])]
                )
        match schema.get("type"):
            case "array" if "prefixItems" in schema:
                places = [self.type(item, f"{name}{i}") for i, item in enumerate(schema["prefixItems"])]
                return f"{self._one_of(list(dict.fromkeys(places)))}[]"
            case "array":
                return f"{self.type(schema['items'], name + 'Item')}[]"
            case "object" if "properties" not in schema:
                return f"map<string, {self.type(schema['additionalProperties'], name + 'Value')}>"
            case "object":
                self._declare(name, schema)
                return name
            case str(plain):
                return _PLAIN[plain]
        return "string"

    @staticmethod
    def _one_of(options: list[str]) -> str:
        if len(options) == 2 and options[1] == "null":
            return f"{options[0]}?"
        return options[0] if len(options) == 1 else f"({' | '.join(options)})"

    def _referred(self, name: str) -> str:
        schema = self.definitions[name]
        name = _identifier(name)
        if "properties" not in schema:
            return self.type(schema, name)
        self._declare(name, schema)
        return name

    def _declare(self, name: str, schema: Mapping[str, Any]) -> None:
        if name in self.declarations:
            return
        self.declarations[name] = ""
        required = set(schema.get("required", ()))
        lines = []
        for number, (key, value) in enumerate(schema["properties"].items()):
            type_ = self.type(value, f"{name}{number}")
            if key not in required and not type_.endswith("?") and "default" not in value:
                type_ += "?"
            if doc := " ".join(notes(value)):
                type_ += f" @description({json.dumps(doc, ensure_ascii=False)})"
            lines.append(f"  {key} {type_}")
        self.declarations[name] = f"class {name} {{\n" + "\n".join(lines) + "\n}"


def with_plain_definitions_inline(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with definitions that are no records put where they are used: their limits are noted there."""
    definitions: Mapping[str, Any] = schema.get("$defs", {})

    def inline(part: Any) -> Any:
        match part:
            case {"$ref": str(reference), **rest}:
                definition = definitions[reference.rpartition("/")[2]]
                if "properties" in definition or any("$ref" in str(value) for value in definition.values()):
                    return part
                return {**definition, **rest}
            case dict():
                return {key: inline(value) for key, value in part.items()}
            case list():
                return [inline(item) for item in part]
        return part

    return inline(dict(schema))


def notes(schema: Mapping[str, Any]) -> list[str]:
    """What a schema says beyond its type: doc, format, limits, default."""
    found = [schema["description"]] if "description" in schema else []
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    limited = {**(options[0] if len(options) == 1 or is_decimal(schema) else {}), **schema}
    limits = ["decimal"] if is_decimal(schema) else []
    limits += _limits(limited)
    limits += [f"each {text}" for text in _limits(limited.get("items", {}))]
    for place in limited.get("prefixItems", ()):
        limits += [f"{place.get('title', 'each').lower()} {text}" for text in _limits(place)]
    if limits:
        found.append(f"({', '.join(limits)})")
    if schema.get("default") is not None:
        found.append(f"(default {json.dumps(schema['default'], ensure_ascii=False)})")
    return found


def is_decimal(schema: Mapping[str, Any]) -> bool:
    """Pydantic's way to write a Decimal, alone or with null: a number, or a string of digits."""
    kinds = [option.get("type") for option in schema.get("anyOf", ())]
    return kinds in (["number", "string"], ["number", "string", "null"])


def _limits(schema: Mapping[str, Any]) -> list[str]:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    found = [_FORMATS[schema["format"]]] if schema.get("format") in _FORMATS else []
    found += [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    if "multipleOf" in schema:
        found.append(f"multiple of {schema['multipleOf']}")
    if "prefixItems" in schema or schema.get("format") == "uri":
        return found  # their lengths follow from the kind
    for least, most, unit in (("minLength", "maxLength", "characters"), ("minItems", "maxItems", "items")):
        bounds = [f"at least {schema[least]}"] if least in schema else []
        bounds += [f"at most {schema[most]}"] if most in schema else []
        if bounds:
            found.append(f"{', '.join(bounds)} {unit}")
    if "pattern" in schema:
        found.append(f"matches {schema['pattern']}")
    if schema.get("uniqueItems"):
        found.append("unique")
    return found


def _identifier(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_")
