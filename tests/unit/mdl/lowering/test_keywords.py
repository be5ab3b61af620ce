"""What is lowered compiles, takes all that the schema takes, and the report says who enforces each keyword."""

import jsonschema
import pytest

from conduit import mdl
from conduit.errors import SchemaUnsupported
from support.masks import Mask

NUMBER = {"type": "integer"}
TEXT = {"type": "string"}


def verdicts(schema, engine="llguidance"):
    return {entry.where: entry.verdict for entry in mdl.lower(schema, engine).entries}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": ["string", "null"], "minLength": 2}, ["ab", None], ["a", 1]),
        ({"minLength": 2}, ["ab", 1, None], ["a"]),
        ({"enum": ["a", 1], "type": "string"}, ["a"], [1, "b"]),
        ({"const": {"a": [1, None]}}, [{"a": [1, None]}], [{"a": [1]}]),
        ({"minimum": 3, "exclusiveMinimum": True, "type": "integer"}, [4], [3]),
        ({"type": "integer", "minimum": 2.5, "exclusiveMaximum": 4.5}, [3, 4], [2, 5]),
        ({"type": "array", "items": [NUMBER, TEXT], "additionalItems": False}, [[1, "a"]], [[1, "a", 2], ["a"]]),
        ({"type": "array", "items": False}, [[]], [[1]]),
        ({"type": "array", "prefixItems": [NUMBER], "items": TEXT, "minItems": 2}, [[1, "a"]], [[1], [1, 2]]),
        ({"type": "object", "properties": {"a": False}}, [{"b": 1}], [{"a": 1}]),
        ({"type": "object", "required": ["a"], "additionalProperties": NUMBER}, [{"a": 1}], [{"a": "x"}, {}]),
        ({"type": "object", "patternProperties": {"^x_": NUMBER}, "additionalProperties": False},
         [{"x_a": 1}, {}], [{"a": 1}, {"x_a": "b"}]),
        ({"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": NUMBER},
         [{"b": 1, "a": 2}], [{"c": 1}]),
        ({"type": "object", "propertyNames": {"maxLength": 2}}, [{"ab": 1}], [{"abc": 1}]),
        ({"$defs": {"K": {"enum": ["a"]}}, "type": "object", "propertyNames": {"$ref": "#/$defs/K"}},
         [{"a": 1}], [{"b": 1}]),
        ({"allOf": [{"type": "object", "properties": {"a": NUMBER}, "required": ["a"]},
                    {"type": "object", "properties": {"b": NUMBER}, "required": ["b"]}]},
         [{"a": 1, "b": 2}], [{"a": 1}, {"a": 1, "b": "x"}]),
        ({"type": "object", "properties": {"a": NUMBER}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
         [{"a": 1}, {"b": 1}], [{}, {"a": "x"}]),
        ({"definitions": {"A": TEXT}, "$ref": "#/definitions/A", "minLength": 3}, ["abc"], ["ab"]),
        ({"type": "number", "multipleOf": 0.01}, [1.25, 3, 0.1], [1.255]),
        ({}, [1, None, {"a": [True]}], []),
    ],
)  # fmt: skip
def test_the_mask_alone_tells_good_from_bad(schema, good, bad):
    lowered = mdl.lower(schema, "llguidance")
    assert {entry.verdict for entry in lowered.entries} <= {"mask"}
    mask = Mask(lowered.schema)
    assert [value for value in good if not mask.accepts(value)] == []
    assert [value for value in bad if mask.accepts(value)] == []


@pytest.mark.parametrize(
    ("keyword", "schema", "good"),
    [
        ("not", {**TEXT, "not": {"const": "x"}}, "a"),
        ("uniqueItems", {"type": "array", "items": NUMBER, "uniqueItems": True}, [1, 2]),
        ("contains", {"type": "array", "contains": NUMBER}, ["a", 1]),
        ("minContains", {"type": "array", "contains": NUMBER, "minContains": 2}, [1, 1]),
        ("if", {"if": TEXT, "then": {"minLength": 2}}, "ab"),
        ("dependentRequired", {"type": "object", "dependentRequired": {"a": ["b"]}}, {"a": 1, "b": 2}),
        ("dependencies", {"type": "object", "dependencies": {"a": ["b"]}}, {"a": 1, "b": 2}),
        ("unevaluatedProperties", {"properties": {"a": NUMBER}, "unevaluatedProperties": False}, {"a": 1}),
        ("oneOf", {"oneOf": [NUMBER, {"type": "integer", "minimum": 5}]}, 3),
        ("multipleOf", {"type": "integer", "multipleOf": 1_000_003}, 1_000_003),
        ("multipleOf", {"type": "number", "multipleOf": 3}, 3.0),
        ("minimum", {"type": "integer", "minimum": 2**60}, 2**61),
        ("enum", {"enum": [2**53 + 1, "a"]}, 2**53 + 1),
        ("maxLength", {**TEXT, "maxLength": 10**9}, "a"),
        ("minLength", {**TEXT, "pattern": "^.*a.{20}$", "minLength": 25}, "x" * 9 + "a" + "b" * 20),
        ("pattern", {**TEXT, "pattern": "^(?!b)a"}, "a"),
        ("patternProperties", {"patternProperties": {"^a": NUMBER, "z$": TEXT}}, {"a": 1, "z": "b"}),
        ("minProperties", {"type": "object", "properties": {"a": NUMBER}, "minProperties": 1}, {"a": 1}),
        ("propertyNames", {"properties": {"ab": NUMBER}, "propertyNames": {"minLength": 2}}, {"ab": 1}),
        ("format", {**TEXT, "format": "something-else"}, "a"),
    ],
)  # fmt: skip
def test_what_the_engine_cannot_enforce_is_named_and_nothing_valid_is_lost(keyword, schema, good):
    assert jsonschema.Draft202012Validator(schema).is_valid(good)
    assert verdicts(schema)[f"$.{keyword}"] == "validation"
    assert Mask(mdl.lower(schema, "llguidance").schema).accepts(good)


