"""From a bare JSON Schema to the form that guides the reading of answers.

A form says less than JSON Schema can. What it cannot say becomes ``Anything`` here, and ``exact`` is false: then
the whole schema has to validate the value as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic_core import SchemaError, SchemaValidator, core_schema

from conduit.mdl.form import (
    NO_LIMITS,
    Anything,
    Choice,
    Document,
    Form,
    Limits,
    ListOf,
    MapOf,
    Member,
    Null,
    Record,
    Ref,
    Scalar,
    ScalarKind,
    TupleOf,
    UnionOf,
)
from conduit.mdl.lowering.base import unsupported

_MOST_DEPTH: Final = 60
_MOST_SIZE: Final = 2**31
_MOST_LIMIT: Final = 2.0**63
_ANNOTATIONS: Final = frozenset(
    "$schema $id $comment $anchor title description default examples deprecated readOnly writeOnly $defs"
    " definitions discriminator contentMediaType contentEncoding".split()
)
_FORMATS: Final[dict[str, ScalarKind]] = {
    "date-time": "datetime", "date": "date", "time": "time", "duration": "duration", "uuid": "uuid", "uri": "url",
    "email": "email", "ipv4": "ipv4", "ipv6": "ipv6",
}  # fmt: skip
_NUMBER_LIMITS: Final = {
    "minimum": "ge", "exclusiveMinimum": "gt", "maximum": "le", "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
}  # fmt: skip
_TYPE_KEYWORDS: Final[dict[str, frozenset[str]]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset(_NUMBER_LIMITS),
    "number": frozenset(_NUMBER_LIMITS),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"}),
}


@dataclass(frozen=True)
class SchemaForm:
    """The form of a schema; ``exact`` when it says all that the schema says."""

    document: Document
    exact: bool


def read_schema(schema: Any) -> SchemaForm:
    """Reads a JSON Schema.

    Raises:
        SchemaUnsupported: It is no schema, refers to what is not in it, or is nested too deep.
    """
    reader = _SchemaReader(schema)
    root = reader.form(schema, "$", 0)
    reader.follow()
    return SchemaForm(Document(root, tuple(reader.definitions.items())), reader.exact)


@dataclass
class _SchemaReader:
    root: Any
    exact: bool = True
    definitions: dict[str, Form] = field(default_factory=dict)
    _waiting: list[tuple[str, Any]] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def follow(self) -> None:
        """Reads what was referred to, until nothing is left."""
        while self._waiting:
            name, schema = self._waiting.pop()
            self.definitions[name] = self.form(schema, name, 0)
        for name in self.definitions:
            self._check_ends(name)

    def _check_ends(self, name: str) -> None:
        """Refuses a definition that leads back to itself without a value in between."""
        seen: set[str] = set()
        waiting = [self.definitions[name]]
        while waiting:
            form = waiting.pop()
            if isinstance(form, UnionOf):
                waiting += form.options
            elif isinstance(form, Ref):
                if form.name == name:
                    raise unsupported(name, "refers only to itself", "give the definition a type")
                if form.name not in seen:
                    seen.add(form.name)
                    waiting.append(self.definitions[form.name])

    def form(self, schema: Any, path: str, depth: int) -> Form:
        """The form of one schema within the whole."""
        if depth > _MOST_DEPTH:
            raise unsupported(path, f"is nested more than {_MOST_DEPTH} deep", "name inner schemas in $defs")
        if schema is True or schema == {}:
            return Anything()
        if not isinstance(schema, dict):
            self.exact = False
            if schema is False:
                return Anything()
            raise unsupported(path, f"is no schema but {type(schema).__name__}", "write an object")
        rest = {key for key in schema if key not in _ANNOTATIONS and not key.startswith("x-")}
        if "$ref" in rest:
            self._beside(rest, {"$ref"})
            return self._reference(schema["$ref"], path)
        if "enum" in rest or "const" in rest:
            return self._choice(schema, rest)
        for word in ("anyOf", "oneOf", "allOf"):
            if word in rest:
                return self._combined(word, schema, rest, path, depth)
        types = schema.get("type")
        if isinstance(types, list):
            parts = [self.form({**schema, "type": one}, path, depth + 1) for one in types]
            return parts[0] if len(parts) == 1 else UnionOf(tuple(parts))
        if types is None:
            types = "object" if "properties" in rest else "array" if "items" in rest else None
        return self._typed(types, schema, rest, path, depth)

    def _beside(self, rest: set[str], read: set[str] | frozenset[str]) -> None:
        if rest - read - {"type"}:
            self.exact = False

    def _reference(self, reference: Any, path: str) -> Form:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise unsupported(path, f"refers to {reference!r}, which is elsewhere", "copy it into $defs")
        name = reference.removeprefix("#/$defs/").removeprefix("#/definitions/")
        if reference not in self._seen:
            self._seen.add(reference)
            self._waiting.append((name, self._at(reference, path)))
        return Ref(name)

    def _at(self, reference: str, path: str) -> Any:
        found = self.root
        for step in reference.lstrip("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                raise unsupported(path, f"refers to {reference}, which is not there", "define it in $defs")
            found = found[name]
        return found

    def _choice(self, schema: dict[str, Any], rest: set[str]) -> Form:
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        self._beside(rest, {"enum", "const"})
        if "enum" in schema and "const" in schema:
            self.exact = False
        if not isinstance(values, list) or not values:
            raise unsupported("enum", "has no values", "list at least one")
        if any(isinstance(value, dict | list) for value in values):
            self.exact = False
            return Anything()
        aliases = [
            (alias, value)
            for value, names in _dict(schema.get("x-enum-alias")).items()
            if value in values and isinstance(names, list)
            for alias in names
            if isinstance(alias, str)
        ]
        return Choice(tuple(values), tuple(aliases))

    def _combined(self, word: str, schema: dict[str, Any], rest: set[str], path: str, depth: int) -> Form:
        self._beside(rest, {word})
        parts = schema[word]
        if not isinstance(parts, list) or not parts:
            raise unsupported(f"{path}.{word}", "is no list of schemas", "list at least one")
        if word == "oneOf" and not self._told_apart(schema, path):
            self.exact = False  # "one and no other" is more than "one of"
        if word == "allOf" and len(parts) > 1:
            self.exact = False
            return Anything()
        forms: list[Form] = []
        for i, part in enumerate(parts):
            form = self.form(part, f"{path}.{word}[{i}]", depth + 1)
            forms += form.options if isinstance(form, UnionOf) else (form,)
        return forms[0] if len(forms) == 1 else UnionOf(tuple(forms))

    def _told_apart(self, schema: dict[str, Any], path: str) -> bool:
        """Whether a tag lets no value be of two of the alternatives."""
        name = str(_dict(schema.get("discriminator")).get("propertyName"))
        tags = []
        for part in schema["oneOf"]:
            option = self._at(part["$ref"], path) if isinstance(_dict(part).get("$ref"), str) else part
            tag = _dict(_dict(_dict(option).get("properties")).get(name))
            if "const" not in tag or name not in _dict(option).get("required", ()):
                return False
            tags.append(repr(tag["const"]))
        return len(set(tags)) == len(tags)

    def _typed(self, kind: Any, schema: dict[str, Any], rest: set[str], path: str, depth: int) -> Form:
        self._beside(rest, _TYPE_KEYWORDS.get(kind, frozenset()) if isinstance(kind, str) else set())
        match kind:
            case "null":
                return Null()
            case "boolean":
                return Scalar("bool")
            case "integer" | "number":
                return self._number("int" if kind == "integer" else "float", schema)
            case "string":
                return self._string(schema)
            case "array":
                return self._array(schema, path, depth)
            case "object":
                return self._object(schema, path, depth)
        self.exact = False
        return Anything()

    def _number(self, kind: Literal["int", "float"], schema: dict[str, Any]) -> Form:
        found = {name: schema[key] for key, name in _NUMBER_LIMITS.items() if key in schema}
        usable = {name: limit for name, limit in found.items() if _is_limit(name, limit, kind)}
        if len(usable) < len(found):
            self.exact = False  # such as draft 4's `exclusiveMinimum: true`
        return Scalar(kind, _limits(**usable))

    def _sizes(self, schema: dict[str, Any], size: str) -> dict[str, Any]:
        found = {"min_length": schema.get(f"min{size}"), "max_length": schema.get(f"max{size}")}
        usable = {name: limit for name, limit in found.items() if _is_size(limit)}
        if len(usable) < sum(limit is not None for limit in found.values()):
            self.exact = False
        return usable

    def _string(self, schema: dict[str, Any]) -> Form:
        kind: ScalarKind = _FORMATS.get(schema.get("format", ""), "str")
        if "format" in schema and kind == "str":
            self.exact = False
        pattern = schema.get("pattern")
        if pattern is not None and not (isinstance(pattern, str) and _compiles(pattern)):
            self.exact, pattern = False, None
        limits = _limits(**self._sizes(schema, "Length"), pattern=pattern)
        if kind != "str" and limits != NO_LIMITS:
            self.exact, limits = False, NO_LIMITS
        return Scalar(kind, limits)

    def _array(self, schema: dict[str, Any], path: str, depth: int) -> Form:
        sizes, prefix = self._sizes(schema, "Items"), schema.get("prefixItems")
        if schema.get("uniqueItems"):
            self.exact = False
        if isinstance(prefix, list) and prefix:
            parts = tuple(self.form(part, f"{path}[{i}]", depth + 1) for i, part in enumerate(prefix))
            count = len(parts)
            if schema.get("items", True) is not False and sizes.get("max_length") != count:
                self.exact = False
                return ListOf(Anything(), _limits(**sizes))
            if sizes.get("min_length") != count:
                self.exact = False
            return TupleOf(parts)
        return ListOf(self.form(schema.get("items", True), f"{path}[]", depth + 1), _limits(**sizes))

    def _object(self, schema: dict[str, Any], path: str, depth: int) -> Form:
        properties, others = _dict(schema.get("properties")), schema.get("additionalProperties")
        sizes = _limits(**self._sizes(schema, "Properties"))
        required = schema.get("required", ())
        if not properties:
            if required:
                self.exact = False
            value = self.form(True if others is None else others, f"{path}{{}}", depth + 1)
            return MapOf(Scalar("str"), value, sizes)
        if sizes != NO_LIMITS or others not in (None, False):
            self.exact = False
        members = []
        for name, part in properties.items():
            alias = part.get("x-alias") if isinstance(part, dict) else None
            form = self.form(part, f"{path}.{name}", depth + 1)
            names = (alias,) if isinstance(alias, str) else ()
            members.append(Member(name, form, required=name in required, aliases=names))
        if set(required) - set(properties):
            self.exact = False
        return Record(str(schema.get("title") or "Record"), tuple(members))


def _limits(**found: Any) -> Limits:
    return Limits(**found) if any(limit is not None for limit in found.values()) else NO_LIMITS


def _compiles(pattern: str) -> bool:
    """Whether pydantic's expressions, which take linear time, know the pattern; they have no look-around."""
    try:
        SchemaValidator(core_schema.str_schema(pattern=pattern))
    except SchemaError:
        return False
    return True


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_SIZE


def _is_limit(name: str, value: Any, kind: str) -> bool:
    """Whether pydantic can hold the limit; of what it cannot, the schema itself decides."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    whole = isinstance(value, int) or kind == "float"
    return whole and abs(value) <= _MOST_LIMIT and (name != "multiple_of" or value > 0)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
