"""TypeScript declarations of a JSON Schema, as compact as people still write them.

Docs, formats, limits and defaults are comments at the end of the line; a record that is used once stands inline.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from _baml import is_decimal, notes, with_plain_definitions_inline

_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def typescript(schema: Mapping[str, Any]) -> str:
    """The interfaces of the records that are named, then the answer's type as ``type Answer``."""
    writer = _Writer(with_plain_definitions_inline(schema))
    return "\n".join([*writer.declarations(), writer.root()])


class _Writer:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})
        uses = Counter(_references(schema))
        # Recursion alone makes a definition come up within itself; then it has to have a name.
        self._named = {name for name in self._definitions if uses[name] > 1 or name in self._reachable(name)}

    def declarations(self) -> Iterator[str]:
        for name in sorted(self._named):
            definition = self._definitions[name]
            yield (
                f"interface {name} {self._record(definition, '')}"
                if "properties" in definition
                else f"type {name} = {self._type(definition, '')};"
            )

    def root(self) -> str:
        if "properties" in self._schema:
            return f"interface Answer {self._record(self._schema, '')}"
        return f"type Answer = {self._type(self._schema, '')};"

    def _reachable(self, name: str) -> set[str]:
        found: set[str] = set()
        todo = [name]
        while todo:
            for reference in _references(self._definitions[todo.pop()]):
                if reference not in found:
                    found.add(reference)
                    todo.append(reference)
        return found

    def _type(self, schema: Mapping[str, Any], indent: str) -> str:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return name if name in self._named else self._type(self._definitions[name], indent)
        if "const" in schema:
            return json.dumps(schema["const"])
        if "enum" in schema:
            return " | ".join(map(json.dumps, schema["enum"]))
        if is_decimal(schema):
            return "number | null" if len(schema["anyOf"]) == 3 else "number"
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                options = (self._type(option, indent) for option in schema[keyword])
                return " | ".join(dict.fromkeys(options))
        match schema.get("type"):
            case "array" if "prefixItems" in schema:
                return f"[{', '.join(self._place(item, indent) for item in schema['prefixItems'])}]"
            case "array":
                item = self._type(schema["items"], indent)
                return f"({item})[]" if " | " in item.partition("{")[0] else f"{item}[]"
            case "object" if "properties" not in schema:
                return f"Record<string, {self._type(schema['additionalProperties'], indent)}>"
            case "object":
                return self._record(schema, indent)
            case str(plain):
                return _PLAIN[plain]
        return "unknown"

    def _place(self, item: Mapping[str, Any], indent: str) -> str:
        label = item.get("title", "").lower()
        return f"{label}: {self._type(item, indent)}" if label.isidentifier() else self._type(item, indent)

    def _record(self, schema: Mapping[str, Any], indent: str) -> str:
        required = set(schema.get("required", ()))
        lines = ["{"]
        for key, value in schema["properties"].items():
            mark = "" if key in required else "?"
            comment = " ".join(notes(value))
            line = f"{indent}  {key}{mark}: {self._type(value, indent + '  ')};"
            lines.append(f"{line} // {comment}" if comment else line)
        return "\n".join([*lines, f"{indent}}}"])


def _references(schema: Any) -> Iterator[str]:
    match schema:
        case dict():
            for key, value in schema.items():
                if key == "$ref":
                    yield value.rpartition("/")[2]
                elif key != "discriminator":
                    yield from _references(value)
        case list():
            for item in schema:
                yield from _references(item)