def test_widening_one_keys_pattern_does_not_close_the_others():
    schema = {"patternProperties": {"^(?!b)": NUMBER}, "additionalProperties": TEXT, "type": "object"}
    mask = Mask(mdl.lower(schema, "llguidance").schema)
    assert mask.accepts({"a": 1})
    assert mask.accepts({"b": "x"})


def test_every_keyword_has_one_verdict():
    schema = {
        "title": "T",
        "description": "d",
        "x-note": 1,
        "type": "object",
        "properties": {"a": {"type": "string", "maxLength": 3, "default": ""}, "b": {"$ref": "#/$defs/B"}},
        "required": ["a"],
        "$defs": {"B": {"type": "array", "items": NUMBER, "uniqueItems": True}},
    }
    assert verdicts(schema) == {
        "$.type": "mask",
        "$.properties": "mask",
        "$.properties.a.type": "mask",
        "$.properties.a.maxLength": "mask",
        "$.properties.b.$ref": "mask",
        "$.required": "mask",
        "$.$defs.B.type": "mask",
        "$.$defs.B.items": "mask",
        "$.$defs.B.items.type": "mask",
        "$.$defs.B.uniqueItems": "validation",
    }


def test_the_report_is_readable():
    lowered = mdl.lower({"type": "array", "uniqueItems": True}, "llguidance")
    assert lowered.changes == ("$.uniqueItems: left to validation",)
    assert lowered.report().splitlines() == [
        "$.type         mask",
        "$.uniqueItems  validation  left to validation",
    ]


@pytest.mark.parametrize(
    ("schema", "path", "hint"),
    [
        ({"type": "string", "maxlength": 3}, "$.maxlength", "maxLength"),
        ({"type": "string", "widget": 3}, "$.widget", "x-"),
        ({"type": "strnig"}, "$.type", "string"),
        ({"type": "string", "minLength": "3"}, "$.minLength", ""),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "$.minLength", ""),
        ({"type": "integer", "minimum": 3, "exclusiveMaximum": 3}, "$.minimum", ""),
        ({"type": "number", "minimum": float("nan")}, "$.minimum", ""),
        ({"properties": {"a": 3}}, "$.properties.a", ""),
        ({"anyOf": []}, "$.anyOf", ""),
        ({"enum": []}, "$.enum", ""),
        ({"const": "\ud800"}, "$.const", ""),
        ({"type": "string", "pattern": "("}, "$.pattern", ""),
        ({"type": "object", "required": ["a"], "properties": {"a": False}}, "$.properties.a", ""),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "$.required", ""),
        ({"type": "array", "items": False, "minItems": 1}, "$.minItems", ""),
        ([], "$", ""),
    ],
)
def test_what_is_no_schema_is_refused_with_path_and_remedy(schema, path, hint):
    with pytest.raises(SchemaUnsupported) as refused:
        mdl.lower(schema, "llguidance")
    assert refused.value.path == path
    assert hint in refused.value.hint


def test_fields_may_be_named_like_keywords():
    schema = {"type": "object", "properties": {"uniqueItems": NUMBER, "format": {"enum": ["uri"]}}}
    lowered = mdl.lower(schema, "llguidance")
    assert list(lowered.schema["properties"]) == ["uniqueItems", "format"]
    assert lowered.changes == ()


def test_the_schema_given_is_left_as_it_was():
    schema = {"type": "object", "properties": {"a": {"type": "string", "format": "date"}}}
    mdl.lower(schema, "llguidance")
    assert schema == {"type": "object", "properties": {"a": {"type": "string", "format": "date"}}}


def test_free_white_space_is_off_and_nothing_unknown_would_pass():
    assert mdl.lower(TEXT, "llguidance").schema["x-guidance"] == {"whitespace_flexible": False}


def test_before_2019_nothing_counts_beside_a_reference():
    old = "http://json-schema.org/draft-07/schema#"
    schema = {"$schema": old, "definitions": {"A": TEXT}, "$ref": "#/definitions/A", "minLength": 3}
    assert Mask(mdl.lower(schema, "llguidance").schema).accepts("a")


def test_an_engine_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="unknown engine"):
        mdl.lower({}, "other")
