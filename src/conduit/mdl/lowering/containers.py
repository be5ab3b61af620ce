"""Keywords of arrays and objects. The schemas inside them are lowered by whoever calls."""

from __future__ import annotations

from typing import Any, Protocol

from conduit.mdl.lowering.base import Ledger, Schema, unsupported
from conduit.mdl.lowering.keywords import STRING, is_annotation
from conduit.mdl.lowering.regex import ANY, escaped, is_plain
from conduit.mdl.lowering.rules import Rules
from conduit.mdl.lowering.scalars import keep_sizes, lower_pattern, lower_string, size_range
from conduit.mdl.lowering.values import check_text, lower_choice

_OF_NAMES = frozenset({"type", "enum", "const", *STRING})


class Inner(Protocol):
    """What these functions need of the whole."""

    def lower(self, schema: Any, path: str) -> Schema:
        """The lowered form of a schema inside."""

    def resolve(self, schema: Any) -> Any:
        """The schema itself, where it is but a reference to one."""


def lower_array(schema: Schema, path: str, rules: Rules, ledger: Ledger, inner: Inner) -> Schema:
    """``prefixItems``, ``items`` in the ways of all drafts, ``minItems``, ``maxItems``."""
    prefix, rest, at_prefix, at_rest = _items(schema, path)
    _, most = size_range(schema, "Items", path)
    if most is not None and most < len(prefix):
        prefix, rest = prefix[:most], False  # the places behind stay empty
    kept: Schema = {}
    if prefix and rules.tuples:
        ledger.mask(path, at_prefix)
        kept["prefixItems"] = [inner.lower(item, f"{path}.{at_prefix}[{i}]") for i, item in enumerate(prefix)]
    if rest is not None:
        if at_rest in schema:
            ledger.mask(path, at_rest)
        kept["items"] = rest if rest is False else inner.lower(rest, f"{path}.{at_rest}")
    elif not rules.siblings:
        kept["items"] = inner.lower(True, f"{path}.items")  # such engines take no more than they are told of
    sizes = keep_sizes(schema, "Items", path, rules.most_items, ledger)
    if prefix and not rules.tuples:
        return _without_tuple(schema, prefix, rest, at_prefix, path, ledger, inner)
    if rest is False and not prefix:
        if sizes.pop("minItems", 0):
            raise unsupported(f"{path}.minItems", "there are items, but none is allowed", "correct `items`")
        return {"items": {}, "maxItems": 0}
    return kept | sizes


def _items(schema: Schema, path: str) -> tuple[list[Any], Any, str, str]:
    """Places, what comes behind them (``None``: anything), and the keywords that say so."""
    items = schema.get("items")
    if isinstance(items, list):
        found = items, schema.get("additionalItems"), "items", "additionalItems"
    else:
        found = schema.get("prefixItems", []), items, "prefixItems", "items"
    if not isinstance(found[0], list):
        raise unsupported(f"{path}.prefixItems", "is not a list", "write a list of schemas")
    return found


def _without_tuple(
    schema: Schema, prefix: list[Any], rest: Any, keyword: str, path: str, ledger: Ledger, inner: Inner
) -> Schema:
    """An array whose items may be any of the places'; which one stands where is for validation."""
    ledger.validation(path, keyword, "any of them at any place")
    options = [inner.lower(item, f"{path}.{keyword}[{i}]") for i, item in enumerate(prefix)]
    if rest is not False:
        raise unsupported(
            f"{path}.items", "is open behind its places", "write `items: false`, or one `items`"
        )
    least, most = size_range(schema, "Items", path)
    unique = [option for i, option in enumerate(options) if option not in options[:i]]
    return {
        "items": unique[0] if len(unique) == 1 else {"anyOf": unique},
        "minItems": least or 0,
        "maxItems": min(most, len(prefix)) if most is not None else len(prefix),
    }


