"""No schema makes lowering hang, overflow, or hand an engine what would make the engine do so."""

import pytest

from conduit import mdl
from conduit.errors import SchemaUnsupported
from conduit.mdl.lowering import ENGINES
from support.masks import Mask

pytestmark = pytest.mark.timeout(20)


def nested(wrap, times=10_000):
    schema = {"type": "integer"}
    for _ in range(times):
        schema = wrap(schema)
    return schema


def circle():
    schema = {"type": "array"}
    schema["items"] = schema
    return schema


def chain(length, wrap):
    definitions = {f"D{i}": wrap({"$ref": f"#/$defs/D{i + 1}"}) for i in range(length)}
    return {"$defs": {**definitions, f"D{length}": {"type": "null"}}, "$ref": "#/$defs/D0"}


def shared():
    schema = {"type": "integer"}
    for _ in range(60):
        schema = {"type": "object", "properties": {"a": schema, "b": schema}}
    return schema


REFUSED = {
    "oneOf in oneOf": lambda: nested(lambda inner: {"oneOf": [inner, {"type": "null"}]}),
    "objects in objects": lambda: nested(lambda inner: {"type": "object", "properties": {"a": inner}}),
    "arrays in arrays": lambda: nested(lambda inner: {"type": "array", "items": inner}),
    "not in not": lambda: nested(lambda inner: {"not": inner}),
    "itself as an object of Python": circle,
    "100,000 properties": lambda: {"type": "object", "properties": {f"p{i}": {} for i in range(100_000)}},
    "2 ** 60 paths": shared,
    "a chain of objects": lambda: chain(3000, lambda ref: {"type": "object", "properties": {"n": ref}}),
    "a chain of unions": lambda: chain(3000, lambda ref: {"anyOf": [ref, {"type": "null"}]}),
    "a value nested deep": lambda: {"const": nested(lambda inner: [inner])},
    "many branches": lambda: {"anyOf": [{"type": "object", "required": [f"k{i}"]} for i in range(5000)]},
    "many optional properties": lambda: {"type": "object", "properties": {f"p{i}": {} for i in range(3000)}},
    "groups that do not close": lambda: {"type": "string", "pattern": "(" * 50},
    "a key of a megabyte": lambda: {"x" * 1_000_000: 1},
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("engine", ENGINES)
def test_refused_with_a_reason(name, engine):
    with pytest.raises(SchemaUnsupported) as refused:
        mdl.lower(REFUSED[name](), engine)
    assert refused.value.hint
    assert len(str(refused.value)) < 1000


LEFT = {
    "an enum of 100,000": lambda: {"enum": [f"value {i}" for i in range(100_000)]},
    "a pattern that explodes": lambda: {"type": "string", "pattern": "(((a{1,50}){1,50}){1,50}){1,50}"},
    "a pattern of 9,000 stars": lambda: {"type": "string", "pattern": "a*" * 4500},
    "a pattern of a megabyte": lambda: {"type": "string", "pattern": "a" * 1_000_000},
    "unions multiplied": lambda: {"allOf": [{"anyOf": [{"const": i} for i in range(50)]} for _ in range(6)]},
    "sizes out of reach": lambda: {"type": "string", "minLength": 10**12, "maxLength": 10**18},
    "a number of 5,000 digits": lambda: {"type": "number", "maximum": 10**4999, "multipleOf": 10**400},
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT)
def test_left_to_validation_and_what_remains_compiles(name):
    lowered = mdl.lower(LEFT[name](), "llguidance")
    assert "validation" in {entry.verdict for entry in lowered.entries}
    Mask(lowered.schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {f"p{i}": {"type": "integer"} for i in range(400)}},
        {"anyOf": [{"type": "object", "required": [f"k{i}"], "properties": {f"k{i}": {}}} for i in range(1000)]},
        {"enum": [f"value {i:06}" for i in range(25_000)]},
        nested(lambda inner: {"type": "array", "items": inner}, 95),
        nested(lambda inner: {"anyOf": [inner, {"type": "null"}]}, 48),
        chain(55, lambda ref: {"type": "object", "properties": {"n": ref}, "required": ["n"]}),
        {"type": "integer", "multipleOf": 9973},
    ],
)  # fmt: skip
def test_just_within_the_bounds_the_engine_keeps_up(schema):
    mask = Mask(mdl.lower(schema, "llguidance").schema)
    # An engine in an error state accepts nothing, not even a beginning.
    assert any(mask.begins(text) for text in ('{"', '"', "[", "1", "9", "n"))
