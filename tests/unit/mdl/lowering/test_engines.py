"""Each engine gets only what it reads, and says so."""

import pytest

from conduit import mdl
from conduit.errors import SchemaUnsupported

NUMBER = {"type": "integer"}
TEXT = {"type": "string"}


def record(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def of(lowered):
    return {entry.where: (entry.verdict, entry.note) for entry in lowered.entries}


def test_xgrammar_gets_one_of_several_that_apply_together():
    lowered = mdl.lower({"$defs": {"A": TEXT}, "$ref": "#/$defs/A", "enum": ["a", "b"]}, "xgrammar")
    assert lowered.schema == {"enum": ["a", "b"], "$defs": {"A": TEXT}}
    assert of(lowered)["$.enum"][0] == "mask"
    assert of(lowered)["$.$ref"][0] == "validation"


def test_xgrammar_objects_stay_open_unless_they_are_closed():
    assert (
        mdl.lower({"type": "object", "properties": {"a": NUMBER}}, "xgrammar").schema["additionalProperties"]
        is True
    )
    assert mdl.lower(record(a=NUMBER), "xgrammar").schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("keyword", "schema"),
    [
        ("pattern", {**TEXT, "pattern": "a"}),
        ("minLength", {**TEXT, "pattern": "^(?:ab)+$", "minLength": 4}),
        ("multipleOf", {"type": "number", "multipleOf": 0.5}),
        ("multipleOf", {"type": "integer", "multipleOf": 3, "minimum": 0}),
        ("enum", {"enum": [f"value {i}" for i in range(20_000)]}),
        ("format", {**TEXT, "format": "uri"}),
    ],
)
def test_what_xgrammar_would_pass_over_in_silence_is_named(keyword, schema):
    lowered = mdl.lower(schema, "xgrammar")
    assert of(lowered)[f"$.{keyword}"][0] == "validation"
    assert keyword not in lowered.schema


def test_openai_wants_all_properties_and_no_other():
    lowered = mdl.lower(
        {"type": "object", "properties": {"a": NUMBER, "b": TEXT}, "required": ["a"]}, "openai"
    )
    assert lowered.schema == record(a=NUMBER, b=TEXT)
    assert [entry.keyword for entry in lowered.entries if entry.verdict == "narrowed"] == [
        "properties",
        "required",
    ]


def test_openai_keeps_descriptions_but_not_beside_a_reference():
    schema = record(
        a={**NUMBER, "description": "how many", "title": "A"}, b={"$ref": "#/$defs/B", "description": "x"}
    )
    lowered = mdl.lower({**schema, "$defs": {"B": TEXT}}, "openai").schema
    assert lowered["properties"] == {"a": {**NUMBER, "description": "how many"}, "b": {"$ref": "#/$defs/B"}}


def test_openai_has_no_tuples_but_arrays_of_any_of_their_places():
    pair = {"type": "array", "prefixItems": [NUMBER, TEXT], "items": False, "minItems": 2, "maxItems": 2}
    lowered = mdl.lower(record(pair=pair), "openai")
    assert lowered.schema["properties"]["pair"] == {
        "type": "array",
        "items": {"anyOf": [NUMBER, TEXT]},
        "minItems": 2,
        "maxItems": 2,
    }
    assert of(lowered)["$.properties.pair.prefixItems"] == ("validation", "any of them at any place")


def test_openai_roots_that_are_references_are_written_out():
    node = record(next={"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]})
    lowered = mdl.lower({"$ref": "#/$defs/N", "$defs": {"N": node}}, "openai").schema
    assert lowered["type"] == "object"
    assert lowered["$defs"]["N"] == node


@pytest.mark.parametrize(
    "schema",
    [
        TEXT,
        {"anyOf": [record(a=NUMBER), record(b=NUMBER)]},
        record(a={"type": "object", "additionalProperties": NUMBER}),
        record(a={}),
        record(a={"enum": [f"v{i}" for i in range(1001)]}),
        record(a={"enum": [f"{'v' * 80}{i}" for i in range(251)]}),
        {"type": "object"},
    ],
)
def test_what_openai_would_refuse_is_refused_here(schema):
    with pytest.raises(SchemaUnsupported):
        mdl.lower(schema, "openai")


def test_openai_takes_ten_levels_of_objects():
    deep = NUMBER
    for _ in range(10):
        deep = record(a=deep)
    mdl.lower(deep, "openai")
    with pytest.raises(SchemaUnsupported, match="10 levels"):
        mdl.lower(record(a=deep), "openai")


@pytest.mark.parametrize("engine", ["llguidance", "xgrammar", "openai"])
def test_no_engine_gets_a_keyword_that_it_does_not_know(engine):
    schema = record(
        a={**TEXT, "format": "email", "examples": ["x"], "x-y": 1},
        b={"type": "array", "items": NUMBER, "uniqueItems": True, "default": []},
        c={"oneOf": [NUMBER, {"type": "null"}], "discriminator": {"propertyName": "k"}},
        d={**TEXT, "not": {"const": ""}, "$comment": "c"},
    )
    known = {
        "type", "properties", "required", "additionalProperties", "items", "anyOf", "pattern", "x-guidance",
        "whitespace_flexible",
    }  # fmt: skip

    def keywords(part):
        if isinstance(part, dict):
            for key, value in part.items():
                if key == "properties":
                    yield key
                    for inner in value.values():
                        yield from keywords(inner)
                else:
                    yield key
                    yield from keywords(value)
        elif isinstance(part, list):
            for inner in part:
                yield from keywords(inner)

    assert set(keywords(mdl.lower(schema, engine).schema)) <= known