def lower_object(schema: Schema, path: str, rules: Rules, ledger: Ledger, inner: Inner) -> Schema:
    """``properties``, ``required``, free keys in their several ways, ``minProperties``, ``maxProperties``."""
    named = _mapping(schema, "properties", path)
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise unsupported(f"{path}.required", "is not a list of names", "list the names")
    properties: Schema = {}
    if "properties" in schema:
        ledger.mask(path, "properties")
        for name, part in named.items():
            check_text(name, f"{path}.properties")
            if part is False and name in required:
                raise unsupported(
                    f"{path}.properties.{name}", "is required and forbidden", "drop one of the two"
                )
            properties[name] = False if part is False else inner.lower(part, f"{path}.properties.{name}")
    kept = _free_keys(schema, path, rules, ledger, inner, named=bool(properties or required))
    if "required" in schema:
        unnamed = [name for name in required if name not in properties]
        if unnamed and "patternProperties" in kept:
            ledger.validation(
                path, "required", "what those hold that `properties` does not name is not masked"
            )
        else:
            ledger.mask(path, "required")
        for name in unnamed:
            check_text(name, f"{path}.required")
            properties[name] = _unnamed(kept, name, path)
    if any(part is False for part in properties.values()) and not rules.siblings:
        properties = {name: part for name, part in properties.items() if part is not False}
        ledger.validation(path, "properties", "that some must not be there is left to validation")
    required = list(dict.fromkeys(required))
    optional = len(properties) - len(required)
    if optional and not rules.optional:
        ledger.narrowed(path, "required", "all properties have to be written")
        required = list(properties)
    elif optional > rules.most_optional:
        raise unsupported(
            f"{path}.properties",
            f"{optional} of them are optional, {rules.engine} takes {rules.most_optional}",
            "make them required",
        )
    if properties:
        kept = {"properties": properties, "required": required} | kept
        if not required:
            del kept["required"]
    return kept | _counts(schema, optional if rules.optional else 0, kept, path, rules, ledger)


def _mapping(schema: Schema, keyword: str, path: str) -> dict[str, Any]:
    found = schema.get(keyword, {})
    if not isinstance(found, dict):
        raise unsupported(f"{path}.{keyword}", "is not an object", "map names to schemas")
    return found


def _unnamed(kept: Schema, name: str, path: str) -> Any:
    """The schema of a required property that ``properties`` does not name."""
    if "patternProperties" in kept:
        return {}
    if kept.get("additionalProperties", True) is False:
        raise unsupported(
            f"{path}.required", f"{name!r} is required and not allowed", "name it in `properties`"
        )
    return kept.get("additionalProperties", {})


def _free_keys(
    schema: Schema, path: str, rules: Rules, ledger: Ledger, inner: Inner, *, named: bool
) -> Schema:
    """``additionalProperties``, ``patternProperties`` and ``propertyNames``."""
    by_pattern = _mapping(schema, "patternProperties", path)
    rest = schema.get("additionalProperties", True)
    if not rules.free_keys:
        return _closed(schema, path, ledger, named=named)
    if "additionalProperties" in schema:
        ledger.mask(path, "additionalProperties")
        if rest is not False:
            rest = inner.lower(rest, f"{path}.additionalProperties")
    kept: Schema = {"additionalProperties": rest}
    if by_pattern:
        values = {
            text: False if part is False else inner.lower(part, f"{path}.patternProperties.{text}")
            for text, part in by_pattern.items()
        }
        kept = _by_pattern(values, rest, path, rules, ledger)
    if "propertyNames" in schema:
        names = inner.resolve(schema["propertyNames"])
        if named or set(kept) != {"additionalProperties"}:
            ledger.validation(path, "propertyNames")
        else:
            kept = _by_name(names, kept, path, rules, ledger)
    if rules.siblings and kept == {"additionalProperties": True}:
        return {}
    return kept


