"""One schema and all inside it, keyword by keyword. Nothing is passed on that is not known here."""

from __future__ import annotations

import difflib
from typing import Any

from conduit.mdl.lowering.base import Ledger, Schema, unsupported
from conduit.mdl.lowering.containers import lower_array, lower_object
from conduit.mdl.lowering.keywords import (
    ASSERTIONS,
    LEFT_TO_VALIDATION,
    OF_TYPE,
    REFERENCES,
    TYPES,
    is_annotation,
)
from conduit.mdl.lowering.references import References
from conduit.mdl.lowering.rules import Rules
from conduit.mdl.lowering.scalars import lower_number, lower_string
from conduit.mdl.lowering.values import lower_choice

_ALL_TYPES = ("null", "boolean", "number", "string", "array", "object")
_MOST_COMBINATIONS = 1_000  # of branches, where several unions apply to one value


class Walker:
    """Lowers the schemas of one document.

    Recursive: ``References`` has made sure that nothing nests deep.
    """

    def __init__(self, references: References, rules: Rules, ledger: Ledger) -> None:
        self._references = references
        self._rules = rules
        self._ledger = ledger
        self._literal_characters = 0

    def resolve(self, schema: Any) -> Any:
        """The schema itself, where it is but a reference to one."""
        for _ in range(len(self._references.definitions) + 1):
            if not isinstance(schema, dict) or "$ref" not in schema:
                break
            schema = self._references.target(schema["$ref"]).schema
        return schema

    def lower(self, schema: Any, path: str) -> Schema:
        """The engine's form of a schema.

        Raises:
            SchemaUnsupported: The engine could not keep to it.
        """
        if schema is True:
            return self._anything(path)
        if schema is False:
            raise unsupported(path, "no value fits `false`", "leave out what must not be there")
        self._check_keywords(schema, path)
        if self._references.old_draft and "$ref" in schema:
            for keyword in schema.keys() & ASSERTIONS - {"$ref"}:
                self._ledger.mask(path, keyword, "means nothing beside `$ref` before draft 2019-09")
            schema = {"$ref": schema["$ref"]}
        described = self._rules.descriptions and isinstance(schema.get("description"), str)
        notes = {"description": schema["description"]} if described else {}
        return self._combined(self._parts(schema, path), path, notes)

    def _anything(self, path: str) -> Schema:
        if not self._rules.free_keys:
            raise unsupported(path, "takes any value, and the engine wants a type", "say what it is")
        return {}

    def _check_keywords(self, schema: Schema, path: str) -> None:
        for keyword in schema:
            if keyword in ASSERTIONS or is_annotation(keyword):
                continue
            near = difflib.get_close_matches(keyword, ASSERTIONS, n=1)
            remedy = f"write `{near[0]}`" if near else "drop it, or begin its name with `x-` if it is a note"
            raise unsupported(
                f"{path}.{keyword}", "is no keyword of JSON Schema: nothing would enforce it", remedy
            )

    def _parts(self, schema: Schema, path: str) -> list[tuple[Schema, int, int]]:
        """What applies to the value side by side, each with the marks of its entries; most telling first."""
        found: list[tuple[Schema, int, int]] = []

        def add(part: Schema | None, mark: int) -> None:
            if part:
                found.append((part, mark, self._ledger.mark()))

        mark = self._ledger.mark()
        types = self._types(schema, path)
        if "const" in schema or "enum" in schema:
            part, size = lower_choice(
                schema, types or TYPES, path, self._rules, self._ledger, self._literal_characters
            )
            self._literal_characters += size
            if "type" in schema:
                self._ledger.mask(path, "type")
            add(part, mark)
        for keyword in REFERENCES:
            if keyword in schema:
                mark = self._ledger.mark()
                self._ledger.mask(path, keyword)
                add({"$ref": f"#/$defs/{self._references.target(schema[keyword]).name}"}, mark)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                mark = self._ledger.mark()
                add(self._union(schema, keyword, path), mark)
        if "allOf" in schema:
            for i, conjunct in enumerate(self._list(schema, "allOf", path)):
                mark = self._ledger.mark()
                if i == 0:
                    self._ledger.mask(path, "allOf")
                add(self.lower(conjunct, f"{path}.allOf[{i}]"), mark)
        mark = self._ledger.mark()
        plain = None if "const" in schema or "enum" in schema else self._plain(schema, types, path)
        add(plain, mark)
        for keyword in schema:
            beside_choice = keyword in OF_TYPE and ("const" in schema or "enum" in schema)
            if keyword in LEFT_TO_VALIDATION or beside_choice:
                self._ledger.validation(path, keyword)
        return found

    def _combined(self, parts: list[tuple[Schema, int, int]], path: str, notes: Schema) -> Schema:
        """One schema of all parts, or of the first where the engine cannot take them together."""
        if not parts:
            return self._anything(path)
        if len(parts) == 1:
            part = parts[0][0]
            return part if "$ref" in part else part | notes
        merged = self._merged([part for part, _, _ in parts])
        if merged is not None:
            return merged | notes
        recursive = [i for i, (part, _, _) in enumerate(parts) if self._is_recursive(part)]
        if self._rules.siblings and not recursive and self._combinations(parts) <= _MOST_COMBINATIONS:
            return {"allOf": [self._uncounted(*part) for part in parts]} | notes
        # The one that says most: a choice of values, else the longest.
        sizes = [len(repr(part)) for part, _, _ in parts]
        choices = [i for i, (part, _, _) in enumerate(parts) if "enum" in part or "const" in part]
        chosen = choices[0] if choices else recursive[0] if recursive else sizes.index(max(sizes))
        for i, (_, start, end) in enumerate(parts):
            if i != chosen:
                self._ledger.leave_out(
                    start, end, "left to validation: the engine takes one of several together"
                )
        part = parts[chosen][0]
        return part if "$ref" in part else part | notes

    def _uncounted(self, part: Schema, start: int, end: int) -> Schema:
        """A part of several without limits on how many properties: the other parts may have properties as well."""
        if not _COUNTS.intersection(part):
            return part
        self._ledger.leave_out(start, end, "left to validation", _COUNTS)
        return {keyword: value for keyword, value in part.items() if keyword not in _COUNTS}

    def _merged(self, parts: list[Schema]) -> Schema | None:
        """Parts as one schema where that says the same: objects that are open, or keywords that do not meet."""
        merged: Schema = {}
        for part in parts:
            if not _MERGEABLE.issuperset(part) or (merged and part.get("type") != merged.get("type")):
                return None
            if merged and (_closes(part) or _closes(merged)):
                return None
            for keyword, value in part.items():
                if keyword not in merged or merged[keyword] == value:
                    merged[keyword] = value
                elif keyword == "required":
                    merged[keyword] = list(dict.fromkeys([*merged[keyword], *value]))
                elif keyword == "properties" and not merged[keyword].keys() & value.keys():
                    merged[keyword] = merged[keyword] | value
                else:
                    return None
        return merged

    def _is_recursive(self, part: Schema) -> bool:
        return "$ref" in part and self._references.recursive(part["$ref"].rsplit("/", 1)[-1])

    def _combinations(self, parts: list[tuple[Schema, int, int]]) -> int:
        product = 1
        for part, _, _ in parts:
            product *= max(1, _branches(part))
        return product

    def _types(self, schema: Schema, path: str) -> tuple[str, ...]:
        if "type" not in schema:
            return ()
        value = schema["type"]
        types = tuple(value) if isinstance(value, list) else (value,)
        if not types or not all(isinstance(type_, str) and type_ in TYPES for type_ in types):
            raise unsupported(f"{path}.type", f"{value!r} is no type", f"use one of {', '.join(TYPES)}")
        return types

    def _plain(self, schema: Schema, types: tuple[str, ...], path: str) -> Schema | None:
        """The type and its own keywords."""
        given = [keyword for keyword in schema if keyword in OF_TYPE]
        if not types and not given:
            return None
        if "type" in schema:
            self._ledger.mask(path, "type")
        meant = types or _ALL_TYPES
        if not types and not self._rules.free_keys:
            meant = tuple(dict.fromkeys(OF_TYPE[keyword][-1] for keyword in given))
            self._ledger.narrowed(path, given[0], f"taken to mean that the type is {' or '.join(meant)}")
        for keyword in given:
            if not set(OF_TYPE[keyword]) & set(meant):
                self._ledger.mask(path, keyword, f"says nothing of {' or '.join(meant)}")
        kept: Schema = {"type": meant[0] if len(meant) == 1 else list(meant)}
        if "string" in meant:
            kept |= lower_string(schema, path, self._rules, self._ledger)
        if {"integer", "number"} & set(meant):
            kept |= lower_number(schema, meant, path, self._rules, self._ledger)
        if "array" in meant:
            kept |= lower_array(schema, path, self._rules, self._ledger, self)
        if "object" in meant:
            kept |= lower_object(schema, path, self._rules, self._ledger, self)
        return kept

    def _union(self, schema: Schema, keyword: str, path: str) -> Schema:
        options = [
            (i, option) for i, option in enumerate(self._list(schema, keyword, path)) if option is not False
        ]
        if not options:
            raise unsupported(f"{path}.{keyword}", "no value fits any of it", "give it a branch")
        if keyword == "oneOf" and len(options) > 1:
            self._ledger.validation(path, keyword, "any of them")
        else:
            self._ledger.mask(path, keyword)
        if len(options) > self._rules.most_options:
            raise unsupported(
                f"{path}.{keyword}",
                f"has {len(options)} branches, {self._rules.engine} takes {self._rules.most_options}",
                "use an `enum` for plain values, or fewer types",
            )
        return {"anyOf": [self.lower(option, f"{path}.{keyword}[{i}]") for i, option in options]}

    def _list(self, schema: Schema, keyword: str, path: str) -> list[Any]:
        value = schema[keyword]
        if not isinstance(value, list) or not value:
            raise unsupported(f"{path}.{keyword}", "is not a list of schemas", "give it at least one")
        return value


_COUNTS = frozenset({"minProperties", "maxProperties"})
_CLOSING = frozenset({"additionalProperties", "patternProperties", "items", "prefixItems"})
_MERGEABLE = frozenset(
    {"type", "minLength", "maxLength", "minimum", "maximum", "properties", "required", "minItems", "maxItems"}
    | _CLOSING
)


def _closes(schema: Schema) -> bool:
    """It says what properties or items there may be besides the named ones."""
    return any(schema.get(keyword, True) is not True for keyword in _CLOSING)


def _branches(schema: Schema) -> int:
    """How many ways a lowered schema leaves open at its top."""
    if "anyOf" in schema:
        return sum(_branches(option) for option in schema["anyOf"])
    if "enum" in schema:
        return len(schema["enum"])
    return 1