def _by_pattern(values: Schema, rest: Any, path: str, rules: Rules, ledger: Ledger) -> Schema:
    """Keys by pattern. One exact pattern can be a mask; else any key may have any of the values."""
    patterns = [lower_pattern(text, f"patternProperties.{text}", path, rules, Ledger()) for text in values]
    first, value = patterns[0], next(iter(values.values()))
    fits = rules.siblings or (value is not False and rest is False)
    if len(patterns) == 1 and first is not None and first.exact and fits:
        ledger.mask(path, "patternProperties")
        return {"patternProperties": {first.text: value}, "additionalProperties": rest}
    ledger.validation(path, "patternProperties", "any key may have any of the values")
    options: list[Any] = []
    for value in (*values.values(), rest):
        if value is not False and value not in options:
            options.append(value)
    if not options or any(value is True or value == {} for value in options):
        return {"additionalProperties": bool(options)}
    return {"additionalProperties": options[0] if len(options) == 1 else {"anyOf": options}}


def _by_name(names: Any, kept: Schema, path: str, rules: Rules, ledger: Ledger) -> Schema:
    """Names under a schema of their own, as one pattern where one can say it."""
    if kept["additionalProperties"] is False:
        ledger.mask(path, "propertyNames", "there are no names to check")
        return kept
    trial = Ledger()
    found = _name_pattern(names, f"{path}.propertyNames", rules, trial) if isinstance(names, dict) else None
    if found is None:
        ledger.validation(path, "propertyNames")
        return kept
    if all(entry.verdict == "mask" for entry in trial):
        ledger.mask(path, "propertyNames", "as a pattern")
    else:
        ledger.validation(path, "propertyNames", "widened to one pattern")
    return {"patternProperties": {found: kept["additionalProperties"]}, "additionalProperties": False}


def _name_pattern(names: Schema, path: str, rules: Rules, trial: Ledger) -> str | None:
    if any(keyword not in _OF_NAMES and not is_annotation(keyword) for keyword in names):
        return None
    # Names are text. Of a type that is not, such as an IntEnum, only the validator knows how it reads them.
    if names.get("type", "string") != "string":
        return None
    if "const" in names or "enum" in names:
        kept, _ = lower_choice(names, ("string",), path, rules, trial, 0)
        values = [kept["const"]] if "const" in kept else kept.get("enum")
        if values is None or (rules.dialect.raw and any(not is_plain(char) for char in "".join(values))):
            return None
        written = ("".join(escaped(char) for char in value) for value in values)
        return f"^(?:{'|'.join(written)})$"
    kept = lower_string(names, path, rules, trial)
    if "pattern" in kept:
        if len(kept) > 1:
            trial.validation(path, "minLength")
        return str(kept["pattern"])
    if not kept or rules.dialect.raw:
        return None
    return f"^{ANY}{{{kept.get('minLength', 0)},{kept.get('maxLength', '')}}}$"


def _closed(schema: Schema, path: str, ledger: Ledger, *, named: bool) -> Schema:
    """For engines that want every property named."""
    for keyword in ("patternProperties", "additionalProperties", "propertyNames"):
        if keyword not in schema:
            continue
        if keyword == "additionalProperties" and schema[keyword] is False:
            ledger.mask(path, keyword)
        elif named:
            ledger.narrowed(path, keyword, "no properties but the named ones")
    if not named and schema.get("additionalProperties") is not False:
        raise unsupported(
            path,
            "its keys are free, and the engine wants them named",
            "use a list of records with a key each",
        )
    if "additionalProperties" not in schema:
        ledger.narrowed(path, "properties", "no properties but the named ones")
    return {"additionalProperties": False}


def _counts(schema: Schema, optional: int, kept: Schema, path: str, rules: Rules, ledger: Ledger) -> Schema:
    why_not = ""
    closed = kept.get("additionalProperties") is False and "patternProperties" not in kept
    if not rules.free_keys or optional or closed:
        why_not = "left to validation"
    return keep_sizes(schema, "Properties", path, rules.most_items, ledger, why_not)
